//! One RedisReplicaSet and what belongs to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::client::Login;
use crate::cluster::Cluster;
use crate::ensure;
use crate::failure::{Context, Outcome};
use crate::wait::{Look, until};

/// Label of every object of a set: the set's name.
pub const SET: &str = "redisreplicaset.dev/set";
/// Label of every object of a tier: the tier's name.
pub const TIER: &str = "redisreplicaset.dev/tier";
/// Label of a pod: `master`, `replica` or `fenced`.
pub const ROLE: &str = "redisreplicaset.dev/role";
/// Label by which Kubernetes names a StatefulSet's pod; what the VIP selects.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// A set in the cluster.
#[derive(Clone)]
pub struct Set {
    /// Where it is.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Set {
    /// The set of that name, which may not exist yet.
    #[must_use]
    pub fn new(cluster: &Cluster, namespace: &str, name: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Creates a set with this spec.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn create(cluster: &Cluster, namespace: &str, name: &str, spec: Value) -> Outcome<Self> {
        let object = json!({
            "apiVersion": "redisreplicaset.dev/v1alpha1",
            "kind": "RedisReplicaSet",
            "metadata": {"name": name},
            "spec": spec,
        });
        cluster.kubernetes.create("redisreplicasets", namespace, &object)?;
        Ok(Self::new(cluster, namespace, name))
    }

    /// The object.
    ///
    /// # Errors
    /// Also if there is none.
    pub fn object(&self) -> Outcome<Value> {
        self.cluster
            .kubernetes
            .get("redisreplicasets", &self.namespace, &self.name)
    }

    /// Its status; null before the first.
    ///
    /// # Errors
    /// If the object cannot be read.
    pub fn status(&self) -> Outcome<Value> {
        Ok(self.object()?["status"].take())
    }

    /// Changes it by a JSON merge patch.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn change(&self, patch: &Value) -> Outcome {
        let kubernetes = &self.cluster.kubernetes;
        kubernetes
            .merge("redisreplicasets", &self.namespace, &self.name, patch)
            .map(drop)
    }

    /// Deletes it; its objects follow.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn delete(&self) -> Outcome {
        self.cluster
            .kubernetes
            .delete("redisreplicasets", &self.namespace, &self.name)
    }

    /// Waits until Ready is True of the present spec.
    ///
    /// # Errors
    /// After `limit`, with all conditions.
    pub fn wait_ready(&self, limit: Duration) -> Outcome {
        let what = format!("{}/{} to be Ready", self.namespace, self.name);
        until(what, limit, || {
            let object = self.object()?;
            Ok(Look::when(is_ready(&object), summary(&object)))
        })
    }

    /// Waits until a condition has this status and reason, for the present spec. Returns its message.
    ///
    /// # Errors
    /// After `limit`, with all conditions.
    pub fn wait_condition(&self, kind: &str, status: &str, reason: &str, limit: Duration) -> Outcome<String> {
        let what = format!("{}/{}: {kind}={status} {{{reason}}}", self.namespace, self.name);
        until(what, limit, || {
            let object = self.object()?;
            let found = condition(&object, kind)
                .filter(|c| c["status"] == status && c["reason"] == reason)
                .filter(|c| c["observedGeneration"] == object["metadata"]["generation"])
                .and_then(|c| c["message"].as_str())
                .map(str::to_owned);
            Ok(Look::some(found, summary(&object)))
        })
    }

    /// The name of the pod that status names master.
    ///
    /// # Errors
    /// If there is none.
    pub fn master(&self) -> Outcome<String> {
        let name = self.status()?["master"]["name"].as_str().map(str::to_owned);
        name.context(format_args!("{}/{} has no master", self.namespace, self.name))
    }

    /// Its pods.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn pods(&self) -> Outcome<Vec<Value>> {
        let selector = format!("{SET}={}", self.name);
        self.cluster.kubernetes.list("pods", &self.namespace, &selector)
    }

    /// Names of its pods, in order.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn pod_names(&self) -> Outcome<Vec<String>> {
        let pods = self.pods()?;
        let mut names: Vec<_> = pods
            .iter()
            .map(|pod| text(&pod["metadata"]["name"]).to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The containers that run, by pod: an identity that a restart changes.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn containers(&self) -> Outcome<BTreeMap<String, String>> {
        let pods = self.pods()?;
        let running = pods.iter().filter_map(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            let id = container["containerID"].as_str()?;
            let runs = container["state"]["running"].is_object();
            runs.then(|| (text(&pod["metadata"]["name"]).to_owned(), id.to_owned()))
        });
        Ok(running.collect())
    }

    /// Waits until other containers than `before` run in these pods.
    ///
    /// # Errors
    /// After `limit`.
    pub fn wait_restarted(&self, pods: &[String], before: &BTreeMap<String, String>, limit: Duration) -> Outcome {
        let what = format!("{} in {} to be restarted", pods.join(", "), self.namespace);
        until(what, limit, || {
            let now = self.containers()?;
            let restarted = |pod: &String| now.get(pod).is_some_and(|id| before.get(pod) != Some(id));
            Ok(Look::when(pods.iter().all(restarted), format!("{now:?}")))
        })
    }

    /// Names and addresses of its pods that have one.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn addresses(&self) -> Outcome<BTreeSet<(String, String)>> {
        let pods = self.pods()?;
        let with_address = pods.iter().filter_map(|pod| {
            let address = pod["status"]["podIP"].as_str()?;
            Some((text(&pod["metadata"]["name"]).to_owned(), address.to_owned()))
        });
        Ok(with_address.collect())
    }

    /// The application's login at the VIP.
    ///
    /// # Errors
    /// If Secret or Service is not there.
    pub fn login(&self) -> Outcome<Login> {
        let password = self.secret(&format!("{}-app", self.name), "password")?;
        let user = text(&self.object()?["spec"]["auth"]["username"]).to_owned();
        Ok(Login {
            host: self.service_address("")?,
            user,
            password,
        })
    }

    /// A value of one of its Secrets.
    ///
    /// # Errors
    /// If there is no such Secret or key.
    pub fn secret(&self, name: &str, key: &str) -> Outcome<String> {
        let mut object = self.cluster.kubernetes.get("secrets", &self.namespace, name)?;
        ensure!(
            object["data"][key].is_string(),
            "secret {}/{name} has no {key}",
            self.namespace
        );
        let bytes: ByteString = serde_json::from_value(object["data"][key].take())
            .context(format_args!("secret {}/{name} has no {key}", self.namespace))?;
        String::from_utf8(bytes.0).context("a generated password is text")
    }

    /// The address of one of its Services: `""` is the VIP, `"-replicas"` the read Service.
    ///
    /// # Errors
    /// If there is no such Service.
    pub fn service_address(&self, suffix: &str) -> Outcome<String> {
        let name = format!("{}{suffix}", self.name);
        let service = self.cluster.kubernetes.get("services", &self.namespace, &name)?;
        Ok(text(&service["spec"]["clusterIP"]).to_owned())
    }

    /// Pods that the read Service leads to: those that its EndpointSlices show as ready.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn behind_read_service(&self) -> Outcome<BTreeSet<String>> {
        let selector = format!("kubernetes.io/service-name={}-replicas", self.name);
        let slices = self
            .cluster
            .kubernetes
            .list("endpointslices", &self.namespace, &selector)?;
        let endpoints = slices
            .iter()
            .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        Ok(ready
            .map(|endpoint| text(&endpoint["targetRef"]["name"]).to_owned())
            .collect())
    }

    /// Waits until the read Service leads to every pod but the master's.
    ///
    /// # Errors
    /// After `limit`.
    pub fn wait_all_read_from(&self, limit: Duration) -> Outcome {
        until("the read Service to lead to all replicas", limit, || {
            let (behind, pods) = (self.behind_read_service()?, self.pods()?.len());
            Ok(Look::when(behind.len() + 1 == pods, format!("{behind:?}")))
        })
    }

    /// The pod that the VIP selects, `None` for nobody.
    ///
    /// # Errors
    /// If the VIP's Service is not there.
    pub fn vip_selects(&self) -> Outcome<Option<String>> {
        let service = self.cluster.kubernetes.get("services", &self.namespace, &self.name)?;
        let pod = service["spec"]["selector"][POD_NAME].as_str().map(str::to_owned);
        // A pod's name is lower-case.
        Ok(pod.filter(|name| name.chars().all(|c| !c.is_uppercase())))
    }
}

/// Whether Ready is True of the present spec.
pub fn is_ready(object: &Value) -> bool {
    condition(object, "Ready")
        .is_some_and(|c| c["status"] == "True" && c["observedGeneration"] == object["metadata"]["generation"])
}

/// A condition of status.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Conditions that are not as they are in a good state, for messages.
pub fn summary(object: &Value) -> String {
    let mut line = format!("generation {}", object["metadata"]["generation"]);
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        let _ = write!(
            line,
            "; {}={} {{{}}}: {}",
            text(&condition["type"]),
            text(&condition["status"]),
            text(&condition["reason"]),
            text(&condition["message"])
        );
    }
    line
}

/// A string, empty if it is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
