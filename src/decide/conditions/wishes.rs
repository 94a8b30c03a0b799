//! How much of spec is in force: revisions, configuration, passwords.

use super::{Verdict, no, yes};
use crate::api::{Reason, UpdateStrategy};
use crate::build::quantity;
use crate::decide::objects::Wanted;
use crate::decide::revision;
use crate::decide::settings::Settings;
use crate::decide::status::server;
use crate::decide::view::View;
use crate::model::observed::{AppSecret, ClaimFacts, Trouble, Unusable};

/// What servers of Redis 7.0 and Valkey, and of Redis 8, say of a directive they do not know.
const BAD_CONFIG: [&str; 2] = ["FATAL CONFIG FILE ERROR", "Unresolved Configuration(s)"];

pub(super) fn up_to_date(view: &View, wanted: &Wanted, settings: &Settings) -> Verdict {
    for member in view.observed.members.iter().filter(|m| m.facts().is_none()) {
        match member.pod.as_ref().and_then(|p| p.trouble.as_ref()) {
            Some(Trouble::Unschedulable(words))
                if member.claim.as_ref().is_some_and(|c| !c.bound) && words.contains("olume") =>
            {
                return no(Reason::PvcPending, format!("{}: {words}", member.name));
            }
            Some(Trouble::Unschedulable(words)) => {
                return no(Reason::Unschedulable, format!("{}: {words}", member.name));
            }
            Some(Trouble::ImagePull(words)) => return no(Reason::ImagePullFailed, format!("{}: {words}", member.name)),
            Some(Trouble::Terminated(words)) => return no(Reason::PodNotReady, format!("{}: {words}", member.name)),
            Some(Trouble::Waiting(_)) | None => {}
        }
    }
    if let Some(failure) = view.observed.failures.first() {
        return no(Reason::ApplyFailed, failure.clone());
    }
    if view.observed.stateful_set.is_none() {
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
    let old = revision::outdated(view, wanted, settings).len();
    if old > 0 && view.cluster.spec.update.strategy == UpdateStrategy::Automatic {
        let (done, all) = (members.len() - old, members.len());
        return no(
            Reason::Rolling,
            format!("{done} of {all} pods are at the wanted revision"),
        );
    }
    if old > 0 {
        return no(
            Reason::OnDelete,
            format!("{old} pods were made before the last change and take it up when a person deletes them"),
        );
    }
    yes(Reason::UpToDate, "every pod runs the wanted revision")
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
    if let Some(key) = settings.unknown.first() {
        return no(
            Reason::UnknownDirective,
            format!("{key} is not known to {server}; nothing was changed"),
        );
    }
    if let Some((key, words)) = settings.refused.first() {
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
    if !settings.restart.is_empty() {
        return yes(
            Reason::RestartPending,
            format!("{} take effect when pods are made anew", settings.restart.join(", ")),
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
