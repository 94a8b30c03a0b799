//! What the operator sees: a state as the [`Observed`] that is decided upon, and a plan's steps as the model does them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::state::{
    Act, Age, Line, Link, Look, Member, Operation, Pod, Process, Reach, Role, Seat, State, Status, Uid,
};
use crate::api::status::{
    Elector, HighWaterMark, History, Identity, Operation as Recorded, OperationKind, PendingFence, Proof, Quorum,
    RedisReplicaSetStatus, Verdict,
};
use crate::api::{AppendFsync, Period, Priority, RedisReplicaSetSpec};
use crate::model::cluster::Cluster;
use crate::model::observed::{
    AppSecret, ClaimFacts, Credentials, InternalSecret, Live, Member as SeenMember, ObjectId, Observed, PodFacts,
    StatefulSetFacts, Trouble,
};
use crate::model::plan::{Authority, Step, Target};
use crate::model::redis::{
    Aof, Backlog, ConnectedReplica, Engine, Facts, Link as SeenLink, NOWHERE, ProbeError, ReplicaLink, Seen, UNARMED,
    Version,
};
use crate::model::secret::Secret;
use crate::names;

const SET: &str = "s";

/// The moment of every decision.
pub static NOW: LazyLock<Timestamp> = LazyLock::new(|| Timestamp::from_second(1_800_000_000).unwrap());

/// A moment so long ago. What happened just now is older than the look that shows it.
fn ago(age: Age) -> Timestamp {
    *NOW - match age {
        Age::Now => SignedDuration::from_millis(50),
        Age::Step => SignedDuration::from_millis(2550),
        Age::Long => SignedDuration::from_hours(1),
    }
}

/// The set as spec has it.
pub fn cluster(wanted: u8, awaits: bool, never: Option<u8>) -> Cluster {
    let mut spec = RedisReplicaSetSpec::new("redis:8.2");
    spec.replicas = i32::from(wanted) - 1;
    spec.failover.priorities = never.map(never_master).into_iter().collect();
    if awaits {
        spec.persistence.append_fsync = AppendFsync::Always;
        spec.failover.await_return = Period::seconds(10);
    }
    Cluster {
        name: SET.into(),
        namespace: "ns".into(),
        uid: "set-uid".into(),
        generation: 1,
        spec,
    }
}

fn never_master(pod: u8) -> Priority {
    Priority {
        node: Some(node(pod)),
        ..Priority::default()
    }
}

fn node(pod: u8) -> String {
    format!("node-{pod}")
}

/// What is seen now: each pod as of now, but for those whose last look is older.
pub fn observe(state: &State) -> Observed {
    let master = names::pod(SET, state.status.master.uid.name.into());
    let object = |kind| ObjectId { kind, name: SET.into() };
    // The VIP follows at once: what it leads to makes nobody a master.
    let vip = json!({
        "metadata": {"annotations": {names::annotation::EPOCH: state.status.epoch.to_string()}},
        "spec": {"selector": {names::label::POD_NAME: master}},
    });
    let detached = state.pods.iter().filter_map(|pod| {
        let (run, age) = pod.watch.detached?;
        Some((run_id(pod.uid.name, run), ago(age)))
    });
    let stateful_set = StatefulSetFacts {
        replicas: i32::try_from(state.pods.len()).unwrap(),
        ..StatefulSetFacts::default()
    };
    Observed {
        status: status(state),
        deleting: false,
        created: None,
        members: state
            .pods
            .iter()
            .enumerate()
            .map(|(at, pod)| member(state, at, pod))
            .collect(),
        spare: Vec::new(),
        objects: BTreeMap::from([(object("Service"), Live::Ours(vip))]),
        stateful_sets: BTreeMap::from([(names::CORE_TIER.to_owned(), stateful_set)]),
        internal: InternalSecret::Present(Credentials {
            operator: Secret::new(*b"operator"),
            probe: Secret::new(*b"probe"),
            link_key: Secret::new(*b"link"),
            acl: String::new(),
        }),
        app: AppSecret::Absent,
        vip_pods: BTreeSet::from([master]),
        refused: BTreeMap::new(),
        attached: BTreeMap::new(),
        detached: detached.collect(),
        followed: BTreeMap::new(),
        mute: state.pods.iter().filter(|p| is_mute(p)).map(mute).collect(),
        draining: BTreeMap::new(),
        cut_off: BTreeMap::new(),
        rerouted: None,
        demoted: None,
        sees_nodes: true,
        marks: BTreeMap::new(),
        requests: BTreeMap::new(),
        failures: Vec::new(),
    }
}

/// Whether nothing answers at its address, not even with a refusal.
fn is_mute(pod: &Pod) -> bool {
    pod.started && !pod.answers() && !pod.operator_reaches() && pod.reach != Reach::Reset
}

fn mute(pod: &Pod) -> (String, Timestamp) {
    (uid(pod.uid), ago(pod.watch.silent))
}

fn member(state: &State, at: usize, pod: &Pod) -> SeenMember {
    let running = pod.redis.is_some();
    let ended = pod.started && !running;
    SeenMember {
        name: names::pod(SET, pod.uid.name.into()),
        tier: names::CORE_TIER.to_owned(),
        ordinal: pod.uid.name.into(),
        pod: Some(PodFacts {
            uid: uid(pod.uid),
            ip: pod.started.then(|| ip(pod.uid)),
            node: Some(node(pod.uid.name)),
            deleting: pod.deleting,
            started: running.then(|| ago(Age::Long)),
            // The kubelet of a node that is cut off can not tell.
            terminated: ended && pod.reach != Reach::Apart,
            trouble: ended.then(|| Trouble::Terminated("exit code 137".into())),
            ..PodFacts::default()
        }),
        claim: Some(ClaimFacts {
            uid: volume(pod.member()),
            bound: true,
            ..ClaimFacts::default()
        }),
        redis: seen(state, at, pod),
    }
}

fn seen(state: &State, at: usize, pod: &Pod) -> Seen {
    let unknown = |error, eof| Seen::Unknown {
        since: ago(pod.watch.silent),
        error,
        eof,
        last: None,
        offsets: Arc::default(),
    };
    if !pod.watch.asked || !pod.started {
        return unknown(ProbeError::NotAsked, false);
    }
    if !pod.answers() {
        let closed = matches!(pod.reach, Reach::Reset) || pod.operator_reaches();
        return if closed {
            unknown(ProbeError::Refused, pod.watch.held)
        } else {
            unknown(ProbeError::Timeout, false)
        };
    }
    // The master is looked at before the others, as an attach does, and old looks are older than all new ones.
    let (age, look) = match &pod.watch.old {
        Some(old) => (500, (**old).clone()),
        None => (
            if pod.member() == state.status.master { 20 } else { 10 },
            look(state, at),
        ),
    };
    Seen::Answers {
        facts: Arc::new(facts(pod.uid.name, look, *NOW - SignedDuration::from_millis(age))),
        offsets: Arc::default(),
    }
}

/// A look at a process as it is now.
pub fn look(state: &State, at: usize) -> Look {
    let redis = state.redis(at).expect("only a process that runs is looked at");
    let mut replicas: Vec<_> = redis.good.iter().map(|(uid, _)| (uid.name, true)).collect();
    for (child, pod) in state.all().enumerate() {
        let heard = match state.follows(child, at) {
            Some(Link::Up(age)) => age == Age::Now,
            Some(Link::Syncing) => true,
            Some(Link::Down) | None => continue,
        };
        if !replicas.iter().any(|(name, _)| *name == pod.uid.name) {
            replicas.push((pod.uid.name, !heard));
        }
    }
    Look {
        run: redis.run,
        role: redis.role,
        min: redis.min,
        line: redis.line,
        before: redis.before,
        offset: redis.offset,
        keys: u8::try_from(redis.data.count_ones()).unwrap(),
        rewrites: redis.rewrites,
        links: redis.links,
        replicas,
    }
}

fn facts(name: u8, look: Look, at: Timestamp) -> Facts {
    let link = |host: String, port, link: Link| {
        SeenLink::Replica(ReplicaLink {
            host,
            port,
            up: matches!(link, Link::Up(_)),
            syncing: link == Link::Syncing,
            sync_left_bytes: None,
            sync_total_bytes: None,
            last_io_seconds: match link {
                Link::Up(Age::Now) => Some(0),
                Link::Up(Age::Step) => Some(2),
                Link::Up(Age::Long) => Some(5),
                Link::Syncing | Link::Down => None,
            },
        })
    };
    let replica = |(name, silent): &(u8, bool)| ConnectedReplica {
        ip: names::dns(SET, "ns", &names::pod(SET, (*name).into())),
        port: names::REDIS_PORT,
        state: "online".into(),
        offset: 0,
        lag: if *silent { 3 } else { 0 },
    };
    let allowed = look.links.iter().zip(0..).filter(|(run, _)| run.is_some());
    Facts {
        asked_at: at,
        answered_at: at,
        run_id: run_id(name, look.run),
        engine: Engine::Redis,
        version: Version {
            major: 8,
            minor: 2,
            patch: 0,
        },
        announced: names::dns(SET, "ns", &names::pod(SET, name.into())),
        min_replicas_to_write: look.min.map_or(UNARMED, u32::from),
        serve_stale: matches!(look.role, Role::Follows { .. }),
        loading: None,
        link: match look.role {
            Role::Master => SeenLink::Master,
            Role::Fenced => link(NOWHERE.0.to_owned(), NOWHERE.1, Link::Down),
            Role::Follows { parent, link: state } => link(ip(parent), names::REDIS_PORT, state),
        },
        replid: replid(look.line),
        replid2: look.before.map(|(line, _)| replid(line)),
        offset: look.offset.into(),
        second_offset: look.before.map(|(_, end)| end.into()),
        backlog: Some(Backlog { from: 1, full: false }),
        replicas: look.replicas.iter().map(replica).collect(),
        aof: Aof {
            enabled: true,
            rewrite_in_progress: look.rewrites,
            rewrite_scheduled: false,
            write_ok: true,
            rewrite_ok: true,
            delayed_fsync: Some(0),
        },
        bgsave_in_progress: false,
        keys: look.keys.into(),
        used_memory: 1,
        maxmemory: 0,
        sync_full: 0,
        sync_partial_ok: 0,
        sync_partial_err: 0,
        refused_writes: 0,
        link_users: allowed
            .map(|(_, child)| names::link_user(&names::pod(SET, child)))
            .collect(),
        app: None,
        managed: BTreeMap::new(),
    }
}

fn status(state: &State) -> RedisReplicaSetStatus {
    let status = &state.status;
    let elector = |seat: &Seat| {
        let Identity { name, uid, volume } = identity(seat.member);
        Elector {
            name,
            uid,
            volume,
            learner: seat.learner,
            entered_with: seat.entered_with.map(replid),
        }
    };
    let history = |(line, began, epoch): &(Line, u8, u8)| History {
        replid: replid(*line),
        began: (*began).into(),
        epoch: (*epoch).into(),
    };
    let operation = |o: &Operation| Recorded {
        kind: o.kind,
        from: None,
        to: o.to.map_or_else(String::new, |to| names::pod(SET, to.into())),
        source: o.source.map(|source| names::pod(SET, source.into())),
        epoch: o.epoch.into(),
        reason: o.reason,
        request_id: None,
        started_at: MicroTime(ago(o.started)),
        verdict: (o.awaited || o.source.is_some()).then(|| Verdict {
            proof: Proof::ContainerTerminated,
            ..Verdict::default()
        }),
    };
    let fence = |(to, epoch): &(Uid, u8)| PendingFence {
        name: names::pod(SET, to.name.into()),
        uid: uid(*to),
        epoch: (*epoch).into(),
        since: Time(ago(Age::Long)),
    };
    RedisReplicaSetStatus {
        observed_generation: Some(1),
        epoch: Some(status.epoch.into()),
        master: Some(identity(status.master)),
        electors: status.electors.iter().map(elector).collect(),
        quorum: Some(Quorum {
            wait: status.wait.into(),
            min_replicas_to_write: status.min.into(),
            degraded: status.degraded,
        }),
        histories: status.histories.iter().map(history).collect(),
        operation: status.operation.as_ref().map(operation),
        pending_fences: status.fences.iter().map(fence).collect(),
        high_water_mark: (status.had_keys || status.complete > 0).then(|| HighWaterMark {
            epoch: status.complete.into(),
            replid: String::new(),
            offset: 0,
            keys: status.had_keys.into(),
            at: Time(ago(Age::Long)),
            file_complete: status.complete > 0,
        }),
        ..RedisReplicaSetStatus::default()
    }
}

/// A step as the model does it; none for what changes nothing here.
pub fn act(step: &Step) -> Option<Act> {
    Some(match step {
        Step::Record { authority, .. } => Act::Record(Box::new(recorded(authority))),
        Step::Bare { to } => Act::Bare(process(to)),
        Step::Arm { to, min, .. } => Act::Arm(process(to), u8::try_from(*min).unwrap()),
        Step::Fence { to } => Act::Fence(process(to)),
        Step::Attach { child, parent, .. } => Act::Attach {
            child: process(child),
            parent: process(parent),
        },
        Step::LockOut { parent, child } => Act::LockOut {
            parent: process(parent),
            child: ordinal(child),
        },
        // They only look.
        Step::Drain { .. } | Step::CatchUp { .. } | Step::ComeAlong { .. } => return None,
        other => panic!("no step of roles: {other:?}"),
    })
}

fn recorded(authority: &Authority) -> Status {
    let quorum = authority.quorum.unwrap();
    let small = |n: i64| u8::try_from(n).unwrap();
    let mut electors: Vec<_> = authority
        .electors
        .iter()
        .map(|e| Seat {
            member: read_member(&e.uid, &e.volume),
            learner: e.learner,
            entered_with: e.entered_with.as_deref().map(read_line),
        })
        .collect();
    electors.sort_unstable();
    let master = authority.master.as_ref().unwrap();
    Status {
        epoch: small(authority.epoch),
        master: read_member(&master.uid, &master.volume),
        electors,
        wait: small(quorum.wait.into()),
        min: small(quorum.min_replicas_to_write.into()),
        degraded: quorum.degraded,
        histories: authority
            .histories
            .iter()
            .map(|h| (read_line(&h.replid), small(h.began), small(h.epoch)))
            .collect(),
        operation: authority.operation.as_ref().map(|o| Operation {
            kind: o.kind,
            reason: o.reason,
            to: (!o.to.is_empty()).then(|| ordinal(&o.to)),
            source: o.source.as_deref().map(ordinal),
            epoch: small(o.epoch),
            started: read_age(o.started_at.0),
            awaited: o.kind == OperationKind::Grant && o.verdict.is_some(),
        }),
        fences: authority
            .pending_fences
            .iter()
            .map(|f| (read_uid(&f.uid), small(f.epoch)))
            .collect(),
        complete: 0,
        had_keys: false,
    }
}

fn read_age(at: Timestamp) -> Age {
    [Age::Long, Age::Step]
        .into_iter()
        .find(|age| at <= ago(*age))
        .unwrap_or(Age::Now)
}

fn ordinal(name: &str) -> u8 {
    u8::try_from(names::ordinal(SET, name).unwrap()).unwrap()
}

fn process(to: &Target) -> Process {
    Process {
        uid: read_uid(&to.uid),
        run: numbers(&to.run_id)[1],
    }
}

fn identity(member: Member) -> Identity {
    Identity {
        name: names::pod(SET, member.uid.name.into()),
        uid: uid(member.uid),
        volume: volume(member),
    }
}

fn uid(uid: Uid) -> String {
    format!("p{}.{}", uid.name, uid.nth)
}

fn ip(uid: Uid) -> String {
    format!("10.0.{}.{}", uid.nth, uid.name)
}

fn volume(member: Member) -> String {
    format!("v{}.{}", member.uid.name, member.volume)
}

fn run_id(name: u8, run: u8) -> String {
    format!("r{name}.{run}")
}

fn replid(line: Line) -> String {
    format!("l{}.{}.{}", line.pod, line.run, line.turn)
}

/// The numbers in an id.
fn numbers(id: &str) -> Vec<u8> {
    id[1..].split('.').map(|n| n.parse().unwrap()).collect()
}

fn read_uid(id: &str) -> Uid {
    let n = numbers(id);
    Uid { name: n[0], nth: n[1] }
}

fn read_member(uid: &str, volume: &str) -> Member {
    Member {
        uid: read_uid(uid),
        volume: numbers(volume)[1],
    }
}

fn read_line(id: &str) -> Line {
    let n = numbers(id);
    Line {
        pod: n[0],
        run: n[1],
        turn: n[2],
    }
}
