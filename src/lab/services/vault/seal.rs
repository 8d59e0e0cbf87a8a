//! What a seal protects, how its key is cut into shares, and how the shares are replaced.

use super::shamir;
use crate::lab::services::ids::{Ids, hex};

/// How many shares there are, and how many of them unseal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme {
    pub shares: u8,
    pub threshold: u8,
}

/// How the lab's Vault is cut where it was initialised before anybody came.
pub(crate) const USUAL: Scheme = Scheme {
    shares: 5,
    threshold: 3,
};

impl Scheme {
    /// The scheme of these numbers.
    ///
    /// # Errors
    /// What Vault says of an impossible one.
    pub(crate) fn new(shares: u64, threshold: u64) -> Result<Self, &'static str> {
        let fits = |number: u64, otherwise| u8::try_from(number).map_err(|_| otherwise);
        match (shares, threshold) {
            (0, _) => Err("shares must be at least one"),
            (_, 0) => Err("threshold must be at least one"),
            (2.., 1) => Err("threshold must be greater than one for multiple shares"),
            _ if threshold > shares => Err("threshold cannot be larger than shares"),
            _ => Ok(Self {
                shares: fits(shares, "shares must be less than 256")?,
                threshold: fits(threshold, "threshold must be less than 256")?,
            }),
        }
    }
}

/// What opens the barrier.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub scheme: Scheme,
    /// The shares, as `vault operator init` prints them: hexadecimal.
    pub shares: Vec<String>,
    /// The initial root token. It is the seed's, however often the key is cut anew: the lab's workspace has it from the start,
    /// as if its operator had put it there.
    pub root_token: String,
    root_key: [u8; 32],
}

impl Seal {
    /// The `cut`th key of the cluster that `ids` names, in the shares of `scheme`.
    ///
    /// # Errors
    /// For a scheme that [`shamir::split`] cannot make; [`Scheme::new`] makes none.
    pub(crate) fn new(ids: Ids, scheme: Scheme, cut: u64) -> Result<Self, shamir::ShamirError> {
        let Scheme { shares, threshold } = scheme;
        let root_key = ids.bytes(&format!("vault/root-key/{cut}"));
        let seed = ids.below(&format!("vault/polynomials/{cut}"), u64::MAX);
        let parts = match shares {
            // One share is the key itself.
            1 => vec![root_key.to_vec()],
            _ => shamir::split(
                &root_key,
                shares,
                threshold,
                &mut fastrand::Rng::with_seed(seed),
            )?,
        };
        Ok(Self {
            scheme,
            shares: parts.iter().map(|share| hex(share)).collect(),
            root_token: format!("hvs.{}", ids.word("vault/root-token", 24)),
            root_key,
        })
    }

    /// Whether these shares, as many as are needed, give the key.
    ///
    /// # Errors
    /// When they cannot be shares of one key.
    pub(crate) fn opens(&self, shares: &[Vec<u8>]) -> Result<bool, shamir::ShamirError> {
        Ok(match shares {
            [whole] if self.scheme.threshold == 1 => *whole == self.root_key,
            shares => shamir::combine(shares)? == self.root_key,
        })
    }
}

/// New shares on their way: <https://developer.hashicorp.com/vault/api-docs/system/rekey>.
#[derive(Debug)]
pub(crate) struct Rekey {
    pub nonce: String,
    pub scheme: Scheme,
    /// Whether the new shares are in force only when enough of them were shown.
    pub verified: bool,
    /// The present shares that were given.
    pub given: Vec<Vec<u8>>,
    /// What is in force after the verification.
    pub made: Option<Made>,
}

/// New shares that wait for their verification.
#[derive(Debug)]
pub(crate) struct Made {
    pub nonce: String,
    pub seal: Seal,
    /// The new shares that were shown.
    pub shown: Vec<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_schemes_are_refused_in_vaults_words() {
        assert_eq!(Scheme::new(5, 3), Ok(USUAL));
        assert!(Scheme::new(1, 1).is_ok());
        for (shares, threshold, words) in [
            (0, 1, "shares must be at least one"),
            (5, 0, "threshold must be at least one"),
            (
                5,
                1,
                "threshold must be greater than one for multiple shares",
            ),
            (3, 5, "threshold cannot be larger than shares"),
            (300, 3, "shares must be less than 256"),
        ] {
            assert_eq!(Scheme::new(shares, threshold), Err(words));
        }
    }

    #[test]
    fn a_single_share_is_the_key_and_a_new_cut_is_another_key() {
        let single = Scheme::new(1, 1).unwrap();
        let seal = Seal::new(Ids::new(7), single, 0).unwrap();
        let share = crate::lab::services::ids::unhex(&seal.shares[0]).unwrap();
        assert!(seal.opens(std::slice::from_ref(&share)).unwrap());
        let next = Seal::new(Ids::new(7), single, 1).unwrap();
        assert!(!next.opens(&[share]).unwrap());
        assert_eq!(next.root_token, seal.root_token);
    }
}
