"""A provider of Terraform whose resources are files: what somebody edits or removes by hand has really drifted.

resource "files_file" "x" { path = "/…", content = "…", secret = "…" }

A file holds the content, and below it the secret. `mode` is what the file system says, which no configuration sets.
"""

import os
import stat

from tf import runner, schema, types
from tf.iface import Provider, Resource


class File(Resource):
    def __init__(self, provider):
        pass

    @classmethod
    def get_name(cls):
        return "file"

    @classmethod
    def get_schema(cls):
        text = types.String()
        return schema.Schema(
            attributes=[
                schema.Attribute("path", text, required=True, requires_replace=True),
                schema.Attribute("content", text, required=True),
                schema.Attribute("secret", text, required=True, sensitive=True),
                schema.Attribute("mode", text, computed=True),
            ]
        )

    def read(self, ctx, current):
        path = current["path"]
        if not os.path.exists(path):
            return None
        with open(path) as file:
            content, _, secret = file.read().partition("\n")
        mode = oct(stat.S_IMODE(os.stat(path).st_mode))
        return {"path": path, "content": content, "secret": secret, "mode": mode}

    def create(self, ctx, planned):
        with open(planned["path"], "w") as file:
            file.write(planned["content"] + "\n" + planned["secret"])
        return self.read(ctx, planned)

    def update(self, ctx, current, planned):
        return self.create(ctx, planned)

    def delete(self, ctx, current):
        if os.path.exists(current["path"]):
            os.remove(current["path"])

    def upgrade(self, ctx, version, old):
        return old


class Files(Provider):
    def get_model_prefix(self):
        return "files_"

    def full_name(self):
        return "quarterdeck.test/tests/files"

    def get_provider_schema(self, diags):
        return schema.Schema()

    def validate_config(self, diags, config):
        pass

    def configure_provider(self, diags, config):
        pass

    def get_data_sources(self):
        return []

    def get_resources(self):
        return [File]


if __name__ == "__main__":
    runner.run_provider(Files())
