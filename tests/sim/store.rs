//! The objects of an API server: versions, watches, and the verbs that the operator uses.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::channel::mpsc::UnboundedSender;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::{self, Applied};
use crate::world::stamp;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub plural: String,
    pub namespace: String,
    pub name: String,
}

pub fn key(plural: &str, namespace: &str, name: &str) -> Key {
    Key {
        plural: plural.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

#[derive(Clone, Debug)]
struct Stored {
    object: Value,
    applied: Applied,
}

/// What happened to an object.
#[derive(Clone, Debug)]
struct Change {
    version: u64,
    key: Key,
    before: Option<Value>,
    after: Option<Value>,
}

/// What a watch is for.
#[derive(Clone, Debug)]
pub struct Interest {
    pub plural: String,
    pub namespace: Option<String>,
    /// A label that an object must have.
    pub label: Option<String>,
}

struct Watch {
    interest: Interest,
    to: UnboundedSender<Bytes>,
    ends: Instant,
}

/// A refusal as the API server words it.
#[derive(Debug)]
pub struct Refused {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

fn refused(code: u16, reason: &'static str, message: impl Into<String>) -> Refused {
    let message = message.into();
    Refused { code, reason, message }
}

fn missing(key: &Key) -> Refused {
    refused(404, "NotFound", format!("{} {:?} not found", key.plural, key.name))
}

/// How a patch is meant.
pub enum Patch<'a> {
    Apply { manager: &'a str, force: bool },
    Merge,
}

/// All objects.
#[derive(Default)]
pub struct Store {
    version: u64,
    objects: BTreeMap<Key, Stored>,
    changes: Vec<Change>,
    watches: Vec<Watch>,
    uids: BTreeMap<Key, u32>,
}

impl Store {
    /// The same objects but for Leases, with nobody who watches them.
    pub fn copy(&self) -> Self {
        let objects = self.objects.clone().into_iter();
        Self {
            version: self.version,
            objects: objects.filter(|(key, _)| key.plural != "leases").collect(),
            uids: self.uids.clone(),
            ..Self::default()
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(|stored| &stored.object)
    }

    pub fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter().map(|(key, stored)| (key, &stored.object))
    }

    pub fn of(&self, plural: &str) -> impl Iterator<Item = (&Key, &Value)> {
        self.all().filter(move |(key, _)| key.plural == plural)
    }

    /// Writes an object as controllers and people do: nobody is asked for a version.
    pub fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let Some(stored) = self.objects.get(key) else { return };
        let mut object = stored.object.clone();
        change(&mut object);
        self.put(key, object, None);
    }

    pub fn create(&mut self, key: &Key, object: Value) -> Result<Value, Refused> {
        if self.objects.contains_key(key) {
            let message = format!("{} {:?} already exists", key.plural, key.name);
            return Err(refused(409, "AlreadyExists", message));
        }
        Ok(self.put(key, object, None))
    }

    /// Replaces the version that was read.
    pub fn replace(&mut self, key: &Key, object: Value) -> Result<Value, Refused> {
        let live = self.get(key).ok_or_else(|| missing(key))?;
        preconditions(live, &object)?;
        Ok(self.put(key, object, None))
    }

    pub fn patch(&mut self, key: &Key, status: bool, how: Patch, body: &Value) -> Result<Value, Refused> {
        let live = self.objects.get(key).cloned();
        let Some(live) = live else {
            return match how {
                Patch::Apply { manager, .. } if !status => {
                    if body["metadata"]["uid"].is_string() {
                        return Err(refused(409, "Conflict", "the object of this UID does not exist"));
                    }
                    let mut applied = Applied::new();
                    let object = apply::apply(
                        &json!({}),
                        &mut applied,
                        &format!("{manager} {status}"),
                        &part(body, status),
                        true,
                    )
                    .map_err(|conflict| refused(409, "Conflict", conflict.0))?;
                    Ok(self.put(key, object, Some(applied)))
                }
                _ => Err(missing(key)),
            };
        };
        preconditions(&live.object, body)?;
        let mut applied = live.applied;
        let ours = part(body, status);
        let object = match how {
            Patch::Apply { manager, force } => {
                apply::apply(&live.object, &mut applied, &format!("{manager} {status}"), &ours, force)
                    .map_err(|conflict| refused(409, "Conflict", format!("conflict at {}", conflict.0)))?
            }
            Patch::Merge => {
                let mut object = live.object;
                apply::merge_patch(&mut object, &ours);
                object
            }
        };
        Ok(self.put(key, object, Some(applied)))
    }

    /// Deletes an object. A pod stays until its kubelet has ended it.
    pub fn delete(&mut self, key: &Key, uid: Option<&str>) -> Result<Value, Refused> {
        let live = self.get(key).ok_or_else(|| missing(key))?.clone();
        if uid.is_some_and(|uid| live["metadata"]["uid"] != *uid) {
            return Err(refused(409, "Conflict", "the UID in the precondition is another"));
        }
        if key.plural == "pods" {
            if live["metadata"]["deletionTimestamp"].is_null() {
                self.edit(key, |pod| pod["metadata"]["deletionTimestamp"] = json!(stamp()));
            }
            return Ok(self.get(key).cloned().unwrap_or_default());
        }
        self.remove(key);
        Ok(live)
    }

    pub fn remove(&mut self, key: &Key) {
        if let Some(gone) = self.objects.remove(key) {
            self.version += 1;
            let mut last = gone.object;
            last["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.changed(key, Some(last), None);
        }
    }

    fn put(&mut self, key: &Key, mut object: Value, applied: Option<Applied>) -> Value {
        let before = self.objects.get(key).cloned();
        let old = before.as_ref().map(|stored| &stored.object);
        object["metadata"]["name"] = json!(key.name);
        object["metadata"]["namespace"] = json!(key.namespace);
        match old {
            Some(old) => {
                for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
                    object["metadata"][field] = old["metadata"][field].clone();
                }
                if object["spec"] != old["spec"] && old["metadata"]["generation"].is_i64() {
                    object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap() + 1);
                }
            }
            None => self.born(key, &mut object),
        }
        let applied = applied.or_else(|| before.as_ref().map(|stored| stored.applied.clone()));
        let applied = applied.unwrap_or_default();
        if old == Some(&object) {
            self.objects.insert(
                key.clone(),
                Stored {
                    object: object.clone(),
                    applied,
                },
            );
            return object;
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let stored = Stored {
            object: object.clone(),
            applied,
        };
        self.objects.insert(key.clone(), stored);
        self.changed(key, before.map(|stored| stored.object), Some(object.clone()));
        object
    }

    fn born(&mut self, key: &Key, object: &mut Value) {
        let nth = self.uids.entry(key.clone()).or_default();
        *nth += 1;
        object["metadata"]["uid"] = json!(format!("{}-{}-{nth}", key.plural, key.name));
        object["metadata"]["creationTimestamp"] = json!(stamp());
        object["metadata"]["generation"] = json!(1);
        if key.plural == "services" && object["spec"]["clusterIP"].is_null() {
            object["spec"]["clusterIP"] = json!(format!("address of {}", key.name));
        }
    }

    fn changed(&mut self, key: &Key, before: Option<Value>, after: Option<Value>) {
        let change = Change {
            version: self.version,
            key: key.clone(),
            before,
            after,
        };
        self.watches.retain(|watch| match event(&watch.interest, &change) {
            Some(line) => watch.to.unbounded_send(line).is_ok(),
            None => !watch.to.is_closed(),
        });
        self.changes.push(change);
    }

    /// Sends all changes after a version, now and later.
    pub fn watch(&mut self, interest: Interest, after: u64, to: UnboundedSender<Bytes>, ends: Instant) {
        let past = self.changes.iter().filter(|change| change.version > after);
        for line in past.filter_map(|change| event(&interest, change)) {
            let _ = to.unbounded_send(line);
        }
        self.watches.push(Watch { interest, to, ends });
    }

    /// Ends the watches whose time is over.
    pub fn end_watches(&mut self) {
        let now = Instant::now();
        self.watches.retain(|watch| now < watch.ends && !watch.to.is_closed());
    }

    pub fn list(&self, interest: &Interest) -> Vec<&Value> {
        let wanted = |(key, object): &(&Key, &Value)| interest.meets(key, object);
        self.all().filter(wanted).map(|(_, object)| object).collect()
    }
}

impl Interest {
    fn meets(&self, key: &Key, object: &Value) -> bool {
        key.plural == self.plural
            && self
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == key.namespace)
            && self
                .label
                .as_ref()
                .is_none_or(|label| object["metadata"]["labels"][label].is_string())
    }
}

fn event(interest: &Interest, change: &Change) -> Option<Bytes> {
    let meets = |object: &Option<Value>| {
        object
            .as_ref()
            .is_some_and(|object| interest.meets(&change.key, object))
    };
    let (kind, object) = match (meets(&change.before), meets(&change.after)) {
        (false, true) => ("ADDED", &change.after),
        (true, true) => ("MODIFIED", &change.after),
        (true, false) => ("DELETED", &change.before),
        (false, false) => return None,
    };
    let mut object = object.clone()?;
    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
    let mut line = serde_json::to_vec(&json!({"type": kind, "object": object})).unwrap();
    line.push(b'\n');
    Some(line.into())
}

/// A version or a UID in what is sent must be that of the object.
fn preconditions(live: &Value, body: &Value) -> Result<(), Refused> {
    for field in ["resourceVersion", "uid"] {
        let sent = &body["metadata"][field];
        if sent.is_string() && *sent != live["metadata"][field] {
            return Err(refused(
                409,
                "Conflict",
                format!("the object has been modified: another {field}"),
            ));
        }
    }
    Ok(())
}

/// What a write may change: status by its own path, all else by the object's.
fn part(body: &Value, status: bool) -> Value {
    let fields = body.as_object().into_iter().flatten();
    let mut part = json!({});
    for (name, value) in fields.filter(|(name, _)| (*name == "status") == status) {
        part[name] = value.clone();
    }
    if let Some(metadata) = part.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !matches!(field.as_str(), "uid" | "resourceVersion" | "name" | "namespace"));
    }
    part
}
