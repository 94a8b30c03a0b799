//! Link users: who may replicate from whom. A link user of a name lets whatever process holds its secret attach, also one
//! that outlived its pod.

use super::roles::Roles;
use super::tree;
use super::view::{View, target};
use crate::api::status::Elector;
use crate::model::observed::Member;
use crate::model::plan::Step;
use crate::model::redis::Facts;
use crate::names;

/// Whether a link user of this name stands on a server.
pub(super) fn may_attach(parent: &Facts, child: &str) -> bool {
    parent.link_users.contains(&names::link_user(child))
}

/// Whether another process stands on an elector's volume. The one that confirmed may live on where nobody sees it, so
/// nothing that is known of its successor says anything about it.
pub(super) fn is_succeeded(elector: &Elector, successor: &Member) -> bool {
    let same_volume = successor.claim.as_ref().is_some_and(|c| c.uid == elector.volume);
    same_volume && successor.uid().is_some_and(|uid| uid != elector.uid)
}

/// Whether a process that outlived its pod may still attach to the master under a member's name.
pub(super) fn may_be_outlived(view: &View, member: &Member, master: &Facts) -> bool {
    let succeeded = |e: &Elector| is_succeeded(e, member) && may_attach(master, &e.name);
    view.authority.electors.iter().any(succeeded)
}

/// Takes away what a server gave out before it becomes master: whoever holds it must not acknowledge in its reign.
pub(super) fn take_back(member: &Member) -> Vec<Step> {
    take_back_of(member, |_| true)
}

fn take_back_of(member: &Member, whose: impl Fn(&str) -> bool) -> Vec<Step> {
    let users = member.facts().map(|f| f.link_users.iter()).unwrap_or_default();
    users
        .filter_map(|user| user.strip_prefix(names::user::LINK_PREFIX))
        .filter(|child| whose(child))
        .filter_map(|child| {
            Some(Step::LockOut {
                parent: target(member)?,
                child: child.to_owned(),
            })
        })
        .collect()
}

/// Nobody but the master, of whose link users the electors decide, has others than those of its own children.
pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    let stays = |m: &&Member| m.pod.as_ref().is_some_and(|p| !p.deleting);
    let answers = |m: &&Member| m.facts().is_some_and(|f| f.loading.is_none());
    let parents = tree::parents(view, master, facts);
    let is_child = |of: &Member, name: &str| {
        parents
            .iter()
            .any(|(child, parent)| child.name == name && parent.is(of))
    };
    let others = view.others().filter(stays).filter(answers);
    Roles::steps(
        others
            .flat_map(|m| take_back_of(m, |name| !is_child(m, name)))
            .collect(),
    )
}
