//! Who is to be master among pods that hold the same, by `failover.priorities`.

use super::view::View;
use crate::api::Priority;
use crate::model::observed::Member;

/// Of a pod that no rule names.
pub(super) const USUAL: i32 = 100;
/// Of a pod that never becomes master.
const NEVER: i32 = 0;

/// The priority of a member: lower comes first.
pub(super) fn of(view: &View, member: &Member) -> i32 {
    let pod = member.pod.as_ref();
    let zone = pod.and_then(|p| p.zone.as_ref());
    let node = pod.and_then(|p| p.node.as_ref());
    let names = |rule: &&Priority| {
        rule.zone.is_some() && rule.zone.as_ref() == zone || rule.node.is_some() && rule.node.as_ref() == node
    };
    let mut rules = view.cluster.spec.failover.priorities.iter();
    rules.find(names).map_or(USUAL, |rule| rule.priority)
}

/// Why a pod never becomes master, if so.
pub(super) fn forbids(view: &View, member: &Member) -> Option<&'static str> {
    (of(view, member) == NEVER).then_some("has priority 0 by failover.priorities")
}
