//! A tier's StatefulSet; that of the core has the master and its own replicas.
//!
//! Its pods start side by side and go only when the operator or a person deletes one. How many there are, and the size
//! that the claim template was born with, are arguments: both depend on more than the spec.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::conf::Conf;
use super::meta::{self, Component};
use super::{BuildError, LivePods, pod};
use crate::model::cluster::{Cluster, Tier};
use crate::names::{self, label};

/// Builds it with the tier's pods. Of the live one are kept the size that its claim template asks for, which can never change,
/// and the last restart that its pods were made for.
///
/// # Errors
/// As [`pod::template`].
pub fn build(cluster: &Cluster, tier: Tier<'_>, conf: &Conf, live: &LivePods) -> Result<StatefulSet, BuildError> {
    let name = names::stateful_set(&cluster.name, tier.name);
    let mut metadata = meta::object(cluster, Component::Redis, name);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(label::TIER.into(), tier.name.into());
    let retention = tier.storage.retention;
    Ok(StatefulSet {
        metadata,
        spec: StatefulSetSpec {
            replicas: Some(i32::try_from(tier.pods).unwrap_or(i32::MAX)),
            service_name: Some(names::nodes_service(&cluster.name)),
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(retention.when_deleted.as_str().into()),
                when_scaled: Some(retention.when_scaled.as_str().into()),
            }),
            selector: meta::label_selector(meta::tier_selector(cluster, tier.name)),
            template: pod::template(cluster, tier, conf, live.restart.as_deref())?,
            volume_claim_templates: Some(vec![claim(cluster, tier, live.claim.as_ref())]),
            ..StatefulSetSpec::default()
        },
        status: None,
    })
}

fn claim(cluster: &Cluster, tier: Tier<'_>, live: Option<&PersistentVolumeClaimSpec>) -> PersistentVolumeClaim {
    let storage = tier.storage;
    let kept = live.and_then(|claim| claim.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let size = kept.unwrap_or(&storage.size).clone();
    let modes = live.and_then(|claim| claim.access_modes.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA_VOLUME.into()),
            labels: Some(meta::tier_selector(cluster, tier.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes.unwrap_or_else(|| vec![storage.access_mode.as_str().into()])),
            storage_class_name: match live {
                Some(claim) => claim.storage_class_name.clone(),
                None => storage.storage_class_name.clone(),
            },
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
