"""Prints one JSON object a line for everything a play does, as it happens: what Quarterdeck's screens are fed from.

A stdout callback plugin that needs nothing but ansible-core. What a task with `no_log` says is never printed.
"""

from __future__ import annotations

import datetime
import json
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: quarterdeck_events
type: stdout
short_description: events as JSON lines
description: One JSON object a line, flushed as it happens.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "quarterdeck_events"

    def _say(self, event, **fields):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        line = json.dumps({"quarterdeck": event, "at": now, **fields}, default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def v2_playbook_on_play_start(self, play):
        self._say("play", name=str(play.get_name()))

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._say("task", id=str(task._uuid), name=str(task.get_name()))

    def v2_playbook_on_handler_task_start(self, task):
        self._say("task", id=str(task._uuid), name=str(task.get_name()), handler=True)

    def v2_runner_on_start(self, host, task):
        self._say("start", id=str(task._uuid), host=host.get_name())

    @staticmethod
    def _is_hidden(result):
        return bool(result._task.no_log or result._result.get("_ansible_no_log"))

    def _done(self, event, result, **more):
        fields = {"id": str(result._task._uuid), "host": result._host.get_name(), **more}
        fields["changed"] = bool(result._result.get("changed"))
        if self._is_hidden(result):
            fields["hidden"] = True
        elif event in ("failed", "unreachable"):
            fields["msg"] = result._result.get("msg")
            fields["stderr"] = result._result.get("stderr") or result._result.get("module_stderr")
        self._say(event, **fields)

    def v2_runner_on_ok(self, result):
        self._done("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._done("failed", result, ignored=bool(ignore_errors))

    def v2_runner_on_skipped(self, result):
        self._done("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self._done("unreachable", result)

    def v2_on_file_diff(self, result):
        if self._is_hidden(result):
            return
        for one in result._result.get("results", [result._result]):
            if one.get("_ansible_no_log") or not one.get("diff"):
                continue
            text = self._get_diff(one["diff"])
            self._say("diff", id=str(result._task._uuid), host=result._host.get_name(), text=text)

    def v2_playbook_on_stats(self, stats):
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        self._say("stats", hosts=hosts)
