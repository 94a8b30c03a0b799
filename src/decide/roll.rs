//! How far a rolling update or a restart is and what it waits for, for status, its condition and its events.

use super::objects::Wanted;
use super::requests::restart;
use super::settings::Settings;
use super::switchover::{self, To};
use super::view::View;
use super::{revision, update};
use crate::api::status::{RedisReplicaSetStatus, UpdateStatus};
use crate::api::{ConditionType, Reason, UpdateStrategy};
use crate::model::observed::Member;
use crate::model::plan::Note;

/// A rolling update, or that there is none.
#[derive(Debug)]
pub(super) struct Roll<'a> {
    /// What every pod is to be made with; empty if spec can not be rendered.
    pub revision: String,
    /// Number of pods.
    pub total: usize,
    /// Pods that are still to be made anew, by ordinal.
    pub left: Vec<&'a Member>,
    /// The one that the operator makes anew next.
    pub next: Option<&'a Member>,
    /// What is waited for.
    pub waits: Option<Wait<'a>>,
    /// The restart that it is for, if it is for nothing else.
    pub restart: Option<&'a str>,
}

/// What a roll waits for.
#[derive(Debug)]
pub(super) enum Wait<'a> {
    /// This pod is to be in sync.
    Sync(&'a Member),
    /// A replica is to be one that may take over from this pod.
    Successor(&'a Member),
    /// A person is to approve of the master.
    Approval,
    /// A person is to delete what is left.
    Deletion,
}

impl<'a> Roll<'a> {
    pub fn of(view: &View<'a>, wanted: &Wanted, settings: &Settings) -> Self {
        let outdated = revision::outdated(view, wanted, settings);
        let due = revision::due(view, &outdated);
        let restart = restart::under_way(view).filter(|_| outdated.is_empty());
        let is_left = |m: &&Member| [&outdated, &due].into_iter().flatten().any(|o| o.is(m));
        let left: Vec<_> = view.observed.members.iter().filter(is_left).collect();
        let next = update::next(view, &due);
        let by_hand = due.is_empty() && view.cluster.spec.update.strategy == UpdateStrategy::OnDelete;
        let waits = if !left.is_empty() && by_hand {
            Some(Wait::Deletion)
        } else if !left.is_empty() || is_on(&view.observed.status) {
            // The last pod is awaited too.
            let nobody = (!left.is_empty() && due.is_empty()).then_some(Wait::Approval);
            let master = view.master().filter(|_| view.serving().is_none());
            let held_up = update::awaited(view, next).or(master).map(Wait::Sync);
            held_up.or_else(|| no_successor(view, next)).or(nobody)
        } else {
            None
        };
        Self {
            revision: revision::wanted(view).unwrap_or_default(),
            total: view.observed.members.len(),
            left,
            next,
            waits,
            restart,
        }
    }

    /// Whether pods are being made anew, or the last one is awaited.
    pub fn is_on(&self) -> bool {
        !self.left.is_empty() || self.waits.is_some()
    }

    pub fn updated(&self) -> usize {
        self.total.saturating_sub(self.left.len())
    }

    pub fn status(&self) -> UpdateStatus {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        UpdateStatus {
            revision: self.revision.clone(),
            updated: count(self.updated()),
            total: count(self.total),
            waiting_for: match &self.waits {
                Some(Wait::Sync(member)) => format!("{} to be in sync", member.name),
                Some(Wait::Successor(member)) => format!("a replica that can take over from {}", member.name),
                Some(Wait::Approval) => format!("approve-update: {}", self.revision),
                Some(Wait::Deletion) => "a person to delete pods".to_owned(),
                None => String::new(),
            },
        }
    }

    /// How far it is and what comes next.
    pub fn progress(&self) -> String {
        let far = match self.restart {
            Some(value) => format!("{} pods are to be made anew for restart={value}", self.left.len()),
            None => format!(
                "{} of {} pods at revision {}",
                self.updated(),
                self.total,
                self.revision
            ),
        };
        match (&self.waits, self.next) {
            (Some(Wait::Sync(member)), _) => format!("{far}; waits for {} to be in sync", member.name),
            (Some(Wait::Successor(member)), _) => format!(
                "{far}; no replica can take over from {} now: switchover-dry-run=any@1 says why",
                member.name
            ),
            (_, Some(next)) => format!("{far}; next {}", next.name),
            (_, None) => far,
        }
    }

    /// What is said of a pod that holds it up.
    pub fn stopped(&self, words: &str) -> String {
        match self.restart {
            _ if !self.is_on() => words.to_owned(),
            Some(value) => format!("{words}; restart={value} waits for it"),
            None => format!("{words}; the roll stopped, put the spec back to undo"),
        }
    }
}

/// A master that is next and has replicas, none of which may take over: without the reasons, which have numbers that move.
fn no_successor<'a>(view: &View<'a>, next: Option<&'a Member>) -> Option<Wait<'a>> {
    let (master, facts, _) = view.serving()?;
    let next = next.filter(|next| next.is(master))?;
    view.others().next()?;
    let chosen = switchover::choose(view, facts, To::Any);
    chosen.is_err().then_some(Wait::Successor(next))
}

/// Whether status says that one is under way.
fn is_on(status: &RedisReplicaSetStatus) -> bool {
    let update = status.update.as_ref();
    update.is_some_and(|u| u.updated < u.total || !u.waiting_for.is_empty())
}

/// What people should be told of it: that it began, that a pod stopped it, that it is done.
pub(super) fn told(old: &RedisReplicaSetStatus, new: &RedisReplicaSetStatus, roll: &Roll) -> Option<Note> {
    let condition = |status: &'_ RedisReplicaSetStatus| {
        let kind = ConditionType::UpToDate.as_str();
        let found = status.conditions.iter().find(|c| c.type_ == kind);
        found.map(|c| (c.reason.clone(), c.message.clone()))
    };
    let (before, now) = (condition(old), condition(new)?);
    let stops = [
        Reason::PodNotReady,
        Reason::ImagePullFailed,
        Reason::Unschedulable,
        Reason::PvcPending,
    ];
    let is_stopped = stops.iter().any(|reason| reason.as_str() == now.0) && before.is_none_or(|b| b.0 != now.0);
    let (warning, reason, message) = match (is_on(old), is_on(new)) {
        (true, true) if is_stopped => (true, "RollStopped", now.1),
        (false, true) => (false, "RollStarted", roll.progress()),
        (true, false) => {
            let message = format!("{} pods are at revision {}", roll.total, roll.revision);
            (false, "RollDone", message)
        }
        _ => return None,
    };
    Some(Note {
        warning,
        reason,
        action: "Update",
        message,
    })
}
