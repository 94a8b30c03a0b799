//! The CustomResourceDefinition: schema from the types, rules from the table, as it is installed.
//!
//! Nothing is decided here; a limit belongs to its field or to `shapes`, a rule to `rules`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::rules;
use super::spec::RedisReplicaSet;

/// The definition of `RedisReplicaSet` with every limit and rule. Use this one: the derived
/// `RedisReplicaSet::crd()` has no rules.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = RedisReplicaSet::crd();
    for version in &mut crd.spec.versions {
        let schema = version.schema.get_or_insert_default();
        let derived = serde_json::to_value(&*schema).expect("a schema is plain data");
        *schema = finished(derived);
    }
    crd
}

/// The definition as the YAML file that is installed.
pub fn crd_yaml() -> String {
    let definition = serde_saphyr::to_string(&crd()).expect("a definition is plain data");
    format!("# Made from the types under src/api; `UPDATE=1 cargo test` writes it.\n{definition}")
}

fn finished(mut validation: Value) -> CustomResourceValidation {
    let schema = &mut validation["openAPIV3Schema"];
    tidy(schema);
    // Lets the rules of the name point at it, and prices them by a name's length and not by a request's.
    schema["properties"]["metadata"] = json!({
        "type": "object", "properties": {"name": {"type": "string", "maxLength": 253}},
    });
    for placed in rules::all() {
        let rule = serde_json::to_value(&placed.rule).expect("a rule is plain data");
        for path in placed.at {
            let field = at(schema, path).expect("a rule stands at a field");
            match &mut field["x-kubernetes-validations"] {
                Value::Array(rules) => rules.push(rule.clone()),
                none => *none = json!([rule]),
            }
        }
    }
    let schema: JSONSchemaProps = serde_json::from_value(schema.take()).expect("a schema stays a schema");
    CustomResourceValidation {
        open_api_v3_schema: Some(schema),
    }
}

/// The schema of a field, by its path from the root.
fn at<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.')
        .filter(|name| !name.is_empty())
        .try_fold(schema, |schema, name| match name.strip_suffix("[]") {
            Some(list) => schema.get_mut("properties")?.get_mut(list)?.get_mut("items"),
            None => schema.get_mut("properties")?.get_mut(name),
        })
}

/// Largest integer that a JSON number holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Corrects what generated schemas leave open. With `nullable` a null would be stored; without it the apiserver drops
/// the null and sets the default. A format such as int32 is no limit to the apiserver: it would store a number that the
/// types cannot read. And a sentence that a source file broke into lines is one line for a reader.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("nullable");
            if let Some((least, most)) = map.get("format").and_then(Value::as_str).and_then(range) {
                map.entry("minimum").or_insert_with(|| json!(least));
                map.entry("maximum").or_insert_with(|| json!(most));
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace("\n\n", "\0").replace('\n', " ").replace('\0', "\n");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn range(format: &str) -> Option<(f64, f64)> {
    match format {
        "int32" => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        "int64" => Some((-EXACT, EXACT)),
        _ => None,
    }
}
