//! Quarterdeck: a terminal cockpit that builds, watches and repairs a self-hosted cluster.
//!
//! # The house
//!
//! A room per module, arrows only downwards. `tests/architecture.rs` walks the `use` lines and fails when one
//! points up or sideways.
//!
//! ```text
//!             main ── cli
//!                      │ (chooses)
//!        ┌─────────────┼─────────────┬──────────────┐
//!       tui            │           engine          lab        lab: imported by cli and tests only
//!        └──── client ─┘             │
//!                │                   │
//!                │      ┌────────────┴────────────┐
//!                │    steps ──────────────┐    (pollers)
//!                │      │        ┌────────┴───────┤
//!                │      ├── resources         services         one file each; one folder per adapter
//!                │      └────────┴───────┬────────┘
//!                │                   transport                 ssh (russh), local processes, http
//!              store ────────────────────┤                     SQLite: Writer (engine only), Reader (everyone)
//!                └──────── config ───────┤                     YAML with positions → domain
//!                                      domain                  pure data and rules: no I/O, no async, no clock
//! ```
//!
//! | Room | Holds |
//! |---|---|
//! | [`domain`] | environments, nodes, platforms, roles, recipes, plans, runs, findings, tables and their rules |
//! | [`config`] | finding, reading and checking a workspace; diagnostics with positions; the JSON Schema |
//! | [`transport`] | the SSH client, child processes, HTTP with deadlines |
//! | [`services`] | one adapter per system: report, tables |
//! | [`resources`] | declared states of a host: check → diff → apply |
//! | [`steps`] | recipes, templates, plans, and the executor of each kind of step |
//! | [`store`] | runs, tasks, events and log lines in SQLite |
//! | [`engine`] | scheduler, workers, pollers, event bus, the socket's door |
//! | [`client`] | the protocol between the engine and everything that shows or commands it, and its Unix socket |
//! | [`tui`] | the screens: pure `update` and `view`, effects as values |
//! | [`lab`] | a practice cluster: simulated nodes and services behind real sockets |
//! | [`cli`] | the command line |
//!
//! # The way of an action
//!
//! A key press, a palette entry and `quarterdeck run` all become a [`client::Request::Plan`]. The engine renders the
//! recipe for the environment into a [`domain::plan::Plan`] with a hash; the client shows it behind the gate that
//! [`domain::action::Gate`] demands; [`client::Request::Start`] names the hash that was agreed to. From there the run
//! belongs to the engine: each transition is committed to the store, then published, then acted on.

pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod fault;
pub mod lab;
pub mod resources;
pub mod services;
pub mod steps;
pub mod store;
pub mod transport;
pub mod tui;
