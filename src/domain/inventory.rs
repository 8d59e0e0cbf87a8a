//! The inventory that Ansible works with: hosts, their groups and variables, and the way to each by OpenSSH.
//!
//! Hosts come from the environment's nodes, from an output of Terraform, or from both: then the address is Terraform's and
//! the way that of the environment. The way is written as an OpenSSH client configuration, a file for each host, because
//! only there a jump host can have keys and pinned host keys of its own; the operator's own configuration follows behind it
//! and decides what the workspace leaves open, as everywhere in Quarterdeck.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::environment::Environment;
use super::node::{ClientConfig, Elevate, Jump, Node, SshAccess};

/// The longest way through jump hosts.
const HOPS: usize = 8;

/// One host.
#[derive(Debug, Clone, PartialEq)]
pub struct InventoryHost {
    /// What Ansible calls it.
    pub name: String,
    /// Host name or address, or an alias of the operator's SSH configuration.
    pub address: String,
    /// How to reach it, as far as the workspace says.
    pub access: SshAccess,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// Its variables.
    pub vars: Map<String, Value>,
}

/// Hosts by name, each once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// In the order of the environment, then of Terraform's output.
    pub hosts: Vec<InventoryHost>,
    /// Variables of all of them.
    pub vars: BTreeMap<String, Value>,
}

impl Inventory {
    /// Adds the environment's nodes, each in a group for each of its roles (`consul-server` is the group `consul_server`).
    pub fn add_nodes(&mut self, environment: &Environment) {
        self.hosts.extend(environment.nodes.iter().map(of_node));
    }

    /// Adds the hosts that an output of Terraform lists; those that the environment knows already get its address.
    ///
    /// # Errors
    /// What in the value is not as it must be.
    pub fn add_output(&mut self, value: &Value, environment: &Environment) -> Result<(), String> {
        for (name, entry) in entries(value)? {
            let read = read(&name, entry)?;
            let at = self.hosts.iter().position(|host| host.name == name);
            let host = if let Some(at) = at {
                &mut self.hosts[at]
            } else {
                self.hosts.push(
                    environment
                        .node(&name)
                        .map_or_else(|| fresh(&name), of_node),
                );
                self.hosts.last_mut().ok_or("no host was added")?
            };
            host.address = read.address;
            host.access.user = read.user.or(host.access.user.take());
            host.access.port = read.port.or(host.access.port);
            host.groups.extend(read.groups);
            host.vars.extend(read.vars);
        }
        Ok(())
    }

    /// As Ansible reads it; `config` is where the SSH configuration of a host is.
    pub fn to_json(&self, config: impl Fn(&str) -> String) -> Value {
        let mut hosts = Map::new();
        let mut children: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for host in &self.hosts {
            let mut vars = host.vars.clone();
            vars.insert("ansible_host".into(), host.address.clone().into());
            let path = config(&host.name);
            vars.insert(
                "ansible_ssh_common_args".into(),
                format!("-F '{}'", path.replace('\'', r"'\''")).into(),
            );
            if host.becomes_root() {
                vars.insert("ansible_become".into(), true.into());
                vars.insert("ansible_become_method".into(), "sudo".into());
            }
            hosts.insert(host.name.clone(), Value::Object(vars));
            for group in &host.groups {
                let of_group = children.entry(group).or_default();
                of_group.insert(host.name.clone(), json!({}));
            }
        }
        let children: Map<String, Value> = children
            .into_iter()
            .map(|(group, hosts)| (group.to_owned(), json!({ "hosts": hosts })))
            .collect();
        json!({ "all": { "hosts": hosts, "vars": self.vars, "children": children } })
    }

    /// The groups, each with its hosts, one line each: for the log.
    pub fn told(&self) -> Vec<String> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for host in &self.hosts {
            for group in &host.groups {
                groups.entry(group).or_default().push(&host.name);
            }
        }
        let hosts = self.hosts.iter().map(|host| {
            let user = host.access.user.as_ref().map(|user| format!("{user}@"));
            let port = host.access.port.map(|port| format!(":{port}"));
            let via = match &host.access.jump {
                Some(Jump::Through(jump)) => format!(" through {jump}"),
                _ => String::new(),
            };
            format!(
                "host {}: {}{}{}{via}",
                host.name,
                user.unwrap_or_default(),
                host.address,
                port.unwrap_or_default()
            )
        });
        let groups = groups
            .iter()
            .map(|(group, hosts)| format!("group {group}: {}", hosts.join(", ")));
        hosts.chain(groups).collect()
    }
}

impl InventoryHost {
    /// Whether Ansible must become root there.
    fn becomes_root(&self) -> bool {
        match self.access.elevate {
            Some(elevate) => elevate == Elevate::Sudo,
            None => self
                .access
                .user
                .as_deref()
                .is_some_and(|user| user != "root"),
        }
    }

    /// An OpenSSH client configuration for the way to this host (`ssh_config(5)`). `accept_new` pins unknown host keys on
    /// first contact; `home` is where `~` is.
    ///
    /// # Errors
    /// When a jump host is not in the environment, or the way goes in a circle.
    pub fn ssh_config(
        &self,
        environment: &Environment,
        accept_new: bool,
        home: Option<&Path>,
    ) -> Result<String, String> {
        let mut text = String::new();
        let mut hops = 0;
        let mut next = Some((self.address.clone(), self.address.clone(), &self.access));
        while let Some((alias, address, access)) = next {
            hops += 1;
            if hops > HOPS {
                return Err(format!(
                    "{}: the way through jump hosts is longer than {HOPS}, or goes in a circle",
                    self.name
                ));
            }
            let jump = match &access.jump {
                None => None,
                Some(Jump::Direct) => Some(None),
                Some(Jump::Through(name)) => {
                    let node = environment.node(name).ok_or_else(|| {
                        format!(
                            "{}: there is no node called {name:?} to go through",
                            self.name
                        )
                    })?;
                    // By its address, so that the operator's own configuration may know it; unless that is the target's.
                    let alias = if node.address == self.address {
                        format!("quarterdeck-jump-{name}")
                    } else {
                        node.address.clone()
                    };
                    Some(Some((alias, node.address.clone(), &node.ssh)))
                }
            };
            block(&mut text, &alias, &address, access, accept_new, home);
            match &jump {
                None => {}
                Some(None) => text.push_str("  ProxyJump none\n"),
                // Writing to a String cannot fail.
                Some(Some((alias, ..))) => drop(writeln!(text, "  ProxyJump {alias}")),
            }
            next = jump.flatten();
        }
        text.push_str("Host *\n");
        match &self.access.config {
            Some(ClientConfig::None) => {}
            Some(ClientConfig::File(file)) => {
                let _ = writeln!(text, "  Include {}", quoted(file, home));
            }
            None => {
                text.push_str("  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n");
            }
        }
        Ok(text)
    }
}

/// The settings that the workspace has for one host of the way.
fn block(
    text: &mut String,
    alias: &str,
    address: &str,
    access: &SshAccess,
    accept_new: bool,
    home: Option<&Path>,
) {
    let mut lines = Vec::new();
    if alias != address {
        lines.push(format!("HostName {address}"));
    }
    lines.extend(access.user.iter().map(|user| format!("User {user}")));
    lines.extend(access.port.iter().map(|port| format!("Port {port}")));
    let keys = access.identities.iter();
    lines.extend(keys.map(|key| format!("IdentityFile {}", quoted(key, home))));
    if !access.identities.is_empty() {
        lines.push("IdentitiesOnly yes".into());
    }
    if let Some(file) = &access.known_hosts {
        lines.push(format!("UserKnownHostsFile {}", quoted(file, home)));
        lines.push("GlobalKnownHostsFile /dev/null".into());
    }
    if accept_new {
        lines.push("StrictHostKeyChecking accept-new".into());
    } else if access.known_hosts.is_some() {
        lines.push("StrictHostKeyChecking yes".into());
    }
    lines.extend(access.forward_agent.map(|agent| {
        let word = if agent { "yes" } else { "no" };
        format!("ForwardAgent {word}")
    }));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Host {alias}");
    for words in lines {
        let _ = writeln!(text, "  {words}");
    }
}

fn quoted(path: &Path, home: Option<&Path>) -> String {
    let path = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    // A percent sign begins a token in most of these values.
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

fn of_node(node: &Node) -> InventoryHost {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
    let vars = json!({
        "quarterdeck_platform": node.platform,
        "quarterdeck_arch": node.arch,
        "quarterdeck_roles": roles,
        "quarterdeck_labels": node.labels,
    });
    InventoryHost {
        name: node.name.clone(),
        address: node.address.clone(),
        access: node.ssh.clone(),
        groups: roles.iter().map(|role| group_name(role)).collect(),
        vars: match vars {
            Value::Object(vars) => vars,
            _ => Map::new(),
        },
    }
}

fn fresh(name: &str) -> InventoryHost {
    InventoryHost {
        name: name.to_owned(),
        address: String::new(),
        access: SshAccess::default(),
        groups: BTreeSet::new(),
        vars: Map::new(),
    }
}

/// A group by a name that Ansible takes without a warning: letters, digits and underscores.
fn group_name(word: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = word.chars().map(plain).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        _ => name,
    }
}

struct Entry {
    address: String,
    user: Option<String>,
    port: Option<u16>,
    groups: BTreeSet<String>,
    vars: Map<String, Value>,
}

/// The entries of an output, by name.
fn entries(value: &Value) -> Result<Vec<(String, &Value)>, String> {
    match value {
        Value::Object(hosts) => Ok(hosts
            .iter()
            .map(|(name, entry)| (name.clone(), entry))
            .collect()),
        Value::Array(hosts) => hosts
            .iter()
            .map(|entry| match entry.get("name").and_then(Value::as_str) {
                Some(name) => Ok((name.to_owned(), entry)),
                None => Err("a host of the list has no `name`".to_owned()),
            })
            .collect(),
        _ => Err("it is no map and no list of hosts".into()),
    }
}

fn read(name: &str, entry: &Value) -> Result<Entry, String> {
    check("host name", name, name)?;
    let mut fields = match entry {
        Value::String(address) => Map::from_iter([("address".to_owned(), json!(address))]),
        Value::Object(fields) => fields.clone(),
        _ => return Err(format!("host {name} is neither an address nor an object")),
    };
    fields.remove("name");
    let mut text = |keys: &[&str]| -> Result<Option<String>, String> {
        for key in keys {
            match fields.remove(*key) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => {
                    check(key, &text, name)?;
                    return Ok(Some(text));
                }
                Some(_) => return Err(format!("host {name}: `{key}` is no text")),
            }
        }
        Ok(None)
    };
    let address = text(&["address", "ansible_host", "ip", "host"])?
        .ok_or_else(|| format!("host {name} has no `address`"))?;
    let user = text(&["user", "ansible_user"])?;
    let port = match fields.remove("port") {
        None | Some(Value::Null) => None,
        Some(port) => Some(
            port.as_u64()
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("host {name}: `port` is no port"))?,
        ),
    };
    let mut groups = BTreeSet::new();
    for key in ["groups", "roles", "group", "role"] {
        match fields.remove(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(group)) => drop(groups.insert(group_name(&group))),
            Some(Value::Array(many)) => {
                for group in many {
                    let group = group
                        .as_str()
                        .ok_or_else(|| format!("host {name}: `{key}` holds what is no text"))?;
                    groups.insert(group_name(group));
                }
            }
            Some(_) => return Err(format!("host {name}: `{key}` is no list of groups")),
        }
    }
    let mut vars = match fields.remove("vars") {
        Some(Value::Object(vars)) => vars,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(format!("host {name}: `vars` is no map")),
    };
    // Whatever else the output tells of a host, playbooks may use.
    for (key, value) in fields {
        vars.entry(key).or_insert(value);
    }
    Ok(Entry {
        address,
        user,
        port,
        groups,
        vars,
    })
}

/// These go into configurations and command lines: nothing in them may mean something else there.
fn check(what: &str, text: &str, host: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '@');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "host {host:?}: {what} {text:?} has characters that it cannot have"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::environment::Protection;
    use crate::domain::node::Role;
    use crate::domain::platform::{Arch, Platform};
    use crate::domain::stack::Stack;

    fn node(name: &str, address: &str, ssh: SshAccess) -> Node {
        Node {
            name: name.into(),
            address: address.into(),
            platform: Platform::Generic,
            arch: Arch::Amd64,
            roles: BTreeSet::from([Role::ConsulServer]),
            labels: BTreeMap::new(),
            ssh,
        }
    }

    fn environment(nodes: Vec<Node>) -> Environment {
        Environment {
            name: "staging".into(),
            protection: Protection::Open,
            marking: None,
            stack: Stack::Consul,
            versions: BTreeMap::new(),
            nodes,
            services: Vec::new(),
            artifacts: BTreeMap::new(),
            variables: BTreeMap::new(),
            backups: crate::domain::backup::Backups::default(),
            desired: Vec::new(),
        }
    }

    fn behind_a_bastion() -> Environment {
        environment(vec![
            node(
                "bastion",
                "bastion.example",
                SshAccess {
                    user: Some("jump".into()),
                    port: Some(2222),
                    identities: vec!["~/.ssh/jump key".into()],
                    ..SshAccess::default()
                },
            ),
            node(
                "pc1",
                "10.0.0.1",
                SshAccess {
                    user: Some("ops".into()),
                    jump: Some(Jump::Through("bastion".into())),
                    known_hosts: Some("/w/known_hosts".into()),
                    ..SshAccess::default()
                },
            ),
        ])
    }

    #[test]
    fn the_way_goes_through_the_jump_host_with_its_own_key_and_ends_in_the_operators_configuration()
    {
        let environment = behind_a_bastion();
        let mut inventory = Inventory::default();
        inventory.add_nodes(&environment);
        let config = inventory.hosts[1]
            .ssh_config(&environment, false, Some(Path::new("/home/ada")))
            .unwrap();
        insta::assert_snapshot!(config, @r#"
        Host 10.0.0.1
          User ops
          UserKnownHostsFile "/w/known_hosts"
          GlobalKnownHostsFile /dev/null
          StrictHostKeyChecking yes
          ProxyJump bastion.example
        Host bastion.example
          User jump
          Port 2222
          IdentityFile "/home/ada/.ssh/jump key"
          IdentitiesOnly yes
        Host *
          Include ~/.ssh/config
          Include /etc/ssh/ssh_config
        "#);
    }

    #[test]
    fn a_way_in_a_circle_is_refused() {
        let mut environment = behind_a_bastion();
        environment.nodes[0].ssh.jump = Some(Jump::Through("pc1".into()));
        let host = of_node(&environment.nodes[0]);
        let error = host.ssh_config(&environment, false, None).unwrap_err();
        assert!(error.contains("goes in a circle"), "{error}");
    }

    #[test]
    fn terraform_gives_addresses_and_groups_and_the_environment_the_way() {
        let environment = behind_a_bastion();
        let output = json!({
            "pc1": {"address": "10.9.9.9", "roles": ["web-server"], "zone": "a"},
            "pc9": "10.0.0.9",
        });
        let mut inventory = Inventory::default();
        inventory.add_output(&output, &environment).unwrap();
        let [pc1, pc9] = inventory.hosts.as_slice() else {
            panic!("{inventory:?}");
        };
        assert_eq!(pc1.address, "10.9.9.9");
        assert_eq!(pc1.access.user.as_deref(), Some("ops"));
        assert_eq!(
            pc1.groups,
            BTreeSet::from(["consul_server".into(), "web_server".into()])
        );
        assert_eq!(pc9.access, SshAccess::default());
        let json = inventory.to_json(|name| format!("/run/qd/{name}.conf"));
        let vars = &json["all"]["hosts"]["pc1"];
        assert_eq!(vars["ansible_ssh_common_args"], "-F '/run/qd/pc1.conf'");
        assert_eq!(
            (&vars["zone"], &vars["ansible_become"]),
            (&json!("a"), &json!(true))
        );
        assert!(
            json["all"]["children"]["web_server"]["hosts"]
                .get("pc1")
                .is_some()
        );
        insta::assert_snapshot!(inventory.told().join("\n"), @r"
        host pc1: ops@10.9.9.9 through bastion
        host pc9: 10.0.0.9
        group consul_server: pc1
        group web_server: pc1
        ");
    }

    #[test]
    fn a_list_of_hosts_is_read_too_and_what_is_wrong_is_named() {
        let environment = environment(Vec::new());
        let mut inventory = Inventory::default();
        let list = json!([{"name": "a", "ip": "10.0.0.1", "port": 2201, "user": "root"}]);
        inventory.add_output(&list, &environment).unwrap();
        assert_eq!(inventory.hosts[0].access.port, Some(2201));
        for (wrong, says) in [
            (json!("10.0.0.1"), "no map and no list"),
            (json!({"a": 7}), "neither an address nor an object"),
            (json!({"a": {"port": 1}}), "no `address`"),
            (json!({"a": "-oProxyCommand=evil"}), "cannot have"),
            (json!({"a": "x y"}), "cannot have"),
            (json!({"a\nb": "10.0.0.1"}), "cannot have"),
            (json!([{"ip": "10.0.0.1"}]), "no `name`"),
            (json!({"a": {"address": "b", "port": 70000}}), "no port"),
        ] {
            let error = Inventory::default()
                .add_output(&wrong, &environment)
                .unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
