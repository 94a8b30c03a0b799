//! The operator as it is installed: by Helm, two pods, one Lease.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use testbed::{Event, Signal};

use crate::cluster::Cluster;
use crate::failure::{Context, Outcome};
use crate::set::text;
use crate::wait::{Look, until};

/// Its namespace, and the name of its release, Deployment, ServiceAccount and Lease.
pub const NAME: &str = "redis-operator";
/// As whom it asks the API server.
pub const USER: &str = "system:serviceaccount:redis-operator:redis-operator";
/// Selects its pods.
const PODS: &str = "app.kubernetes.io/name=redis-operator,app.kubernetes.io/component=operator";

/// The installed operator.
#[derive(Clone)]
pub struct Operator {
    cluster: Cluster,
}

impl Operator {
    /// The one that is installed.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
        }
    }

    /// Installs or upgrades the chart with these `--set` values, and waits until its pods are ready.
    ///
    /// # Errors
    /// If Helm fails.
    pub fn install(cluster: &Cluster, values: &[&str]) -> Outcome<Self> {
        Self::helm(cluster, &[], values)
    }

    /// As [`Operator::install`], over objects that no release or another one made.
    ///
    /// # Errors
    /// If Helm fails.
    pub fn take_over(cluster: &Cluster, values: &[&str]) -> Outcome<Self> {
        Self::helm(cluster, &["--take-ownership"], values)
    }

    fn helm(cluster: &Cluster, options: &[&str], values: &[&str]) -> Outcome<Self> {
        let mut args = vec!["upgrade", "--install", NAME, "charts/redis-operator"];
        args.extend(["--namespace", NAME, "--create-namespace", "--wait", "--timeout", "2m"]);
        args.extend(options);
        for value in values {
            args.extend(["--set", value]);
        }
        cluster.helm(&args)?;
        Ok(Self::new(cluster))
    }

    /// Changes how many pods it has, and waits until they are there or gone.
    ///
    /// # Errors
    /// If they are not after a minute.
    pub fn scale(&self, replicas: usize) -> Outcome {
        let wanted = format!("--replicas={replicas}");
        self.cluster
            .kubectl(&["scale", "deployment", NAME, "--namespace", NAME, &wanted])?;
        until(format_args!("{replicas} operators"), Duration::from_secs(60), || {
            let pods = self.pod_names()?;
            Ok(Look::when(pods.len() == replicas, pods.join(" ")))
        })
    }

    /// Its pods.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn pods(&self) -> Outcome<Vec<Value>> {
        self.cluster.kubernetes.list("pods", NAME, PODS)
    }

    /// Names of its pods.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub fn pod_names(&self) -> Outcome<Vec<String>> {
        let pods = self.pods()?;
        Ok(pods
            .iter()
            .map(|pod| text(&pod["metadata"]["name"]).to_owned())
            .collect())
    }

    /// The pod that holds the Lease, by its renewals' record: the caller knows it is one of the pods that run.
    ///
    /// # Errors
    /// If nobody holds it.
    pub fn leader(&self) -> Outcome<String> {
        let lease = self.cluster.kubernetes.get("leases", NAME, NAME)?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|name| !name.is_empty());
        holder.map(str::to_owned).context("nobody holds the operator's Lease")
    }

    /// Waits until a pod that runs holds the Lease.
    ///
    /// # Errors
    /// After `limit`.
    pub fn wait_leader(&self, limit: Duration) -> Outcome<String> {
        until("an operator to hold the Lease", limit, || {
            let (leader, pods) = (self.leader()?, self.pod_names()?);
            Ok(Look::some(
                pods.contains(&leader).then_some(leader),
                "its holder is gone",
            ))
        })
    }

    /// Kills the processes of one of its pods; the kubelet starts them again.
    ///
    /// # Errors
    /// If there is no such pod.
    pub fn kill(&self, pod: &str) -> Outcome {
        Ok(self.cluster.testbed.signal_pod(NAME, pod, Signal::SIGKILL)?)
    }

    /// The pid of the operator in a pod.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self, pod: &str) -> Outcome<i32> {
        let processes = self.cluster.testbed.pod_processes(NAME, pod)?;
        let own = processes.iter().find(|process| process.program == "redis-operator");
        own.map(|process| process.pid)
            .context(format_args!("no operator runs in pod {pod}"))
    }

    /// The requests that it made, of what a reader of the audit log gave.
    pub fn own(events: Vec<Event>) -> impl Iterator<Item = Event> {
        events.into_iter().filter(|event| event.user == USER)
    }
}

/// CPU time that a process has used.
///
/// # Errors
/// If it is gone.
pub fn cpu_time(pid: i32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<u64>().ok());
    let ticks = field(11).zip(field(12)).context("/proc/.../stat is not as expected")?;
    // USER_HZ is 100 on every platform that Rust's standard library knows.
    Ok(Duration::from_millis((ticks.0 + ticks.1) * 10))
}
