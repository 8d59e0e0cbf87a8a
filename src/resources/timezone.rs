//! The node's time zone: the symbolic link `/etc/localtime` (localtime(5)), and `/etc/timezone` where a distribution keeps
//! that beside it.

use super::edit::write_public;
use super::exec::{look_well, perform, succeeds};
use super::file::undo::{RELINK, beside};
use super::stat::{self, Kind};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::TimezoneSpec;
use crate::domain::undo::{Before, TimezoneBefore};
use crate::transport::{Command, Host};

const LINK: &str = "/etc/localtime";
const FILE: &str = "/etc/timezone";
const ZONES: &str = "/usr/share/zoneinfo/";

/// What the node takes for its time zone.
#[derive(Debug, PartialEq, Eq)]
struct Zone {
    link: Link,
    /// In `/etc/timezone`; `None` when there is no such file.
    file: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Link {
    /// To a zone of the database.
    To(String),
    /// There is none: UTC.
    Missing,
    /// Something else, in words.
    Other(String),
}

impl Link {
    fn word(&self) -> &str {
        match self {
            Self::To(zone) => zone,
            Self::Missing => "UTC (none set)",
            Self::Other(what) => what,
        }
    }
}

async fn observe(host: &dyn Host, means: &Means<'_>) -> Result<Zone, ResourceError> {
    let link = match stat::see(LINK, host, means).await? {
        None => Link::Missing,
        Some(seen) if seen.kind == Kind::Link => {
            let target = look_well(host, ["readlink", LINK], means.cancel).await?;
            let target = target.trim();
            match target.split_once("zoneinfo/") {
                Some((_, zone)) => Link::To(zone.to_owned()),
                None => Link::Other(format!("a link to {target}")),
            }
        }
        Some(seen) => Link::Other(format!("a {}", seen.kind.word())),
    };
    let file = host.read(FILE).await?;
    Ok(Zone {
        link,
        file: file.map(|text| String::from_utf8_lossy(&text).trim().to_owned()),
    })
}

fn compare(zone: &Zone, wanted: &str, difference: &mut Difference) {
    if zone.link != Link::To(wanted.to_owned()) {
        difference.note(format!("{} → {wanted}", zone.link.word()));
    }
    if let Some(file) = &zone.file
        && file != wanted
    {
        difference.note(format!("{FILE}: {file} → {wanted}"));
    }
}

pub(super) async fn check(
    spec: &TimezoneSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    check_name(&spec.name)?;
    let mut difference = Difference::default();
    compare(&observe(host, means).await?, &spec.name, &mut difference);
    Ok(difference)
}

pub(super) async fn apply(
    spec: &TimezoneSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    check_name(&spec.name)?;
    set(&spec.name, host, means).await
}

async fn set(name: &str, host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    let target = format!("{ZONES}{name}");
    if !succeeds(host, ["test", "-f", &target], means.cancel).await? {
        return Err(ResourceError::Unfit(format!(
            "the node has no time zone {name:?} ({target}): check the spelling, or install the package tzdata first"
        )));
    }
    let zone = observe(host, means).await?;
    if zone.link != Link::To(name.to_owned()) {
        let script = ["sh", "-c", RELINK, "sh", &target, &beside(LINK), LINK];
        perform(host, &Command::new(script), means).await?;
    }
    if zone.file.is_some_and(|file| file != name) {
        write_public(FILE, format!("{name}\n"), host, means).await?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ResourceError> {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte))
    };
    if name.split('/').all(part) {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{name:?} is no time zone: write it as the IANA database does, such as Europe/Berlin"
    )))
}

pub(super) async fn remember(
    spec: &TimezoneSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let zone = observe(host, means).await?;
    Ok(Before::Timezone(TimezoneBefore {
        was: match zone.link {
            Link::To(name) => Some(name),
            Link::Missing | Link::Other(_) => None,
        },
        left: spec.name.clone(),
    }))
}

pub(super) async fn check_undo(
    before: &TimezoneBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let Some(was) = &before.was else {
        // Nothing to go back to: the plan of the undo has said so.
        return Ok(back);
    };
    let zone = observe(host, means).await?;
    compare(&zone, was, &mut back.difference);
    let known = [was, &before.left].map(|name| Link::To(name.clone()));
    if !known.contains(&zone.link) {
        back.refused = Some(format!(
            "the time zone is {} now, the run left {}",
            zone.link.word(),
            before.left
        ));
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &TimezoneBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match &before.was {
        Some(was) => set(was, host, means).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TempHost, ensure, take_back};
    use super::*;
    use crate::domain::resource::Resource;

    fn node() -> TempHost {
        let host = TempHost::new();
        for zone in ["Etc/UTC", "Europe/Berlin"] {
            host.put(&format!("{ZONES}{zone}"), "TZif");
        }
        std::fs::create_dir(host.path("/etc")).unwrap();
        host
    }

    fn declared(name: &str) -> Resource {
        Resource::Timezone(TimezoneSpec { name: name.into() })
    }

    #[tokio::test]
    async fn a_zone_is_set_in_both_places_and_taken_back() {
        let host = node();
        std::os::unix::fs::symlink(host.path("/usr/share/zoneinfo/Etc/UTC"), host.path(LINK))
            .unwrap();
        host.put(FILE, "Etc/UTC\n");
        assert_eq!(
            ensure(&declared("Europe/Berlin"), &host).await.unwrap(),
            [
                "Etc/UTC → Europe/Berlin",
                "/etc/timezone: Etc/UTC → Europe/Berlin"
            ]
        );
        take_back(&host).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(host.path(FILE)).unwrap(),
            "Etc/UTC\n"
        );
    }

    #[tokio::test]
    async fn where_there_was_no_zone_none_is_brought_back_and_the_record_says_so() {
        let host = node();
        assert_eq!(
            ensure(&declared("Europe/Berlin"), &host).await.unwrap(),
            ["UTC (none set) → Europe/Berlin"]
        );
        let record = &host.records().all()[0];
        assert_eq!(record.outlook(), None);
        assert!(
            record.limits()[0].contains("stays Europe/Berlin"),
            "{:?}",
            record.limits()
        );
    }

    #[tokio::test]
    async fn a_zone_that_the_node_does_not_know_is_not_set() {
        let host = node();
        let error = ensure(&declared("Europe/Atlantis"), &host)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("tzdata"), "{error}");
        assert!(!host.path(LINK).exists());
        for bad in ["", "../etc/passwd", "/etc/passwd", "Europe//Berlin", "a b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
