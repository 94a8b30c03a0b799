//! Every condition of a set, in the order of the reference, from the same data as the decisions.
//!
//! Types and reasons are closed lists; messages have the numbers. An unchanged condition is byte-identical, so that an
//! unchanged status is not written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::SignedDuration;

use super::hold::Hold;
use super::objects::Wanted;
use super::quorum::min_target;
use super::roles::Roles;
use super::settings::{self, Settings};
use super::status::converged;
use super::sync;
use super::view::View;
use crate::api::status::{MemberState, RedisReplicaSetStatus};
use crate::build::{pod, quantity};
use crate::model::observed::{AppSecret, ClaimFacts, Member, Trouble, Unusable};
use crate::model::plan::Note;

/// What servers of Redis 7.0 and Valkey, and of Redis 8, say of a directive they do not know.
const BAD_CONFIG: [&str; 2] = ["FATAL CONFIG FILE ERROR", "Unresolved Configuration(s)"];
/// Without progress for so long, a set counts as stalled.
const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// One condition before it has times: status, reason, message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn yes(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict {
        status: "True",
        reason,
        message: message.into(),
    }
}

fn no(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict {
        status: "False",
        reason,
        message: message.into(),
    }
}

/// All conditions, with transition times kept where the status did not turn.
pub(super) fn conditions(
    view: &View,
    roles: &Roles,
    wanted: &Wanted,
    settings: &Settings,
    new: &RedisReplicaSetStatus,
) -> Vec<Condition> {
    let available = available(view, roles);
    let replication = replication(view, new);
    let persistence = persistence(view);
    let up_to_date = up_to_date(view, wanted, settings);
    let config = config(view, wanted, settings);
    let credentials = credentials(view, wanted);
    let stalled = stalled(view, roles, wanted, &config);
    let required = [
        &available,
        &replication,
        &persistence,
        &up_to_date,
        &config,
        &credentials,
    ];
    let ready = ready(view, roles, wanted, new, &required);
    let reconciling = reconciling(roles, wanted, &ready, &stalled);
    let stalled = if stalled.status == "True" {
        stalled
    } else {
        overdue(view, &reconciling, stalled)
    };
    let reconciling = if stalled.status == "True" {
        no("Idle", "stalled")
    } else {
        reconciling
    };
    let list = [
        ("Ready", ready),
        ("Available", available),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
        ("FailoverBlocked", failover_blocked(view)),
        ("ReplicationHealthy", replication),
        ("PersistenceHealthy", persistence),
        ("UpToDate", up_to_date),
        ("ConfigApplied", config),
        ("CredentialsInSync", credentials),
        ("FencePending", no("Delivered", "no fence is pending")),
        ("ProbePathBroken", probe_path(view)),
        ("SpreadDegraded", spread(view)),
        ("DataLost", data_lost(roles)),
    ];
    list.into_iter()
        .map(|(kind, verdict)| stamp(view, kind, verdict))
        .collect()
}

fn stamp(view: &View, kind: &str, verdict: Verdict) -> Condition {
    let old = view.observed.status.conditions.iter().find(|c| c.type_ == kind);
    let since = old
        .filter(|c| c.status == verdict.status)
        .map(|c| c.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message,
        observed_generation: Some(view.cluster.generation),
        last_transition_time: since.unwrap_or(Time(view.now)),
    }
}

/// The VIP takes writes.
fn available(view: &View, roles: &Roles) -> Verdict {
    if let Some((master, facts, min)) = view.serving() {
        let linked = facts.replicas.iter().filter(|r| r.online()).count();
        if !converged(view) {
            let shown: Vec<_> = view.observed.vip_pods.iter().map(String::as_str).collect();
            let shown = if shown.is_empty() {
                "nobody".to_owned()
            } else {
                shown.join(", ")
            };
            return no(
                "VIPNotConverged",
                format!("the VIP is to show {}, its EndpointSlices show {shown}", master.name),
            );
        }
        if !facts.aof.write_ok {
            return no(
                "WritesRefused",
                format!("MISCONF: {} cannot write its append-only file", master.name),
            );
        }
        if linked < usize::try_from(min).unwrap_or(0) {
            return no(
                "SelfFenced",
                format!("NOREPLICAS: {linked} of {min} replicas acknowledge"),
            );
        }
        return yes("Serving", format!("{} takes writes", master.name));
    }
    match &roles.hold {
        Some(hold @ Hold::DataLost { .. }) => no("DataLost", hold.to_string()),
        Some(hold @ Hold::Loading { .. }) => no("Loading", hold.to_string()),
        Some(hold @ Hold::MasterSilent { .. }) => no("MasterUnreachable", hold.to_string()),
        Some(hold) => no("NoMaster", hold.to_string()),
        None => no(
            "NoMaster",
            match &view.authority.operation {
                Some(under_way) => format!("{} is being made master ({})", under_way.to, under_way.reason),
                None => "no pod takes writes yet".to_owned(),
            },
        ),
    }
}

/// The spec is realised. The first reason that holds, then the first required condition that is not True.
fn ready(
    view: &View,
    roles: &Roles,
    wanted: &Wanted,
    new: &RedisReplicaSetStatus,
    required: &[&Verdict; 6],
) -> Verdict {
    let [available, ..] = required;
    if let Some(hold @ Hold::DataLost { .. }) = &roles.hold {
        return no("DataLost", hold.to_string());
    }
    if available.status == "False"
        && let Some(hold) = roles.hold.as_ref().filter(|h| h.needs_a_person())
    {
        return no("FailoverBlocked", hold.to_string());
    }
    if let Some((id, owner)) = wanted.conflicts.first() {
        return no("ObjectConflict", conflict(id.kind, &id.name, owner));
    }
    let founding = view.authority.master.is_none() || view.authority.operation.is_some();
    let credentials = required[5];
    if founding
        && view
            .observed
            .status
            .endpoints
            .as_ref()
            .is_none_or(|e| e.converged_at.is_none())
    {
        let trouble = [credentials, required[4], required[3]]
            .into_iter()
            .find(|v| v.status == "False");
        return trouble
            .cloned()
            .unwrap_or_else(|| no("Creating", available.message.clone()));
    }
    if view.cluster.spec.paused {
        return no(
            "Paused",
            format!(
                "spec.paused is true; generation {} is not applied",
                view.cluster.generation
            ),
        );
    }
    let goal = view.pods();
    let exist = view.observed.members.iter().filter(|m| m.pod.is_some()).count();
    if exist != goal && available.status == "True" {
        return no("Scaling", format!("{exist} pods exist, {goal} are wanted"));
    }
    if let Some(broken) = required
        .iter()
        .find(|v| v.status == "False" && v.reason != "OnDelete" && v.reason != "FsyncSlow")
    {
        return (*broken).clone();
    }
    let master = view.authority.master.as_ref().map_or("", |m| m.name.as_str());
    let ready = new.ready_replicas.unwrap_or(0);
    yes(
        "Ready",
        format!(
            "master {master} serves, {ready}/{} replicas in sync",
            view.cluster.spec.replicas
        ),
    )
}

fn conflict(kind: &str, name: &str, owner: &str) -> String {
    format!("{kind} {name} exists and is not ours ({owner}): rename the set or remove it")
}

/// The operator is at work (kstatus).
fn reconciling(roles: &Roles, wanted: &Wanted, ready: &Verdict, stalled: &Verdict) -> Verdict {
    if stalled.status == "True" || ready.status == "True" && roles.steps.is_empty() {
        return no("Idle", "nothing to do");
    }
    let reason = match ready.reason {
        "Creating" => "Creating",
        "Scaling" => "Scaling",
        "Syncing" | "Lagging" => "Resyncing",
        _ if !wanted.steps.is_empty() => "Updating",
        _ => "Waiting",
    };
    yes(reason, ready.message.clone())
}

/// Only a person or another system helps (kstatus).
fn stalled(view: &View, roles: &Roles, wanted: &Wanted, config: &Verdict) -> Verdict {
    if let Some((id, owner)) = wanted.conflicts.first() {
        return yes("ObjectConflict", conflict(id.kind, &id.name, owner));
    }
    if let Some(hold) = roles.hold.as_ref().filter(|h| h.needs_a_person()) {
        let reason = match hold {
            Hold::DataLost { .. } => "DataLost",
            Hold::StatusBehind { .. } => "StatusBehind",
            Hold::VersionUnsupported { .. } => "VersionUnsupported",
            _ => "FailoverBlocked",
        };
        return yes(reason, hold.to_string());
    }
    if config.status == "False" {
        return yes("ConfigRejected", config.message.clone());
    }
    if locked_out(view) {
        let secret = crate::names::internal_secret(&view.cluster.name);
        return yes(
            "OperatorLockedOut",
            format!("Secret {secret} was lost: pods answer again after their next restart"),
        );
    }
    no("No", "no person is needed")
}

/// Every running pod refuses the operator's password.
fn locked_out(view: &View) -> bool {
    use crate::model::redis::{ProbeError, Seen};
    let running: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| m.pod.as_ref().is_some_and(|p| p.started.is_some()))
        .collect();
    !running.is_empty()
        && running.iter().all(|m| {
            matches!(
                &m.redis,
                Seen::Unknown {
                    error: ProbeError::Auth,
                    ..
                }
            )
        })
}

fn overdue(view: &View, reconciling: &Verdict, stalled: Verdict) -> Verdict {
    let old = view.observed.status.conditions.iter();
    let at_work_since = old
        .clone()
        .find(|c| c.type_ == "Reconciling" && c.status == "True")
        .map(|c| c.last_transition_time.0);
    let overdue_already = old
        .clone()
        .any(|c| c.type_ == "Stalled" && c.reason == "ProgressDeadlineExceeded");
    let too_long = at_work_since.is_some_and(|t| view.since(t) >= PROGRESS_DEADLINE);
    if reconciling.status == "True" && !view.cluster.spec.paused && (too_long || overdue_already) {
        return yes(
            "ProgressDeadlineExceeded",
            format!("no progress for 10 minutes: {}", reconciling.message),
        );
    }
    stalled
}

/// This version grants a master's role again and never fails over.
fn failover_blocked(view: &View) -> Verdict {
    if view.cluster.spec.replicas == 0 {
        return yes("NoReplica", "spec.replicas is 0: nobody could take over");
    }
    if view.cluster.spec.paused {
        return yes("Paused", "spec.paused is true");
    }
    yes(
        "NeverByPolicy",
        "this version does not fail over: a master that dies is granted its role again when its data is back",
    )
}

fn replication(view: &View, new: &RedisReplicaSetStatus) -> Verdict {
    let wanted = view.cluster.spec.replicas;
    let in_state = |state| new.members.iter().find(|m| m.state == state);
    let ready = new.ready_replicas.unwrap_or(0);
    let quorum = view.authority.quorum.unwrap_or_default();
    if view.serving().is_some() && quorum.degraded {
        let target = min_target(view.pods());
        return no(
            "Degraded",
            format!(
                "min-replicas-to-write lowered from {target} to {}: {ready} of {wanted} replicas are in sync",
                quorum.min_replicas_to_write
            ),
        );
    }
    if let Some(member) = in_state(MemberState::Syncing) {
        return no(
            "Syncing",
            format!("{ready} of {wanted} in sync; {} receives a full resync", member.name),
        );
    }
    if let Some(member) = in_state(MemberState::Lagging) {
        return no(
            "Lagging",
            format!(
                "{} is over {} behind since {:.0}",
                member.name, view.cluster.spec.services.replicas.max_lag, member.since.0
            ),
        );
    }
    if let Some(member) = in_state(MemberState::LinkDown) {
        return no(
            "LinkDown",
            format!("{} cannot follow the master since {:.0}", member.name, member.since.0),
        );
    }
    if let Some(limit) = small_replica_buffer(view) {
        return yes(
            "ReplicaBufferTooSmall",
            format!(
                "client-output-buffer-limit {limit:?} is below the backlog of 64 MB: a full resync under writes may never end"
            ),
        );
    }
    if ready < wanted {
        return no("Syncing", format!("{ready} of {wanted} in sync"));
    }
    yes("InSync", format!("{ready} of {wanted} replicas in sync"))
}

/// The replicas' output buffer limit of spec.config, if a replica that is behind by the backlog would exceed it.
fn small_replica_buffer<'a>(view: &View<'a>) -> Option<&'a str> {
    const BACKLOG: u64 = 64 << 20;
    let limit = view.cluster.spec.config.get("client-output-buffer-limit")?;
    let mut words = limit.split_whitespace();
    words.find(|class| matches!(*class, "replica" | "slave"))?;
    let hard = settings::bytes(words.next()?)?;
    (hard > 0 && hard < BACKLOG).then_some(limit)
}

fn persistence(view: &View) -> Verdict {
    let answers = view
        .observed
        .members
        .iter()
        .filter_map(|m| m.facts().map(|f| (m, f)))
        .filter(|(_, f)| f.loading.is_none());
    for (member, facts) in answers {
        if !facts.aof.enabled {
            return no("AofOff", format!("{}: the append-only file is off", member.name));
        }
        if !facts.aof.write_ok {
            return no("WriteFailed", format!("{}: aof_last_write_status is err", member.name));
        }
        if !facts.aof.rewrite_ok {
            return no(
                "RewriteFailed",
                format!("{}: the last rewrite of the append-only file failed", member.name),
            );
        }
    }
    yes("Healthy", "append-only files are written")
}

fn up_to_date(view: &View, wanted: &Wanted, settings: &Settings) -> Verdict {
    for member in &view.observed.members {
        match member.pod.as_ref().and_then(|p| p.trouble.as_ref()) {
            Some(Trouble::Unschedulable(words))
                if member.claim.as_ref().is_some_and(|c| !c.bound) && words.contains("olume") =>
            {
                return no("PvcPending", format!("{}: {words}", member.name));
            }
            Some(Trouble::Unschedulable(words)) => return no("Unschedulable", format!("{}: {words}", member.name)),
            Some(Trouble::ImagePull(words)) => return no("ImagePullFailed", format!("{}: {words}", member.name)),
            Some(Trouble::Terminated(words)) => return no("PodNotReady", format!("{}: {words}", member.name)),
            Some(Trouble::Waiting(_)) | None => {}
        }
    }
    if view.observed.stateful_set.is_none() {
        return no("PodNotReady", "the StatefulSet does not exist yet");
    }
    let members = &view.observed.members;
    let growing = members
        .iter()
        .filter(|m| m.claim.as_ref().is_some_and(is_growing))
        .count();
    if growing > 0 {
        let (done, all) = (members.len() - growing, members.len());
        return no(
            "Resizing",
            format!("{done} of {all} volumes have the size that was asked for"),
        );
    }
    let old = members
        .iter()
        .filter(|m| is_outdated(view, m, wanted, settings))
        .count();
    if old > 0 {
        return no(
            "OnDelete",
            format!("{old} pods were made before the last change and take it up when a person deletes them"),
        );
    }
    yes("UpToDate", "every pod runs the wanted revision")
}

/// Whether a bound claim asks for more than its volume has.
fn is_growing(claim: &ClaimFacts) -> bool {
    let bytes = |size: &Option<String>| size.as_deref().and_then(quantity::parse);
    claim.bound
        && bytes(&claim.capacity)
            .zip(bytes(&claim.size))
            .is_some_and(|(has, asked)| has < asked)
}

/// Whether a pod lacks something that only a new pod can take up.
fn is_outdated(view: &View, member: &Member, wanted: &Wanted, settings: &Settings) -> bool {
    let Some(pod) = &member.pod else { return false };
    let current = pod::revision(view.cluster).ok();
    let template = current.is_some() && pod.revision != current;
    template || (!settings.restart.is_empty() && pod.config_revision != wanted.config_revision)
}

fn config(view: &View, wanted: &Wanted, settings: &Settings) -> Verdict {
    let server = super::status::server(view);
    if let Some(error) = &wanted.config_error {
        return no("RefusedByRedis", error.clone());
    }
    if let Some(key) = settings.unknown.first() {
        return no(
            "UnknownDirective",
            format!("{key} is not known to {server}; nothing was changed"),
        );
    }
    if let Some((key, words)) = settings.refused.first() {
        return no("RefusedByRedis", format!("{key}: {words}"));
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
        return no("UnknownDirective", words);
    }
    if !settings.restart.is_empty() {
        return yes(
            "RestartPending",
            format!("{} take effect when pods are made anew", settings.restart.join(", ")),
        );
    }
    yes("Applied", "the configuration is in force")
}

fn credentials(view: &View, wanted: &Wanted) -> Verdict {
    let secret = &wanted.binding;
    let kept = if view.authority.master.is_some() {
        "last good password stays in force"
    } else {
        "no pod is started without it"
    };
    match &view.observed.app {
        AppSecret::Present { .. } => {}
        AppSecret::Unknown => return no("SecretNotFound", format!("Secret {secret} was not read yet")),
        AppSecret::Absent if view.cluster.spec.auth.secret_ref.is_none() => {
            return no("SecretNotFound", format!("Secret {secret} is being generated"));
        }
        AppSecret::Absent => return no("SecretNotFound", format!("Secret {secret} does not exist: {kept}")),
        AppSecret::Unusable(why) => {
            let key = view
                .cluster
                .spec
                .auth
                .secret_ref
                .as_ref()
                .map_or("password", |r| r.key.as_str());
            return match why {
                Unusable::KeyMissing => no("SecretKeyMissing", format!("Secret {secret} has no key {key}: {kept}")),
                Unusable::Empty => no(
                    "PasswordEmpty",
                    format!("key {key} of Secret {secret} is empty: {kept}"),
                ),
                Unusable::TooLong(bytes) => no(
                    "PasswordTooLong",
                    format!("{bytes} bytes in Secret {secret}, limit 512: {kept}"),
                ),
                Unusable::Forbidden => no(
                    "SecretNotFound",
                    format!("the operator may not read Secret {secret}: {kept}"),
                ),
                Unusable::Foreign => no(
                    "SecretNotFound",
                    format!("Secret {secret} exists and is not ours; name it in auth.secretRef, or remove it"),
                ),
            };
        }
    }
    yes("InSync", format!("the password of Secret {secret} is in force"))
}

fn probe_path(view: &View) -> Verdict {
    let silent: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| sync::heard_by_peers(view, m))
        .collect();
    if silent.is_empty() {
        return no("PathOk", "pods that answer their peers answer the operator");
    }
    yes(
        "OperatorCutOff",
        format!(
            "{} of {} pods silent to the operator, heard by their peers",
            silent.len(),
            view.observed.members.len()
        ),
    )
}

fn spread(view: &View) -> Verdict {
    let placed: Vec<_> = view
        .observed
        .members
        .iter()
        .filter_map(|m| {
            Some((
                m.name.as_str(),
                m.pod.as_ref()?.node.as_deref()?,
                m.pod.as_ref()?.zone.as_deref(),
            ))
        })
        .collect();
    for (at, (name, node, _)) in placed.iter().enumerate() {
        if let Some((other, ..)) = placed[..at].iter().find(|(_, n, _)| n == node) {
            return yes("SharedNode", format!("{other} and {name} on {node}"));
        }
    }
    no("Spread", "every pod has a node of its own")
}

fn data_lost(roles: &Roles) -> Verdict {
    match &roles.hold {
        Some(hold @ Hold::DataLost { .. }) => yes("AllCopiesLost", hold.to_string()),
        _ => no("No", "the data the set was known to have is there"),
    }
}

/// Events for conditions that turned to something people should hear of; one for each change of reason.
pub(super) fn turned(old: &[Condition], new: &[Condition]) -> Vec<Note> {
    const TOLD: &[(&str, &str, &str, &str)] = &[
        ("Stalled", "ObjectConflict", "ObjectConflict", "Apply"),
        ("DataLost", "AllCopiesLost", "DataLost", "Observe"),
        ("ConfigApplied", "UnknownDirective", "ConfigRejected", "Configure"),
        ("ConfigApplied", "RefusedByRedis", "ConfigRejected", "Configure"),
        (
            "CredentialsInSync",
            "SecretKeyMissing",
            "CredentialsRejected",
            "Authenticate",
        ),
        (
            "CredentialsInSync",
            "PasswordEmpty",
            "CredentialsRejected",
            "Authenticate",
        ),
        (
            "CredentialsInSync",
            "PasswordTooLong",
            "CredentialsRejected",
            "Authenticate",
        ),
        ("FailoverBlocked", "NoReplica", "FailoverBlocked", "Failover"),
    ];
    let reason = |list: &[Condition], kind: &str| list.iter().find(|c| c.type_ == kind).map(|c| c.reason.clone());
    TOLD.iter()
        .filter(|(kind, why, ..)| reason(new, kind).as_deref() == Some(why) && reason(old, kind) != reason(new, kind))
        .filter_map(|(kind, _, event, action)| {
            let message = new.iter().find(|c| c.type_ == *kind)?.message.clone();
            Some(Note {
                warning: true,
                reason: event,
                action,
                message,
            })
        })
        .collect()
}
