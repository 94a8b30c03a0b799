//! `switchover` and `switchover-dry-run`: a planned change of the master, and what it would do.

use super::super::roles::Roles;
use super::super::switchover::{self, To};
use super::super::view::View;
use super::{Answer, Kind, News, is_letter, known, parts, refused, running, unanswered};
use crate::api::status::{FailoverReport, OperationReason, Outcome};
use crate::model::redis::Facts;

const SWITCHOVER: &str = "switchover";
const DRY_RUN: &str = "switchover-dry-run";

pub(super) const KINDS: [Kind; 2] = [
    Kind {
        name: SWITCHOVER,
        action: "Switchover",
        news,
    },
    Kind {
        name: DRY_RUN,
        action: "Switchover",
        news: dry_run,
    },
];

/// Begins a switchover that was asked for.
pub(super) fn decide(view: &View, master: &Facts) -> Option<Roles> {
    let value = unanswered(view, SWITCHOVER)?;
    if report(view, value).is_some() {
        return None;
    }
    let target = switchover::choose(view, master, target(value).ok()?).ok()?;
    let reason = OperationReason::Requested;
    Some(switchover::begin(view, target, reason, Some(value.to_owned())))
}

/// Who is meant, or why that can not be understood.
fn target(value: &str) -> Result<To<'_>, String> {
    const FORM: &str =
        "a switchover is any, a pod's name or zone:NAME, with @ID of at most 64 letters, digits and ._:-";
    let whom = parts(value)
        .map(|(whom, _)| whom)
        .filter(|whom| !whom.is_empty() && whom.chars().all(is_letter));
    match whom {
        None | Some("zone:") => Err(FORM.to_owned()),
        Some("any") => Ok(To::Any),
        Some(whom) => Ok(whom.strip_prefix("zone:").map_or(To::Pod(whom), To::Zone)),
    }
}

/// The report of a request. One that ended before status knew of the last request is of an earlier one in the same words.
fn report<'a>(view: &'a View, value: &str) -> Option<&'a FailoverReport> {
    let since = known(view, SWITCHOVER).map(|r| r.at.0);
    let mut reports = view.authority.failovers.iter();
    reports.find(|r| r.request_id.as_deref() == Some(value) && since.is_none_or(|since| r.finished_at.0 >= since))
}

/// What is new about a switchover.
fn news<'a>(view: &View<'a>) -> Option<News<'a>> {
    let begun = running(view, SWITCHOVER);
    let value = begun.or_else(|| unanswered(view, SWITCHOVER))?;
    if let Some(report) = report(view, value) {
        return Some((value, (Outcome::Done, "", report.message.clone())));
    }
    if let Some(under_way) = view.authority.operation.as_ref() {
        let new = begun.is_none() && under_way.request_id.as_deref() == Some(value);
        let message = || format!("{} takes over", under_way.to);
        return new.then(|| (value, (Outcome::Running, "", message())));
    }
    if begun.is_some() {
        let why = "the target could not take over in time: a switchover is done whole or not at all";
        return Some((value, refused("GivenUp", why)));
    }
    let answer = choice(view, value).err()?;
    Some((value, answer))
}

/// What a switchover would do now.
fn dry_run<'a>(view: &View<'a>) -> Option<News<'a>> {
    let value = unanswered(view, DRY_RUN)?;
    if view.authority.operation.is_some() {
        return None;
    }
    let from = view.authority.master.as_ref().map_or("", |m| m.name.as_str());
    let answer = match choice(view, value) {
        Ok(to) => (
            Outcome::Done,
            "",
            format!("{to} would take over from {from}; nothing was changed"),
        ),
        Err(answer) => answer,
    };
    Some((value, answer))
}

/// Who would take over, or the answer to a request that can not be followed.
fn choice(view: &View, value: &str) -> Result<String, Answer> {
    let to = target(value).map_err(|why| refused("Malformed", why))?;
    let (_, facts, _) = view.serving().ok_or_else(|| {
        let why = "the master does not serve: a hand-over needs one that does";
        refused("MasterUnreachable", why)
    })?;
    let member = switchover::choose(view, facts, to).map_err(|why| refused("TargetUnfit", why))?;
    Ok(member.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_any_a_pod_or_a_zone_with_an_id_or_without() {
        assert!(matches!(target("any"), Ok(To::Any)));
        assert!(matches!(target("any@inc-4711"), Ok(To::Any)));
        assert!(matches!(target("cache-2@a.b:c_d"), Ok(To::Pod("cache-2"))));
        assert!(matches!(target("zone:eu-1a@7"), Ok(To::Zone("eu-1a"))));
        for wrong in ["", "@1", "any@", "any@a b", "zone:", "zone:@1", "a b", "any@1@2"] {
            assert!(target(wrong).is_err(), "{wrong:?}");
        }
    }
}
