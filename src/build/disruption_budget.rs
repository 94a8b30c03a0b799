//! The PodDisruptionBudget: a drain takes one pod of the set at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{self, Component};
use crate::model::cluster::Cluster;
use crate::names;

/// Builds it. A pod that is not Ready is evicted only while the budget holds: it may be the copy that the others need.
pub fn build(cluster: &Cluster) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::object(
            cluster,
            Component::DisruptionBudget,
            names::disruption_budget(&cluster.name),
        ),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(meta::label_selector(meta::set_selector(cluster))),
            unhealthy_pod_eviction_policy: Some("IfHealthyBudget".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
