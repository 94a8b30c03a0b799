//! A replica that the operator reaches and the master does not: the path between the two is cut, and nobody is dead.

use k8s_openapi::jiff::SignedDuration;

use super::view::View;
use crate::api::status::MemberState;
use crate::model::observed::Member;
use crate::model::redis::RoleState;

/// After so long without a word from the master, which sends one every second, a replica is cut off. Redis itself sees it
/// after repl-timeout, 15 s; the master refuses writes for want of acknowledgements long before.
const SILENT: SignedDuration = SignedDuration::from_secs(5);

/// Whether a replica that answers has heard nothing of the master that serves for long, although it was told to follow it.
pub(super) fn is_cut(view: &View, member: &Member) -> bool {
    let facts = member.facts().filter(|f| f.loading.is_none());
    let Some(link) = facts.and_then(|f| f.replica_link()).filter(|link| !link.syncing) else {
        return false;
    };
    let attached = facts.is_some_and(|f| matches!(f.state(), RoleState::Attached { .. }));
    // A master that was silent itself, in a long fork, has had no time to be heard.
    if view.serving().is_none() || !attached || !has_long_been(view, view.master(), MemberState::Serving) {
        return false;
    }
    if link.up {
        let heard = link.last_io_seconds.and_then(|s| i64::try_from(s).ok());
        return heard.is_some_and(|seconds| seconds >= SILENT.as_secs());
    }
    has_long_been(view, Some(member), MemberState::LinkDown)
}

/// Whether status has had a member in this state for long.
fn has_long_been(view: &View, member: Option<&Member>, state: MemberState) -> bool {
    let known = |m: &&Member| view.observed.status.members.iter().find(|known| known.name == m.name);
    member.as_ref().and_then(known).is_some_and(|known| {
        let same = known.uid.as_deref() == member.and_then(Member::uid);
        known.state == state && same && view.since(known.since.0) >= SILENT
    })
}
