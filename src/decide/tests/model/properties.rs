//! What must hold in every state, and what must be reached in some: else nothing was tried.

use stateright::Property;

use super::Setting;
use super::state::State;
use crate::api::status::OperationKind;

/// S1: processes that take writes. A master without a minimum takes them for as long as it lives: who deletes its pod by
/// force says that it does not.
fn writers(state: &State) -> usize {
    let vouched = |at: usize| at >= state.pods.len() && state.redis(at).is_some_and(|r| r.min == Some(0));
    (0..state.count())
        .filter(|at| state.takes_writes(*at) && !vouched(*at))
        .count()
}

/// S9: writes that were confirmed are on the master that status names.
fn nothing_confirmed_is_lost(state: &State) -> bool {
    let named = state
        .all()
        .filter(|pod| state.is_named(pod))
        .filter_map(|pod| pod.redis.as_ref());
    named
        .filter(|redis| redis.is_armed())
        .all(|redis| state.confirmed & !redis.data == 0)
}

/// A process that takes writes or could is named, or is to be fenced; but for one whose pod is gone.
fn armed_is_named_or_pending(state: &State) -> bool {
    let known = |pod| state.is_named(pod) || state.status.fences.iter().any(|(uid, _)| *uid == pod.uid);
    let armed = state
        .pods
        .iter()
        .filter(|pod| pod.redis.as_ref().is_some_and(|r| r.is_armed()));
    armed.into_iter().all(known)
}

/// An operation of this kind has made the epoch of now.
fn made(state: &State, kind: OperationKind) -> bool {
    let status = &state.status;
    status
        .operation
        .as_ref()
        .is_some_and(|o| o.kind == kind && o.epoch == status.epoch)
}

pub fn properties() -> Vec<Property<Setting>> {
    vec![
        Property::always("S1 one writer", |_, s: &State| writers(s) <= 1),
        Property::always("S9 no confirmed write is lost", |_, s: &State| {
            nothing_confirmed_is_lost(s)
        }),
        Property::always("S1 who is armed is named or to be fenced", |_, s: &State| {
            armed_is_named_or_pending(s)
        }),
        Property::always("S2 S4 S5 S8 of steps", |_, s: &State| s.broken.is_none()),
        Property::sometimes("a write is confirmed", |_, s: &State| s.confirmed != 0),
        Property::sometimes("a replica takes over", |_, s: &State| made(s, OperationKind::Failover)),
        Property::sometimes("the master hands over", |_, s: &State| {
            made(s, OperationKind::Switchover)
        }),
        Property::sometimes("the master is granted its role again", |_, s: &State| {
            made(s, OperationKind::Grant)
        }),
        Property::sometimes("a master is awaited", |_, s: &State| {
            s.status.operation.as_ref().is_some_and(|o| o.awaited && o.to.is_none())
        }),
        Property::sometimes("a pod is a source", |_, s: &State| {
            let source = s.status.operation.as_ref().and_then(|o| o.source);
            let follow = |p: &&super::state::Pod| p.redis.as_ref().is_some_and(|r| r.link().is_some());
            source.is_some() && s.pods.iter().filter(follow).count() > 0
        }),
        Property::sometimes("an operation ends", |_, s: &State| {
            s.status.epoch > 1 && s.status.operation.is_none()
        }),
        Property::sometimes("min falls", |_, s: &State| s.status.degraded),
        Property::sometimes("an elector learns", |_, s: &State| {
            s.status.electors.iter().any(|seat| seat.learner)
        }),
        Property::sometimes("an elector leaves", |_, s: &State| {
            s.status.electors.len() < s.pods.len()
        }),
        Property::sometimes("a former master is to be fenced", |_, s: &State| {
            !s.status.fences.is_empty()
        }),
    ]
}
