//! What Traefik routes to, and whether it is there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::node::Role;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// A server behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    node: String,
    unit: &'static str,
    url: String,
    up: bool,
}

/// A route from a host name to servers.
#[derive(Debug, Clone)]
struct Route {
    name: &'static str,
    servers: Vec<Server>,
    check: &'static str,
    protected: bool,
}

/// A proxy.
pub(crate) struct Traefik {
    routes: Vec<Route>,
    broken: bool,
    started: Timestamp,
    node: String,
    starts: u64,
    revision: u64,
}

impl Traefik {
    /// The proxy on `node`.
    pub(crate) fn new(around: &Surroundings, node: &str, now: Timestamp) -> Self {
        let servers = |role: Role, unit: &'static str, port: u16| -> Vec<Server> {
            let hosts = around.cluster.nodes().into_iter();
            hosts
                .filter(|host| host.roles.contains(&role))
                .map(|host| Server {
                    url: format!("http://{}:{port}", host.address),
                    up: around.cluster.runs(&host.name, unit),
                    node: host.name,
                    unit,
                })
                .collect()
        };
        let route = |name, servers, check, protected| Route {
            name,
            servers,
            check,
            protected,
        };
        let mut routes = vec![
            route(
                "consul",
                servers(Role::ConsulServer, units::CONSUL, 8500),
                "/v1/status/leader",
                true,
            ),
            route(
                "grafana",
                servers(Role::Grafana, units::GRAFANA, 3000),
                "/api/health",
                false,
            ),
            route(
                "harbor",
                servers(Role::Harbor, units::HARBOR, 8080),
                "/api/v2.0/ping",
                false,
            ),
            route(
                "nomad",
                servers(Role::NomadServer, units::NOMAD, 4646),
                "/v1/agent/health",
                true,
            ),
            route(
                "web",
                servers(Role::NomadClient, units::NOMAD, 8088),
                "/",
                false,
            ),
        ];
        routes.retain(|route| !route.servers.is_empty());
        Self {
            routes,
            broken: false,
            started: now,
            node: node.to_owned(),
            starts: around.cluster.starts(node, units::TRAEFIK),
            revision: 0,
        }
    }

    /// When the process was started.
    pub(crate) const fn started(&self) -> Timestamp {
        self.started
    }

    /// Adds a router that points nowhere, or removes it.
    pub(crate) fn set_broken(&mut self, broken: bool) {
        self.broken = broken;
        self.revision += 1;
    }

    /// `/api/http/routers`, by name.
    pub(crate) fn routers(&self) -> Vec<Value> {
        let mut routers: Vec<Value> = self
            .routes
            .iter()
            .map(|route| {
                let rule = format!("Host(`{}.lab.internal`)", route.name);
                let mut router = router(&format!("{}@file", route.name), &rule, "websecure");
                router["service"] = json!(route.name);
                router["tls"] = json!({ "options": "default" });
                if route.protected {
                    router["middlewares"] = json!(["auth@file", "headers@file"]);
                } else {
                    router["middlewares"] = json!(["headers@file"]);
                }
                router
            })
            .collect();
        for (name, rule, service) in [
            ("api@internal", "PathPrefix(`/api`)", "api@internal"),
            ("ping@internal", "PathPrefix(`/ping`)", "ping@internal"),
        ] {
            let mut router = router(name, rule, "traefik");
            router["service"] = json!(service);
            router["provider"] = json!("internal");
            routers.push(router);
        }
        if self.broken {
            let mut router = router("shop@file", "Host(`shop.lab.internal`)", "websecure");
            router["service"] = json!("shop");
            router["status"] = json!("disabled");
            router["error"] = json!(["the service \"shop@file\" does not exist"]);
            routers.push(router);
        }
        sorted(routers)
    }

    /// `/api/http/services`, by name.
    pub(crate) fn services(&self) -> Vec<Value> {
        let mut services: Vec<Value> = self
            .routes
            .iter()
            .map(|route| {
                let servers: Vec<Value> = route
                    .servers
                    .iter()
                    .map(|server| json!({ "url": server.url }))
                    .collect();
                let status: BTreeMap<&str, &str> = route
                    .servers
                    .iter()
                    .map(|server| (server.url.as_str(), if server.up { "UP" } else { "DOWN" }))
                    .collect();
                let name = format!("{}@file", route.name);
                json!({
                    "loadBalancer": {
                        "servers": servers,
                        "strategy": "wrr",
                        "healthCheck": {
                            "mode": "http",
                            "path": route.check,
                            "interval": "5s",
                            "timeout": "2s",
                            "followRedirects": true,
                        },
                        "passHostHeader": true,
                        "responseForwarding": { "flushInterval": "100ms" },
                    },
                    "status": "enabled",
                    "usedBy": [name],
                    "serverStatus": status,
                    "name": name,
                    "provider": "file",
                    "type": "loadbalancer",
                })
            })
            .collect();
        services.extend(["api@internal", "ping@internal"].map(|name| {
            json!({ "status": "enabled", "usedBy": [name], "name": name, "provider": "internal" })
        }));
        sorted(services)
    }

    /// `/api/http/middlewares`, by name.
    pub(crate) fn middlewares(&self) -> Vec<Value> {
        let using = |protected: bool| -> Vec<String> {
            self.routes
                .iter()
                .filter(|route| route.protected || !protected)
                .map(|route| format!("{}@file", route.name))
                .collect()
        };
        vec![
            json!({
                "forwardAuth": { "address": "http://127.0.0.1:4181", "trustForwardHeader": false },
                "status": "enabled",
                "usedBy": using(true),
                "name": "auth@file",
                "provider": "file",
                "type": "forwardauth",
            }),
            json!({
                "headers": { "stsSeconds": 31_536_000, "contentTypeNosniff": true },
                "status": "enabled",
                "usedBy": using(false),
                "name": "headers@file",
                "provider": "file",
                "type": "headers",
            }),
        ]
    }
}

fn router(name: &str, rule: &str, entry_point: &str) -> Value {
    json!({
        "entryPoints": [entry_point],
        "service": "",
        "rule": rule,
        "priority": rule.len(),
        "observability": {
            "accessLogs": true,
            "metrics": true,
            "tracing": true,
            "traceVerbosity": "minimal",
        },
        "status": "enabled",
        "using": [entry_point],
        "name": name,
        "provider": "file",
    })
}

fn sorted(mut entries: Vec<Value>) -> Vec<Value> {
    entries.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    entries
}

/// `/api/entrypoints`.
pub(crate) fn entry_points() -> Vec<Value> {
    let point = |name: &str, address: &str| {
        json!({
            "address": address,
            "transport": {
                "lifeCycle": { "graceTimeOut": "10s" },
                "respondingTimeouts": { "readTimeout": "1m0s", "idleTimeout": "3m0s" },
            },
            "forwardedHeaders": {},
            "http": { "maxHeaderBytes": 1_048_576 },
            "http2": { "maxConcurrentStreams": 250 },
            "udp": { "timeout": "3s" },
            "observability": {
                "accessLogs": true,
                "metrics": true,
                "tracing": true,
                "traceVerbosity": "minimal",
            },
            "name": name,
        })
    };
    vec![
        point("traefik", ":8080"),
        point("web", ":80"),
        point("websecure", ":443"),
    ]
}

impl Machine for Traefik {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let starts = around.cluster.starts(&self.node, units::TRAEFIK);
        if starts != self.starts {
            self.starts = starts;
            self.started = now;
            self.revision += 1;
        }
        for server in self.routes.iter_mut().flat_map(|route| &mut route.servers) {
            let up = around.cluster.runs(&server.node, server.unit);
            if up != server.up {
                server.up = up;
                self.revision += 1;
            }
        }
        Outlook::Settled
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
