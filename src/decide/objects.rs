//! The set's Secrets and objects: what is missing, what differs, what nothing needs any more.
//!
//! Only objects that this set controls are touched; an object of our name that is somebody else's is named in a
//! condition. The VIP is one of them: its selector is the recorded master and nobody else.

use super::scale::stateful_set_replicas;
use super::settings;
use super::view::View;
use crate::api::status::{Derived, OperationKind};
use crate::build::{self, acl, compare, conf};
use crate::model::observed::{AppSecret, InternalSecret, Live, ObjectId};
use crate::model::plan::{Object, Step};
use crate::names;

/// What the set should consist of, against what there is.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// Whether something is under way that no event announces.
    pub waits: bool,
    /// Objects of our names that are not ours, with their owners.
    pub conflicts: Vec<(ObjectId, String)>,
    /// The Secret an application needs.
    pub binding: String,
    /// Revision of redis.conf that new processes read.
    pub config_revision: Option<String>,
    /// Values that were derived, with reasons.
    pub derived: Vec<Derived>,
    /// Why redis.conf cannot be written, if it cannot.
    pub config_error: Option<String>,
}

pub(super) fn decide(view: &View) -> Wanted {
    let mut wanted = Wanted { binding: binding(view), ..Wanted::default() };
    let Some(app_sha256) = app_password(view, &mut wanted) else { return wanted };
    match &view.observed.internal {
        InternalSecret::Unknown => return wanted,
        InternalSecret::Unusable(owner) => {
            let id = ObjectId { kind: "Secret", name: names::internal_secret(&view.cluster.name) };
            wanted.conflicts.push((id, owner.clone()));
            return wanted;
        }
        InternalSecret::Absent => {
            wanted.steps.push(Step::CreateInternal { app_sha256 });
            return wanted;
        }
        InternalSecret::Present(credentials) => {
            let file = acl::users(view.cluster, credentials.operator.expose(), credentials.probe.expose(), &app_sha256);
            if file != credentials.acl {
                wanted.steps.push(Step::WriteAcl { acl: file });
            }
        }
    }
    children(view, &mut wanted);
    wanted
}

/// Name of the Secret with the application's password.
fn binding(view: &View) -> String {
    let named = view.cluster.spec.auth.secret_ref.as_ref().map(|r| r.name.clone());
    named.unwrap_or_else(|| names::app_secret(&view.cluster.name))
}

/// The password's hash, or the step that makes one, or nothing while a person has to act.
fn app_password(view: &View, wanted: &mut Wanted) -> Option<String> {
    match &view.observed.app {
        AppSecret::Present { sha256 } => Some(sha256.clone()),
        AppSecret::Absent if view.cluster.spec.auth.secret_ref.is_none() => {
            wanted.steps.push(Step::CreateApp);
            None
        }
        AppSecret::Absent | AppSecret::Unknown | AppSecret::Unusable(_) => None,
    }
}

/// The VIP's pod: the recorded master, but nobody before a new set's first master takes writes.
fn vip_master<'a>(view: &View<'a>) -> Option<&'a str> {
    let status = &view.observed.status;
    let founding = status.operation.as_ref().is_some_and(|o| o.kind == OperationKind::Bootstrap);
    if founding && view.serving().is_none() {
        return None;
    }
    status.master.as_ref().map(|m| m.name.as_str())
}

/// Whether the VIP as it stands in the cluster names a pod in the epoch of now.
pub(super) fn vip_names(view: &View, pod: &str) -> bool {
    let Some(live) = view.ours("Service", &names::vip(&view.cluster.name)) else { return false };
    let epoch = view.authority.epoch.to_string();
    live["spec"]["selector"][names::label::POD_NAME] == *pod
        && live["metadata"]["annotations"][names::annotation::EPOCH] == *epoch
}

fn children(view: &View, wanted: &mut Wanted) {
    let file = match conf::render(view.cluster) {
        Ok(file) => file,
        Err(error) => {
            wanted.config_error = Some(error.to_string());
            return;
        }
    };
    wanted.derived = file.derived.clone();
    let in_use = view.observed.stateful_set.as_ref().and_then(|s| s.config_map.clone());
    let fresh = names::config_map(&view.cluster.name, &file.revision);
    // What Redis refuses, or does not know, is kept out of the file that new processes read.
    let keep = in_use.filter(|name| *name != fresh && !settings::decide(view).acceptable());
    wanted.config_revision = Some(match &keep {
        Some(name) => name.rsplit('-').next().unwrap_or_default().to_owned(),
        None => file.revision.clone(),
    });
    let inputs = build::Inputs {
        config: &file,
        config_map: keep.as_deref().unwrap_or(&fresh),
        replicas: stateful_set_replicas(view),
        master: vip_master(view),
        epoch: view.authority.epoch,
        read_from_master: view.cluster.spec.services.replicas.when_empty == crate::api::services::WhenEmpty::Master
            && !view.observed.members.iter().any(|m| super::sync::state(view, m) == crate::api::status::MemberState::InSync),
    };
    for object in build::all(view.cluster, &inputs) {
        child(view, object, wanted);
    }
    old_config_maps(view, keep.as_deref().unwrap_or(&fresh), wanted);
}

fn child(view: &View, mut object: Object, wanted: &mut Wanted) {
    match view.observed.objects.get(&object.id) {
        None => {
            wanted.waits = true;
            wanted.steps.push(Step::Create(object));
        }
        Some(Live::Foreign { owner }) => wanted.conflicts.push((object.id, owner.clone())),
        Some(Live::Ours(live)) => {
            let Some(difference) = compare::differs(&object.body, live) else { return };
            // The revision says whether it is our own wish that changed, or what stands there.
            let revision = &object.body["metadata"]["annotations"][names::annotation::REVISION];
            let foreign = live["metadata"]["annotations"][names::annotation::REVISION] == *revision;
            let because = foreign.then(|| format!("{} was changed by somebody else and is put back", difference.path));
            object.resource_version = live["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            wanted.steps.push(Step::Apply { object, because });
        }
    }
}

/// Files of earlier revisions, once no pod was made with them.
fn old_config_maps(view: &View, in_use: &str, wanted: &mut Wanted) {
    let mounted = |name: &str| {
        view.observed.members.iter().filter_map(|m| m.pod.as_ref()?.config_revision.as_deref()).any(|r| name.ends_with(r))
    };
    let members_known = view.observed.members.iter().all(|m| m.pod.as_ref().is_none_or(|p| p.config_revision.is_some()));
    for (id, live) in view.observed.objects.iter().filter(|(id, _)| id.kind == "ConfigMap") {
        let Live::Ours(body) = live else { continue };
        let old = id.name != in_use && id.name.starts_with(&names::config_map(&view.cluster.name, ""));
        if old && members_known && !mounted(&id.name) && let Some(uid) = body["metadata"]["uid"].as_str() {
            wanted.steps.push(Step::Delete { id: id.clone(), uid: uid.to_owned() });
        }
    }
}
