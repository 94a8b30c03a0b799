//! Which pods are to be made anew: those that lack something that only a new pod can take up, and those that a person asked
//! to restart.

use super::objects::Wanted;
use super::requests::{approve, restart};
use super::settings::Settings;
use super::view::View;
use crate::api::UpdateStrategy;
use crate::build::{conf, meta, pod};
use crate::model::cluster::Tier;
use crate::model::observed::Member;
use crate::names;

/// The outdated members, by tier and ordinal. Who is of no tier is never outdated: it goes.
pub(super) fn outdated<'a>(view: &View<'a>, wanted: &Wanted, settings: &Settings) -> Vec<&'a Member> {
    let of_tier = |tier: Tier<'a>| {
        let template = pod::revision(view.cluster, tier).ok();
        let members = view.observed.members.iter().filter(move |m| m.tier == tier.name);
        members.filter(move |m| is_outdated(view, m, tier, template.as_ref(), wanted, settings))
    };
    view.cluster.tiers().flat_map(of_tier).collect()
}

/// The members that the operator makes anew, by ordinal: the outdated ones as far as that is its part, and whoever a person
/// asked for.
pub(super) fn due<'a>(view: &View<'a>, outdated: &[&'a Member]) -> Vec<&'a Member> {
    let is_ours = |m: &Member| match view.cluster.spec.update.strategy {
        UpdateStrategy::Automatic => true,
        // Of a master that does not serve nothing is taken: what is broken is mended without asking.
        UpdateStrategy::Supervised => !view.is_master(m) || view.serving().is_none() || approve::is_given(view),
        UpdateStrategy::OnDelete => false,
    };
    let is_outdated = |m: &Member| outdated.iter().any(|o| o.is(m));
    let is_due = |m: &&Member| is_outdated(m) && is_ours(m) || restart::is_due(view, m);
    view.observed.members.iter().filter(is_due).collect()
}

/// What every pod is to be made with, as one word: the templates and redis.confs of all tiers. A change that running servers
/// take up is another revision too.
pub(super) fn wanted(view: &View) -> Option<String> {
    let of_tier = |tier: Tier| {
        let template = pod::revision(view.cluster, tier).ok()?;
        let conf = conf::build(view.cluster, tier).ok()?.revision;
        Some(match tier.level {
            None => format!("{template} {conf}"),
            Some(_) => format!("{} {template} {conf}", tier.name),
        })
    };
    let all = view.cluster.tiers().map(of_tier).collect::<Option<Vec<_>>>()?;
    Some(meta::short_hash(all.join(" ").as_bytes()))
}

/// Whether a pod lacks something that only a new pod can take up.
fn is_outdated(
    view: &View,
    member: &Member,
    tier: Tier<'_>,
    template: Option<&String>,
    wanted: &Wanted,
    settings: &Settings,
) -> bool {
    let Some(pod) = &member.pod else { return false };
    // A revision that somebody took off a pod is no reason to make it anew.
    let differs = |of_pod: &Option<String>, wanted: Option<&String>| {
        of_pod.is_some() && wanted.is_some() && of_pod.as_ref() != wanted
    };
    let other_file = differs(&pod.config_revision, wanted.config_revisions.get(tier.name));
    let needs_new = || settings.needs_restart(tier.name) || has_removed(view, tier, pod.config_revision.as_deref());
    differs(&pod.revision, template) || other_file && needs_new()
}

/// Whether a pod was made with a directive that is not wanted any more: no command takes one back.
fn has_removed(view: &View, tier: Tier<'_>, revision: Option<&str>) -> bool {
    let file = |revision: &str| {
        let name = names::config_map(&view.cluster.name, revision);
        view.ours("ConfigMap", &name)?["data"][names::CONF_KEY].as_str()
    };
    let Some(old) = revision.and_then(file) else {
        return false;
    };
    let Ok(new) = conf::build(view.cluster, tier) else {
        return false;
    };
    let kept = conf::directives(&new.text);
    conf::directives(old).iter().any(|directive| !kept.contains(directive))
}
