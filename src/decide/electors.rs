//! The electors: whose acknowledgement counts, and who may enter or leave their list.
//!
//! A pod enters before it is attached, and votes once it holds everything. One leaves only when it can confirm nothing any
//! more, or has ended, and enough of the others hold everything. Who is attached to whom is decided in `replicas`.

use super::rules::{self, Rule};
use super::view::{View, target};
use super::{divergence, fate, lineage, links, silent, sync};
use crate::api::status::{Elector, Identity};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};

/// An elector whose volume is gone, or on whose volume another process answers, is locked out before that enters or another
/// pod of its name is attached: its old process may live on a node that nobody reaches, and would go on to acknowledge
/// under that name. So is one that is silent for long, before it leaves.
pub(super) fn lost(view: &View, master: &Member, facts: &Facts) -> Option<Step> {
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
pub(super) fn decide(view: &View, facts: &Facts) -> Option<Step> {
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

/// Whether somebody who began anew is still to enter again.
pub(super) fn enter_again(view: &View) -> bool {
    let wanted = view.others().filter(|m| view.wanted(m) && !stays_out(view, m));
    let entered = wanted.filter_map(|m| Some((view.elector(&m.identity()?)?, m)));
    entered.into_iter().any(|(entry, m)| is_due_again(view, entry, m))
}

/// Whether somebody is to vote or to leave as soon as a look at a replica is younger than the one at the master. No event
/// tells of that.
pub(super) fn await_a_look(view: &View, master: &Facts) -> bool {
    let gone = |e: &Elector| !is_known(view, e) || is_dead(view, e) || silent::for_long(view, e, master);
    let unsettled = |e: &Elector| e.learner || gone(e) || view.is_fenced(&e.name);
    let unsettled = view.authority.electors.iter().any(unsettled);
    unsettled && view.others().filter_map(Member::facts).any(sync::linked)
}
