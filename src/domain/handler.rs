//! Handlers: steps that are carried out once, and only where something changed that they are for.
//!
//! A recipe declares them under `handlers`; a step or a resource that changes something names them in `notify`, and with
//! that the handler is *owed* on that host. It is put on record before the change is made, so that a debt outlives an
//! engine that dies in between, and settled when the handler has ended well. In a plan a handler is a step of its own
//! behind everything that may notify it: at the end, or where a `flush` stands. Its id has a colon, which no id in a recipe
//! may have: `end:restart-consul`, `configured:restart-consul`.

use serde::{Deserialize, Serialize};

/// The place of handlers that run when everything else has ended.
pub const END: &str = "end";
/// The place of handlers that run when everything else was taken back.
pub const UNDONE: &str = "undone";

/// A handler that is to be carried out on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owed {
    /// The handler, as the recipe calls it.
    pub handler: String,
    /// The node; `None` for handlers that run once, where the engine is.
    pub host: Option<String>,
}

/// The id of the planned step that carries out `handler` at `place`.
pub fn step_id(place: &str, handler: &str) -> String {
    format!("{place}:{handler}")
}

/// The handler that the planned step called `id` carries out; `None` for the steps of the recipe itself.
pub fn handler_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(_, handler)| handler)
}

/// Whether the planned step called `id` carries a handler out after everything else, whatever became of that.
pub fn is_last(id: &str) -> bool {
    matches!(id.split_once(':'), Some((END | UNDONE, _)))
}

/// Whether the planned step called `id` carries a handler out after everything was taken back.
pub fn is_undone(id: &str) -> bool {
    matches!(id.split_once(':'), Some((UNDONE, _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planned_step_tells_whose_handler_it_is() {
        let id = step_id(END, "restart");
        assert_eq!(handler_of(&id), Some("restart"));
        assert!(is_last(&id) && !is_undone(&id));
        assert!(!is_last(&step_id("configured", "restart")));
        assert_eq!(handler_of("restart"), None);
    }
}
