//! A search through everything that may happen in a setting.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::state::Left;
use super::{At, Setting, words};

/// A search that ended.
pub struct Found {
    pub states: usize,
    /// What was reached on the way.
    pub reached: BTreeSet<&'static str>,
    /// Properties that do not hold, and how it came to that.
    pub broken: BTreeMap<&'static str, Vec<String>>,
}

/// Breadth first, so that a trace is a shortest one or nearly.
pub fn search(setting: &Setting, until: HasDiscoveries) -> Found {
    let checker = setting
        .clone()
        .checker()
        .threads(2)
        .finish_when(until)
        .spawn_bfs()
        .join();
    let properties = setting.properties();
    let example = |name| {
        properties
            .iter()
            .any(|p| p.name == name && p.expectation == Expectation::Sometimes)
    };
    let (reached, broken): (Vec<_>, Vec<_>) = checker.discoveries().into_iter().partition(|(name, _)| example(*name));
    let traces = broken.into_iter().map(|(name, path)| {
        let property = setting.property(name);
        // What comes after it only shows that the search went on.
        let until = path
            .clone()
            .into_states()
            .iter()
            .position(|state| !(property.condition)(setting, state));
        (name, words::trace(setting, path, until.unwrap_or(usize::MAX)))
    });
    Found {
        states: checker.unique_state_count(),
        reached: reached.into_iter().map(|(name, _)| name).collect(),
        broken: traces.collect(),
    }
}

/// One write and no fault.
pub const NONE: Left = Left {
    writes: 1,
    crashes: 0,
    tails: 0,
    cuts: 0,
    mutes: 0,
    resets: 0,
    lonely: 0,
    deletes: 0,
    forced: 0,
    volumes: 0,
    never: None,
    awaits: false,
    rewrites: 0,
    dumps: 0,
    restarts: 0,
    leases: 0,
    plans: 0,
    looks: 0,
    scale: None,
};

/// A set of so many pods that all faults may strike.
pub fn setting(pods: u8, left: Left) -> Setting {
    let all = &[0, 1, 2, 3];
    Setting {
        pods,
        left,
        at: At { dies: all, cut: all },
        rule: None,
        lapse: None,
    }
}
