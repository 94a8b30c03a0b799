//! Status as it should read now: the observed fields only, and what people should be told once.
//!
//! Values that always move are left out, so that a quiet set writes nothing.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::SignedDuration;

use super::objects::Wanted;
use super::roles::Roles;
use super::roll::{self, Roll};
use super::settings::Settings;
use super::view::View;
use super::{awaiting, conditions, draining, events, labels, priority, requests, sync, tree};
use crate::api::status::{
    Binding, ConfigStatus, Endpoints, HighWaterMark, MemberState, MemberStatus, RedisReplicaSetStatus, Role,
    ServerVersion, TierStatus,
};
use crate::model::observed::{Member, Trouble};
use crate::model::plan::Note;
use crate::model::redis::Seen;
use crate::names;

/// The mark is renewed beside any other write, else when the stream grew by this much.
const MARK_BYTES: i64 = 1 << 20;
/// ... and this much time has passed.
const MARK_AGE: SignedDuration = SignedDuration::from_secs(30);
/// Most members, and directives that wait for a restart, that the schema has room for.
const MEMBERS: usize = 200;
const PENDING: usize = 64;
/// Longest message of a member, as the schema has it.
const MESSAGE: usize = 256;

/// The observed part of status, and the events that go with its changes.
pub(super) fn status(
    view: &View,
    roles: &Roles,
    wanted: &Wanted,
    settings: &Settings,
) -> (Option<RedisReplicaSetStatus>, Vec<Note>) {
    let old = &view.observed.status;
    let members: Vec<_> = view.observed.members.iter().map(|m| member(view, m)).collect();
    let core = in_tier(view, &members, names::CORE_TIER);
    let below = view.cluster.tiers().filter(|tier| tier.level.is_some());
    let roll = Roll::of(view, wanted, settings);
    let mut new = RedisReplicaSetStatus {
        observed_generation: Some(view.cluster.generation),
        high_water_mark: old.high_water_mark.clone(),
        replicas: Some(core.replicas),
        ready_replicas: Some(core.ready_replicas),
        selector: Some(selector(&view.cluster.name)),
        version: version(view).or_else(|| old.version.clone()),
        endpoints: Some(endpoints(view)),
        binding: Some(Binding {
            name: wanted.binding.clone(),
        }),
        tiers: below.map(|tier| in_tier(view, &members, tier.name)).collect(),
        members,
        requests: requests::outcomes(view, roles.hold.as_ref()),
        update: Some(roll.status()),
        config: Some(ConfigStatus {
            applied_revision: wanted.config_revisions.get(names::CORE_TIER).cloned(),
            pending_restart: settings
                .restart()
                .into_iter()
                .take(PENDING)
                .map(str::to_owned)
                .collect(),
            derived: wanted.derived.clone(),
        }),
        ..RedisReplicaSetStatus::default()
    };
    new.conditions = conditions::conditions(view, roles, wanted, settings, &roll, &new);
    // Pods of tiers that are on their way out come last, and beside those that are wanted they may be more than the schema has
    // room for: a status that is refused would say nothing new of anybody.
    new.members.truncate(MEMBERS);
    let quiet = same_observation(old, &new);
    new.high_water_mark = high_water_mark(view, quiet).or(new.high_water_mark);
    let mut turned = conditions::turned(&old.conditions, &new.conditions);
    turned.extend(events::answered(&old.requests, &new.requests));
    turned.extend(roll::told(old, &new, &roll));
    let unchanged = quiet && new.high_water_mark == old.high_water_mark;
    ((!unchanged).then_some(new), turned)
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// What is seen of a tier, the master not counted.
fn in_tier(view: &View, members: &[MemberStatus], tier: &str) -> TierStatus {
    let replicas: Vec<_> = members
        .iter()
        .filter(|m| m.tier == tier && !is_master(view, &m.name))
        .collect();
    let serving = view
        .observed
        .members
        .iter()
        .filter(|m| m.tier == tier && sync::serves_reads(view, m));
    let parents: BTreeSet<_> = replicas.iter().filter_map(|m| m.from.as_deref()).collect();
    TierStatus {
        name: tier.to_owned(),
        replicas: count(replicas.iter().filter(|m| m.uid.is_some()).count()),
        ready_replicas: count(serving.count()),
        parents: count(parents.len()),
    }
}

/// Selector of the replicas' pods, for `/scale`.
fn selector(set: &str) -> String {
    format!(
        "{}={set},{}={},{}={}",
        names::label::SET,
        names::label::TIER,
        names::CORE_TIER,
        names::label::ROLE,
        Role::Replica
    )
}

fn is_master(view: &View, name: &str) -> bool {
    view.authority.master.as_ref().is_some_and(|m| m.name == name)
}

fn member(view: &View, member: &Member) -> MemberStatus {
    let state = sync::shown(view, member);
    let pod = member.pod.as_ref();
    let old = view.observed.status.members.iter().find(|m| m.name == member.name);
    let same = old.filter(|o| o.state == state && o.uid.as_deref() == member.uid());
    let from = match state {
        MemberState::InSync | MemberState::Lagging | MemberState::Syncing | MemberState::LinkDown => {
            member.facts().and_then(|f| tree::parent(view, f))
        }
        _ => None,
    };
    MemberStatus {
        name: member.name.clone(),
        uid: member.uid().map(str::to_owned),
        tier: member.tier.clone(),
        role: labels::role(view, member, state),
        from: from.map(|parent| parent.name.clone()),
        node: pod.and_then(|p| p.node.clone()),
        zone: pod.and_then(|p| p.zone.clone()),
        state,
        since: same.map_or(Time(view.now), |o| o.since.clone()),
        revision: pod.and_then(|p| p.revision.clone()),
        priority: Some(priority::of(view, member)).filter(|p| *p != priority::USUAL),
        message: message(view, member, state),
    }
}

/// Only what the state alone does not say.
fn message(view: &View, member: &Member, state: MemberState) -> Option<String> {
    let text = match (state, member.pod.as_ref().and_then(|p| p.trouble.as_ref())) {
        (MemberState::Starting | MemberState::Unreachable, Some(trouble)) => match trouble {
            Trouble::Unschedulable(words)
            | Trouble::ImagePull(words)
            | Trouble::Terminated(words)
            | Trouble::Waiting(words) => words.clone(),
        },
        (MemberState::Unreachable, None) => match &member.redis {
            Seen::Unknown { error, .. } => error.to_string(),
            Seen::Answers { .. } => return None,
        },
        _ => draining::words(view, member)?,
    };
    Some(text.chars().take(MESSAGE).collect())
}

fn version(view: &View) -> Option<ServerVersion> {
    let of = |m: &Member| m.facts().map(|f| (f.engine, f.version));
    let all: Vec<_> = view.observed.members.iter().filter_map(of).collect();
    let (engine, version) = view.master().and_then(of).or_else(|| all.first().cloned())?;
    let mixed = all.iter().any(|other| *other != (engine, version));
    Some(ServerVersion {
        engine: engine.to_string(),
        version: version.to_string(),
        mixed,
    })
}

fn endpoints(view: &View) -> Endpoints {
    let host = |service: String| format!("{service}.{}.svc:{}", view.cluster.namespace, names::REDIS_PORT);
    let converged = converged(view);
    let known = view
        .observed
        .status
        .endpoints
        .as_ref()
        .and_then(|e| e.converged_at.clone());
    Endpoints {
        master: host(names::vip(&view.cluster.name)),
        replicas: host(names::replicas_service(&view.cluster.name)),
        converged_at: converged.then(|| known.unwrap_or(MicroTime(view.now))),
    }
}

/// Engine and version, for people.
pub(super) fn server(view: &View) -> String {
    version(view).map_or_else(|| "the server".to_owned(), |v| format!("{} {}", v.engine, v.version))
}

/// Whether the EndpointSlices show exactly the recorded master's pod.
pub(super) fn converged(view: &View) -> bool {
    let pods = &view.observed.vip_pods;
    view.authority
        .master
        .as_ref()
        .is_some_and(|m| pods.len() == 1 && pods.contains(&m.name))
}

/// Whether two statuses are the same observation, the mark and the authority fields aside.
fn same_observation(old: &RedisReplicaSetStatus, new: &RedisReplicaSetStatus) -> bool {
    let mut old = old.clone();
    old.epoch = None;
    old.master = None;
    old.electors = Vec::new();
    old.quorum = None;
    old.histories = Vec::new();
    old.operation = None;
    old.pending_fences = Vec::new();
    old.fenced = Vec::new();
    old.failovers = Vec::new();
    old == *new
}

/// What the set has now, if it is time to renew the mark. A set that became empty, or has its first key, is marked at once:
/// the mark guards emptiness. So is a file that became complete.
fn high_water_mark(view: &View, quiet: bool) -> Option<HighWaterMark> {
    let (_, facts, _) = view.serving()?;
    let new = HighWaterMark {
        epoch: view.authority.epoch,
        replid: facts.replid.clone(),
        offset: i64::try_from(facts.offset).unwrap_or(i64::MAX),
        keys: i64::try_from(facts.keys).unwrap_or(i64::MAX),
        at: Time(view.now),
        file_complete: awaiting::has_everything(view, facts),
    };
    let Some(old) = &view.observed.status.high_water_mark else {
        return Some(new);
    };
    let grown = new.replid != old.replid
        || new.epoch != old.epoch
        || new.offset - old.offset >= MARK_BYTES && view.since(old.at.0) >= MARK_AGE;
    let turned = (new.keys == 0, new.file_complete) != (old.keys == 0, old.file_complete);
    (!quiet && (new.offset, new.keys) != (old.offset, old.keys) || grown || turned).then_some(new)
}
