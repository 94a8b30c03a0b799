//! What differs between the object we want and the live one: our fields only.
//!
//! A live object holds more than we wrote: defaults, other people's labels, sidecars that somebody injected. They stay,
//! so only what we want is looked for. A field that we no longer want is found by the revision annotation that
//! [`super::meta::seal`] adds. Values are never given out, for they may be secret.

use std::fmt;

use serde_json::{Map, Value};

use super::quantity;
use crate::names::annotation;

/// The first of our fields that the live object has not as we want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: `spec.ports[6379/TCP].targetPort`, `metadata.labels[redisreplicaset.dev/set]`.
    pub path: String,
    /// What is there.
    pub found: Found,
    /// Whether somebody else made it: the live object says that it was written for what we want. Otherwise we want
    /// something new.
    pub foreign: bool,
}

/// What the live object has at the place of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// Another value.
    Other,
    /// More than we want where only our own may stand: in a selector, or a list without keys.
    More,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match self.found {
            Found::Absent => "was missing",
            Found::Other => "had another value",
            Found::More => "had more than we want",
        };
        write!(f, "{} {found}", self.path)
    }
}

/// The first difference in the order of field names, `None` if the live object has all that we want.
pub fn differs(desired: &Value, live: &Value) -> Option<Difference> {
    let mut place = Place {
        path: String::new(),
        ..Place::default()
    };
    let found = place.compare(desired, live)?;
    Some(Difference {
        path: place.path,
        found,
        foreign: revision(desired) == revision(live),
    })
}

fn revision(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(annotation::REVISION)?
        .as_str()
}

/// Lists whose elements have a name, and the fields that make it; others may add elements. The apiserver calls them
/// lists of type map. In every other list order and length are ours.
const KEYED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["port", "containerPort", "protocol"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Maps that only mean something as a whole: one key more in a selector, and it selects somebody else.
const WHOLE: &[&str] = &["labelSelector", "namespaceSelector", "nodeSelector", "selector"];

/// Maps of quantities, which the apiserver writes in its own spelling.
const QUANTITIES: &[&str] = &["limits", "requests"];

/// Where the comparison stands. After a difference the path is left at it.
#[derive(Default)]
struct Place {
    path: String,
    /// Below one of [`WHOLE`].
    whole: bool,
    /// Directly in one of [`QUANTITIES`].
    quantity: bool,
}

impl Place {
    fn compare(&mut self, desired: &Value, live: &Value) -> Option<Found> {
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => self.fields(desired, live),
            (desired, live) if is_empty(desired) && is_empty(live) => None,
            (_, Value::Null) => Some(Found::Absent),
            (Value::String(desired), Value::String(live)) if self.quantity => {
                let same =
                    desired == live || quantity::parse(desired).is_some_and(|nano| quantity::parse(live) == Some(nano));
                (!same).then_some(Found::Other)
            }
            _ => (desired != live).then_some(Found::Other),
        }
    }

    fn fields(&mut self, desired: &Map<String, Value>, live: &Map<String, Value>) -> Option<Found> {
        for (name, wanted) in desired {
            let there = live.get(name).unwrap_or(&Value::Null);
            if let Some(found) = self.within(name, |place| place.field(name, wanted, there)) {
                return Some(found);
            }
        }
        let more = self.whole
            && live
                .iter()
                .any(|(name, value)| !desired.contains_key(name) && !is_empty(value));
        more.then_some(Found::More)
    }

    fn field(&mut self, name: &str, desired: &Value, live: &Value) -> Option<Found> {
        let outer = (self.whole, self.quantity);
        self.whole |= WHOLE.contains(&name);
        self.quantity = QUANTITIES.contains(&name) || (outer.1 && !desired.is_object());
        let found = match (desired, live) {
            (Value::Array(desired), Value::Array(live)) if !desired.is_empty() => self.list(name, desired, live),
            _ => self.compare(desired, live),
        };
        (self.whole, self.quantity) = outer;
        found
    }

    fn list(&mut self, name: &str, desired: &[Value], live: &[Value]) -> Option<Found> {
        if let Some((_, fields)) = KEYED.iter().find(|(list, _)| *list == name) {
            return self.keyed(fields, desired, live);
        }
        for (at, wanted) in desired.iter().enumerate() {
            let there = live.get(at).unwrap_or(&Value::Null);
            if let Some(found) = self.element(&at.to_string(), wanted, there) {
                return Some(found);
            }
        }
        // Asked for two families and given one, the apiserver adds the second itself.
        let more = live.len() > desired.len() && name != "ipFamilies";
        more.then_some(Found::More)
    }

    fn keyed(&mut self, fields: &[&str], desired: &[Value], live: &[Value]) -> Option<Found> {
        for wanted in desired {
            let key = key(fields, wanted);
            let there = live
                .iter()
                .find(|there| self::key(fields, there) == key)
                .unwrap_or(&Value::Null);
            if let Some(found) = self.element(&key, wanted, there) {
                return Some(found);
            }
        }
        None
    }

    fn element(&mut self, key: &str, desired: &Value, live: &Value) -> Option<Found> {
        let before = self.path.len();
        self.path += &format!("[{key}]");
        let found = self.field("", desired, live);
        if found.is_none() {
            self.path.truncate(before);
        }
        found
    }

    /// Goes one field down and, if there is no difference, up again.
    fn within(&mut self, name: &str, compare: impl FnOnce(&mut Self) -> Option<Found>) -> Option<Found> {
        let before = self.path.len();
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric());
        self.path += &match (plain, before) {
            (true, 0) => name.to_owned(),
            (true, _) => format!(".{name}"),
            (false, _) => format!("[{name}]"),
        };
        let found = compare(self);
        if found.is_none() {
            self.path.truncate(before);
        }
        found
    }
}

/// The fields of an element that it has, joined by `/`.
fn key(fields: &[&str], element: &Value) -> String {
    let parts = fields.iter().filter_map(|field| match element.get(field)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What the apiserver does not store. `false` and 0 are values: where absent means true, they are the difference.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
