//! `restart`: pods are made anew as in a rolling update, replicas one by one and the master last, by a switchover.
//!
//! While one is being done the pod template carries it, and so does every pod made since: who lacks it is still due. No
//! clock is compared with another.

use super::super::sync;
use super::super::view::View;
use super::{Answer, Kind, News, is_letter, parts, refused, running, unanswered};
use crate::api::status::{MemberState, Outcome};
use crate::model::observed::Member;

const RESTART: &str = "restart";

pub(super) const KIND: Kind = Kind {
    name: RESTART,
    action: "Update",
    news,
};

/// Whose pods are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom<'a> {
    /// Everybody's.
    All,
    /// Those of the replicas: of whoever is one when its turn comes.
    Replicas,
    /// Those of a tier.
    Tier(&'a str),
    /// This one.
    Pod(&'a str),
}

/// The request that is being done, unless another one is to take its place.
pub(in crate::decide) fn under_way<'a>(view: &View<'a>) -> Option<&'a str> {
    running(view, RESTART).filter(|_| unanswered(view, RESTART).is_none())
}

/// Whether a pod is still to be made anew for the request that is being done.
pub(in crate::decide) fn is_due(view: &View, member: &Member) -> bool {
    let asked = under_way(view).and_then(|value| Some((value, whom(value).ok()?)));
    // A pod of a tier that is not in spec any more goes, and is not made anew.
    let stays = view.cluster.tiers().any(|tier| tier.name == member.tier);
    stays
        && asked.is_some_and(|(value, whom)| {
            member.pod.is_some() && is_meant(view, member, whom) && !is_anew(member, value)
        })
}

fn is_meant(view: &View, member: &Member, whom: Whom) -> bool {
    match whom {
        Whom::All => true,
        Whom::Replicas => !view.is_master(member),
        Whom::Tier(tier) => member.tier == tier,
        Whom::Pod(name) => member.name == name,
    }
}

fn is_anew(member: &Member, value: &str) -> bool {
    member.pod.as_ref().and_then(|p| p.restart.as_deref()) == Some(value)
}

/// Who is meant, or why that can not be understood.
fn whom(value: &str) -> Result<Whom<'_>, String> {
    let whom = parts(value)
        .map(|(whom, _)| whom)
        .filter(|whom| !whom.is_empty() && whom.chars().all(is_letter));
    match whom {
        None => Err(
            "a restart is all, replicas, tier:NAME or a pod's name, with @ID of at most 64 letters, digits and ._:-"
                .into(),
        ),
        Some("all") => Ok(Whom::All),
        Some("replicas") => Ok(Whom::Replicas),
        Some(name) => Ok(name.strip_prefix("tier:").map_or(Whom::Pod(name), Whom::Tier)),
    }
}

/// What is new about a restart. A new one takes the place of one that is being done: a person's last word counts.
fn news<'a>(view: &View<'a>) -> Option<News<'a>> {
    if let Some(value) = unanswered(view, RESTART) {
        return Some((value, begin(view, value)));
    }
    let value = under_way(view)?;
    end(view, value).map(|answer| (value, answer))
}

fn begin(view: &View, value: &str) -> Answer {
    let given_up = running(view, RESTART).map_or_else(String::new, |before| {
        format!("; {RESTART}={before}, which was being done, is given up")
    });
    let whom = match whom(value) {
        Ok(whom) => whom,
        Err(why) => return refused("Malformed", why + &given_up),
    };
    if let Some(why) = nobody(view, whom) {
        return refused("TargetUnfit", why + &given_up);
    }
    let message = match whom {
        Whom::All => "every pod is made anew, one at a time, the master last".to_owned(),
        Whom::Replicas => "every replica is made anew, one at a time".to_owned(),
        Whom::Tier(tier) => format!("every pod of tier {tier} is made anew, one at a time"),
        Whom::Pod(name) => format!("{name} is made anew"),
    };
    (Outcome::Running, "", message)
}

/// Why there is nobody to be made anew, if so.
fn nobody(view: &View, whom: Whom) -> Option<String> {
    let somebody = view.observed.members.iter().any(|m| is_meant(view, m, whom));
    (!somebody).then(|| match whom {
        Whom::All => "the set has no pod".to_owned(),
        Whom::Replicas => "the set has no replica".to_owned(),
        Whom::Tier(tier) => format!("no pod of this set is of a tier {tier}"),
        Whom::Pod(name) => format!("no pod of this set is called {name}"),
    })
}

/// The answer once everybody who is meant was made anew and follows or serves.
fn end(view: &View, value: &str) -> Option<Answer> {
    let whom = whom(value).ok()?;
    if let Some(why) = nobody(view, whom) {
        return Some(refused("TargetUnfit", why));
    }
    let meant: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| is_meant(view, m, whom))
        .collect();
    let is_back = |m: &&Member| matches!(sync::state(view, m), MemberState::InSync | MemberState::Serving);
    let done = meant.iter().all(|m| is_anew(m, value) && is_back(m));
    done.then(|| {
        let count = meant.len();
        let pods = match (whom, count) {
            (Whom::Pod(name), _) => format!("{name} was"),
            (_, 1) => "1 pod was".to_owned(),
            (_, _) => format!("{count} pods were"),
        };
        (Outcome::Done, "", format!("{pods} made anew"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_of_all_of_the_replicas_or_of_one_pod() {
        assert_eq!(whom("all"), Ok(Whom::All));
        assert_eq!(whom("all@2026-11-28"), Ok(Whom::All));
        assert_eq!(whom("replicas@a"), Ok(Whom::Replicas));
        assert_eq!(whom("cache-2@a"), Ok(Whom::Pod("cache-2")));
        assert_eq!(whom("tier:edge@a"), Ok(Whom::Tier("edge")));
        for wrong in ["", "@1", "all@", "all@a b", "a b", "all@1@2", "a,b"] {
            assert!(whom(wrong).is_err(), "{wrong:?}");
        }
    }
}
