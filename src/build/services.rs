//! The Services: the VIP, one for the reads of each tier, and the headless one that names the pods.
//!
//! Which pod is master is an argument here and nothing is remembered. Ports are fixed.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::{self, Component, Map};
use crate::api::{self, IpFamilyPolicy};
use crate::model::cluster::{Cluster, Tier};
use crate::names::{self, annotation, label};

/// Where a read Service sends clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads<'a> {
    /// To the tier's replicas that are labelled in sync, which may be nobody.
    #[default]
    Replicas,
    /// To the master's pod: `whenEmpty: Master`, and no replica is in sync.
    Master(&'a str),
}

/// The VIP: exactly one pod, or nobody, with the epoch in the same write. It publishes not-ready addresses, for the
/// operator alone decides who is behind it. Nobody is a selector that matches no pod; an empty one would leave the old
/// endpoints standing. `families` are those the live Service has.
pub fn vip(cluster: &Cluster, master: Option<&str>, epoch: i64, families: &[String]) -> Service {
    let wanted = &cluster.spec.services.master;
    let mut metadata = meta::object_with(cluster, Component::Vip, names::vip(&cluster.name), &wanted.metadata);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(annotation::EPOCH.into(), epoch.to_string());
    let spec = ServiceSpec {
        publish_not_ready_addresses: Some(true),
        ..reached(&wanted.spec, one_pod(master.unwrap_or(names::NOBODY)), families)
    };
    service(metadata, spec)
}

/// A tier's read Service. A replica leaves it by losing its label, or its readiness. `families` are those the live Service
/// has.
pub fn reads(cluster: &Cluster, tier: Tier<'_>, reads: Reads<'_>, families: &[String]) -> Service {
    let wanted = tier.service;
    let name = names::read_service(&cluster.name, tier.name);
    let selector = match reads {
        Reads::Replicas => in_sync(cluster, tier),
        Reads::Master(pod) => one_pod(pod),
    };
    let mut metadata = meta::object_with(cluster, Component::Replicas, name, &wanted.metadata);
    if tier.level.is_some() {
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(label::TIER.into(), tier.name.into());
    }
    service(metadata, reached(&wanted.spec, selector, families))
}

/// The headless Service: every pod of the set has a DNS name from the moment it has an address, ready or not, for that
/// name is what Redis announces.
pub fn nodes(cluster: &Cluster) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".into()),
        publish_not_ready_addresses: Some(true),
        selector: Some(meta::set_selector(cluster)),
        ports: Some(vec![port(None)]),
        ..ServiceSpec::default()
    };
    service(
        meta::object(cluster, Component::Nodes, names::nodes_service(&cluster.name)),
        spec,
    )
}

/// A pod by the label that Kubernetes writes, of which there is one.
fn one_pod(pod: &str) -> Map {
    meta::map([(label::POD_NAME, pod)])
}

fn in_sync(cluster: &Cluster, tier: Tier<'_>) -> Map {
    let mut selector = meta::tier_selector(cluster, tier.name);
    selector.extend(meta::map([(label::ROLE, "replica"), (label::IN_SYNC, "true")]));
    selector
}

/// The part of a Service that a person may choose.
fn reached(wanted: &api::ServiceSpec, selector: Map, live_families: &[String]) -> ServiceSpec {
    let words = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let families = families(wanted, live_families);
    ServiceSpec {
        type_: Some(wanted.type_.as_str().into()),
        external_traffic_policy: wanted.external_traffic_policy.map(|policy| policy.as_str().into()),
        load_balancer_class: wanted.load_balancer_class.clone(),
        load_balancer_source_ranges: words(&wanted.load_balancer_source_ranges),
        ip_family_policy: wanted.ip_family_policy.map(|policy| policy.as_str().into()),
        ip_families: words(&families),
        selector: Some(selector),
        ports: Some(vec![port(wanted.node_port)]),
        ..ServiceSpec::default()
    }
}

/// The families a person names, with the second that the cluster has added to them.
fn families(wanted: &api::ServiceSpec, live: &[String]) -> Vec<String> {
    let named: Vec<_> = wanted.ip_families.iter().map(ToString::to_string).collect();
    let dual = matches!(
        wanted.ip_family_policy,
        Some(IpFamilyPolicy::PreferDualStack | IpFamilyPolicy::RequireDualStack)
    );
    if dual && !named.is_empty() && live.starts_with(&named) {
        live.to_vec()
    } else {
        named
    }
}

/// Redis's port. The protocol is written out: it is part of the port's key in server-side apply.
fn port(node_port: Option<i32>) -> ServicePort {
    ServicePort {
        name: Some(names::CONTAINER.into()),
        port: i32::from(names::REDIS_PORT),
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::Int(i32::from(names::REDIS_PORT))),
        node_port,
        ..ServicePort::default()
    }
}

fn service(metadata: ObjectMeta, spec: ServiceSpec) -> Service {
    Service {
        metadata,
        spec: Some(spec),
        ..Service::default()
    }
}
