//! The set's Secrets and objects: what is missing, what differs, what nothing needs any more.
//!
//! Only objects that this set controls are touched; an object of our name that is somebody else's is named in a
//! condition. The VIP is one of them: its selector is the recorded master and nobody else.

use super::scale::stateful_set_replicas;
use super::view::View;
use super::{requests, settings, sync};
use crate::api::WhenEmpty;
use crate::api::status::{Derived, OperationKind};
use crate::build::acl::{Hashes, PasswordHash};
use crate::build::services::Reads;
use crate::build::{self, acl, compare, conf, quantity};
use crate::model::cluster::Tier;
use crate::model::observed::{AppSecret, Credentials, InternalSecret, Live, Member, ObjectId};
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
    let mut wanted = Wanted {
        binding: binding(view),
        ..Wanted::default()
    };
    let Some(app_sha256) = app_password(view, &mut wanted) else {
        if view.authority.master.is_some() {
            children(view, &mut wanted);
        }
        return wanted;
    };
    match &view.observed.internal {
        InternalSecret::Unknown => return wanted,
        InternalSecret::Unusable { why, .. } => {
            let id = ObjectId {
                kind: "Secret",
                name: names::internal_secret(&view.cluster.name),
            };
            wanted.conflicts.push((id, why.clone()));
            // A set that has a master goes on; a new one is not begun without credentials.
            if view.authority.master.is_none() {
                return wanted;
            }
        }
        InternalSecret::Absent => {
            wanted.steps.push(Step::CreateInternal { app_sha256 });
            return wanted;
        }
        // Everything else goes on meanwhile: running servers know these credentials.
        InternalSecret::Lost(_) => wanted.steps.push(Step::CreateInternal { app_sha256 }),
        InternalSecret::Present(credentials) => acl_file(view, credentials, &app_sha256, &mut wanted),
    }
    children(view, &mut wanted);
    wanted
}

/// The aclfile, if it should read otherwise.
fn acl_file(view: &View, credentials: &Credentials, app_sha256: &str, wanted: &mut Wanted) {
    let hashes = Hashes {
        operator: PasswordHash::from_sha256(&credentials.operator.sha256_hex()),
        probe: PasswordHash::from_sha256(&credentials.probe.sha256_hex()),
        application: Some(PasswordHash::from_sha256(app_sha256)),
    };
    match acl::file(view.cluster, &hashes) {
        Ok(acl) if acl != credentials.acl => wanted.steps.push(Step::WriteAcl { acl }),
        Ok(_) => {}
        Err(error) => wanted.config_error = Some(error.to_string()),
    }
}

/// Name of the Secret with the application's password.
fn binding(view: &View) -> String {
    let named = view.cluster.spec.auth.secret_ref.as_ref().map(|r| r.name.clone());
    named.unwrap_or_else(|| names::app_secret(&view.cluster.name))
}

/// The hash of the application's password: as its Secret has it, else the last good one, which running servers go by.
/// Nothing for a set that never had one: its pods are not started without.
fn app_password(view: &View, wanted: &mut Wanted) -> Option<String> {
    match &view.observed.app {
        AppSecret::Present { sha256 } => return Some(sha256.clone()),
        AppSecret::Absent if view.cluster.spec.auth.secret_ref.is_none() => wanted.steps.push(Step::CreateApp),
        AppSecret::Absent | AppSecret::Unknown | AppSecret::Unusable(_) => {}
    }
    let credentials = view.observed.internal.credentials()?;
    acl::hash_of(&credentials.acl, &view.cluster.spec.auth.username)
}

/// The VIP's pod: the recorded master, but nobody before a new set's first master takes writes, or while it is fenced. One
/// that it leads to already stays while nobody has looked at it: an operator that begins must not take the VIP from a master
/// that serves.
pub(super) fn vip_master<'a>(view: &View<'a>) -> Option<&'a str> {
    let status = &view.observed.status;
    let founding = status
        .operation
        .as_ref()
        .is_some_and(|o| o.kind == OperationKind::Bootstrap);
    let master = status.master.as_ref()?.name.as_str();
    let unseen = view.master().and_then(Member::facts).is_none();
    let stays = unseen && vip_names(view, master);
    if founding && view.serving().is_none() && !stays {
        return None;
    }
    (!view.is_fenced(master)).then_some(master)
}

/// Whether the VIP as it stands in the cluster names a pod in the epoch of now.
pub(super) fn vip_names(view: &View, pod: &str) -> bool {
    let Some(live) = view.ours("Service", &names::vip(&view.cluster.name)) else {
        return false;
    };
    let epoch = view.authority.epoch.to_string();
    live["spec"]["selector"][names::label::POD_NAME] == *pod
        && live["metadata"]["annotations"][names::annotation::EPOCH] == *epoch
}

fn children(view: &View, wanted: &mut Wanted) {
    let fresh = match conf::build(view.cluster) {
        Ok(fresh) => fresh,
        Err(error) => {
            wanted.config_error = Some(error.to_string());
            return;
        }
    };
    wanted.derived = fresh.derived.clone();
    // What Redis refuses, or does not know, is kept out of the file that new processes read.
    let conf = if settings::decide(view).acceptable() {
        fresh
    } else {
        conf_in_use(view).unwrap_or(fresh)
    };
    wanted.config_revision = Some(conf.revision.clone());
    let inputs = build::Inputs {
        conf: &conf,
        master: vip_master(view),
        epoch: view.authority.epoch,
        reads: reads(view),
        tiers: view.cluster.tiers().map(|tier| tier_inputs(view, tier)).collect(),
        live: kept(view),
    };
    match build::all(view.cluster, &inputs) {
        Ok(objects) => objects.into_iter().for_each(|object| child(view, object, wanted)),
        Err(error) => wanted.config_error = Some(error.to_string()),
    }
    volumes(view, wanted);
    old_config_maps(view, &names::config_map(&view.cluster.name, &conf.revision), wanted);
}

/// What our live Services hold that an apply must repeat.
fn kept(view: &View) -> build::Live {
    let set = &view.cluster.name;
    build::Live::read(
        view.ours("Service", &names::vip(set)),
        view.ours("Service", &names::replicas_service(set)),
    )
}

/// The pods that a tier is to have now, and what its live StatefulSet holds, with the restart that is being done.
fn tier_inputs<'a>(view: &View<'a>, tier: Tier<'a>) -> build::TierInputs<'a> {
    let live = view.ours("StatefulSet", &names::stateful_set(&view.cluster.name, tier.name));
    let live = build::LivePods::read(live);
    let restart = requests::restart::under_way(view).map(str::to_owned);
    build::TierInputs {
        tier: tier.with_pods(u32::try_from(stateful_set_replicas(view, tier)).unwrap_or(1)),
        live: build::LivePods {
            restart: restart.or(live.restart),
            ..live
        },
    }
}

/// The redis.conf that the StatefulSet's template mounts, as its ConfigMap has it.
fn conf_in_use(view: &View) -> Option<conf::Conf> {
    let name = view.observed.stateful_set(names::CORE_TIER)?.config_map.as_deref()?;
    let text = view.ours("ConfigMap", name)?["data"][names::CONF_KEY]
        .as_str()?
        .to_owned();
    Some(conf::Conf {
        revision: conf::revision(&text),
        text,
        derived: Vec::new(),
    })
}

/// Where the read Service leads: to the replicas, or to the master while no replica is in sync and the user wants that.
fn reads<'a>(view: &View<'a>) -> Reads<'a> {
    let serves = |m: &Member| sync::serves_reads(view, m);
    let wanted = view.cluster.spec.services.replicas.when_empty == WhenEmpty::Master;
    match vip_master(view).filter(|_| wanted && !view.observed.members.iter().any(serves)) {
        Some(master) => Reads::Master(master),
        None => Reads::Replicas,
    }
}

fn child(view: &View, built: build::Object, wanted: &mut Wanted) {
    let id = ObjectId {
        kind: built.kind.as_str(),
        name: built.name,
    };
    let mut object = Object {
        id,
        manager: built.manager,
        body: built.value,
        uid: None,
        resource_version: None,
    };
    match view.observed.objects.get(&object.id) {
        None => {
            wanted.waits = true;
            wanted.steps.push(Step::Create(object));
        }
        Some(Live::Unread) => wanted.waits = true,
        Some(Live::Foreign { owner }) => wanted.conflicts.push((object.id, owner.clone())),
        Some(Live::Ours(live)) => {
            let Some(difference) = compare::differs(&object.body, live) else {
                return;
            };
            let of_live = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
            object.uid = of_live("uid");
            object.resource_version = of_live("resourceVersion");
            let because = difference.foreign.then(|| format!("{difference} and is put back"));
            wanted.steps.push(Step::Apply { object, because });
        }
    }
}

/// Volumes only grow. Claims are patched one by one: the StatefulSet's template of them can never change.
fn volumes(view: &View, wanted: &mut Wanted) {
    let Some(size) = quantity::parse(&view.cluster.spec.storage.size.0) else {
        return;
    };
    for member in &view.observed.members {
        let Some(claim) = &member.claim else { continue };
        let asked = claim.size.as_deref().and_then(quantity::parse);
        if asked.is_some_and(|asked| asked < size) {
            wanted.steps.push(Step::Grow {
                claim: names::claim(&member.name),
                uid: claim.uid.clone(),
                size: view.cluster.spec.storage.size.0.clone(),
            });
        }
    }
}

/// Files of earlier revisions, once no pod was made with them.
fn old_config_maps(view: &View, in_use: &str, wanted: &mut Wanted) {
    let mounted = |name: &str| {
        view.observed
            .members
            .iter()
            .filter_map(|m| m.pod.as_ref()?.config_revision.as_deref())
            .any(|r| name.ends_with(r))
    };
    let members_known = view
        .observed
        .members
        .iter()
        .all(|m| m.pod.as_ref().is_some_and(|p| p.config_revision.is_some()));
    for (id, live) in view.observed.objects.iter().filter(|(id, _)| id.kind == "ConfigMap") {
        let Live::Ours(body) = live else { continue };
        let old = id.name != in_use && id.name.starts_with(&names::config_map(&view.cluster.name, ""));
        if old
            && members_known
            && !mounted(&id.name)
            && let Some(uid) = body["metadata"]["uid"].as_str()
        {
            wanted.steps.push(Step::Delete {
                id: id.clone(),
                uid: uid.to_owned(),
            });
        }
    }
}
