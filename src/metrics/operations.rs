//! Metrics of role changes, from the record in status: how many, how long each phase took, what they cost.
//!
//! A process counts what ended since it first saw the set: reports that were there before were counted by another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::{IntGauge, Set};
use crate::api::status::{FailoverReport, Operation, OperationKind, OperationReason, RedisReplicaSetStatus};
use crate::model::redis::SetKey;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Ended {
    namespace: String,
    set: String,
    kind: &'static str,
    reason: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    kind: &'static str,
    phase: &'static str,
}

/// What is known of one set.
#[derive(Default)]
struct Known {
    /// The newest epoch whose report was counted or was there before.
    counted: Option<i64>,
    /// The role change that was under way at the last look.
    under_way: Option<Operation>,
    /// Series that exist.
    series: BTreeSet<Ended>,
}

pub(super) struct Operations {
    ended: Family<Ended, Counter>,
    phases: Family<Phase, Histogram>,
    lost: Family<Set, Counter>,
    fences: Family<Set, IntGauge>,
    known: Mutex<BTreeMap<SetKey, Known>>,
}

impl Operations {
    pub fn new(registry: &mut Registry) -> Self {
        let new = Self {
            ended: Family::default(),
            phases: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 17))),
            lost: Family::default(),
            fences: Family::default(),
            known: Mutex::default(),
        };
        registry.register("operations", "Role changes that ended", new.ended.clone());
        registry.register_with_unit(
            "operation_phase",
            "Time from the first sign, or from a planned demotion, until a phase of a change of the master was done",
            Unit::Seconds,
            new.phases.clone(),
        );
        registry.register_with_unit(
            "lost",
            "Upper bound of acknowledged bytes that failovers lost, as far as it is known",
            Unit::Bytes,
            new.lost.clone(),
        );
        registry.register(
            "fences_pending",
            "Former masters that were not reached yet",
            new.fences.clone(),
        );
        new
    }

    /// Counts what ended since the last look.
    pub fn observe(&self, key: &SetKey, status: &RedisReplicaSetStatus) {
        let set = set(key);
        let pending = i64::try_from(status.pending_fences.len()).unwrap_or(i64::MAX);
        self.fences.get_or_create(&set).set(pending);
        let lost = self.lost.get_or_create(&set).clone();
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(key.clone()).or_default();
        let newest = status.failovers.iter().map(|r| r.epoch).max().unwrap_or(0);
        let counted = known.counted.replace(newest).unwrap_or(newest);
        for report in status.failovers.iter().filter(|r| r.epoch > counted) {
            self.count(key, known, report.kind, report.reason, "Done");
            let bytes = report
                .verdict
                .max_lost_bytes
                .and_then(|bytes| u64::try_from(bytes).ok());
            lost.inc_by(bytes.unwrap_or(0));
            self.time(report);
        }
        let before = std::mem::replace(&mut known.under_way, status.operation.clone());
        if let Some(before) = before.filter(|b| !goes_on(b, status))
            && let Some(result) = result(&before, status)
        {
            self.count(key, known, before.kind, before.reason, result);
        }
    }

    fn count(
        &self,
        key: &SetKey,
        known: &mut Known,
        kind: OperationKind,
        reason: OperationReason,
        result: &'static str,
    ) {
        let labels = Ended {
            namespace: key.namespace.clone(),
            set: key.name.clone(),
            kind: kind.as_str(),
            reason: reason.as_str(),
            result,
        };
        self.ended.get_or_create(&labels).inc();
        known.series.insert(labels);
    }

    fn time(&self, report: &FailoverReport) {
        let phases = &report.phases_ms;
        let list = [
            ("proxies", phases.proxies),
            ("detect", phases.detect),
            ("fence", phases.fence),
            ("drain", phases.drain),
            ("choose", phases.choose),
            ("promote", phases.promote),
            ("vip", phases.vip),
            ("endpoints", phases.endpoints),
            ("siblings", phases.siblings),
            ("total", Some(phases.total)),
        ];
        for (phase, ms) in list {
            let Some(ms) = ms.and_then(|ms| u32::try_from(ms).ok()) else {
                continue;
            };
            let kind = report.kind.as_str();
            let labels = Phase { kind, phase };
            self.phases.get_or_create(&labels).observe(f64::from(ms) / 1000.0);
        }
    }

    /// Drops the series of a set.
    pub fn forget(&self, key: &SetKey) {
        let set = set(key);
        self.fences.remove(&set);
        self.lost.remove(&set);
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.remove(key).map(|known| known.series).unwrap_or_default();
        for labels in &series {
            self.ended.remove(labels);
        }
    }
}

fn set(key: &SetKey) -> Set {
    Set {
        namespace: key.namespace.clone(),
        set: key.name.clone(),
    }
}

/// Whether the role change of the last look is still under way.
fn goes_on(before: &Operation, status: &RedisReplicaSetStatus) -> bool {
    let now = status.operation.as_ref();
    now.is_some_and(|now| (now.kind, now.epoch) == (before.kind, before.epoch))
}

/// How a role change ended; nothing for one that was counted by its report.
fn result(before: &Operation, status: &RedisReplicaSetStatus) -> Option<&'static str> {
    if status.failovers.iter().any(|r| r.epoch == before.epoch) {
        return None;
    }
    let given_up = before.kind.is_handover() || before.to.is_empty() || status.operation.is_some();
    Some(if given_up { "Undone" } else { "Done" })
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-23T07:12:09.114302Z";

    fn status(text: serde_json::Value) -> RedisReplicaSetStatus {
        serde_json::from_value(text).unwrap()
    }

    fn report(epoch: i64, lost: i64) -> serde_json::Value {
        json!({
            "epoch": epoch, "kind": "Failover", "reason": "ProcessDied", "proof": "ConnectionRefused",
            "witnesses": {"asked": 0, "agreed": 0}, "positions": {"electors": 3, "needed": 2, "read": 2},
            "maxLostBytes": lost, "from": "c-0", "to": "c-1", "fence": "Proven", "phasesMs": {"vip": 40, "total": 80},
            "resyncs": {"partial": 1, "full": 0}, "startedAt": AT, "finishedAt": AT, "message": "m",
        })
    }

    fn operation(kind: &str, epoch: i64) -> serde_json::Value {
        json!({"kind": kind, "to": "c-1", "epoch": epoch, "reason": "Requested", "startedAt": AT})
    }

    fn seen(looks: &[serde_json::Value]) -> (Operations, Registry, SetKey) {
        let mut registry = Registry::default();
        let operations = Operations::new(&mut registry);
        let key = SetKey {
            namespace: "ns".into(),
            name: "c".into(),
        };
        looks
            .iter()
            .for_each(|look| operations.observe(&key, &status(look.clone())));
        (operations, registry, key)
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    const DONE: &str =
        r#"operations_total{namespace="ns",set="c",kind="Failover",reason="ProcessDied",result="Done"} 1"#;

    #[test]
    fn a_report_is_counted_once_and_those_of_another_process_never() {
        let old = json!({"failovers": [report(2, 5)]});
        let new = json!({"failovers": [report(3, 13), report(2, 5)]});
        let (_, registry, _) = seen(&[old.clone(), old.clone()]);
        assert!(!text(&registry).contains("operations_total{"));
        let (_, registry, _) = seen(&[old, new.clone(), new]);
        let text = text(&registry);
        assert!(text.contains(DONE), "{text}");
        assert!(
            text.contains(r#"lost_bytes_total{namespace="ns",set="c"} 13"#),
            "{text}"
        );
        for phase in ["vip", "total"] {
            let count = format!(r#"operation_phase_seconds_count{{kind="Failover",phase="{phase}"}} 1"#);
            assert!(text.contains(&count), "{text}");
        }
        assert!(
            !text.contains(r#"phase="drain""#),
            "a phase that nobody saw has no time"
        );
    }

    #[test]
    fn what_was_begun_and_left_no_report_was_undone() {
        let result = |kind: &str, result: &str| format!(r#"kind="{kind}",reason="Requested",result="{result}"}} 1"#);
        let cases = [
            (
                vec![json!({"operation": operation("Switchover", 4)}), json!({})],
                result("Switchover", "Undone"),
            ),
            (
                vec![json!({"operation": operation("Grant", 4)}), json!({})],
                result("Grant", "Done"),
            ),
        ];
        for (looks, wanted) in cases {
            let (_, registry, _) = seen(&looks);
            let text = text(&registry);
            assert!(text.contains(&wanted), "{wanted} in {text}");
        }
        let goes_on = json!({"operation": operation("Switchover", 4)});
        let (_, registry, _) = seen(&[goes_on.clone(), goes_on]);
        assert!(!text(&registry).contains("operations_total{"));
    }

    #[test]
    fn a_set_that_is_gone_has_no_series() {
        let fence = json!([{"name": "c-0", "uid": "u", "epoch": 2, "since": "2026-11-23T07:12:09Z"}]);
        let later = json!({"failovers": [report(3, 13)], "pendingFences": fence});
        let (operations, registry, key) = seen(&[json!({}), later]);
        let before = text(&registry);
        assert!(
            before.contains(r#"fences_pending{namespace="ns",set="c"} 1"#),
            "{before}"
        );
        assert!(before.contains(DONE), "{before}");
        operations.forget(&key);
        assert!(!text(&registry).contains(r#"set="c""#));
    }
}
