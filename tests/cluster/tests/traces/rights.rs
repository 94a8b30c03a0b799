//! Verbs that the operator used, by the audit log, against the verbs that its roles grant.

use std::collections::BTreeSet;

use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::operator::{NAME, Operator};
use serde_json::Value;

/// Group, resource with subresource, verb.
type Right = (String, String, String);

#[test]
fn the_operator_uses_every_right_it_has_and_is_refused_nothing() -> Outcome {
    let cluster = Cluster::attach()?;
    let requests: Vec<_> = Operator::own(cluster.testbed.audit().read()?)
        .filter(|event| !event.resource.is_empty())
        .collect();
    ensure!(
        requests.len() > 100,
        "only {} requests of the operator are in the audit log",
        requests.len()
    );
    let refused: BTreeSet<_> = requests
        .iter()
        .filter(|event| event.code == 403)
        // An object cannot be created in a namespace that is being deleted, whatever the rights.
        .filter(|event| !(event.verb == "create" || event.verb == "patch") || !is_gone(&cluster, &event.namespace))
        .map(|event| format!("{} {}", event.verb, event.uri))
        .collect();
    let mut used: BTreeSet<Right> = requests
        .iter()
        .map(|event| {
            (
                event.group.clone(),
                joined(&event.resource, &event.subresource),
                event.verb.clone(),
            )
        })
        .collect();
    // An apply that makes an object needs the right to create too.
    let made = requests
        .iter()
        .filter(|event| event.verb == "patch" && event.code == 201);
    used.extend(made.map(|event| {
        let resource = joined(&event.resource, &event.subresource);
        (event.group.clone(), resource, "create".to_owned())
    }));
    let granted = granted(&cluster)?;
    let spare: Vec<_> = granted.difference(&used).collect();
    println!(
        "{} rights are granted, {} are used, {} requests",
        granted.len(),
        used.len(),
        requests.len()
    );
    ensure!(refused.is_empty(), "refused: {refused:#?}");
    ensure!(spare.is_empty(), "granted and never used: {spare:#?}");
    Ok(())
}

fn is_gone(cluster: &Cluster, namespace: &str) -> bool {
    cluster
        .kubernetes
        .find("namespaces", "", namespace)
        .is_ok_and(|found| found.is_none_or(|object| object["metadata"]["deletionTimestamp"].is_string()))
}

fn joined(resource: &str, subresource: &str) -> String {
    if subresource.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}/{subresource}")
    }
}

fn granted(cluster: &Cluster) -> Outcome<BTreeSet<Right>> {
    let roles = [
        cluster.kubernetes.get("clusterroles", "", NAME)?,
        cluster.kubernetes.get("clusterroles", "", &format!("{NAME}-nodes"))?,
        cluster.kubernetes.get("roles", NAME, &format!("{NAME}-lease"))?,
    ];
    let mut granted = BTreeSet::new();
    for rule in roles.iter().flat_map(|role| list(&role["rules"])) {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    granted.insert((word(group), word(resource), word(verb)));
                }
            }
        }
    }
    ensure!(!granted.is_empty(), "the roles grant nothing");
    Ok(granted)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
