//! The loop: observe -> decide -> act -> status, for every set, while this process leads.
//!
//! One reconcile runs several rounds, so that a role change needs no pass through the queue between its steps. The same
//! set is never reconciled twice at once. Nothing is decided here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::act::{self, Actor, Outcome, StatusWriter};
use crate::api::RedisReplicaSet;
use crate::decide;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::model::cluster::{Cluster, InvalidSet};
use crate::model::plan::{Note, Plan};
use crate::model::redis::SetKey;
use crate::observe::{self, Memory, Nodes, Scope, Stores, version};
use crate::redis::probe::Probes;
use crate::redis::{Dial, clock};

/// Rounds of one reconcile; a set that needs more is looked at again from the queue, after the others.
const ROUNDS: usize = 16;
/// Sets reconciled at once.
const CONCURRENCY: u16 = 64;
/// After a failed step the set is looked at again after this long, and twice as long after each further failure.
const RETRY: Duration = Duration::from_millis(250);
/// ... but never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// What all reconciles of one scope share.
struct Context {
    client: Client,
    stores: Stores,
    nodes: Nodes,
    sets: reflector::Store<RedisReplicaSet>,
    probes: Probes,
    leadership: Leadership,
    recorder: Recorder,
    metrics: Metrics,
    states: Mutex<HashMap<SetKey, Arc<tokio::sync::Mutex<State>>>>,
}

/// What is remembered of one set between two passes.
#[derive(Default)]
struct State {
    /// UID of the set: another one of the same name begins with nothing.
    uid: Option<String>,
    memory: Memory,
    writer: StatusWriter,
    failures: u32,
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The object did not come from an API server.
    #[error(transparent)]
    Invalid(#[from] InvalidSet),
}

/// What the loops need from the process.
#[derive(Clone)]
pub struct Leader {
    /// The API server.
    pub client: Client,
    /// Namespaces to watch; all if empty.
    pub namespaces: Vec<String>,
    /// Whether to look at nodes.
    pub watch_nodes: bool,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Opens the connections to Redis.
    pub dial: Arc<dyn Dial>,
    /// Publishes events.
    pub recorder: Recorder,
    /// What others see.
    pub metrics: Metrics,
}

/// Runs the loops whenever this process leads, until `stop`. All connections are dropped when it does not lead any more.
pub async fn run(leader: Leader, stop: CancellationToken) {
    let mut leadership = leader.leadership.clone();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = leadership.gained() => {}
        }
        leader.metrics.leads(true);
        let session = stop.child_token();
        let ended = session.clone().drop_guard();
        tokio::select! {
            () = lead(leader.clone(), session) => {}
            () = leadership.lost() => {}
        }
        drop(ended);
        leader.metrics.leads(false);
        leader.metrics.forget_all();
        if stop.is_cancelled() {
            return;
        }
    }
}

/// One term of leadership: everything in it ends with it.
async fn lead(leader: Leader, stop: CancellationToken) {
    let scopes: Vec<Scope> = match leader.namespaces.as_slice() {
        [] => vec![Scope::All],
        some => some.iter().cloned().map(Scope::Namespace).collect(),
    };
    let mut tasks = JoinSet::new();
    let nodes = match leader.watch_nodes {
        true => Nodes::watch(&leader.client, &mut tasks),
        false => Nodes::default(),
    };
    futures::future::join_all(
        scopes
            .into_iter()
            .map(|scope| control(leader.clone(), scope, nodes.clone(), stop.clone())),
    )
    .await;
}

/// Drops all connections however the scope ends: by shutdown, or because its future was dropped with the Lease.
struct Hangup(Probes);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.clear();
    }
}

async fn control(leader: Leader, scope: Scope, nodes: Nodes, stop: CancellationToken) {
    let Leader {
        client,
        leadership,
        dial,
        recorder,
        metrics,
        namespaces: _,
        watch_nodes: _,
    } = leader;
    let (wake, woken) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let probes = Probes::new(wake.clone(), dial);
    let _hangup = Hangup(probes.clone());
    let stores = Stores::watch(&client, &scope, &nodes, &wake, &mut tasks);
    let (sets, writer) = reflector::store();
    let api: Api<RedisReplicaSet> = scope.api(&client);
    // A change of status alone is our own, and no reason for another pass.
    let changes = watcher(api, watcher::Config::default().timeout(observe::WATCH_SECONDS))
        .default_backoff()
        .modify(|set| set.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            PredicateConfig::default(),
        );
    let context = Arc::new(Context {
        client,
        stores,
        nodes,
        sets: sets.clone(),
        probes,
        leadership,
        recorder,
        metrics,
        states: Mutex::default(),
    });
    // Here and nowhere else: of several that wait for a store at once, kube wakes only one.
    context.stores.ready().await;
    context.nodes.ready().await;
    let shared = context.clone();
    Controller::for_stream(changes, sets)
        .with_config(
            controller::Config::default()
                .debounce(Duration::ZERO)
                .concurrency(CONCURRENCY),
        )
        .reconcile_on(references(woken, wake))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile, |_, _, _| Action::requeue(RETRY_MOST), context)
        .for_each(|result| {
            let context = shared.clone();
            async move {
                match result {
                    Ok(_) => {}
                    Err(controller::Error::ObjectNotFound(reference)) => {
                        context.forget(&reference.name, reference.namespace.as_deref())
                    }
                    Err(error) => tracing::warn!(%error, "reconcile"),
                }
            }
        })
        .await;
    tasks.abort_all();
}

/// Keys of sets that something happened to, as the controller wants them. The sender is kept so that the stream never ends.
fn references(
    woken: mpsc::UnboundedReceiver<SetKey>,
    keep: UnboundedSender<SetKey>,
) -> impl futures::Stream<Item = ObjectRef<RedisReplicaSet>> + Send {
    futures::stream::unfold((woken, keep), |(mut woken, keep)| async move {
        let key = woken.recv().await?;
        Some((ObjectRef::new(&key.name).within(&key.namespace), (woken, keep)))
    })
}

impl Context {
    fn state(&self, key: &SetKey) -> Arc<tokio::sync::Mutex<State>> {
        self.states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key.clone())
            .or_default()
            .clone()
    }

    /// The set is gone: so are its connections, and what was remembered of it.
    fn forget(&self, name: &str, namespace: Option<&str>) {
        let key = SetKey {
            namespace: namespace.unwrap_or_default().to_owned(),
            name: name.to_owned(),
        };
        if self
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key)
            .is_some()
        {
            tracing::info!(set = %key, "is gone");
        }
        self.probes.forget(&key);
        self.metrics.forget(&key);
    }

    /// The newest version of a set: the store's, or the reply of our own last write while the watch is behind.
    fn newest(&self, set: &Arc<RedisReplicaSet>, memory: &Memory) -> Arc<RedisReplicaSet> {
        let stored = self
            .sets
            .get(&ObjectRef::from_obj(set.as_ref()))
            .unwrap_or_else(|| set.clone());
        match &memory.newest {
            Some(own) if own.uid() == stored.uid() && version(stored.as_ref()) < version(own) => Arc::new(own.clone()),
            _ => stored,
        }
    }
}

async fn reconcile(set: Arc<RedisReplicaSet>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let key = SetKey {
        namespace: set.namespace().unwrap_or_default(),
        name: set.name_any(),
    };
    let state = context.state(&key);
    let mut state = state.lock().await;
    if state.uid != set.uid() {
        *state = State {
            uid: set.uid(),
            ..State::default()
        };
    }
    let mut pass = Pass::default();
    for round in 0..ROUNDS {
        let newest = context.newest(&set, &state.memory);
        let cluster = Cluster::new(&newest)?;
        let actor = Actor {
            client: &context.client,
            stores: &context.stores,
            probes: &context.probes,
            leadership: &context.leadership,
            cluster: &cluster,
            key: &key,
        };
        let observed = observe::observe(
            &context.client,
            &context.stores,
            &context.nodes,
            &context.probes,
            &cluster,
            &newest,
            &mut state.memory,
        )
        .await;
        let plan = decide::decide(&cluster, &observed, clock::now());
        tracing::debug!(set = %key, round, steps = ?plan.steps.iter().map(act::name).collect::<Vec<_>>(), "decided");
        let outcome = act::act(&actor, &observed, &newest, &plan, &mut state.memory).await;
        pass.note(&outcome, &plan);
        report(&context, &key, &outcome);
        // One slow answer is nothing to tell; what fails twice in a row is.
        state.memory.failures = if state.failures > 0 {
            outcome.sentences()
        } else {
            Vec::new()
        };
        if !outcome.roles_failed {
            act::publish(&context.recorder, &newest, told(&outcome, &plan));
        }
        if plan.steps.is_empty() || outcome.ends_pass() || round + 1 == ROUNDS {
            if write_status(&actor, &mut state, &plan, &mut pass).await {
                act::publish(&context.recorder, &newest, plan.turned.clone());
            }
            context.metrics.observe(&key, &cluster, &observed, &plan);
            break;
        }
    }
    context.metrics.reconciled(started.elapsed(), !pass.failed);
    Ok(Action::requeue(pass.when(&mut state)))
}

/// What people are told of a round: nothing of objects that were left to the next one, which tells of them again.
fn told(outcome: &Outcome, plan: &Plan) -> Vec<Note> {
    let of_object = |note: &Note| note.action == "Apply";
    let events = plan.events.iter();
    events
        .filter(|note| !(outcome.rest_left && of_object(note)))
        .cloned()
        .collect()
}

/// How one pass ended.
#[derive(Default)]
struct Pass {
    failed: bool,
    roles_wait: bool,
    next: Duration,
}

impl Pass {
    /// Notes a round. A failure slows the next pass down only if no role step was done beside it: a volume that can not
    /// grow must not delay a grant.
    fn note(&mut self, outcome: &Outcome, plan: &Plan) {
        self.failed = !outcome.failures.is_empty() && outcome.roles_done == 0;
        self.roles_wait = plan.roles_wait;
        self.next = plan.next;
    }

    /// When to look again: growing pauses while steps fail.
    fn when(&self, state: &mut State) -> Duration {
        state.failures = if self.failed {
            state.failures.saturating_add(1)
        } else {
            0
        };
        match state.failures {
            0 => self.next,
            _ if self.roles_wait => self.next,
            n => RETRY.saturating_mul(1 << (n - 1).min(8)).min(RETRY_MOST),
        }
    }
}

/// Tells of failures; a lost race and a lost Lease are nobody's business.
fn report(context: &Context, key: &SetKey, outcome: &Outcome) {
    for (step, error) in &outcome.failures {
        context.metrics.step_failed(step);
        if error.is_conflict() || error.is_lease() {
            tracing::debug!(set = %key, step, %error, "not done");
        } else {
            tracing::warn!(set = %key, step, %error, "step failed");
        }
    }
}

/// Writes the observed fields if they changed, also when a step failed, but not faster than the pace allows. True if
/// they were written.
async fn write_status(actor: &Actor<'_>, state: &mut State, plan: &Plan, pass: &mut Pass) -> bool {
    let Some(status) = &plan.status else { return false };
    let wait = state.writer.wait();
    if wait > Duration::ZERO {
        pass.next = pass.next.min(wait);
        return false;
    }
    match state.writer.write(actor, status).await {
        Ok(reply) => {
            state.memory.newest = Some(reply);
            true
        }
        Err(error) => {
            tracing::warn!(set = %actor.key, %error, "status");
            pass.failed = true;
            false
        }
    }
}
