//! What is under the cursor in other forms: its name for the clipboard, its data as JSON.

use serde_json::{Value, json};

use super::screens::{Screens, Target};
use super::world::World;

/// Its name.
pub(crate) fn name(world: &World, target: &Target) -> Option<String> {
    Some(match target {
        Target::Nothing => return None,
        Target::Environment(name) | Target::Service(name) | Target::Recipe(name) => name.clone(),
        Target::Nodes(names) => names.join("\n"),
        Target::Run(id) => id.to_string(),
        Target::Finding(index) => {
            let finding = world.findings().get(*index)?;
            format!("{}: {}", finding.text, finding.evidence)
        }
        Target::Row(_, _, row) | Target::Snapshot(row, _) | Target::Drift(row, _) => row.clone(),
    })
}

/// Its data, and a title.
pub(crate) fn raw(world: &World, screens: &Screens, target: &Target) -> Option<(String, String)> {
    let (title, value) = match target {
        Target::Nothing => return None,
        Target::Environment(name) => (name.clone(), to_value(world.environment(name)?)),
        Target::Nodes(names) => {
            let here = world.here()?;
            let nodes: Vec<Value> = names
                .iter()
                .map(|name| json!({ "declared": here.node(name), "observed": world.node(name) }))
                .collect();
            match nodes.as_slice() {
                [one] => (names.join(" "), one.clone()),
                _ => (names.join(" "), Value::Array(nodes)),
            }
        }
        Target::Service(name) => (
            name.clone(),
            json!({ "declared": world.service_spec(name), "observed": world.service(name) }),
        ),
        Target::Run(id) => {
            let run = world.run(*id)?;
            let tasks = (screens.run.id == Some(*id)).then_some(&screens.run.tasks);
            (
                format!("run #{}", run.number),
                json!({ "run": run, "tasks": tasks }),
            )
        }
        Target::Finding(index) => {
            let finding = world.findings().get(*index)?;
            (finding.subject.to_string(), to_value(finding))
        }
        Target::Recipe(name) => {
            let recipe = world
                .workspace()?
                .recipes
                .iter()
                .find(|recipe| recipe.name == *name)?;
            (name.clone(), to_value(recipe))
        }
        Target::Snapshot(id, _) => {
            let snapshot = world.snapshots().iter().find(|one| one.id() == *id)?;
            (id.clone(), to_value(snapshot))
        }
        Target::Drift(id, _) => {
            let mut rows = world.drift()?.rows.iter();
            let row = rows.find(|row| row.known.drifted.key.to_string() == *id)?;
            (id.clone(), to_value(row))
        }
        Target::Row(service, view, id) => {
            let table = world.table(service, view)?.table.as_ref()?;
            let row = table.rows.iter().find(|row| row.id == *id)?;
            let fields = table.columns.iter().zip(&row.cells);
            let object =
                fields.map(|(column, cell)| (column.clone(), Value::String(cell.text.clone())));
            (id.clone(), Value::Object(object.collect()))
        }
    };
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    Some((title, text))
}

fn to_value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
