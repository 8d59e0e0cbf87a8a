//! The plans that one operator was shown, on one connection: each is good for one run.
//!
//! Two operators who look at the same plan hold it apart: the one's run does not use up the other's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Refusal;
use crate::domain::plan::Plan;

/// Plans that are remembered; older ones must be made again.
const MOST: usize = 16;

/// What was shown to one operator and was not started yet.
#[derive(Default)]
pub(super) struct Shown {
    /// Newest last.
    plans: Mutex<VecDeque<Arc<Plan>>>,
}

impl Shown {
    /// Remembers a plan that is about to be shown, or was not started after all.
    pub(super) fn keep(&self, plan: Arc<Plan>) {
        let mut plans = self.lock();
        plans.retain(|kept| kept.hash != plan.hash);
        if plans.len() == MOST {
            plans.pop_front();
        }
        plans.push_back(plan);
    }

    /// Takes the plan with this hash: whoever asks for it again meanwhile does not get it.
    ///
    /// # Errors
    /// [`Refusal`] when it was not shown here, or was taken.
    pub(super) fn take(&self, hash: &str) -> Result<Arc<Plan>, Refusal> {
        let mut plans = self.lock();
        let place = plans.iter().position(|plan| plan.hash == hash);
        place.and_then(|place| plans.remove(place)).ok_or_else(|| {
            Refusal::new(
                "this plan is not known, or was started already; an approval is good for one run: plan again",
            )
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::Risk;
    use crate::domain::plan::PlanRequest;

    fn plan(hash: &str) -> Arc<Plan> {
        Arc::new(Plan {
            hash: hash.into(),
            ..Plan::new(
                PlanRequest::default(),
                "Deploy".into(),
                Risk::Read,
                Vec::new(),
            )
        })
    }

    #[test]
    fn old_plans_are_forgotten_and_taken_ones_too() {
        let shown = Shown::default();
        for number in 0..=MOST {
            shown.keep(plan(&number.to_string()));
        }
        assert!(shown.take("0").is_err());
        let taken = shown.take("1").unwrap();
        assert!(shown.take("1").is_err());
        shown.keep(taken);
        assert!(shown.take("1").is_ok());
        // Shown twice is still good for one run.
        shown.keep(plan("2"));
        assert!(shown.take("2").is_ok());
        assert!(shown.take("2").is_err());
    }
}
