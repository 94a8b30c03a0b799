//! I/O out: does what the plan says, step by step. Nobody else changes the world.
//!
//! One `match` over [`Step`] without a wildcard; every call has a deadline and is begun only while the Lease is held
//! long enough for it. The first failure among role steps ends them for this round; objects and labels do not wait for
//! each other. Nothing is decided here.

mod authority;
mod objects;
mod roles;
mod status;

use std::time::Duration;

use futures::future::{join, join_all};
use k8s_openapi::jiff::Timestamp;
use kube::Client;

use crate::api::RedisReplicaSet;
use crate::lease::{Leadership, NotLeader};
use crate::model::cluster::Cluster;
use crate::model::observed::Observed;
use crate::model::plan::{Plan, Step};
use crate::model::redis::SetKey;
use crate::observe::{Memory, Stores};
use crate::redis::probe::Probes;
use crate::redis::{CallError, clock};

pub use status::{StatusWriter, publish};

/// The longest a call to the API server takes.
pub const API_CALL: Duration = Duration::from_secs(1);
/// The longest a procedure on a Redis takes.
pub const REDIS_CALL: Duration = Duration::from_millis(500);

/// Why a step was not done, or not known to be done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The Lease ends before the step would.
    #[error(transparent)]
    Lease(#[from] NotLeader),
    /// The API server refused it, or could not be reached.
    #[error("{what}: {}", words(source))]
    Api {
        /// What was asked.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time; the write may have been done.
    #[error("{0}: no answer within a second")]
    Late(String),
    /// Redis refused it, or could not be reached.
    #[error("{pod}: {source}")]
    Redis {
        /// The pod.
        pod: String,
        /// What happened.
        source: CallError,
    },
    /// The process that the step was meant for is not there any more.
    #[error("{0}: another process answers now")]
    OtherProcess(String),
    /// The step needs something that was not observed.
    #[error("{0}")]
    Missing(&'static str),
}

/// What the API server said, without the machine-readable rest of its answer.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl ActError {
    /// This process may not act any more: nobody is to be told, the next leader goes on.
    pub fn is_lease(&self) -> bool {
        matches!(self, Self::Lease(_))
    }

    /// What was to be deleted is gone already.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(s) if s.is_not_found()))
    }

    /// Somebody else wrote first: observe again, no need to tell anybody.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(s) if s.is_conflict() || s.is_already_exists()))
    }
}

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
    let (roles, rest): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|s| s.is_role());
    let (mut vip, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|s| s.is_vip());
    for batch in batches(&roles) {
        let began = clock::now();
        let results = match batch {
            [Step::Record { authority, why }] => vec![authority::record(actor, set, authority, why, memory).await],
            redis => {
                let commands = join_all(redis.iter().map(|step| roles::role(actor, observed, step)));
                let pointing = std::mem::take(&mut vip);
                let (results, pointed) = join(commands, point(actor, &pointing)).await;
                outcome.take(&pointing, pointed, observed, began, memory);
                results
            }
        };
        remember_attached(batch, &results, memory);
        outcome.roles_done += results.iter().filter(|result| result.is_ok()).count();
        outcome.roles_failed |= results.iter().any(Result::is_err);
        outcome.take(batch, results, observed, began, memory);
        if outcome.roles_failed {
            break;
        }
    }
    if outcome.roles_done > 0 && !outcome.roles_failed {
        outcome.rest_left = true;
        return outcome;
    }
    for step in vip.into_iter().chain(rest) {
        if outcome.failures.iter().any(|(_, error)| error.is_lease()) {
            break;
        }
        let began = clock::now();
        let result = other(actor, step, memory).await;
        outcome.take(&[step], vec![result], observed, began, memory);
    }
    outcome
}

async fn point(actor: &Actor<'_>, steps: &[&Step]) -> Vec<Result<(), ActError>> {
    let apply = async |step: &Step| match step {
        Step::Apply { object, because } => objects::apply(actor, object, because.as_deref()).await,
        _ => Ok(()),
    };
    join_all(steps.iter().map(|step| apply(step))).await
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

/// Neighbouring Redis steps go out side by side: a hung pod never makes another wait. A compare-and-set goes alone.
fn batches<'a, 'b>(steps: &'b [&'a Step]) -> Vec<&'b [&'a Step]> {
    let alone = |s: &Step| matches!(s, Step::Record { .. });
    steps.chunk_by(|a, b| !alone(a) && !alone(b)).collect()
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
        Step::KillClients { to } => roles::kill_clients(actor, to, memory).await,
        Step::DeletePod { pod, uid, why } => objects::delete_pod(actor, pod, uid, why).await,
        Step::Record { .. }
        | Step::Bare { .. }
        | Step::Arm { .. }
        | Step::Fence { .. }
        | Step::Drain { .. }
        | Step::CatchUp { .. }
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
