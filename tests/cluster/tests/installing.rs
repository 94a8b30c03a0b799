//! The ways to install: each brings up an operator that works, an upgrade of the chart upgrades the definition, and an
//! uninstall keeps the sets. Alone on the cluster, and last: it removes the operator that the other tests use.

use std::time::Duration;

use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::operator::{NAME, Operator};
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use cluster_tests::wait::{Look, until};
use serde_json::{Value, json};

const CRD: &str = "redisreplicasets.redisreplicaset.dev";
const READY: Duration = Duration::from_secs(90);

#[test]
fn every_way_to_install_brings_up_an_operator_that_works_and_none_loses_a_set() -> Outcome {
    Scene::play("installing", |scene| {
        let cluster = &scene.cluster;
        let kept = Set::create(cluster, &scene.namespace, "kept", json!({"image": "redis:8.0"}))?;
        kept.wait_ready(READY)?;
        let uid = kept.object()?["metadata"]["uid"].clone();
        let pods = uids(&kept)?;
        let serves = |how: &str| -> Outcome {
            works(cluster, &scene.namespace).context(how)?;
            ensure!(kept.object()?["metadata"]["uid"] == uid, "{how}: the set was made anew");
            ensure!(uids(&kept)? == pods, "{how}: pods of a set were made anew");
            kept.login()?.numbers().map(drop).context(how)
        };

        chart_upgrades_definition(cluster)?;
        serves("upgrade of the chart")?;

        cluster.helm(&["uninstall", NAME, "--namespace", NAME, "--wait"])?;
        ensure!(
            Operator::new(cluster).pods()?.iter().all(is_ending),
            "helm uninstall left operators"
        );
        ensure!(kept.object()?["metadata"]["uid"] == uid, "helm uninstall took the set");
        kept.login()?.numbers().context("a set without an operator serves")?;

        cluster.kubectl(&["delete", "namespace", NAME, "--wait"])?;
        cluster.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "deploy/install.yaml",
        ])?;
        available(cluster)?;
        serves("kubectl apply -f deploy/install.yaml")?;

        remove_but_the_definition(cluster)?;
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", "deploy"])?;
        available(cluster)?;
        serves("kubectl apply -k deploy")?;

        // From kubectl to Helm, with the definition as somebody else's business.
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds"])?;
        Operator::take_over(cluster, &["crds.install=false"])?;
        serves("crds alone, and the chart without them over what kubectl made")
    })
}

/// A set that is made now becomes Ready, and goes again.
fn works(cluster: &Cluster, namespace: &str) -> Outcome {
    let set = Set::create(
        cluster,
        namespace,
        "fresh",
        json!({"image": "redis:8.0", "replicas": 1}),
    )?;
    set.wait_ready(READY)?;
    set.delete()?;
    until("the set's pods to go", READY, || {
        let left = set.pod_names()?;
        Ok(Look::when(left.is_empty(), format!("{left:?}")))
    })
}

fn uids(set: &Set) -> Outcome<Vec<Value>> {
    Ok(set.pods()?.iter().map(|pod| pod["metadata"]["uid"].clone()).collect())
}

fn is_ending(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

/// An older definition, as an older chart would have left it, is replaced by an upgrade of the chart.
fn chart_upgrades_definition(cluster: &Cluster) -> Outcome {
    let kubernetes = &cluster.kubernetes;
    let described = "/spec/versions/0/schema/openAPIV3Schema/description";
    let current = kubernetes
        .get("customresourcedefinitions", "", CRD)?
        .pointer(described)
        .cloned();
    let mut older = kubernetes.get("customresourcedefinitions", "", CRD)?;
    if let Some(description) = older.pointer_mut(described) {
        *description = json!("of an older chart");
    }
    let versions = json!({"spec": {"versions": older["spec"]["versions"]}});
    kubernetes.merge("customresourcedefinitions", "", CRD, &versions)?;
    Operator::install(cluster, &[])?;
    let now = kubernetes
        .get("customresourcedefinitions", "", CRD)?
        .pointer(described)
        .cloned();
    ensure!(
        current.is_some() && now == current,
        "after the upgrade the definition says {now:?}"
    );
    Ok(())
}

/// As a person does who changes from one way to another and keeps the sets.
fn remove_but_the_definition(cluster: &Cluster) -> Outcome {
    cluster.kubectl(&["delete", "namespace", NAME, "--wait"]).map(drop)
}

fn available(cluster: &Cluster) -> Outcome {
    until("the operator's Deployment to be available", READY, || {
        let deployment = cluster.kubernetes.get("deployments", NAME, NAME)?;
        let status = &deployment["status"];
        let observed = status["observedGeneration"] == deployment["metadata"]["generation"];
        let wanted = &deployment["spec"]["replicas"];
        let ready = observed && status["updatedReplicas"] == *wanted && status["availableReplicas"] == *wanted;
        Ok(Look::when(ready, status))
    })?;
    let pods = Operator::new(cluster).pods()?;
    ensure!(
        pods.iter().any(|pod| text(&pod["status"]["phase"]) == "Running"),
        "no operator runs"
    );
    Ok(())
}
