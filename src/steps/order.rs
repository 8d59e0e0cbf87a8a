//! The order of a recipe's steps: every step after those it needs, otherwise as the file has them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::domain::recipe::Step;

/// Why steps have no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrderError {
    /// A need that is nobody's id.
    #[error("step {step:?} needs {need:?}, which is no step of this recipe")]
    Unknown {
        /// Who needs it.
        step: String,
        /// What is needed.
        need: String,
    },
    /// Steps that wait for one another.
    #[error("steps wait for one another: {}", .0.join(" → "))]
    Cycle(Vec<String>),
}

/// Indices of the steps in an order that respects `needs` and is otherwise that of the slice.
///
/// # Errors
/// [`OrderError`] when there is none.
pub(super) fn topological(steps: &[Step]) -> Result<Vec<usize>, OrderError> {
    let by_id: BTreeMap<&str, usize> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| (step.id.as_str(), index))
        .collect();
    let mut waits_for = vec![0_usize; steps.len()];
    let mut needed_by = vec![Vec::new(); steps.len()];
    for (index, step) in steps.iter().enumerate() {
        for need in &step.needs {
            let Some(&needed) = by_id.get(need.as_str()) else {
                return Err(OrderError::Unknown {
                    step: step.id.clone(),
                    need: need.clone(),
                });
            };
            waits_for[index] += 1;
            needed_by[needed].push(index);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..steps.len())
        .filter(|&index| waits_for[index] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &next in &needed_by[index] {
            waits_for[next] -= 1;
            if waits_for[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if order.len() == steps.len() {
        return Ok(order);
    }
    Err(OrderError::Cycle(find_cycle(steps, &by_id, &waits_for)))
}

/// Follows needs among the steps that never became ready: each of them has one that did not either.
fn find_cycle(steps: &[Step], by_id: &BTreeMap<&str, usize>, waits_for: &[usize]) -> Vec<String> {
    let mut path: Vec<usize> = Vec::new();
    let mut current = waits_for.iter().position(|&waits| waits > 0);
    while let Some(index) = current {
        if let Some(start) = path.iter().position(|&seen| seen == index) {
            return path[start..]
                .iter()
                .chain(std::iter::once(&index))
                .map(|&index| steps[index].id.clone())
                .collect();
        }
        path.push(index);
        current = steps[index]
            .needs
            .iter()
            .filter_map(|need| by_id.get(need.as_str()).copied())
            .find(|&need| waits_for[need] > 0);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(id: &str, needs: &[&str]) -> Step {
        Step {
            id: id.into(),
            needs: needs.iter().map(|&need| need.into()).collect(),
            ..Step::default()
        }
    }

    #[test]
    fn steps_without_needs_keep_the_order_of_the_file() {
        let steps = [step("c", &[]), step("a", &[]), step("b", &[])];
        assert_eq!(topological(&steps), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_step_comes_after_what_it_needs_even_when_the_file_has_it_before() {
        let steps = [
            step("start", &["install"]),
            step("install", &[]),
            step("report", &[]),
        ];
        assert_eq!(topological(&steps), Ok(vec![1, 0, 2]));
    }

    #[test]
    fn a_cycle_is_told_as_the_way_round() {
        let steps = [step("a", &["b"]), step("b", &["c"]), step("c", &["b"])];
        let error = topological(&steps).unwrap_err();
        assert_eq!(error.to_string(), "steps wait for one another: b → c → b");
    }

    #[test]
    fn an_unknown_need_is_named_with_who_needs_it() {
        let error = topological(&[step("a", &["b"])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "step \"a\" needs \"b\", which is no step of this recipe"
        );
    }

    proptest! {
        #[test]
        fn every_graph_without_cycles_is_ordered(edges in prop::collection::vec((0_usize..20, 0_usize..20), 0..60)) {
            // An edge from a higher to a lower number can never close a circle.
            let steps: Vec<Step> = (0..20)
                .map(|index| Step {
                    id: index.to_string(),
                    needs: edges
                        .iter()
                        .filter(|(a, b)| a.max(b) == &index && a != b)
                        .map(|(a, b)| a.min(b).to_string())
                        .collect(),
                    ..Step::default()
                })
                .rev()
                .collect();
            let order = topological(&steps).unwrap();
            let position = |id: &str| order.iter().position(|&at| steps[at].id == id).unwrap();
            for step in &steps {
                for need in &step.needs {
                    prop_assert!(position(need) < position(&step.id));
                }
            }
        }
    }
}
