//! `machine`: reboots a node, switches it off or on, and is done when the node shows that it happened.
//!
//! That a command was accepted proves nothing: a reboot has happened when the kernel's boot id is another one
//! (`/proc/sys/kernel/random/boot_id`, random(4)), a power-off when nothing answers any more, a power-on when SSH does.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Context, Outcome, StepError};
use crate::domain::node::Node;
use crate::domain::recipe::{Machine, Step};
use crate::transport::wake::{Mac, wake};
use crate::transport::{Command, Host, ReachError};

/// The longest one look at a node may take.
const LOOK: Duration = Duration::from_secs(8);
/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks in a row without an answer after which a node that was told to switch itself off is off.
const SILENT: u32 = 3;
/// From one magic packet to the next.
const KNOCK: Duration = Duration::from_secs(10);
/// The label with the hardware address of a node's network card.
const MAC: &str = "mac";
/// The label with the address that magic packets are sent to, where it is not the local network's broadcast address.
const BROADCAST: &str = "wake-via";

const REBOOT: &str = "systemctl reboot || reboot";
const POWER_OFF: &str = "systemctl poweroff || poweroff";

pub(super) async fn execute(
    machine: Machine,
    step: &Step,
    host: &dyn Host,
    context: &Context,
) -> Result<Outcome, StepError> {
    let node = context
        .environment
        .node(host.name())
        .ok_or_else(|| StepError::lasting(format!("there is no node called {:?}", host.name())))?;
    if context.dry_run {
        context.note(format!("would {}", machine.phrase())).await;
        return Ok(Outcome::Changed);
    }
    let limit = step.time_limit().map_err(StepError::lasting)?;
    // A tenth early, at most two seconds: enough to say why.
    let patience = limit.saturating_sub((limit / 10).min(Duration::from_secs(2)));
    let wait = Wait {
        host,
        context,
        begun: Instant::now(),
        until: Instant::now() + patience,
        limit,
    };
    match machine {
        Machine::Reboot => wait.reboot().await,
        Machine::PowerOff => wait.power_off().await,
        Machine::PowerOn => wait.power_on(node).await,
    }
}

struct Wait<'a> {
    host: &'a dyn Host,
    context: &'a Context,
    begun: Instant,
    until: Instant,
    limit: Duration,
}

impl Wait<'_> {
    async fn reboot(&self) -> Result<Outcome, StepError> {
        let before = self.boot_id().await?;
        self.say(format!("boot id {before}; asking for a reboot"))
            .await;
        self.ask(REBOOT).await?;
        let mut down = false;
        loop {
            match self.boot_id().await {
                Ok(now) if now == before => {}
                Ok(now) => {
                    self.say(format!("is back with boot id {now}")).await;
                    return Ok(Outcome::Changed);
                }
                Err(error) if error.is_passing() => {
                    if !std::mem::replace(&mut down, true) {
                        self.say("is down".into()).await;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.pause(|| {
                if down {
                    "it went down and did not come back".into()
                } else {
                    format!("it still has boot id {before}: it did not reboot")
                }
            })
            .await?;
        }
    }

    async fn power_off(&self) -> Result<Outcome, StepError> {
        self.boot_id().await?;
        self.say("asking it to switch itself off".into()).await;
        self.ask(POWER_OFF).await?;
        let mut silent = 0;
        loop {
            match self.boot_id().await {
                Ok(_) => silent = 0,
                Err(error) if error.is_passing() => {
                    silent += 1;
                    if silent == SILENT {
                        self.say("does not answer any more".into()).await;
                        return Ok(Outcome::Changed);
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.pause(|| "it still answers".into()).await?;
        }
    }

    async fn power_on(&self, node: &Node) -> Result<Outcome, StepError> {
        if self.boot_id().await.is_ok() {
            return Ok(Outcome::Skipped("it is on already".into()));
        }
        let Some(mac) = node.labels.get(MAC) else {
            return Err(StepError::lasting(format!(
                "{} has no label {MAC:?} with the hardware address of its network card; nothing else here can switch it on",
                node.name
            )));
        };
        let mac: Mac = mac.parse().map_err(StepError::lasting)?;
        let via = node.labels.get(BROADCAST).map(String::as_str);
        let mut knocked: Option<Instant> = None;
        loop {
            if knocked.is_none_or(|at| at.elapsed() >= KNOCK) {
                let to = wake(mac, via).await.map_err(StepError::lasting)?;
                if knocked.is_none() {
                    self.say(format!("magic packet for {mac} sent to {to}"))
                        .await;
                }
                knocked = Some(Instant::now());
            }
            match self.boot_id().await {
                Ok(id) => {
                    self.say(format!("answers, boot id {id}")).await;
                    return Ok(Outcome::Changed);
                }
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error.into()),
            }
            self.pause(|| {
                "it does not answer; does its board support Wake-on-LAN, and is that switched on?"
                    .into()
            })
            .await?;
        }
    }

    /// The kernel's boot id.
    async fn boot_id(&self) -> Result<String, ReachError> {
        let command = Command::new(["cat", "/proc/sys/kernel/random/boot_id"])
            .as_login_user()
            .within(LOOK);
        let output = tokio::select! {
            output = timeout(LOOK, self.host.output(&command)) => output,
            () = self.context.cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: self.host.name().to_owned() });
            }
        };
        let slow = || ReachError::Timeout {
            hop: self.host.name().to_owned(),
            what: "reading the boot id".into(),
            limit: LOOK,
        };
        let output = output.map_err(|_| slow())??;
        let text = output.text();
        match text.lines().last() {
            Some(id) if output.exit.success() => Ok(id.trim().to_owned()),
            // On its way down: a shell without its kernel's files.
            _ => Err(ReachError::Lost {
                hop: self.host.name().to_owned(),
                reason: format!("no boot id: {}", output.complaint()),
            }),
        }
    }

    /// Asks for it. That the connection ends over it is what is wanted.
    async fn ask(&self, script: &str) -> Result<(), StepError> {
        let command = Command::new(["sh", "-c", script]).within(Duration::from_secs(30));
        match self.host.output(&command).await {
            Ok(output) if output.exit.success() => Ok(()),
            Ok(output) if output.complaint().is_empty() => Ok(()),
            Ok(output) => Err(StepError::lasting(format!(
                "{script}: {}: {}",
                output.exit,
                output.complaint()
            ))),
            Err(error) if error.is_passing() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn say(&self, text: String) {
        let seconds = self.begun.elapsed().as_secs();
        self.context
            .note(format!("after {seconds} s: {text}"))
            .await;
    }

    async fn pause(&self, why: impl FnOnce() -> String) -> Result<(), StepError> {
        if Instant::now() + PAUSE >= self.until {
            return Err(StepError {
                message: format!("waited {:?}: {}", self.limit, why()),
                passing: false,
            });
        }
        tokio::select! {
            () = sleep(PAUSE) => Ok(()),
            () = self.context.cancel.cancelled() => Err(StepError::cancelled()),
        }
    }
}
