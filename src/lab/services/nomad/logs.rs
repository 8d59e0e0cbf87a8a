//! Task logs: <https://developer.hashicorp.com/nomad/api-docs/client#stream-logs>.
//!
//! The body is a sequence of JSON objects without separators. Data is in base64, a frame holds at most 64 KiB, its offset is
//! that within the file, and while nothing happens an empty object says every second that the connection lives.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::answer::{Refusal, Server};
use super::shapes::Frame;
use super::state::{Allocation, Nomad, Status};
use crate::lab::services::http::{self, Params, base64};

/// The largest piece of a log in one frame.
const FRAME_MAX: usize = 64 * 1024;
/// How often the end of a followed log is looked at.
const BATCH: Duration = Duration::from_millis(200);
/// How often an idle stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A task writes a line this often.
const LINE_EVERY: SignedDuration = SignedDuration::from_secs(2);
/// Logs are rotated away beyond this many lines, so that a long practice stays small.
const LINES_MAX: u64 = 5_000;

/// `GET /v1/client/fs/logs/:allocation`.
pub(crate) async fn follow(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    match open(&server, id, &headers, &params) {
        Ok(response) => response,
        Err(refusal) => refusal.into(),
    }
}

fn open(
    server: &Server,
    id: String,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, Refusal> {
    let flag = |name: &str| match params.get(name) {
        None | Some("" | "false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(Refusal(
            400,
            format!("failed to parse {name} field to boolean"),
        )),
    };
    let task = params
        .get("task")
        .filter(|task| !task.is_empty())
        .ok_or_else(|| Refusal(400, "must provide task name".into()))?;
    let (follow, plain) = (flag("follow")?, flag("plain")?);
    let errors = match params.get("type") {
        Some("stdout") => false,
        Some("stderr") => true,
        _ => return Err(Refusal(400, "must provide log type (stdout/stderr)".into())),
    };
    let offset = params
        .number("offset", 0)
        .map_err(|value| Refusal(400, format!("error parsing offset: {value}")))?;
    let from_end = match params.get("origin") {
        None | Some("" | "start") => false,
        Some("end") => true,
        Some(_) => return Err(Refusal(400, "origin must be start or end".into())),
    };
    server.require(headers)?;
    let log = server.sim.with(|nomad, now| {
        let allocation = nomad
            .allocation(&id)
            .ok_or_else(|| Refusal(404, format!("unknown allocation {id:?}")))?;
        if nomad.jobs[allocation.job].task != task {
            return Err(Refusal(404, format!("unknown task name {task:?}")));
        }
        let reachable = nomad
            .clients
            .get(&allocation.client)
            .is_some_and(|client| client.pulse.alive());
        if !reachable {
            return Err(Refusal(404, "No path to node".into()));
        }
        Ok(content(nomad, allocation, errors, now))
    })?;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let at = if from_end {
        log.len().saturating_sub(offset)
    } else {
        offset.min(log.len())
    };
    let reading = Reading {
        server: server.clone(),
        id,
        file: format!(
            "alloc/logs/{task}.{}.0",
            if errors { "stderr" } else { "stdout" }
        ),
        errors,
        follow,
        plain,
        at,
        spoke: Instant::now(),
    };
    let body = Body::from_stream(stream::unfold(reading, next));
    let kind = if plain {
        "text/plain"
    } else {
        "application/json"
    };
    Ok(http::reply(200, kind, body))
}

/// A client in the middle of a log.
struct Reading {
    server: Server,
    id: String,
    file: String,
    errors: bool,
    follow: bool,
    plain: bool,
    at: usize,
    spoke: Instant,
}

async fn next(mut reading: Reading) -> Option<(Result<Bytes, Infallible>, Reading)> {
    loop {
        let log = reading.server.sim.with(|nomad, now| {
            let allocation = nomad.allocation(&reading.id)?;
            let log = content(nomad, allocation, reading.errors, now);
            Some((log, allocation.status != Status::Lost))
        });
        let (log, living) = log?;
        if reading.at < log.len() {
            let end = log.len().min(reading.at + FRAME_MAX);
            let data = &log.as_bytes()[reading.at..end];
            let bytes = if reading.plain {
                Bytes::copy_from_slice(data)
            } else {
                frame(&Frame {
                    offset: u64::try_from(reading.at).unwrap_or(u64::MAX),
                    data: base64(data),
                    file: reading.file.clone(),
                })
            };
            reading.at = end;
            reading.spoke = Instant::now();
            return Some((Ok(bytes), reading));
        }
        if !reading.follow || !living {
            return None;
        }
        if !reading.plain && reading.spoke.elapsed() >= HEARTBEAT {
            reading.spoke = Instant::now();
            return Some((Ok(frame(&Frame::default())), reading));
        }
        tokio::time::sleep(BATCH).await;
    }
}

fn frame(frame: &Frame) -> Bytes {
    // A struct of strings and numbers always has a JSON form.
    serde_json::to_vec(frame).unwrap_or_default().into()
}

/// What the task has written by `now`: a line every two seconds; errors are rarer.
fn content(nomad: &Nomad, allocation: &Allocation, errors: bool, now: Timestamp) -> String {
    let Some(started) = allocation.started() else {
        return String::new();
    };
    let end = if allocation.status == Status::Lost {
        allocation.changed
    } else {
        now
    };
    let elapsed = end.duration_since(started).as_secs().max(0);
    let lines = u64::try_from(elapsed / LINE_EVERY.as_secs()).unwrap_or(0);
    let name = nomad.name_of(allocation);
    let mut text = String::new();
    for line in 0..lines.min(LINES_MAX) {
        let seed = nomad.ids.below(&format!("{}/{line}", allocation.id), 1000);
        let time = started + LINE_EVERY * i32::try_from(line).unwrap_or(i32::MAX);
        // Writing to a String cannot fail.
        let _ = if errors {
            if seed >= 50 {
                continue;
            }
            writeln!(text, "{time} WARN {name}: upstream took {} ms", 200 + seed)
        } else {
            writeln!(
                text,
                "{time} INFO {name}: GET /items/{seed} 200 {} ms",
                1 + seed % 40
            )
        };
    }
    text
}
