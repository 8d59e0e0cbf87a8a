//! `tcp`: waits until a port accepts connections. Asked from where the engine is.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::{self, Look, Sight};
use super::{Context, Outcome, StepError};
use crate::domain::recipe::{Step, TcpWait};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn execute(
    wait: &TcpWait,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    let port: u16 = wait.port.trim().parse().map_err(|_| {
        StepError::lasting(format!(
            "{:?} is no port: it is a number up to 65535",
            wait.port
        ))
    })?;
    let port = Port {
        host: &wait.host,
        port,
    };
    wait::until(&format!("{port} accepts"), step, context, &port).await
}

struct Port<'a> {
    host: &'a str,
    port: u16,
}

impl fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[async_trait]
impl Look for Port<'_> {
    async fn look(&self) -> Sight {
        match timeout(CONNECT_LIMIT, TcpStream::connect((self.host, self.port))).await {
            Ok(Ok(_)) => Sight::Wanted(format!("{self} accepts")),
            Ok(Err(error)) => Sight::NotYet(format!("{self}: {error}")),
            Err(_) => Sight::NotYet(format!("{self}: no answer within {CONNECT_LIMIT:?}")),
        }
    }
}
