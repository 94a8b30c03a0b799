//! The set's Secrets and objects: what is missing and what differs. What nothing needs any more is in `leftovers`.
//!
//! Only objects that this set controls are touched; an object of our name that is somebody else's is named in a
//! condition. The VIP is one of them: its selector is the recorded master and nobody else.

use std::collections::BTreeMap;

use super::scale::stateful_set_replicas;
use super::settings::{self, Settings};
use super::view::View;
use super::{leftovers, requests, sync};
use crate::api::WhenEmpty;
use crate::api::status::{Derived, OperationKind};
use crate::build::acl::{Hashes, PasswordHash};
use crate::build::services::Reads;
use crate::build::{self, BuildError, acl, compare, conf, quantity};
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
    /// Revision of redis.conf that new processes of each tier read.
    pub config_revisions: BTreeMap<String, String>,
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
    let settings = settings::decide(view);
    let tiers = view
        .cluster
        .tiers()
        .map(|tier| tier_inputs(view, tier, &settings, wanted));
    let tiers = match tiers.collect::<Result<Vec<_>, _>>() {
        Ok(tiers) => tiers,
        Err(error) => {
            wanted.config_error = Some(error.to_string());
            return;
        }
    };
    let revision = |inputs: &build::TierInputs| (inputs.tier.name.to_owned(), inputs.conf.revision.clone());
    wanted.config_revisions = tiers.iter().map(revision).collect();
    let inputs = build::Inputs {
        master: vip_master(view),
        epoch: view.authority.epoch,
        vip_families: build::families(view.ours("Service", &names::vip(&view.cluster.name))),
        tiers,
    };
    match build::all(view.cluster, &inputs) {
        Ok(objects) => objects.into_iter().for_each(|object| child(view, object, wanted)),
        Err(error) => wanted.config_error = Some(error.to_string()),
    }
    volumes(view, wanted);
    wanted.steps.extend(leftovers::decide(view, &wanted.config_revisions));
}

/// What the objects of a tier depend on: the pods that it is to have now, its redis.conf, where its reads go, and what its live
/// objects hold that an apply must repeat, with the restart that is being done.
fn tier_inputs<'a>(
    view: &View<'a>,
    tier: Tier<'a>,
    settings: &Settings,
    wanted: &mut Wanted,
) -> Result<build::TierInputs<'a>, BuildError> {
    let set = &view.cluster.name;
    let fresh = conf::build(view.cluster, tier)?;
    derived(tier, &fresh, wanted);
    // What Redis refuses, or does not know, is kept out of the file that new processes read.
    let conf = match settings.acceptable(tier.name) {
        true => fresh,
        false => conf_in_use(view, tier).unwrap_or(fresh),
    };
    let live = build::LivePods::read(view.ours("StatefulSet", &names::stateful_set(set, tier.name)));
    let restart = requests::restart::under_way(view).map(str::to_owned);
    Ok(build::TierInputs {
        tier: tier.with_pods(u32::try_from(stateful_set_replicas(view, tier)).unwrap_or(1)),
        conf,
        reads: reads(view, tier),
        families: build::families(view.ours("Service", &names::read_service(set, tier.name))),
        live: build::LivePods {
            restart: restart.or(live.restart),
            ..live
        },
    })
}

/// What was derived for the core, and for the tiers that have it otherwise.
fn derived(tier: Tier<'_>, conf: &conf::Conf, wanted: &mut Wanted) {
    let of_tier = |known: &Derived| match tier.level {
        None => known.clone(),
        Some(_) => Derived {
            reason: format!("{} in tier {}", known.reason, tier.name),
            ..known.clone()
        },
    };
    let new = conf.derived.iter().filter(|derived| !wanted.derived.contains(derived));
    let new: Vec<_> = new.map(of_tier).collect();
    wanted.derived.extend(new);
}

/// The redis.conf that the template of a tier's StatefulSet mounts, as its ConfigMap has it.
fn conf_in_use(view: &View, tier: Tier<'_>) -> Option<conf::Conf> {
    let name = view.observed.stateful_set(tier.name)?.config_map.as_deref()?;
    let text = view.ours("ConfigMap", name)?["data"][names::CONF_KEY]
        .as_str()?
        .to_owned();
    Some(conf::Conf {
        revision: conf::revision(&text),
        text,
        derived: Vec::new(),
    })
}

/// Where a tier's read Service leads: to its replicas, or to the master while none is in sync and the user wants that.
fn reads<'a>(view: &View<'a>, tier: Tier<'_>) -> Reads<'a> {
    let serves = |m: &Member| m.tier == tier.name && sync::serves_reads(view, m);
    let wanted = tier.service.when_empty == WhenEmpty::Master;
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
    let size = |tier: Tier| {
        Some((
            tier.name.to_owned(),
            (tier.storage.size.0.clone(), quantity::parse(&tier.storage.size.0)?),
        ))
    };
    let sizes: BTreeMap<_, _> = view.cluster.tiers().filter_map(size).collect();
    for member in &view.observed.members {
        let (Some(claim), Some((size, bytes))) = (&member.claim, sizes.get(&member.tier)) else {
            continue;
        };
        let asked = claim.size.as_deref().and_then(quantity::parse);
        if asked.is_some_and(|asked| asked < *bytes) {
            wanted.steps.push(Step::Grow {
                claim: names::claim(&member.name),
                uid: claim.uid.clone(),
                size: size.clone(),
            });
        }
    }
}
