//! A user of the node.

use super::accounts::{account, check_field, check_name, entry, run};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::{Presence, UserSpec};
use crate::domain::undo::{Account, Before, UserBefore};
use crate::transport::Host;

/// The day since 1970 on which a locked account has expired: long ago, and not 0, which some programs take for never.
const CLOSED: &str = "1";

async fn observe(
    spec: &UserSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Account>, ResourceError> {
    check_name(&spec.name)?;
    for group in spec.group.iter().chain(&spec.groups) {
        check_name(group)?;
    }
    for (what, field) in [
        ("home", &spec.home),
        ("shell", &spec.shell),
        ("comment", &spec.comment),
    ] {
        if let Some(text) = field {
            check_field(what, text)?;
        }
    }
    account(&spec.name, spec.locked.is_some(), host, means).await
}

/// One field that differs: words for the log, and what `usermod` needs.
struct Change {
    words: String,
    argv: Vec<String>,
}

impl Change {
    fn of(words: String, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            words,
            argv: argv.into_iter().map(Into::into).collect(),
        }
    }
}

/// What of a present user differs from what is declared.
fn changes(spec: &UserSpec, is: &Account) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(uid) = spec.uid
        && uid != is.uid
    {
        changes.push(Change::of(
            format!("uid {} → {uid}", is.uid),
            ["--uid", &uid.to_string()],
        ));
    }
    let mut field = |what: &str, option: &str, wanted: &Option<String>, is: &str| {
        if let Some(wanted) = wanted
            && wanted != is
        {
            changes.push(Change::of(
                format!("{what} {is} → {wanted}"),
                [option, wanted],
            ));
        }
    };
    field("group", "--gid", &spec.group, &is.group);
    field("home", "--home", &spec.home, &is.home);
    field("shell", "--shell", &spec.shell, &is.shell);
    field("comment", "--comment", &spec.comment, &is.comment);
    changes.extend(group_change(spec, is));
    if let (Some(locked), Some(expires)) = (spec.locked, &is.expires)
        && locked != is_closed(expires)
    {
        let (words, day) = if locked {
            ("open → closed", CLOSED)
        } else {
            ("closed → open", "")
        };
        changes.push(Change::of(words.into(), ["--expiredate", day]));
    }
    changes
}

fn group_change(spec: &UserSpec, is: &Account) -> Option<Change> {
    let mine = |group: &String| *group == is.group || spec.group.as_ref() == Some(group);
    let missing: Vec<&String> = spec
        .groups
        .iter()
        .filter(|group| !is.groups.contains(group) && !mine(group))
        .collect();
    let surplus: Vec<&String> = is
        .groups
        .iter()
        .filter(|group| spec.only_these_groups && !spec.groups.contains(group) && !mine(group))
        .collect();
    if missing.is_empty() && surplus.is_empty() {
        return None;
    }
    let mut words: Vec<String> = missing.iter().map(|group| format!("+{group}")).collect();
    words.extend(surplus.iter().map(|group| format!("-{group}")));
    let words = format!("groups {}", words.join(" "));
    Some(if surplus.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
        Change::of(words, ["--append", "--groups", &missing.join(",")])
    } else {
        Change::of(words, ["--groups", &spec.groups.join(",")])
    })
}

/// A day that has passed since a clock can know; nobody closes an account with a day in the future.
fn is_closed(expires: &str) -> bool {
    expires == CLOSED
}

pub(super) async fn check(
    spec: &UserSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mut difference = Difference::default();
    match (observe(spec, host, means).await?, spec.state) {
        (None, Presence::Present) => difference.note("does not exist → added"),
        (None, Presence::Absent) => {}
        (Some(is), Presence::Absent) => difference.note(format!("uid {} → removed", is.uid)),
        (Some(is), Presence::Present) => {
            for change in changes(spec, &is) {
                difference.note(change.words);
            }
        }
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &UserSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match (observe(spec, host, means).await?, spec.state) {
        (None, Presence::Present) => {
            groups_exist(spec, host, means).await?;
            add(spec, host, means).await
        }
        (None, Presence::Absent) => Ok(()),
        (Some(_), Presence::Absent) => {
            let mut argv = vec!["userdel".to_owned()];
            argv.extend(spec.remove_home.then(|| "--remove".to_owned()));
            argv.push(spec.name.clone());
            run(argv, host, means).await
        }
        (Some(is), Presence::Present) => {
            groups_exist(spec, host, means).await?;
            modify(spec, &is, host, means).await
        }
    }
}

async fn groups_exist(
    spec: &UserSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for group in spec.group.iter().chain(&spec.groups) {
        if entry("group", group, host, means).await?.is_none() {
            return Err(ResourceError::Unfit(format!(
                "the node has no group {group}: declare it before the user (`group: {{ name: {group} }}`)"
            )));
        }
    }
    Ok(())
}

async fn add(spec: &UserSpec, host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    let mut argv = vec!["useradd".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            argv.extend([name.to_owned(), value]);
        }
    };
    option("--uid", spec.uid.map(|uid| uid.to_string()));
    let group = match &spec.group {
        Some(group) => Some(group.clone()),
        // useradd would not take a group of his name that is there already for his own.
        None if entry("group", &spec.name, host, means).await?.is_some() => Some(spec.name.clone()),
        None => None,
    };
    let own = group.is_none();
    option("--gid", group);
    option(
        "--groups",
        (!spec.groups.is_empty()).then(|| spec.groups.join(",")),
    );
    option("--comment", spec.comment.clone());
    option("--home-dir", spec.home.clone());
    option("--shell", spec.shell.clone());
    option(
        "--expiredate",
        (spec.locked == Some(true)).then(|| CLOSED.to_owned()),
    );
    // Distributions differ in what useradd does by itself.
    if own {
        argv.push("--user-group".into());
    }
    if spec.system {
        argv.push("--system".into());
    }
    let home = spec.create_home && !spec.system;
    argv.push(
        if home {
            "--create-home"
        } else {
            "--no-create-home"
        }
        .into(),
    );
    argv.push(spec.name.clone());
    run(argv, host, means).await
}

async fn modify(
    spec: &UserSpec,
    is: &Account,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mut argv = vec!["usermod".to_owned()];
    argv.extend(changes(spec, is).into_iter().flat_map(|change| change.argv));
    if argv.len() == 1 {
        return Ok(());
    }
    argv.push(spec.name.clone());
    run(argv, host, means).await
}

pub(super) async fn remember(
    spec: &UserSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let was = match spec.state {
        Presence::Present => observe(spec, host, means).await?,
        Presence::Absent => account(&spec.name, true, host, means).await?,
    };
    Ok(Before::User(UserBefore {
        was,
        left: spec.clone(),
    }))
}

/// The declaration that brings back of `was` what the run changed.
fn back_to(before: &UserBefore, was: &Account) -> UserSpec {
    let left = &before.left;
    let all = !left.state.is_present();
    let touched = |declared: bool| declared || all;
    UserSpec {
        name: left.name.clone(),
        state: Presence::Present,
        uid: touched(left.uid.is_some()).then_some(was.uid),
        group: touched(left.group.is_some()).then(|| was.group.clone()),
        groups: if touched(!left.groups.is_empty() || left.only_these_groups) {
            was.groups.clone()
        } else {
            Vec::new()
        },
        only_these_groups: touched(!left.groups.is_empty() || left.only_these_groups),
        comment: touched(left.comment.is_some()).then(|| was.comment.clone()),
        home: touched(left.home.is_some()).then(|| was.home.clone()),
        create_home: left.remove_home,
        shell: touched(left.shell.is_some()).then(|| was.shell.clone()),
        system: false,
        locked: was
            .expires
            .as_deref()
            .filter(|_| touched(left.locked.is_some()))
            .map(is_closed),
        remove_home: false,
    }
}

pub(super) async fn check_undo(
    before: &UserBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let is = observe(&before.left, host, means).await?;
    match (&before.was, is) {
        (None, None) => {}
        (None, Some(_)) => back.note("removed"),
        (Some(_), None) => {
            back.note("added again");
            if before.left.state.is_present() {
                back.refused = Some("the user was removed since".into());
            }
        }
        (Some(was), Some(is)) => {
            for change in changes(&back_to(before, was), &is) {
                back.note(change.words);
            }
            // Neither as the run left it nor as it was: somebody else's.
            let since = changes(&before.left, &is);
            if before.left.state.is_present() && !back.difference.is_none() && !since.is_empty() {
                let since: Vec<String> = since.into_iter().map(|change| change.words).collect();
                back.refused = Some(format!(
                    "changed since; the run's own state would be: {}",
                    since.join("; ")
                ));
            }
        }
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &UserBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let is = observe(&before.left, host, means).await?;
    match (&before.was, is) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            run(
                vec!["userdel".into(), before.left.name.clone()],
                host,
                means,
            )
            .await
        }
        (Some(was), None) => {
            if entry("group", &was.group, host, means).await?.is_none() {
                // userdel removes a group of the user's own name with him.
                let gid = was.gid.to_string();
                let argv = ["groupadd", "--gid", &gid, &was.group].map(ToOwned::to_owned);
                run(argv.into(), host, means).await?;
            }
            add(&back_to(before, was), host, means).await
        }
        (Some(was), Some(is)) => modify(&back_to(before, was), &is, host, means).await,
    }
}

#[cfg(test)]
mod tests;
