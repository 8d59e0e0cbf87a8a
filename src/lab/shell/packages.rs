//! `dpkg` and `dpkg-query`; [`apt`] is `apt-get`.

mod apt;

use jiff::Timestamp;

use super::deb::{self, Deb};
use super::{Context, Instant, Said, files, push};
use crate::lab::world::World;
use crate::lab::world::files::{FsError, parent};
use crate::lab::world::node::{NodeState, Package};

pub(super) use self::apt::apt;

/// The program of that name that needs no time.
pub(super) fn find(name: &str) -> Option<(bool, Instant)> {
    match name {
        "dpkg-query" => Some((false, query)),
        "apt-mark" => Some((true, mark)),
        _ => None,
    }
}

fn query(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let mut format = "${Package}\\t${Version}\\n".to_owned();
    let mut names: Vec<&String> = Vec::new();
    let mut show = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if let Some(inline) = word
            .strip_prefix("-f=")
            .or_else(|| word.strip_prefix("--showformat="))
        {
            inline.clone_into(&mut format);
        } else if word == "-f" {
            if let Some(next) = words.next() {
                format.clone_from(next);
            }
        } else if matches!(word.as_str(), "-W" | "--show") {
            show = true;
        } else if let Some(inline) = word.strip_prefix("-f") {
            inline.clone_into(&mut format);
        } else if word.starts_with('-') && word != "--" {
            return Said::err(2, format_args!("dpkg-query: error: unknown option {word}"));
        } else if word != "--" {
            names.push(word);
        }
    }
    if !show {
        return Said::err(2, "dpkg-query: error: need an action option");
    }
    let mut said = Said::default();
    let all: Vec<&String> = node.packages.keys().collect();
    for name in if names.is_empty() { all } else { names } {
        let bare = name.split(':').next().unwrap_or(name);
        match node.packages.get(bare) {
            Some(package) => {
                let line = show_package(&format, bare, package);
                said.out.extend_from_slice(line.as_bytes());
            }
            None => said.complain(format_args!(
                "dpkg-query: no packages found matching {name}"
            )),
        }
    }
    said
}

/// `apt-mark hold`, `unhold` and `showhold`.
fn mark(arguments: &[String], node: &mut NodeState, _: Timestamp) -> Said {
    let Some((verb, names)) = arguments.split_first() else {
        return Said::err(100, "E: No operation");
    };
    let mut said = Said::default();
    if verb == "showhold" {
        let held = node.packages.iter().filter(|(_, package)| package.held);
        let mut text = String::new();
        for (name, _) in held {
            push(&mut text, format_args!("{name}\n"));
        }
        return Said::out(text);
    }
    for name in names {
        match node.packages.get_mut(name) {
            Some(package) if matches!(verb.as_str(), "hold" | "unhold") => {
                package.held = verb == "hold";
                let done = if package.held {
                    "set on hold"
                } else {
                    "no longer held"
                };
                said.out
                    .extend_from_slice(format!("{name} {done}.\n").as_bytes());
            }
            Some(_) => return Said::err(100, format_args!("E: Invalid operation {verb}")),
            None => return Said::err(100, format_args!("E: Unable to locate package {name}")),
        }
    }
    said
}

fn show_package(format: &str, name: &str, package: &Package) -> String {
    format
        .replace(
            "${db:Status-Abbrev}",
            if package.held { "hi " } else { "ii " },
        )
        .replace("${Status}", "install ok installed")
        .replace("${db:Status-Status}", "installed")
        .replace("${binary:Package}", name)
        .replace("${Package}", name)
        .replace("${Version}", &package.version)
        .replace("${Architecture}", &package.arch)
        .replace("\\n", "\n")
        .replace("\\t", "\t")
}

/// `dpkg`.
pub(super) async fn dpkg(arguments: &[String], context: &Context) -> u32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.contains(&"--print-architecture") {
        let arch = context
            .world
            .look(&context.node, |node| node.board.arch.word());
        return context
            .print(format!("{}\n", arch.unwrap_or("unknown")))
            .await;
    }
    let operands: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.starts_with('-'))
        .collect();
    if words.iter().any(|word| matches!(*word, "-i" | "--install")) {
        let mut status = 0;
        for path in operands {
            status = status.max(install_file(path, context).await);
        }
        return status;
    }
    if words
        .iter()
        .any(|word| matches!(*word, "-r" | "--remove" | "-P" | "--purge"))
    {
        let mut status = 0;
        for name in operands {
            status = status.max(remove(name, context).await);
        }
        return status;
    }
    if words.contains(&"--configure") || words.contains(&"--audit") {
        return 0;
    }
    if words.iter().any(|word| matches!(*word, "-l" | "-s")) {
        return list(&words, &operands, context).await;
    }
    context.complain("dpkg: error: need an action option").await;
    2
}

async fn list(words: &[&str], operands: &[&str], context: &Context) -> u32 {
    let said = context.world.look(&context.node, |node| {
        let mut said = Said::default();
        for (name, package) in &node.packages {
            if !operands.is_empty() && !operands.contains(&name.as_str()) {
                continue;
            }
            let line = if words.contains(&"-s") {
                format!(
                    "Package: {name}\nStatus: install ok installed\nArchitecture: {}\nVersion: {}\n\n",
                    package.arch, package.version
                )
            } else {
                format!("ii  {name:<24} {:<28} {}\n", package.version, package.arch)
            };
            said.out.extend_from_slice(line.as_bytes());
        }
        if said.out.is_empty() {
            said.complain(format_args!(
                "dpkg-query: no packages found matching {}",
                operands.join(" ")
            ));
        }
        said
    });
    context.say(said.unwrap_or_default()).await
}

async fn install_file(path: &str, context: &Context) -> u32 {
    let fail = async |complaint: String| {
        context
            .complain(&format!(
                "dpkg: error processing archive {path} (--install):\n {complaint}\n\
                 Errors were encountered while processing:\n {path}"
            ))
            .await;
        1
    };
    let bytes = match context.look(|node, now| node.read(path, now)) {
        Ok(bytes) => bytes,
        Err(error) => {
            context
                .complain(&format!(
                    "dpkg: error: cannot access archive '{path}': {error}"
                ))
                .await;
            return 2;
        }
    };
    let deb = match deb::read(&bytes) {
        Ok(deb) => deb,
        Err(reason) => {
            context
                .complain(&format!(
                    "dpkg-deb: error: '{path}' {reason}\ndpkg: error processing archive {path} (--install):\n \
                     dpkg-deb --control subprocess returned error exit status 2\n\
                     Errors were encountered while processing:\n {path}"
                ))
                .await;
            return 1;
        }
    };
    let (name, version, arch) = (
        deb.field("Package").to_owned(),
        deb.field("Version").to_owned(),
        deb.field("Architecture").to_owned(),
    );
    let (own, old) = context
        .world
        .look(&context.node, |node| {
            let old = node.packages.get(&name).map(|old| old.version.clone());
            (node.board.arch.word(), old)
        })
        .unwrap_or(("unknown", None));
    if arch != "all" && arch != own {
        return fail(format!(
            "package architecture ({arch}) does not match system ({own})"
        ))
        .await;
    }
    context.pause(150).await;
    let first = match &old {
        None => format!(
            "Selecting previously unselected package {name}.\n\
             (Reading database ... 92431 files and directories currently installed.)\n\
             Preparing to unpack {path} ...\nUnpacking {name} ({version}) ...\n"
        ),
        Some(old) => format!(
            "(Reading database ... 92431 files and directories currently installed.)\n\
             Preparing to unpack {path} ...\nUnpacking {name} ({version}) over ({old}) ...\n"
        ),
    };
    context.print(first).await;
    work(&context.world, &context.node, 6.0);
    context.pause(1200).await;
    if let Err(error) = unpack(&deb, context) {
        return fail(format!(
            "cannot copy extracted data: failed to write ({error})"
        ))
        .await;
    }
    context
        .print(format!("Setting up {name} ({version}) ...\n"))
        .await;
    context.pause(900).await;
    let set_up = context.change(|node, now| {
        set_up(node, &name, now)?;
        node.packages.insert(
            name.clone(),
            Package {
                version: version.clone(),
                arch: arch.clone(),
                files: deb.files.iter().map(|(path, _, _)| path.clone()).collect(),
                held: false,
            },
        );
        Ok(())
    });
    match set_up {
        Ok(()) => 0,
        Err(error) => {
            fail(format!(
                "installed {name} package post-installation script subprocess failed: {error}"
            ))
            .await
        }
    }
}

fn unpack(deb: &Deb, context: &Context) -> Result<(), FsError> {
    context.change(|node, now| {
        for (path, mode, content) in &deb.files {
            // What an administrator changed stays, as with --force-confold.
            if path.starts_with("/etc/") && node.files.exists(path) {
                continue;
            }
            node.files.mkdir_all(parent(path), 0o755, now)?;
            node.files.write(path, content.clone(), *mode, now)?;
        }
        Ok(())
    })
}

/// What the package's maintainer scripts do after unpacking.
pub(crate) fn set_up(node: &mut NodeState, name: &str, now: Timestamp) -> Result<(), FsError> {
    if matches!(name, "consul" | "vault" | "nomad" | "grafana") {
        add_user(node, name, now)?;
    }
    node.daemon_reload();
    Ok(())
}

fn add_user(node: &mut NodeState, name: &str, now: Timestamp) -> Result<(), FsError> {
    for (table, line) in [
        ("/etc/passwd", "ID:ID::/var/lib/NAME:/usr/sbin/nologin"),
        ("/etc/group", "ID:"),
    ] {
        if files::number_of(node, table, name).is_some() {
            continue;
        }
        let mut content = String::from_utf8_lossy(node.files.read(table)?).into_owned();
        let used = content.lines().count() + 900;
        let rest = line.replace("ID", &used.to_string()).replace("NAME", name);
        push(&mut content, format_args!("{name}:x:{rest}\n"));
        node.files.write(table, content, 0o644, now)?;
    }
    Ok(())
}

async fn remove(name: &str, context: &Context) -> u32 {
    let Some(version) = context
        .world
        .look(&context.node, |node| {
            node.packages
                .get(name)
                .map(|package| package.version.clone())
        })
        .flatten()
    else {
        context
            .complain(&format!(
                "dpkg: warning: ignoring request to remove {name} which isn't installed"
            ))
            .await;
        return 0;
    };
    context
        .print(format!("Removing {name} ({version}) ...\n"))
        .await;
    context.pause(700).await;
    context.world.change(&context.node, |node, _| {
        if let Some(package) = node.packages.remove(name) {
            for path in package.files {
                // A file that is gone already is what was wanted.
                let _ = node.files.unlink(&path);
            }
        }
        node.daemon_reload();
    });
    0
}

/// What a package of the catalogue brings.
pub(crate) fn contents(name: &str, version: &str, arch: &str) -> Deb {
    let description = format!("simulated package of {name}");
    Deb {
        fields: [
            ("Package", name),
            ("Version", version),
            ("Architecture", arch),
            ("Maintainer", "Lab <lab@localhost>"),
            ("Section", "net"),
            ("Priority", "optional"),
            ("Description", &description),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect(),
        files: std::iter::once((
            format!("/usr/bin/{name}"),
            0o755,
            format!("\u{7f}ELF simulated {name} {version} for {arch}\n").into_bytes(),
        ))
        .chain(unit_of(name))
        .collect(),
    }
}

/// The unit that a package brings along.
fn unit_of(name: &str) -> Option<(String, u32, Vec<u8>)> {
    (name == "grafana").then(|| {
        let unit = "[Unit]\nDescription=Grafana instance\nAfter=network-online.target\n\n[Service]\n\
                    ExecStart=/usr/bin/grafana server --config=/etc/grafana/grafana.ini\nRestart=on-failure\n\n\
                    [Install]\nWantedBy=multi-user.target\n";
        (
            "/usr/lib/systemd/system/grafana-server.service".to_owned(),
            0o644,
            unit.as_bytes().to_vec(),
        )
    })
}

/// Keeps the processors busy for a while.
fn work(world: &World, node: &str, seconds: f32) {
    world.act(node, false, |node, now| node.add_work(now, seconds, 2.5));
}
