//! What an etcd cluster can be told: to make room.
//!
//! A member whose database is as large as its quota raises the alarm NOSPACE, and from then on the cluster only reads and
//! deletes. The way out is always the same (<https://etcd.io/docs/v3.5/op-guide/maintenance/#space-quota>): forget old
//! revisions, give the room that leaves back, member by member and never two at once, and disarm the alarm.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Alarm, Etcd, Status, alarms};
use crate::domain::service_action::EtcdAction;
use crate::services::api::{Endpoint, Until};
use crate::services::{Acted, ServiceError, Tell};

/// The longest that a short request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest that a member may take to write its database anew; it answers nobody meanwhile.
const DEFRAGMENT: Duration = Duration::from_secs(120);
/// The alarm of a full database.
const FULL: &str = "NOSPACE";

impl Etcd {
    /// See [`crate::services::Service::act`].
    pub(super) async fn carry_out(
        &self,
        action: &EtcdAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            EtcdAction::Reclaim {} => self.reclaim(tell, cancel).await,
        }
    }

    async fn reclaim(
        &self,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        let seen = self.look(Until::after(LIMIT)).await?;
        let raised = full(&seen.front).await?;
        if raised.is_empty() {
            return Ok(Acted::Already("no member's database is full".into()));
        }
        // Defragmenting a member alone would leave the others full, and the alarm would be back at once.
        if let Some((endpoint, error)) = seen
            .statuses
            .iter()
            .find_map(|(endpoint, status)| Some((endpoint, status.as_ref().err()?)))
        {
            return Err(ServiceError::Setup(format!(
                "{} does not answer ({error}): every member has to make room",
                endpoint.name
            )));
        }
        // And only a member whose endpoint is known can be told to.
        if let Some(member) = seen
            .members
            .iter()
            .find(|one| seen.status(one.id).is_none())
        {
            return Err(ServiceError::Setup(format!(
                "the environment file has no URL of the member {}: every member has to make room",
                member.title()
            )));
        }
        let revision = compact(&seen.front).await?;
        tell(format!("forgot what was before revision {revision}"));
        let leader = seen.leader();
        let answers = seen.statuses.iter();
        let mut members: Vec<(&Endpoint, u64)> = answers
            .filter_map(|(endpoint, status)| {
                Some((*endpoint, status.as_ref().ok()?.header.member_id))
            })
            .collect();
        // A leader that answers nobody loses its office: as the last one it does so once at most.
        members.sort_by_key(|(_, id)| Some(*id) == leader);
        let mut front = seen.front;
        // Of all members together, and the first that was full and stays so; in bytes.
        let (mut won, mut left_full) = (0, None);
        for (endpoint, id) in members {
            if cancel.is_cancelled() {
                return Err(stopped(None));
            }
            // A token that was had before may have run out while another member was at it.
            front = self.access.let_in(endpoint, Until::after(LIMIT)).await?;
            let was = size(&front).await?;
            defragment(&front, cancel).await?;
            let is = size(&front).await?;
            tell(format!(
                "{}: {} KiB of {} KiB are left",
                endpoint.name,
                is / 1024,
                was / 1024
            ));
            let gain = was.saturating_sub(is);
            won += gain;
            if gain < was / 10 && raised.iter().any(|alarm| alarm.member == id) {
                left_full.get_or_insert((endpoint, gain));
            }
        }
        for alarm in &raised {
            let disarm = json!({ "action": "DEACTIVATE", "memberID": alarm.member.to_string(), "alarm": FULL });
            front
                .post("/v3/maintenance/alarm", &disarm, Until::after(LIMIT))
                .await?
                .success()?;
        }
        // What it won is all there is until the next alarm, which stops the whole cluster again.
        if let Some((endpoint, gain)) = left_full {
            return Err(ServiceError::Setup(format!(
                "the alarm is disarmed, but {} won only {} KiB: delete keys or raise --quota-backend-bytes",
                endpoint.name,
                gain / 1024
            )));
        }
        Ok(Acted::Changed(format!(
            "{} KiB were won, and the alarm is disarmed",
            won / 1024
        )))
    }
}

/// Has the member at `inside` write its database anew.
async fn defragment(inside: &Endpoint, cancel: &CancellationToken) -> Result<(), ServiceError> {
    let (nothing, until) = (json!({}), Until::after(DEFRAGMENT));
    tokio::select! {
        answer = inside.post("/v3/maintenance/defragment", &nothing, until) => answer?.success().map(drop),
        // A member that has begun ends it all the same.
        () = cancel.cancelled() => Err(stopped(Some(inside))),
    }
}

fn stopped(busy: Option<&Endpoint>) -> ServiceError {
    let busy = busy.map_or_else(String::new, |endpoint| {
        format!("{} is still at it, ", endpoint.name)
    });
    ServiceError::Setup(format!(
        "stopped: {busy}the alarm is still on, and nothing can be written"
    ))
}

/// The alarms of members whose database is full.
async fn full(front: &Endpoint) -> Result<Vec<Alarm>, ServiceError> {
    let raised = alarms(front, Until::after(LIMIT)).await?;
    Ok(raised
        .into_iter()
        .filter(|alarm| alarm.alarm == FULL)
        .collect())
}

/// Forgets all but the newest revision, which is returned.
async fn compact(front: &Endpoint) -> Result<i64, ServiceError> {
    let until = Until::after(LIMIT);
    // Any read tells the revision; nothing of the key matters.
    let read = json!({ "key": "AA==", "count_only": true });
    let answer: Value = front
        .post("/v3/kv/range", &read, until)
        .await?
        .success()?
        .json()?;
    let revision = answer["header"]["revision"].as_str();
    let revision = revision
        .and_then(|text| text.parse::<i64>().ok())
        .ok_or_else(|| ServiceError::Malformed {
            url: format!("{}/v3/kv/range", front.base),
            reason: "no revision".into(),
        })?;
    let asked = json!({ "revision": revision.to_string(), "physical": true });
    let done = front
        .post("/v3/kv/compaction", &asked, Until::after(DEFRAGMENT))
        .await?;
    match done.success() {
        Ok(_) => Ok(revision),
        // Somebody else has been there already.
        Err(ServiceError::Status { reason, .. }) if reason.contains("has been compacted") => {
            Ok(revision)
        }
        Err(error) => Err(error),
    }
}

/// Bytes of the database of the member at `inside`.
async fn size(inside: &Endpoint) -> Result<u64, ServiceError> {
    let status: Status = inside
        .post("/v3/maintenance/status", &json!({}), Until::after(LIMIT))
        .await?
        .success()?
        .json()?;
    Ok(status.db_size)
}

#[cfg(test)]
mod tests;
