//! The sentences of the rules as a whole: each can be met, and none names a field that is not there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api_rules::messages;
use crate::bad_input::{cases, refusals, schema, yaml};

/// Every rule of a schema with the path where it stands.
pub fn rules(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        found.push((path.to_owned(), rule.clone()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        rules(property, &format!("{path}.{name}"), found);
        rules(&property["items"], &format!("{path}.{name}[]"), found);
    }
}

#[test]
fn every_rule_is_broken_by_a_recorded_manifest() {
    let schema = schema();
    let mut never = Vec::new();
    rules(&schema, "", &mut never);
    assert!(never.len() >= 30, "{} rules found", never.len());
    for case in cases() {
        let old = case.before.last().map(|text| yaml(text));
        for error in refusals(&yaml(&case.manifest), old.as_ref()) {
            never.retain(|(_, rule)| rule["rule"] != error.rule.as_str());
        }
    }
    assert!(never.is_empty(), "no manifest breaks {never:#?}");
}

/// Names of every property, and every path of properties from any point of the schema.
fn names(schema: &Value, trail: &mut Vec<String>, found: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        trail.push(name.clone());
        found.extend((0..trail.len()).map(|start| trail[start..].join(".")));
        names(property, trail, found);
        trail.pop();
        trail.push(format!("{name}[]"));
        names(&property["items"], trail, found);
        trail.pop();
    }
}

#[test]
fn a_sentence_names_only_fields_that_exist() {
    let schema = schema();
    let (mut fields, mut all) = (BTreeSet::new(), Vec::new());
    names(&schema, &mut Vec::new(), &mut fields);
    rules(&schema, "", &mut all);
    let mut sentences: Vec<String> = all
        .iter()
        .filter_map(|(_, rule)| Some(rule["message"].as_str()?.to_owned()))
        .collect();
    for key in [
        "appendonly",
        "appendfsync",
        "requirepass",
        "user",
        "tls-port",
        "replica-priority",
        "include",
    ] {
        sentences.extend(messages(json!({"config": {key: "1"}})));
    }
    let mut named = 0;
    for sentence in sentences {
        let words = sentence
            .split([' ', ',', ';', ':', '(', ')', '"'])
            .map(|word| word.trim_end_matches('.'));
        for word in words.filter(|word| looks_like_a_field(word)) {
            // Keys of a map are not in the schema: the map is.
            let map = word.rsplit_once('.').map_or("", |(map, _)| map);
            assert!(
                fields.contains(word) || is_map(&schema, map),
                "{word:?} in {sentence:?} is no field"
            );
            named += 1;
        }
    }
    assert!(named >= 15, "only {named} names were seen");
}

fn looks_like_a_field(word: &str) -> bool {
    let known = [
        "redis.conf",
        "10.0.0.0/8",
        "DNS-1035",
        "128Mi",
        "64Ti",
        "64Mi",
        "1h",
        "1s",
    ];
    let types = [
        "CIDRs",
        "LoadBalancer",
        "NodePort",
        "PreferDualStack",
        "RequireDualStack",
        "Service",
    ];
    let inner_capital = word.chars().skip(1).any(|c| c.is_ascii_uppercase());
    !known.contains(&word) && !types.contains(&word) && !word.contains('/') && (word.contains('.') || inner_capital)
}

fn is_map(schema: &Value, path: &str) -> bool {
    let mut starts = vec![&schema["properties"]["spec"]];
    starts.extend(schema["properties"]["spec"]["properties"].as_object().unwrap().values());
    starts.into_iter().any(|start| {
        let field = path
            .split('.')
            .try_fold(start, |schema, name| schema["properties"].get(name));
        field.is_some_and(|field| field.get("additionalProperties").is_some())
    })
}
