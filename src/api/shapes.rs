//! Limits that the schema of one field can hold: forms, sizes and ranges.
//!
//! Every list, map and string of spec is bounded here or at its field: the apiserver prices a rule by the largest
//! value it could meet, and refuses a definition with an unbounded one. What needs two fields, or the old value, is
//! in [`super::rules`].

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// An image reference: `[host[:port]/]path[:tag][@digest]`. Empty passes, so that only its length is complained of.
pub const IMAGE: &str = concat!(
    r"^(([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*",
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha(256|384|512):[0-9a-f]{64,128})?$|^$"
);

/// A user of Redis. Empty passes, so that only its length is complained of.
pub const USER: &str = "^[A-Za-z0-9_.-]*$";

/// A DNS-1035 label. Empty passes, so that only its length is complained of.
pub const DNS_LABEL: &str = "^([a-z]([a-z0-9-]*[a-z0-9])?)?$";

/// A quantity of Kubernetes that is not negative.
const AMOUNT: &str = r"^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// A quantity of Kubernetes.
const QUANTITY: &str = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// The value of a label.
const LABEL_VALUE: &str = "^(([A-Za-z0-9][A-Za-z0-9_.-]*)?[A-Za-z0-9])?$";

/// The value of a directive: no character that could end a line of redis.conf.
const DIRECTIVE_VALUE: &str = r"^[^\x00-\x1f\x7f]*$";

/// Longest quantity; a rule that reads one is priced by it.
const QUANTITY_LENGTH: u32 = 32;
/// Longest key of a label: a DNS name, a slash and a name.
const QUALIFIED_NAME_LENGTH: u32 = 317;
/// Most entries of a map of labels or annotations, and of a list in an embedded core type.
const ENTRIES: u32 = 32;

fn quantity(form: &str) -> Value {
    json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "pattern": form,
        "maxLength": QUANTITY_LENGTH,
    })
}

fn map(most: u32, values: Value) -> Schema {
    json_schema!({"type": "object", "maxProperties": most, "additionalProperties": values})
}

/// A quantity by resource name.
pub fn quantities(_: &mut SchemaGenerator) -> Schema {
    let mut amount = quantity(AMOUNT);
    amount["minimum"] = json!(0);
    map(16, amount)
}

/// The size of a volume.
pub fn size(_: &mut SchemaGenerator) -> Schema {
    let mut schema = Schema::default();
    schema.ensure_object().extend(as_map(quantity(QUANTITY)));
    schema
}

/// Labels of an object.
pub fn labels(_: &mut SchemaGenerator) -> Schema {
    map(
        ENTRIES,
        json!({"type": "string", "maxLength": 63, "pattern": LABEL_VALUE}),
    )
}

/// Annotations of an object.
pub fn annotations(_: &mut SchemaGenerator) -> Schema {
    map(ENTRIES, json!({"type": "string", "maxLength": 4096}))
}

/// Labels a node must have.
pub fn node_selector(generator: &mut SchemaGenerator) -> Schema {
    labels(generator)
}

/// Directives of redis.conf.
pub fn config(_: &mut SchemaGenerator) -> Schema {
    map(
        64,
        json!({"type": "string", "maxLength": 1024, "pattern": DIRECTIVE_VALUE}),
    )
}

/// A type of core/v1 without its descriptions, which are long and known, and with bounds, which it lacks.
pub fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    bound(schema.ensure_object());
    schema
}

/// Tolerations of a pod.
pub fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<Vec<k8s_openapi::api::core::v1::Toleration>>(generator);
    restrict(
        &mut schema,
        "effect",
        json!({"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]}),
    );
    schema
}

/// Spread constraints of a pod: two of one key and kind are no pod the apiserver would take.
pub fn spread(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = embedded::<Vec<k8s_openapi::api::core::v1::TopologySpreadConstraint>>(generator);
    restrict(&mut schema, "maxSkew", json!({"minimum": 1}));
    restrict(
        &mut schema,
        "whenUnsatisfiable",
        json!({"enum": ["DoNotSchedule", "ScheduleAnyway"]}),
    );
    schema.ensure_object().extend(as_map(json!({
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
    })));
    schema
}

/// Adds keywords to one property of a list's items.
fn restrict(list: &mut Schema, property: &str, keywords: Value) {
    let at = format!("/items/properties/{property}");
    if let Some(Value::Object(found)) = list.pointer_mut(&at) {
        found.extend(as_map(keywords));
    }
}

fn bound(schema: &mut Map<String, Value>) {
    schema.remove("description");
    let limit = match schema.get("type").and_then(Value::as_str) {
        Some("string") => Some(("maxLength", QUALIFIED_NAME_LENGTH)),
        Some("array") => Some(("maxItems", ENTRIES)),
        Some("object") if schema.contains_key("additionalProperties") => Some(("maxProperties", ENTRIES)),
        _ => None,
    };
    if let Some((keyword, most)) = limit {
        schema.entry(keyword).or_insert_with(|| json!(most));
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(keyword) {
            bound(inner);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(bound);
    }
}

fn as_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
