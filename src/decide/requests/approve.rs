//! `approve-update`: with `update.strategy: Supervised` the master waits for it, and it names what is approved.

use super::super::revision;
use super::super::view::View;
use super::{Answer, Kind, News, known, parts, refused, unanswered};
use crate::api::UpdateStrategy;
use crate::api::status::Outcome;

const APPROVE: &str = "approve-update";

pub(super) const KIND: Kind = Kind {
    name: APPROVE,
    action: "Update",
    news,
};

/// Whether the revision that is wanted now was approved.
pub(in crate::decide) fn is_given(view: &View) -> bool {
    let given = known(view, APPROVE).filter(|r| r.outcome == Outcome::Done);
    let named = given.and_then(|r| parts(&r.value)).map(|(revision, _)| revision);
    named.is_some() && named == revision::wanted(view).as_deref()
}

fn news<'a>(view: &View<'a>) -> Option<News<'a>> {
    let value = unanswered(view, APPROVE)?;
    Some((value, answer(view, value)?))
}

/// Nothing while spec can not be rendered: then there is no revision that could be meant.
fn answer(view: &View, value: &str) -> Option<Answer> {
    let Some((named, _)) = parts(value) else {
        let why = "an approval is the revision that status.update has, with @ID of at most 64 letters, digits and ._:-";
        return Some(refused("Malformed", why));
    };
    let strategy = view.cluster.spec.update.strategy;
    if strategy != UpdateStrategy::Supervised {
        let why = format!("update.strategy is {strategy}: nothing waits for an approval");
        return Some(refused("NotSupervised", why));
    }
    let wanted = revision::wanted(view)?;
    Some(if named == wanted {
        let message = format!("the master may be made anew at revision {wanted}");
        (Outcome::Done, "", message)
    } else {
        let why = format!("the wanted revision is {wanted}");
        refused("OtherRevision", why)
    })
}
