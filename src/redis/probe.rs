//! Watching every Redis beside the loop: one task and one held connection for each.
//!
//! What changes about a Redis wakes its set at once; nobody waits for a timer. The probes say what was seen and never
//! what it means.

mod task;
mod watched;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::client::Connection;
use super::connection::{Endpoint, View};
use super::socket::Dial;
use crate::model::redis::{Facts, PodUid, Seen, SetKey};
use watched::Watched;

/// One Redis to watch. If its endpoint changes, it is watched anew over a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the pod, for logs.
    pub pod: String,
    /// The pod's UID.
    pub uid: PodUid,
    /// Where it is and how to log in.
    pub endpoint: Endpoint,
    /// What to read.
    pub view: View,
}

/// The watch over the Redis processes of all sets. Clones share it.
#[derive(Clone)]
pub struct Probes {
    sets: Arc<Mutex<Sets>>,
    wake: mpsc::UnboundedSender<SetKey>,
    dial: Arc<dyn Dial>,
}

#[derive(Default)]
struct Sets {
    sets: BTreeMap<SetKey, BTreeMap<PodUid, Arc<Watched>>>,
    /// After [`Probes::clear`]: a pass that was still running must not begin to watch again.
    closed: bool,
}

impl Probes {
    /// Watches nothing yet. The key of a set is sent to `wake` whenever something about one of its Redis changes,
    /// other than how far its stream is.
    pub fn new(wake: mpsc::UnboundedSender<SetKey>, dial: Arc<dyn Dial>) -> Self {
        Self {
            sets: Arc::default(),
            wake,
            dial,
        }
    }

    /// Watches exactly these Redis of the set from now on. What is watched already and has not changed goes on.
    ///
    /// Must be called inside a tokio runtime.
    pub fn keep(&self, set: &SetKey, targets: Vec<Target>) {
        let mut all = self.lock();
        if all.closed {
            return;
        }
        let sets = &mut all.sets;
        let mut before = sets.remove(set).unwrap_or_default();
        let mut after = BTreeMap::new();
        for target in targets {
            let old = before.remove(&target.uid);
            let uid = target.uid.clone();
            let watched = match old {
                Some(old) if *old.endpoint() == target.endpoint => {
                    old.set_view(target.view);
                    old
                }
                old => {
                    let seen = old.as_ref().map(|old| old.seen());
                    old.inspect(|old| old.stop());
                    let watched = Arc::new(Watched::new(set.clone(), target, seen, self.wake.clone()));
                    watched.start(tokio::spawn(task::watch(watched.clone(), self.dial.clone())).abort_handle());
                    watched
                }
            };
            // The same pod twice in a list: the last one counts.
            if let Some(twin) = after.insert(uid, watched) {
                twin.stop();
            }
        }
        before.values().for_each(|watched| watched.stop());
        if !after.is_empty() {
            sets.insert(set.clone(), after);
        }
    }

    /// What is known of each Redis of the set right now.
    pub fn look(&self, set: &SetKey) -> BTreeMap<PodUid, Seen> {
        let all = self.lock();
        let Some(pods) = all.sets.get(set) else {
            return BTreeMap::new();
        };
        pods.iter()
            .map(|(uid, watched)| (uid.clone(), watched.seen()))
            .collect()
    }

    /// The held connection to one Redis, for commands; none while there is none.
    pub fn connection(&self, set: &SetKey, uid: &PodUid) -> Option<Connection> {
        self.lock().sets.get(set)?.get(uid)?.connection()
    }

    /// Makes facts that were read after a command what [`Self::look`] gives from now on, unless it has newer ones
    /// or the connection ended since. Wakes nobody: whoever publishes knows.
    pub fn publish(&self, set: &SetKey, uid: &PodUid, facts: Facts) {
        let watched = self.lock().sets.get(set).and_then(|pods| pods.get(uid)).cloned();
        if let Some(watched) = watched {
            watched.publish(facts);
        }
    }

    /// Ends the watch over a set and closes its connections.
    pub fn forget(&self, set: &SetKey) {
        self.keep(set, Vec::new());
    }

    /// Ends every watch and closes every connection, at once and for good: the lease is lost.
    pub fn clear(&self) {
        let mut all = self.lock();
        all.closed = true;
        let sets = std::mem::take(&mut all.sets);
        drop(all);
        sets.values()
            .flat_map(BTreeMap::values)
            .for_each(|watched| watched.stop());
    }

    fn lock(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
