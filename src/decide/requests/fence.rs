//! `fence` and `unfence`: pods by comma, or `*` for all. What is fenced stays so until a person lets it go.
//!
//! A fenced master takes no writes and is not failed over: the set stands still until it is let go. Who wants it to go on
//! asks for a switchover first.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::roles::Roles;
use super::super::view::View;
use super::{Answer, Kind, News, is_letter, parts, refused, running, unanswered};
use crate::api::status::{Fenced, Outcome};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};

const FENCE: &str = "fence";
const UNFENCE: &str = "unfence";

pub(super) const KINDS: [Kind; 2] = [
    Kind {
        name: FENCE,
        action: "Fence",
        news: fence_news,
    },
    Kind {
        name: UNFENCE,
        action: "Fence",
        news: unfence_news,
    },
];

/// Who is meant.
enum Whom<'a> {
    All,
    Pods(Vec<&'a str>),
}

impl Whom<'_> {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Pods(names) => names.contains(&name),
        }
    }
}

/// What a request to fence comes to now.
enum Next<'a> {
    /// These are recorded as fenced.
    Record(Vec<&'a Member>),
    /// A change of the master is under way that they are part of. So is a master that is awaited: its time is in status, and
    /// would run out while the set stands still, with what only its file has.
    Wait,
    Answer(Answer),
}

/// Begins what was asked for, whether or not the master serves.
pub(super) fn decide(view: &View) -> Option<Roles> {
    release(view).or_else(|| {
        let value = open(view)?;
        match next(view, value) {
            Next::Record(members) => Some(record(view, value, &members)),
            Next::Wait | Next::Answer(_) => None,
        }
    })
}

/// That a request waits, for people who look why.
pub(super) fn waits(view: &View) -> Option<String> {
    let value = open(view).filter(|value| matches!(next(view, value), Next::Wait))?;
    Some(format!("{FENCE}={value} waits until the change of the master is over"))
}

fn open<'a>(view: &View<'a>) -> Option<&'a str> {
    running(view, FENCE).or_else(|| unanswered(view, FENCE))
}

fn whom(value: &str) -> Result<Whom<'_>, Answer> {
    let form = "pods by comma, or *, with @ID of at most 64 letters, digits and ._:-";
    let malformed = || refused("Malformed", form);
    let (list, _) = parts(value).ok_or_else(malformed)?;
    if list == "*" {
        return Ok(Whom::All);
    }
    let names: Vec<_> = list.split(',').collect();
    let good = |name: &&str| !name.is_empty() && name.chars().all(is_letter);
    if names.iter().all(good) {
        Ok(Whom::Pods(names))
    } else {
        Err(malformed())
    }
}

fn next<'a>(view: &View<'a>, value: &str) -> Next<'a> {
    let whom = match whom(value) {
        Ok(whom) => whom,
        Err(answer) => return Next::Answer(answer),
    };
    let Some(master) = &view.authority.master else {
        return Next::Answer(refused(
            "NoMaster",
            "the set has no master yet: nothing is fenced before",
        ));
    };
    let members = &view.observed.members;
    if let Whom::Pods(names) = &whom
        && let Some(unknown) = names.iter().find(|n| members.iter().all(|m| m.name != **n))
    {
        let why = format!("no pod of this set is called {unknown}");
        return Next::Answer(refused("TargetUnknown", why));
    }
    let meant: Vec<_> = members.iter().filter(|m| whom.is(&m.name)).collect();
    if meant.iter().all(|m| view.is_fenced(&m.name)) {
        return Next::Answer((Outcome::Done, "", done(&meant)));
    }
    let under_way = view.authority.operation.as_ref();
    if under_way.is_some_and(|o| whom.is(&master.name) || whom.is(&o.to)) {
        return Next::Wait;
    }
    Next::Record(meant)
}

fn record(view: &View, value: &str, members: &[&Member]) -> Roles {
    let new = members.iter().filter(|m| !view.is_fenced(&m.name)).map(|m| Fenced {
        name: m.name.clone(),
        request: value.to_owned(),
        since: Time(view.now),
    });
    let fenced: Vec<_> = view.authority.fenced.iter().cloned().chain(new).collect();
    let names: Vec<_> = fenced.iter().map(|f| f.name.as_str()).collect();
    let why = format!("fenced by request: {}", names.join(", "));
    let authority = Authority {
        fenced,
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record { authority, why }])
}

fn done(members: &[&Member]) -> String {
    let names = |list: &[&Member]| list.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
    let silent: Vec<_> = members.iter().copied().filter(|m| m.facts().is_none()).collect();
    let late = match silent.is_empty() {
        true => String::new(),
        false => format!("; not reached yet: {}", names(&silent)),
    };
    format!("{} out of service until unfence{late}", names(members))
}

fn fence_news<'a>(view: &View<'a>) -> Option<News<'a>> {
    let value = open(view)?;
    let Next::Answer(answer) = next(view, value) else {
        return None;
    };
    Some((value, answer))
}

/// Whether somebody who is fenced is to be let go. Which of two requests that are found together came last can not be told:
/// then the fence stands.
fn is_released(view: &View, fenced: &Fenced, whom: &Whom) -> bool {
    whom.is(&fenced.name) && open(view) != Some(&fenced.request)
}

/// Lets go who is fenced and meant.
fn release(view: &View) -> Option<Roles> {
    let whom = whom(unanswered(view, UNFENCE)?).ok()?;
    let fenced = view.authority.fenced.iter();
    let left: Vec<_> = fenced.filter(|f| !is_released(view, f, &whom)).cloned().collect();
    (left.len() < view.authority.fenced.len()).then(|| {
        let authority = Authority {
            fenced: left,
            ..view.authority.clone()
        };
        let why = "a person lets fenced pods go".to_owned();
        Roles::steps(vec![Step::Record { authority, why }])
    })
}

fn unfence_news<'a>(view: &View<'a>) -> Option<News<'a>> {
    let value = unanswered(view, UNFENCE)?;
    let whom = match whom(value) {
        Ok(whom) => whom,
        Err(answer) => return Some((value, answer)),
    };
    let fenced = &view.authority.fenced;
    if fenced.iter().any(|f| is_released(view, f, &whom)) {
        return None;
    }
    let again: Vec<_> = fenced
        .iter()
        .filter(|f| whom.is(&f.name))
        .map(|f| f.name.as_str())
        .collect();
    let who = match whom {
        _ if !again.is_empty() => format!("fenced again by the request that came with it: {}", again.join(", ")),
        Whom::All => "no pod is fenced".to_owned(),
        Whom::Pods(names) => format!("not fenced: {}", names.join(", ")),
    };
    Some((value, (Outcome::Done, "", who)))
}
