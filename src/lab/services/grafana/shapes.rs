//! Alerts and rules as Grafana's APIs show them: the Alertmanager's, the ruler's and that of provisioning.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::state::{Alarm, Grafana, Instance, Rule};

const FOLDER: &str = "Cluster";

fn labels(rule: &Rule, instance: &Instance) -> Value {
    json!({
        "alertname": rule.title,
        "grafana_folder": FOLDER,
        "instance": instance.node,
        "severity": rule.severity,
    })
}

/// `/api/alertmanager/grafana/api/v2/alerts`: what fires; what is pending has not got there yet.
pub(crate) fn alerts(grafana: &Grafana, now: Timestamp) -> Vec<Value> {
    let firing = grafana.rules.iter().flat_map(|rule| {
        let instances = rule.instances.iter();
        instances
            .filter(move |instance| rule.alarm(instance, now) == Alarm::Firing)
            .map(move |instance| (rule, instance))
    });
    firing
        .map(|(rule, instance)| {
            let label = format!("grafana/alert/{}/{}", rule.title, instance.node);
            json!({
                "annotations": { "summary": rule.summary },
                "endsAt": (now + SignedDuration::from_mins(4)).to_string(),
                "fingerprint": grafana.ids.hex(&label, 16),
                "receivers": [{ "name": "grafana-default-email" }],
                "startsAt": (instance.since + rule.hold).to_string(),
                "status": {
                    "inhibitedBy": [],
                    "mutedBy": [],
                    "silencedBy": [],
                    "state": "active",
                },
                "updatedAt": now.to_string(),
                "generatorURL": format!("http://localhost:3000/alerting/grafana/{}/view", rule.uid),
                "labels": labels(rule, instance),
            })
        })
        .collect()
}

/// `/api/prometheus/grafana/api/v1/rules`: every rule with its state.
pub(crate) fn rules(grafana: &Grafana, now: Timestamp) -> Value {
    let folder = grafana.ids.word("grafana/folder", 14);
    let mut groups: Vec<&str> = grafana.rules.iter().map(|rule| rule.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let rules: Vec<Value> = grafana
                .rules
                .iter()
                .filter(|rule| rule.group == group)
                .map(|rule| shown(rule, &folder, now))
                .collect();
            json!({
                "name": group,
                "file": FOLDER,
                "folderUid": folder,
                "rules": rules,
                "interval": 60,
                "lastEvaluation": now.to_string(),
                "evaluationTime": 0.002,
            })
        })
        .collect();
    let count = |alarm| {
        grafana
            .rules
            .iter()
            .filter(|rule| rule.worst(now) == alarm)
            .count()
    };
    json!({
        "status": "success",
        "data": {
            "groups": groups,
            "totals": {
                "firing": count(Alarm::Firing),
                "inactive": count(Alarm::Inactive),
                "pending": count(Alarm::Pending),
            },
        },
    })
}

fn shown(rule: &Rule, folder: &str, now: Timestamp) -> Value {
    let alerts: Vec<Value> = rule
        .instances
        .iter()
        .map(|instance| {
            json!({
                "labels": labels(rule, instance),
                "annotations": { "summary": rule.summary },
                "state": match rule.alarm(instance, now) {
                    Alarm::Inactive => "Normal",
                    Alarm::Pending => "Pending",
                    Alarm::Firing => "Alerting",
                },
                "activeAt": instance.since.to_string(),
                "value": "1e+00",
            })
        })
        .collect();
    json!({
        "state": match rule.worst(now) {
            Alarm::Inactive => "inactive",
            Alarm::Pending => "pending",
            Alarm::Firing => "firing",
        },
        "name": rule.title,
        "folderUid": folder,
        "uid": rule.uid,
        "query": rule.query,
        "duration": rule.hold.as_secs(),
        "annotations": { "summary": rule.summary },
        "alerts": alerts,
        "labels": { "severity": rule.severity },
        "health": "ok",
        "type": "alerting",
        "lastEvaluation": now.to_string(),
        "evaluationTime": 0.001,
    })
}

/// `/api/v1/provisioning/alert-rules`.
pub(crate) fn provisioned(grafana: &Grafana) -> Vec<Value> {
    let folder = grafana.ids.word("grafana/folder", 14);
    let source = grafana.ids.word("grafana/source/prometheus", 14);
    (1_u32..)
        .zip(&grafana.rules)
        .map(|(id, rule)| {
            json!({
                "id": id,
                "uid": rule.uid,
                "orgID": 1,
                "folderUID": folder,
                "ruleGroup": rule.group,
                "title": rule.title,
                "condition": "A",
                "data": [{
                    "refId": "A",
                    "queryType": "",
                    "relativeTimeRange": { "from": 600, "to": 0 },
                    "datasourceUid": source,
                    "model": { "expr": rule.query, "instant": true, "refId": "A" },
                }],
                "updated": grafana.born.to_string(),
                "noDataState": "NoData",
                "execErrState": "Error",
                "for": duration(rule.hold),
                "keep_firing_for": "0s",
                "annotations": { "summary": rule.summary },
                "labels": { "severity": rule.severity },
                "provenance": "file",
                "isPaused": false,
                "notification_settings": null,
                "record": null,
            })
        })
        .collect()
}

/// A duration as Prometheus writes it.
fn duration(hold: SignedDuration) -> String {
    let seconds = hold.as_secs();
    match seconds {
        0 => "0s".into(),
        seconds if seconds % 604_800 == 0 => format!("{}w", seconds / 604_800),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
