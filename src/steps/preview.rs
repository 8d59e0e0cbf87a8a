//! What a step will do, in a few lines, for the gate and for `--dry-run`.

use super::service;
use super::template::{Scope, TemplateError};
use crate::domain::approval::Approver;
use crate::domain::handler;
use crate::domain::recipe::{
    AnsibleAction, AnsibleStep, DriftStep, HttpWait, RunCommand, ServiceWait, SnapshotVerb,
    SnapshotWork, Step, TerraformAction, TerraformStep, VaultAct, VaultStep, Work,
};
use crate::domain::resource::{Declared, PackageSpec, Presence, RebootCause, Resource};
use crate::transport::quote;

/// One line per thing the step will do, rendered for `scope`.
///
/// # Errors
/// [`TemplateError`] of the first template that cannot be rendered.
pub(super) fn lines(work: &Work<'_>, scope: &Scope<'_>) -> Result<Vec<String>, TemplateError> {
    Ok(match work {
        Work::Ensure(declared) => declared
            .iter()
            .map(|declared| Ok(declared_line(&scope.render(declared)?)))
            .collect::<Result<_, TemplateError>>()?,
        Work::Run(command) => vec![run_line("run", &scope.render(*command)?)],
        Work::Local(command) => vec![run_line("run here", &scope.render(*command)?)],
        Work::Terraform(step) => vec![terraform_line(&scope.render(*step)?)],
        Work::Ansible(step) => vec![ansible_line(&scope.render(*step)?)],
        Work::Http(wait) => vec![http_line(&scope.render(*wait)?)],
        Work::Tcp(wait) => {
            let wait = scope.render(*wait)?;
            vec![format!("wait until {}:{} accepts", wait.host, wait.port)]
        }
        Work::Service(wait) => service_lines(&scope.render(*wait)?),
        Work::Snapshot(take) => {
            vec![snapshot_line(&scope.render(*take)?)]
        }
        Work::Approve(question) => {
            let question = scope.render(*question)?;
            let who = match question.by {
                Approver::Anyone => "an operator",
                Approver::Second => "a second operator",
            };
            let what = match &question.of {
                Some(of) => format!(" of what step {of} shows, if that changes anything"),
                None => String::new(),
            };
            vec![format!(
                "wait until {who} approves{what}: {}",
                question.text
            )]
        }
        Work::Vault(step) => vec![vault_line(&scope.render(*step)?)],
        Work::Drift(step) => drift_lines(step, scope)?,
        Work::Upload(files) => {
            let files = scope.render(*files)?;
            vec![format!("copy {} from here to {}", files.from, files.to)]
        }
        Work::Fetch(files) => {
            let files = scope.render(*files)?;
            vec![format!("copy {} to {} here", files.from, files.to)]
        }
        Work::Machine(machine) => vec![machine.phrase().into()],
        Work::Report(report) => {
            scope.render(*report)?;
            vec!["write a summary into the log".into()]
        }
        Work::Recipe(call) => vec![format!("carry out recipe {}", call.name)],
        Work::Flush(_) => vec!["carry out the handlers that are owed".into()],
    })
}

/// How the step goes through its hosts, and what follows it.
pub(super) fn flow(step: &Step, hosts: Option<&[String]>) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(rolling), Some(hosts)) = (&step.rolling, hosts) {
        lines.push(rolling.outlook(hosts.len()));
    }
    if !step.notify.is_empty() {
        lines.push(format!("when it changes: {}", step.notify.join(", ")));
    }
    if handler::handler_of(&step.id).is_some() {
        lines.push("only where it is notified".into());
    }
    lines
}

fn declared_line(declared: &Declared) -> String {
    let line = resource_line(&declared.resource);
    if declared.notify.is_empty() {
        line
    } else {
        format!("{line}; when it changes: {}", declared.notify.join(", "))
    }
}

/// The resource as one line, such as `file /etc/hosts (0644 root:root, 3 lines)`.
fn resource_line(resource: &Resource) -> String {
    let label = resource.label();
    match resource {
        Resource::File(file) => {
            let lines = file.content.lines().count();
            let plural = if lines == 1 { "" } else { "s" };
            format!(
                "{label} ({} {}:{}, {lines} line{plural})",
                file.mode, file.owner, file.group
            )
        }
        Resource::Template(template) => {
            let lines = template.content.lines().count();
            let plural = if lines == 1 { "" } else { "s" };
            format!(
                "{label} from {} ({} {}:{}, {lines} line{plural})",
                template.source, template.mode, template.owner, template.group
            )
        }
        Resource::Line(line) => match (line.state, &line.line, &line.regexp) {
            (Presence::Present, Some(text), _) => format!("{label}: {text}"),
            (Presence::Absent, _, Some(pattern)) => {
                format!("{label}: none that matches /{pattern}/")
            }
            (_, text, _) => format!(
                "{label}: none that is {:?}",
                text.as_deref().unwrap_or_default()
            ),
        },
        Resource::Block(block) => format!("{label} ({})", block.state),
        Resource::Hosts(hosts) => format!("{label} {} ({})", hosts.names.join(" "), hosts.state),
        Resource::Hostname(_) | Resource::Timezone(_) => label,
        Resource::Sysctl(sysctl) => format!("{label} = {}", sysctl.value),
        Resource::KernelModule(module) => match &module.options {
            Some(options) => format!("{label} ({options})"),
            None => label,
        },
        Resource::Swap(swap) => match &swap.size {
            Some(size) if swap.state.is_present() => format!("{label} of {size}"),
            _ => format!("{label} ({})", swap.state),
        },
        Resource::Mount(mount) => format!(
            "{label} from {} ({}, {}; {})",
            mount.source, mount.fstype, mount.options, mount.state
        ),
        Resource::Container(container) => {
            format!("{label} of {} ({})", container.image, container.state)
        }
        Resource::Firewall(firewall) => format!(
            "{label} {}: {} incoming, {} outgoing, {}",
            if firewall.enabled { "on" } else { "off" },
            firewall.incoming,
            firewall.outgoing,
            firewall.rules.join(", ")
        ),
        Resource::Reboot(reboot) => match reboot.cause {
            RebootCause::Needed => format!("{label} if needed, back within {}", reboot.deadline),
            RebootCause::Always => format!("{label}, back within {}", reboot.deadline),
        },
        Resource::Directory(directory) => format!(
            "{label} ({} {}:{})",
            directory.mode, directory.owner, directory.group
        ),
        Resource::Download(download) => format!("{label} from {}", download.source),
        Resource::User(user) => {
            let groups = match user.groups.as_slice() {
                [] => String::new(),
                groups => format!(", member of {}", groups.join(", ")),
            };
            let closed = if user.locked == Some(true) {
                ", closed"
            } else {
                ""
            };
            format!("{label} ({}{groups}{closed})", user.state)
        }
        Resource::Group(group) => format!("{label} ({})", group.state),
        Resource::AuthorizedKeys(keys) => {
            let only = if keys.exclusive {
                ", and no others"
            } else {
                ""
            };
            format!("{label} ({}: {}{only})", keys.state, keys.keys.len())
        }
        Resource::AptRepository(repository) => match repository.state {
            Presence::Present => format!("{label} at {}", repository.uris.join(", ")),
            Presence::Absent => format!("{label} (absent)"),
        },
        Resource::Package(package) => package_line(&label, package),
        Resource::SystemdUnit(unit) => {
            let state = match (unit.started, unit.enabled) {
                (true, true) => "started, starts at boot",
                (true, false) => "started, not started at boot",
                (false, true) => "stopped, starts at boot",
                (false, false) => "stopped, not started at boot",
            };
            format!("{label} ({state})")
        }
        Resource::Command(command) => match (&command.creates, command.unless.is_empty()) {
            (Some(path), _) => format!("{label} (unless {path} exists)"),
            (None, false) => format!("{label} (unless {})", quote(&command.unless)),
            (None, true) => label,
        },
    }
}

fn package_line(label: &str, package: &PackageSpec) -> String {
    let mut words = vec![label.to_owned()];
    words.extend(package.version.clone());
    let bring = package.bring.as_ref().map(|bring| &bring.source);
    if let Some(from) = package.deb.as_ref().or(bring) {
        words.push(format!("from {from}"));
    }
    if let Some(snap) = &package.snap {
        words.push("as a snap".into());
        let channel = snap.channel.iter();
        words.extend(channel.map(|channel| format!("from {channel}")));
    }
    let line = words.join(" ");
    let mut more = Vec::new();
    match package.hold {
        Some(true) => more.push("held"),
        Some(false) => more.push("not held"),
        None => {}
    }
    if !package.state.is_present() {
        more.push("absent");
    }
    if more.is_empty() {
        line
    } else {
        format!("{line} ({})", more.join(", "))
    }
}

fn run_line(verb: &str, command: &RunCommand) -> String {
    let argv = quote(&command.argv);
    let line = if command.elsewhere.is_empty() {
        format!("{verb}: {argv}")
    } else {
        let roles: Vec<&str> = command.elsewhere.iter().map(|role| role.word()).collect();
        format!(
            "{verb} on another node that is {}: {argv}",
            roles.join(" or ")
        )
    };
    match (&command.expect, &command.check) {
        (Some(expect), _) => format!("{line} (expects {expect:?})"),
        (None, Some(check)) => format!("{line} (expects {check})"),
        (None, None) => line,
    }
}

fn drift_lines(step: &DriftStep, scope: &Scope<'_>) -> Result<Vec<String>, TemplateError> {
    if let Some(object) = &step.reconcile {
        let object: String = scope.render(object)?;
        return Ok(vec![format!("bring {object} into its desired state")]);
    }
    let compared = step.declared.iter().map(|declared| {
        let declared = scope.render(declared)?;
        Ok(format!("compare {}", declared_line(&declared)))
    });
    let lines: Vec<String> = compared.collect::<Result<_, TemplateError>>()?;
    if !lines.is_empty() {
        return Ok(lines);
    }
    Ok(vec![match &step.root {
        Some(root) => {
            let root = scope.render(root)?;
            format!("terraform plan -refresh-only in {}", root.directory)
        }
        None => format!("compare what is declared of {}", step.source),
    }])
}

fn terraform_line(step: &TerraformStep) -> String {
    let place = format!(
        "{}, workspace {}",
        step.root.directory,
        step.root.workspace()
    );
    match step.action {
        TerraformAction::Check => format!("validate the Terraform configuration in {place}"),
        TerraformAction::Snapshot => {
            format!("keep a verified copy of Terraform's state of {place}")
        }
        TerraformAction::Plan => {
            let mut command = "terraform plan".to_owned();
            for (flag, is_set) in [
                ("-destroy", step.destroy),
                ("-refresh-only", step.refresh_only),
            ] {
                if is_set {
                    command = format!("{command} {flag}");
                }
            }
            if !step.target.is_empty() {
                command = format!("{command} -target={}", quote(&[&step.target]));
            }
            format!("{command} in {place}: shown, nothing is changed")
        }
        TerraformAction::Apply => format!(
            "terraform apply of what step {} showed, if nothing has moved since",
            step.of.as_deref().unwrap_or_default()
        ),
        TerraformAction::Drift => format!("look what has changed outside of Terraform in {place}"),
    }
}

fn ansible_line(step: &AnsibleStep) -> String {
    let mut sources = Vec::new();
    if step.inventory.nodes.is_on() != Ok(false) {
        sources.push("the environment's nodes".to_owned());
    }
    if let Some(source) = &step.inventory.terraform {
        sources.push(format!(
            "Terraform's output {} ({}, workspace {})",
            source.output,
            source.root.directory,
            source.root.workspace()
        ));
    }
    let hosts = sources.join(" and ");
    let book = step.playbook.as_deref().unwrap_or_default();
    let optional = if step.optional {
        ", if it is there"
    } else {
        ""
    };
    match step.action {
        AnsibleAction::Check => format!("check the syntax of {book}{optional}"),
        AnsibleAction::Inventory => format!("make the inventory from {hosts}"),
        AnsibleAction::Wait => format!("wait until every host lets us in by SSH: {hosts}"),
        AnsibleAction::Playbook => format!("ansible-playbook {book}{optional} on {hosts}"),
    }
}

fn snapshot_line(work: &SnapshotWork) -> String {
    let whose = match work.name.as_str() {
        "*" => "every store that can give it".to_owned(),
        name => name.to_owned(),
    };
    let which = match work.which.as_deref() {
        None | Some("latest") => "its newest snapshot".to_owned(),
        Some(which) => format!("snapshot {which}"),
    };
    match work.what {
        SnapshotVerb::Take => format!("save the state of {whose} here, and verify it"),
        SnapshotVerb::Verify => match work.which.as_deref() {
            None | Some("" | "all") => format!("read every snapshot of {whose} again"),
            Some(which) => format!("read snapshot {which} again"),
        },
        SnapshotVerb::Restore => format!("replace the state of {whose} by {which}"),
        SnapshotVerb::Drill => {
            format!("restore {which} of {whose} into a scratch instance here, and throw that away")
        }
    }
}

fn http_line(wait: &HttpWait) -> String {
    let body = wait
        .body
        .as_ref()
        .map(|body| format!(" and matches /{body}/"))
        .unwrap_or_default();
    format!("wait until {} answers {}{body}", wait.url, wait.status)
}

fn vault_line(step: &VaultStep) -> String {
    let name = match step.name.as_str() {
        "" | "*" => "the Vault",
        name => name,
    };
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let nodes = filled(&step.nodes).map_or_else(String::new, |nodes| format!(" on {nodes}"));
    let mut line = format!("{name}{nodes}: {}", step.act.phrase());
    if matches!(step.act, VaultAct::Init | VaultAct::Rekey) {
        let number = |text: &Option<String>, default: &str| filled(text).unwrap_or(default.into());
        line = format!(
            "{line}; {} of {} shares will unseal",
            number(&step.threshold, "3"),
            number(&step.shares, "5")
        );
    }
    line
}

fn service_lines(wait: &ServiceWait) -> Vec<String> {
    if let Some(action) = &wait.act {
        let mut lines = vec![action.phrase()];
        lines.extend(action.requests());
        return lines;
    }
    let place = if wait.elsewhere {
        ", as other nodes see it"
    } else {
        ""
    };
    let wanted = service::conditions(wait).join(" and ");
    vec![format!("wait until service {} {wanted}{place}", wait.name)]
}
