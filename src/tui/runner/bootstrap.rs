//! Performing what the first start asks for: the engine looks at hosts, the ground is asked about files.

use super::super::ground::{Ground, Work, Worked};
use super::super::options::Options;
use super::effects::{call, unexpected};
use crate::client::{Client, Refusal, Request, Response};

/// Performs it; `None` where nothing is to be told of it.
pub(super) async fn work(client: &Client, options: &Options, work: Work) -> Option<Worked> {
    let nowhere = || "nothing can be written from here".to_owned();
    let ground = options.ground.as_deref();
    Some(match work {
        Work::Find(typed) => {
            Worked::Found(match call(client, Request::FindHosts { typed }).await {
                Ok(Response::Hosts(hosts)) => Ok(hosts),
                other => Err(unexpected(other)),
            })
        }
        Work::Survey(nodes) => match call(client, Request::Survey { nodes }).await {
            Ok(Response::Done) => return None,
            other => Worked::NotSurveyed(unexpected(other)),
        },
        Work::Members(kind, service) => {
            let request = Request::Members {
                kind,
                service: *service,
            };
            let told: Result<_, Refusal> = match call(client, request).await {
                Ok(Response::Table(members)) => Ok(members),
                other => Err(unexpected(other)),
            };
            Worked::Members(kind, told)
        }
        Work::Remember(answers) => {
            let kept: Result<(), String> = match ground {
                Some(ground) => ground.remember(&answers).await,
                None => Ok(()),
            };
            Worked::Forgotten(kept.err()?)
        }
        Work::Draft(answers, members) => Worked::Drafted(match ground {
            Some(ground) => ground.draft(&answers, &members).await,
            None => Err(nowhere()),
        }),
        Work::Write(answers, members, seen) => Worked::Written(match ground {
            Some(ground) => Ground::write(ground, &answers, &members, seen).await,
            None => Err(nowhere()),
        }),
        Work::Checksum(software, arch, path) => {
            let sum = match ground {
                Some(ground) => ground.checksum(&path).await,
                None => Err(nowhere()),
            };
            Worked::Checksum(software, arch, sum)
        }
    })
}
