//! The words of Quarterdeck as types, and the rules that hold between them.
//!
//! Pure: no I/O, no async, no clock. Every other room may use this one; it uses none.

pub mod action;
pub mod answers;
pub mod approval;
pub mod audit;
pub mod backup;
pub mod bootstrap;
pub mod drift;
pub mod environment;
pub mod facts;
pub mod finding;
pub mod group;
pub mod handler;
pub mod history;
pub mod inventory;
pub mod live;
pub mod mark;
pub mod matrix;
pub mod node;
pub mod nodeset;
pub mod notice;
pub mod operator;
pub mod plan;
pub mod platform;
pub mod playbook;
pub mod question;
pub mod quorum;
pub mod reach;
pub mod recipe;
pub mod remedy;
pub mod resource;
pub mod retention;
pub mod rolling;
pub mod run;
pub mod schedule;
pub mod seal;
pub mod secret;
pub mod selector;
pub mod service;
pub mod service_action;
pub mod snapshot;
pub mod stack;
pub mod structured;
pub mod table;
pub mod terminal;
pub mod terraform;
pub mod theme;
pub mod timing;
pub mod undo;

/// Defines a closed set of words: the enum, its text forms, and `Display`/`FromStr`/serde over them.
///
/// One macro, because the workspace file, the command line, the store and the screens must all use the same spelling.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $vis enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every word of the set, in the order they are declared.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it is written in files and on screens.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::domain::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|candidate| candidate.word() == text)
                    .ok_or_else(|| crate::domain::UnknownWord {
                        what: stringify!($name),
                        word: text.to_owned(),
                        known: Self::ALL.iter().map(|candidate| candidate.word()).collect(),
                    })
            }
        }
    };
}
pub(crate) use words;

/// A word that is not in the closed set it should come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a known {what}; expected one of {}", known.join(", "))]
pub struct UnknownWord {
    /// The name of the set.
    pub what: &'static str,
    /// What was written.
    pub word: String,
    /// What could have been written.
    pub known: Vec<&'static str>,
}

/// Bytes as lower-case hexadecimal digits, two per byte; how checksums are written here.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// `; did you mean "x"?` for the nearest of `known`, or nothing when none is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let length = word.chars().count();
    // One slip in a short word, one more for every four letters.
    let slips = (1 + length / 4).min(length.saturating_sub(1));
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, nearest)| format!("; did you mean {nearest:?}?"))
        .unwrap_or_default()
}
