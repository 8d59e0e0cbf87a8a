//! Texts that must have a certain form, each with the pattern for editors and the sentence for people.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// The keyword under which a schema says in words what its `pattern` demands; editors that speak YAML know it too.
pub(crate) const PATTERN_MESSAGE: &str = "patternErrorMessage";

macro_rules! text {
    ($(#[$meta:meta])* $name:ident = $pattern:expr, $message:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "patternErrorMessage": $message })
            }
        }
    };
}

text! {
    /// What an environment, node or service is called.
    Name = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "a name has 1 to 63 letters, digits, `.`, `_` and `-`, and begins with a letter or digit"
}

text! {
    /// A host name or IP address without port, user or scheme.
    Address = "^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?)$",
    "an address is a host name or an IP address: the port goes to `ssh.port`, the user to `ssh.user`"
}

text! {
    /// The base URL of an API.
    Url = "^https?://[^\\s/?#]+(?:/[^\\s?#]*)?$",
    "a service URL begins with http:// or https://, names a host, and has neither query nor fragment"
}

text! {
    /// Where a store is.
    StoreUrl = "^(?:https?://[^\\s/?#@]+(?:/[^\\s?#]*)?|postgres(?:ql)?://(?:[^\\s/?#@:]+@)?[^\\s/?#@]+/[^\\s/?#]+)$",
    "a store's URL is that of an API (http:// or https://), or postgresql://USER@HOST:PORT/DATABASE without a password"
}

text! {
    /// For whom something is encrypted.
    AgeRecipient = "^age1[02-9ac-hj-np-z]{58}$",
    "an age recipient is `age1` and 58 letters and digits, as age-keygen prints it"
}

text! {
    /// A version, or its beginning; a snap channel may follow.
    Version = "^v?[0-9]+(?:\\.[0-9A-Za-z]+)*(?:[+~:-][0-9A-Za-z.+~:-]*)?(?:/(?:stable|candidate|beta|edge))?$",
    "a version begins with a number, such as \"1.16\", \"1.8.7+dfsg1-1\" or \"1.28/stable\""
}

text! {
    /// A Juju channel.
    Channel = "^(?:[0-9A-Za-z][0-9A-Za-z._-]*/)?(?:stable|candidate|beta|edge)$",
    "a channel is stable, candidate, beta or edge, with a track before it if need be: \"3.4/stable\""
}

text! {
    /// SHA-256 of a file.
    Sha256 = "^[0-9A-Fa-f]{64}$",
    "a SHA-256 sum has exactly 64 hexadecimal digits, as `sha256sum FILE` prints them"
}

text! {
    /// A length of time.
    Span = "^[0-9]{1,6}(?:ms|s|m|h)$",
    "a length of time is a whole number and a unit, such as \"500ms\", \"5s\", \"2m\" or \"1h\""
}

text! {
    /// A number of days.
    Days = "^(?:[1-9][0-9]{0,4}d|forever)$",
    "an age is a whole number of days, such as \"30d\", or \"forever\""
}

text! {
    /// An amount of storage.
    Room = "^(?:[1-9][0-9]{0,5}[MG]iB|any)$",
    "a size is a whole number and MiB or GiB, such as \"500MiB\" or \"4GiB\", or \"any\""
}

text! {
    /// The name of an environment variable.
    VariableName = "^[A-Za-z_][A-Za-z0-9_]*$",
    "the name of an environment variable, without `$`: letters, digits and `_`"
}

text! {
    /// A path in the engine's file system, relative to this file; `~/` is the home directory.
    Path = "^[^\\x00-\\x1f]+$",
    "a path is not empty and has no control characters"
}

text! {
    /// A login name.
    User = "^[A-Za-z_][A-Za-z0-9._$@+-]*$",
    "a login name begins with a letter or `_`"
}

text! {
    /// A short word shown on every screen.
    Marking = "^[^\\s\\x00-\\x1f](?:[^\\x00-\\x1f]{0,14}[^\\s\\x00-\\x1f])?$",
    "a marking is one short text of at most 16 characters, such as \"PROD\""
}
