//! Which pods are to be made anew: those that lack something that only a new pod can take up, and those that a person asked
//! to restart.

use super::objects::Wanted;
use super::requests::restart;
use super::settings::Settings;
use super::view::View;
use crate::api::UpdateStrategy;
use crate::build::{conf, pod};
use crate::model::observed::Member;
use crate::names;

/// The members that the operator makes anew, by ordinal: the outdated ones if that is its part, and whoever a person asked for.
pub(super) fn due<'a>(view: &View<'a>, wanted: &Wanted, settings: &Settings) -> Vec<&'a Member> {
    let automatic = view.cluster.spec.update.strategy == UpdateStrategy::Automatic;
    let is_due = |m: &&Member| automatic && is_outdated(view, m, wanted, settings) || restart::is_due(view, m);
    view.observed.members.iter().filter(is_due).collect()
}

/// The outdated members, by ordinal.
pub(super) fn outdated<'a>(view: &View<'a>, wanted: &Wanted, settings: &Settings) -> Vec<&'a Member> {
    let members = view.observed.members.iter();
    members.filter(|m| is_outdated(view, m, wanted, settings)).collect()
}

/// Whether a pod lacks something that only a new pod can take up.
fn is_outdated(view: &View, member: &Member, wanted: &Wanted, settings: &Settings) -> bool {
    let Some(pod) = &member.pod else { return false };
    // A revision that somebody took off a pod is no reason to make it anew.
    let differs =
        |of_pod: &Option<String>, wanted: &Option<String>| of_pod.is_some() && wanted.is_some() && of_pod != wanted;
    let template = differs(&pod.revision, &pod::revision(view.cluster).ok());
    let other_file = differs(&pod.config_revision, &wanted.config_revision);
    template || other_file && (!settings.restart.is_empty() || has_removed(view, pod.config_revision.as_deref()))
}

/// Whether a pod was made with a directive that is not wanted any more: no command takes one back.
fn has_removed(view: &View, revision: Option<&str>) -> bool {
    let file = |revision: &str| {
        let name = names::config_map(&view.cluster.name, revision);
        view.ours("ConfigMap", &name)?["data"][names::CONF_KEY].as_str()
    };
    let Some(old) = revision.and_then(file) else {
        return false;
    };
    let Ok(new) = conf::build(view.cluster) else {
        return false;
    };
    let kept = conf::directives(&new.text);
    conf::directives(old).iter().any(|directive| !kept.contains(directive))
}
