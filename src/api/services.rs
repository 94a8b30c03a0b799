//! `spec.services`: the addresses that applications use, at the paths a Service has.
//!
//! Ports, selectors and names are not here: they are the operator's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::durations::Period;
use super::template::Metadata;
use super::words::words;

/// The set's two addresses.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Services {
    /// The stable address of the master: Service NAME, exactly one pod.
    pub master: MasterService,
    /// The address for reads: Service NAME-replicas, the replicas that are in sync.
    pub replicas: ReplicasService,
}

/// The master's Service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MasterService {
    /// Labels and annotations of the Service, for load balancers and DNS.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// How the Service is reached.
    pub spec: ServiceSpec,
}

/// The Service of a tier's replicas.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicasService {
    /// Labels and annotations of the Service, for load balancers and DNS.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// How the Service is reached.
    pub spec: ServiceSpec,
    /// Age of what a replica has, from 1s to 1h: beyond it the pod leaves the Service, at half of it it returns. May
    /// change at any time.
    pub max_lag: Period,
    /// Where reads go when no replica is in sync: Nothing, or the Master. May change at any time.
    pub when_empty: WhenEmpty,
}

impl Default for ReplicasService {
    fn default() -> Self {
        Self {
            metadata: Metadata::default(),
            spec: ServiceSpec::default(),
            max_lag: Period::seconds(10),
            when_empty: WhenEmpty::default(),
        }
    }
}

/// How a Service is reached.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// ClusterIP, NodePort or LoadBalancer; never headless. May change at any time.
    #[serde(rename = "type")]
    pub type_: ServiceType,

    /// Port on every node, 1 to 65535, for NodePort and LoadBalancer; absent lets the cluster choose. May change at any
    /// time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,

    /// Cluster, or Local to keep the client's address, for NodePort and LoadBalancer. May change at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,

    /// Which load balancer serves it, for LoadBalancer; the cluster lets it change only together with the type. May
    /// change at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,

    /// Networks that may connect, CIDRs such as 10.0.0.0/8, at most 64, for LoadBalancer. May change at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub load_balancer_source_ranges: Vec<String>,

    /// SingleStack, PreferDualStack or RequireDualStack; absent lets the cluster choose. May change at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,

    /// IPv4 and IPv6 in the order wanted, at most 2; absent lets the cluster choose. May change at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub ip_families: Vec<IpFamily>,
}

words! {
    /// Where reads go when no replica is in sync.
    #[derive(Default)]
    pub enum WhenEmpty {
        /// Connections are refused.
        #[default]
        Nothing = "Nothing",
        /// The master answers reads too.
        Master = "Master",
    }

    /// Type of a Service.
    #[derive(Default)]
    pub enum ServiceType {
        /// Inside the cluster.
        #[default]
        ClusterIP = "ClusterIP",
        /// A port on every node.
        NodePort = "NodePort",
        /// A load balancer of the platform.
        LoadBalancer = "LoadBalancer",
    }

    /// Which nodes forward traffic from outside.
    pub enum ExternalTrafficPolicy {
        /// All nodes.
        Cluster = "Cluster",
        /// Only the pod's node; the client's address is kept.
        Local = "Local",
    }

    /// One address family or two.
    pub enum IpFamilyPolicy {
        /// One.
        SingleStack = "SingleStack",
        /// Two if the cluster can.
        PreferDualStack = "PreferDualStack",
        /// Two, or an error.
        RequireDualStack = "RequireDualStack",
    }

    /// An address family.
    pub enum IpFamily {
        /// IPv4.
        IPv4 = "IPv4",
        /// IPv6.
        IPv6 = "IPv6",
    }
}
