//! The handle that tests and the command hold.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::audit::Audit;
use crate::control_plane::COMPONENTS;
use crate::daemon::pid_of;
use crate::error::{Error, Result};
use crate::lifecycle::{self, Options};
use crate::node::Node;
use crate::places::Places;
use crate::pods::{self, Cut, Process};
use crate::state::State;
use crate::{collect, enter, interrupt, kubectl, load, preflight};

/// A running testbed. Dropping it changes nothing: a testbed ends with [`Testbed::down`].
#[derive(Debug, Clone)]
pub struct Testbed {
    places: Places,
}

impl Testbed {
    /// The testbed that runs on this machine.
    ///
    /// # Errors
    /// If none is up, or without root.
    pub fn attach() -> Result<Self> {
        preflight::root()?;
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

    /// Everything of a testbed that is on the machine: namespaces, mounts, control groups, processes, directories.
    /// Empty after [`Testbed::down`].
    ///
    /// # Errors
    /// If `TESTBED_DIR` does not serve.
    pub fn inventory() -> Result<Vec<String>> {
        Ok(lifecycle::inventory(&Places::from_env()?))
    }

    /// From now on Ctrl-C makes calls of this crate return [`crate::Error::Interrupted`]; `up` then clears up.
    /// Call it first in `main`.
    pub fn watch_signals() {
        interrupt::watch();
    }

    /// Whether such a signal has come: for callers that wait for something of their own.
    #[must_use]
    pub fn interrupted() -> bool {
        interrupt::check().is_err()
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
            .ok_or_else(|| Error::Unsuitable(format!("there is no node {name}; there are {}", names.join(", "))))
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

    /// Moves the calling process, which must have one thread, into the cluster's network with the cluster's DNS.
    /// To be followed by [`std::os::unix::process::CommandExt::exec`] with [`Testbed::environment`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        enter::enter(&self.places)
    }

    /// Environment of a client: PATH, KUBECONFIG, and caches that vanish with the testbed.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        kubectl::environment(&self.places)
    }

    /// Imports a docker-archive, or an image that buildah or docker has here, into every node. Returns its reference.
    ///
    /// # Errors
    /// If there is no such image or a node is not on.
    pub fn load(&self, image: &str) -> Result<String> {
        load::load(&self.places, image)
    }

    /// Builds the operator's image from the repository above the current directory and keeps it: the running testbed
    /// gets it now, later ones at their start. `profile` is Cargo's: `release`, `dev`. Returns its reference.
    ///
    /// # Errors
    /// If the build fails, with the last lines it wrote.
    pub fn build_operator_image(profile: &str) -> Result<String> {
        load::build_operator(&Places::from_env()?, profile)
    }

    /// Names of the control plane's programs, which are also those of their logs.
    #[must_use]
    pub fn components() -> &'static [&'static str] {
        &COMPONENTS
    }

    /// The pid of a program: `etcd`, `kube-apiserver`, ..., or on a node `n1/kubelet`, `n1/containerd`, `n1/kube-proxy`.
    /// A node's program that ends is started again within a second; one of the control plane by [`Testbed::repair`].
    ///
    /// # Errors
    /// If it does not run.
    pub fn process(&self, component: &str) -> Result<i32> {
        match component.split_once('/') {
            Some((node, program)) => pid_of(&self.node(node)?.system(), program),
            None => pid_of(&self.places.group(component), component),
        }
    }

    /// Starts again what has died of the control plane and waits for the API server.
    ///
    /// # Errors
    /// If something does not start.
    pub fn repair(&self) -> Result<()> {
        lifecycle::repair(&self.places)
    }

    /// The processes of a pod, in the machine's numbers.
    ///
    /// # Errors
    /// If there is no such pod or it is on no node.
    pub fn pod_processes(&self, namespace: &str, pod: &str) -> Result<Vec<Process>> {
        pods::processes(&self.places, namespace, pod)
    }

    /// The pid of a pod's Redis or Valkey, in the machine's numbers; never that of a child that saves.
    ///
    /// # Errors
    /// If none runs.
    pub fn redis_pid(&self, namespace: &str, pod: &str) -> Result<i32> {
        pods::redis(&self.places, namespace, pod)
    }

    /// Sends a signal to a pod's Redis or Valkey: SIGKILL, SIGSTOP, SIGCONT.
    ///
    /// # Errors
    /// If none runs.
    pub fn signal_redis(&self, namespace: &str, pod: &str, signal: Signal) -> Result<()> {
        pods::signal(self.redis_pid(namespace, pod)?, signal)
    }

    /// Sends a signal to every process of a pod's containers; the sandbox's `pause` is spared.
    ///
    /// # Errors
    /// If there is no such pod.
    pub fn signal_pod(&self, namespace: &str, pod: &str, signal: Signal) -> Result<()> {
        let processes = self.pod_processes(namespace, pod)?;
        for process in processes.iter().filter(|process| process.program != "pause") {
            pods::signal(process.pid, signal)?;
        }
        Ok(())
    }

    /// Drops packets of a pod.
    ///
    /// # Errors
    /// If the pod does not run or the packet filter refuses.
    pub fn cut_pod(&self, namespace: &str, pod: &str, cut: Cut) -> Result<()> {
        pods::cut(&self.places, namespace, pod, cut)
    }

    /// Undoes every [`Testbed::cut_pod`] of a pod.
    ///
    /// # Errors
    /// As there.
    pub fn heal_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        pods::heal(&self.places, namespace, pod)
    }

    /// A reader of the API server's audit log, from its beginning.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.places.audit_log())
    }

    /// Writes what one needs to understand a failure into `dir`, see the list in the module `collect`. Works also while
    /// parts of the cluster are dead.
    ///
    /// # Errors
    /// If `dir` cannot be written.
    pub fn collect(&self, dir: &Path) -> Result<()> {
        collect::collect(&self.places, dir)
    }
}
