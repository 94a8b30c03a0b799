//! What is known of one watched Redis, and when a change of it is worth waking its set.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::Target;
use crate::model::redis::{Facts, OffsetLog, ProbeError, Seen, SetKey};
use crate::redis::client::Connection;
use crate::redis::clock::now;
use crate::redis::connection::{Endpoint, View};

/// One watched Redis. Its task writes here, and everyone reads.
pub(super) struct Watched {
    set: SetKey,
    pod: String,
    endpoint: Endpoint,
    wake: mpsc::UnboundedSender<SetKey>,
    state: Mutex<State>,
    /// Told when a look is worth it soon: after a command, whose effects follow, or if there is more to read.
    pub(super) soon: Notify,
}

struct State {
    seen: Seen,
    view: View,
    connection: Option<Connection>,
    task: Option<AbortHandle>,
    stopped: bool,
}

impl Watched {
    /// Nothing asked yet; `before` is what an earlier watch over the same pod knew.
    pub(super) fn new(set: SetKey, target: Target, before: Option<Seen>, wake: mpsc::UnboundedSender<SetKey>) -> Self {
        let seen = Seen::Unknown {
            since: now(),
            error: ProbeError::NotAsked,
            eof: false,
            last: before.as_ref().and_then(Seen::last_facts).cloned(),
            offsets: before
                .as_ref()
                .map(|before| before.offsets().clone())
                .unwrap_or_default(),
        };
        let Target {
            pod, endpoint, view, ..
        } = target;
        let state = State {
            seen,
            view,
            connection: None,
            task: None,
            stopped: false,
        };
        Self {
            set,
            pod,
            endpoint,
            wake,
            state: Mutex::new(state),
            soon: Notify::new(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn view(&self) -> View {
        self.lock().view.clone()
    }

    /// Reads something else from now on, over the connection there is.
    pub(super) fn set_view(&self, view: View) {
        let mut state = self.lock();
        if state.view == view {
            return;
        }
        if let Some(connection) = &state.connection {
            connection.set_view(view.clone());
        }
        state.view = view;
        self.soon.notify_one();
    }

    pub(super) fn seen(&self) -> Seen {
        self.lock().seen.clone()
    }

    pub(super) fn connection(&self) -> Option<Connection> {
        self.lock().connection.clone()
    }

    /// Remembers the task, to end it with the watch.
    pub(super) fn start(&self, task: AbortHandle) {
        self.lock().task = Some(task);
    }

    /// Ends the task and the connection.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.task.take().inspect(AbortHandle::abort);
        state.connection.take().inspect(Connection::close);
    }

    /// A connection was opened.
    pub(super) fn connected(&self, connection: &Connection) {
        let mut state = self.lock();
        if state.stopped {
            connection.close();
        } else {
            // It may have changed while the connection was opened.
            connection.set_view(state.view.clone());
            state.connection = Some(connection.clone());
        }
    }

    /// The connection is of no use any more.
    pub(super) fn disconnected(&self) {
        self.lock().connection.take().inspect(Connection::close);
    }

    /// The task's look was answered.
    pub(super) fn answered(&self, facts: Facts) {
        let mut state = self.lock();
        if accept(&mut state.seen, facts) && !state.stopped {
            drop(state);
            self.wake();
        }
    }

    /// Someone read facts after a command.
    pub(super) fn publish(&self, facts: Facts) {
        accept(&mut self.lock().seen, facts);
        self.soon.notify_one();
    }

    /// A look or an attempt to connect, begun at `asked_at`, gave no facts; `eof` if a held connection ended.
    pub(super) fn failed(&self, asked_at: Timestamp, error: ProbeError, eof: bool) {
        let mut state = self.lock();
        if !miss(&mut state.seen, asked_at, error.clone(), eof) || state.stopped {
            return;
        }
        drop(state);
        tracing::info!(set = %self.set, pod = self.pod, "its Redis {error}");
        self.wake();
    }

    fn wake(&self) {
        // Nobody listens any more only when the operator ends.
        let _: Result<(), _> = self.wake.send(self.set.clone());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes over the facts unless something newer is known, and says whether they are worth waking the set.
fn accept(seen: &mut Seen, facts: Facts) -> bool {
    let known_at = match seen {
        Seen::Answers { facts, .. } => facts.asked_at,
        Seen::Unknown { since, .. } => *since,
    };
    if facts.asked_at < known_at {
        return false;
    }
    let news = seen.facts().is_none_or(|old| is_news(old, &facts));
    // Offsets of another process, or of another stream, are no past of this one.
    let same_stream = seen
        .last_facts()
        .is_some_and(|old| old.run_id == facts.run_id && old.replid == facts.replid);
    let mut offsets = if same_stream {
        seen.offsets().clone()
    } else {
        Arc::default()
    };
    Arc::<OffsetLog>::make_mut(&mut offsets).record(facts.asked_at, facts.offset);
    *seen = Seen::Answers {
        facts: Arc::new(facts),
        offsets,
    };
    news
}

/// Notes a failure, and says whether it is worth waking the set.
fn miss(seen: &mut Seen, asked_at: Timestamp, new_error: ProbeError, new_eof: bool) -> bool {
    match seen {
        Seen::Answers { facts, offsets } => {
            let (last, offsets) = (Some(facts.clone()), offsets.clone());
            *seen = Seen::Unknown {
                since: asked_at,
                error: new_error,
                eof: new_eof,
                last,
                offsets,
            };
            true
        }
        Seen::Unknown { error, eof, .. } => {
            let news = *error != new_error || (new_eof && !*eof);
            *error = new_error;
            *eof |= new_eof;
            news
        }
    }
}

/// Whether a decision could hang on the difference. How far the stream is and how full the memory is does not count:
/// it differs in every look.
fn is_news(old: &Facts, new: &Facts) -> bool {
    let online = |facts: &Facts| -> BTreeSet<(String, bool)> {
        facts
            .replicas
            .iter()
            .map(|replica| (replica.ip.clone(), replica.online()))
            .collect()
    };
    let link = |facts: &Facts| facts.replica_link().map(|link| (link.up, link.syncing));
    let aof = |facts: &Facts| {
        let aof = facts.aof;
        (
            aof.enabled,
            aof.rewrite_in_progress,
            aof.rewrite_scheduled,
            aof.write_ok,
            aof.rewrite_ok,
        )
    };
    old.run_id != new.run_id
        || old.state() != new.state()
        || link(old) != link(new)
        || old.loading.is_some() != new.loading.is_some()
        || old.replid != new.replid
        || online(old) != online(new)
        || aof(old) != aof(new)
        || old.link_users != new.link_users
        || old.app != new.app
        || old.managed != new.managed
        || (&old.announced, old.min_replicas_to_write, old.serve_stale)
            != (&new.announced, new.min_replicas_to_write, new.serve_stale)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
