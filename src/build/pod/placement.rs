//! Where pods go: one per node if it can be, then over zones.
//!
//! Both are wishes, never conditions. With node-bound volumes a hard rule is a trap: three pods that were born on two
//! nodes could not start again once a third node is there, for their volumes hold them where the rule forbids them. A
//! soft spread alone is too little, though: the default scheduler (1.35) put all three pods of a set on one large node
//! that had the image, beside two small ones without it. With a soft anti-affinity too they went to three nodes in every
//! try, also with the zones against it, and to two where only two were fit. `SpreadDegraded` says where pods share a node.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

use crate::build::meta;
use crate::model::cluster::{Cluster, Tier};
use crate::names::label;

/// What the pod's spec says of its place.
pub struct Placement {
    /// The person's affinity, with ours where it does not speak of other pods.
    pub affinity: Option<Affinity>,
    /// The person's constraints, else ours.
    pub spread: Option<Vec<TopologySpreadConstraint>>,
}

/// A person's spread constraints replace all of ours; an anti-affinity of theirs replaces our anti-affinity.
pub fn of(cluster: &Cluster, tier: Tier<'_>) -> Placement {
    let wanted = &tier.template.spec;
    if !wanted.topology_spread_constraints.is_empty() {
        let spread = wanted
            .topology_spread_constraints
            .iter()
            .map(|constraint| selecting(cluster, tier, constraint));
        return Placement {
            affinity: wanted.affinity.clone(),
            spread: Some(spread.collect()),
        };
    }
    let mut affinity = wanted.affinity.clone().unwrap_or_default();
    affinity.pod_anti_affinity.get_or_insert_with(|| apart(cluster, tier));
    let spread = [label::HOSTNAME, label::ZONE].map(|key| evenly(cluster, tier, key));
    Placement {
        affinity: Some(affinity),
        spread: Some(spread.into()),
    }
}

fn selecting(cluster: &Cluster, tier: Tier<'_>, constraint: &TopologySpreadConstraint) -> TopologySpreadConstraint {
    let mut constraint = constraint.clone();
    constraint
        .label_selector
        .get_or_insert_with(|| meta::label_selector(meta::tier_selector(cluster, tier.name)));
    constraint
}

fn evenly(cluster: &Cluster, tier: Tier<'_>, topology_key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(meta::label_selector(meta::tier_selector(cluster, tier.name))),
        ..TopologySpreadConstraint::default()
    }
}

fn apart(cluster: &Cluster, tier: Tier<'_>) -> PodAntiAffinity {
    PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
            weight: 100,
            pod_affinity_term: PodAffinityTerm {
                label_selector: Some(meta::label_selector(meta::tier_selector(cluster, tier.name))),
                topology_key: label::HOSTNAME.into(),
                ..PodAffinityTerm::default()
            },
        }]),
        ..PodAntiAffinity::default()
    }
}
