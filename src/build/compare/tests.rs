use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::*;

fn first(desired: Value, live: Value) -> Option<(String, Found)> {
    differs(&desired, &live).map(|difference| (difference.path, difference.found))
}

#[test]
fn what_means_the_same_is_no_difference() {
    for (desired, live) in [
        (json!({"a": 1}), json!({"a": 1, "b": 2})),
        (json!({"a": null, "b": {}, "c": [], "d": ""}), json!({})),
        (json!({"a": {}}), json!({"a": {"added": true}})),
        (
            json!({"resources": {"limits": {"memory": "1024Mi"}}}),
            json!({"resources": {"limits": {"memory": "1Gi"}}}),
        ),
        (
            json!({"requests": {"cpu": "0.5"}}),
            json!({"requests": {"cpu": "500m"}}),
        ),
        (
            json!({"containers": [{"name": "redis", "image": "r"}]}),
            json!({"containers": [{"name": "proxy"}, {"name": "redis", "image": "r", "tty": false}]}),
        ),
        (
            json!({"ports": [{"port": 6379, "protocol": "TCP"}]}),
            json!({"ports": [{"port": 9121, "protocol": "TCP"}, {"port": 6379, "protocol": "TCP", "nodePort": 30001}]}),
        ),
        (json!({"selector": {"a": "b"}}), json!({"selector": {"a": "b"}})),
        (json!({"ipFamilies": ["IPv4"]}), json!({"ipFamilies": ["IPv4", "IPv6"]})),
        (
            json!({"tolerations": [{"key": "a", "value": ""}]}),
            json!({"tolerations": [{"key": "a"}]}),
        ),
    ] {
        assert_eq!(first(desired.clone(), live.clone()), None, "{desired} {live}");
    }
}

#[test]
fn a_difference_is_named_by_its_path() {
    use Found::{Absent, More, Other};
    for (desired, live, path, found) in [
        (json!({"spec": {"a": 1}}), json!({"spec": {"a": 2}}), "spec.a", Other),
        (json!({"spec": {"a": 1}}), json!({"spec": null}), "spec", Absent),
        (json!({"spec": {"a": {"b": 1}}}), json!({"spec": {}}), "spec.a", Absent),
        (json!({"spec": {"a": false}}), json!({"spec": {}}), "spec.a", Absent),
        (json!({"a": [1]}), json!({"a": "1"}), "a", Other),
        (
            json!({"labels": {"x.dev/y": "1"}}),
            json!({"labels": {"x.dev/y": "2"}}),
            "labels[x.dev/y]",
            Other,
        ),
        (
            json!({"limits": {"memory": "1Gi"}}),
            json!({"limits": {"memory": "1G"}}),
            "limits.memory",
            Other,
        ),
        (
            json!({"limits": {"memory": "1Gi"}}),
            json!({"limits": {"memory": "lots"}}),
            "limits.memory",
            Other,
        ),
        // Only resources are quantities: this is somebody's text.
        (
            json!({"data": {"a": "1024Mi"}}),
            json!({"data": {"a": "1Gi"}}),
            "data.a",
            Other,
        ),
        (json!({"args": ["a", "b"]}), json!({"args": ["a"]}), "args[1]", Absent),
        (
            json!({"args": ["a", "b"]}),
            json!({"args": ["b", "a"]}),
            "args[0]",
            Other,
        ),
        (json!({"args": ["a"]}), json!({"args": ["a", "b"]}), "args", More),
        (
            json!({"selector": {"a": "b"}}),
            json!({"selector": {"a": "b", "c": "d"}}),
            "selector",
            More,
        ),
        (
            json!({"selector": {"matchLabels": {"a": "b"}}}),
            json!({"selector": {"matchLabels": {"a": "b", "c": "d"}}}),
            "selector.matchLabels",
            More,
        ),
        (
            json!({"containers": [{"name": "redis", "image": "r"}]}),
            json!({"containers": [{"name": "redis", "image": "x"}, {"name": "other", "image": "r"}]}),
            "containers[redis].image",
            Other,
        ),
        (
            json!({"containers": [{"name": "redis"}]}),
            json!({"containers": [{"name": "x"}]}),
            "containers[redis]",
            Absent,
        ),
        (
            json!({"ports": [{"port": 6379, "protocol": "TCP", "targetPort": 6379}]}),
            json!({"ports": [{"port": 6379, "protocol": "UDP", "targetPort": 6379}]}),
            "ports[6379/TCP]",
            Absent,
        ),
        (
            json!({"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1}]}),
            json!({"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 2}]}),
            "topologySpreadConstraints[z/ScheduleAnyway].maxSkew",
            Other,
        ),
        (
            json!({"ipFamilies": ["IPv4"]}),
            json!({"ipFamilies": ["IPv6", "IPv4"]}),
            "ipFamilies[0]",
            Other,
        ),
    ] {
        assert_eq!(
            first(desired.clone(), live.clone()),
            Some((path.to_owned(), found)),
            "{desired} {live}"
        );
    }
}

#[test]
fn a_foreign_edit_is_told_from_a_new_wish_of_ours() {
    let object = |revision: &str, replicas: i64| json!({"metadata": {"annotations": {annotation::REVISION: revision}}, "spec": {"replicas": replicas}});
    let edited = differs(&object("a", 3), &object("a", 5)).unwrap();
    assert_eq!((edited.path.as_str(), edited.foreign), ("spec.replicas", true));
    assert_eq!(edited.to_string(), "spec.replicas had another value");
    let outdated = differs(&object("b", 3), &object("a", 3)).unwrap();
    assert_eq!(outdated.path, "metadata.annotations[redisreplicaset.dev/revision]");
    assert!(!outdated.foreign);
}

/// JSON as objects have it, with keyed lists and selectors among it.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..9_i64).prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let name = prop_oneof![
            "[a-f]{1,2}",
            Just("selector".to_owned()),
            Just("limits".to_owned()),
            Just("args".to_owned()),
        ];
        let map = prop::collection::btree_map(name, inner.clone(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()));
        let named = prop::collection::btree_map("[a-f]{1,2}", inner.clone(), 1..4).prop_map(|elements| {
            let list = elements
                .into_iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            json!({"containers": list.collect::<Vec<_>>()})
        });
        prop_oneof![map, named, prop::collection::vec(inner, 0..3).prop_map(Value::from)]
    })
}

/// Adds what an apiserver, a webhook or a person may add beside our fields, at places the indices choose.
fn add(value: &mut Value, name: &str, whole: bool, indices: &mut std::slice::Iter<'_, Index>) {
    let Some(here) = indices.next() else { return };
    let whole = whole || WHOLE.contains(&name);
    match value {
        Value::Object(map) => {
            if !whole && here.index(2) == 0 {
                map.insert("added".into(), json!({"by": "somebody"}));
            }
            for (name, value) in map {
                add(value, name, whole, indices);
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|element| add(element, "", whole, indices));
            if name == "containers" && here.index(2) == 0 {
                list.insert(here.index(list.len() + 1), json!({"name": "added"}));
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn what_others_add_is_no_difference(
        desired in values(),
        indices in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let desired = json!({"spec": desired});
        let mut live = desired.clone();
        add(&mut live, "", false, &mut indices.iter());
        prop_assert_eq!(differs(&desired, &live), None);
    }

    #[test]
    fn one_changed_leaf_is_the_difference(desired in values(), choice in any::<Index>()) {
        let desired = json!({"kind": "Service", "spec": desired});
        let mut leaves = Vec::new();
        collect(&desired, String::new(), &mut leaves);
        let pointer = &leaves[choice.index(leaves.len())];
        let mut live = desired.clone();
        *live.pointer_mut(pointer).unwrap() = json!("changed");
        prop_assert!(differs(&desired, &live).is_some(), "{pointer}");
    }
}

/// JSON pointers of all leaves, but for the names that key a list: another name is another element.
fn collect(value: &Value, pointer: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(name, value)| collect(value, format!("{pointer}/{name}"), leaves)),
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(at, value)| collect(value, format!("{pointer}/{at}"), leaves));
        }
        _ => leaves.push(pointer),
    }
}
