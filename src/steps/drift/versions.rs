//! Versions: what each service says of itself, against the version that the environment pins for its software.

use std::time::Duration;

use futures::future::join_all;

use super::super::Context;
use super::super::service::is_version;
use crate::domain::drift::{DriftLook, DriftSource, Drifted};
use crate::domain::environment::Environment;
use crate::domain::remedy::Remedy;
use crate::domain::service::{ServiceKind, ServiceSpec};

/// The longest that a service may take to say its version.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Looks at every service whose version is pinned, side by side.
pub(super) async fn look(context: &Context) -> Vec<DriftLook> {
    let environment = &context.environment;
    let pinned = environment
        .services
        .iter()
        .filter_map(|service| Some((service, pin(environment, service)?)));
    let looks = pinned.map(async |(service, (software, wanted))| DriftLook {
        source: DriftSource::Versions,
        scope: service.name.clone(),
        seen: compare(service, software, wanted, context).await,
    });
    join_all(looks).await
}

/// The software that a service is, and the version that the environment pins for it.
fn pin<'e>(environment: &'e Environment, service: &ServiceSpec) -> Option<(&'e str, &'e str)> {
    let kind = service.kind.word();
    let names: &[&str] = match service.kind {
        ServiceKind::Kubernetes => &["k3s", "microk8s", "kubernetes"],
        // OpenBao speaks Vault's API and has versions of its own.
        ServiceKind::Vault => &["openbao", "vault"],
        _ => &[kind],
    };
    let mut versions = names
        .iter()
        .filter_map(|name| environment.versions.get_key_value(*name));
    versions
        .next()
        .map(|(name, version)| (name.as_str(), version.as_str()))
}

async fn compare(
    service: &ServiceSpec,
    software: &str,
    wanted: &str,
    context: &Context,
) -> Result<Vec<Drifted>, String> {
    let report = context.services.ask(&service.name, ASK_LIMIT).await?;
    let Some(version) = report.version else {
        return Err(format!("{} does not say what version it is", service.name));
    };
    if is_version(&version, wanted) {
        return Ok(Vec::new());
    }
    let drifted = Drifted::new(
        DriftSource::Versions,
        &service.name,
        "version",
        wanted,
        version,
    );
    // Where its own recipe installs the pinned version, that one; a deploy of everything does no less.
    let recipe = match software {
        "consul" | "nomad" | "vault" | "k3s" | "traefik" | "grafana" | "etcd" | "prometheus" => {
            software
        }
        _ => return Ok(vec![drifted]),
    };
    Ok(vec![Drifted {
        reconcile: Some(Remedy::recipe(recipe)),
        ..drifted
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::staging;

    #[test]
    fn a_service_is_held_against_the_pin_of_the_software_that_it_is() {
        let mut environment = staging();
        let pin_of = |environment: &Environment, kind| {
            let spec = ServiceSpec {
                kind,
                ..environment.services[0].clone()
            };
            pin(environment, &spec).map(|(software, version)| format!("{software} {version}"))
        };
        assert_eq!(
            pin_of(&environment, ServiceKind::Consul).as_deref(),
            Some("consul 1.8.7")
        );
        assert_eq!(pin_of(&environment, ServiceKind::Kubernetes), None);
        for (software, version) in [("k3s", "1.33.5"), ("vault", "1.20"), ("openbao", "2.7")] {
            environment.versions.insert(software.into(), version.into());
        }
        assert_eq!(
            pin_of(&environment, ServiceKind::Kubernetes).as_deref(),
            Some("k3s 1.33.5")
        );
        assert_eq!(
            pin_of(&environment, ServiceKind::Vault).as_deref(),
            Some("openbao 2.7")
        );
    }
}
