//! Files that are copies or whose text repeats another file. `make generate` writes them; what needs Helm to compare
//! is compared by `make check-generated`.

use std::fs;
use std::path::Path;

use crate::deploy::documents;

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .unwrap_or_else(|error| format!("{file} cannot be read: {error}"))
}

#[test]
fn the_definition_in_the_chart_is_the_one_in_crds() {
    let (source, copy) = (
        "crds/redisreplicaset.yaml",
        "charts/redis-operator/files/redisreplicaset.yaml",
    );
    assert!(
        text(source) == text(copy),
        "{copy} differs from {source}: run make generate"
    );
}

#[test]
fn chart_and_crate_have_one_version() {
    let chart = &documents("charts/redis-operator/Chart.yaml")[0];
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_direct_dependency_is_explained() {
    let manifest = text("Cargo.toml");
    let explained = text("docs/dependencies.md");
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some((name, _)) = line.split_once(" = ") else {
            continue;
        };
        if section == "[dependencies]" || section == "[dev-dependencies]" {
            assert!(
                explained.contains(&format!("| `{name}` |")),
                "docs/dependencies.md does not say why {name} is used"
            );
        }
    }
}

#[test]
fn the_rights_in_the_security_document_are_the_ones_granted() {
    let objects = documents("deploy/install.yaml");
    let document = text("SECURITY.md");
    let mut granted = Vec::new();
    for role in objects
        .iter()
        .filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role")
    {
        let labels = role["metadata"]["labels"].as_object().expect("our roles have labels");
        if labels
            .keys()
            .any(|label| label.starts_with("rbac.authorization.k8s.io/aggregate-to-"))
        {
            continue;
        }
        for rule in role["rules"].as_array().expect("a role has rules") {
            granted.push(format!(
                "| `{}` | {} |",
                words(&rule["resources"]),
                words(&rule["verbs"])
            ));
        }
    }
    assert!(granted.len() > 10, "the operator's roles were not found: {granted:?}");
    let told: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    for right in &granted {
        assert!(
            told.iter().any(|line| line.starts_with(right)),
            "SECURITY.md lacks the row {right}"
        );
    }
    assert_eq!(
        told.len(),
        granted.len(),
        "SECURITY.md tells of rights that are not granted: {told:#?}"
    );
}

fn words(list: &serde_json::Value) -> String {
    let words = list
        .as_array()
        .expect("a rule has lists")
        .iter()
        .map(|word| word.as_str().unwrap_or_default());
    words.collect::<Vec<_>>().join(", ")
}
