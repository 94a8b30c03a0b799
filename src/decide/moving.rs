//! Replicas that a change of the master, or the loss of their parent, takes from one parent to another: the move takes
//! milliseconds, but a pod that was made unready for it is ready again, and an endpoint of the read Service, only when the
//! kubelet has looked: seconds later, and with a single replica left nobody would be there to read from. So what readers go by
//! stays as it is meanwhile.
//!
//! Only for readers, and only for a moment. Nothing that decides about roles or about making pods anew may ask here.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::replicas::continues;
use super::view::View;
use super::{fate, sync, tree};
use crate::api::status::{Operation, OperationKind};
use crate::model::observed::Member;
use crate::model::redis::{Facts, RoleState};

/// How long a replica may have been without its stream, as far as `services.replicas.maxLag` allows: what it has is as old. The
/// last look at the link that was may be 1 s old, Redis tries a link that was refused again once a second, and a link that is up
/// is seen within 100 ms of a command: that leaves a move two tries. Where a silent master's time of self-fencing is waited for, the
/// move begins after it.
const MOVE: Duration = Duration::from_secs(3);

/// Whether readers are led to a replica that is on its way: for how long, only time tells.
pub(super) fn is_under_way(view: &View) -> bool {
    let mut members = view.observed.members.iter();
    members.any(|m| !sync::is_in_sync(view, m) && is_moving(view, m))
}

/// Whether a replica that was in sync is without its stream because it gets another parent, and only since a moment ago. One in
/// a full resync, one that can not go on without, and one that is known to lag is not meant.
pub(super) fn is_moving(view: &View, member: &Member) -> bool {
    // A longer way up is a circle.
    moves(view, member, view.observed.members.len())
}

fn moves(view: &View, member: &Member, steps: usize) -> bool {
    let was_in_sync = member.pod.as_ref().is_some_and(|pod| pod.in_sync);
    let is_master = view.is_master(member);
    let Some(facts) = member.facts().filter(|f| f.loading.is_none()) else {
        return false;
    };
    // Whose own link stands has what its parent has.
    let parent = tree::parent(view, facts).filter(|p| !member.is_core() && sync::linked(facts) && !view.is_master(p));
    let has_way = |p: &Member| steps > 0 && (sync::is_in_sync(view, p) || moves(view, p, steps - 1));
    was_in_sync
        && parent.is_none_or(has_way)
        && !is_master
        && !view.is_fenced(&member.name)
        && has_reason(view, member, facts)
        && goes_on(view, facts)
        && !sync::is_known_to_lag(view, member, facts)
        && since(view, &view.observed.followed, facts)
            .is_some_and(|ago| ago < most(view, facts).min(sync::limit(view, member)))
}

/// How long a replica may have been without its stream. To take the pods of a silent master from the read Service during the wait
/// would also keep the VIP waiting: its change would come within the second in which node proxies take no further one.
fn most(view: &View, facts: &Facts) -> Duration {
    let failover = |o: &Operation| o.kind == OperationKind::Failover;
    let voted = view.authority.operation.as_ref().is_some_and(failover) || was_attached(view, facts);
    if !voted {
        return MOVE;
    }
    let wait = Duration::try_from(fate::self_fence(view)).unwrap_or_default();
    MOVE.saturating_add(wait)
}

/// Time since something was noted of a process.
fn since(view: &View, noted: &BTreeMap<String, Timestamp>, facts: &Facts) -> Option<Duration> {
    let at = noted.get(&facts.run_id)?;
    Duration::try_from(view.since(*at)).ok()
}

/// Whether its master is being changed, or does not serve and is about to be, or the replica was given to a parent just now, or is
/// about to be: it is of a tier, and its own passes nothing on.
fn has_reason(view: &View, member: &Member, facts: &Facts) -> bool {
    let changing = view.authority.operation.is_some() || view.serving().is_none();
    let parent = || tree::parent(view, facts).and_then(Member::facts);
    let lost = || !member.is_core() && parent().is_none_or(|f| f.loading.is_some() || !sync::linked(f));
    changing || was_attached(view, facts) || lost()
}

fn was_attached(view: &View, facts: &Facts) -> bool {
    since(view, &view.observed.attached, facts).is_some_and(|ago| ago < MOVE)
}

/// Whether it follows nobody, or somebody, and needs no full resync under the recorded master as far as that is known.
fn goes_on(view: &View, facts: &Facts) -> bool {
    let follows = match facts.state() {
        RoleState::Fenced => true,
        RoleState::Attached { .. } => facts.replica_link().is_some_and(|link| !link.syncing),
        RoleState::Bare | RoleState::Armed { .. } => false,
    };
    // One that was started again is no master until it is made one.
    let is_one = |master: &&Facts| matches!(master.state(), RoleState::Bare | RoleState::Armed { .. });
    let master = view.master().and_then(Member::facts).filter(is_one);
    follows && master.is_none_or(|master| continues(facts, master))
}
