//! The Redis container: the image's own entrypoint with our file.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, Lifecycle, LifecycleHandler, ObjectFieldSelector,
    Probe, ResourceRequirements, SecurityContext, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::volumes;
use crate::build::grace::Grace;
use crate::model::cluster::{Cluster, Tier};
use crate::names;

/// Builds it.
pub fn redis(cluster: &Cluster, tier: Tier<'_>) -> Container {
    let spec = &cluster.spec;
    let some = |map: &std::collections::BTreeMap<_, _>| (!map.is_empty()).then(|| map.clone());
    Container {
        name: names::CONTAINER.into(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.image_pull_policy.as_str().into()),
        args: Some(arguments(cluster)),
        env: Some(vec![
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
        ]),
        ports: Some(vec![ContainerPort {
            name: Some(names::CONTAINER.into()),
            container_port: i32::from(names::REDIS_PORT),
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        }]),
        resources: (!tier.resources.is_empty()).then(|| ResourceRequirements {
            requests: some(&tier.resources.requests),
            limits: some(&tier.resources.limits),
            claims: None,
        }),
        readiness_probe: Some(readiness()),
        lifecycle: Some(pre_stop(tier)),
        // The only way to see why a new set's Redis refused its file.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(restricted()),
        volume_mounts: Some(volumes::mounts()),
        ..Container::default()
    }
}

/// The file, then the name under which this pod is known: the downward API fills it in, so it is right after a reboot
/// that swapped addresses. An argument after the file counts more than the file.
fn arguments(cluster: &Cluster) -> Vec<String> {
    let nodes = names::nodes_service(&cluster.name);
    vec![
        format!("{}/{}", names::CONF_DIR, names::CONF_KEY),
        "--replica-announce-ip".into(),
        format!("$(POD_NAME).{nodes}.$(POD_NAMESPACE).svc"),
    ]
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.into(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// The kernel accepts for a Redis that is busy, loading or out of disk, so this fails only when nobody listens. Whether
/// the pod is in sync says its readiness gate.
fn readiness() -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::Int(i32::from(names::REDIS_PORT)),
            host: None,
        }),
        period_seconds: Some(2),
        timeout_seconds: Some(1),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

/// The kubelet's own sleep: time to hand the master over before SIGTERM, without a shell in the image.
fn pre_stop(tier: Tier<'_>) -> Lifecycle {
    Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction {
                seconds: Grace::of(tier).sleep_seconds,
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}
