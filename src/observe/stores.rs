//! Watches and their stores: only objects with our label, trimmed to what is read of them.
//!
//! A store may be behind our own last write; [`Newest`] bridges that with the write's own reply.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::runtime::reflector::{self, Lookup, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::nodes::Nodes;
use crate::model::redis::SetKey;
use crate::names;

/// A watch is begun anew this often: a connection that went silent is noticed at its end at the latest.
pub const WATCH_SECONDS: u32 = 10;
/// A reply stands in for the store this long at most; after that the store is right, also about deletions.
const REPLY_LIFETIME: Duration = Duration::from_secs(5);

/// Which namespaces one set of watches covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole cluster.
    All,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    /// An API of this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// The stores of one scope.
pub struct Stores {
    /// Pods of all sets.
    pub pods: Newest<Pod>,
    /// Claims of all sets.
    pub claims: Newest<PersistentVolumeClaim>,
    /// StatefulSets of all sets.
    pub stateful_sets: Newest<StatefulSet>,
    /// Services of all sets.
    pub services: Newest<Service>,
    /// ConfigMaps of all sets.
    pub config_maps: Newest<ConfigMap>,
    /// PodDisruptionBudgets of all sets.
    pub budgets: Newest<PodDisruptionBudget>,
    /// EndpointSlices of all sets' Services.
    pub slices: Newest<EndpointSlice>,
}

impl Stores {
    /// Starts all watches in `tasks`; each change sends the set's key to `wake`, also one of a node that has its pods.
    pub fn watch(
        client: &Client,
        scope: &Scope,
        nodes: &Nodes,
        wake: &UnboundedSender<SetKey>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let pods = watch(scope.api(client), trim_pod, wake, tasks);
        nodes.wake(pods.clone(), wake.clone(), tasks);
        Self {
            pods,
            claims: watch(scope.api(client), |_| {}, wake, tasks),
            stateful_sets: watch(scope.api(client), |_| {}, wake, tasks),
            services: watch(scope.api(client), |_| {}, wake, tasks),
            config_maps: watch(scope.api(client), |_| {}, wake, tasks),
            budgets: watch(scope.api(client), |_| {}, wake, tasks),
            slices: watch(scope.api(client), |_| {}, wake, tasks),
        }
    }

    /// Stores that hold these objects and no others.
    #[cfg(test)]
    pub(super) fn of(pods: Vec<Pod>, claims: Vec<PersistentVolumeClaim>) -> Self {
        fn filled<K: Resource<DynamicType = ()> + Clone + 'static>(objects: Vec<K>) -> Newest<K> {
            let (store, mut writer) = reflector::store();
            for object in objects {
                writer.apply_watcher_event(&watcher::Event::Apply(object));
            }
            Newest {
                store,
                replies: Arc::default(),
            }
        }
        Self {
            pods: filled(pods),
            claims: filled(claims),
            stateful_sets: filled(Vec::new()),
            services: filled(Vec::new()),
            config_maps: filled(Vec::new()),
            budgets: filled(Vec::new()),
            slices: filled(Vec::new()),
        }
    }

    /// Waits until every store was filled once: an unread store looks like "everything is gone".
    pub async fn ready(&self) {
        self.pods.ready().await;
        self.claims.ready().await;
        self.stateful_sets.ready().await;
        self.services.ready().await;
        self.config_maps.ready().await;
        self.budgets.ready().await;
        self.slices.ready().await;
    }
}

fn watch<K>(api: Api<K>, trim: fn(&mut K), wake: &UnboundedSender<SetKey>, tasks: &mut JoinSet<()>) -> Newest<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let wake = wake.clone();
    let stream = watcher(
        api,
        watcher::Config::default()
            .labels(names::label::SET)
            .timeout(WATCH_SECONDS),
    )
    .default_backoff()
    .modify(move |object| {
        object.managed_fields_mut().clear();
        trim(object);
    })
    .reflect(writer)
    .touched_objects()
    .inspect_err(|error| tracing::warn!(kind = %K::kind(&()), %error, "watch"))
    .filter_map(|object| async move { object.ok() });
    tasks.spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(object) = stream.next().await {
            if let (Some(set), Some(namespace)) =
                (object.labels().get(names::label::SET), ResourceExt::namespace(&object))
            {
                let _ = wake.send(SetKey {
                    namespace,
                    name: set.clone(),
                });
            }
        }
    });
    Newest {
        store,
        replies: Arc::default(),
    }
}

/// Of a pod's spec only the node is read; a store of whole pods costs seven times as much (FACTS.md 7.1).
fn trim_pod(pod: &mut Pod) {
    pod.spec = pod.spec.take().map(|spec| PodSpec {
        node_name: spec.node_name,
        ..PodSpec::default()
    });
}

/// Replies of our own writes, with when they came.
type Replies<K> = HashMap<ObjectRef<K>, (Instant, Arc<K>)>;

/// A store, and replies of our own writes that it may not have seen yet. Clones share them.
#[derive(Clone)]
pub struct Newest<K: Lookup + Clone + 'static>
where
    K::DynamicType: Eq + Hash + Clone,
{
    store: reflector::Store<K>,
    replies: Arc<Mutex<Replies<K>>>,
}

impl<K> Newest<K>
where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + 'static,
{
    /// The newest known version of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let reference = ObjectRef::<K>::new(name).within(namespace);
        let stored = self.store.get(&reference);
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |reply: &K| stored.as_deref().is_none_or(|s| version(s) < version(reply));
        if let Some((at, reply)) = replies.get(&reference)
            && at.elapsed() < REPLY_LIFETIME
            && behind(reply)
        {
            return Some(reply.clone());
        }
        replies.remove(&reference);
        stored
    }

    /// All objects of the store, each in its newest known version.
    pub fn all(&self) -> Vec<Arc<K>> {
        let stored = self.store.state();
        stored
            .into_iter()
            .map(|o| {
                let meta = Resource::meta(o.as_ref());
                match (&meta.namespace, &meta.name) {
                    (Some(namespace), Some(name)) => self.get(namespace, name).unwrap_or(o),
                    _ => o,
                }
            })
            .collect()
    }

    /// Takes the reply of our own write.
    pub fn answered(&self, object: K) {
        let reference = ObjectRef::from_obj(&object);
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.retain(|_, (at, _)| at.elapsed() < REPLY_LIFETIME);
        replies.insert(reference, (Instant::now(), Arc::new(object)));
    }

    async fn ready(&self) {
        // The writer lives as long as its task; if that is gone, so is this whole scope.
        let _ = self.store.wait_until_ready().await;
    }
}

/// Resource versions of one kind grow (KEP-5504); an unreadable one counts as oldest.
pub fn version<K: Resource>(object: &K) -> u128 {
    object
        .meta()
        .resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}
