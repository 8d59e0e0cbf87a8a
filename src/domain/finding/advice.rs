//! What to do about what no recipe repairs: where somebody has to look, and what would help.

use super::{Finding, Subject};

impl Finding {
    /// One or two sentences for a finding without a remedy.
    pub fn advice(&self) -> &'static str {
        let (kind, detail) = self.key.split_once(':').unwrap_or((&self.key, ""));
        match (&self.subject, kind) {
            (_, "snapshot") => {
                "Take a new one; then remove the account that is named, and the snapshot beside it."
            }
            (Subject::Environment, _) => "Each row of its board says what brings it back.",
            (Subject::Node(_), "unreachable") => {
                "See whether it has power and network, and whether its SSH server runs. With a label `mac` it could be woken."
            }
            (Subject::Node(_), "disk") => {
                "What is stored there has to go or the file system has to grow: a terminal on the node shows what it is."
            }
            (Subject::Node(_), "throttled" | "hot") => {
                "See to its cooling and its power supply; `drain` takes the load off it until then."
            }
            (Subject::Node(_), _) => "A terminal on the node tells more.",
            (Subject::Service(_), "list") => {
                "The token or the user that the environment names may not read this, or the service is older than what is asked."
            }
            (Subject::Service(_), "check") => {
                "The check tells what it saw. What it checks runs on that node: its unit and its log tell more."
            }
            (Subject::Service(_), "alert") => {
                "It goes when what its rule is about has been put right: go there by what its labels name."
            }
            (Subject::Service(_), "job") => {
                "It needs room: take a node into service again (`resume-node`), join another, or lower what the job asks for."
            }
            (Subject::Service(_), "member" | "server" | "client" | "node") => {
                "No node of this environment has this name. `remove` makes the cluster forget it, once it is in the environment file."
            }
            (Subject::Service(_), "component" | "database") => {
                "Its own log tells why: it runs where the environment file says."
            }
            (Subject::Service(_), "alarm") if detail.starts_with("CORRUPT") => {
                "Take this member out and let it join again with an empty directory: it copies what the others have."
            }
            (
                Subject::Service(_),
                "unreachable" | "endpoint" | "no-leader" | "no-active" | "no-nodes" | "target",
            ) => {
                "This environment's stack does not install it, so `deploy` cannot bring it back: see where it runs whether it does."
            }
            (Subject::Service(_), _) => "Its tables tell more.",
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::finding::Severity;

    #[test]
    fn what_no_recipe_repairs_is_told_by_what_it_is_about() {
        let advice = |subject: Subject, key: &str| {
            let finding = Finding {
                key: key.into(),
                severity: Severity::Warning,
                subject,
                text: String::new(),
                evidence: String::new(),
                since: Timestamp::UNIX_EPOCH,
                remedy: None,
                because: None,
            };
            finding.advice()
        };
        let node = || Subject::Node("pc1".into());
        let service = || Subject::Service("etcd".into());
        assert!(advice(node(), "unreachable").contains("power"));
        assert!(advice(node(), "disk:/srv").contains("file system"));
        assert!(advice(service(), "alarm:CORRUPT:pc1").contains("empty directory"));
        assert!(advice(service(), "list:members").contains("may not read"));
        // A kind that is not known here still gets a direction.
        assert!(!advice(service(), "new-kind:x").is_empty());
    }
}
