//! Link users: who may replicate from whom. A link user of a name lets whatever process holds its secret attach, also one
//! that outlived its pod.

use super::electors::stays_out;
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

/// Takes away what a server gave out to the core before it becomes master: whoever holds it must not acknowledge in its reign.
pub(super) fn take_back(view: &View, member: &Member) -> Vec<Step> {
    take_back_of(member, |child| view.is_core_name(child))
}

/// Takes away what a master gave out to pods of tiers before it takes writes: whoever is attached to it then confirms them, and
/// they do not vote.
pub(super) fn take_back_of_tiers(view: &View, member: &Member) -> Vec<Step> {
    take_back_of(member, |child| !view.is_core_name(child))
}

/// Pods of tiers that a server has let replicate from it.
pub(super) fn children_of_tiers<'a>(view: &View<'a>, parent: &Facts) -> impl Iterator<Item = &'a Member> {
    let tiers = view.replicas().filter(|m| !m.is_core());
    tiers.filter(|m| may_attach(parent, &m.name))
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

/// Nobody but the master, of whose link users the electors decide, has others than those of its own children, and the master
/// none of a tier.
pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    let stays = |m: &&Member| m.pod.as_ref().is_some_and(|p| !p.deleting);
    let answers = |m: &&Member| m.facts().is_some_and(|f| f.loading.is_none());
    let parents = tree::parents(view, master, facts);
    let is_to_be = |of: &Member, name: &str| {
        let mut pairs = parents.iter();
        pairs.any(|(child, parent)| child.name == name && parent.is(of) && !is_barred(view, child))
    };
    let keeps = |of: &Member, name: &str| is_to_be(of, name) || may_hang_still(view, name, of);
    let others = view.replicas().filter(stays).filter(answers);
    let mut steps = take_back_of_tiers(view, master);
    steps.extend(others.flat_map(|m| take_back_of(m, |name| !keeps(m, name))));
    Roles::steps(steps)
}

/// Whether a pod is to have no link at all.
fn is_barred(view: &View, child: &Member) -> bool {
    !child.is_core() && (!view.wanted(child) || stays_out(view, child))
}

/// Whether a pod of a tier may still have its stream from here: it has not left, or does not say whom it follows. It confirms
/// nothing, so that there is no haste.
fn may_hang_still(view: &View, name: &str, parent: &Member) -> bool {
    let child = view.replicas().find(|m| m.name == name);
    let child = child.filter(|m| !m.is_core() && !is_barred(view, m));
    child.is_some_and(|m| match m.facts() {
        Some(facts) => tree::parent(view, facts).is_some_and(|now| now.is(parent)),
        None => true,
    })
}
