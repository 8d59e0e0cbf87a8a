//! The screens: pure `update` and `view`, effects as values, one runner that performs them.
//!
//! ```text
//!   keys, paste, resize ─┐                                   ┌─► view(&Model) ─► Buffer ─► what changed ─► terminal
//!   engine events ───────┼─► Message ─► update(&mut Model) ──┤
//!   answers, clock ──────┘                                   └─► Vec<Effect> ─► runner ─► client, store, clipboard
//!                    ▲                                                             │
//!                    └─────────────────────────── Answer ──────────────────────────┘
//! ```
//!
//! Nothing in `update` or `view` waits, reads the clock or the environment: a recorded session (a *tape* of
//! [`Message`]s) replays to the same pictures on every machine.
//!
//! | Part | Holds |
//! |---|---|
//! | [`Model`] | everything there is to know: the world, the screens, the layers above them |
//! | `screens` | a folder per screen: state, drawing, tests |
//! | `layers` | palette, prompts, menu, forms, plans, questions, sheets |
//! | `keymap` | the keys as data; help and footer are made from it |
//! | `paint` | buffer, look, and the shapes that screens are made of |
//! | `runner` | the terminal, the loop, the effects |

mod cursor;
mod describe;
mod extra;
mod filter;
mod glyphs;
mod ground;
mod keymap;
mod layers;
mod logs;
pub(crate) mod measure;
mod message;
mod model;
mod options;
mod paint;
mod runner;
mod screens;
mod text;
mod theme;
mod update;
mod view;
mod world;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use extra::{Argument, ExtraCommand, Extras};
pub use ground::{Beginning, Drafted, Ground, Outcome, Work, Worked};
pub use message::{Answer, Effect, LogAsk, LogOwner, LogPage, LogQuery, Message, Place, RunRecord};
pub use model::{Farewell, Model, Setup};
pub use options::Options;
pub use runner::{TuiError, answer, run};
pub use update::update;
pub use view::view;
