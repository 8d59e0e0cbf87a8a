//! What is in the registry. It changes only when nodes do, so nearly all of it is constant.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::lab::services::ids::Ids;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};

struct Repository {
    name: &'static str,
    tags: &'static [&'static str],
    pulls: u32,
    /// Bytes of one artifact.
    size: u64,
    /// Critical vulnerabilities in each artifact.
    critical: u32,
}

struct Project {
    id: u32,
    name: &'static str,
    public: bool,
    /// Bytes, -1 for no limit.
    quota: i64,
    repositories: &'static [Repository],
}

const MIB: u64 = 1024 * 1024;

const PROJECTS: &[Project] = &[
    Project {
        id: 1,
        name: "library",
        public: true,
        quota: -1,
        repositories: &[
            Repository {
                name: "library/nginx",
                tags: &["1.27.5", "1.28.0"],
                pulls: 214,
                size: 68 * MIB,
                critical: 0,
            },
            Repository {
                name: "library/node-exporter",
                tags: &["1.9.1"],
                pulls: 87,
                size: 12 * MIB,
                critical: 0,
            },
        ],
    },
    Project {
        id: 2,
        name: "apps",
        public: false,
        quota: 20 * 1024 * 1_048_576,
        repositories: &[
            Repository {
                name: "apps/api",
                tags: &["0.9.0", "0.9.1", "0.10.0"],
                pulls: 61,
                size: 143 * MIB,
                critical: 0,
            },
            Repository {
                name: "apps/shop/frontend",
                tags: &["1.4.2"],
                pulls: 33,
                size: 96 * MIB,
                critical: 1,
            },
        ],
    },
];

/// A registry.
pub(crate) struct Harbor {
    ids: Ids,
    born: Timestamp,
}

impl Harbor {
    /// A registry that was filled in the weeks before `now`.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        Self {
            ids: around.ids,
            born: now - SignedDuration::from_hours(24 * 30),
        }
    }

    fn stamp(&self, days: i64) -> String {
        (self.born + SignedDuration::from_hours(24 * days)).to_string()
    }

    /// `/health`.
    #[expect(
        clippy::unused_self,
        reason = "an answer of the registry, like the others"
    )]
    pub(crate) fn health(&self) -> Value {
        let components: Vec<Value> = [
            "core",
            "database",
            "jobservice",
            "portal",
            "redis",
            "registry",
            "registryctl",
            "trivy",
        ]
        .into_iter()
        .map(|name| json!({ "name": name, "status": "healthy" }))
        .collect();
        json!({ "status": "healthy", "components": components })
    }

    /// `/statistics`.
    #[expect(
        clippy::unused_self,
        reason = "an answer of the registry, like the others"
    )]
    pub(crate) fn statistics(&self) -> Value {
        let count = |public: bool| {
            PROJECTS
                .iter()
                .filter(move |project| project.public == public)
        };
        let repositories = |public| -> usize {
            count(public)
                .map(|project| project.repositories.len())
                .sum()
        };
        json!({
            "private_project_count": count(false).count(),
            "private_repo_count": repositories(false),
            "public_project_count": count(true).count(),
            "public_repo_count": repositories(true),
            "total_project_count": PROJECTS.len(),
            "total_repo_count": repositories(true) + repositories(false),
            "total_storage_consumption": PROJECTS.iter().map(used).sum::<u64>(),
        })
    }

    /// The project called `key`, or with that number, and whether it is public.
    #[expect(
        clippy::unused_self,
        reason = "an answer of the registry, like the others"
    )]
    pub(crate) fn project(&self, key: &str) -> Option<(&'static str, bool)> {
        let number: Option<u32> = key.parse().ok();
        PROJECTS
            .iter()
            .find(|project| project.name == key || Some(project.id) == number)
            .map(|project| (project.name, project.public))
    }

    /// `/projects`.
    pub(crate) fn projects(&self, all: bool) -> Vec<Value> {
        PROJECTS
            .iter()
            .filter(|project| all || project.public)
            .map(|project| self.shown(project.name))
            .collect()
    }

    /// `/projects/:project`.
    pub(crate) fn shown(&self, name: &str) -> Value {
        let Some(project) = PROJECTS.iter().find(|project| project.name == name) else {
            return Value::Null;
        };
        json!({
            "creation_time": self.stamp(0),
            "current_user_role_id": 1,
            "current_user_role_ids": [1],
            "cve_allowlist": {
                "creation_time": "0001-01-01T00:00:00.000Z",
                "id": project.id,
                "items": [],
                "project_id": project.id,
                "update_time": "0001-01-01T00:00:00.000Z",
            },
            "metadata": {
                "auto_scan": "true",
                "public": project.public.to_string(),
            },
            "name": project.name,
            "owner_id": 1,
            "owner_name": super::ADMIN,
            "project_id": project.id,
            "repo_count": project.repositories.len(),
            "update_time": self.stamp(0),
        })
    }

    /// `/projects/:project/repositories`.
    pub(crate) fn repositories(&self, project: &str) -> Vec<Value> {
        let Some(project) = PROJECTS.iter().find(|known| known.name == project) else {
            return Vec::new();
        };
        (1_u32..)
            .zip(project.repositories)
            .map(|(id, repository)| {
                json!({
                    "artifact_count": repository.tags.len(),
                    "creation_time": self.stamp(1),
                    "id": project.id * 100 + id,
                    "name": repository.name,
                    "project_id": project.id,
                    "pull_count": repository.pulls,
                    "update_time": self.stamp(20),
                })
            })
            .collect()
    }

    /// `/projects/:project/repositories/:repository/artifacts`, the newest first; `None` when there is no such repository.
    pub(crate) fn artifacts(&self, name: &str, scans: bool) -> Option<Vec<Value>> {
        let (project, repository) = PROJECTS.iter().find_map(|project| {
            let found = project
                .repositories
                .iter()
                .find(|known| known.name == name)?;
            Some((project, found))
        })?;
        let artifacts = (1_i64..).zip(repository.tags).map(|(number, tag)| {
            let digest = format!("sha256:{}", self.ids.hex(&format!("{name}:{tag}"), 64));
            let pushed = self.stamp(number * 5);
            let mut artifact = json!({
                "accessories": null,
                "addition_links": {},
                "artifact_type": "application/vnd.oci.image.config.v1+json",
                "digest": digest,
                "extra_attrs": { "architecture": "arm64", "os": "linux" },
                "icon": "sha256:0048162a053eef4d4ce3fe7518615bef084403614f8bca43b40ae2e762e11e06",
                "id": i64::from(project.id) * 1000 + number,
                "labels": null,
                "manifest_media_type": "application/vnd.oci.image.manifest.v1+json",
                "media_type": "application/vnd.oci.image.config.v1+json",
                "project_id": project.id,
                "pull_time": self.stamp(29),
                "push_time": pushed,
                "references": null,
                "repository_id": project.id * 100,
                "repository_name": repository.name,
                "size": repository.size,
                "tags": [{
                    "artifact_id": i64::from(project.id) * 1000 + number,
                    "id": number,
                    "immutable": false,
                    "name": tag,
                    "pull_time": self.stamp(29),
                    "push_time": pushed,
                    "repository_id": project.id * 100,
                }],
                "type": "IMAGE",
            });
            if scans {
                artifact["scan_overview"] = scan(repository.critical, &self.stamp(28));
            }
            artifact
        });
        let mut artifacts: Vec<Value> = artifacts.collect();
        artifacts.reverse();
        Some(artifacts)
    }

    /// `/quotas`.
    pub(crate) fn quotas(&self) -> Vec<Value> {
        PROJECTS
            .iter()
            .map(|project| {
                json!({
                    "creation_time": self.stamp(0),
                    "hard": { "storage": project.quota },
                    "id": project.id,
                    "ref": {
                        "id": project.id,
                        "name": project.name,
                        "owner_name": super::ADMIN,
                    },
                    "update_time": self.stamp(20),
                    "used": { "storage": used(project) },
                })
            })
            .collect()
    }
}

fn used(project: &Project) -> u64 {
    let repositories = project.repositories.iter();
    repositories
        .map(|repository| repository.size * repository.tags.len() as u64)
        .sum()
}

fn scan(critical: u32, time: &str) -> Value {
    json!({
        "application/vnd.security.vulnerability.report; version=1.1": {
            "complete_percent": 100,
            "duration": 4,
            "end_time": time,
            "report_id": "",
            "scan_status": "Success",
            "scanner": { "name": "Trivy", "vendor": "Aqua Security", "version": "v0.65.0" },
            "severity": if critical > 0 { "Critical" } else { "Low" },
            "start_time": time,
            "summary": {
                "fixable": critical,
                "summary": { "Critical": critical, "Low": 3 },
                "total": critical + 3,
            },
        },
    })
}

impl Machine for Harbor {
    fn advance(&mut self, _: &Surroundings, _: Timestamp) -> Outlook {
        Outlook::Settled
    }

    fn revision(&self) -> u64 {
        0
    }
}
