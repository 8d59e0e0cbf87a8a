//! Files of the workspace that recipes are made from: templates, keys. Their text becomes part of the recipe when it is
//! read, so that a plan holds what it was made from, and an approval is void when one of them is changed.
//!
//! They lie where [`files_beside`](crate::domain::recipe::files_beside) says.

use std::path::{Component, Path};

use super::read_limited;
use crate::domain::recipe::{Step, StepUndo};
use crate::domain::resource::Resource;

/// Puts the text of the files that `step` names into its resources; says what is wrong with those that cannot be read.
/// Without a `directory` there are no files.
pub(super) fn bring(step: &mut Step, directory: Option<&Path>) -> Vec<String> {
    let undo = match &mut step.undo {
        Some(StepUndo::Ensure(resources)) => resources.as_mut_slice(),
        _ => &mut [],
    };
    let all = step.ensure.iter_mut().flatten().chain(undo);
    all.filter_map(|declared| bring_one(&mut declared.resource, directory).err())
        .collect()
}

fn bring_one(resource: &mut Resource, directory: Option<&Path>) -> Result<(), String> {
    let word = resource.word();
    let Some((source, text)) = resource.source() else {
        return Ok(());
    };
    let fault = |reason: String| format!("{word}: {source:?} {reason}");
    let plain = |part| matches!(part, Component::Normal(_));
    if source.is_empty() || !Path::new(source).components().all(plain) {
        return Err(fault(
            "is not a path within the workspace's files/ directory".into(),
        ));
    }
    let directory =
        directory.ok_or_else(|| fault("needs a workspace with a files/ directory".into()))?;
    let file = directory.join(source);
    let content =
        read_limited(&file).map_err(|reason| fault(format!("({}) {reason}", file.display())))?;
    *text = String::from_utf8(content)
        .map_err(|_| fault(format!("({}) is not UTF-8 text", file.display())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Library;

    const RECIPE: &str = "name: proxy\ntitle: Proxy\nrisk: change\nsteps:\n  - id: config\n    title: Configure\n    on: {}\n    \
        ensure:\n      - template: { path: /etc/haproxy.cfg, source: SOURCE }\n";

    fn load(source: &str, template: Option<&[u8]>) -> Library {
        let workspace = tempfile::tempdir().unwrap();
        let recipes = workspace.path().join("recipes");
        fs::create_dir(&recipes).unwrap();
        fs::write(recipes.join("proxy.yaml"), RECIPE.replace("SOURCE", source)).unwrap();
        if let Some(template) = template {
            fs::create_dir(workspace.path().join("files")).unwrap();
            fs::write(workspace.path().join("files/haproxy.cfg.j2"), template).unwrap();
        }
        Library::load(Some(&recipes))
    }

    #[test]
    fn a_template_of_the_workspace_becomes_part_of_the_recipe() {
        let library = load("haproxy.cfg.j2", Some(b"# {{ node.name }}\n"));
        assert_eq!(library.problems(), []);
        let recipe = serde_json::to_string(library.recipe("proxy").unwrap()).unwrap();
        assert!(recipe.contains("# {{ node.name }}"), "{recipe}");
    }

    #[test]
    fn a_mistake_in_a_template_is_found_when_it_is_read() {
        let library = load("haproxy.cfg.j2", Some(b"ok\n{{ nodes.name }}\n"));
        let problem = library.problems()[0].to_string();
        assert!(
            problem.contains("proxy.yaml:5:") && problem.contains("\"nodes\""),
            "{problem}"
        );
    }

    #[test]
    fn a_template_that_cannot_be_read_is_told_with_its_place() {
        for (source, template, reason) in [
            ("haproxy.cfg.j2", None, "cannot be read"),
            ("haproxy.cfg.j2", Some(&b"\xff"[..]), "is not UTF-8 text"),
            ("../quarterdeck.yaml", None, "is not a path within"),
            ("/etc/shadow", None, "is not a path within"),
            ("''", None, "is not a path within"),
        ] {
            let library = load(source, template);
            let problem = library.problems()[0].to_string();
            assert!(problem.contains(reason), "{source}: {problem}");
            assert!(problem.contains("proxy.yaml:5:"), "{problem}");
        }
    }
}
