//! What can be done to the services on purpose: `:lab seal` and the like.

use std::sync::Arc;

use super::ceph::Ceph;
use super::consul::Consul;
use super::grafana::Grafana;
use super::kubernetes::Kubernetes;
use super::nomad::Nomad;
use super::sim::Sim;
use super::traefik::Traefik;
use super::vault::Vault;
use crate::lab::world::{FaultHelp, FaultTarget};

/// The machines that faults act on; `None` where no node has the role.
#[derive(Clone, Default)]
pub(crate) struct Machines {
    pub consul: Option<Arc<Sim<Consul>>>,
    pub nomad: Option<Arc<Sim<Nomad>>>,
    pub kubernetes: Option<Arc<Sim<Kubernetes>>>,
    pub vault: Option<Arc<Sim<Vault>>>,
    pub ceph: Option<Arc<Sim<Ceph>>>,
    pub traefik: Option<Arc<Sim<Traefik>>>,
    pub grafana: Option<Arc<Sim<Grafana>>>,
}

const FAULTS: &[FaultHelp] = &[
    FaultHelp {
        verb: "seal",
        arguments: "",
        what: "seal Vault on all its nodes",
    },
    FaultHelp {
        verb: "unseal",
        arguments: "",
        what: "unseal Vault on all nodes that run it",
    },
    FaultHelp {
        verb: "meddle",
        arguments: "",
        what: "change a key of Consul, a policy of Vault, a job of Nomad and an object of Kubernetes behind everyone's back",
    },
    FaultHelp {
        verb: "osd",
        arguments: "NUMBER down|up|out|in",
        what: "stop or start a Ceph OSD, take it out or in",
    },
    FaultHelp {
        verb: "traefik",
        arguments: "error|ok",
        what: "add a router to a service that does not exist",
    },
    FaultHelp {
        verb: "cert",
        arguments: "expiring|ok",
        what: "let the ingress' certificate end soon, which Grafana tells",
    },
];

impl Machines {
    fn vault(&self) -> Result<&Arc<Sim<Vault>>, String> {
        self.vault.as_ref().ok_or_else(|| missing("Vault"))
    }
}

impl Machines {
    fn osd(&self, number: &str, change: &str) -> Result<String, String> {
        let ceph = self.ceph.as_ref().ok_or_else(|| missing("Ceph"))?;
        let id = number
            .trim_start_matches("osd.")
            .parse()
            .map_err(|_| format!("{number:?} is not the number of an OSD"))?;
        ceph.with(|ceph, _| {
            let osd = ceph
                .osd_mut(id)
                .ok_or_else(|| format!("there is no osd.{id}"))?;
            match change {
                "down" => osd.forced_down = true,
                "up" => osd.forced_down = false,
                "out" => osd.inside = false,
                _ => osd.inside = true,
            }
            Ok(format!("osd.{id} is told to go {change}"))
        })
    }

    fn traefik(&self, broken: bool) -> Result<String, String> {
        let traefik = self.traefik.as_ref().ok_or_else(|| missing("Traefik"))?;
        traefik.with(|traefik, _| traefik.set_broken(broken));
        Ok(if broken {
            "a router of Traefik points to a service that does not exist"
        } else {
            "all routers of Traefik are sound"
        }
        .into())
    }

    fn certificate(&self, ends: bool) -> Result<String, String> {
        let grafana = self.grafana.as_ref().ok_or_else(|| missing("Grafana"))?;
        grafana.with(|grafana, _| grafana.set_certificate_ends(ends));
        Ok(if ends {
            "the ingress' certificate ends soon"
        } else {
            "the ingress' certificate is renewed"
        }
        .into())
    }
}

impl Machines {
    /// Changes one thing of each system that drift checks declare, where the lab has it.
    fn meddle(&self) -> String {
        let mut done = Vec::new();
        if let Some(consul) = &self.consul {
            consul.with(|consul, _| {
                let index = consul.bump();
                let value = b"Under new management".to_vec();
                consul.kv.put("config/web/motd", value, 0, index);
            });
            done.push("a key of Consul");
        }
        if let Some(vault) = &self.vault {
            vault.with(|vault, _| {
                let text = "path \"*\" {\n    capabilities = [\"sudo\"]\n}\n";
                vault.policies.insert("metrics".into(), text.into());
            });
            done.push("a policy of Vault");
        }
        if let Some(nomad) = &self.nomad {
            nomad.with(|nomad, _| nomad.set_job("web", 90, None));
            done.push("a job of Nomad");
        }
        if let Some(kubernetes) = &self.kubernetes {
            let blue = [("colour".to_owned(), "blue".to_owned())].into();
            kubernetes.with(|cluster, _| cluster.set_config_map("default", "shop", blue));
            done.push("a config map of Kubernetes");
        }
        if done.is_empty() {
            return "there is nothing to meddle with in this lab".into();
        }
        format!("somebody changed {}", done.join(", "))
    }
}

fn missing(what: &str) -> String {
    format!("this lab has no {what}")
}

impl FaultTarget for Machines {
    fn faults(&self) -> &'static [FaultHelp] {
        FAULTS
    }

    fn fault(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        match (verb, arguments) {
            ("seal", []) => {
                self.vault()?.with(|vault, _| vault.seal_all());
                Ok("Vault is sealed on all its nodes".into())
            }
            ("unseal", []) => {
                self.vault()?.with(|vault, _| vault.unseal_all());
                Ok("Vault is unsealed".into())
            }
            (
                "osd",
                [number, change @ ("down" | "up" | "out" | "in")]
                | [change @ ("down" | "up" | "out" | "in"), number],
            ) => self.osd(number, change),
            ("meddle", []) => Ok(self.meddle()),
            ("traefik", ["error"]) => self.traefik(true),
            ("traefik", ["ok"]) => self.traefik(false),
            ("cert", ["expiring"]) => self.certificate(true),
            ("cert", ["ok"]) => self.certificate(false),
            _ => Err(usage(verb)),
        }
    }
}

fn usage(verb: &str) -> String {
    match FAULTS.iter().find(|fault| fault.verb == verb) {
        Some(fault) => format!("usage: {} {}", fault.verb, fault.arguments),
        None => format!("{verb:?} is not a fault of the services"),
    }
}
