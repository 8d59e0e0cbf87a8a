//! A leader among voters, as Raft elects one: it needs a majority, and an election takes time.

use jiff::{SignedDuration, Timestamp};

/// The voters and whom they follow.
#[derive(Debug, Clone)]
pub(crate) struct Quorum {
    voters: Vec<String>,
    leader: Option<String>,
    last: usize,
    term: u64,
    vacant_since: Option<Timestamp>,
}

impl Quorum {
    /// Voters that have not elected anyone yet. The first one that can leads first.
    pub(crate) fn new(voters: Vec<String>) -> Self {
        Self {
            last: voters.len().saturating_sub(1),
            voters,
            leader: None,
            term: 1,
            vacant_since: None,
        }
    }

    /// Makes `voter` one of them, unless it is.
    pub(crate) fn admit(&mut self, voter: &str) {
        if !self.voters.iter().any(|known| known == voter) {
            self.voters.push(voter.to_owned());
        }
    }

    /// Elects at once, without the delay of an election: for the start of the world.
    pub(crate) fn settle(&mut self, able: impl Fn(&str) -> bool, now: Timestamp) {
        self.advance(able, now, SignedDuration::ZERO);
    }

    /// Brings the election up to `now`; `able` says who can vote and lead. Returns whether the leader changed.
    pub(crate) fn advance(
        &mut self,
        able: impl Fn(&str) -> bool,
        now: Timestamp,
        election: SignedDuration,
    ) -> bool {
        let able_voters = self.voters.iter().filter(|voter| able(voter)).count();
        let majority = able_voters >= self.majority();
        if let Some(leader) = &self.leader {
            if majority && able(leader) {
                return false;
            }
            self.leader = None;
            self.vacant_since = Some(now);
            return true;
        }
        let vacant_since = *self.vacant_since.get_or_insert(now);
        if !majority {
            // The clock of the election starts when there is somebody to elect.
            self.vacant_since = Some(now);
            return false;
        }
        if now.duration_since(vacant_since) < election {
            return false;
        }
        let count = self.voters.len();
        let next = (1..=count)
            .map(|step| (self.last + step) % count)
            .find(|at| able(&self.voters[*at]));
        if let Some(next) = next {
            self.last = next;
            self.leader = Some(self.voters[next].clone());
            self.term += 1;
            self.vacant_since = None;
            return true;
        }
        false
    }

    /// The leader gives up its office; another one is elected in time.
    pub(crate) fn step_down(&mut self, now: Timestamp) {
        if self.leader.take().is_some() {
            self.vacant_since = Some(now);
        }
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// All voters.
    pub(crate) fn voters(&self) -> &[String] {
        &self.voters
    }

    /// The number of elections so far.
    pub(crate) const fn term(&self) -> u64 {
        self.term
    }

    /// How many voters make a majority.
    pub(crate) const fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether an election is due, so that time alone will change something.
    pub(crate) fn electing(&self, able: impl Fn(&str) -> bool) -> bool {
        self.leader.is_none()
            && self.voters.iter().filter(|voter| able(voter)).count() >= self.majority()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELECTION: SignedDuration = SignedDuration::from_secs(2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn three() -> Quorum {
        let mut quorum = Quorum::new(["a", "b", "c"].map(String::from).to_vec());
        quorum.settle(|_| true, at(0));
        quorum
    }

    #[test]
    fn leadership_moves_to_a_live_voter_after_the_election() {
        let mut quorum = three();
        assert_eq!(quorum.leader(), Some("a"));
        let without_a = |voter: &str| voter != "a";
        assert!(quorum.advance(without_a, at(10), ELECTION));
        assert_eq!(quorum.leader(), None);
        assert!(!quorum.advance(without_a, at(11), ELECTION));
        assert!(quorum.advance(without_a, at(12), ELECTION));
        assert_eq!(quorum.leader(), Some("b"));
        assert_eq!(quorum.term(), 3);
    }

    #[test]
    fn without_a_majority_nobody_leads_however_long_it_takes() {
        let mut quorum = three();
        let only_c = |voter: &str| voter == "c";
        quorum.advance(only_c, at(10), ELECTION);
        quorum.advance(only_c, at(1000), ELECTION);
        assert_eq!(quorum.leader(), None);
        assert!(!quorum.electing(only_c));
    }

    #[test]
    fn no_voters_elect_nobody() {
        let mut quorum = Quorum::new(Vec::new());
        quorum.settle(|_| true, at(0));
        assert_eq!(quorum.leader(), None);
    }
}
