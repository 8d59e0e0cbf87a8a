//! What the node knows of its users and groups, and the programs that change them.
//!
//! Looked up with `getent`, so that users of a directory service count as well, or in the files where there is none.
//! Changed with the programs of the shadow suite (useradd(8), usermod(8), groupadd(8) …), which lock and replace the
//! files of passwd(5) themselves: whenever they are cut off, the old files or the new ones are whole.

use super::exec::{Relay, look, look_well};
use super::{Means, ResourceError};
use crate::domain::undo::Account;
use crate::transport::{Command, Exit, Host};

/// Prints the eighth field of shadow(5) for the user `$1`.
pub(super) const EXPIRY: &str = r#"getent shadow "$1" | cut -d : -f 8"#;

/// The fields of a line of `table`; `None` when there is no such key.
pub(super) async fn entry(
    table: &str,
    key: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Vec<String>>, ResourceError> {
    let fields = |line: &str| line.split(':').map(ToOwned::to_owned).collect();
    let command = Command::new(["getent", table, key]);
    let output = look(host, &command, means.cancel).await?;
    match output.exit {
        Exit::Code(0) => Ok(output.text().lines().next().map(fields)),
        // getent(1): one or more keys could not be found.
        Exit::Code(2) => Ok(None),
        Exit::Code(127) => {
            let file = host
                .read(&format!("/etc/{table}"))
                .await?
                .unwrap_or_default();
            let file = String::from_utf8_lossy(&file);
            let mut lines = file.lines();
            let found = lines.find(|line| line.split(':').next() == Some(key));
            Ok(found.map(fields))
        }
        exit => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// What the node knows of a user; his expiry only when it is asked for.
pub(super) async fn account(
    name: &str,
    with_expiry: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Account>, ResourceError> {
    check_name(name)?;
    let Some(fields) = entry("passwd", name, host, means).await? else {
        return Ok(None);
    };
    let [_, _, uid, gid, comment, home, shell] = fields.as_slice() else {
        return Err(unreadable("passwd", &fields));
    };
    let number = |text: &str| text.parse().map_err(|_| unreadable("passwd", &fields));
    let group = look_well(host, ["id", "-gn", name], means.cancel).await?;
    let group = group.trim().to_owned();
    let all = look_well(host, ["id", "-Gn", name], means.cancel).await?;
    let mut groups: Vec<String> = all
        .split_whitespace()
        .filter(|other| *other != group)
        .map(ToOwned::to_owned)
        .collect();
    groups.sort();
    let expires = if with_expiry {
        Some(expiry(name, host, means).await?)
    } else {
        None
    };
    Ok(Some(Account {
        uid: number(uid)?,
        gid: number(gid)?,
        group,
        groups,
        comment: comment.clone(),
        home: home.clone(),
        shell: shell.clone(),
        expires,
    }))
}

/// The eighth field of shadow(5). Only that leaves the node: the password's hash beside it does not.
async fn expiry(name: &str, host: &dyn Host, means: &Means<'_>) -> Result<String, ResourceError> {
    let text = look_well(host, ["sh", "-c", EXPIRY, "sh", name], means.cancel).await?;
    Ok(text.trim().to_owned())
}

fn unreadable(table: &str, fields: &[String]) -> ResourceError {
    ResourceError::Unfit(format!(
        "the node's {table} entry of {:?} cannot be read: it has {} fields",
        fields.first().map_or("", String::as_str),
        fields.len()
    ))
}

/// Runs one of the suite's programs, with what it says in the log.
pub(super) async fn run(
    argv: Vec<String>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = Command::new(argv);
    let mut relay = Relay::new(means.log);
    let exit = host.stream(&command, &mut relay, means.cancel).await?;
    let said = relay.finish().await;
    match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(127) => Err(ResourceError::Unfit(format!(
            "this host has no {}: install the shadow suite first (package shadow on Alpine, passwd on Debian, shadow-utils \
             on Fedora)",
            command.argv.first().map_or("", String::as_str)
        ))),
        exit => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: said.complaint(),
        }),
    }
}

/// useradd(8), CAVEATS, a little wider: what every node takes, and nothing that could be read as an option or a field.
pub(super) fn check_name(name: &str) -> Result<(), ResourceError> {
    let mut bytes = name.bytes();
    let first = bytes.next();
    let sound = name.len() <= 32
        && first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
    if sound {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{name:?} is no name of a user or group: it begins with a letter, goes on with letters, digits, `_`, `-` and `.`, and \
         has at most 32 characters"
    )))
}

/// A field of passwd(5) must not hold what separates fields and lines.
pub(super) fn check_field(what: &str, text: &str) -> Result<(), ResourceError> {
    if text.contains([':', '\n', '\r']) {
        return Err(ResourceError::Unfit(format!(
            "{what} {text:?} holds a colon or a line break"
        )));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod testing;
