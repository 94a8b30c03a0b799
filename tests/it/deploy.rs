//! `deploy/`: what it holds is what the code understands and the chart renders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use redis_operator::api::RedisReplicaSet;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents of a YAML file below the repository's root.
pub fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| format!("# {file}: {error}"));
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| vec![Value::String(format!("{file}: {error}"))]);
    assert!(
        !documents.is_empty() && documents.iter().all(Value::is_object),
        "{file} has no objects: {documents:?}"
    );
    documents
}

fn examples() -> Vec<(String, Value)> {
    let files: BTreeSet<PathBuf> = std::fs::read_dir(root().join("deploy/examples"))
        .expect("deploy/examples can be read")
        .map(|entry| entry.expect("deploy/examples can be read").path())
        .collect();
    let mut found = Vec::new();
    for file in files {
        let name = format!(
            "deploy/examples/{}",
            file.file_name().unwrap_or_default().to_string_lossy()
        );
        found.extend(documents(&name).into_iter().map(|document| (name.clone(), document)));
    }
    found
}

/// The set of each example file.
fn sets() -> Vec<(String, Value)> {
    examples()
        .into_iter()
        .filter(|(_, document)| document["kind"] == "RedisReplicaSet")
        .collect()
}

#[test]
fn every_example_has_exactly_one_set_and_no_two_share_a_name() {
    let files: Vec<_> = examples()
        .into_iter()
        .map(|(file, _)| file)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let with_set: Vec<_> = sets().into_iter().map(|(file, _)| file).collect();
    assert_eq!(files, with_set, "each file of deploy/examples has one RedisReplicaSet");
    let names: BTreeSet<_> = sets()
        .iter()
        .map(|(_, set)| set["metadata"]["name"].to_string())
        .collect();
    assert_eq!(names.len(), files.len(), "all examples can be applied side by side");
}

#[test]
fn every_example_is_understood_by_the_operator_field_by_field() {
    for (file, example) in sets() {
        let parsed: Result<RedisReplicaSet, _> = serde_json::from_value(example.clone());
        let set = parsed.map_err(|error| error.to_string());
        assert!(set.is_ok(), "{file}: {set:?}");
        let stored = serde_json::to_value(set.expect("asserted above")).expect("a set is JSON");
        assert_kept(&file, "spec", &example["spec"], &stored["spec"]);
    }
}

/// That whatever the example says is in the set as the operator read it: a field it does not know would be lost.
fn assert_kept(file: &str, at: &str, written: &Value, read: &Value) {
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_kept(file, &format!("{at}.{name}"), value, &read[name]);
            }
        }
        // Items may have defaults, as blocks have.
        Value::Array(items) => {
            assert_eq!(read.as_array().map(Vec::len), Some(items.len()), "{file}: {at}");
            for (place, item) in items.iter().enumerate() {
                assert_kept(file, &format!("{at}[{place}]"), item, &read[place]);
            }
        }
        _ => assert_eq!(
            written, read,
            "{file}: {at} is not a field of the API, or was changed in reading"
        ),
    }
}

#[test]
fn the_rendered_manifest_has_one_of_each_object_and_the_definition_of_the_code() {
    let objects = documents("deploy/install.yaml");
    let mut kinds: Vec<String> = objects
        .iter()
        .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', ""))
        .collect();
    kinds.sort();
    let expected = [
        "ClusterRole redis-operator",
        "ClusterRole redis-operator-edit",
        "ClusterRole redis-operator-nodes",
        "ClusterRole redis-operator-view",
        "ClusterRoleBinding redis-operator",
        "ClusterRoleBinding redis-operator-nodes",
        "CustomResourceDefinition redisreplicasets.redisreplicaset.dev",
        "Deployment redis-operator",
        "Namespace redis-operator",
        "PodDisruptionBudget redis-operator",
        "Role redis-operator-lease",
        "RoleBinding redis-operator-lease",
        "Service redis-operator-metrics",
        "ServiceAccount redis-operator",
    ];
    assert_eq!(kinds, expected);
    let definition = objects
        .iter()
        .find(|object| object["kind"] == "CustomResourceDefinition")
        .expect("asserted above");
    let code = serde_json::to_value(redis_operator::api::crd()).expect("a definition is JSON");
    let (found, wanted) = (without_floats(&definition["spec"]), without_floats(&code["spec"]));
    assert!(found == wanted, "deploy/install.yaml is out of date: run make generate");
}

/// The value with every number as YAML tools write it: `100.0` of the schema comes out of Helm as `100`.
fn without_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.as_f64().map_or_else(String::new, |n| n.to_string())),
        Value::Array(list) => list.iter().map(without_floats).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| (key.clone(), without_floats(inner)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn the_rendered_manifest_asks_for_the_restricted_profile_and_meets_it() {
    let objects = documents("deploy/install.yaml");
    let of_kind = |kind: &str| {
        objects
            .iter()
            .find(|object| object["kind"] == kind)
            .expect("it has one of each")
    };
    assert_eq!(
        of_kind("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    for container in pod["containers"].as_array().expect("a pod has containers") {
        let context = &container["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"], serde_json::json!({"drop": ["ALL"]}));
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    }
}

#[test]
fn the_kustomize_base_is_the_rendered_manifest() {
    assert_eq!(
        documents("deploy/kustomization.yaml")[0]["resources"],
        serde_json::json!(["install.yaml"])
    );
}

#[test]
fn every_flag_of_the_deployment_is_one_the_operator_knows() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_redis-operator"))
        .args(["run", "--help"])
        .output()
        .expect("the operator can be run");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let objects = documents("deploy/install.yaml");
    let deployment = objects
        .iter()
        .find(|o| o["kind"] == "Deployment")
        .expect("it has a Deployment");
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments: Vec<&str> = arguments
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(arguments.first(), Some(&"run"));
    for argument in &arguments[1..] {
        let flag = argument.split('=').next().unwrap_or_default();
        assert!(
            help.contains(&format!("{flag} ")),
            "the operator has no {flag}:\n{help}"
        );
    }
}
