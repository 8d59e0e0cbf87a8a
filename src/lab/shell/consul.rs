//! The `consul` command on a node: `version`, `members`, `info`, `validate`, `leave`, `force-leave`.

use super::{Context, push};
use crate::lab::consul;
use crate::lab::world::ConsulMember;

const REFUSED: &str = "Get \"http://127.0.0.1:8500/v1/agent/members?segment=_all\": dial tcp 127.0.0.1:8500: connect: connection refused";

/// Runs the command.
pub(super) async fn run(arguments: &[String], context: &Context) -> u32 {
    let installed = context
        .world
        .look(&context.node, |node| node.files.exists("/usr/bin/consul"));
    if installed != Some(true) {
        context.complain("sh: 1: consul: not found").await;
        return 127;
    }
    let verb = arguments.first().map_or("", String::as_str);
    if matches!(verb, "version" | "--version" | "-v") {
        return context
            .print(format!(
                "Consul v{}\nProtocol 2 spoken by default, understands 2 to 3\n",
                consul::upstream_version()
            ))
            .await;
    }
    if verb == "validate" {
        let paths: Vec<String> = arguments[1..]
            .iter()
            .filter(|word| !word.starts_with('-'))
            .cloned()
            .collect();
        let checked = context
            .world
            .look(&context.node, |node| consul::validate(&node.files, &paths));
        return match checked {
            Some(Err(reason)) => {
                context
                    .complain(&format!("Config validation failed: {reason}"))
                    .await;
                1
            }
            _ => context.print("Configuration is valid!\n").await,
        };
    }
    if !matches!(verb, "members" | "info" | "leave" | "force-leave") {
        context
            .complain("Usage: consul [--version] [--help] <command> [<args>]")
            .await;
        return 127;
    }
    if !context.world.unit_active(&context.node, "consul.service") {
        context
            .complain(&format!("Error retrieving members: {REFUSED}"))
            .await;
        return 1;
    }
    match verb {
        "leave" => {
            if let Some(view) = context.world.consul_view() {
                view.leave(&context.node);
            }
            context
                .world
                .change(&context.node, |node, now| node.stop("consul.service", now));
            return context.print("Graceful leave complete\n").await;
        }
        "force-leave" => {
            let name = arguments[1..].iter().find(|word| !word.starts_with('-'));
            let view = context.world.consul_view();
            let known = name.zip(view).is_some_and(|(name, view)| view.forget(name));
            if !known {
                context
                    .complain(
                        "Error force leaving: Unexpected response code: 500 (agent: No node found with name)",
                    )
                    .await;
                return 1;
            }
            return 0;
        }
        _ => {}
    }
    let (datacenter, members, leader) = cluster(context);
    let text = if verb == "members" {
        table(&datacenter, &members)
    } else {
        let own = members.iter().find(|member| member.name == context.node);
        let server = own.is_some_and(|member| member.server);
        let mut text = format!(
            "agent:\n\tcheck_monitors = 0\nconsul:\n\tknown_servers = {}\n\tserver = {server}\n",
            members.iter().filter(|member| member.server).count()
        );
        if server {
            let leads = leader.as_deref() == Some(context.node.as_str());
            push(
                &mut text,
                format_args!(
                    "raft:\n\tstate = {}\n",
                    if leads { "Leader" } else { "Follower" }
                ),
            );
        }
        push(
            &mut text,
            format_args!("serf_lan:\n\tmembers = {}\n", members.len()),
        );
        text
    };
    context.print(text).await
}

/// The cluster as its simulator tells it; without one, the agents that run.
fn cluster(context: &Context) -> (String, Vec<ConsulMember>, Option<String>) {
    if let Some(view) = context.world.consul_view() {
        return (view.datacenter(), view.members(), view.leader());
    }
    let members: Vec<ConsulMember> = context
        .world
        .nodes()
        .into_iter()
        .filter(|node| context.world.unit_active(&node.name, "consul.service"))
        .map(|node| ConsulMember {
            server: node
                .roles
                .contains(&crate::domain::node::Role::ConsulServer),
            name: node.name,
            address: node.address,
            status: "alive",
            version: consul::upstream_version().to_owned(),
        })
        .collect();
    let leader = members
        .iter()
        .find(|member| member.server)
        .map(|member| member.name.clone());
    ("lab".into(), members, leader)
}

fn table(datacenter: &str, members: &[ConsulMember]) -> String {
    let mut text = format!(
        "{:<6}{:<20}{:<8}{:<8}{:<7}{:<10}DC\n",
        "Node", "Address", "Status", "Type", "Build", "Protocol"
    );
    for member in members {
        push(
            &mut text,
            format_args!(
                "{:<6}{:<20}{:<8}{:<8}{:<7}{:<10}{datacenter}\n",
                member.name,
                format!("{}:8301", member.address),
                member.status,
                if member.server { "server" } else { "client" },
                member.version,
                2
            ),
        );
    }
    text
}
