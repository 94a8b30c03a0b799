//! Metrics of the operator and of its sets, by the names of the reference.
//!
//! Labels are bounded by objects that exist and deleted with them; values of `type`, `state`, `step` are closed lists.

mod operations;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::api::status::RedisReplicaSetStatus;
use crate::model::cluster::Cluster;
use crate::model::observed::Observed;
use crate::model::plan::Plan;
use crate::model::redis::SetKey;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Set {
    namespace: String,
    set: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Member {
    namespace: String,
    set: String,
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTier {
    namespace: String,
    set: String,
    tier: String,
}

/// A member where its tier is part of the label: what is told of a replica is told by tier too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Replica {
    namespace: String,
    set: String,
    tier: String,
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Typed {
    namespace: String,
    set: String,
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

type IntGauge = Gauge<i64, AtomicI64>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// All metrics of the process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    condition: Family<Typed, IntGauge>,
    epoch: Family<Set, IntGauge>,
    replicas: Family<OfTier, IntGauge>,
    replicas_ready: Family<OfTier, IntGauge>,
    vip_endpoints: Family<Set, IntGauge>,
    member_up: Family<Member, IntGauge>,
    member_offset: Family<Member, IntGauge>,
    member_lag_bytes: Family<Replica, IntGauge>,
    member_lag_seconds: Family<Replica, FloatGauge>,
    leader: IntGauge,
    sets: IntGauge,
    reconcile: Family<ResultLabel, Histogram>,
    step_errors: Family<StepLabel, Counter>,
    operations: operations::Operations,
    requests: requests::Requests,
    known: std::sync::Mutex<BTreeMap<SetKey, Known>>,
}

/// What there are series of.
#[derive(Default)]
struct Known {
    /// Tiers.
    tiers: BTreeSet<String>,
    /// Members with their tiers.
    members: BTreeMap<String, String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A new registry.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("redisreplicaset");
        let mut inner = Inner {
            condition: Family::default(),
            epoch: Family::default(),
            replicas: Family::default(),
            replicas_ready: Family::default(),
            vip_endpoints: Family::default(),
            member_up: Family::default(),
            member_offset: Family::default(),
            member_lag_bytes: Family::default(),
            member_lag_seconds: Family::default(),
            leader: IntGauge::default(),
            sets: IntGauge::default(),
            reconcile: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            step_errors: Family::default(),
            operations: operations::Operations::new(&mut registry),
            requests: requests::Requests::new(&mut registry),
            known: std::sync::Mutex::default(),
            registry: Registry::default(),
        };
        registry.register(
            "condition",
            "1 if the condition is True, else 0",
            inner.condition.clone(),
        );
        registry.register("epoch", "Epoch of the set", inner.epoch.clone());
        registry.register("replicas", "Replicas wanted", inner.replicas.clone());
        registry.register("replicas_ready", "Replicas in sync", inner.replicas_ready.clone());
        registry.register(
            "vip_endpoints",
            "Pods behind the VIP by its EndpointSlices",
            inner.vip_endpoints.clone(),
        );
        registry.register(
            "member_up",
            "1 if the pod answered the last probe",
            inner.member_up.clone(),
        );
        registry.register_with_unit(
            "member_offset",
            "Replication offset",
            Unit::Bytes,
            inner.member_offset.clone(),
        );
        registry.register_with_unit(
            "member_lag",
            "Stream a replica lacks, against the master",
            Unit::Bytes,
            inner.member_lag_bytes.clone(),
        );
        registry.register_with_unit(
            "member_lag",
            "Age of what a replica has, against the master",
            Unit::Seconds,
            inner.member_lag_seconds.clone(),
        );
        registry.register("operator_leader", "1 while this process leads", inner.leader.clone());
        registry.register("operator_sets", "Sets known to this process", inner.sets.clone());
        registry.register_with_unit(
            "operator_reconcile",
            "Time of one pass",
            Unit::Seconds,
            inner.reconcile.clone(),
        );
        registry.register(
            "operator_reconcile_errors",
            "Steps that failed",
            inner.step_errors.clone(),
        );
        inner.registry = registry;
        Self(Arc::new(inner))
    }

    /// The exposition text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail; an empty text would be seen by the scraper.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Notes whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// Notes a pass.
    pub fn reconciled(&self, took: Duration, well: bool) {
        let result = if well { "ok" } else { "error" };
        self.0
            .reconcile
            .get_or_create(&ResultLabel { result })
            .observe(took.as_secs_f64());
    }

    /// Notes a failed step.
    pub fn step_failed(&self, step: &str) {
        self.0
            .step_errors
            .get_or_create(&StepLabel { step: step.to_owned() })
            .inc();
    }

    /// Notes what was seen of a set.
    pub fn observe(&self, key: &SetKey, cluster: &Cluster, observed: &Observed, plan: &Plan) {
        let status = plan.status.as_ref().unwrap_or(&observed.status);
        let set = || Set {
            namespace: key.namespace.clone(),
            set: key.name.clone(),
        };
        for condition in &status.conditions {
            let labels = Typed {
                namespace: key.namespace.clone(),
                set: key.name.clone(),
                r#type: condition.type_.clone(),
            };
            self.0
                .condition
                .get_or_create(&labels)
                .set(i64::from(condition.status == "True"));
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.0
            .epoch
            .get_or_create(&set())
            .set(observed.status.epoch.unwrap_or(0));
        self.tiers(key, cluster, status);
        self.0
            .vip_endpoints
            .get_or_create(&set())
            .set(count(observed.vip_pods.len()));
        self.0.operations.observe(key, &observed.status);
        self.0.requests.observe(key, &observed.status);
        self.members(key, observed);
    }

    /// Replicas of each tier, the master not counted.
    fn tiers(&self, key: &SetKey, cluster: &Cluster, status: &RedisReplicaSetStatus) {
        let seen = |name: &str| status.tiers.iter().find(|tier| tier.name == name);
        let mut tiers = BTreeSet::new();
        for tier in cluster.tiers() {
            let (wanted, ready) = match tier.level {
                None => (cluster.replicas(), status.ready_replicas.unwrap_or(0)),
                Some(_) => (tier.pods, seen(tier.name).map_or(0, |seen| seen.ready_replicas)),
            };
            let label = of_tier(key, tier.name);
            self.0.replicas.get_or_create(&label).set(i64::from(wanted));
            self.0.replicas_ready.get_or_create(&label).set(i64::from(ready));
            tiers.insert(tier.name.to_owned());
        }
        let before = std::mem::replace(&mut self.known().entry(key.clone()).or_default().tiers, tiers.clone());
        before.difference(&tiers).for_each(|tier| self.forget_tier(key, tier));
    }

    fn members(&self, key: &SetKey, observed: &Observed) {
        let now = k8s_openapi::jiff::Timestamp::now();
        let master = observed.recorded_master();
        for member in &observed.members {
            let label = of_member(key, &member.name);
            let answers = i64::from(member.facts().is_some());
            self.0.member_up.get_or_create(&label).set(answers);
            let Some(facts) = member.facts() else { continue };
            let offset = i64::try_from(facts.offset).unwrap_or(i64::MAX);
            self.0.member_offset.get_or_create(&label).set(offset);
            let Some(master) = master.filter(|m| !m.is(member)) else {
                continue;
            };
            let newest = master
                .redis
                .offsets()
                .newest()
                .map_or(facts.offset, |(_, offset)| offset);
            let label = of_replica(key, &member.tier, &member.name);
            let behind = i64::try_from(newest.saturating_sub(facts.offset)).unwrap_or(i64::MAX);
            self.0.member_lag_bytes.get_or_create(&label).set(behind);
            let age = master
                .redis
                .offsets()
                .age(facts.offset, now)
                .map_or(f64::NAN, |age| age.as_secs_f64());
            self.0.member_lag_seconds.get_or_create(&label).set(age);
        }
        let members: BTreeMap<_, _> = observed
            .members
            .iter()
            .map(|m| (m.name.clone(), m.tier.clone()))
            .collect();
        let mut known = self.known();
        let before = std::mem::replace(&mut known.entry(key.clone()).or_default().members, members);
        self.0.sets.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
        let gone = before.iter().filter(|(name, _)| observed.member(name).is_none());
        gone.for_each(|(name, tier)| self.forget_member(key, tier, name));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<SetKey, Known>> {
        self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn forget_member(&self, key: &SetKey, tier: &str, name: &str) {
        let label = of_member(key, name);
        self.0.member_up.remove(&label);
        self.0.member_offset.remove(&label);
        let label = of_replica(key, tier, name);
        self.0.member_lag_bytes.remove(&label);
        self.0.member_lag_seconds.remove(&label);
    }

    fn forget_tier(&self, key: &SetKey, tier: &str) {
        let label = of_tier(key, tier);
        self.0.replicas.remove(&label);
        self.0.replicas_ready.remove(&label);
    }

    /// Drops the series of all sets: another process has them now.
    pub fn forget_all(&self) {
        let keys: Vec<_> = self.known().keys().cloned().collect();
        keys.iter().for_each(|key| self.forget(key));
    }

    /// Drops the series of a set that is gone.
    pub fn forget(&self, key: &SetKey) {
        let set = Set {
            namespace: key.namespace.clone(),
            set: key.name.clone(),
        };
        self.0.operations.forget(key);
        self.0.requests.forget(key);
        self.0.epoch.remove(&set);
        self.0.vip_endpoints.remove(&set);
        for kind in crate::api::ConditionType::ALL {
            let labels = Typed {
                namespace: key.namespace.clone(),
                set: key.name.clone(),
                r#type: kind.as_str().to_owned(),
            };
            self.0.condition.remove(&labels);
        }
        let mut known = self.known();
        let Known { tiers, members } = known.remove(key).unwrap_or_default();
        tiers.iter().for_each(|tier| self.forget_tier(key, tier));
        members
            .iter()
            .for_each(|(name, tier)| self.forget_member(key, tier, name));
        self.0.sets.set(i64::try_from(known.len()).unwrap_or(i64::MAX));
    }
}

fn of_tier(key: &SetKey, tier: &str) -> OfTier {
    OfTier {
        namespace: key.namespace.clone(),
        set: key.name.clone(),
        tier: tier.to_owned(),
    }
}

fn of_member(key: &SetKey, member: &str) -> Member {
    Member {
        namespace: key.namespace.clone(),
        set: key.name.clone(),
        member: member.to_owned(),
    }
}

fn of_replica(key: &SetKey, tier: &str, member: &str) -> Replica {
    Replica {
        namespace: key.namespace.clone(),
        set: key.name.clone(),
        tier: tier.to_owned(),
        member: member.to_owned(),
    }
}
