//! Commands that the program around the screens adds to the palette, such as the lab's faults.

use async_trait::async_trait;

/// A command for the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraCommand {
    /// What is typed: one or more words, such as `lab kill`.
    pub name: String,
    /// What it does, in a few words.
    pub help: String,
    /// What follows the name.
    pub argument: Argument,
}

/// What a command wants to be told; the palette completes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A node of the current environment.
    Node,
    /// A service of the current environment.
    Service,
    /// One of these words.
    OneOf(Vec<String>),
    /// Free text; the string says what, such as `800ms`.
    Text(String),
}

/// Performs extra commands.
#[async_trait]
pub trait Extras: Send + Sync {
    /// The commands there are.
    fn list(&self) -> Vec<ExtraCommand>;

    /// Performs the command called `name`; the answer is shown as a notice.
    ///
    /// # Errors
    /// A sentence that says why it was not performed.
    async fn perform(&self, name: &str, argument: Option<&str>) -> Result<String, String>;
}
