//! Recognising secrets that stand in a file in plain text, to refuse them and never to show them.
//!
//! Three signs: a key that names a secret (`password`, `api_token` …) with text as its value; a value in the shape of a
//! well-known token or private key; a URL with a password in it. When the structure of a file is not known, the same
//! signs are looked for line by line, and more is hidden rather than less.

use std::sync::LazyLock;

use regex::Regex;

use super::diagnostic::{Fault, Span, quoted};
use super::tree::{Kind, Node};

/// The code of a secret in plain text.
pub(crate) const PLAIN_SECRET: &str = "plain-secret";

/// The three ways to refer to a secret.
pub(crate) const FORMS: &str = "name where it can be read instead: `{env: NAME}`, `{file: PATH}` or `{command: [PROGRAM, ARGUMENT]}`";

static NAMES_A_SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)secret|passw(or)?d|passphrase|token|api_?key|access_?key|private_?key|encrypt(ion)?_?key|unseal_?key|credential")
        .expect("the pattern is constant and tested")
});

/// Endings of keys that talk about a secret without being one: `token_ttl`, `password_file` …
static ABOUT_A_SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[_-](file|path|env|command|ttl|name|names|url|role|policy|policies|length|size|type|mount|engine|namespace|injection|backend|store|provider|manager)$")
        .expect("the pattern is constant and tested")
});

/// Shapes of tokens: Vault and `OpenBao`, Grafana, GitHub, GitLab, AWS, Slack, age, JSON Web Token, a Slack webhook's URL,
/// PEM private key.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b(hv[sbr]\.[A-Za-z0-9_-]{20,}|gl(sa|c)_[A-Za-z0-9_]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|glpat-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|AGE-SECRET-KEY-1\w{20,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+|hooks\.slack\.com/(services|workflows|triggers)/[\w/-]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    )
    .expect("the pattern is constant and tested")
});

static URL_PASSWORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:"']*:([^\s/"']+)@"#)
        .expect("the pattern is constant and tested")
});

static SECRET_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)([A-Za-z0-9_.-]*(?:secret|passw(?:or)?d|passphrase|token|api_?key|access_?key|private_?key|encrypt(?:ion)?_?key|unseal_?key|credential)[A-Za-z0-9_-]*)["']?\s*[:=]\s*(\S.*)$"#)
        .expect("the pattern is constant and tested")
});

/// What was found: bytes to hide, and what to say.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) spans: Vec<Span>,
    pub(crate) faults: Vec<Fault>,
}

/// Finds the secrets of a tree read from `text`.
pub(crate) fn by_structure(tree: &Node, text: &str) -> Found {
    let mut found = Found::default();
    visit(tree, None, text, &mut found);
    // Variables have no references: they are values that plans show.
    let variables = tree.entry("variables").map(|entry| entry.value.span);
    for fault in &mut found.faults {
        let within = |span: Span| span.start <= fault.span.start && fault.span.end <= span.end;
        if variables.is_some_and(within) {
            fault.help = Some("plans and logs show variables: keep secrets out of them, a service's `secret` says where to read one".into());
        }
    }
    found
}

/// Finds what looks like a secret in each line of `text`.
pub(crate) fn by_line(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    // The indentation of a key that names a secret: everything further in belongs to its value.
    let mut inside: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        let whole = Span::new(at + indent, at + body.len());
        if inside.is_some_and(|outer| indent > outer) && !body.trim().is_empty() {
            spans.push(whole);
        } else {
            inside = None;
            if let Some(groups) = SECRET_LINE.captures(body)
                && let (Some(key), Some(value)) = (groups.get(1), groups.get(2))
                && !ABOUT_A_SECRET.is_match(key.as_str())
                && !is_reference(value.as_str())
            {
                spans.push(Span::new(at + value.start(), at + value.end()));
                inside = value.as_str().starts_with(['|', '>']).then_some(indent);
            }
            spans.extend(
                TOKEN
                    .find_iter(body)
                    .map(|token| Span::new(at + token.start(), at + token.end())),
            );
            spans.extend(URL_PASSWORD.captures_iter(body).filter_map(|groups| {
                let password = groups.get(1)?;
                Some(Span::new(at + password.start(), at + password.end()))
            }));
        }
        at += line.len();
    }
    spans
}

/// `{env: …}`, `{file: …}`, `{command: …}`, in a line.
fn is_reference(value: &str) -> bool {
    value.strip_prefix('{').is_some_and(|inside| {
        let inside = inside.trim_start();
        ["env", "file", "command", "generated"].iter().any(|form| {
            inside
                .strip_prefix(form)
                .is_some_and(|rest| rest.trim_start().starts_with(':'))
        })
    })
}

fn visit(node: &Node, secret: Option<&str>, text: &str, found: &mut Found) {
    match &node.kind {
        Kind::Map(entries) => {
            let forms = |key: &str| matches!(key, "env" | "file" | "command" | "generated");
            // A reference may hold anything else only by mistake, and then it may be the secret itself.
            let reference = secret.is_some() && entries.iter().any(|entry| forms(&entry.key));
            for entry in entries {
                if secret.is_some() && entry.value.kind_name() == "nothing" && !forms(&entry.key) {
                    // `secret: {hunter2}` makes the secret a key.
                    found.spans.push(entry.key_span);
                }
                let named =
                    NAMES_A_SECRET.is_match(&entry.key) && !ABOUT_A_SECRET.is_match(&entry.key);
                let inherited = secret.filter(|_| !(reference && forms(&entry.key)));
                let secret = if named {
                    Some(entry.key.as_str())
                } else {
                    inherited
                };
                visit(&entry.value, secret, text, found);
            }
        }
        Kind::List(items) => {
            for item in items {
                visit(item, secret, text, found);
            }
        }
        Kind::Text(value) => {
            let fault =
                if let Some(key) = secret.filter(|_| !value.is_empty() && !value.contains("{{")) {
                    Fault::error(
                        PLAIN_SECRET,
                        node.span,
                        format!("{} holds a secret in plain text", quoted(key)),
                    )
                    .label("not shown")
                    .help(FORMS)
                } else if TOKEN.is_match(value) {
                    Fault::error(
                        PLAIN_SECRET,
                        node.span,
                        "this looks like a token or a private key in plain text",
                    )
                    .label("not shown")
                    .help(FORMS)
                } else {
                    url_password(node, text, found);
                    return;
                };
            found.spans.push(node.span);
            found.faults.push(fault);
        }
        Kind::Number(_) if secret.is_some() => {
            found.spans.push(node.span);
            found.faults.push(
                Fault::error(
                    PLAIN_SECRET,
                    node.span,
                    format!(
                        "{} holds a secret in plain text",
                        quoted(secret.unwrap_or_default())
                    ),
                )
                .label("not shown")
                .help(FORMS),
            );
        }
        Kind::Number(_) | Kind::Bool(_) | Kind::Null | Kind::Cut => {}
    }
}

fn url_password(node: &Node, text: &str, found: &mut Found) {
    let Some(written) = text.get(node.span.start..node.span.end) else {
        return;
    };
    for groups in URL_PASSWORD.captures_iter(written) {
        let Some(password) = groups
            .get(1)
            .filter(|password| !password.as_str().contains("{{"))
        else {
            continue;
        };
        let span = Span::new(
            node.span.start + password.start(),
            node.span.start + password.end(),
        );
        found.spans.push(span);
        found.faults.push(
            Fault::error("url-password", span, "a password in a URL")
                .label("not shown")
                .help("leave it out of the URL: give a service `user` and `secret` instead"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree;

    fn hidden(text: &str) -> Vec<&str> {
        let parsed = tree::parse(text);
        let found = by_structure(&parsed.tree.unwrap(), text);
        found
            .spans
            .iter()
            .map(|span| &text[span.start..span.end])
            .collect()
    }

    #[test]
    fn secrets_are_found_by_key_by_shape_and_in_urls() {
        assert_eq!(hidden("secret: abc"), ["abc"]);
        assert_eq!(hidden("grafana_password: 'x y'"), ["'x y'"]);
        assert_eq!(hidden("pin_token: 1234"), ["1234"]);
        assert_eq!(
            hidden("a: [hvs.CAESIJlkjsdf98sdfLKJlkjsdf]"),
            ["hvs.CAESIJlkjsdf98sdfLKJlkjsdf"]
        );
        assert_eq!(hidden("url: http://admin:hunter2@pc1:3000/"), ["hunter2"]);
        assert_eq!(hidden("secret: {hunter2}"), ["hunter2"]);
        assert_eq!(hidden("secret: {env: A, value: hunter2}"), ["hunter2"]);
        assert_eq!(hidden("tokens: {a: b, c: [d]}"), ["b", "d"]);
    }

    #[test]
    fn references_and_words_about_secrets_are_left_alone() {
        for text in [
            "secret: {env: VAULT_TOKEN}",
            "secret: {command: [pass, show, vault]}",
            "integration: {secrets_injection: true}",
            "token_ttl: 1h",
            "vault_secret_path: kv/data/app",
            "password: '{{ params.password }}'",
            "url: http://pc1:8500/ui/@consul:8",
        ] {
            assert!(hidden(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn lines_are_masked_without_structure() {
        let text =
            "a: [\nsecret: 'abc\npassword: |\n  one\n  two\nb: http://u:pw@h\nsecret: {env: X}\n";
        let hidden: Vec<_> = by_line(text)
            .iter()
            .map(|span| &text[span.start..span.end])
            .collect();
        assert_eq!(hidden, ["'abc", "|", "one", "two", "pw"]);
    }
}
