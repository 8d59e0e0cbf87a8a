//! Names and numbers of users and groups, as the node's own `/etc/passwd` and `/etc/group` have them.

use crate::lab::world::node::NodeState;

/// A number for a name, as the node's `/etc/passwd` or `/etc/group` has it.
pub(crate) fn number_of(node: &NodeState, table: &str, name: &str) -> Option<u32> {
    let content = String::from_utf8_lossy(node.files.read(table).ok()?).into_owned();
    content.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The name for a number, from the same tables.
pub(crate) fn name_of(node: &NodeState, table: &str, number: u32) -> String {
    let content = node.files.read(table).unwrap_or_default();
    let number = number.to_string();
    String::from_utf8_lossy(content)
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1) == Some(&number)).then(|| name.to_owned())
        })
        .unwrap_or(number)
}

/// Reads `owner:group`, `owner` or `:group` into names that exist on the node.
pub(super) fn owners(
    node: &NodeState,
    text: &str,
) -> Result<(Option<String>, Option<String>), String> {
    let (owner, group) = text.split_once(':').unwrap_or((text, ""));
    let lookup = |table: &str, what: &str, name: &str| {
        if name.is_empty() {
            return Ok(None);
        }
        if let Ok(number) = name.parse() {
            return Ok(Some(name_of(node, table, number)));
        }
        match number_of(node, table, name) {
            Some(_) => Ok(Some(name.to_owned())),
            None => Err(format!("invalid {what}: '{text}'")),
        }
    };
    Ok((
        lookup("/etc/passwd", "user", owner)?,
        lookup("/etc/group", "group", group)?,
    ))
}
