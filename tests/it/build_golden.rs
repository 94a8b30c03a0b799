//! What a set becomes: the objects of a minimal and of a full spec, kept as YAML under `golden/`.
//!
//! `UPDATE=1` writes the files. The same lists are what a real apiserver is asked to take and give back unchanged.

use std::collections::BTreeMap;

use redis_operator::api::RedisReplicaSet;
use redis_operator::build::acl::Password;
use redis_operator::build::compare::differs;
use redis_operator::build::secrets::{self, Internal};
use redis_operator::build::services::Reads;
use redis_operator::build::{self, Inputs, LivePods, Object, TierInputs, conf, meta};
use redis_operator::model::cluster::{Cluster, Tier};
use serde_json::{Value, json};

use crate::crd::generated;

/// A set as the apiserver would store it, by the name of its golden files.
pub fn set(name: &str) -> Cluster {
    let path = format!("{}/tests/it/golden/{name}.set.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    let object: RedisReplicaSet = serde_saphyr::from_str(&text).expect(&path);
    Cluster::new(&object).expect(&path)
}

/// Logins that are the same at each run.
pub fn logins() -> (Internal, Password) {
    (
        Internal::generated(&[[0x11; 32], [0x22; 32], [0x33; 32]]),
        Password::generated(&[0x44; 32]),
    )
}

/// What the objects of a tier depend on while nothing of it is there yet.
pub fn tier_inputs<'a>(cluster: &Cluster, tier: Tier<'a>) -> TierInputs<'a> {
    TierInputs {
        tier,
        conf: conf::build(cluster, tier).expect("a redis.conf"),
        reads: Reads::Replicas,
        families: Vec::new(),
        live: LivePods::default(),
    }
}

/// What is applied for the minimal set, just born.
pub fn minimal() -> Vec<Object> {
    let cluster = set("minimal");
    let inputs = Inputs {
        master: None,
        epoch: 0,
        vip_families: Vec::new(),
        tiers: vec![tier_inputs(&cluster, cluster.core())],
    };
    build::all(&cluster, &inputs).expect("objects")
}

/// What is applied for the full set, while one replica is added, its volumes have grown, and none is in sync.
pub fn full() -> Vec<Object> {
    full_with(Vec::new())
}

/// [`full`], with the families that its Services have by now.
pub fn full_with(families: Vec<String>) -> Vec<Object> {
    let cluster = set("full");
    let storage = &cluster.spec.storage;
    let claim = serde_json::json!({
        "accessModes": [storage.access_mode.as_str()],
        "storageClassName": storage.storage_class_name,
        "resources": {"requests": {"storage": "10Gi"}},
    });
    let inputs = Inputs {
        master: Some("orders-3"),
        epoch: 12,
        vip_families: families,
        tiers: vec![TierInputs {
            reads: Reads::Master("orders-3"),
            live: LivePods {
                claim: Some(serde_json::from_value(claim).expect("a claim")),
                restart: Some("all@inc-4711".into()),
            },
            ..tier_inputs(&cluster, cluster.core().with_pods(6))
        }],
    };
    build::all(&cluster, &inputs).expect("objects")
}

/// What is applied for the set with tiers, just born.
fn tiers() -> Vec<Object> {
    let cluster = set("tiers");
    let inputs = Inputs {
        master: Some("catalog-0"),
        epoch: 1,
        vip_families: Vec::new(),
        tiers: cluster.tiers().map(|tier| tier_inputs(&cluster, tier)).collect(),
    };
    build::all(&cluster, &inputs).expect("objects")
}

fn yaml<'a>(documents: impl Iterator<Item = &'a Value>) -> String {
    documents
        .map(|value| format!("---\n{}", serde_saphyr::to_string(value).expect("plain data")))
        .collect()
}

#[test]
fn the_objects_of_a_minimal_set_are_these() {
    generated(
        "tests/it/golden/minimal.yaml",
        &yaml(minimal().iter().map(|object| &object.value)),
    );
}

#[test]
fn the_objects_of_a_full_set_are_these() {
    generated(
        "tests/it/golden/full.yaml",
        &yaml(full().iter().map(|object| &object.value)),
    );
}

#[test]
fn the_objects_of_a_set_with_tiers_are_these() {
    let objects = tiers();
    generated(
        "tests/it/golden/tiers.yaml",
        &yaml(objects.iter().map(|object| &object.value)),
    );
    // Whoever looks for them knows all names but those of redis.conf.
    let named = |(kind, name): &(build::Kind, String)| objects.iter().any(|o| (o.kind, &o.name) == (*kind, name));
    let ids = build::ids(&set("tiers"));
    assert!(ids.iter().all(named), "{ids:?}");
    let files = objects.iter().filter(|o| o.kind == build::Kind::ConfigMap).count();
    // The core and the tier that says nothing have the same file.
    assert_eq!((objects.len(), files), (ids.len() + 2, 2));
}

#[test]
fn the_secrets_of_a_set_are_these() {
    for name in ["minimal", "full"] {
        let cluster = set(name);
        let (internal, application) = logins();
        let secrets = [
            secrets::internal(&cluster, &internal, Some(application.hash())).expect("a Secret"),
            secrets::app(&cluster, &application),
        ]
        .map(|secret| meta::seal(&secret).expect("an object"));
        generated(&format!("tests/it/golden/{name}.secrets.yaml"), &yaml(secrets.iter()));
    }
}

#[test]
fn every_object_is_ours_named_once_and_sealed() {
    for (objects, owner) in [(minimal(), "cache"), (full(), "orders"), (tiers(), "catalog")] {
        for object in &objects {
            let Object { kind, name, value, .. } = object;
            assert_eq!(
                (value["kind"].as_str(), value["metadata"]["name"].as_str()),
                (Some(kind.as_str()), Some(&**name))
            );
            assert_eq!(value["metadata"]["namespace"], "shop");
            let owners = value["metadata"]["ownerReferences"].as_array().expect("an owner");
            assert_eq!(
                (owners.len(), &owners[0]["name"], &owners[0]["controller"]),
                (1, &json!(owner), &json!(true))
            );
            assert!(value["metadata"]["annotations"]["redisreplicaset.dev/revision"].is_string());
            let same = objects
                .iter()
                .filter(|other| (other.kind, &other.name) == (*kind, name));
            assert_eq!(same.count(), 1, "{kind:?} {name}");
        }
        assert_eq!(objects.last().map(|object| object.kind), Some(build::Kind::StatefulSet));
    }
}

#[test]
fn selectors_hold_the_labels_of_set_and_tier_only_and_pods_have_no_role() {
    for objects in [minimal(), full(), tiers()] {
        let spec = &objects.last().expect("a StatefulSet").value["spec"];
        let selector = spec["selector"]["matchLabels"].as_object().expect("labels");
        assert_eq!(
            selector.keys().collect::<Vec<_>>(),
            ["redisreplicaset.dev/set", "redisreplicaset.dev/tier"]
        );
        assert_eq!(
            spec["volumeClaimTemplates"][0]["metadata"]["labels"],
            spec["selector"]["matchLabels"]
        );
        let labels = spec["template"]["metadata"]["labels"].as_object().expect("labels");
        assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
        assert!(!labels.contains_key("redisreplicaset.dev/role"));
    }
}

#[test]
fn a_change_of_any_field_we_write_is_seen() {
    for object in minimal().into_iter().chain(full()).chain(tiers()) {
        let desired = object.value;
        let mut places = Vec::new();
        leaves(&desired, String::new(), &mut places);
        assert!(places.len() > 10);
        for place in places {
            let mut live = desired.clone();
            *live.pointer_mut(&place).expect("a place of ours") = json!("changed by somebody");
            assert!(differs(&desired, &live).is_some(), "{} {place}", object.name);
        }
    }
}

/// JSON pointers of all plain values.
fn leaves(value: &Value, pointer: String, places: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(name, value)| leaves(value, format!("{pointer}/{}", escaped(name)), places));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(at, value)| leaves(value, format!("{pointer}/{at}"), places));
        }
        _ => places.push(pointer),
    }
}

#[test]
fn only_what_a_pod_must_be_made_anew_for_changes_its_revision() {
    let revision = |change: fn(&mut Cluster)| {
        let mut cluster = set("full");
        change(&mut cluster);
        build::pod::revision(&cluster, cluster.core()).expect("a revision")
    };
    let before = revision(|_| {});
    let same: [fn(&mut Cluster); 6] = [
        |c| c.spec.replicas = 9,
        |c| drop(c.spec.config.insert("maxmemory".into(), "1gb".into())),
        |c| drop(c.spec.common_metadata.labels.insert("new".into(), "label".into())),
        |c| c.spec.services = Default::default(),
        |c| c.spec.auth = Default::default(),
        |c| c.spec.storage.size.0 = "40Gi".into(),
    ];
    assert!(same.into_iter().all(|change| revision(change) == before));
    let new: [fn(&mut Cluster); 5] = [
        |c| c.spec.image = "redis:8.2".into(),
        |c| drop(c.spec.resources.limits.remove("cpu")),
        |c| drop(c.spec.template.metadata.labels.insert("new".into(), "label".into())),
        |c| c.spec.template.spec.priority_class_name = None,
        |c| c.spec.template.spec.termination_grace_period_seconds = None,
    ];
    assert!(new.into_iter().all(|change| revision(change) != before));
}

#[test]
fn the_revision_of_a_tier_is_its_own() {
    let revisions = |change: fn(&mut Cluster)| {
        let mut cluster = set("tiers");
        change(&mut cluster);
        let revision = |tier: Tier| build::pod::revision(&cluster, tier).expect("a revision");
        let named = cluster.tiers().map(|tier| (tier.name.to_owned(), revision(tier)));
        named.collect::<BTreeMap<_, _>>()
    };
    let before = revisions(|_| {});
    let changed = |change| {
        let after = revisions(change);
        let names = before.keys().filter(|name| before[*name] != after[*name]);
        names.map(String::as_str).collect::<Vec<_>>()
    };
    let image = changed(|c| c.spec.image = "redis:8.3".into());
    assert_eq!(image, ["analytics", "core", "east"]);
    // A block that a tier gives replaces the set's.
    let of_set = changed(|c| c.spec.template.spec.priority_class_name = Some("high".into()));
    assert_eq!(of_set, ["core", "east"]);
    let of_tier = changed(|c| c.spec.tiers[0].resources = None);
    assert_eq!(of_tier, ["analytics"]);
    let of_nobody = changed(|c| (c.spec.tiers[1].replicas, c.spec.tiers[0].from) = (9, "core".into()));
    assert_eq!(of_nobody, [""; 0]);
}

#[test]
fn the_writer_refuses_every_directive_that_admission_refuses() {
    let definition = serde_json::to_value(redis_operator::api::crd()).expect("plain data");
    let config = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/config");
    let rules = config.expect("spec.config")["x-kubernetes-validations"]
        .as_array()
        .expect("rules")
        .clone();
    let text: String = rules
        .iter()
        .filter_map(|rule| rule["rule"].as_str())
        .filter(|rule| rule.contains("exists"))
        .collect();
    // Every quoted word in these rules is a directive or the beginning of some.
    let words: Vec<_> = text.split('\'').skip(1).step_by(2).collect();
    assert!(words.len() > 40, "{words:?}");
    for word in words {
        assert!(redis_operator::api::reserved::is_reserved(word), "{word}");
    }
}
