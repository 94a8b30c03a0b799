//! How fresh a replica is, judged against the master.
//!
//! Never against the replica's own word alone: its link stays up for seconds when the master is gone, and for ever if
//! somebody between the two still runs.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

use super::rules::{self, Rule};
use super::view::View;
use super::{divergence, moving, tree};
use crate::api::status::MemberState;
use crate::model::observed::Member;
use crate::model::redis::{Facts, ReplicaLink, RoleState, Seen};
use crate::names;

/// A pod that does not answer is called unreachable after this; until then its last state stands.
const SILENCE: SignedDuration = SignedDuration::from_secs(2);

/// Whether the link is up and no full resync is under way.
pub(super) fn linked(facts: &Facts) -> bool {
    facts.replica_link().is_some_and(|link| link.up && !link.syncing)
}

/// What a member is doing. Whoever a person took out of service serves nobody, whatever it still follows.
pub(super) fn state(view: &View, member: &Member) -> MemberState {
    match seen_state(view, member) {
        MemberState::Syncing
        | MemberState::Lagging
        | MemberState::InSync
        | MemberState::LinkDown
        | MemberState::Serving
            if view.is_fenced(&member.name) =>
        {
            MemberState::Fenced
        }
        MemberState::Fenced if divergence::held(view, member).is_some() => MemberState::Diverged,
        state => state,
    }
}

fn seen_state(view: &View, member: &Member) -> MemberState {
    let Some(pod) = &member.pod else {
        return MemberState::Gone;
    };
    let facts = match &member.redis {
        Seen::Answers { facts, .. } => facts,
        Seen::Unknown { .. } if pod.started.is_none() || pod.ip.is_none() || pod.trouble.is_some() => {
            return MemberState::Starting;
        }
        Seen::Unknown { since, .. } => {
            if view.since(*since) < SILENCE
                && let Some(before) = before(view, member)
            {
                return before;
            }
            return if pod.in_sync && heard_by_parent(view, member) {
                MemberState::InSync
            } else {
                MemberState::Unreachable
            };
        }
    };
    if facts.loading.is_some() {
        return MemberState::Loading;
    }
    if view.serving().is_some_and(|(master, ..)| master.is(member)) {
        return MemberState::Serving;
    }
    match facts.state() {
        RoleState::Attached { .. } => replica_state(view, member, facts),
        RoleState::Fenced | RoleState::Bare | RoleState::Armed { .. } => MemberState::Fenced,
    }
}

fn replica_state(view: &View, member: &Member, facts: &Facts) -> MemberState {
    if facts.replica_link().is_some_and(|link| link.syncing) {
        return MemberState::Syncing;
    }
    let Some(way) = way_up(view, member, facts) else {
        return MemberState::LinkDown;
    };
    let limit = limit(view, member);
    match age(view, facts, &way) {
        Some(age) if age <= limit => MemberState::InSync,
        _ => MemberState::Lagging,
    }
}

/// What everybody says through whom the master's stream comes to a replica, itself first; nothing if it is cut.
fn way_up<'a>(view: &View<'a>, member: &'a Member, facts: &'a Facts) -> Option<Vec<&'a Facts>> {
    let way = tree::way_up(view, member, facts)?;
    let (last, of_last) = *way.last()?;
    let master = view.master()?;
    let follows = |f| view.attached(of_last, master, f, &last.name);
    let follows = last.is_core() && master.facts().is_none_or(follows);
    follows.then(|| way.into_iter().map(|(_, facts)| facts).collect())
}

/// Age of what a replica holds. Without the master's word, the time since it last heard something, or somebody on the way.
fn age(view: &View, facts: &Facts, way: &[&Facts]) -> Option<Duration> {
    let heard = |f: &&Facts| f.replica_link().and_then(|link| link.last_io_seconds);
    let silences: Option<Vec<_>> = way.iter().map(heard).collect();
    let last_io = silences.and_then(|all| all.into_iter().max()).map(Duration::from_secs);
    let by_offset = match view.master().map(|m| &m.redis) {
        Some(Seen::Answers { offsets, .. }) => Some(offsets.age(facts.offset, view.now)),
        _ => None,
    };
    // A look may be a second old, and so may this pass: that much is no lag.
    let slack = |age: Duration| age.saturating_sub(Duration::from_secs(2));
    match by_offset {
        Some(age) => Some(slack(age?).max(slack(last_io.unwrap_or_default()))),
        None => last_io,
    }
}

/// A replica leaves its tier's read Service beyond the `maxLag` of that and returns at half of it.
pub(super) fn limit(view: &View, member: &Member) -> Duration {
    let tier = view.cluster.tiers().find(|tier| tier.name == member.tier);
    let service = tier.map_or(&view.cluster.spec.services.replicas, |tier| tier.service);
    let max: Duration = service.max_lag.into();
    let inside = member.pod.as_ref().is_some_and(|p| p.in_sync);
    if inside { max } else { max / 2 }
}

/// Whether its parent itself hears a replica that is silent to the operator: the master, or of a tier somebody in sync.
fn heard_by_parent(view: &View, member: &Member) -> bool {
    let limit = limit(view, member).as_secs();
    let announced = names::dns(&view.cluster.name, &view.cluster.namespace, &member.name);
    let hears = |facts: &Facts| {
        let mut heard = facts.replicas.iter();
        heard.any(|r| r.ip == announced && r.online() && r.lag <= limit)
    };
    if member.is_core() {
        return view.serving().is_some_and(|(_, facts, _)| hears(facts));
    }
    let mut others = view.replicas().filter(|m| !m.is(member));
    others.any(|m| m.facts().is_some_and(hears) && is_in_sync(view, m))
}

/// Whether the master still has a connection of this replica, also one in a full resync, or was not asked since the replica
/// fell silent: then its death is not proven.
pub(super) fn may_be_connected(view: &View, member: &Member) -> bool {
    let Seen::Unknown { since, .. } = &member.redis else {
        return true;
    };
    let announced = names::dns(&view.cluster.name, &view.cluster.namespace, &member.name);
    if !rules::holds(Rule::ConnectedIsAlive) {
        return false;
    }
    view.serving()
        .is_none_or(|(_, facts, _)| facts.asked_at <= *since || facts.replicas.iter().any(|r| r.ip == announced))
}

/// Whether others hear a pod that does not answer the operator: then the fault is on our own path.
pub(super) fn heard_by_peers(view: &View, member: &Member) -> bool {
    if member.facts().is_some() {
        return false;
    }
    if !view.is_master(member) {
        return heard_by_parent(view, member);
    }
    let Some(ip) = member.pod.as_ref().and_then(|p| p.ip.as_deref()) else {
        return false;
    };
    let hears = |link: &ReplicaLink| link.host == ip && link.up && link.last_io_seconds.is_some_and(|s| s <= 1);
    view.others()
        .filter_map(Member::facts)
        .filter_map(Facts::replica_link)
        .any(hears)
}

/// The state that status has of this very pod.
fn before(view: &View, member: &Member) -> Option<MemberState> {
    let known = view.observed.status.members.iter().find(|m| m.name == member.name)?;
    (known.uid.as_deref() == member.uid()).then_some(known.state)
}

/// Whether what a replica has is known to be too old.
pub(super) fn is_known_to_lag<'a>(view: &View<'a>, member: &'a Member, facts: &'a Facts) -> bool {
    let way = way_up(view, member, facts).unwrap_or_else(|| vec![facts]);
    age(view, facts, &way).is_some_and(|age| age > limit(view, member))
}

/// Whether a member follows the master and is within its lag.
pub(super) fn is_in_sync(view: &View, member: &Member) -> bool {
    state(view, member) == MemberState::InSync
}

/// Whether a member serves readers: it is in sync, or is being moved and will be in sync in a moment.
pub(super) fn serves_reads(view: &View, member: &Member) -> bool {
    is_in_sync(view, member) || moving::is_moving(view, member)
}

/// The state as people are told: a link that is not there yet because its replica is being moved is none of their
/// business, nor that nothing is known of a new master's past. That a replica follows nobody is not hidden.
pub(super) fn shown(view: &View, member: &Member) -> MemberState {
    match state(view, member) {
        MemberState::LinkDown | MemberState::Lagging if moving::is_moving(view, member) => MemberState::InSync,
        state => state,
    }
}
