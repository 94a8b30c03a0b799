//! `discard`: POD@EPOCH, as the condition gives it. What only this pod has may go with its next resync.

use super::super::divergence;
use super::super::view::View;
use super::{Kind, News, pod_at_epoch, refused, running, unanswered};
use crate::api::status::Outcome;
use crate::model::redis::RoleState;

pub(super) const KIND: Kind = Kind {
    name: NAME,
    action: "Demote",
    news,
};

const NAME: &str = "discard";

/// Whether what only this pod has may go. Status says so first: else it could not be told later that it was done.
pub(in crate::decide) fn is_let_go(view: &View, pod: &str) -> bool {
    running(view, NAME)
        .and_then(pod_at_epoch)
        .is_some_and(|(name, _)| name == pod)
}

/// What is new about it.
fn news<'a>(view: &View<'a>) -> Option<News<'a>> {
    if let Some(value) = running(view, NAME) {
        let (pod, _) = pod_at_epoch(value)?;
        let waits = |state: RoleState| state == RoleState::Fenced;
        let member = view.observed.member(pod);
        let is_done = member.is_none_or(|m| m.facts().is_some_and(|f| f.loading.is_none() && !waits(f.state())));
        let done = || {
            (
                Outcome::Done,
                "",
                format!("{pod} is a replica again, with the data of the set"),
            )
        };
        return is_done.then(|| (value, done()));
    }
    let value = unanswered(view, NAME)?;
    let Some((pod, epoch)) = pod_at_epoch(value) else {
        return Some((value, refused("Malformed", "POD@EPOCH, as the condition gives it")));
    };
    let now = view.authority.epoch;
    if epoch != now {
        let why = format!("the set is in epoch {now}: the condition names what is held now");
        return Some((value, refused("WrongEpoch", why)));
    }
    let member = view.observed.member(pod);
    let answer = match member.and_then(|m| divergence::held(view, m)) {
        Some(bytes) => (
            Outcome::Running,
            "",
            format!("{pod} {bytes}; its next resync drops them"),
        ),
        None => refused(
            "NothingHeld",
            format!("{pod} is not held with anything that only it has"),
        ),
    };
    Some((value, answer))
}
