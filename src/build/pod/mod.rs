//! The pod template: one stock container, its files, its end, and where it runs.
//!
//! Pods pass Pod Security "restricted", hold no service account token and carry no role: a pod that is made anew has no
//! role label until the operator gives it one. Nothing here kills a Redis: there is no liveness probe.

mod container;
mod placement;
mod volumes;

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodReadinessGate, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::BuildError;
use super::conf::Conf;
use super::grace::Grace;
use super::meta::{self, Component};
use crate::model::cluster::{Cluster, Tier};
use crate::names::{self, annotation, label};

/// Builds it. Two annotations tell a pod's age: [`annotation::CONFIG_REVISION`], the redis.conf it boots from, and
/// [`annotation::REVISION`], all else that only a new pod can take up. `restart` is the last restart that was asked for:
/// pods that were made before do not have it.
///
/// # Errors
/// [`BuildError::NotAnObject`] if the pod's spec is no JSON, which a value from an apiserver always is.
pub fn template(
    cluster: &Cluster,
    tier: Tier<'_>,
    conf: &Conf,
    restart: Option<&str>,
) -> Result<PodTemplateSpec, BuildError> {
    let own = &tier.template.metadata;
    let common = &cluster.spec.common_metadata;
    let mut ours = meta::labels(cluster, Component::Redis);
    ours.insert(label::TIER.into(), tier.name.into());
    let mut revisions = meta::map([
        (annotation::CONFIG_REVISION, conf.revision.as_str()),
        (annotation::REVISION, revision(cluster, tier)?.as_str()),
    ]);
    revisions.extend(restart.map(|restart| (annotation::RESTART.to_owned(), restart.to_owned())));
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(meta::merged([&common.labels, &own.labels, &ours])),
            annotations: Some(meta::merged([&common.annotations, &own.annotations, &revisions])),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(cluster, tier, &names::config_map(&cluster.name, &conf.revision))),
    })
}

/// Short hash of everything in the template that a person can only have by a new pod. Without redis.conf, most of which
/// a running server takes up, and without the common metadata, which is no reason to restart a Redis.
///
/// # Errors
/// As [`template`].
pub fn revision(cluster: &Cluster, tier: Tier<'_>) -> Result<String, BuildError> {
    let own = &tier.template.metadata;
    let wanted = serde_json::to_value((spec(cluster, tier, ""), &own.labels, &own.annotations));
    let wanted = wanted.map_err(|error| BuildError::NotAnObject(error.to_string()))?;
    Ok(meta::short_hash(wanted.to_string().as_bytes()))
}

fn spec(cluster: &Cluster, tier: Tier<'_>, config_map: &str) -> PodSpec {
    let wanted = &tier.template.spec;
    let placement = placement::of(cluster, tier);
    PodSpec {
        containers: vec![container::redis(cluster, tier)],
        volumes: Some(volumes::of(cluster, config_map)),
        image_pull_secrets: pull_secrets(cluster),
        readiness_gates: Some(vec![PodReadinessGate {
            condition_type: names::READINESS_GATE.into(),
        }]),
        termination_grace_period_seconds: Some(Grace::of(tier).total_seconds),
        security_context: Some(security(tier)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        node_selector: meta::some(wanted.node_selector.clone()),
        affinity: placement.affinity,
        topology_spread_constraints: placement.spread,
        tolerations: (!wanted.tolerations.is_empty()).then(|| wanted.tolerations.clone()),
        priority_class_name: wanted.priority_class_name.clone(),
        runtime_class_name: wanted.runtime_class_name.clone(),
        scheduler_name: wanted.scheduler_name.clone(),
        ..PodSpec::default()
    }
}

fn pull_secrets(cluster: &Cluster) -> Option<Vec<LocalObjectReference>> {
    let secrets = &cluster.spec.image_pull_secrets;
    (!secrets.is_empty()).then(|| {
        secrets
            .iter()
            .map(|secret| LocalObjectReference {
                name: secret.name.clone(),
            })
            .collect()
    })
}

fn security(tier: Tier<'_>) -> PodSecurityContext {
    let wanted = tier.template.spec.security_context;
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(wanted.run_as_user),
        run_as_group: Some(wanted.run_as_group),
        fs_group: Some(wanted.fs_group),
        fs_group_change_policy: Some(wanted.fs_group_change_policy.as_str().into()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}
