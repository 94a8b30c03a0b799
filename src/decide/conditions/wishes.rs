//! How much of spec is in force: revisions, configuration, passwords.

use k8s_openapi::jiff::SignedDuration;

use super::{Verdict, no, yes};
use crate::api::Reason;
use crate::api::status::MemberState;
use crate::build::quantity;
use crate::decide::objects::Wanted;
use crate::decide::roll::{Roll, Wait};
use crate::decide::settings::Settings;
use crate::decide::status::server;
use crate::decide::sync;
use crate::decide::view::View;
use crate::model::observed::{AppSecret, ClaimFacts, Member, Trouble, Unusable};

/// What servers of Redis 7.0 and Valkey, and of Redis 8, say of a directive they do not know.
const BAD_CONFIG: [&str; 2] = ["FATAL CONFIG FILE ERROR", "Unresolved Configuration(s)"];

/// A pod that was made anew and is neither in sync nor on its way there for so long stops a roll.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// For so long no node for a pod that was made anew is no news.
const YOUTH: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn up_to_date(view: &View, roll: &Roll) -> Verdict {
    if let Some((reason, words)) = trouble(view, roll) {
        return no(reason, roll.stopped(&words));
    }
    if let Some(failure) = view.observed.failures.first() {
        return no(Reason::ApplyFailed, failure.clone());
    }
    if view.observed.stateful_set(crate::names::CORE_TIER).is_none() {
        return no(Reason::PodNotReady, "the StatefulSet does not exist yet");
    }
    let members = &view.observed.members;
    let growing = members
        .iter()
        .filter(|m| m.claim.as_ref().is_some_and(is_growing))
        .count();
    if growing > 0 {
        let (done, all) = (members.len() - growing, members.len());
        return no(
            Reason::Resizing,
            format!("{done} of {all} volumes have the size that was asked for"),
        );
    }
    match &roll.waits {
        Some(Wait::Sync(member)) => match stands_still(view, member) {
            Some(words) => no(Reason::PodNotReady, roll.stopped(&words)),
            None => no(Reason::Rolling, roll.progress()),
        },
        Some(Wait::Successor(_)) => no(Reason::Rolling, roll.progress()),
        Some(Wait::Approval) => {
            let (done, revision) = (roll.updated(), &roll.revision);
            let message = format!("{done} replicas done; annotate approve-update={revision}");
            no(Reason::WaitingForApproval, message)
        }
        Some(Wait::Deletion) => {
            let old = roll.left.len();
            no(
                Reason::OnDelete,
                format!("{old} pods were made before the last change and take it up when a person deletes them"),
            )
        }
        None if roll.is_on() => no(Reason::Rolling, roll.progress()),
        None => yes(Reason::UpToDate, "every pod runs the wanted revision"),
    }
}

/// What the kubelet or the scheduler says of a pod that does not come up.
fn trouble(view: &View, roll: &Roll) -> Option<(Reason, String)> {
    let silent = view.observed.members.iter().filter(|m| m.facts().is_none());
    silent.into_iter().find_map(|member| {
        let (reason, words) = match member.pod.as_ref()?.trouble.as_ref()? {
            Trouble::Unschedulable(_) if roll.is_on() && is_young(view, member) => return None,
            Trouble::Unschedulable(words)
                if member.claim.as_ref().is_some_and(|c| !c.bound) && words.contains("olume") =>
            {
                (Reason::PvcPending, words)
            }
            Trouble::Unschedulable(words) => (Reason::Unschedulable, words),
            Trouble::ImagePull(words) => (Reason::ImagePullFailed, words),
            Trouble::Terminated(_) if member.pod.as_ref()?.deleting => return None,
            Trouble::Terminated(words) => (Reason::PodNotReady, words),
            Trouble::Waiting(_) => return None,
        };
        Some((reason, format!("{}: {words}", member.name)))
    })
}

/// Whether a pod was just made: it may find no node until the one before it is gone for good.
fn is_young(view: &View, member: &Member) -> bool {
    let known = view.observed.status.members.iter().find(|m| m.name == member.name);
    known.is_none_or(|known| known.uid.as_deref() != member.uid() || view.since(known.since.0) < YOUTH)
}

/// What is said of a pod that a roll waits for, if it has not moved for long.
fn stands_still(view: &View, member: &Member) -> Option<String> {
    let state = sync::state(view, member);
    let known = view.observed.status.members.iter().find(|m| m.name == member.name)?;
    let moves = matches!(state, MemberState::Syncing | MemberState::Loading | MemberState::InSync);
    let long = known.state == state && view.since(known.since.0) >= PATIENCE;
    let words = match member.pod.as_ref().and_then(|p| p.trouble.as_ref()) {
        Some(Trouble::Waiting(words)) => format!(" ({words})"),
        _ => String::new(),
    };
    (long && !moves).then(|| format!("{} is {state} since {}{words}", member.name, known.since.0))
}

/// Whether a bound claim asks for more than its volume has.
fn is_growing(claim: &ClaimFacts) -> bool {
    let bytes = |size: &Option<String>| size.as_deref().and_then(quantity::parse);
    claim.bound
        && bytes(&claim.capacity)
            .zip(bytes(&claim.size))
            .is_some_and(|(has, asked)| has < asked)
}

pub(super) fn config(view: &View, wanted: &Wanted, settings: &Settings) -> Verdict {
    let server = server(view);
    if let Some(error) = &wanted.config_error {
        return no(Reason::RefusedByRedis, error.clone());
    }
    if let Some(key) = settings.unknown().first() {
        return no(
            Reason::UnknownDirective,
            format!("{key} is not known to {server}; nothing was changed"),
        );
    }
    if let Some((key, words)) = settings.refused().first() {
        return no(Reason::RefusedByRedis, format!("{key}: {words}"));
    }
    let bad = view
        .observed
        .members
        .iter()
        .filter_map(|m| m.pod.as_ref()?.trouble.as_ref())
        .find_map(|t| match t {
            Trouble::Terminated(words) if BAD_CONFIG.iter().any(|complaint| words.contains(complaint)) => {
                Some(words.clone())
            }
            _ => None,
        });
    if let Some(words) = bad {
        return no(Reason::UnknownDirective, words);
    }
    let restart = settings.restart();
    if !restart.is_empty() {
        return yes(
            Reason::RestartPending,
            format!(
                "{} take effect when pods are made anew",
                Vec::from_iter(restart).join(", ")
            ),
        );
    }
    yes(Reason::Applied, "the configuration is in force")
}

pub(super) fn credentials(view: &View, wanted: &Wanted) -> Verdict {
    let secret = &wanted.binding;
    let kept = if view.authority.master.is_some() {
        "last good password stays in force"
    } else {
        "no pod is started without it"
    };
    match &view.observed.app {
        AppSecret::Present { .. } => {}
        AppSecret::Unknown => return no(Reason::SecretNotFound, format!("Secret {secret} was not read yet")),
        AppSecret::Absent if view.cluster.spec.auth.secret_ref.is_none() => {
            return no(Reason::SecretNotFound, format!("Secret {secret} is being generated"));
        }
        AppSecret::Absent => {
            return no(
                Reason::SecretNotFound,
                format!("Secret {secret} does not exist: {kept}"),
            );
        }
        AppSecret::Unusable(why) => {
            let key = view
                .cluster
                .spec
                .auth
                .secret_ref
                .as_ref()
                .map_or("password", |r| r.key.as_str());
            return match why {
                Unusable::KeyMissing => no(
                    Reason::SecretKeyMissing,
                    format!("Secret {secret} has no key {key}: {kept}"),
                ),
                Unusable::Empty => no(
                    Reason::PasswordEmpty,
                    format!("key {key} of Secret {secret} is empty: {kept}"),
                ),
                Unusable::TooLong(bytes) => no(
                    Reason::PasswordTooLong,
                    format!("{bytes} bytes in Secret {secret}, limit 512: {kept}"),
                ),
                Unusable::Forbidden => no(
                    Reason::SecretNotFound,
                    format!("the operator may not read Secret {secret}: {kept}"),
                ),
                Unusable::Foreign => no(
                    Reason::SecretNotFound,
                    format!("Secret {secret} exists and is not ours; name it in auth.secretRef, or remove it"),
                ),
            };
        }
    }
    yes(Reason::InSync, format!("the password of Secret {secret} is in force"))
}
