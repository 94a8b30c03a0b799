//! I/O out: does what the plan says, step by step. Nobody else changes the world.
//!
//! One `match` over [`Step`] without a wildcard; every call has a deadline and is begun only while the Lease is held
//! long enough for it. The first failure among role steps ends them for this round; objects and labels do not wait for
//! each other. Nothing is decided here.

mod authority;
mod error;
mod objects;
mod order;
mod roles;
mod status;

use std::time::Duration;

use futures::future::{join, join_all};
use k8s_openapi::jiff::Timestamp;
use kube::Client;

use crate::api::RedisReplicaSet;
use crate::lease::Leadership;
use crate::model::cluster::Cluster;
use crate::model::observed::Observed;
use crate::model::plan::{Plan, Step};
use crate::model::redis::SetKey;
use crate::observe::{Memory, Stores};
use crate::redis::clock;
use crate::redis::probe::Probes;

use order::{Batch, Order};

pub use error::ActError;
pub use status::{StatusWriter, publish};

/// The longest a call to the API server takes.
pub const API_CALL: Duration = Duration::from_secs(1);
/// The longest a procedure on a Redis takes.
pub const REDIS_CALL: Duration = Duration::from_millis(500);

/// What the steps of one set act upon.
pub struct Actor<'a> {
    /// The API server.
    pub client: &'a Client,
    /// Stores, which take the replies of our own writes.
    pub stores: &'a Stores,
    /// Held connections.
    pub probes: &'a Probes,
    /// Whether this process may act.
    pub leadership: &'a Leadership,
    /// The set.
    pub cluster: &'a Cluster,
    /// Its key.
    pub key: &'a SetKey,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Role steps that were done.
    pub roles_done: usize,
    /// Whether a role step failed: those behind it were not tried.
    pub roles_failed: bool,
    /// Whether the other steps were left to the next round.
    pub rest_left: bool,
    /// Failures of all steps, each with its step's name.
    pub failures: Vec<(&'static str, ActError)>,
}

/// Does the plan. While roles change, nothing else is done but to point the VIP: the rest is decided again in the next
/// round, and must not slow this one down.
pub async fn act(
    actor: &Actor<'_>,
    observed: &Observed,
    set: &RedisReplicaSet,
    plan: &Plan,
    memory: &mut Memory,
) -> Outcome {
    let mut outcome = Outcome::default();
    let Order { batches, rest } = order::order(&plan.steps);
    let mut batches = batches.into_iter();
    for Batch { roles, beside } in batches.by_ref() {
        let began = clock::now();
        let (results, others) = match roles[..] {
            [Step::Record { authority, why }] => {
                let recorded = authority::record(actor, set, authority, why, memory).await;
                (vec![recorded], Vec::new())
            }
            _ => {
                let commands = join_all(roles.iter().map(|step| roles::role(actor, observed, step)));
                join(commands, join_all(beside.iter().map(|step| point(actor, step)))).await
            }
        };
        remember_attached(&roles, &results, memory);
        outcome.roles_done += results.iter().filter(|result| result.is_ok()).count();
        outcome.roles_failed |= results.iter().any(Result::is_err);
        outcome.take(&roles, results, observed, began, memory);
        outcome.take(&beside, others, observed, began, memory);
        if outcome.roles_failed {
            break;
        }
    }
    if outcome.roles_done > 0 && !outcome.roles_failed {
        outcome.rest_left = true;
        return outcome;
    }
    let not_reached = batches.flat_map(|batch| batch.beside);
    for step in not_reached.chain(rest) {
        if outcome.failures.iter().any(|(_, error)| error.is_lease()) {
            break;
        }
        let began = clock::now();
        let result = other(actor, step, memory).await;
        outcome.take(&[step], vec![result], observed, began, memory);
    }
    outcome
}

async fn point(actor: &Actor<'_>, step: &Step) -> Result<(), ActError> {
    match step {
        Step::Apply { object, because } => objects::apply(actor, object, because.as_deref()).await,
        _ => Err(ActError::Missing("only an object can be applied beside role steps")),
    }
}

impl Outcome {
    /// Whether there is no use in another round now: what failed would fail again, and no role moved.
    pub fn ends_pass(&self) -> bool {
        self.roles_failed || (!self.failures.is_empty() && self.roles_done == 0)
    }

    /// The failures of object steps that a person may have to do something about.
    pub fn sentences(&self) -> Vec<String> {
        let told = self
            .failures
            .iter()
            .filter(|(_, error)| matches!(error, ActError::Api { .. } | ActError::Late(_)) && !error.is_conflict());
        told.map(|(_, error)| error.to_string()).collect()
    }

    fn take(
        &mut self,
        steps: &[&Step],
        results: Vec<Result<(), ActError>>,
        observed: &Observed,
        began: Timestamp,
        memory: &mut Memory,
    ) {
        for (step, result) in steps.iter().zip(results) {
            match result {
                Ok(()) => memory.timeline.done(&observed.status, step, began, clock::now()),
                Err(error) => self.failures.push((name(step), error)),
            }
        }
    }
}

/// When which process was last attached, so that a link that stays down is not tried again at once.
fn remember_attached(steps: &[&Step], results: &[Result<(), ActError>], memory: &mut Memory) {
    for (step, result) in steps.iter().zip(results) {
        if let (Step::Attach { child, .. }, Ok(())) = (step, result) {
            memory.attached.insert(child.run_id.clone(), clock::now());
        }
    }
}

async fn other(actor: &Actor<'_>, step: &Step, memory: &mut Memory) -> Result<(), ActError> {
    match step {
        Step::CreateInternal { app_sha256 } => objects::create_internal(actor, app_sha256, memory).await,
        Step::CreateApp => objects::create_app(actor, memory).await,
        Step::WriteAcl { acl } => objects::write_acl(actor, acl, memory).await,
        Step::Grow { claim, uid, size } => objects::grow(actor, claim, uid, size).await,
        Step::Create(object) => objects::create(actor, object).await,
        Step::Apply { object, because } => objects::apply(actor, object, because.as_deref()).await,
        Step::Delete { id, uid } => objects::delete(actor, id, uid).await,
        Step::Configure { to, values } => roles::configure(actor, to, values, memory).await,
        Step::Login { to, sha256 } => roles::login(actor, to, sha256).await,
        Step::Label {
            pod,
            uid,
            role,
            in_sync,
        } => objects::label(actor, pod, uid, *role, *in_sync).await,
        Step::Gate {
            pod,
            uid,
            ready,
            message,
        } => objects::gate(actor, pod, uid, *ready, message).await,
        Step::Mark {
            claim,
            uid,
            epoch,
            role,
        } => objects::mark(actor, claim, uid, *epoch, *role).await,
        Step::KillClients { to, refused } => roles::kill_clients(actor, to, *refused, memory).await,
        Step::DeletePod { pod, uid, why } => objects::delete_pod(actor, pod, uid, why).await,
        Step::Record { .. }
        | Step::Bare { .. }
        | Step::Arm { .. }
        | Step::Fence { .. }
        | Step::Drain { .. }
        | Step::CatchUp { .. }
        | Step::ComeAlong { .. }
        | Step::Attach { .. }
        | Step::LockOut { .. } => Err(ActError::Missing("a role step is done with its kind")),
    }
}

/// Name of a step for logs and metrics.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::Record { .. } => "record",
        Step::CreateInternal { .. } => "create-internal",
        Step::CreateApp => "create-app",
        Step::WriteAcl { .. } => "write-acl",
        Step::Grow { .. } => "grow",
        Step::Create(_) => "create",
        Step::Apply { .. } => "apply",
        Step::Delete { .. } => "delete",
        Step::Bare { .. } => "bare",
        Step::Arm { .. } => "arm",
        Step::Fence { .. } => "fence",
        Step::Drain { .. } => "drain",
        Step::CatchUp { .. } => "catch-up",
        Step::ComeAlong { .. } => "come-along",
        Step::KillClients { .. } => "kill-clients",
        Step::DeletePod { .. } => "delete-pod",
        Step::Attach { .. } => "attach",
        Step::LockOut { .. } => "lock-out",
        Step::Configure { .. } => "configure",
        Step::Login { .. } => "login",
        Step::Label { .. } => "label",
        Step::Gate { .. } => "gate",
        Step::Mark { .. } => "mark",
    }
}

/// Link key of the set, which only known credentials have.
fn link_key(observed: &Observed) -> Result<&crate::model::secret::Secret, ActError> {
    let credentials = observed.internal.credentials();
    credentials
        .map(|known| &known.link_key)
        .ok_or(ActError::Missing("the set's internal Secret is not known"))
}

/// An API call with its deadline, begun only while the Lease outlasts it.
async fn call<T>(actor: &Actor<'_>, what: String, call: impl Future<Output = kube::Result<T>>) -> Result<T, ActError> {
    actor.leadership.check(API_CALL)?;
    match tokio::time::timeout(API_CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ActError::Api {
            what,
            source: Box::new(error),
        }),
        Err(_) => Err(ActError::Late(what)),
    }
}
