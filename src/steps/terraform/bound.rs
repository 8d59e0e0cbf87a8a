//! What an approval of a plan is bound to, and whether that has moved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::approve::Bound;
use super::super::{Context, StepError};
use super::place::Place;
use super::plan::{Shown, checksum};
use super::state;
use crate::domain::approval::Approver;
use crate::domain::environment::Protection;

/// How long looking may take to end when it is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A plan that waits for an approval.
struct Waiting {
    shown: Shown,
    plan_file: PathBuf,
    context: Context,
}

/// A plan that is asked about, who must decide, and what it comes to in a sentence.
pub(in crate::steps) type Asked = (Arc<dyn Bound>, Approver, String);

/// What the step `id` planned, for whoever is asked about it, and who must be; `None` when it changes nothing.
///
/// # Errors
/// When it has not planned.
pub(in crate::steps) fn bound_to(
    id: &str,
    by: Approver,
    context: &Context,
) -> Result<Option<Asked>, StepError> {
    let (shown, plan_file) = Shown::read(id, context)?;
    if !shown.changes {
        return Ok(None);
    }
    // Where two are needed to begin a run, two are needed for what it found out since.
    let by = if context.environment.protection == Protection::TwoPerson {
        Approver::Second
    } else {
        by
    };
    let sentence = shown.sentence.clone();
    let waiting = Waiting {
        shown,
        plan_file,
        context: context.clone(),
    };
    Ok(Some((Arc::new(waiting), by, sentence)))
}

#[async_trait]
impl Bound for Waiting {
    fn hash(&self) -> String {
        self.shown.hash()
    }

    fn details(&self) -> Vec<String> {
        self.shown.lines.clone()
    }

    async fn moved(&self) -> Option<String> {
        let place = match Place::enter(&self.shown.root, GRACE, &self.context).await {
            Ok(place) => place,
            Err(error) => return Some(error.message),
        };
        moved(&self.shown, &self.plan_file, &place, &self.context)
            .await
            .unwrap_or_else(|error| Some(error.message))
    }
}

/// What has moved since the plan was shown; `None` when nothing has.
pub(super) async fn moved(
    shown: &Shown,
    plan_file: &std::path::Path,
    place: &Place,
    context: &Context,
) -> Result<Option<String>, StepError> {
    if checksum(plan_file)? != shown.file {
        return Ok(Some("the plan file is another one".into()));
    }
    let now = place.files().await?;
    if let Some(difference) = difference(&shown.files, &now) {
        return Ok(Some(difference));
    }
    let state = state::id(place, context).await?;
    if state != shown.state {
        return Ok(Some(format!(
            "it was made from {}, now there is {state}",
            shown.state
        )));
    }
    Ok(None)
}

/// The first file that is not what it was.
fn difference(was: &BTreeMap<String, String>, is: &BTreeMap<String, String>) -> Option<String> {
    if let Some((name, _)) = was.iter().find(|(name, sum)| is.get(*name) != Some(sum)) {
        let what = if is.contains_key(name) {
            "edited"
        } else {
            "removed"
        };
        return Some(format!("{name} was {what}"));
    }
    let new = is.keys().find(|name| !was.contains_key(*name))?;
    Some(format!("{new} is new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_named() {
        let files = |text: &[(&str, &str)]| {
            let pair = |(name, sum): &(&str, &str)| ((*name).to_owned(), (*sum).to_owned());
            text.iter().map(pair).collect::<BTreeMap<_, _>>()
        };
        let was = files(&[("a.tf", "1"), ("b.tf", "2")]);
        let told = |is: &[(&str, &str)]| difference(&was, &files(is));
        assert_eq!(told(&[("a.tf", "1"), ("b.tf", "2")]), None);
        assert_eq!(
            told(&[("a.tf", "9"), ("b.tf", "2")]).as_deref(),
            Some("a.tf was edited")
        );
        assert_eq!(told(&[("a.tf", "1")]).as_deref(), Some("b.tf was removed"));
        assert_eq!(
            told(&[("a.tf", "1"), ("b.tf", "2"), ("c.tf", "3")]).as_deref(),
            Some("c.tf is new")
        );
    }
}
