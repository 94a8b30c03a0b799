//! Every order of events in a small set: Stateright over the shipped decisions.
//!
//! Where [`world`](super::world) tries random days, this tries all of them, in a set so small that it can: two or three
//! pods, one or two writes, a fault or two of each kind. [`sight`] makes of a state what the operator sees, the shipped
//! `roles::decide` decides upon it, and [`operator`] does its steps one by one, with anything in between. Each rule of the
//! shipped code is left out once, and then the search must find what the rule is for.
//!
//! Not in it: tiers, bytes (a log is a set of writes, a stream moves by whole ones), unread stream in a socket, and objects
//! other than status and the StatefulSet's size. A full resync takes time, starts from files do not.

mod actions;
mod holding;
mod operator;
mod properties;
mod search;
mod servers;
mod sight;
mod state;
mod without;
mod words;

use stateright::{Model, Property};

use self::actions::Action;
use self::state::{Left, State};
use crate::decide::rules::Rule;

/// A set, what may happen to it, and what is left out.
#[derive(Clone, Debug)]
pub struct Setting {
    pub pods: u8,
    pub left: Left,
    pub at: At,
    /// The rule of the decisions that is left out.
    pub rule: Option<Rule>,
    /// What the acts do not do.
    pub lapse: Option<Lapse>,
}

/// Names of the pods that faults strike.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Whose process may end.
    pub dies: &'static [u8],
    /// Who may be cut off, deleted by force or lose its volume.
    pub cut: &'static [u8],
}

/// A rule of the acts that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Status is written over whatever is there now.
    RecordsAnyway,
}

impl Model for Setting {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::at_rest(self.pods, self.left)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.may_happen(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.happens(state, action)
    }

    /// A switchover whose target does not catch up is begun again under another epoch, for ever.
    fn within_boundary(&self, state: &State) -> bool {
        state.status.epoch <= 6
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::properties()
    }
}
