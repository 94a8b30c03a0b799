//! What happens to a set.

use std::time::Duration;

use kube::ResourceExt as _;
use redis_operator::api::{RedisReplicaSet, RedisReplicaSetSpec};
use redis_operator::names::{self, annotation};
use serde_json::{Value, json};

use crate::effects::{Fault, Kind};
use crate::end::{differences, exchanged};
use crate::store::{Key, key};
use crate::world::{NAMESPACE, SET, World};

/// Which writes must be there at the end.
#[derive(Clone, Copy, PartialEq)]
pub enum Keeps {
    /// All that were answered.
    Answered,
    /// Those that were confirmed by `status.quorum.wait` replicas.
    Confirmed,
}

/// What happens to a set, and what may come of it.
pub struct Scenario {
    pub name: &'static str,
    /// What happens, one after the other, each when the set has taken in the one before.
    pub acts: &'static [fn(&mut World)],
    pub keeps: Keeps,
    /// Two pods that are alike before it: which of them ends in which place may depend on the fault.
    pub alike: Option<(&'static str, &'static str)>,
    /// Texts that say the same of it: which one status has at the end may depend on the fault.
    pub same: &'static [&'static str],
    /// Effects that may still be seen at the end when they come late, and where.
    pub late: &'static [(&'static str, &'static str)],
    /// How long the operator may take to see it.
    pub unseen: Duration,
    /// Faults that `cargo test` tries; `make sim` tries all.
    pub always: &'static [Kind],
}

const PLAIN: Scenario = Scenario {
    name: "",
    acts: &[],
    keeps: Keeps::Answered,
    alike: None,
    same: &[],
    late: &[],
    unseen: Duration::ZERO,
    always: &[],
};

/// A set that was just created.
pub const FOUND: Scenario = Scenario {
    name: "Found",
    acts: &[create],
    // What is not there has no version that a create could name (docs/decisions/creating-objects.md): a create that comes
    // late writes over what was made since, and is put back at once.
    late: &[(
        "PATCH services/cache as redis-operator/vip #1",
        "/objects/services cache/metadata/generation",
    )],
    always: &[Kind::CrashAfter],
    ..PLAIN
};

const REPLICAS: Option<(&str, &str)> = Some(("cache-1", "cache-2"));

/// Those that happen to a set which is ready.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "Kill",
        acts: &[|world| world.kill("cache-0")],
        keeps: Keeps::Confirmed,
        alike: REPLICAS,
        // An operator that comes too late to see the port refuse sees the next process.
        same: &["ProcessDied (ConnectionRefused)", "Restarted (ProcessReplaced)"],
        always: &Kind::ALL,
        ..PLAIN
    },
    Scenario {
        name: "AwaitReturn",
        acts: &[
            |world| {
                world.store.edit(&set(), |set| {
                    set["spec"]["persistence"] = json!({"appendFsync": "always"});
                    set["spec"]["failover"] = json!({"awaitReturn": "30s"});
                });
            },
            |world| world.kill("cache-0"),
        ],
        alike: REPLICAS,
        // As for Kill.
        same: &["Restarted (ConnectionRefused)", "Restarted (ProcessReplaced)"],
        ..PLAIN
    },
    Scenario {
        name: "DeleteMaster",
        acts: &[|world| drop(world.store.delete(&key("pods", NAMESPACE, "cache-0"), None))],
        alike: REPLICAS,
        ..PLAIN
    },
    Scenario {
        name: "Cordon",
        acts: &[|world| {
            let node = json!({"metadata": {"name": "node-0"}, "spec": {"unschedulable": true}});
            let created = world.store.create(&key("nodes", "", "node-0"), node);
            created.expect("there was none");
        }],
        alike: REPLICAS,
        ..PLAIN
    },
    Scenario {
        name: "Switchover",
        acts: &[|world| {
            world.store.edit(&set(), |set| {
                set["metadata"]["annotations"] = json!({format!("{}switchover", annotation::REQUESTS): "any@1"});
            });
        }],
        alike: REPLICAS,
        ..PLAIN
    },
    Scenario {
        name: "Scale",
        acts: &[
            |world| spec(world, "replicas", json!(3)),
            |world| spec(world, "replicas", json!(1)),
        ],
        ..PLAIN
    },
    Scenario {
        name: "Config",
        acts: &[|world| spec(world, "config", json!({"maxmemory-policy": "allkeys-lru"}))],
        ..PLAIN
    },
    Scenario {
        name: "Roll",
        acts: &[|world| spec(world, "config", json!({IMMUTABLE: "2"}))],
        alike: REPLICAS,
        ..PLAIN
    },
    Scenario {
        name: "Password",
        acts: &[|world| {
            world
                .store
                .edit(&key("secrets", NAMESPACE, &names::app_secret(SET)), |secret| {
                    secret["data"][names::app_key::PASSWORD] = json!(k8s_openapi::ByteString(b"another".to_vec()));
                });
        }],
        unseen: Duration::from_secs(60),
        ..PLAIN
    },
];

/// A directive that only a restart changes.
pub const IMMUTABLE: &str = "io-threads";

fn spec(world: &mut World, field: &str, value: Value) {
    world.store.edit(&set(), |set| set["spec"][field] = value);
}

impl Scenario {
    /// Where an end differs from that of the run without fault in a way that is not allowed.
    pub fn deviations(&self, want: &Value, end: &Value, fault: Option<&Fault>) -> Vec<String> {
        let found = differences(want, end);
        if found.is_empty() {
            return found;
        }
        let (want, end) = (self.with_one_text(want), self.with_one_text(end));
        if self
            .alike
            .is_some_and(|(one, other)| differences(&want, &exchanged(&end, one, other)).is_empty())
        {
            return Vec::new();
        }
        let mut found = differences(&want, &end);
        found.retain(|deviation| !fault.is_some_and(|fault| self.allows(fault, deviation)));
        found
    }

    fn allows(&self, fault: &Fault, deviation: &str) -> bool {
        let late = fault.kind == Kind::Delay;
        let of_fault = self
            .late
            .iter()
            .filter(|(effect, _)| late && fault.effect.to_string() == *effect);
        of_fault.into_iter().any(|(_, path)| deviation.starts_with(path))
    }

    /// An end with the first of the texts that say the same, and without the proofs that they name.
    fn with_one_text(&self, end: &Value) -> Value {
        let Some((first, others)) = self.same.split_first() else {
            return end.clone();
        };
        let mut text = others
            .iter()
            .fold(end.to_string(), |text, other| text.replace(other, first));
        for word in self
            .same
            .iter()
            .flat_map(|same| same.split(['(', ')', ' ']))
            .filter(|word| !word.is_empty())
        {
            text = text.replace(&format!("\"{word}\""), "\"same\"");
        }
        serde_json::from_str(&text).expect("only words inside strings were replaced")
    }

    /// Whether it begins without a set.
    pub fn founds(&self) -> bool {
        self.name == FOUND.name
    }
}

pub fn set() -> Key {
    key("redisreplicasets", NAMESPACE, SET)
}

fn create(world: &mut World) {
    let set = RedisReplicaSet::new(SET, RedisReplicaSetSpec::new("redis:8.2"));
    let name = set.name_any();
    let mut object = serde_json::to_value(set).expect("a set is JSON");
    object["metadata"] = json!({"name": name});
    let created = world.store.create(&self::set(), object);
    created.expect("there was none");
}
