//! Server-side apply and merge patch, as far as the operator relies on them.
//!
//! Who applied what is kept whole for each manager: what it leaves out the next time goes, unless somebody else applied
//! it too. Lists with keys merge by them, all others are one value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Lists that merge, and the field that is their key.
const KEYED: [(&str, &str); 3] = [("conditions", "type"), ("requests", "name"), ("ownerReferences", "uid")];

/// What each manager applied last, its lists with keys as maps.
pub type Applied = BTreeMap<String, Value>;

/// A field that another manager applied with another value.
#[derive(Debug, PartialEq)]
pub struct Conflict(pub String);

/// Applies `body` to `live` in the name of a manager.
pub fn apply(live: &Value, applied: &mut Applied, manager: &str, sent: &Value, force: bool) -> Result<Value, Conflict> {
    let (mut live, body) = (keyed(live), keyed(sent));
    let others = || {
        applied
            .iter()
            .filter(|(name, _)| *name != manager)
            .map(|(_, tree)| tree)
    };
    if !force {
        let differs =
            |path: &Vec<String>| at(&live, path) != at(&body, path) && others().any(|o| at(o, path).is_some());
        if let Some(path) = leaves(&body).into_iter().find(differs) {
            return Err(Conflict(path.join(".")));
        }
    }
    let before = applied.get(manager).map(leaves).unwrap_or_default();
    let left_out = |path: &&Vec<String>| at(&body, path).is_none() && !others().any(|o| at(o, path).is_some());
    before.iter().filter(left_out).for_each(|path| remove(&mut live, path));
    merge(&mut live, &body);
    applied.insert(manager.to_owned(), body);
    let mut live = listed(live);
    order(&mut live, sent);
    Ok(live)
}

/// RFC 7386: `null` removes, maps are gone into, all else is replaced.
pub fn merge_patch(live: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *live = patch.clone();
        return;
    };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    let Value::Object(fields) = live else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge_patch(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn merge(live: &mut Value, body: &Value) {
    match (live, body) {
        (Value::Object(live), Value::Object(body)) => {
            for (name, value) in body {
                merge(live.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (live, body) => *live = body.clone(),
    }
}

/// In place of a list with keys, a map under the list's name and this.
const MARK: &str = "[]";

fn keyed(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return value.clone();
    };
    let of_field = |(name, value): (&String, &Value)| {
        let key = KEYED.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        let (Some(key), Value::Array(items)) = (key, value) else {
            return (name.clone(), keyed(value));
        };
        let named = |item: &Value| (item[key].as_str().unwrap_or_default().to_owned(), keyed(item));
        let map = items.iter().map(named).collect();
        (format!("{name}{MARK}"), Value::Object(map))
    };
    Value::Object(fields.iter().map(of_field).collect())
}

fn listed(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let of_field = |(name, value): (String, Value)| match (name.strip_suffix(MARK), value) {
        (Some(list), Value::Object(items)) => {
            let items = items.into_values().map(listed).collect();
            (list.to_owned(), Value::Array(items))
        }
        (_, value) => (name, listed(value)),
    };
    Value::Object(fields.into_iter().map(of_field).collect())
}

/// Lists with keys come in the order in which they were sent.
fn order(live: &mut Value, sent: &Value) {
    let (Value::Object(live), Value::Object(sent)) = (live, sent) else {
        return;
    };
    for (name, sent) in sent {
        let Some(live) = live.get_mut(name) else { continue };
        let key = KEYED.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (key, live, sent) {
            (Some(key), Value::Array(live), Value::Array(sent)) => {
                let place = |item: &Value| sent.iter().position(|sent| sent[key] == item[key]);
                live.sort_by_key(|item| place(item).unwrap_or(usize::MAX));
            }
            (_, live, sent) => order(live, sent),
        }
    }
}

fn leaves(value: &Value) -> Vec<Vec<String>> {
    let Value::Object(fields) = value else {
        return vec![vec![]];
    };
    let below = |(name, value): (&String, &Value)| {
        let paths = leaves(value).into_iter();
        paths
            .map(|path| [vec![name.clone()], path].concat())
            .collect::<Vec<_>>()
    };
    fields.iter().flat_map(below).collect()
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn remove(value: &mut Value, path: &[String]) {
    let (Some((name, rest)), Value::Object(fields)) = (path.split_first(), value) else {
        return;
    };
    if rest.is_empty() {
        fields.remove(name);
    } else if let Some(below) = fields.get_mut(name) {
        remove(below, rest);
        if below.as_object().is_some_and(Map::is_empty) {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_manager_leaves_out_goes_unless_another_applied_it() {
        let mut applied = Applied::new();
        let one = apply(&json!({}), &mut applied, "a", &json!({"x": 1, "y": {"z": 2}}), true).unwrap();
        let two = apply(&one, &mut applied, "b", &json!({"x": 1}), true).unwrap();
        let three = apply(&two, &mut applied, "a", &json!({}), true).unwrap();
        assert_eq!(three, json!({"x": 1}));
    }

    #[test]
    fn without_force_a_field_of_another_is_a_conflict() {
        let mut applied = Applied::new();
        let one = apply(&json!({}), &mut applied, "a", &json!({"x": 1}), true).unwrap();
        assert!(apply(&one, &mut applied, "b", &json!({"x": 1}), false).is_ok());
        let refused = apply(&one, &mut applied, "b", &json!({"x": 2}), false);
        assert_eq!(refused, Err(Conflict("x".into())));
    }

    #[test]
    fn conditions_merge_by_type() {
        let live = json!({"conditions": [{"type": "A", "status": "True"}]});
        let mut applied = Applied::new();
        let body = json!({"conditions": [{"type": "B", "status": "True"}]});
        let both = apply(&live, &mut applied, "a", &body, true).unwrap();
        assert_eq!(both["conditions"].as_array().map(Vec::len), Some(2));
        let back = apply(&both, &mut applied, "a", &json!({}), true).unwrap();
        assert_eq!(back, live);
    }
}
