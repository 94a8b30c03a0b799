//! The ConfigMap of one revision of redis.conf.
//!
//! It is immutable and named by its content's hash: a container that restarts boots from the file its pod was made
//! with, never from one that is only half rolled out.

use k8s_openapi::api::core::v1::ConfigMap;

use super::conf::Conf;
use super::meta::{self, Component};
use crate::model::cluster::Cluster;
use crate::names;

/// Builds it.
pub fn build(cluster: &Cluster, conf: &Conf) -> ConfigMap {
    ConfigMap {
        metadata: meta::object(
            cluster,
            Component::Config,
            names::config_map(&cluster.name, &conf.revision),
        ),
        immutable: Some(true),
        data: Some(meta::map([(names::CONF_KEY, conf.text.as_str())])),
        ..ConfigMap::default()
    }
}
