//! What the schema must be for rules to stay cheap and for people to read it: bounded, full, described.

use redis_operator::api::{
    Change, ConfigStatus, Derived, Elector, History, Identity, MemberStatus, RedisReplicaSet, RedisReplicaSetSpec,
    RedisReplicaSetStatus,
};
use serde_json::{Value, json};

use crate::bad_input::schema;

/// Calls with every schema below this one and its path.
fn walk(schema: &Value, path: &str, seen: &mut impl FnMut(&str, &Value)) {
    seen(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), seen);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(keyword) {
            walk(inner, &format!("{path}{mark}"), seen);
        }
    }
}

#[test]
fn every_list_map_text_and_number_of_spec_is_bounded() {
    let mut checked = 0;
    walk(&schema()["properties"]["spec"], "spec", &mut |path, schema| {
        let wanted: &[&str] = match schema["type"].as_str() {
            Some("array") => &["maxItems"],
            Some("object") if schema.get("additionalProperties").is_some() => &["maxProperties"],
            Some("string") => &["maxLength", "enum"],
            Some("integer") => &["maximum"],
            None if schema["x-kubernetes-int-or-string"] == true => &["maxLength"],
            _ => return,
        };
        checked += 1;
        assert!(
            wanted.iter().any(|keyword| schema.get(keyword).is_some()),
            "{path} has none of {wanted:?}"
        );
    });
    assert!(checked > 50, "{checked}");
}

#[test]
fn nothing_is_nullable_so_that_a_null_becomes_the_default() {
    walk(&schema(), "", &mut |path, schema| {
        assert!(schema.get("nullable").is_none(), "{path}")
    });
}

#[test]
fn a_default_of_a_block_has_every_default_inside_it() {
    fn inside(schema: &Value) -> Value {
        let properties = schema["properties"].as_object();
        let known = properties
            .into_iter()
            .flatten()
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())));
        Value::Object(known.collect())
    }
    let mut blocks = 0;
    walk(&schema()["properties"]["spec"], "spec", &mut |path, schema| {
        if let Some(default) = schema.get("default").filter(|default| default.is_object()) {
            blocks += 1;
            assert_eq!(*default, inside(schema), "{path}");
        }
    });
    assert!(blocks >= 8, "{blocks}");
}

/// Types of core/v1, whose own descriptions were taken away.
pub const EMBEDDED: [&str; 6] = [
    "spec.template.spec.affinity",
    "spec.template.spec.tolerations",
    "spec.template.spec.topologySpreadConstraints",
    "spec.tiers[].template.spec.affinity",
    "spec.tiers[].template.spec.tolerations",
    "spec.tiers[].template.spec.topologySpreadConstraints",
];

#[test]
fn every_field_is_described_and_says_what_a_change_does() {
    walk(&schema()["properties"]["spec"], "spec", &mut |path, schema| {
        let below_embedded = EMBEDDED
            .iter()
            .any(|field| path.len() > field.len() && path.starts_with(field));
        if below_embedded || path.ends_with("[]") || path.ends_with("{}") {
            return;
        }
        let text = schema["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{path}: {text:?}");
        assert!(!text.contains('\n'), "{path} is broken into lines");
        let block = schema.get("properties").is_some() || schema["items"].get("properties").is_some();
        assert!(
            block || Change::split(text).is_some(),
            "{path} does not say what a change does: {text:?}"
        );
    });
    walk(&schema()["properties"]["status"], "status", &mut |path, schema| {
        let own = !path.starts_with("status.conditions[]") && !path.ends_with("[]");
        assert!(
            !own || schema["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{path}"
        );
    });
}

/// Values that the schema takes: every word, both ends of every range, every field alone.
fn samples(path: &str, schema: &Value) -> Vec<Value> {
    if let Some(words) = schema["enum"].as_array() {
        return words.clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return vec![json!(1_073_741_824_i64), json!("1.5Gi")];
    }
    match schema["type"].as_str() {
        Some("boolean") => vec![json!(true), json!(false)],
        Some("integer") => ["minimum", "maximum"]
            .map(|end| json!(schema[end].as_f64().unwrap() as i64))
            .into(),
        Some("string") => vec![text(path, schema)],
        Some("array") => samples(path, &schema["items"])
            .into_iter()
            .map(|item| json!([item]))
            .collect(),
        Some("object") => match schema.get("additionalProperties") {
            Some(values) => samples(path, values)
                .into_iter()
                .map(|value| json!({"x": value}))
                .collect(),
            None => blocks(path, schema),
        },
        other => panic!("{path} has type {other:?}"),
    }
}

/// Objects with the required fields and one other each.
fn blocks(path: &str, schema: &Value) -> Vec<Value> {
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let first = |name: &str| samples(&format!("{path}.{name}"), &schema["properties"][name]).remove(0);
    let base: serde_json::Map<String, Value> = required.map(|name| (name.to_owned(), first(name))).collect();
    let mut found = vec![Value::Object(base.clone())];
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        for sample in samples(&format!("{path}.{name}"), property) {
            let mut block = base.clone();
            block.insert(name.clone(), sample);
            found.push(Value::Object(block));
        }
    }
    found
}

fn text(path: &str, schema: &Value) -> Value {
    match (path.rsplit('.').next(), schema["format"].as_str()) {
        (Some("maxLag" | "downAfter" | "selfFenceAfter" | "cooldown" | "awaitReturn"), _) => {
            json!("99999h99999h99999h99999ms")
        }
        (_, Some("date-time")) => json!("2026-11-23T07:12:09.114302Z"),
        _ => json!("x".repeat(schema["maxLength"].as_u64().unwrap_or(64) as usize)),
    }
}

#[test]
fn what_the_schema_takes_the_types_can_read() {
    let properties = &schema()["properties"];
    let specs = samples("spec", &properties["spec"]);
    assert!(specs.len() > 150, "{}", specs.len());
    for spec in specs {
        let read = serde_json::from_value::<RedisReplicaSetSpec>(spec.clone());
        assert!(read.is_ok(), "{spec}: {read:?}");
    }
    for status in samples("status", &properties["status"]) {
        let read = serde_json::from_value::<RedisReplicaSetStatus>(status.clone());
        assert!(read.is_ok(), "{status}: {read:?}");
    }
}

#[test]
fn a_status_of_every_field_has_no_field_that_the_apiserver_would_drop() {
    let identity = Identity {
        name: "cache-0".into(),
        uid: "u".into(),
        volume: "v".into(),
    };
    let time = "2026-11-23T07:12:09Z";
    let micro = "2026-11-23T07:12:09.114302Z";
    let point = json!({"replid": "a", "offset": 1});
    let verdict = json!({
        "proof": "ConnectionRefused", "witnesses": {"asked": 1, "agreed": 1},
        "positions": {"electors": 3, "needed": 2, "read": 2}, "oldHistory": point, "newHistory": point,
        "maxLostBytes": 1, "zombieBytes": 1, "resyncsBefore": {"partial": 1, "full": 0},
    });
    let mut report = json!({
        "epoch": 2, "kind": "Failover", "reason": "ProcessDied", "requestId": "any@1", "from": "cache-1",
        "to": "cache-0", "fence": "Proven", "resyncs": {"partial": 1, "full": 0}, "startedAt": micro,
        "finishedAt": micro, "message": "m",
        "phasesMs": {"proxies": 1, "detect": 1, "fence": 1, "drain": 1, "choose": 1, "promote": 1, "vip": 1, "endpoints": 1,
            "siblings": 1, "total": 1},
    });
    let fields = verdict.as_object().unwrap().clone();
    report.as_object_mut().unwrap().extend(fields);
    let status = json!({
        "observedGeneration": 1, "epoch": 1, "master": identity,
        "electors": [Elector { name: "cache-0".into(), entered_with: Some("a".into()), ..Elector::default() }],
        "quorum": {"wait": 1, "minReplicasToWrite": 1, "degraded": false},
        "histories": [History::default()],
        "operation": {"kind": "Grant", "from": "cache-1", "to": "cache-0", "source": "cache-2", "epoch": 1, "reason": "Restarted",
            "requestId": "cache-0@1", "startedAt": micro, "verdict": verdict},
        "pendingFences": [{"name": "cache-1", "uid": "u", "epoch": 1, "since": time}],
        "fenced": [{"name": "cache-2", "request": "cache-2@1", "since": time}],
        "failovers": [report],
        "requests": [{"name": "switchover", "value": "any@1", "outcome": "Done", "reason": "", "message": "m", "at": time}],
        "highWaterMark": {"epoch": 1, "replid": "a", "offset": 1, "keys": 1, "at": time, "fileComplete": true},
        "replicas": 2, "readyReplicas": 2, "selector": "a=b",
        "version": {"engine": "Redis", "version": "8.2.1", "mixed": false},
        "endpoints": {"master": "a:6379", "replicas": "b:6379", "convergedAt": "2026-11-23T07:12:09.000001Z"},
        "binding": {"name": "cache-app"},
        "tiers": [{"name": "edge", "replicas": 4, "readyReplicas": 4, "parents": 2}],
        "members": [{"name": "cache-0", "uid": "u", "tier": "core", "role": "replica", "from": "cache-1", "node": "n",
            "zone": "z", "state": "InSync", "since": time, "revision": "r", "priority": 1, "message": "m"}],
        "update": {"revision": "r", "updated": 2, "total": 3, "waitingFor": "cache-0 to be in sync"},
        "config": ConfigStatus {
            applied_revision: Some("r".into()), pending_restart: vec!["databases".into()],
            derived: vec![Derived::default()],
        },
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
            "lastTransitionTime": time}],
    });
    let read: RedisReplicaSetStatus = serde_json::from_value(status.clone()).unwrap();
    let _: &Vec<MemberStatus> = &read.members;
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written, status, "a field is lost on the way through the types");
    known(&schema()["properties"]["status"], &written, "status");
}

/// Every field of the value is in the schema, and every field of the schema's own blocks in the value.
fn known(schema: &Value, value: &Value, path: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let property = schema["properties"]
                    .get(name)
                    .unwrap_or_else(|| panic!("{path}.{name} is not there"));
                known(property, value, &format!("{path}.{name}"));
            }
            for name in schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
            {
                assert!(fields.contains_key(name), "this test lacks {path}.{name}");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| known(&schema["items"], item, path)),
        _ => {}
    }
}

#[test]
fn the_printed_columns_are_those_of_the_reference() {
    let version = redis_operator::api::crd().spec.versions.remove(0);
    let columns: Vec<(String, bool)> = version
        .additional_printer_columns
        .unwrap()
        .into_iter()
        .map(|column| (column.name, column.priority.is_some_and(|priority| priority > 0)))
        .collect();
    let (wide, narrow): (Vec<_>, Vec<_>) = columns.iter().partition(|(_, wide)| *wide);
    assert_eq!(
        narrow.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["Master", "Replicas", "Ready", "Status", "Age"]
    );
    assert_eq!(
        wide.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["Epoch", "Version", "Failover", "Changed", "Message"]
    );
    let scale = version.subresources.unwrap().scale.unwrap();
    assert_eq!(scale.spec_replicas_path, ".spec.replicas");
    assert_eq!(scale.status_replicas_path, ".status.replicas");
    assert_eq!(scale.label_selector_path.as_deref(), Some(".status.selector"));
    let names = redis_operator::api::crd().spec.names;
    assert_eq!(
        (names.short_names, names.categories),
        (Some(vec!["rrs".into()]), Some(vec!["all".into()]))
    );
    let _ = RedisReplicaSet::default();
}
