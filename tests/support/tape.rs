//! A recorded session with the practice cluster, and its replay.
//!
//! Recording runs the real lab, engine and recipes and keeps what a client sees of them: the answers and events of the
//! engine, and copies of the store. Replaying puts that behind the real client, reader, `update` and `view`, so a picture
//! made from it changes when, and only when, one of these does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use quarterdeck::client::{
    Client, Event, Link, Refusal, Request, Response, Subscription, Workspace,
};
use quarterdeck::domain::live::EnvironmentLive;
use quarterdeck::domain::table::Table;
use quarterdeck::store::{self, Reader};
use quarterdeck::tui::{self, Message, Model, Options, Setup};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// What a client saw of the engine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tape {
    pub(crate) workspace: Workspace,
    /// When the recording began, and what was known then.
    pub(crate) began: Timestamp,
    pub(crate) live: BTreeMap<String, EnvironmentLive>,
    /// What was published since, about nodes, services and findings.
    pub(crate) events: Vec<(Timestamp, Event)>,
    pub(crate) moments: BTreeMap<String, Moment>,
}

/// A moment of the session that pictures are taken of. The store as it was then is in `<name>.db`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// Rows of services' views, by `service/view`.
    pub(crate) tables: BTreeMap<String, Table>,
    /// What the engine answers to a request for a plan.
    pub(crate) plan: Response,
    /// What it answers to other requests, by [`key`].
    pub(crate) answers: BTreeMap<String, Response>,
}

/// A request as the tape names it.
pub(crate) fn key(request: &Request) -> String {
    serde_json::to_string(request).expect("the protocol is JSON")
}

/// Where the tape is kept.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tape")
}

impl Tape {
    pub(crate) fn load() -> Self {
        let path = folder().join("tape.json");
        let text = fs::read_to_string(&path).expect("the tape is part of the repository");
        serde_json::from_str(&text)
            .expect("the tape fits the client's protocol; record it anew if that has changed")
    }

    pub(crate) fn save(&self) {
        let text = serde_json::to_string(self).expect("the protocol is JSON");
        fs::write(folder().join("tape.json"), text).expect("the folder is writable");
    }
}

/// Answers as the engine did at one moment.
struct Recorded {
    tape: Arc<Tape>,
    moment: String,
    bus: broadcast::Sender<Event>,
}

#[async_trait]
impl Link for Recorded {
    async fn call(&self, request: Request) -> Result<Response, Refusal> {
        let moment = &self.tape.moments[&self.moment];
        match request {
            Request::Workspace => Ok(Response::Workspace(Box::new(self.tape.workspace.clone()))),
            Request::Live => Ok(Response::Live(self.tape.live.clone())),
            Request::Plan(_) => Ok(moment.plan.clone()),
            Request::Table { service, view, .. } => {
                let table = moment.tables.get(&format!("{service}/{view}"));
                table
                    .cloned()
                    .map(Response::Table)
                    .ok_or_else(|| Refusal::new("this was not recorded"))
            }
            other => moment
                .answers
                .get(&key(&other))
                .cloned()
                .ok_or_else(|| Refusal::new("this was not recorded")),
        }
    }

    fn subscribe(&self) -> Subscription {
        Subscription::new(self.bus.subscribe())
    }
}

/// Replays the tape up to `moment`, presses `keys`, and draws what an operator would see on a terminal of `size`.
///
/// Keys are characters, or names in angle brackets: `<enter>`, `<esc>`, `<down>`, `<tab>`.
pub(crate) async fn shoot(
    tape: &Arc<Tape>,
    moment: &str,
    size: (u16, u16),
    keys: &str,
    setup: impl FnOnce(&mut Setup),
) -> Buffer {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    // A copy, because SQLite may want to write beside a database even when it only reads.
    let database = scratch.path().join("store.db");
    fs::copy(folder().join(format!("{moment}.db")), &database)
        .expect("the moment's store was recorded");
    store::upgrade(&database).expect("the copy of the recorded store can be written");
    let history = Reader::open(&database)
        .expect("the store fits the reader; record it anew if that has changed");
    let link = Recorded {
        tape: Arc::clone(tape),
        moment: moment.into(),
        bus: broadcast::channel(1).0,
    };
    let client = Client::new(Arc::new(link), history);

    let mut start = Setup::new(tape.began, size);
    setup(&mut start);
    let options = Options::suited(|_| None);
    let mut model = Model::new(start);
    let opening = model.opening();
    settle(&mut model, &client, &options, opening).await;
    let until = tape.moments[moment].at;
    for (at, event) in tape.events.iter().filter(|(at, _)| *at <= until) {
        for message in [Message::Tick(*at), Message::Event(event.clone())] {
            let effects = tui::update(&mut model, message);
            settle(&mut model, &client, &options, effects).await;
        }
    }
    for message in std::iter::once(Message::Tick(until)).chain(parse(keys).map(Message::Key)) {
        let effects = tui::update(&mut model, message);
        settle(&mut model, &client, &options, effects).await;
    }
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    tui::view(&model, &mut buffer);
    buffer
}

/// Performs effects and those that their answers lead to, until there are none.
async fn settle(
    model: &mut Model,
    client: &Client,
    options: &Options,
    mut effects: Vec<tui::Effect>,
) {
    while !effects.is_empty() {
        let mut next = Vec::new();
        for effect in effects {
            if let Some(answer) = tui::answer(client, options, effect).await {
                next.extend(tui::update(model, Message::Answer(Box::new(answer))));
            }
        }
        effects = next;
    }
}

fn parse(keys: &str) -> impl Iterator<Item = KeyEvent> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let (code, length) =
            if let Some((name, _)) = rest.strip_prefix('<').and_then(|name| name.split_once('>')) {
                let code = match name {
                    "enter" => KeyCode::Enter,
                    "esc" => KeyCode::Esc,
                    "tab" => KeyCode::Tab,
                    "down" => KeyCode::Down,
                    other => panic!("no key is called {other}"),
                };
                (code, name.len() + 2)
            } else {
                let c = rest.chars().next()?;
                (KeyCode::Char(c), c.len_utf8())
            };
        rest = &rest[length..];
        Some(KeyEvent::new(code, KeyModifiers::NONE))
    })
}
