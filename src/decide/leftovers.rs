//! What nothing needs any more: files of earlier revisions, and the objects of a tier that was taken out of spec.
//!
//! A tier that is gone from spec keeps its pods until each has parted as in scaling in; only then its StatefulSet is deleted, and
//! its volumes go or stay by `storage.retention.whenDeleted`, which Kubernetes does with it. It is not made smaller first:
//! that would be `whenScaled`, which speaks of replicas and not of tiers.

use std::collections::BTreeMap;

use super::scale;
use super::view::View;
use crate::build;
use crate::model::observed::{Live, Member, ObjectId};
use crate::model::plan::Step;
use crate::names;

/// Deletions; `config_revisions` are the files in use, by tier.
pub(super) fn decide(view: &View, config_revisions: &BTreeMap<String, String>) -> Vec<Step> {
    let mut steps = config_maps(view, config_revisions);
    steps.extend(removed_tiers(view));
    steps
}

/// Files of earlier revisions, once no pod was made with them.
fn config_maps(view: &View, config_revisions: &BTreeMap<String, String>) -> Vec<Step> {
    let set = &view.cluster.name;
    let in_use = |name: &str| config_revisions.values().any(|r| name == names::config_map(set, r));
    let of_member = |m: &Member| m.pod.as_ref()?.config_revision.clone();
    let Some(mounted) = view.observed.members.iter().map(of_member).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let is_old = |id: &ObjectId| {
        id.kind == "ConfigMap"
            && id.name.starts_with(&names::config_map(set, ""))
            && !in_use(&id.name)
            && !mounted.iter().any(|r| id.name.ends_with(r.as_str()))
    };
    delete(view, is_old)
}

/// StatefulSets and Services of tiers that spec does not have, once all their pods have parted.
fn removed_tiers(view: &View) -> Vec<Step> {
    let set = &view.cluster.name;
    let wanted = build::ids(view.cluster);
    let is_wanted = |id: &ObjectId| {
        wanted
            .iter()
            .any(|(kind, name)| (kind.as_str(), name) == (id.kind, &id.name))
    };
    let tier = |id: &ObjectId| {
        let label = view.ours(id.kind, &id.name)?["metadata"]["labels"][names::label::TIER].as_str();
        // Both are called after the tier; a label that somebody changed says nothing.
        label.filter(|tier| id.name == names::stateful_set(set, tier))
    };
    delete(view, |id| {
        let of_tier = matches!(id.kind, "StatefulSet" | "Service") && !is_wanted(id);
        of_tier && tier(id).is_some_and(|tier| scale::has_parted(view, tier))
    })
}

/// Objects of ours, as they were seen.
fn delete(view: &View, which: impl Fn(&ObjectId) -> bool) -> Vec<Step> {
    let objects = view.observed.objects.iter().filter(|(id, _)| which(id));
    let step = |(id, live): (&ObjectId, &Live)| match live {
        Live::Ours(body) => Some(Step::Delete {
            id: id.clone(),
            uid: body["metadata"]["uid"].as_str()?.to_owned(),
        }),
        Live::Foreign { .. } | Live::Unread => None,
    };
    objects.filter_map(step).collect()
}
