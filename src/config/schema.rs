//! The JSON Schema of each kind of file, for editors and for the first round of checks.
//!
//! Generated from the types of [`format`](super::format) and from [`Recipe`], so it cannot disagree with the reader.
//! Draft 7, the one that every editor understands. An editor finds it by a first line such as
//! `# yaml-language-server: $schema=environment.schema.json`.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use super::format::drift_rules::DriftRulesFile;
use super::format::environment::EnvironmentFile;
use super::format::workspace::WorkspaceFile;
use crate::domain::bootstrap::Answers;
use crate::domain::recipe::Recipe;
use crate::domain::words;

words! {
    /// A kind of file in a workspace.
    pub enum Which {
        /// `environments/*.yaml`.
        Environment = "environment",
        /// `quarterdeck.yaml`.
        Workspace = "workspace",
        /// The workspace's own recipes.
        Recipe = "recipe",
        /// `drift-ignore.yaml`.
        DriftRules = "drift-ignore",
        /// The answers of `quarterdeck bootstrap`.
        Answers = "answers",
    }
}

/// The JSON Schema (draft 7) of a kind of file.
pub fn schema(which: Which) -> Value {
    checked(which).document.clone()
}

/// A schema and its compiled form.
pub(crate) struct Checked {
    pub(crate) document: Value,
    pub(crate) validator: jsonschema::Validator,
}

/// The schema of a kind of file, compiled once.
pub(crate) fn checked(which: Which) -> &'static Checked {
    static ENVIRONMENT: LazyLock<Checked> = LazyLock::new(compile::<EnvironmentFile>);
    static WORKSPACE: LazyLock<Checked> = LazyLock::new(compile::<WorkspaceFile>);
    static RECIPE: LazyLock<Checked> = LazyLock::new(compile::<Recipe>);
    static DRIFT_RULES: LazyLock<Checked> = LazyLock::new(compile::<DriftRulesFile>);
    static ANSWERS: LazyLock<Checked> = LazyLock::new(compile::<Answers>);
    match which {
        Which::DriftRules => &DRIFT_RULES,
        Which::Environment => &ENVIRONMENT,
        Which::Workspace => &WORKSPACE,
        Which::Recipe => &RECIPE,
        Which::Answers => &ANSWERS,
    }
}

fn compile<T: JsonSchema>() -> Checked {
    let mut settings = SchemaSettings::draft07();
    // First, before draft 7's own rules wrap the references.
    settings
        .transforms
        .insert(0, Box::new(RecursiveTransform(plain)));
    let document = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let validator = jsonschema::draft7::new(&document)
        .expect("a generated schema is a valid schema; a test compiles all of them");
    Checked {
        document,
        validator,
    }
}

/// Makes a generated schema say what the files mean: an absent key is left out rather than null, and a closed set of
/// words is an `enum` with a description for each.
fn plain(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(branches)) = object.get("oneOf")
        && let Some(words) = branches.iter().map(word).collect::<Option<Vec<_>>>()
    {
        let (values, descriptions): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        object.remove("oneOf");
        object.insert("type".into(), "string".into());
        object.insert("enum".into(), values.into());
        object.insert("enumDescriptions".into(), descriptions.into());
    }
}

/// The word and the description of a branch that allows a single word.
fn word(branch: &Value) -> Option<(Value, Value)> {
    let branch: &Map<_, _> = branch.as_object()?;
    let value = branch.get("const")?;
    Some((
        value.clone(),
        branch
            .get("description")
            .cloned()
            .unwrap_or_else(|| "".into()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_compiles_and_describes_itself() {
        for which in Which::ALL {
            let schema = schema(*which);
            assert!(schema["description"].is_string(), "{which}");
            let properties = schema["properties"].as_object();
            assert!(!properties.unwrap().is_empty(), "{which}");
            let text = schema.to_string();
            assert!(!text.contains("\"null\""), "{which}: {text}");
        }
    }
}
