//! The end of a run as a value that can be compared: what differs in every run is left out, and nothing else.

use std::collections::BTreeSet;

use redis_operator::names;
use serde_json::{Value, json};

use crate::kubernetes::plain;
use crate::redis::{Link, Role};
use crate::store::key;
use crate::world::{NAMESPACE, SET, World};

/// Fields that tell when something was, how long it took, or which version of an object it is.
const TIMES: &[&str] = &[
    "acquireTime",
    "at",
    "convergedAt",
    "creationTimestamp",
    "finishedAt",
    "lastTransitionTime",
    "phasesMs",
    "renewTime",
    "resourceVersion",
    "since",
    "startedAt",
];
/// Histories have random names, offsets depend on when something was, and so does what may be lost.
const STREAMS: &[&str] = &[
    "began",
    "highWaterMark",
    "maxLostBytes",
    "newHistory",
    "offset",
    "oldHistory",
    "replid",
    "resyncs",
    "resyncsBefore",
];

impl World {
    /// The end state.
    pub fn end(&self) -> Value {
        let mut objects = json!({});
        for (key, object) in self
            .store
            .all()
            .filter(|(key, _)| !matches!(key.plural.as_str(), "leases" | "events"))
        {
            let mut object = object.clone();
            if key.plural == "secrets" {
                object["data"] = json!(
                    object["data"]
                        .as_object()
                        .map(|data| data.keys().cloned().collect::<Vec<_>>())
                );
            }
            if key.plural == "endpointslices" {
                object["endpoints"] = json!(self.behind(&key.name[..key.name.len() - 2]));
            }
            if key.plural == "pods" {
                without_message(&mut object);
            }
            objects[format!("{} {}", key.plural, key.name)] = object;
        }
        let processes = self.redis.values();
        let redis: serde_json::Map<String, Value> = processes.map(|p| (p.pod.clone(), self.process(&p.pod))).collect();
        masked(&json!({"objects": objects, "redis": redis, "vip": self.behind(&names::vip(SET))}))
    }

    fn process(&self, pod: &str) -> Value {
        let process = self.redis.values().find(|process| process.pod == pod).expect("it runs");
        let role = match &process.role {
            Role::Master => "master".to_owned(),
            Role::Follows { ip, link } => {
                let link = if *link == Link::Up { "up" } else { "down" };
                format!("follows {}, {link}", self.pod_at(ip))
            }
        };
        let mut masters = self.redis.values().filter(|process| process.role == Role::Master);
        let same = masters.all(|master| master.data == process.data);
        let mut config = process.config.clone();
        config.remove("masterauth");
        let secret = self.store.get(&key("secrets", NAMESPACE, &names::app_secret(SET)));
        let password = secret
            .and_then(|secret| secret["data"][names::app_key::PASSWORD].as_str())
            .map(plain);
        let app = password.is_some_and(|password| process.admits("app", &password));
        json!({
            "role": role,
            "holds what the master holds": same,
            "config": config,
            "users": process.users.keys().collect::<Vec<_>>(),
            "admits the application": app,
            "children": process.children.iter().map(|(pod, child)| (pod, child.online)).collect::<Vec<_>>(),
        })
    }

    /// Writes that were answered, or confirmed, and that the master does not hold.
    pub fn lost(&self, writes: &BTreeSet<u64>) -> Vec<u64> {
        let masters = self.redis.values().filter(|process| process.role == Role::Master);
        let held: BTreeSet<u64> = masters
            .flat_map(|master| master.data.iter().map(|write| write.id))
            .collect();
        writes.difference(&held).copied().collect()
    }
}

/// The readiness gate's message is of the time when it last turned.
fn without_message(pod: &mut Value) {
    pod["status"].as_object_mut().map(|status| status.remove("podIP"));
    let conditions = pod["status"]["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        condition.as_object_mut().map(|condition| condition.remove("message"));
    }
}

fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !TIMES.contains(&name.as_str()) && !STREAMS.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), masked(value))).collect()
        }
        // In an order that does not depend on names, which may be exchanged.
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(masked).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::String(text) => Value::String(without_figures(text)),
        other => other.clone(),
    }
}

/// A report's sentence without how long it took and how much may be lost. An operator that never saw the old master serve,
/// as the one before it ended, can not tell the second.
fn without_figures(text: &str) -> String {
    let text = text.replace("it is not known how many bytes are lost", "at most some bytes lost");
    let words: Vec<&str> = text.split(' ').collect();
    let unit = |at: usize| matches!(words.get(at + 1), Some(&"ms" | &"bytes"));
    let kept = words
        .iter()
        .enumerate()
        .map(|(at, word)| if unit(at) { "some" } else { word });
    kept.collect::<Vec<_>>().join(" ")
}

/// Every place where two values differ.
pub fn differences(want: &Value, got: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", want, got, &mut found);
    found
}

fn compare(path: &str, want: &Value, got: &Value, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            let names: BTreeSet<&String> = want.keys().chain(got.keys()).collect();
            for name in names {
                let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}/{name}"), &of(want), &of(got), found);
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (at, (want, got)) in want.iter().zip(got).enumerate() {
                compare(&format!("{path}/{at}"), want, got, found);
            }
        }
        (want, got) if want != got => found.push(format!("{path}: {got} instead of {want}")),
        _ => {}
    }
}

/// The same with two pods exchanged, and their nodes.
pub fn exchanged(value: &Value, one: &str, other: &str) -> Value {
    let swap = |text: String, a: &str, b: &str| text.replace(a, "?!").replace(b, a).replace("?!", b);
    let node = |pod: &str| pod.replace(SET, "node");
    let text = swap(value.to_string(), one, other);
    let text = swap(text, &node(one), &node(other));
    masked(&serde_json::from_str(&text).expect("only names inside strings were exchanged"))
}
