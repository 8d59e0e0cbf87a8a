//! The arithmetic of votes: whether a cluster can still agree after some of its members are gone.
//!
//! Raft decides by majority of its voters, and so do Consul, Nomad, Vault and etcd. A member that is switched off stays a
//! voter; one that leaves or is removed is not counted any more. As a cluster that is meant to have three servers and is
//! down to two must not be taken down to one, what is needed is the majority of what is meant, where that is more.

use std::collections::BTreeSet;

/// A member that votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its name, as the environment has it.
    pub name: String,
    /// Whether the others see it alive.
    pub alive: bool,
}

/// What is about to happen to voters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// They stop answering and stay voters: switched off.
    pub off: BTreeSet<String>,
    /// They leave in good order and are meant to come back: drained.
    pub leaving: BTreeSet<String>,
    /// They are taken out for good: removed.
    pub removed: BTreeSet<String>,
}

impl Loss {
    /// Whether nothing happens to anybody.
    pub fn is_none(&self) -> bool {
        self.off.is_empty() && self.leaving.is_empty() && self.removed.is_empty()
    }

    fn takes(&self, name: &str) -> bool {
        self.off.contains(name) || self.leaving.contains(name) || self.removed.contains(name)
    }

    fn takes_vote(&self, name: &str) -> bool {
        self.leaving.contains(name) || self.removed.contains(name)
    }
}

/// The sum, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Voters now.
    pub voters: usize,
    /// Those of them that are alive.
    pub alive: usize,
    /// Voters that will be alive.
    pub left: usize,
    /// How many of those are needed to agree.
    pub needed: usize,
}

impl Sum {
    /// Whether the cluster can agree now and could not any more.
    pub const fn is_lost(&self) -> bool {
        self.alive > self.voters / 2 && self.left < self.needed
    }

    /// How many more may fail afterwards.
    pub const fn tolerance(&self) -> usize {
        self.left.saturating_sub(self.needed)
    }
}

/// What `loss` does to a cluster of `voters` that is declared to have `declared` members; `None` when it concerns no voter.
pub fn sum(voters: &[Voter], declared: usize, loss: &Loss) -> Option<Sum> {
    if !voters.iter().any(|voter| loss.takes(&voter.name)) {
        return None;
    }
    let left = voters
        .iter()
        .filter(|voter| voter.alive && !loss.takes(&voter.name))
        .count();
    let stay = voters
        .iter()
        .filter(|voter| !loss.takes_vote(&voter.name))
        .count();
    let gone = voters
        .iter()
        .filter(|voter| loss.removed.contains(&voter.name))
        .count();
    let meant = declared.saturating_sub(gone);
    Some(Sum {
        voters: voters.len(),
        alive: voters.iter().filter(|voter| voter.alive).count(),
        left,
        needed: majority(stay.max(meant)),
    })
}

/// How many of `members` are more than half.
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(states: &[bool]) -> Vec<Voter> {
        let name = |index: usize| format!("n{}", index + 1);
        let states = states.iter().enumerate();
        states
            .map(|(index, alive)| Voter {
                name: name(index),
                alive: *alive,
            })
            .collect()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn off(which: &[&str]) -> Loss {
        Loss {
            off: names(which),
            ..Loss::default()
        }
    }

    fn leaving(which: &[&str]) -> Loss {
        Loss {
            leaving: names(which),
            ..Loss::default()
        }
    }

    fn removed(which: &[&str]) -> Loss {
        Loss {
            removed: names(which),
            ..Loss::default()
        }
    }

    #[test]
    fn of_three_servers_one_may_be_switched_off_and_not_two() {
        let all = voters(&[true, true, true]);
        assert!(!sum(&all, 3, &off(&["n3"])).unwrap().is_lost());
        let two = sum(&all, 3, &off(&["n2", "n3"])).unwrap();
        assert_eq!((two.left, two.needed), (1, 2));
        assert!(two.is_lost());
    }

    #[test]
    fn what_is_dead_already_counts_as_gone() {
        let all = voters(&[true, true, false]);
        assert!(sum(&all, 3, &off(&["n2"])).unwrap().is_lost());
    }

    #[test]
    fn a_dead_member_may_be_removed_and_the_others_still_agree() {
        let all = voters(&[true, true, false]);
        let sum = sum(&all, 3, &removed(&["n3"])).unwrap();
        assert_eq!((sum.left, sum.needed), (2, 2));
        assert!(!sum.is_lost());
    }

    #[test]
    fn servers_are_not_drained_one_after_the_other_down_to_the_last() {
        assert!(
            !sum(&voters(&[true, true, true]), 3, &leaving(&["n3"]))
                .unwrap()
                .is_lost()
        );
        assert!(
            sum(&voters(&[true, true]), 3, &leaving(&["n2"]))
                .unwrap()
                .is_lost()
        );
    }

    #[test]
    fn a_fourth_server_may_go_as_it_came() {
        let all = voters(&[true, true, true, true]);
        assert!(!sum(&all, 4, &leaving(&["n4"])).unwrap().is_lost());
        assert!(!sum(&all, 4, &removed(&["n4"])).unwrap().is_lost());
    }

    #[test]
    fn what_is_lost_already_cannot_be_lost_again_and_others_do_not_count() {
        let all = voters(&[true, false, false]);
        assert!(!sum(&all, 3, &removed(&["n3"])).unwrap().is_lost());
        assert_eq!(sum(&all, 3, &off(&["pc9"])), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_allowed_leaves_a_majority_of_those_who_stay(
            states in proptest::collection::vec(proptest::bool::ANY, 1..9),
            taken in proptest::collection::vec(0_usize..9, 0..5),
            how in 0_u8..3,
        ) {
            let all = voters(&states);
            let which = taken.iter().map(|index| format!("n{}", index + 1)).collect();
            let mut loss = Loss::default();
            match how {
                0 => loss.off = which,
                1 => loss.leaving = which,
                _ => loss.removed = which,
            }
            if let Some(sum) = sum(&all, all.len(), &loss)
                && sum.alive > sum.voters / 2 && !sum.is_lost()
            {
                let stay = all.iter().filter(|voter| !loss.takes_vote(&voter.name)).count();
                proptest::prop_assert!(sum.left * 2 > stay);
            }
        }
    }
}
