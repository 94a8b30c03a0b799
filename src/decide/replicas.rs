//! The replicas: who enters the electors, who is attached next and to whom, who is cut off.
//!
//! A pod enters the electors before it is attached to the master, and only the operator attaches it. Full resyncs are given one after
//! the other; a partial one costs nothing and waits for nobody.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, target};
use super::{divergence, fate, lineage, links, silent, sync, tree};
use crate::api::status::{Elector, Identity, MemberState};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Backlog, Facts, RoleState};

/// Full resyncs at once from one parent (FACTS.md 8.2: the master's write p99 is four times better than with all at once).
const FULL_RESYNCS: usize = 1;
/// Full resyncs at once in a set, whose parents may share a network.
const FULL_RESYNCS_OF_ALL: usize = 2;
/// A link that stays down this long although nothing is missing is given its credentials again, which is harmless.
const RETRY_LINK: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    if let Some(step) = strangers(view) {
        return Roles::steps(vec![step]);
    }
    if let Some(step) = lost(view, master, facts) {
        return Roles::steps(vec![step]);
    }
    if let Some(step) = electors(view, facts) {
        return Roles::steps(vec![step]);
    }
    // Whoever is attached keeps the seat that it has: first it is seen whether it may enter again.
    let looks = if enters_again(view) {
        younger_looks(view, facts)
    } else {
        Vec::new()
    };
    if !looks.is_empty() {
        return Roles::steps(looks);
    }
    attach(view, master, facts)
}

/// A pod that is master of its own although nobody named it follows nobody again. It took no write: it is not armed, or it is of
/// a tier, whose pods nobody ever names.
fn strangers(view: &View) -> Option<Step> {
    let is_stranger = |member: &Member, facts: &Facts| match facts.state() {
        RoleState::Bare => true,
        RoleState::Armed { .. } => !member.is_core(),
        RoleState::Fenced | RoleState::Attached { .. } => false,
    };
    view.replicas()
        .find(|m| m.facts().is_some_and(|f| f.loading.is_none() && is_stranger(m, f)))
        .and_then(target)
        .map(|to| Step::Fence { to })
}

/// An elector whose volume is gone, or on whose volume another process answers, is locked out before that enters or another
/// pod of its name is attached: its old process may live on a node that nobody reaches, and would go on to acknowledge
/// under that name. So is one that is silent for long, before it leaves.
fn lost(view: &View, master: &Member, facts: &Facts) -> Option<Step> {
    let parent = target(master).filter(|_| rules::holds(Rule::LockOutFirst))?;
    let may_attach = |e: &&Elector| links::may_attach(facts, &e.name) && !taken_over(view, e, master, facts);
    let answers = |m: &Member| m.facts().is_some_and(|f| f.loading.is_none());
    let succeeded = |e: &Elector| view.others().any(|m| links::is_succeeded(e, m) && answers(m));
    let elector = view
        .authority
        .electors
        .iter()
        .filter(|e| !is_known(view, e) || succeeded(e) || silent::for_long(view, e, facts))
        .find(may_attach)?;
    Some(Step::LockOut {
        parent,
        child: elector.name.clone(),
    })
}

/// Whether a member still stands on the elector's volume.
fn is_known(view: &View, elector: &Elector) -> bool {
    view.observed
        .members
        .iter()
        .any(|m| m.claim.as_ref().is_some_and(|c| c.uid == elector.volume))
}

/// Whether a pod of the elector's name is attached from another volume. That is done only after the old one was locked
/// out, so the link user of this name is not the old one's.
fn taken_over(view: &View, elector: &Elector, master: &Member, facts: &Facts) -> bool {
    let member = view
        .observed
        .member(&elector.name)
        .filter(|m| m.claim.as_ref().is_some_and(|c| c.uid != elector.volume));
    member
        .and_then(Member::facts)
        .is_some_and(|f| view.attached(f, master, facts, &elector.name))
}

/// The electors as they should be, if that is another list: wanted members that answer enter as learners, a learner that
/// holds everything votes, a new process on a known volume is the same member, a lost volume leaves when it may.
fn electors(view: &View, facts: &Facts) -> Option<Step> {
    let before = view.authority.electors.clone();
    let mut list = before.clone();
    let mut why = Vec::new();
    for member in view.others().filter(|m| view.wanted(m)) {
        let loaded = member.facts().filter(|f| f.loading.is_none());
        let (Some(identity), Some(own)) = (member.identity(), loaded) else {
            continue;
        };
        let enters_with = lineage::own_id(view, own);
        match list.iter_mut().find(|e| e.volume == identity.volume) {
            None if stays_out(view, member) => {}
            None if rules::holds(Rule::EnterFirst) || sync::linked(own) => {
                why.push(format!("{} enters", member.name));
                list.push(learner(identity, enters_with));
            }
            Some(entry) if entry.uid != identity.uid => {
                why.push(format!("{} is a new process", member.name));
                entry.uid = identity.uid;
            }
            // What stands in its file may lack confirmed writes: it leaves and enters again, as far as it may.
            Some(entry) if is_due_again(view, entry, member) && may_end(view, &before, entry, facts) => {
                why.push(format!("{} began anew", member.name));
                (entry.learner, entry.entered_with) = (true, enters_with);
            }
            Some(entry) if entry.learner && view.holds_everything(member, facts) => {
                why.push(format!("{} holds everything", member.name));
                (entry.learner, entry.entered_with) = (false, None);
            }
            None | Some(_) => {}
        }
    }
    if let Some(gone) = list
        .iter()
        .position(|e| !is_known(view, e) && may_leave(view, &list, e, facts))
    {
        why.push(format!("{} lost its volume and leaves", list[gone].name));
        list.remove(gone);
    }
    // One at a time: each leaves only while enough of the others hold everything.
    if let Some(gone) = list
        .iter()
        .position(|e| silent::for_long(view, e, facts) && why.is_empty() && may_leave(view, &list, e, facts))
    {
        why.push(format!("{} is silent for long and leaves", list[gone].name));
        list.remove(gone);
    }
    if let Some(gone) = list
        .iter()
        .position(|e| is_dead(view, e) && why.is_empty() && may_end(view, &list, e, facts))
    {
        why.push(format!("{} is dead and leaves", list[gone].name));
        list.remove(gone);
    }
    let authority = Authority {
        electors: list,
        ..view.authority.clone()
    };
    (!why.is_empty()).then(|| Step::Record {
        authority,
        why: format!("electors: {}", why.join(", ")),
    })
}

/// Whether a pod gets no link: by a person's word, or for what only it has.
pub(super) fn stays_out(view: &View, member: &Member) -> bool {
    view.is_fenced(&member.name) || divergence::held(view, member).is_some()
}

fn learner(identity: Identity, entered_with: Option<String>) -> Elector {
    Elector {
        name: identity.name,
        uid: identity.uid,
        volume: identity.volume,
        learner: true,
        entered_with,
    }
}

/// An elector leaves `electors` only when it can confirm nothing any more (locked out at the master that is reached) and
/// min(k, the rest) of the remaining replicas hold everything the master has.
pub(super) fn may_leave(view: &View, electors: &[Elector], leaving: &Elector, facts: &Facts) -> bool {
    let replaced = view
        .master()
        .is_some_and(|master| taken_over(view, leaving, master, facts));
    let barred = replaced || !rules::holds(Rule::LockOutFirst);
    if links::may_attach(facts, &leaving.name) && !barred {
        return false;
    }
    may_end(view, electors, leaving, facts)
}

/// Whether a process that ended may be left out: min(k, the rest) of the remaining replicas hold everything the master has.
fn may_end(view: &View, electors: &[Elector], leaving: &Elector, facts: &Facts) -> bool {
    let master = view.authority.master.as_ref().map(|m| m.volume.as_str());
    let rest: Vec<_> = electors
        .iter()
        .filter(|e| e.volume != leaving.volume && Some(e.volume.as_str()) != master)
        .collect();
    let holders = rest
        .iter()
        .filter_map(|e| {
            view.observed
                .members
                .iter()
                .find(|m| m.claim.as_ref().is_some_and(|c| c.uid == e.volume))
        })
        .filter(|m| view.holds_everything(m, facts))
        .count();
    let wait = view
        .authority
        .quorum
        .map_or(0, |q| usize::try_from(q.wait).unwrap_or(0));
    holders >= wait.min(rest.len()) || !rules::holds(Rule::OthersHoldEverything)
}

/// Whether a replica's process is known to have ended.
fn is_dead(view: &View, elector: &Elector) -> bool {
    let process = view.others().find(|m| m.uid() == Some(elector.uid.as_str()));
    process.is_some_and(|m| fate::death(m).is_some() && !sync::may_be_connected(view, m))
}

/// Whether a member answers with what its file had: its process was started again and nobody has attached it since.
fn began_anew(view: &View, member: &Member) -> bool {
    let fresh = |f: &Facts| f.state() == RoleState::Fenced && lineage::position(view, f).is_none();
    member.facts().is_some_and(|f| f.loading.is_none() && fresh(f))
}

/// Whether an elector began anew since it entered.
fn is_due_again(view: &View, entry: &Elector, member: &Member) -> bool {
    let id = member.facts().and_then(|own| lineage::own_id(view, own));
    began_anew(view, member) && (!entry.learner || entry.entered_with != id)
}

fn enters_again(view: &View) -> bool {
    let wanted = view.others().filter(|m| view.wanted(m) && !stays_out(view, m));
    let entered = wanted.filter_map(|m| Some((view.elector(&m.identity()?)?, m)));
    entered.into_iter().any(|(entry, m)| is_due_again(view, entry, m))
}

/// Attaches whoever hangs wrong to the parent it is to have: partial resyncs at once, full ones one by one.
fn attach(view: &View, master: &Member, facts: &Facts) -> Roles {
    let parents = tree::parents(view, master, facts);
    let is_fed =
        |(child, parent): &(&Member, &Member)| parent.facts().is_some_and(|f| takes_full(view, child, parent, f));
    let mut running: Vec<_> = parents
        .iter()
        .copied()
        .filter(is_fed)
        .map(|(_, parent)| parent)
        .collect();
    let mut steps = Vec::new();
    // Whoever could not attach for long is tried again, after the others: it must not keep them waiting.
    let wanted = parents
        .into_iter()
        .filter(|(m, _)| view.wanted(m) && !stays_out(view, m));
    let (overdue, others): (Vec<_>, Vec<_>) = wanted.partition(|(m, _)| overdue(view, m));
    let mut waits = !overdue.is_empty() || awaits_a_look(view, facts) || is_orphan_there(view);
    for (child, parent) in others.into_iter().chain(overdue) {
        let (Some(child_facts), Some(parent_facts)) = (child.facts(), parent.facts()) else {
            continue;
        };
        let entered = child.identity().is_some_and(|i| view.elector(&i).is_some());
        let may_follow = entered || !parent.is(master) || !rules::holds(Rule::EnterFirst);
        let deleting = child.pod.as_ref().is_none_or(|p| p.deleting);
        if child_facts.loading.is_some()
            || deleting
            || !may_follow
            || hangs_right(view, child, child_facts, parent, parent_facts)
        {
            waits |= child_facts.loading.is_some();
            continue;
        }
        if !is_partial(child_facts, parent_facts) {
            let of_parent = running.iter().filter(|p| p.is(parent)).count();
            if of_parent >= FULL_RESYNCS || running.len() >= FULL_RESYNCS_OF_ALL {
                waits = true;
                continue;
            }
            running.push(parent);
        }
        if let (Some(child), Some(parent)) = (target(child), target(parent)) {
            steps.push(Step::Attach {
                child,
                parent,
                epoch: view.authority.epoch,
            });
        }
    }
    if steps.is_empty() && awaits_a_look(view, facts) {
        steps = younger_looks(view, facts);
    }
    Roles {
        waits: waits || !running.is_empty(),
        steps,
        ..Roles::default()
    }
}

/// Whether a pod of a tier is without a stream, and somebody of the core may come to be its parent: no event tells of that.
fn is_orphan_there(view: &View) -> bool {
    let is_orphan = |m: &Member| m.facts().is_some_and(|f| f.loading.is_none() && !sync::linked(f));
    let may_hang = |m: &&Member| !m.is_core() && view.wanted(m) && !stays_out(view, m);
    view.others().next().is_some() && view.replicas().filter(may_hang).any(is_orphan)
}

/// Looks at replicas whose last look is older than the one at the master. Looks at all of them come at the same
/// interval and keep their distance: without this, one that is always looked at just before the master may never vote.
pub(super) fn younger_looks(view: &View, master: &Facts) -> Vec<Step> {
    let older = |f: &Facts| sync::linked(f) && f.replid == master.replid && f.asked_at < master.answered_at;
    let offset = master.offset;
    view.others()
        .filter(|m| m.facts().is_some_and(older))
        .filter_map(target)
        .map(|to| Step::CatchUp { to, offset })
        .collect()
}

/// Whether somebody is to vote or to leave as soon as a look at a replica is younger than the one at the master. No event
/// tells of that.
fn awaits_a_look(view: &View, master: &Facts) -> bool {
    let gone = |e: &Elector| !is_known(view, e) || is_dead(view, e) || silent::for_long(view, e, master);
    let unsettled = |e: &Elector| e.learner || gone(e) || view.is_fenced(&e.name);
    let unsettled = view.authority.electors.iter().any(unsettled);
    unsettled && view.others().filter_map(Member::facts).any(sync::linked)
}

/// Whether a replica receives a full resync from its parent, or will as soon as its link is up: after an attach Redis says
/// for a moment only that the link is down.
fn takes_full(view: &View, member: &Member, parent: &Member, facts: &Facts) -> bool {
    let Some(own) = member.facts() else { return false };
    let Some(link) = own.replica_link() else { return false };
    let begins = !link.up && !is_partial(own, facts) && view.attached(own, parent, facts, &member.name);
    link.syncing || begins && (tried(own, facts) || !overdue(view, member))
}

/// Whether the child was attached since it was last looked at: an attach looks at the parent last.
pub(super) fn tried(child: &Facts, parent: &Facts) -> bool {
    child.asked_at < parent.answered_at
}

/// Whether a replica's link has been down for so long that its attach is to be tried again.
fn overdue(view: &View, member: &Member) -> bool {
    let long_ago = |since: Timestamp| view.since(since) >= RETRY_LINK;
    let known = view.observed.status.members.iter().find(|m| m.name == member.name);
    let attached = member.facts().and_then(|f| view.observed.attached.get(&f.run_id));
    known.is_some_and(|m| m.state == MemberState::LinkDown && long_ago(m.since.0))
        && attached.is_none_or(|at| long_ago(*at))
}

/// Whether the resync is a partial one: the history is one that the parent can go on with, and what is missing is kept there.
fn is_partial(child: &Facts, parent: &Facts) -> bool {
    let kept = |backlog: &Backlog| child.offset.saturating_add(1) >= backlog.from;
    continues(child, parent) && parent.backlog.as_ref().is_none_or(kept)
}

/// Whether the replica's own history is one that the parent can go on with, so that the resync is partial.
pub(super) fn continues(child: &Facts, parent: &Facts) -> bool {
    let before = parent.replid2.as_ref() == Some(&child.replid);
    child.replid == parent.replid || before && parent.second_offset.is_some_and(|end| child.offset < end)
}

fn hangs_right(view: &View, child: &Member, child_facts: &Facts, parent: &Member, facts: &Facts) -> bool {
    if !view.attached(child_facts, parent, facts, &child.name) {
        return false;
    }
    let up = child_facts.replica_link().is_some_and(|link| link.up || link.syncing);
    up || tried(child_facts, facts) || !overdue(view, child)
}
