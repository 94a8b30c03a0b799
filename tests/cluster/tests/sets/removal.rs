//! What is left when a set, or a tier of it, is deleted: exactly what `storage.retention` says, and what was kept is found again.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_tests::client::{self, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::Stamp;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use cluster_tests::wait::{Look, until};
use serde_json::{Value, json};

/// Kinds of which a set has objects.
const KINDS: [&str; 9] = [
    "statefulsets",
    "pods",
    "services",
    "configmaps",
    "secrets",
    "poddisruptionbudgets",
    "persistentvolumeclaims",
    "controllerrevisions",
    "endpointslices",
];
const READY: Duration = Duration::from_secs(90);
const GONE: Duration = Duration::from_secs(60);

#[test]
fn deleting_a_set_leaves_its_volumes_if_they_are_retained_and_a_new_one_finds_the_data() -> Outcome {
    Scene::play("retain", |scene| {
        let set = founded(scene, "keep", "Retain")?;
        let written = some_numbers(scene, &set)?;
        set.delete()?;
        let claims = (0..3).map(|ordinal| format!("persistentvolumeclaims/data-keep-{ordinal}"));
        wait_left(scene, &set, &claims.collect())?;

        let again = founded(scene, "keep", "Retain")?;
        let login = again.login()?;
        login.wait_reachable()?;
        let there = login.numbers()?;
        ensure!(
            there == written,
            "{} of {} numbers came back",
            there.len(),
            written.len()
        );
        Ok(())
    })
}

#[test]
fn deleting_a_set_leaves_nothing_if_its_volumes_are_not_retained() -> Outcome {
    Scene::play("delete", |scene| {
        let set = founded(scene, "drop", "Delete")?;
        set.delete()?;
        wait_left(scene, &set, &BTreeSet::new())
    })
}

#[test]
fn a_tier_that_is_taken_out_of_spec_leaves_its_volumes_and_nothing_else() -> Outcome {
    Scene::play("tier", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            let spec = json!({"image": "redis:8.0", "tiers": [{"name": "edge", "replicas": 2}]});
            let set = Set::create(&scene.cluster, &scene.namespace, "tiered", spec)?;
            set.wait_ready(READY)?;
            set
        };
        set.change(&json!({"spec": {"tiers": []}}))?;
        let volumes = (0..2).map(|ordinal| format!("persistentvolumeclaims/data-tiered-edge-{ordinal}"));
        let expected = volumes.collect();
        let of_tier = |object: &Value| text(&object["metadata"]["name"]).contains("tiered-edge");
        wait_left_of(scene, &of_tier, &expected)?;
        set.wait_ready(READY)
    })
}

fn founded(scene: &Scene, name: &str, when_deleted: &str) -> Outcome<Set> {
    let _alone = Scene::start_alone();
    let spec = json!({"image": "redis:8.0", "storage": {"retention": {"whenDeleted": when_deleted}}});
    let set = Set::create(&scene.cluster, &scene.namespace, name, spec)?;
    set.wait_ready(READY)?;
    Ok(set)
}

/// Written, and older than any delay of an append-only file.
fn some_numbers(scene: &Scene, set: &Set) -> Outcome<BTreeSet<u64>> {
    let login = set.login()?;
    login.wait_reachable()?;
    let from = Stamp::now();
    let writer = Writer::start(login.clone(), scene.history.clone(), Duration::from_millis(5));
    client::acknowledged_after(&scene.history, from, Duration::from_secs(5))?;
    std::thread::sleep(Duration::from_millis(500));
    writer.stop()?;
    std::thread::sleep(Duration::from_millis(2500));
    login.numbers()
}

fn wait_left(scene: &Scene, set: &Set, expected: &BTreeSet<String>) -> Outcome {
    wait_left_of(scene, &|object| belongs(object, set), expected)
}

fn wait_left_of(scene: &Scene, is_own: &dyn Fn(&Value) -> bool, expected: &BTreeSet<String>) -> Outcome {
    until("exactly what retention says to be left", GONE, || {
        let mut left = BTreeSet::new();
        for kind in KINDS {
            let objects = scene.cluster.kubernetes.list(kind, &scene.namespace, "")?;
            let own = objects.iter().filter(|object| is_own(object));
            left.extend(own.map(|object| format!("{kind}/{}", text(&object["metadata"]["name"]))));
        }
        Ok(Look::when(left == *expected, format!("{left:?}")))
    })
}

/// By name: labels may have been forgotten.
fn belongs(object: &Value, set: &Set) -> bool {
    text(&object["metadata"]["name"])
        .split('-')
        .any(|part| part == set.name)
}
