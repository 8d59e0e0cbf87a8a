//! The shares of one ceremony: judged when they come, wiped when it is over.
//!
//! Nothing in a share tells whether it is right; only enough of them together do. When enough open nothing, each is in doubt, and
//! every further one is tried with all the others, until some set opens the seal and what was left out is known to be wrong.

use zeroize::Zeroizing;

use crate::domain::seal::read_share;
use crate::domain::secret::Secret;

/// The most sets that one further share is tried in.
const MOST_SETS: usize = 60;

/// One share and who gave it.
pub(super) struct Given {
    pub(super) secret: Secret,
    bytes: Zeroizing<Vec<u8>>,
    pub(super) by: String,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shares {
    all: Vec<Given>,
    /// Whether enough were given and opened nothing.
    pub(super) doubtful: bool,
}

impl Shares {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many count: in doubt, none is known to be any good.
    pub(super) fn all(&self) -> &[Given] {
        &self.all
    }

    /// Who gave them, in order.
    pub(super) fn givers(&self) -> Vec<String> {
        self.all.iter().map(|given| given.by.clone()).collect()
    }

    /// Takes one; `separate` when each operator may give one only.
    ///
    /// # Errors
    /// A sentence for whoever gave it, which says nothing of what is in it.
    pub(super) fn take(&mut self, secret: Secret, by: &str, separate: bool) -> Result<(), String> {
        let bytes = read_share(&secret)?;
        if let Some(known) = self.all.iter().find(|given| *given.bytes == *bytes) {
            return Err(format!("this share was given already, by {}", known.by));
        }
        // Shares of 33 bytes end with their number; the key itself, where one share is all there is, has 32.
        let twin = |given: &&Given| {
            given.bytes.len() == 33 && bytes.len() == 33 && given.bytes.last() == bytes.last()
        };
        if let Some(known) = self.all.iter().find(twin) {
            return Err(format!(
                "this has the number of the share that {} gave, and is another: one of the two was mistyped",
                known.by
            ));
        }
        if separate && self.all.iter().any(|given| given.by == by) {
            return Err(
                "this ceremony takes one share from each operator, and yours is there".into(),
            );
        }
        self.all.push(Given {
            secret,
            bytes,
            by: by.to_owned(),
        });
        Ok(())
    }

    /// Sets of `needed` shares with the newest among them, by their places; at most [`MOST_SETS`].
    pub(super) fn sets_with_newest(&self, needed: usize) -> Vec<Vec<usize>> {
        let Some(newest) = self.all.len().checked_sub(1) else {
            return Vec::new();
        };
        let mut sets = Vec::new();
        choose(newest, needed.saturating_sub(1), &mut Vec::new(), &mut sets);
        for set in &mut sets {
            set.push(newest);
        }
        sets
    }

    /// Keeps the shares at these places, which opened the seal; says which of the others were wrong.
    pub(super) fn keep(&mut self, places: &[usize]) -> String {
        let mut wrong = Vec::new();
        let all = std::mem::take(&mut self.all);
        for (at, given) in all.into_iter().enumerate() {
            if places.contains(&at) {
                self.all.push(given);
            } else {
                wrong.push(format!("number {} (given by {})", at + 1, given.by));
            }
        }
        self.doubtful = false;
        match wrong.as_slice() {
            [one] => format!("the share that was wrong is {one}"),
            several => format!(
                "what is wrong is among these shares: {}",
                several.join(", ")
            ),
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.doubtful = false;
    }
}

/// All ways to choose `count` of `0..below`, in order, up to [`MOST_SETS`].
fn choose(below: usize, count: usize, chosen: &mut Vec<usize>, sets: &mut Vec<Vec<usize>>) {
    if sets.len() >= MOST_SETS {
        return;
    }
    if count == 0 {
        let mut set = chosen.clone();
        set.reverse();
        sets.push(set);
        return;
    }
    for place in (count - 1..below).rev() {
        chosen.push(place);
        choose(place, count - 1, chosen, sets);
        chosen.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(seed: u8, number: u8) -> Secret {
        let mut bytes = vec![seed; 32];
        bytes.push(number);
        Secret::new(crate::domain::hex(&bytes))
    }

    #[test]
    fn a_share_counts_once_and_a_twin_of_it_is_told() {
        let mut shares = Shares::default();
        shares.take(share(1, 1), "ada", false).unwrap();
        let again = shares.take(share(1, 1), "bob", false).unwrap_err();
        assert_eq!(again, "this share was given already, by ada");
        let twin = shares.take(share(9, 1), "bob", false).unwrap_err();
        assert!(twin.contains("mistyped"), "{twin}");
        shares.take(share(9, 2), "bob", false).unwrap();
        assert_eq!(shares.givers(), ["ada", "bob"]);
    }

    #[test]
    fn separate_operators_give_one_share_each() {
        let mut shares = Shares::default();
        shares.take(share(1, 1), "ada", true).unwrap();
        assert!(shares.take(share(2, 2), "ada", true).is_err());
        shares.take(share(2, 2), "bob", true).unwrap();
    }

    #[test]
    fn a_further_share_is_tried_with_every_set_of_the_others() {
        let mut shares = Shares::default();
        for number in 1..=4 {
            shares.take(share(number, number), "ada", false).unwrap();
        }
        let mut sets = shares.sets_with_newest(3);
        sets.sort();
        assert_eq!(sets, [vec![0, 1, 3], vec![0, 2, 3], vec![1, 2, 3]]);
        let said = shares.keep(&[0, 2, 3]);
        assert_eq!(said, "the share that was wrong is number 2 (given by ada)");
        assert_eq!(shares.len(), 3);
    }

    #[test]
    fn there_is_an_end_to_the_sets_that_are_tried() {
        let mut shares = Shares::default();
        for number in 1..=30 {
            shares.take(share(number, number), "ada", false).unwrap();
        }
        assert_eq!(shares.sets_with_newest(10).len(), MOST_SETS);
    }
}
