//! Which nodes are about to lose their pods, and nothing else of nodes.
//!
//! One watch of a process for all its sets. Of thousands of nodes only the few are kept that are cordoned or shut down.
//! Without the right to read nodes nobody's node is known to be draining.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stores::{Newest, WATCH_SECONDS};
use crate::model::observed::Draining;
use crate::model::redis::SetKey;
use crate::names::label;

/// How long a first look at the nodes may hold up everything else.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Taints that say of a node what a cordon says: that of Kubernetes itself (`TaintNodeUnschedulable` of k8s.io/api/core/v1),
/// and those of the cluster autoscaler (`ToBeDeletedTaint` of its utils/taints) and Karpenter (`DisruptedTaintKey` of
/// sigs.k8s.io/karpenter/pkg/apis/v1), which set no `unschedulable`.
const CORDONS: [&str; 3] = [
    "node.kubernetes.io/unschedulable",
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
];
/// Taints of a node that is off, or as good as: by the cloud (`TaintNodeShutdown` of k8s.io/cloud-provider/api), or by a
/// person's word (`TaintNodeOutOfService` of k8s.io/api/core/v1).
const SHUTDOWNS: [&str; 2] = [
    "node.cloudprovider.kubernetes.io/shutdown",
    "node.kubernetes.io/out-of-service",
];
/// What the kubelet says in the message of `Ready` False while systemd waits for it to end its pods (`ShutdownStatus` in
/// pkg/kubelet/nodeshutdown, which pkg/kubelet/nodestatus puts among the reasons of `KubeletNotReady`). The pods get no
/// deletionTimestamp.
const SHUTTING_DOWN: &str = "node is shutting down";

/// What is known of the nodes. Clones share it.
#[derive(Clone)]
pub struct Nodes(watch::Receiver<Sight>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Sight {
    /// Not looked at yet.
    #[default]
    Unread,
    /// By a switch, or for want of the right, they are not looked at.
    Unseen,
    /// Those that are draining, by name.
    Seen(BTreeMap<String, Draining>),
}

impl Default for Nodes {
    /// Nodes that nobody looks at.
    fn default() -> Self {
        Self(watch::channel(Sight::Unseen).1)
    }
}

impl Nodes {
    /// Starts the watch.
    pub fn watch(client: &Client, tasks: &mut JoinSet<()>) -> Self {
        let (sender, receiver) = watch::channel(Sight::default());
        let api: Api<Node> = Api::all(client.clone());
        tasks.spawn(async move {
            let config = watcher::Config::default().timeout(WATCH_SECONDS);
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            let mut listed = BTreeMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => take(event, &mut listed, &sender),
                    Err(error) => fail(&error, &sender),
                }
            }
        });
        Self(receiver)
    }

    /// Waits for the first look, but not for long: whoever leads has more to do than to look at nodes.
    pub async fn ready(&self) {
        let mut sight = self.0.clone();
        let looked = sight.wait_for(|sight| *sight != Sight::Unread);
        let _ = tokio::time::timeout(FIRST_LOOK, looked).await;
    }

    /// Whether nodes are looked at.
    pub fn are_seen(&self) -> bool {
        *self.0.borrow() != Sight::Unseen
    }

    /// How a node is about to lose its pods, if it is known to be.
    pub fn draining(&self, node: &str) -> Option<Draining> {
        self.0.borrow().draining().get(node).copied()
    }

    /// Sends the key of every set that has a pod on a node of which something else is known than before.
    pub(super) fn wake(&self, pods: Newest<Pod>, wake: UnboundedSender<SetKey>, tasks: &mut JoinSet<()>) {
        let mut sight = self.0.clone();
        tasks.spawn(async move {
            let mut before = sight.borrow_and_update().draining().clone();
            while sight.changed().await.is_ok() {
                let now = sight.borrow_and_update().draining().clone();
                for pod in pods.all() {
                    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_ref());
                    if node.is_some_and(|node| before.get(node) != now.get(node))
                        && let (Some(set), Some(namespace)) = (pod.labels().get(label::SET), pod.namespace())
                    {
                        let name = set.clone();
                        let _ = wake.send(SetKey { namespace, name });
                    }
                }
                before = now;
            }
        });
    }
}

impl Sight {
    fn draining(&self) -> &BTreeMap<String, Draining> {
        static NONE: BTreeMap<String, Draining> = BTreeMap::new();
        match self {
            Self::Seen(draining) => draining,
            Self::Unread | Self::Unseen => &NONE,
        }
    }
}

/// Takes over what a watch says; a list counts once it is complete.
fn take(event: Event<Node>, listed: &mut BTreeMap<String, Draining>, sender: &watch::Sender<Sight>) {
    let mut one = |node: &Node, gone: bool| {
        let name = node.name_any();
        match draining(node).filter(|_| !gone) {
            Some(draining) => listed.insert(name, draining),
            None => listed.remove(&name),
        };
    };
    match event {
        Event::Init => return listed.clear(),
        Event::InitApply(node) => return one(&node, false),
        Event::InitDone => {}
        Event::Apply(node) => one(&node, false),
        Event::Delete(node) => one(&node, true),
    }
    let seen = Sight::Seen(listed.clone());
    sender.send_if_modified(|sight| {
        let differs = *sight != seen;
        *sight = seen;
        differs
    });
}

/// A refusal is told once; what was seen before it stands no more. After any other failure it stands until the next look.
fn fail(error: &watcher::Error, sender: &watch::Sender<Sight>) {
    let is_refused = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.is_forbidden(),
        watcher::Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    };
    if !is_refused {
        tracing::warn!(kind = "Node", %error, "watch");
        return;
    }
    sender.send_if_modified(|sight| {
        let is_new = *sight != Sight::Unseen;
        if is_new {
            tracing::warn!("nodes may not be read: a cordon of one moves no master before its pod is deleted");
        }
        *sight = Sight::Unseen;
        is_new
    });
}

/// How a node is about to lose its pods, if it is.
fn draining(node: &Node) -> Option<Draining> {
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let has = |keys: &[&str]| taints.iter().any(|taint| keys.contains(&taint.key.as_str()));
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref());
    let says_so = conditions.unwrap_or_default().iter().any(|c| {
        let message = c.message.as_deref().unwrap_or_default();
        c.type_ == "Ready" && c.status == "False" && message.contains(SHUTTING_DOWN)
    });
    if says_so || has(&SHUTDOWNS) {
        return Some(Draining::ShuttingDown);
    }
    let is_cordoned = spec.and_then(|s| s.unschedulable) == Some(true) || has(&CORDONS);
    is_cordoned.then_some(Draining::Cordoned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, spec: &Value, ready: (&str, &str, &str)) -> Node {
        let ready = json!({"type": "Ready", "status": ready.0, "reason": ready.1, "message": ready.2});
        let pressure = json!({"type": "MemoryPressure", "status": "False"});
        let body = json!({
            "metadata": {"name": name}, "spec": spec, "status": {"conditions": [pressure, ready]},
        });
        serde_json::from_value(body).unwrap()
    }

    const READY: (&str, &str, &str) = ("True", "KubeletReady", "kubelet is posting ready status");

    #[test]
    fn a_cordon_and_what_says_the_same_are_seen_and_a_node_that_is_only_sick_is_none() {
        let taint = |key: &str, effect: &str| json!({"taints": [{"key": key, "effect": effect}]});
        let off = ("False", "KubeletNotReady", "node is shutting down");
        let too = (
            "False",
            "KubeletNotReady",
            "[container runtime is down, node is shutting down]",
        );
        let sick = ("False", "KubeletNotReady", "container runtime network not ready");
        let silent = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
        let table = [
            (json!({}), READY, None),
            (json!({"unschedulable": true}), READY, Some(Draining::Cordoned)),
            (json!({"unschedulable": false}), READY, None),
            (taint(CORDONS[0], "NoSchedule"), READY, Some(Draining::Cordoned)),
            (taint(CORDONS[1], "NoSchedule"), READY, Some(Draining::Cordoned)),
            (taint(CORDONS[2], "NoSchedule"), READY, Some(Draining::Cordoned)),
            (
                taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule"),
                READY,
                None,
            ),
            (taint("node.kubernetes.io/disk-pressure", "NoSchedule"), READY, None),
            (taint("node.kubernetes.io/not-ready", "NoExecute"), sick, None),
            (taint("node.kubernetes.io/unreachable", "NoExecute"), silent, None),
            (json!({}), off, Some(Draining::ShuttingDown)),
            (json!({"unschedulable": true}), too, Some(Draining::ShuttingDown)),
            (taint(SHUTDOWNS[0], "NoSchedule"), silent, Some(Draining::ShuttingDown)),
            (taint(SHUTDOWNS[1], "NoExecute"), READY, Some(Draining::ShuttingDown)),
        ];
        for (spec, ready, wanted) in table {
            assert_eq!(draining(&node("n", &spec, ready)), wanted, "{spec} {ready:?}");
        }
    }

    #[test]
    fn a_list_counts_when_it_is_complete_and_forgets_what_is_not_in_it() {
        let (sender, receiver) = watch::channel(Sight::default());
        let (nodes, mut listed) = (Nodes(receiver), BTreeMap::new());
        let mut happens = |event: Event<Node>| take(event, &mut listed, &sender);
        let cordoned = |name: &str| node(name, &json!({"unschedulable": true}), READY);
        let free = |name: &str| node(name, &json!({}), READY);
        let seen = |names: [&str; 3]| names.map(|name| nodes.draining(name).is_some());

        happens(Event::Init);
        happens(Event::InitApply(cordoned("a")));
        happens(Event::InitApply(free("b")));
        assert_eq!((seen(["a", "b", "c"]), nodes.are_seen()), ([false; 3], true));
        happens(Event::InitDone);
        happens(Event::Apply(cordoned("c")));
        assert_eq!(seen(["a", "b", "c"]), [true, false, true]);
        happens(Event::Apply(free("a")));
        happens(Event::Delete(cordoned("c")));
        assert_eq!(seen(["a", "b", "c"]), [false; 3]);

        happens(Event::Apply(cordoned("a")));
        happens(Event::Init);
        assert_eq!(seen(["a", "b", "c"]), [true, false, false], "the list is not complete");
        happens(Event::InitApply(cordoned("b")));
        happens(Event::InitDone);
        assert_eq!(seen(["a", "b", "c"]), [false, true, false]);
    }

    #[test]
    fn who_may_not_read_nodes_knows_of_none() {
        let (sender, receiver) = watch::channel(Sight::Seen(BTreeMap::from([("a".into(), Draining::Cordoned)])));
        let nodes = Nodes(receiver);
        let status = |code: u16, reason: &str| kube::core::Status::failure("no", reason).with_code(code).boxed();
        fail(&watcher::Error::WatchError(status(410, "Expired")), &sender);
        assert_eq!(
            (nodes.are_seen(), nodes.draining("a")),
            (true, Some(Draining::Cordoned))
        );
        let refused = kube::Error::Api(status(403, "Forbidden"));
        fail(&watcher::Error::InitialListFailed(refused), &sender);
        assert_eq!((nodes.are_seen(), nodes.draining("a")), (false, None));
        assert!(!Nodes::default().are_seen());
    }
}
