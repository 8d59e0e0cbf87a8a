//! `Match`: the criteria that can be judged here, and those for which a block is passed over.

use super::Asked;
use crate::transport::ssh::pattern;

/// What a `Match` line comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Its lines hold.
    Holds,
    /// They do not.
    Not,
    /// That cannot be told here, and why.
    PassedOver(String),
}

/// What has been found out before the line, on which it may depend.
pub(super) struct SoFar<'a> {
    /// What is asked.
    pub(super) asked: &'a Asked,
    /// `HostName` as far as it is said.
    pub(super) host: &'a str,
    /// `User` as far as it is said, else who would be taken.
    pub(super) user: &'a str,
}

/// Judges the criteria of a `Match` line.
pub(super) fn judge(criteria: &[String], so_far: &SoFar<'_>) -> Judged {
    let mut words = criteria.iter();
    let mut holds = true;
    if criteria.is_empty() {
        return Judged::PassedOver("it names no criteria".into());
    }
    while let Some(word) = words.next() {
        let (negated, word) = match word.strip_prefix('!') {
            Some(word) => (true, word),
            None => (false, word.as_str()),
        };
        let (name, joined) = match word.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (word, None),
        };
        let name = name.to_ascii_lowercase();
        let result = match name.as_str() {
            "all" => true,
            // Names are never made canonical here, so that this never comes true, as in OpenSSH by default.
            "canonical" => false,
            "host" | "originalhost" | "user" | "localuser" => {
                let Some(argument) = joined.or_else(|| words.next().map(String::as_str)) else {
                    return Judged::PassedOver(format!("{name:?} names nothing"));
                };
                let subject = match name.as_str() {
                    "host" => so_far.host,
                    "originalhost" => &so_far.asked.host,
                    "user" => so_far.user,
                    _ => &so_far.asked.local_user,
                };
                pattern::list(argument.split(','), subject)
            }
            "exec" => return Judged::PassedOver("`exec` would run a command".into()),
            other => {
                return Judged::PassedOver(format!(
                    "`{}` is not judged here",
                    crate::transport::ssh::tame(other)
                ));
            }
        };
        holds &= result != negated;
    }
    if holds { Judged::Holds } else { Judged::Not }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("all", Some(true))]
    #[case("host 10.0.*", Some(true))]
    #[case("host pc1", Some(false))]
    #[case("originalhost pc1", Some(true))]
    #[case("originalhost pc2,pc1 user ops", Some(true))]
    #[case("originalhost=pc1 user=root", Some(false))]
    #[case("!user root", Some(true))]
    #[case("localuser me !originalhost pc2", Some(true))]
    #[case("canonical", Some(false))]
    #[case("!canonical all", Some(true))]
    #[case("exec true", None)]
    #[case("host pc2 exec true", None)]
    #[case("localnetwork 10.0.0.0/8", None)]
    #[case("host", None)]
    #[case("", None)]
    fn criteria_are_judged_as_openssh_does_or_passed_over(
        #[case] line: &str,
        #[case] expected: Option<bool>,
    ) {
        let criteria: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let asked = Asked {
            host: "pc1".into(),
            user: None,
            local_user: "me".into(),
        };
        let so_far = SoFar {
            asked: &asked,
            host: "10.0.0.1",
            user: "ops",
        };
        let judged = match judge(&criteria, &so_far) {
            Judged::Holds => Some(true),
            Judged::Not => Some(false),
            Judged::PassedOver(_) => None,
        };
        assert_eq!(judged, expected);
    }
}
