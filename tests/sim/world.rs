//! The world around the operator: an API server, what Kubernetes does by itself, the Redis processes, an application.
//!
//! It moves in ticks of virtual time and is one value behind one lock; the operator runs in it in one life after the
//! other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use redis_operator::model::redis::NOWHERE;
use redis_operator::redis::clock;

use crate::application::Application;
use crate::effects::Effects;
use crate::kubernetes::Sandbox;
use crate::redis::{Process, Write};
use crate::store::Store;
use crate::wire::Wire;

/// Namespace of the set.
pub const NAMESPACE: &str = "shop";
/// Name of the set.
pub const SET: &str = "cache";
/// How finely the world moves.
pub const TICK: Duration = Duration::from_millis(50);

/// Everything there is.
#[derive(Default)]
pub struct World {
    pub store: Store,
    pub sandboxes: BTreeMap<String, Sandbox>,
    /// What is on the volume of a pod's name while no process has it.
    pub volumes: BTreeMap<String, Vec<Write>>,
    /// Processes by address.
    pub redis: BTreeMap<String, Process>,
    pub application: Application,
    pub wires: BTreeMap<u64, Wire>,
    pub connections: u64,
    pub addresses: u32,
    pub effects: Effects,
    /// What must never be and was.
    pub broken: Vec<String>,
    /// Version of the objects that controllers and kubelets have seen.
    pub seen: u64,
    serial: u64,
    life: u64,
    alive: bool,
}

/// Whole seconds, as Kubernetes writes them.
pub fn stamp() -> Timestamp {
    Timestamp::from_second(clock::now().as_second()).expect("a time of today")
}

impl World {
    /// The same cluster without the operator.
    pub fn copy(&self) -> Self {
        let mut redis = self.redis.clone();
        redis.values_mut().for_each(|process| process.clients.clear());
        Self {
            store: self.store.copy(),
            sandboxes: self.sandboxes.clone(),
            volumes: self.volumes.clone(),
            redis,
            application: self.application.reconnected(),
            connections: self.connections,
            addresses: self.addresses,
            serial: self.serial,
            life: self.life,
            ..Self::default()
        }
    }

    pub fn fresh(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}{}", self.serial)
    }

    /// Begins another life of the operator.
    pub fn begin_life(&mut self) -> u64 {
        self.life += 1;
        self.alive = true;
        self.life
    }

    /// Whether a life of the operator goes on.
    pub fn lives(&self, life: u64) -> bool {
        self.alive && life == self.life
    }

    pub fn is_crashed(&self) -> bool {
        !self.alive
    }

    /// The operator's process ends between two of its instructions.
    pub fn crash(&mut self) {
        self.alive = false;
        self.drop_life(self.life);
    }

    pub fn tick(&mut self) {
        self.store.end_watches();
        self.kubernetes();
        self.replicate();
        self.application();
        let takers: Vec<&str> = self
            .redis
            .values()
            .filter(|p| p.takes_writes())
            .map(|p| p.pod.as_str())
            .collect();
        if takers.len() > 1 {
            let sentence = format!("{} take writes at once", takers.join(" and "));
            self.broken.push(sentence);
        }
    }

    /// Name of the pod at an address.
    pub fn pod_at(&self, ip: &str) -> String {
        let mut sandboxes = self.sandboxes.iter();
        let found = sandboxes
            .find(|(_, sandbox)| sandbox.ip == ip)
            .map(|(pod, _)| pod.clone());
        found.unwrap_or_else(|| {
            if ip == NOWHERE.0 {
                "nowhere".into()
            } else {
                ip.to_owned()
            }
        })
    }

    /// What a command changes, in words without secrets; nothing if it only asks.
    pub fn effect_of(&self, words: &[String]) -> Option<String> {
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        Some(match (word(0), word(1)) {
            ("REPLICAOF", "NO") => "REPLICAOF NO ONE".into(),
            ("REPLICAOF", ip) => format!("REPLICAOF {}", self.pod_at(ip)),
            ("CONFIG", "SET") => {
                let pair = |pair: &[String]| match pair[0].as_str() {
                    "masterauth" => "masterauth".to_owned(),
                    _ => format!("{}={}", pair[0], pair[1]),
                };
                let pairs: Vec<String> = words[2..].chunks_exact(2).map(pair).collect();
                format!("CONFIG SET {}", pairs.join(" "))
            }
            ("ACL", "SETUSER" | "DELUSER") | ("CLIENT", "KILL") => format!("{} {} {}", word(0), word(1), word(2)),
            _ => return None,
        })
    }
}

/// The world, shared by everybody in it.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<World>>);

impl Sim {
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("nobody panics with the world in hand")
    }
}
