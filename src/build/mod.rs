//! The objects a set consists of, from the set alone: pure functions without a clock, a client or chance.
//!
//! Start at [`all`]. One file per kind; [`meta`] has what they share, [`conf`] and [`acl`] write the two files a Redis
//! boots from, [`compare`] tells what somebody else changed in a live object. What runs, and who is master, is never
//! found out here: it comes in as [`Inputs`].

pub mod acl;
pub mod compare;

pub mod conf;
pub mod config_map;
pub mod disruption_budget;
pub mod grace;
pub mod meta;
pub mod pod;
pub mod quantity;
pub mod secrets;
pub mod services;
pub mod statefulset;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaimSpec, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde_json::Value;

use self::conf::Conf;
use self::services::Reads;
use crate::model::cluster::{Cluster, Tier};
use crate::names::{self, annotation, manager};

/// Why a set cannot be built. The schema and its rules refuse all of it first; an object that was stored under older
/// rules ends here, and what was applied before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A key of `spec.config` that is the operator's own or opens the server.
    #[error("config key {0:?} is not a person's to set; remove it from spec.config")]
    ReservedDirective(String),
    /// A key of `spec.config` that cannot be a directive.
    #[error("config key {0:?} is no redis.conf directive: lower-case letters, digits and '-', at most 64 characters")]
    NotADirective(String),
    /// A user that could be one of ours, or more than a name.
    #[error("auth.username {0:?} cannot be used: 1 to 64 of A-Z a-z 0-9 _ . - and not beginning with rrs-")]
    UserName(String),
    /// A quantity that is none.
    #[error("{field} {value:?} is no quantity such as 1Gi")]
    Quantity {
        /// Path in spec.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A value that cannot become the JSON of an object.
    #[error("no Kubernetes object: {0}")]
    NotAnObject(String),
}

/// Why a Secret cannot be used. Says which key, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The Secret has no such key.
    #[error("key {0:?} is missing")]
    KeyMissing(String),
    /// The value cannot be a password.
    #[error("key {key:?}: {why}")]
    Password {
        /// The key.
        key: String,
        /// What is wrong with its value.
        why: acl::BadPassword,
    },
    /// The value is not a link key as we write it.
    #[error("key {0:?} is no 64 hexadecimal digits")]
    NotAKey(String),
}

/// What the objects depend on besides the spec: decided by `decide`, or read from the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs<'a> {
    /// Pod behind the VIP; `None` for nobody.
    pub master: Option<&'a str>,
    /// Epoch that made it master.
    pub epoch: i64,
    /// Address families of the live VIP. Asked for two and given one, the apiserver adds the second, and then refuses an apply
    /// that names only the first.
    pub vip_families: Vec<String>,
    /// Every tier, the core first.
    pub tiers: Vec<TierInputs<'a>>,
}

/// What the objects of a tier depend on besides the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct TierInputs<'a> {
    /// The tier, with the pods that its StatefulSet is to have now: those that are wanted, except while one is taken out first.
    pub tier: Tier<'a>,
    /// Its redis.conf of this pass.
    pub conf: Conf,
    /// Where its reads go.
    pub reads: Reads<'a>,
    /// Address families of its live read Service, as with the VIP.
    pub families: Vec<String>,
    /// What its live StatefulSet holds that we can only keep.
    pub live: LivePods,
}

/// What a live StatefulSet holds that an apply must repeat; empty for one that is not there yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LivePods {
    /// Its claim template, which can never change: also if its tier was taken out of spec, and put back with another class
    /// before it was gone.
    pub claim: Option<PersistentVolumeClaimSpec>,
    /// The last restart that was asked for, in its pod template: taking it away would be a change of it.
    pub restart: Option<String>,
}

/// Address families of a live Service; none of one that is not there yet.
pub fn families(service: Option<&Value>) -> Vec<String> {
    let listed = service.and_then(|object| object.pointer("/spec/ipFamilies")?.as_array());
    let families = listed.into_iter().flatten();
    families
        .filter_map(|family| family.as_str().map(str::to_owned))
        .collect()
}

impl LivePods {
    /// Reads it from the live StatefulSet.
    pub fn read(stateful_set: Option<&Value>) -> Self {
        let claim = stateful_set.and_then(|object| object.pointer("/spec/volumeClaimTemplates/0/spec"));
        let annotations =
            stateful_set.and_then(|object| object.pointer("/spec/template/metadata/annotations")?.as_object());
        let restart = annotations.and_then(|map| map.get(annotation::RESTART)?.as_str());
        Self {
            claim: claim.and_then(|claim| serde_json::from_value(claim.clone()).ok()),
            restart: restart.map(str::to_owned),
        }
    }
}

/// Everything that is applied for a set, typed. Its Secrets are made apart, by [`secrets`], before all of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// redis.conf, once for all tiers that have the same.
    pub config_maps: Vec<ConfigMap>,
    /// The pods' names.
    pub nodes: Service,
    /// The master's address.
    pub vip: Service,
    /// The address for reads from each tier.
    pub reads: Vec<Service>,
    /// One pod at a time.
    pub disruption_budget: PodDisruptionBudget,
    /// The pods of each tier.
    pub stateful_sets: Vec<StatefulSet>,
}

/// Kinds of objects that a set consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1.
    ConfigMap,
    /// core/v1.
    Service,
    /// policy/v1.
    PodDisruptionBudget,
    /// apps/v1.
    StatefulSet,
}

impl Kind {
    /// As in an object's `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// One object, ready to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name in the set's namespace.
    pub name: String,
    /// The field manager it is applied as.
    pub manager: &'static str,
    /// The JSON to apply, sealed.
    pub value: Value,
}

/// Builds everything, in the order in which it is applied.
///
/// # Errors
/// [`BuildError`] for a spec that admission would refuse today.
pub fn all(cluster: &Cluster, inputs: &Inputs<'_>) -> Result<Vec<Object>, BuildError> {
    objects(cluster, inputs)?.sealed()
}

/// Kind and name of everything that [`all`] builds but redis.conf, for whoever looks whether it is there.
pub fn ids(cluster: &Cluster) -> Vec<(Kind, String)> {
    let set = &cluster.name;
    let of_set = [
        (Kind::Service, names::nodes_service(set)),
        (Kind::Service, names::vip(set)),
        (Kind::PodDisruptionBudget, names::disruption_budget(set)),
    ];
    let of_tier = |tier: Tier| {
        [
            (Kind::Service, names::read_service(set, tier.name)),
            (Kind::StatefulSet, names::stateful_set(set, tier.name)),
        ]
    };
    of_set.into_iter().chain(cluster.tiers().flat_map(of_tier)).collect()
}

/// Builds everything, typed.
///
/// # Errors
/// As [`all`].
pub fn objects(cluster: &Cluster, inputs: &Inputs<'_>) -> Result<Objects, BuildError> {
    let Inputs {
        master,
        epoch,
        vip_families,
        tiers,
    } = inputs;
    let mut confs: Vec<_> = tiers.iter().map(|inputs| &inputs.conf).collect();
    confs.sort_by_key(|conf| &conf.revision);
    confs.dedup_by_key(|conf| &conf.revision);
    let reads = |inputs: &TierInputs| services::reads(cluster, inputs.tier, inputs.reads, &inputs.families);
    let stateful_set = |inputs: &TierInputs| statefulset::build(cluster, inputs.tier, &inputs.conf, &inputs.live);
    Ok(Objects {
        config_maps: confs.into_iter().map(|conf| config_map::build(cluster, conf)).collect(),
        nodes: services::nodes(cluster),
        vip: services::vip(cluster, *master, *epoch, vip_families),
        reads: tiers.iter().map(reads).collect(),
        disruption_budget: disruption_budget::build(cluster),
        stateful_sets: tiers.iter().map(stateful_set).collect::<Result<_, _>>()?,
    })
}

impl Objects {
    /// The list to apply: the StatefulSets last, for their pods mount and are named by what comes before. An object that is
    /// added to the struct and forgotten here does not compile.
    ///
    /// # Errors
    /// [`BuildError::NotAnObject`], which no object of ours is.
    pub fn sealed(self) -> Result<Vec<Object>, BuildError> {
        let Self {
            config_maps,
            nodes,
            vip,
            reads,
            disruption_budget,
            stateful_sets,
        } = self;
        let mut list = Vec::new();
        for config_map in &config_maps {
            list.push(object(Kind::ConfigMap, manager::OBJECTS, config_map)?);
        }
        list.push(object(Kind::Service, manager::OBJECTS, &nodes)?);
        list.push(object(Kind::Service, manager::VIP, &vip)?);
        for service in &reads {
            list.push(object(Kind::Service, manager::OBJECTS, service)?);
        }
        list.push(object(Kind::PodDisruptionBudget, manager::OBJECTS, &disruption_budget)?);
        for stateful_set in &stateful_sets {
            list.push(object(Kind::StatefulSet, manager::OBJECTS, stateful_set)?);
        }
        Ok(list)
    }
}

fn object<K: Serialize>(kind: Kind, manager: &'static str, object: &K) -> Result<Object, BuildError> {
    let value = meta::seal(object)?;
    let name = value
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Object {
        kind,
        name,
        manager,
        value,
    })
}
