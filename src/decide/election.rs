//! Who may take over: electors, their votes, and the pod whose data nobody exceeds.
//!
//! A vote is a detach: a position counts only when it was read of a pod that follows nobody, so that it confirms nothing
//! any more. A write confirmed by k replicas is held by k + 1 electors; so among all but k of them at least one holds it. Who entered
//! and has acknowledged nothing since is none of those that do.

use super::draining;
use super::emptiness;
use super::fate;
use super::hold::Hold;
use super::lineage::{self, Position};
use super::priority;
use super::rules::{self, Rule};
use super::view::{View, supported};
use crate::api::status::{Elector, Positions};
use crate::model::observed::Member;
use crate::model::redis::{Facts, RoleState};

/// The state of an election.
#[derive(Debug)]
pub(super) struct Election<'a> {
    /// Who can hold a confirmed write.
    electors: usize,
    /// Votes that are needed.
    needed: usize,
    /// Votes that were read.
    votes: Vec<Vote<'a>>,
    /// Electors that hold nothing confirmed since they entered.
    with_nothing: usize,
    /// Electors without a vote, each with the reason.
    missing: Vec<String>,
}

/// What an elector says.
enum Ballot<'a> {
    /// It holds this.
    Position(Vote<'a>),
    /// It has confirmed nothing since it entered, and never wins.
    Nothing,
}

/// A pod that follows nobody, and what it holds.
#[derive(Debug)]
struct Vote<'a> {
    member: &'a Member,
    facts: &'a Facts,
    position: Position,
}

/// Votes that are needed of so many electors: with fewer, a write confirmed by `wait` replicas may be on none of them.
pub(super) fn needed(electors: usize, wait: usize) -> usize {
    let wait = if rules::holds(Rule::AllButK) { wait } else { electors };
    electors.saturating_sub(wait).min(electors.saturating_sub(1)).max(1)
}

/// Counts what was read.
pub(super) fn count<'a>(view: &View<'a>) -> Election<'a> {
    if !rules::holds(Rule::VoteIsADetach) {
        return prospect(view);
    }
    poll(view, |facts| facts.state() == RoleState::Fenced)
}

/// What a detach of everybody who answers, the master aside, would give: without enough votes nobody is detached.
pub(super) fn prospect<'a>(view: &View<'a>) -> Election<'a> {
    poll(view, |facts| {
        matches!(facts.state(), RoleState::Fenced | RoleState::Attached { .. })
    })
}

/// As [`prospect`], beside a source: it takes no writes, and who takes in what it has confirms nothing by that.
pub(super) fn around<'a>(view: &View<'a>, source: &Facts) -> Election<'a> {
    poll(view, |facts| match facts.state() {
        RoleState::Fenced | RoleState::Attached { .. } => true,
        RoleState::Bare => facts.run_id == source.run_id,
        RoleState::Armed { .. } => false,
    })
}

fn poll<'a>(view: &View<'a>, counts: impl Fn(&Facts) -> bool) -> Election<'a> {
    let electors = &view.authority.electors;
    let (mut votes, mut with_nothing, mut missing) = (Vec::new(), 0, Vec::new());
    for elector in electors {
        match vote(view, elector, &counts) {
            Ok(Ballot::Position(vote)) => votes.push(vote),
            Ok(Ballot::Nothing) => with_nothing += 1,
            Err(why) => missing.push(format!("{} ({why})", elector.name)),
        }
    }
    Election {
        electors: electors.len(),
        needed: needed(electors.len(), view.wait()),
        votes,
        with_nothing,
        missing,
    }
}

fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn of_volume<'a>(view: &View<'a>, elector: &Elector) -> Option<&'a Member> {
    let mut members = view.observed.members.iter();
    members.find(|m| m.claim.as_ref().is_some_and(|c| c.uid == elector.volume))
}

fn vote<'a>(view: &View<'a>, elector: &Elector, counts: impl Fn(&Facts) -> bool) -> Result<Ballot<'a>, String> {
    let member = of_volume(view, elector).ok_or("its volume is gone")?;
    let facts = member.facts().ok_or("does not answer")?;
    // It can not be detached. But a master that has ended confirms nothing any more, whatever is loaded.
    if facts.loading.is_some() {
        let nothing = has_confirmed_nothing(elector, facts) && fate::has_master_ended(view);
        return nothing
            .then_some(Ballot::Nothing)
            .ok_or_else(|| "loads its data".into());
    }
    if !counts(facts) {
        return Err("is not detached".into());
    }
    if has_confirmed_nothing(elector, facts) {
        return Ok(Ballot::Nothing);
    }
    if elector.learner && rules::holds(Rule::LearnersDoNotVote) {
        return Err("does not hold everything yet".into());
    }
    let position = lineage::position(view, facts).ok_or("started from its own file, or lost its data")?;
    Ok(Ballot::Position(Vote {
        member,
        facts,
        position,
    }))
}

/// Whether a learner has acknowledged nothing since it entered: it still has the id of its own with which it did. Another process
/// in its place has another one, and so has who took in a stream.
fn has_confirmed_nothing(elector: &Elector, facts: &Facts) -> bool {
    let unchanged = elector.entered_with.as_ref() == Some(&facts.replid);
    elector.learner && (unchanged || !rules::holds(Rule::NothingSinceItEntered))
}

impl<'a> Election<'a> {
    /// Whether so many votes were read that no confirmed write is missing among them.
    pub fn suffices(&self) -> bool {
        self.any_known() && self.read() >= self.needed
    }

    fn read(&self) -> usize {
        self.votes.len() + self.with_nothing
    }

    /// Whether any position at all is known. None is after a restart of everybody.
    pub fn any_known(&self) -> bool {
        !self.votes.is_empty()
    }

    /// The numbers, for the report.
    pub fn positions(&self) -> Positions {
        Positions {
            electors: number(self.electors),
            needed: number(self.needed),
            read: number(self.read()),
        }
    }

    /// Why it does not suffice.
    pub fn hold(&self) -> Hold {
        Hold::PositionsMissing {
            read: self.read(),
            needed: self.needed,
            missing: self.missing.join(", "),
        }
    }

    /// Why the master's file does not stand in for the votes that are missing.
    pub fn hold_beside_a_file(&self, view: &View) -> Hold {
        Hold::MayBeOutlived {
            pod: view
                .authority
                .master
                .as_ref()
                .map_or_else(String::new, |m| m.name.clone()),
            read: self.read(),
            needed: self.needed,
            missing: self.missing.join(", "),
        }
    }

    /// The pod that takes over: nobody's position is larger, and it may be master.
    pub fn winner(&self, view: &View) -> Result<(&'a Member, &'a Facts), Hold> {
        let Some(best) = self.votes.iter().map(|v| v.position).max() else {
            return Err(Hold::NoCandidate(self.missing.join(", ")));
        };
        let is_best = |v: &&Vote| v.position == best || !rules::holds(Rule::NobodyBelowTheLargest);
        let mut equal: Vec<_> = self.votes.iter().filter(|v| is_best(v)).collect();
        equal.sort_by_key(|v| {
            let priority = priority::of(view, v.member);
            (
                !view.wanted(v.member),
                !aof_complete(v.facts),
                draining::of(v.member),
                priority,
                v.member.ordinal,
            )
        });
        let eligible = equal.iter().find(|v| may_be_master(view, v).is_none());
        let winner = eligible.map(|v| (v.member, v.facts)).ok_or_else(|| {
            if let Some(hold) = self.unelectable(view) {
                return hold;
            }
            let why = |v: &&&Vote| may_be_master(view, v).map(|why| (v.member.name.clone(), why));
            let (pod, why) = equal.iter().find_map(|v| why(&v)).unwrap_or_default();
            Hold::BestNotEligible { pod, why }
        })?;
        let refusal = emptiness::of_winner(view, winner.0, winner.1);
        match refusal.filter(|_| rules::holds(Rule::NobodyEmptyWins)) {
            Some(refusal) => Err(refusal),
            None => Ok(winner),
        }
    }
}

impl<'a> Election<'a> {
    /// Who has the most, if nobody who may be master has as much, and if it can give what it has to others.
    pub fn source(&self, view: &View) -> Option<(&'a Member, &'a Facts)> {
        let best = self.votes.iter().map(|v| v.position).max()?;
        let mut equal = self.votes.iter().filter(|v| v.position == best);
        if equal.clone().any(|v| may_be_master(view, v).is_none()) {
            return None;
        }
        let gives = |v: &&Vote| !view.is_fenced(&v.member.name) && !view.is_master(v.member) && supported(v.facts);
        equal.find(gives).map(|v| (v.member, v.facts))
    }

    /// Whether nobody has more than a member.
    pub fn is_best(&self, member: &Member) -> bool {
        let of = |v: &&Vote| v.member.is(member);
        let own = self.votes.iter().find(of).map(|v| v.position);
        own.is_some() && own == self.votes.iter().map(|v| v.position).max()
    }

    /// Those with a vote who may be master.
    pub fn eligible(&self, view: &View) -> impl Iterator<Item = (&'a Member, &'a Facts)> {
        let votes = self.votes.iter().filter(|v| may_be_master(view, v).is_none());
        votes.map(|v| (v.member, v.facts))
    }

    /// Those with a vote but one.
    pub fn others(&self, one: &Member) -> impl Iterator<Item = (&'a Member, &'a Facts)> {
        let votes = self.votes.iter().filter(move |v| !v.member.is(one));
        votes.map(|v| (v.member, v.facts))
    }
}

impl Election<'_> {
    /// By spec nobody of those with a vote may become master.
    pub fn unelectable(&self, view: &View) -> Option<Hold> {
        let never = |v: &Vote| priority::forbids(view, v.member).is_some();
        let names = || self.votes.iter().map(|v| v.member.name.clone()).collect();
        (self.any_known() && self.votes.iter().all(never)).then(|| Hold::OnlyUnelectable { pods: names() })
    }

    /// Why none of those with a vote could win, if so. Who has the most shows only when they are detached, and what they have
    /// says nothing while it still changes.
    pub fn hopeless(&self, view: &View) -> Option<Hold> {
        let refusal = |v: &Vote| may_be_master(view, v).map(|why| format!("{} {why}", v.member.name));
        let refusals: Option<Vec<_>> = self.votes.iter().map(refusal).collect();
        let refusals = refusals.filter(|_| self.any_known())?;
        let by_spec = self.unelectable(view);
        Some(by_spec.unwrap_or_else(|| Hold::NoCandidate(refusals.join(", "))))
    }
}

/// After a full resync the file on disk is the old one until a rewrite has ended.
pub(super) fn aof_complete(facts: &Facts) -> bool {
    !facts.aof.rewrite_in_progress && !facts.aof.rewrite_scheduled
}

/// Why a pod may not be master, if so.
fn may_be_master(view: &View, vote: &Vote) -> Option<String> {
    if view.is_fenced(&vote.member.name) {
        return Some("is fenced by request".into());
    }
    if !vote.member.is_core() {
        return Some(format!(
            "is of tier {}, whose pods never become master",
            vote.member.tier
        ));
    }
    if let Some(why) = priority::forbids(view, vote.member) {
        return Some(why.to_owned());
    }
    if !supported(vote.facts) {
        return Some(format!(
            "runs {:?} {}, which is too old",
            vote.facts.engine, vote.facts.version
        ));
    }
    vote.member
        .pod
        .as_ref()
        .is_none_or(|p| p.deleting)
        .then(|| "is being deleted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn all_but_k_are_needed_and_never_the_dead_master_itself() {
        let table = [
            (1, 0, 1),
            (2, 1, 1),
            (3, 1, 2),
            (4, 2, 2),
            (5, 2, 3),
            (2, 0, 1),
            (3, 0, 2),
            (1, 1, 1),
        ];
        for (electors, wait, want) in table {
            assert_eq!(needed(electors, wait), want, "{electors} electors, WAIT {wait}");
        }
    }
}
