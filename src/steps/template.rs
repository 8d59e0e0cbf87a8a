//! MiniJinja for recipes: what templates can see and use, and rendering any value without changing its type.
//!
//! A template sees three names:
//!
//! | Name | Is |
//! |---|---|
//! | `env` | the environment: `name`, `stack`, `software` (of the stack in its order, then what stands beside it), `protection`, `versions`, `variables`, `artifacts`, `nodes`, `services` (by name), `kinds` (of its services) |
//! | `node` | the node the task runs on: `name`, `address`, `lan`, `platform`, `arch`, `machine`, `roles`, `labels`; absent in steps without `on` |
//! | `params` | what the operator gave, defaults filled in |
//!
//! and besides MiniJinja's own filters it has
//!
//! | Word | Gives |
//! |---|---|
//! | `nodes_with("consul-server")` | the nodes with that role, in the order of the environment |
//! | `artifact("consul", node.arch)` | `source` and `sha256` of a file that the operator brings; an error names what to add when there is none |
//! | `service_of_kind("consul")` | the first service of that kind |
//! | `nodes \| addresses` | where the nodes reach each other (`lan`), as a list |
//! | `secret("k3s-token", "token")` | a secret that is made when it is first needed and kept where the engine is; see [`SecretKind`]. For the content of files and for what services are told, never for a command |
//! | `authority("consul")` | the certificate, in PEM, of an authority that is made when it is first needed and kept where the engine is |
//! | `certificate("consul", node.name, names)`, `certificate_key(…)` | a certificate of that authority for these host names and addresses, and its key; made anew 90 days before it ends. For the content of files only |
//! | `address is ip` | whether it is an IP address rather than a name |
//!
//! `lan` is the node's label of that name, for nodes that reach each other by another address than the operator reaches
//! them by; without the label it is `address`.
//!
//! What is not defined is an error, never an empty string: a half-rendered configuration file is worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Error, ErrorKind, UndefinedBehavior, context};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

pub use crate::domain::did_you_mean;
use crate::domain::environment::Environment;
use crate::domain::node::{Node, Role};
use crate::domain::platform::Arch;
use crate::domain::secret::{Certified, Holder, SecretKind};

/// The most work one template may do, in MiniJinja's instructions: enough for a configuration file over 1,000 nodes, and
/// an end for a loop that has none.
const FUEL: u64 = 5_000_000;

/// The label of a node that tells where the other nodes reach it.
const LAN: &str = "lan";

/// The names a template may start from besides functions.
const ROOTS: &[&str] = &["env", "node", "params"];

/// The functions a template may call.
const FUNCTIONS: &[&str] = &[
    "nodes_with",
    "artifact",
    "service_of_kind",
    "secret",
    "authority",
    "certificate",
    "certificate_key",
    "range",
    "dict",
    "namespace",
    "debug",
];

/// Why a template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (in {template:?})")]
pub struct TemplateError {
    /// The template, or the line of it that is wrong.
    pub template: String,
    /// What is wrong with it.
    pub reason: String,
}

impl TemplateError {
    fn new(source: &str, error: &Error) -> Self {
        let line = error
            .line()
            .and_then(|line| source.lines().nth(line.saturating_sub(1)))
            .unwrap_or(source);
        let mut template: String = line.trim().chars().take(120).collect();
        if template.len() < line.trim().len() {
            template.push('…');
        }
        let kind = match error.kind() {
            // The message of a function of ours is a whole sentence.
            ErrorKind::InvalidOperation => None,
            kind => Some(kind.to_string()),
        };
        let reason = match (kind, error.detail()) {
            (Some(kind), Some(detail)) => format!("{kind}: {detail}"),
            (None, Some(detail)) => detail.to_owned(),
            (_, None) => error.kind().to_string(),
        };
        Self { template, reason }
    }

    fn shape(reason: &serde_json::Error) -> Self {
        Self {
            template: String::new(),
            reason: format!("the rendered value does not fit: {reason}"),
        }
    }
}

/// Renders the templates of one run: an environment and parameters, without a clock and without I/O.
#[derive(Debug)]
pub struct Templates {
    engine: minijinja::Environment<'static>,
    env: Value,
    params: Value,
    nodes: BTreeMap<String, Value>,
}

/// Where templates have secrets from.
pub trait SecretSource: Send + Sync {
    /// The secret called `name`, made when it is not there.
    ///
    /// # Errors
    /// A sentence that says why it cannot be had; never any part of it.
    fn secret(&self, name: &str, kind: SecretKind) -> Result<String, String>;

    /// The certificate of the authority called `name`, made when it is not there.
    ///
    /// # Errors
    /// A sentence that says why it cannot be had.
    fn authority(&self, name: &str) -> Result<String, String>;

    /// The holder's certificate and key, made when they are not there, or will soon be no good any more.
    ///
    /// # Errors
    /// A sentence that says why they cannot be had; never any part of the key.
    fn certificate(&self, holder: &Holder) -> Result<Certified, String>;
}

/// Shows where a secret will stand, for plans: they are kept and shown.
#[derive(Debug, Clone, Copy)]
pub struct Unseen;

impl SecretSource for Unseen {
    fn secret(&self, name: &str, _: SecretKind) -> Result<String, String> {
        Ok(format!("[secret {name}]"))
    }

    fn authority(&self, name: &str) -> Result<String, String> {
        Ok(format!("[authority {name}]\n"))
    }

    fn certificate(&self, holder: &Holder) -> Result<Certified, String> {
        Ok(Certified::placeholder("", &holder.name))
    }
}

impl Templates {
    /// Templates for `environment` with these parameters, which see no secret.
    pub fn new(environment: &Environment, params: &BTreeMap<String, Json>) -> Self {
        Self::with_secrets(environment, params, Arc::new(Unseen))
    }

    /// The same, with secrets.
    pub fn with_secrets(
        environment: &Environment,
        params: &BTreeMap<String, Json>,
        secrets: Arc<dyn SecretSource>,
    ) -> Self {
        let mut engine = engine();
        add_secrets(&mut engine, secrets);
        let nodes: Vec<(&Node, Value)> = environment
            .nodes
            .iter()
            .map(|node| (node, value(node_context(node))))
            .collect();

        let by_role: BTreeMap<Role, Vec<Value>> = Role::ALL
            .iter()
            .map(|role| {
                let with = nodes
                    .iter()
                    .filter(|(node, _)| node.roles.contains(role))
                    .map(|(_, value)| value.clone());
                (*role, with.collect())
            })
            .collect();
        engine.add_function("nodes_with", move |role: &str| {
            let role: Role = role.parse().map_err(invalid)?;
            Ok::<_, Error>(by_role.get(&role).cloned().unwrap_or_default())
        });

        let artifacts = environment.artifacts.clone();
        let name = environment.name.clone();
        engine.add_function("artifact", move |software: &str, arch: &str| {
            let arch: Arch = arch.parse().map_err(invalid)?;
            artifacts
                .get(software)
                .and_then(|by_arch| by_arch.get(&arch))
                .map(value)
                .ok_or_else(|| {
                    invalid(format!(
                        "environment {name} brings no {software} for {arch}: add `artifacts: {software}: {arch}:` with \
                         `source` and `sha256` to its file"
                    ))
                })
        });

        let services: Vec<Json> = environment.services.iter().map(service_context).collect();
        let by_kind = services.clone();
        let name = environment.name.clone();
        engine.add_function("service_of_kind", move |kind: &str| {
            by_kind
                .iter()
                .find(|service| service["kind"] == kind)
                .map(value)
                .ok_or_else(|| {
                    invalid(format!(
                        "environment {name} has no service of kind {kind}: add one under `services` of its file"
                    ))
                })
        });

        let services: BTreeMap<&str, &Json> = environment
            .services
            .iter()
            .map(|service| service.name.as_str())
            .zip(&services)
            .collect();
        let env = value(json!({
            "name": environment.name,
            "protection": environment.protection,
            "marking": environment.marking,
            "stack": environment.stack,
            "software": environment.software(),
            "versions": environment.versions,
            "variables": environment.variables,
            "artifacts": environment.artifacts,
            "services": services,
            "kinds": environment.services.iter().map(|service| service.kind).collect::<Vec<_>>(),
            "nodes": environment.nodes.iter().map(node_context).collect::<Vec<_>>(),
        }));
        Self {
            engine,
            env,
            params: value(params),
            nodes: nodes
                .into_iter()
                .map(|(node, value)| (node.name.clone(), value))
                .collect(),
        }
    }

    /// What the templates of a task see: of `host`, or of a step that runs once for `None`.
    pub fn scope(&self, host: Option<&str>) -> Scope<'_> {
        Scope {
            templates: self,
            node: host
                .and_then(|name| self.nodes.get(name).cloned())
                .unwrap_or(Value::UNDEFINED),
        }
    }
}

/// The templates of one task.
#[derive(Debug)]
pub struct Scope<'a> {
    templates: &'a Templates,
    node: Value,
}

impl Scope<'_> {
    /// Renders every string within `value` and leaves everything else as it is.
    ///
    /// # Errors
    /// [`TemplateError`] of the first template that cannot be rendered.
    pub fn render<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<T, TemplateError> {
        let json = serde_json::to_value(value).map_err(|error| TemplateError::shape(&error))?;
        serde_json::from_value(self.json(json)?).map_err(|error| TemplateError::shape(&error))
    }

    /// Renders one template.
    ///
    /// # Errors
    /// [`TemplateError`] when it cannot be rendered.
    pub fn text(&self, template: &str) -> Result<String, TemplateError> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        self.templates
            .engine
            .render_str(template, self.context())
            .map_err(|error| TemplateError::new(template, &error))
    }

    /// Whether the expression is true.
    ///
    /// # Errors
    /// [`TemplateError`] when it cannot be evaluated.
    pub fn holds(&self, expression: &str) -> Result<bool, TemplateError> {
        self.evaluate(expression, self.context())
    }

    /// Whether the expression is true of a command's `output`, at `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`TemplateError`] when it cannot be evaluated.
    pub fn holds_of(
        &self,
        expression: &str,
        output: &str,
        now: i64,
    ) -> Result<bool, TemplateError> {
        let context = context! { output, now, ..self.context() };
        self.evaluate(expression, context)
    }

    fn evaluate(&self, expression: &str, context: Value) -> Result<bool, TemplateError> {
        self.templates
            .engine
            .compile_expression(expression)
            .and_then(|compiled| compiled.eval(context))
            .and_then(|value| {
                // `if` would refuse it too: a name that is spelt wrong is not the same as "no".
                if value.is_undefined() {
                    Err(Error::new(
                        ErrorKind::UndefinedError,
                        "the expression has no value",
                    ))
                } else {
                    Ok(value.is_true())
                }
            })
            .map_err(|error| TemplateError::new(expression, &error))
    }

    fn context(&self) -> Value {
        context! {
            env => self.templates.env.clone(),
            params => self.templates.params.clone(),
            node => self.node.clone(),
        }
    }

    fn json(&self, value: Json) -> Result<Json, TemplateError> {
        Ok(match value {
            Json::String(text) => Json::String(self.text(&text)?),
            Json::Array(items) => Json::Array(
                items
                    .into_iter()
                    .map(|item| self.json(item))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| Ok((name, self.json(value)?)))
                    .collect::<Result<_, TemplateError>>()?,
            ),
            other => other,
        })
    }
}

/// Whether the text holds anything to render.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether the text is a template or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text with `{{ … }}` in it.
    Template,
    /// An expression without braces, as in `when`.
    Expression,
    /// An expression over a command's output, as in `check`.
    OutputExpression,
}

/// Checks a text before any environment is known: its syntax, and that it starts from names that will be there.
///
/// # Errors
/// What is wrong with it.
pub fn lint(text: &str, form: Form, params: &[&str], has_node: bool) -> Result<(), TemplateError> {
    let engine = engine();
    let at = |error: Error| TemplateError::new(text, &error);
    let used = match form {
        Form::Template if !is_template(text) => return Ok(()),
        Form::Template => engine
            .template_from_str(text)
            .map_err(at)?
            .undeclared_variables(true),
        Form::Expression | Form::OutputExpression => engine
            .compile_expression(text)
            .map_err(at)?
            .undeclared_variables(true),
    };
    // Sorted, so that the same mistake gives the same message.
    for path in used.into_iter().collect::<BTreeSet<_>>() {
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        let complain = |reason: String| {
            Err(TemplateError {
                template: text.trim().chars().take(120).collect(),
                reason,
            })
        };
        match root {
            "output" | "now" if form == Form::OutputExpression => {}
            "node" if !has_node => {
                return complain(
                    "`node` is not there, because the step has no `on` and runs once".into(),
                );
            }
            "params" => {
                if let Some(name) = parts.next()
                    && !params.contains(&name)
                {
                    return complain(format!(
                        "the recipe has no parameter {name:?}{}",
                        did_you_mean(name, params.iter().copied())
                    ));
                }
            }
            _ if ROOTS.contains(&root) || FUNCTIONS.contains(&root) => {}
            _ => {
                let known = ROOTS.iter().chain(FUNCTIONS).copied();
                return complain(format!(
                    "there is no {root:?} in recipes{}",
                    did_you_mean(root, known)
                ));
            }
        }
    }
    Ok(())
}

fn engine() -> minijinja::Environment<'static> {
    let mut engine = minijinja::Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_debug(true);
    // Files end with a line break: a template that has one shall give one.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    engine.add_filter("addresses", |nodes: Vec<Value>| {
        nodes
            .iter()
            .map(|node| node.get_attr("lan"))
            .collect::<Result<Vec<_>, _>>()
    });
    engine.add_test("ip", |address: &str| address.parse::<IpAddr>().is_ok());
    engine
}

/// What is made for a cluster and kept where the engine is.
fn add_secrets(engine: &mut minijinja::Environment<'static>, secrets: Arc<dyn SecretSource>) {
    let source = Arc::clone(&secrets);
    engine.add_function("secret", move |name: &str, kind: &str| {
        let kind: SecretKind = kind.parse().map_err(invalid)?;
        check_name(name)?;
        source.secret(name, kind).map_err(invalid)
    });
    let source = Arc::clone(&secrets);
    engine.add_function("authority", move |name: &str| {
        check_name(name)?;
        source.authority(name).map_err(invalid)
    });
    let certified = move |authority: &str, name: &str, names: Vec<String>| {
        check_name(authority)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(invalid(format!(
                "{name:?} is no name of a holder: use letters, digits, dashes and dots"
            )));
        }
        let holder = Holder {
            authority: authority.to_owned(),
            name: name.to_owned(),
            names,
        };
        secrets.certificate(&holder).map_err(invalid)
    };
    let certified = Arc::new(certified);
    let of = Arc::clone(&certified);
    engine.add_function(
        "certificate",
        move |authority: &str, name: &str, names: Vec<String>| {
            of(authority, name, names).map(|certified| certified.certificate)
        },
    );
    engine.add_function(
        "certificate_key",
        move |authority: &str, name: &str, names: Vec<String>| {
            certified(authority, name, names).map(|certified| certified.key)
        },
    );
}

/// Names of what is kept become names of files.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(invalid(format!(
            "{name:?} is no name of a secret: use lower-case letters, digits and dashes"
        )));
    }
    Ok(())
}

fn value(data: impl Serialize) -> Value {
    Value::from(Serde(data))
}

fn invalid(reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_string())
}

fn node_context(node: &Node) -> Json {
    json!({
        "name": node.name,
        "address": node.address,
        "lan": node.labels.get(LAN).unwrap_or(&node.address),
        "platform": node.platform,
        "arch": node.arch,
        "machine": machine(node.arch),
        "roles": node.roles,
        "labels": node.labels,
    })
}

/// The architecture as `uname -m` spells it.
const fn machine(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

fn service_context(service: &crate::domain::service::ServiceSpec) -> Json {
    // Where its secret is kept is nothing that a template needs.
    json!({
        "name": service.name,
        "kind": service.kind,
        "urls": service.urls,
        "nodes": service.nodes,
    })
}

#[cfg(test)]
mod tests;
