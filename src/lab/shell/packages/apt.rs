//! `apt-get`, with a small catalogue in place of a mirror.

use super::{contents, remove, set_up, unpack, work};
use crate::lab::shell::Context;
use crate::lab::world::CONSUL_VERSION;
use crate::lab::world::node::Package;

/// What the simulated mirror has: name, version, size in KiB.
const CATALOGUE: [(&str, &str, u32); 9] = [
    ("consul", CONSUL_VERSION, 18_400),
    ("chrony", "4.5-1ubuntu4.2", 316),
    ("curl", "8.5.0-2ubuntu10.6", 227),
    ("htop", "3.3.0-4build1", 171),
    ("jq", "1.7.1-3ubuntu0.24.04.1", 66),
    ("nfs-common", "1:2.6.4-3ubuntu5.1", 250),
    ("pipexec", "2.6.2-1", 24),
    ("rsync", "3.2.7-1ubuntu1.2", 437),
    ("unzip", "6.0-28ubuntu4.1", 175),
];

/// `apt-get`.
pub(in crate::lab::shell) async fn apt(arguments: &[String], context: &Context) -> u32 {
    let mut words = arguments.iter().map(String::as_str);
    let mut operands: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        if word == "-o" || word == "-t" {
            words.next();
        } else if !word.starts_with('-') {
            operands.push(word);
        }
    }
    match operands.split_first() {
        Some((&"update", _)) => update(context).await,
        Some((&"install", names)) => install(names, context).await,
        Some((&("remove" | "purge"), names)) => {
            let mut status = 0;
            for name in names {
                status = status.max(remove(name, context).await);
            }
            status
        }
        Some((&("clean" | "autoremove" | "upgrade"), _)) => 0,
        Some((other, _)) => {
            context
                .complain(&format!("E: Invalid operation {other}"))
                .await;
            100
        }
        None => {
            context.complain("E: No operation").await;
            100
        }
    }
}

async fn update(context: &Context) -> u32 {
    work(&context.world, &context.node, 4.0);
    for (number, suite) in ["noble", "noble-updates", "noble-security"]
        .iter()
        .enumerate()
    {
        context.pause(350).await;
        context
            .print(format!(
                "Hit:{} http://mirror.lab/ubuntu {suite} InRelease\n",
                number + 1
            ))
            .await;
    }
    context.pause(500).await;
    context.print("Reading package lists...\n").await
}

async fn install(names: &[&str], context: &Context) -> u32 {
    context
        .print(
            "Reading package lists...\nBuilding dependency tree...\nReading state information...\n",
        )
        .await;
    let mut wanted = Vec::new();
    for word in names {
        let (name, version) = word.split_once('=').unwrap_or((word, ""));
        let found = CATALOGUE.iter().find(|(known, _, _)| *known == name);
        let Some((name, offered, size)) = found else {
            context
                .complain(&format!("E: Unable to locate package {name}"))
                .await;
            return 100;
        };
        let pattern = version.trim_end_matches('*');
        if !offered.starts_with(pattern) {
            context
                .complain(&format!(
                    "E: Version '{version}' for '{name}' was not found"
                ))
                .await;
            return 100;
        }
        wanted.push((*name, *offered, *size));
    }
    context.pause(400).await;
    for (name, version, size) in wanted {
        let status = install_one(name, version, size, context).await;
        if status != 0 {
            return status;
        }
    }
    0
}

async fn install_one(name: &str, version: &str, size: u32, context: &Context) -> u32 {
    let (arch, installed) = context
        .world
        .look(&context.node, |node| {
            let installed = node.packages.get(name).map(|old| old.version.clone());
            (node.board.arch.word(), installed)
        })
        .unwrap_or(("unknown", None));
    if installed.as_deref() == Some(version) {
        return context
            .print(format!(
                "{name} is already the newest version ({version}).\n"
            ))
            .await;
    }
    context
        .print(format!(
            "The following NEW packages will be installed:\n  {name}\nNeed to get {size} kB of archives.\n\
             Get:1 http://mirror.lab/ubuntu noble/universe {arch} {name} {arch} {version} [{size} kB]\n"
        ))
        .await;
    work(&context.world, &context.node, 8.0);
    context.pause(300 + u64::from(size / 20)).await;
    context
        .print(format!(
            "Selecting previously unselected package {name}.\nUnpacking {name} ({version}) ...\n"
        ))
        .await;
    context.pause(700).await;
    let deb = contents(name, version, arch);
    if let Err(error) = unpack(&deb, context) {
        context
            .complain(&format!(
                "E: Write error - write ({error})\nE: Sub-process /usr/bin/dpkg returned an error code (1)"
            ))
            .await;
        return 100;
    }
    context
        .print(format!("Setting up {name} ({version}) ...\n"))
        .await;
    context.pause(500).await;
    let result = context.change(|node, now| {
        set_up(node, name, now)?;
        node.packages.insert(
            name.to_owned(),
            Package {
                version: version.to_owned(),
                arch: arch.to_owned(),
                files: deb.files.iter().map(|(path, _, _)| path.clone()).collect(),
                held: false,
            },
        );
        Ok(())
    });
    match result {
        Ok(()) => 0,
        Err(error) => {
            context.complain(&format!("E: {name}: {error}")).await;
            100
        }
    }
}
