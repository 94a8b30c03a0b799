//! A world as a line of text.
//!
//! ```text
//! set epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5; 1 attached; 2 fenced same
//! ```
//! The first part is spec and status, the others are ordinals with what their pods do; `s-0` is pod 0. What is not named
//! is as in a set at rest: pods fenced, with a volume, known to status, an hour old.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::SignedDuration;

use super::world::redis::{Link, Role};
use super::world::{Pod, Reach, SET, World};
use crate::api::status::{
    Elector, Fenced, HighWaterMark, History, Identity, Operation, OperationKind, OperationReason, Quorum,
};
use crate::model::observed::{AppSecret, Trouble};
use crate::names;

/// Words of one part, and their values.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self(
            text.split_whitespace()
                .map(|w| w.split_once('=').unwrap_or((w, "")))
                .collect(),
        )
    }

    fn get(&self, word: &str) -> Option<&'a str> {
        self.0.iter().find(|(w, _)| *w == word).map(|(_, value)| *value)
    }

    fn has(&self, word: &str) -> bool {
        self.get(word).is_some()
    }

    fn number(&self, word: &str) -> Option<i64> {
        self.get(word).map(|value| value.parse().unwrap())
    }

    /// A word that is not in the list is a mistake in a test.
    fn only(self, known: &str) -> Self {
        for (word, _) in &self.0 {
            assert!(
                known.split_whitespace().any(|k| k == *word),
                "{word:?} means nothing in a world"
            );
        }
        self
    }
}

/// Stream offset of everybody who holds the set's lineage.
const OFFSET: u64 = 100;

/// The world that a text describes.
pub fn world(text: &str) -> World {
    let mut parts = text.split(';').map(str::trim);
    let set = Words::of(parts.next().unwrap())
        .only("set replicas sts epoch master op k min had paused deleting degraded for nobody podgone complete");
    let mut world = World::new(set.number("replicas").unwrap_or(2) as i32);
    world.created = world.now - SignedDuration::from_hours(1);
    world.app = AppSecret::Present {
        sha256: "ab".repeat(32),
    };
    world.internal = World::credentials(world.acl());
    let members: Vec<(usize, Words)> = parts
        .map(|part| {
            let (ordinal, words) = part.split_once(' ').unwrap_or((part, ""));
            let known = "nopod noclaim fenced armed bare stray attached syncing linkdown loading keys same offset silent \
                 rejected reset dead pending deleting age mark old newvolume newpod learner entered out aside version user notes";
            (ordinal.parse().unwrap(), Words::of(words).only(known))
        })
        .collect();
    let master = set.number("master").map(|m| m as usize);
    status(&mut world, &set, master, &members);
    let pods = set.number("sts").map_or(1 + world.cluster.spec.replicas, |n| n as i32);
    world.build_objects(pods as u32);
    for (ordinal, words) in &members {
        member(&mut world, *ordinal, words, master);
    }
    links(&mut world, &members, master);
    entries(&mut world, &members);
    world.probe_all(&Default::default());
    for (ordinal, words) in &members {
        cut(&mut world, *ordinal, words);
    }
    // A look at the master is younger than the end of a replica.
    world.probe_all(&Default::default());
    world.cluster.spec.paused = set.has("paused");
    world.deleting = set.has("deleting");
    world
}

fn status(world: &mut World, set: &Words, master: Option<usize>, members: &[(usize, Words)]) {
    let aside = members.iter().filter(|(_, words)| words.has("aside"));
    world.status.fenced = aside
        .map(|(ordinal, _)| Fenced {
            name: names::pod(SET, *ordinal as u32),
            request: "r".into(),
            since: Time(world.now),
        })
        .collect();
    let identity = |ordinal: usize| Identity {
        name: names::pod(SET, ordinal as u32),
        uid: format!("p{ordinal}"),
        volume: format!("v{ordinal}"),
    };
    let status = &mut world.status;
    status.epoch = set.number("epoch");
    let epoch = status.epoch.unwrap_or(0);
    status.master = master.map(identity);
    let target = crate::decide::min_target(1 + world.cluster.spec.replicas as usize);
    let wait = set.number("k").map_or(
        crate::decide::wait_target(1 + world.cluster.spec.replicas as usize),
        |k| k as i32,
    );
    let min = set.number("min").map_or(target, |m| m as i32);
    if let Some(master) = master {
        status.quorum = Some(Quorum {
            wait,
            min_replicas_to_write: min,
            degraded: min < target || set.has("degraded"),
        });
        status.histories = vec![History {
            replid: "line".into(),
            began: 1,
            epoch,
        }];
        let known = members.iter().filter(|(_, words)| !words.has("out"));
        status.electors = known
            .map(|(ordinal, words)| {
                let Identity { name, uid, volume } = identity(*ordinal);
                Elector {
                    name,
                    uid,
                    volume,
                    learner: words.has("learner"),
                    entered_with: None,
                }
            })
            .collect();
        let started_at = MicroTime(world.now - SignedDuration::from_secs(set.number("for").unwrap_or(0)));
        status.operation = set.get("op").map(|kind| Operation {
            kind: if kind == "Bootstrap" {
                OperationKind::Bootstrap
            } else {
                OperationKind::Grant
            },
            from: None,
            request_id: None,
            verdict: None,
            to: identity(master).name,
            source: None,
            epoch,
            // The master's pod was made anew, and its old process may live on.
            reason: if set.has("podgone") {
                OperationReason::PodGone
            } else {
                OperationReason::New
            },
            started_at,
        });
    }
    status.high_water_mark = set.number("had").map(|keys| HighWaterMark {
        epoch,
        replid: "line".into(),
        offset: OFFSET as i64,
        keys,
        at: Time(world.now),
        file_complete: set.has("complete"),
    });
}

fn member(world: &mut World, ordinal: usize, words: &Words, master: Option<usize>) {
    let data: Vec<u32> = (1..=words.number("keys").unwrap_or(0) as u32).collect();
    if !words.has("noclaim") {
        let created = world.created - SignedDuration::from_secs(i64::from(words.has("old")));
        let claim = world.claim(ordinal);
        claim.uid = format!("v{ordinal}{}", if words.has("newvolume") { "-new" } else { "" });
        (claim.created, claim.disk, claim.synced) = (created, data.clone(), data.len());
        if let Some((epoch, role)) = words.get("mark").map(|m| m.split_once('/').unwrap()) {
            (claim.epoch, claim.role) = (Some(epoch.parse().unwrap()), Some(role.into()));
        }
    }
    if words.has("nopod") {
        return;
    }
    let set = world.stateful_set().unwrap();
    let uid = format!("p{ordinal}{}", if words.has("newpod") { "-new" } else { "" });
    let mut pod = Pod::new(ordinal, uid, format!("10.0.0.{ordinal}"), world.now);
    pod.revision = crate::build::pod::revision(&world.cluster, world.cluster.core()).ok();
    pod.config_revision = set.config_map.map(|name| name.rsplit('-').next().unwrap().to_owned());
    pod.deleting = words.has("deleting");
    if words.has("pending") {
        pod.trouble = Some(Trouble::Unschedulable("0/3 nodes are available".into()));
    }
    pod.node = Some(format!("node-{ordinal}")).filter(|_| !words.has("pending"));
    world.slot(ordinal).pod = Some(pod);
    if words.has("pending") {
        return;
    }
    let data_was = world.slots[ordinal].claim.clone();
    world.start(ordinal, 3 * u32::from(words.has("loading")));
    world.slots[ordinal].claim = data_was;
    let started = world.now - SignedDuration::from_secs(words.number("age").unwrap_or(3600));
    let parent = master.map_or(String::new(), |m| format!("10.0.0.{m}"));
    let pod = world.pod_mut(ordinal).unwrap();
    pod.started = Some(started);
    let redis = pod.redis.as_mut().unwrap();
    redis.data = data;
    let follows = |link| Role::Follows {
        ip: parent.clone(),
        link,
    };
    let role = [
        ("attached", follows(Link::Up(0))),
        ("syncing", follows(Link::Syncing(9))),
        ("linkdown", follows(Link::Down)),
        ("bare", Role::Master),
        (
            "stray",
            Role::Follows {
                ip: "10.9.9.9".into(),
                link: Link::Up(0),
            },
        ),
        ("armed", Role::Master),
    ];
    redis.role = role
        .into_iter()
        .find(|(word, _)| words.has(word))
        .map_or(Role::Fenced, |(_, role)| role);
    if let Some(min) = words.number("armed") {
        redis.min = min as u32;
    }
    if ["attached", "same", "armed", "bare"].iter().any(|word| words.has(word)) {
        (redis.replid, redis.offset) = ("line".into(), OFFSET);
    }
    redis.offset = words.number("offset").map_or(redis.offset, |offset| offset as u64);
    if let Some((major, minor)) = words.get("version").map(|v| v.split_once('.').unwrap()) {
        redis.version = (major.parse().unwrap(), minor.parse().unwrap());
    }
}

/// With the id that it has now whoever is said to have entered did.
fn entries(world: &mut World, members: &[(usize, Words)]) {
    for (ordinal, _) in members.iter().filter(|(_, words)| words.has("entered")) {
        let id = world.redis(*ordinal).map(|redis| redis.replid.clone());
        let name = names::pod(SET, *ordinal as u32);
        let mut electors = world.status.electors.iter_mut();
        let elector = electors.find(|e| e.name == name).unwrap();
        (elector.learner, elector.entered_with) = (true, id);
    }
}

/// The link users that the pods' words ask for, on the master.
fn links(world: &mut World, members: &[(usize, Words)], master: Option<usize>) {
    for (ordinal, words) in members {
        let linked = ["attached", "syncing", "linkdown", "user"]
            .iter()
            .any(|word| words.has(word));
        if let Some(parent) = master
            .and_then(|m| world.pod_mut(m))
            .and_then(|p| p.redis.as_mut())
            .filter(|_| linked)
        {
            parent.links.insert(names::pod(SET, *ordinal as u32), "secret".into());
        }
    }
}

/// What befell a pod after the operator had looked at it.
fn cut(world: &mut World, ordinal: usize, words: &Words) {
    if words.has("dead") {
        world.kill(ordinal, false);
        world.pod_mut(ordinal).unwrap().starts_in = None;
    }
    let reach = [
        ("silent", Reach::Peers),
        ("rejected", Reach::Rejected),
        ("reset", Reach::Reset),
    ];
    let Some((_, reach)) = reach.into_iter().find(|(word, _)| words.has(word)) else {
        return world.probe(ordinal);
    };
    world.pod_mut(ordinal).unwrap().reach = reach;
    world.probe(ordinal);
}
