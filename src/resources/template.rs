//! A file rendered from a template of the workspace. The template's text is in the plan, and was rendered for the node
//! before anything here is called: from then on it is a [`file`](super::file).

use crate::domain::resource::{FileSpec, TemplateSpec};

/// The file that the rendered template declares.
pub(super) fn file(spec: &TemplateSpec) -> FileSpec {
    FileSpec {
        path: spec.path.clone(),
        content: spec.content.clone(),
        mode: spec.mode.clone(),
        owner: spec.owner.clone(),
        group: spec.group.clone(),
    }
}
