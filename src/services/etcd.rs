//! etcd, version 3, through its JSON gateway (<https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>).
//!
//! Every member is asked for itself: what a member says of the others is only who they are, never how. Numbers of 64 bits come as
//! strings.

mod act;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::api::{Auth, Endpoint, Until};
use super::{Acted, Service, ServiceError, Tell, ViewSpec, gather, not_mine};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service_action::ServiceAction;
use crate::domain::table::{Cell, Table, Tone};

/// The lists of an etcd cluster.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "members",
        title: "Members",
    },
    ViewSpec {
        id: "alarms",
        title: "Alarms",
    },
];

/// See the module.
pub(super) struct Etcd {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) access: Access,
}

/// `/v3/maintenance/status`: how the member that is asked is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    #[serde(default)]
    version: String,
    #[serde(default, deserialize_with = "number")]
    db_size: u64,
    /// The id of the leader; 0 or absent without one.
    #[serde(default, deserialize_with = "number")]
    leader: u64,
    #[serde(default, deserialize_with = "number")]
    raft_index: u64,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "number")]
    member_id: u64,
}

/// `/v3/cluster/member/list`.
#[derive(Deserialize)]
struct MemberList {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "ID", default, deserialize_with = "number")]
    id: u64,
    /// Empty until it has started for the first time.
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    learner: bool,
}

impl Member {
    fn title(&self) -> String {
        if self.name.is_empty() {
            format!("{:x}", self.id)
        } else {
            self.name.clone()
        }
    }
}

/// `/v3/maintenance/alarm`.
#[derive(Deserialize)]
struct AlarmList {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
struct Alarm {
    #[serde(rename = "memberID", default, deserialize_with = "number")]
    member: u64,
    /// `NOSPACE` or `CORRUPT`.
    #[serde(default)]
    alarm: String,
}

/// A number of 64 bits, which protobuf's JSON writes as a string.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(from)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// How etcd lets one in: by a token of its own, for a name and a password; by nothing where there is none.
pub(super) struct Access {
    pub(super) user: Option<String>,
    pub(super) secret: Option<SecretString>,
}

/// `/v3/auth/authenticate`, as it is asked.
#[derive(Serialize)]
struct Credentials<'a> {
    name: &'a str,
    password: &'a str,
}

impl Access {
    /// `endpoint` with the token that it gives out.
    pub(super) async fn let_in(
        &self,
        endpoint: &Endpoint,
        until: Until,
    ) -> Result<Endpoint, ServiceError> {
        let (Some(user), Some(secret)) = (&self.user, &self.secret) else {
            return Ok(endpoint.clone());
        };
        let asked = Credentials {
            name: user,
            password: secret.expose_secret(),
        };
        let asked = serde_json::to_string(&asked)
            .map(Zeroizing::new)
            .map_err(|error| ServiceError::Setup(error.to_string()))?;
        let answer: Value = endpoint
            .post_secret("/v3/auth/authenticate", asked, until)
            .await?
            .success()?
            .json()?;
        let token = answer["token"]
            .as_str()
            .ok_or_else(|| ServiceError::Malformed {
                url: format!("{}/v3/auth/authenticate", endpoint.base),
                reason: "no token".into(),
            })?;
        let auth = Auth::Header("authorization", SecretString::from(token.to_owned()));
        Ok(endpoint.with(auth, "application/json"))
    }
}

/// What the members that answer say, and who they are.
struct Seen<'a> {
    /// Each endpoint with its answer.
    statuses: Vec<(&'a Endpoint, Result<Status, ServiceError>)>,
    /// As the first that answers has it.
    members: Vec<Member>,
    /// The first that answers, let in.
    front: Endpoint,
}

impl Seen<'_> {
    /// What the member of that id says of itself; `None` when its endpoint is not known or it does not answer.
    fn status(&self, id: u64) -> Option<&Status> {
        self.statuses
            .iter()
            .filter_map(|(_, status)| status.as_ref().ok())
            .find(|status| status.header.member_id == id)
    }

    fn name(&self, id: u64) -> Option<String> {
        let member = self.members.iter().find(|member| member.id == id);
        member.map(Member::title)
    }

    /// The leader that all who answer agree on.
    fn leader(&self) -> Option<u64> {
        let answers = self.statuses.iter();
        let mut leaders = answers
            .filter_map(|(_, status)| status.as_ref().ok())
            .map(|status| status.leader);
        let first = leaders.next().filter(|leader| *leader != 0)?;
        leaders.all(|leader| leader == first).then_some(first)
    }
}

impl Etcd {
    async fn look(&self, until: Until) -> Result<Seen<'_>, ServiceError> {
        let asked = self.endpoints.iter().map(async |endpoint| {
            let answer = async {
                let inside = self.access.let_in(endpoint, until).await?;
                let status: Status = inside
                    .post("/v3/maintenance/status", &json!({}), until)
                    .await?
                    .success()?
                    .json()?;
                Ok::<_, ServiceError>((inside, status))
            };
            (endpoint, answer.await)
        });
        let mut front = None;
        let mut refusal = None;
        let mut statuses = Vec::with_capacity(self.endpoints.len());
        for (endpoint, answer) in futures::future::join_all(asked).await {
            let status = match answer {
                Ok((inside, status)) => {
                    front.get_or_insert(inside);
                    Ok(status)
                }
                Err(error) => {
                    refusal.get_or_insert(error.clone());
                    Err(error)
                }
            };
            statuses.push((endpoint, status));
        }
        let Some(front) = front else {
            return Err(refusal.unwrap_or_else(|| ServiceError::Setup("no endpoint".into())));
        };
        let list: MemberList = front
            .post("/v3/cluster/member/list", &json!({}), until)
            .await?
            .success()?
            .json()?;
        Ok(Seen {
            statuses,
            members: list.members,
            front,
        })
    }
}

async fn alarms(endpoint: &Endpoint, until: Until) -> Result<Vec<Alarm>, ServiceError> {
    let list: AlarmList = endpoint
        .post("/v3/maintenance/alarm", &json!({ "action": "GET" }), until)
        .await?
        .success()?
        .json()?;
    Ok(list.alarms)
}

/// What an alarm means for whoever writes.
fn meaning(alarm: &str) -> &'static str {
    match alarm {
        "NOSPACE" => {
            "its database is full, and nothing can be written until it is compacted and the alarm disarmed"
        }
        "CORRUPT" => "its data differs from that of the others",
        _ => "see etcdctl alarm list",
    }
}

#[async_trait]
impl Service for Etcd {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let seen = self.look(until).await?;
        let latency_ms = super::millis(started);
        let mut problems = Vec::new();
        let leader = seen.leader();
        if leader.is_none() {
            problems.push(Problem {
                key: "no-leader".into(),
                health: Health::Down,
                text:
                    "no leader that the members agree on: nothing can be written until a majority of them is back"
                        .into(),
            });
        }
        for (endpoint, status) in &seen.statuses {
            if let Err(error) = status {
                problems.push(Problem {
                    key: format!("endpoint:{}", endpoint.name),
                    health: Health::Warn,
                    text: format!("{} does not answer: {error}", endpoint.name),
                });
            }
        }
        let raised = gather(alarms(&seen.front, until).await, "alarms", &mut problems);
        for alarm in raised.into_iter().flatten() {
            let name = seen.name(alarm.member);
            let name = name.unwrap_or_else(|| format!("{:x}", alarm.member));
            problems.push(Problem {
                key: format!("alarm:{}:{name}", alarm.alarm),
                health: Health::Down,
                text: format!("alarm {} of {name}: {}", alarm.alarm, meaning(&alarm.alarm)),
            });
        }
        let answering = |member: &&Member| seen.status(member.id).is_some();
        let well = seen.members.iter().filter(answering).count();
        let statuses = seen.statuses.iter();
        let newest = statuses
            .filter_map(|(_, status)| status.as_ref().ok())
            .max_by_key(|status| status.raft_index);
        Ok(ServiceReport {
            health: super::worst(&problems),
            version: newest
                .map(|status| status.version.clone())
                .filter(|version| !version.is_empty()),
            leader: leader.map(|leader| seen.name(leader).unwrap_or_else(|| format!("{leader:x}"))),
            members: Some(Members {
                well: super::count(well),
                total: super::count(seen.members.len()),
            }),
            summary: format!(
                "{well} of {} members answer, {} KiB",
                seen.members.len(),
                newest.map_or(0, |status| status.db_size) / 1024
            ),
            problems,
            latency_ms,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        VIEWS
    }

    async fn act(
        &self,
        action: &ServiceAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            ServiceAction::Etcd(action) => self.carry_out(action, tell, cancel).await,
            other => Err(not_mine(other)),
        }
    }

    async fn voters(&self, deadline: Duration) -> Result<Option<Vec<Voter>>, ServiceError> {
        let seen = self.look(Until::after(deadline)).await?;
        let voters = seen.members.iter().filter(|member| !member.learner);
        Ok(Some(
            voters
                .map(|member| Voter {
                    name: member.title(),
                    alive: seen.status(member.id).is_some(),
                })
                .collect(),
        ))
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        if VIEWS.iter().all(|known| known.id != view) {
            return Err(ServiceError::NoSuchView(view.into()));
        }
        let until = Until::after(deadline);
        let seen = self.look(until).await?;
        if view == "members" {
            return Ok(members(&seen));
        }
        let mut table = Table::new("Alarms", ["ALARM", "MEMBER", "MEANS"], "no alarm is raised");
        for alarm in alarms(&seen.front, until).await? {
            let name = seen.name(alarm.member);
            let name = name.unwrap_or_else(|| format!("{:x}", alarm.member));
            table.push(
                format!("{}:{name}", alarm.alarm),
                [
                    Cell::new(alarm.alarm.as_str(), Tone::Bad),
                    name.into(),
                    meaning(&alarm.alarm).into(),
                ],
            );
        }
        Ok(table)
    }
}

fn members(seen: &Seen<'_>) -> Table {
    let columns = [
        "MEMBER",
        "STATE",
        "VERSION",
        "RAFT INDEX",
        "SIZE",
        "PEERS AT",
    ];
    let mut table = Table::new("Members", columns, "no members");
    let silent: Vec<&str> = seen
        .statuses
        .iter()
        .filter(|(_, status)| status.is_err())
        .map(|(endpoint, _)| endpoint.name.as_str())
        .collect();
    for member in &seen.members {
        let status = seen.status(member.id);
        let state = match status {
            Some(status) if status.leader == member.id => Cell::new("leader", Tone::Accent),
            Some(status) if status.leader == 0 => Cell::new("no leader", Tone::Bad),
            Some(_) if member.learner => Cell::new("learner", Tone::Warn),
            Some(_) => Cell::new("follower", Tone::Good),
            None if member.name.is_empty() => Cell::new("never started", Tone::Bad),
            None if silent.contains(&member.name.as_str()) => {
                Cell::new("does not answer", Tone::Bad)
            }
            // The environment has no endpoint of it, or whoever asks wants to hear others about it.
            None => Cell::new("started", Tone::Muted),
        };
        let told = |text: fn(&Status) -> String| status.map_or_else(|| "-".to_owned(), text);
        table.push(
            format!("{:x}", member.id),
            [
                member.title().into(),
                state,
                told(|status| status.version.clone()).into(),
                told(|status| status.raft_index.to_string()).into(),
                told(|status| format!("{} KiB", status.db_size / 1024)).into(),
                member.peer_urls.join(" ").into(),
            ],
        );
    }
    table
}
