//! The golden objects against a real apiserver: it takes them, and gives back what is no difference.
//!
//! Ignored unless asked for, because it needs one: `KUBECONFIG` names it, `kubectl` is on the PATH, and nothing else may
//! live in its namespace `shop`. A bare apiserver with its etcd is enough and best, for a garbage collector would miss
//! the owner: `cargo test --test it -- --ignored apiserver`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use redis_operator::api::{ExternalTrafficPolicy, ServiceType};
use redis_operator::build::compare::{Found, differs};
use redis_operator::build::{self, Inputs, Kind, Object, meta, secrets};
use redis_operator::model::cluster::Cluster;
use serde_json::{Value, json};

use crate::build_golden::{full, full_with, logins, minimal, set, tier_inputs};

/// Runs kubectl with a text on its standard input; its output, or what it complained of.
fn kubectl(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut process = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Applies as the operator does and reads back what is stored then.
fn apply(value: &Value, manager: &str) -> Value {
    let flags = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-o",
        "json",
        "--field-manager",
        manager,
        "-f",
        "-",
    ];
    let applied = kubectl(&flags, &value.to_string()).unwrap_or_else(|error| panic!("{error}\n{value:#}"));
    drop(applied);
    live(value)
}

fn live(value: &Value) -> Value {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap();
    serde_json::from_str(&get(text("/kind"), text("/metadata/name"))).unwrap()
}

fn get(kind: &str, name: &str) -> String {
    kubectl(&["get", "-n", "shop", kind, name, "-o", "json"], "").unwrap()
}

fn namespace() {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let priority = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000,
        "metadata": {"name": "databases"}});
    let runtime = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runsc",
        "metadata": {"name": "gvisor"}});
    for object in [namespace, priority, runtime] {
        kubectl(&["apply", "--server-side", "-f", "-"], &object.to_string()).unwrap();
    }
}

fn same(object: &Object) {
    let found = apply(&object.value, object.manager);
    assert_eq!(
        differs(&object.value, &found),
        None,
        "{:?} {}",
        object.kind,
        object.name
    );
    // A second time nothing changes: the apiserver sees it as we do.
    let again = apply(&object.value, object.manager);
    assert_eq!(
        again["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"],
        "{}",
        object.name
    );
}

#[test]
#[ignore = "needs an apiserver"]
fn an_apiserver_gives_back_every_object_without_a_difference() {
    namespace();
    minimal().iter().for_each(same);
    // Born with one family named; where the cluster has two, the second is named from then on.
    for object in full() {
        assert_eq!(differs(&object.value, &apply(&object.value, object.manager)), None);
    }
    let vip = serde_json::from_str(&get("Service", "orders")).unwrap();
    full_with(build::families(Some(&vip))).iter().for_each(same);
    for name in ["minimal", "full"] {
        let (internal, application) = logins();
        let cluster = set(name);
        let made = [
            secrets::internal(&cluster, &internal, Some(application.hash())).unwrap(),
            secrets::app(&cluster, &application),
        ];
        for secret in made {
            let value = meta::seal(&secret).unwrap();
            assert_eq!(differs(&value, &apply(&value, "redis-operator")), None);
        }
    }
}

#[test]
#[ignore = "needs an apiserver"]
fn an_apiserver_admits_the_pods_as_restricted() {
    namespace();
    for objects in [minimal(), full()] {
        let template = &objects.last().unwrap().value["spec"]["template"];
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        pod["metadata"]["name"] = json!("cache-0");
        pod["metadata"]["namespace"] = json!("shop");
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-cache-0"}});
        pod["spec"]["volumes"].as_array_mut().unwrap().push(claim);
        kubectl(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).unwrap();
        // The profile is in force: the same pod is refused when it may become root.
        pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
        let refused = kubectl(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).unwrap_err();
        assert!(refused.contains("violates PodSecurity"), "{refused}");
    }
}

/// Objects of the full set after a change of its spec, with the VIP on this pod.
fn changed(master: Option<&str>, change: impl FnOnce(&mut Cluster)) -> Vec<Object> {
    let mut cluster = set("full");
    cluster.name = "moving".into();
    change(&mut cluster);
    let inputs = Inputs {
        master,
        epoch: 3,
        vip_families: Vec::new(),
        tiers: vec![tier_inputs(&cluster, cluster.core())],
    };
    build::all(&cluster, &inputs).unwrap()
}

#[test]
#[ignore = "needs an apiserver"]
fn an_apiserver_takes_every_change_of_a_service_and_shows_no_difference_after_it() {
    namespace();
    let plain = |cluster: &mut Cluster| cluster.spec.services = Default::default();
    let reached = |type_, policy| {
        move |cluster: &mut Cluster| {
            plain(cluster);
            cluster.spec.services.master.spec.type_ = type_;
            cluster.spec.services.master.spec.external_traffic_policy = policy;
        }
    };
    let local = Some(ExternalTrafficPolicy::Local);
    let port_below = |cluster: &mut Cluster| cluster.spec.services.master.spec.node_port = Some(30_638);
    let steps = [
        changed(None, plain),
        changed(Some("moving-1"), plain),
        changed(Some("moving-1"), reached(ServiceType::NodePort, None)),
        changed(Some("moving-1"), reached(ServiceType::LoadBalancer, local)),
        // A load balancer's class changes only with the type: the way there leads over another one.
        changed(Some("moving-2"), reached(ServiceType::NodePort, local)),
        changed(Some("moving-2"), port_below),
        changed(None, plain),
    ];
    for (at, objects) in steps.iter().enumerate() {
        for object in objects.iter().filter(|object| object.kind == Kind::Service) {
            let found = apply(&object.value, object.manager);
            assert_eq!(differs(&object.value, &found), None, "step {at}: {}", object.name);
        }
    }
}

#[test]
#[ignore = "needs an apiserver"]
fn an_apiserver_with_a_foreign_edit_shows_the_difference_until_it_is_put_back() {
    namespace();
    let mut objects = minimal();
    objects.iter().for_each(same);
    let redis = "spec.template.spec.containers[redis]";
    let edits: [(Kind, &str, Value, &str, Found); 9] = [
        (
            Kind::Service,
            "cache",
            json!({"spec": {"selector": {"x": "y"}}}),
            "spec.selector",
            Found::More,
        ),
        (
            Kind::Service,
            "cache",
            json!({"spec": {"selector": {"statefulset.kubernetes.io/pod-name": "cache-2"}}}),
            "spec.selector[statefulset.kubernetes.io/pod-name]",
            Found::Other,
        ),
        (
            Kind::Service,
            "cache",
            json!({"spec": {"type": "NodePort"}}),
            "spec.type",
            Found::Other,
        ),
        (
            Kind::Service,
            "cache-replicas",
            json!({"metadata": {"labels": {"redisreplicaset.dev/set": null}}}),
            "metadata.labels[redisreplicaset.dev/set]",
            Found::Absent,
        ),
        (
            Kind::StatefulSet,
            "cache",
            json!({"spec": {"replicas": 1}}),
            "spec.replicas",
            Found::Other,
        ),
        (
            Kind::StatefulSet,
            "cache",
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
            "spec.updateStrategy.type",
            Found::Other,
        ),
        (
            Kind::StatefulSet,
            "cache",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "redis", "image": "redis:latest"}]}}}}),
            &format!("{redis}.image"),
            Found::Other,
        ),
        (
            Kind::StatefulSet,
            "cache",
            json!({"spec": {"template": {"spec": {"automountServiceAccountToken": null}}}}),
            "spec.template.spec.automountServiceAccountToken",
            Found::Absent,
        ),
        (
            Kind::PodDisruptionBudget,
            "cache",
            json!({"spec": {"maxUnavailable": 2}}),
            "spec.maxUnavailable",
            Found::Other,
        ),
    ];
    for (kind, name, edit, path, found) in edits {
        let object = objects
            .iter_mut()
            .find(|object| object.kind == kind && object.name == name)
            .unwrap();
        kubectl(
            &["patch", "-n", "shop", kind.as_str(), name, "-p", &edit.to_string()],
            "",
        )
        .unwrap();
        let difference = differs(&object.value, &live(&object.value)).unwrap();
        assert_eq!(
            (difference.path.as_str(), difference.found, difference.foreign),
            (path, found, true)
        );
        same(object);
    }
}
