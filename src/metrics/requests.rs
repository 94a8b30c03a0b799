//! Metrics of what people asked by annotation, from the answers in status.
//!
//! A process counts the answers that it saw coming: those that were there at its first look were counted by another one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::api::status::{Outcome, RedisReplicaSetStatus, Request};
use crate::model::redis::SetKey;

/// Names are those of answers, which are a closed list: an annotation that is no request has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Answered {
    namespace: String,
    set: String,
    name: String,
    outcome: &'static str,
}

/// What is known of one set.
#[derive(Default)]
struct Known {
    /// The answers at the last look; none before the first.
    answers: Option<Vec<Request>>,
    /// Series that exist.
    series: Vec<Answered>,
}

pub(super) struct Requests {
    answered: Family<Answered, Counter>,
    known: Mutex<BTreeMap<SetKey, Known>>,
}

impl Requests {
    pub fn new(registry: &mut Registry) -> Self {
        let new = Self {
            answered: Family::default(),
            known: Mutex::default(),
        };
        registry.register(
            "requests",
            "Requests by annotation that were answered",
            new.answered.clone(),
        );
        new
    }

    /// Counts what was answered since the last look.
    pub fn observe(&self, key: &SetKey, status: &RedisReplicaSetStatus) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(key.clone()).or_default();
        let before = known.answers.replace(status.requests.clone());
        let before = before.as_ref().unwrap_or(&status.requests);
        let ended = status.requests.iter().filter(|r| r.outcome != Outcome::Running);
        for request in ended.filter(|r| !before.contains(r)) {
            let labels = Answered {
                namespace: key.namespace.clone(),
                set: key.name.clone(),
                name: request.name.clone(),
                outcome: request.outcome.as_str(),
            };
            self.answered.get_or_create(&labels).inc();
            if !known.series.contains(&labels) {
                known.series.push(labels);
            }
        }
    }

    /// Drops the series of a set.
    pub fn forget(&self, key: &SetKey) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in all.remove(key).map(|known| known.series).unwrap_or_default() {
            self.answered.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use serde_json::{Value, json};

    use super::*;

    fn look(requests: &[Value]) -> RedisReplicaSetStatus {
        serde_json::from_value(json!({"requests": requests})).unwrap()
    }

    fn request(name: &str, value: &str, outcome: &str) -> Value {
        let at = "2026-11-23T07:12:09Z";
        json!({"name": name, "value": value, "outcome": outcome, "reason": "", "message": "m", "at": at})
    }

    #[test]
    fn an_answer_is_counted_once_and_those_of_another_process_never() {
        let mut registry = Registry::default();
        let requests = Requests::new(&mut registry);
        let key = SetKey {
            namespace: "ns".into(),
            name: "c".into(),
        };
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let old = request("switchover", "any@1", "Done");
        requests.observe(&key, &look(std::slice::from_ref(&old)));
        requests.observe(&key, &look(&[old.clone(), request("restart", "all@1", "Running")]));
        assert!(!text().contains("requests_total{"), "{}", text());
        let done = look(&[old.clone(), request("restart", "all@1", "Done")]);
        (0..2).for_each(|_| requests.observe(&key, &done));
        requests.observe(&key, &look(&[old, request("restart", "x,y", "Refused")]));
        for outcome in ["Done", "Refused"] {
            let counted = format!(r#"requests_total{{namespace="ns",set="c",name="restart",outcome="{outcome}"}} 1"#);
            assert!(text().contains(&counted), "{}", text());
        }
        assert!(!text().contains("switchover"), "{}", text());
        requests.forget(&key);
        assert!(!text().contains(r#"set="c""#));
    }
}
