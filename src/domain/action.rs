//! How dangerous an action is, and what an environment demands before it may begin.

use serde::{Deserialize, Serialize};

use super::environment::Protection;
use super::words;

words! {
    /// What an action can do to the world.
    pub enum Risk {
        /// Observes only.
        Read = "read",
        /// Changes something that can be changed back.
        Change = "change",
        /// Loses something: data, quorum, a member.
        Destroy = "destroy",
    }
}

/// Why a session that is read-only refuses something.
pub const READ_ONLY: &str = "this session is read-only; start Quarterdeck without --read-only";

/// What stands between a plan and its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Nothing: it may start.
    Open,
    /// A yes.
    Confirm,
    /// The environment's name, typed.
    TypeName,
    /// The environment's name, typed, and the consent of another operator.
    SecondOperator,
    /// It may not start: the session is read-only.
    ReadOnly,
}

impl Gate {
    /// The gate for an action of `risk` in an environment of `protection`.
    ///
    /// Destruction is always one gate higher than a change, up to the highest.
    pub const fn of(risk: Risk, protection: Protection, read_only: bool) -> Self {
        match (risk, protection) {
            (Risk::Read, _) => Self::Open,
            _ if read_only => Self::ReadOnly,
            (Risk::Change, Protection::Open) => Self::Open,
            (Risk::Change, Protection::Confirm) | (Risk::Destroy, Protection::Open) => {
                Self::Confirm
            }
            (Risk::Change | Risk::Destroy, Protection::Typed)
            | (Risk::Destroy, Protection::Confirm) => Self::TypeName,
            (Risk::Change | Risk::Destroy, Protection::TwoPerson) => Self::SecondOperator,
        }
    }

    /// The same gate where a second operator cannot be waited for: his name, typed, is enough there.
    ///
    /// For what is left when everything else is stuck, and for what only one person can sit before.
    #[must_use]
    pub const fn alone(self) -> Self {
        match self {
            Self::SecondOperator => Self::TypeName,
            gate => gate,
        }
    }

    /// Whether `consent` opens this gate for the environment called `environment`. What opens [`Gate::SecondOperator`] lets
    /// the run wait for the other operator.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn check(self, consent: &Consent, environment: &str) -> Result<(), String> {
        match (self, consent) {
            (Self::Open, _) | (Self::Confirm, Consent::Yes) => Ok(()),
            (Self::Confirm | Self::TypeName | Self::SecondOperator, Consent::Typed(name))
                if name == environment =>
            {
                Ok(())
            }
            (Self::Confirm, Consent::None) => Err(format!(
                "{environment} asks for a confirmation of every change"
            )),
            (Self::Confirm | Self::TypeName | Self::SecondOperator, Consent::Typed(name)) => Err(
                format!("{name:?} was typed, but the environment is called {environment:?}"),
            ),
            (Self::TypeName, _) => Err(format!("{environment} asks for its name to be typed")),
            (Self::SecondOperator, _) => Err(format!(
                "{environment} asks for its name to be typed, and then for the consent of a second operator"
            )),
            (Self::ReadOnly, _) => Err(READ_ONLY.into()),
        }
    }
}

/// What the operator gave at the gate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// Nothing.
    #[default]
    None,
    /// A yes.
    Yes,
    /// What was typed.
    Typed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_never_gated_even_in_a_read_only_session() {
        for protection in Protection::ALL {
            assert_eq!(Gate::of(Risk::Read, *protection, true), Gate::Open);
        }
    }

    #[test]
    fn read_only_refuses_every_change_whatever_is_typed() {
        for protection in Protection::ALL {
            for risk in [Risk::Change, Risk::Destroy] {
                let gate = Gate::of(risk, *protection, true);
                assert!(gate.check(&Consent::Typed("lab".into()), "lab").is_err());
            }
        }
    }

    #[test]
    fn a_gate_that_asks_for_a_yes_takes_no_other_word_for_it() {
        let gate = Gate::of(Risk::Change, Protection::Confirm, false);
        assert!(gate.check(&Consent::Yes, "staging").is_ok());
        assert!(
            gate.check(&Consent::Typed("staging".into()), "staging")
                .is_ok()
        );
        assert!(gate.check(&Consent::Typed("no".into()), "staging").is_err());
        assert!(gate.check(&Consent::None, "staging").is_err());
    }

    #[test]
    fn a_typed_gate_wants_the_exact_name() {
        let gate = Gate::of(Risk::Change, Protection::Typed, false);
        assert!(gate.check(&Consent::Yes, "production").is_err());
        assert!(
            gate.check(&Consent::Typed("prod".into()), "production")
                .is_err()
        );
        assert!(
            gate.check(&Consent::Typed("production".into()), "production")
                .is_ok()
        );
    }

    #[test]
    fn two_persons_begin_with_one_who_types_the_name() {
        let gate = Gate::of(Risk::Change, Protection::TwoPerson, false);
        assert_eq!(gate, Gate::SecondOperator);
        assert!(gate.check(&Consent::Yes, "production").is_err());
        assert!(
            gate.check(&Consent::Typed("prod".into()), "production")
                .is_err()
        );
        assert!(
            gate.check(&Consent::Typed("production".into()), "production")
                .is_ok()
        );
    }

    #[test]
    fn destruction_is_gated_harder_than_change() {
        assert_eq!(Gate::of(Risk::Change, Protection::Open, false), Gate::Open);
        assert_eq!(
            Gate::of(Risk::Destroy, Protection::Open, false),
            Gate::Confirm
        );
        assert_eq!(
            Gate::of(Risk::Destroy, Protection::Confirm, false),
            Gate::TypeName
        );
    }
}
