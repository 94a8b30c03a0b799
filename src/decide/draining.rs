//! Nodes that are about to lose their pods: a master leaves such a node early, and nobody is handed a role there.
//!
//! A hand-over leads only to a node that keeps its pods for longer. So it is never undone by the next one, whatever is
//! cordoned in whatever order, and a cordon that ends moves nobody back.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::roles::Roles;
use super::switchover::{self, To};
use super::view::View;
use crate::api::status::OperationReason;
use crate::model::observed::{Draining, Member};
use crate::model::redis::Facts;

/// A hand-over that did not succeed stopped the writes for a second. A cordon may last for days: it is tried again after this.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// A node that shuts down leaves its pods 30 s or less (the kubelet's `shutdownGracePeriod`): this many give a few tries, and
/// most of the time is left for writes.
const AGAIN_BEFORE_THE_END: SignedDuration = SignedDuration::from_secs(5);

/// A drain evicts the master's pod milliseconds after the cordon, and the hand-over of a pod that is deleted waits for the node
/// proxies. One that had begun could not: between its demotion and the VIP's change the eviction cost clients 1184 ms.
const EVICTION: SignedDuration = SignedDuration::from_secs(2);

/// What is to become of a member's node.
pub(super) fn of(member: &Member) -> Option<Draining> {
    member.pod.as_ref()?.draining
}

/// Why a member's node forbids to hand over to it, if it does. A master that ends soon in any case may go where pods stay
/// for a little longer: nothing that it acknowledged is lost by that, and a death would cost more.
pub(super) fn forbids(view: &View, member: &Member) -> Option<String> {
    let draining = of(member)?;
    let master = view.master();
    let is_deleted = master.and_then(|m| m.pod.as_ref()).is_some_and(|p| p.deleting);
    let is_worse = master.and_then(of) == Some(Draining::ShuttingDown);
    if is_deleted || is_worse && draining < Draining::ShuttingDown {
        return None;
    }
    let node = member.pod.as_ref().and_then(|p| p.node.as_deref());
    Some(format!("runs on {}, which {draining}", node.unwrap_or_default()))
}

/// The master's node is cordoned: it hands over to a pod whose node is not, if there is one.
pub(super) fn decide(view: &View, master: &Member, facts: &Facts) -> Option<Roles> {
    of(master)?;
    if awaits_eviction(view, master).is_some() {
        return None;
    }
    if was_tried(view, master) {
        return None;
    }
    let target = switchover::choose(view, facts, To::Any).ok()?;
    Some(switchover::begin(view, target, OperationReason::NodeDraining, None))
}

/// Whether a hand-over from such a node was just tried in vain.
pub(super) fn was_tried(view: &View, master: &Member) -> bool {
    let again = match of(master) {
        Some(Draining::ShuttingDown) => AGAIN_BEFORE_THE_END,
        Some(Draining::Cordoned) | None => AGAIN,
    };
    let demoted = view.observed.demoted.as_ref();
    demoted.is_some_and(|(uid, at)| master.uid() == Some(uid) && view.since(*at) < again)
}

/// Until when the eviction of a master whose node was cordoned is awaited, if it is. A node that shuts down gives no such
/// time.
pub(super) fn awaits_eviction(view: &View, master: &Member) -> Option<Timestamp> {
    let cordoned = of(master)? == Draining::Cordoned;
    let since = view.observed.draining.get(master.uid()?).filter(|_| cordoned)?;
    Some(*since + EVICTION).filter(|until| view.now < *until)
}

/// What a member's node means for it, for status. Without numbers that move.
pub(super) fn words(view: &View, member: &Member) -> Option<String> {
    let draining = of(member)?;
    let node = member.pod.as_ref()?.node.as_deref()?;
    let serving = view.serving().filter(|(master, ..)| master.is(member));
    let stays = serving
        .filter(|(_, facts, _)| switchover::choose(view, facts, To::Any).is_err())
        .map_or("", |_| match view.others().next() {
            None => "; the set has no replica to take over",
            Some(_) if view.others().all(|m| of(m).is_some()) => ", and so are the replicas' nodes: it stays master",
            Some(_) => "; no replica can take over now: switchover-dry-run=any@1 says why",
        });
    Some(format!("{node} {draining}{stays}"))
}
