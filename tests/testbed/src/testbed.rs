//! The handle that tests and the command hold.

use std::process::Command;

use crate::error::Result;
use crate::interrupt;
use crate::kubectl;
use crate::lifecycle::{self, Options};
use crate::node::Node;
use crate::places::Places;
use crate::state::State;

/// A running testbed. Dropping it changes nothing: a testbed ends with [`Testbed::down`].
#[derive(Debug, Clone)]
pub struct Testbed {
    places: Places,
}

impl Testbed {
    /// The testbed that runs on this machine.
    ///
    /// # Errors
    /// If none is up.
    pub fn attach() -> Result<Self> {
        let places = Places::from_env()?;
        State::load(&places)?;
        Ok(Self { places })
    }

    /// Brings the testbed up, building what the cache lacks, or completes and reuses what runs.
    ///
    /// # Errors
    /// If the machine lacks something, a build fails or a part does not become ready.
    pub fn up(options: Options) -> Result<Self> {
        let places = Places::from_env()?;
        lifecycle::up(&places, options)?;
        Ok(Self { places })
    }

    /// Ends everything and removes it, also what a killed `up` left. Returns whether there was anything.
    ///
    /// # Errors
    /// If a process does not die or a directory cannot be removed.
    pub fn down() -> Result<bool> {
        lifecycle::down(&Places::from_env()?)
    }

    /// From now on Ctrl-C makes calls of this crate return [`crate::Error::Interrupted`]; `up` then clears up.
    /// Call it first in `main`.
    pub fn watch_signals() {
        interrupt::watch();
    }

    /// Where its files are.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// All nodes, running or not.
    ///
    /// # Errors
    /// If no testbed is up.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        State::load(&self.places)?
            .nodes
            .iter()
            .map(|name| Node::new(&self.places, name))
            .collect()
    }

    /// The node of this name.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn node(&self, name: &str) -> Result<Node> {
        let nodes = self.nodes()?;
        let names: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
        nodes
            .into_iter()
            .find(|node| node.name() == name)
            .ok_or_else(|| crate::Error::Unsuitable(format!("there is no node {name}; there are {}", names.join(", "))))
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// If kubectl fails, with the last lines it wrote.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl::run(&self.places, args)
    }

    /// `kubectl apply` of a manifest.
    ///
    /// # Errors
    /// If kubectl fails, with the last lines it wrote.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        kubectl::apply(&self.places, manifest)
    }

    /// `kubectl ... -o json`, parsed.
    ///
    /// # Errors
    /// If kubectl fails or prints no JSON.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        kubectl::json(&self.places, args)
    }

    /// A command that will run inside the control plane's network, where Services and pods are reachable,
    /// with KUBECONFIG set and kubectl, helm and redis-cli on its PATH.
    #[must_use]
    pub fn command_in_cluster(&self, program: &str) -> Command {
        kubectl::in_cluster(&self.places, program)
    }
}
