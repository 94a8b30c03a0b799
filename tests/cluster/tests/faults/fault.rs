//! The faults: what is struck, and when it counts as back.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::History;
use cluster_tests::operator::{NAME, Operator};
use cluster_tests::set::{Set, text};
use cluster_tests::wait::{Look, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a node is without power.
const DARK: Duration = Duration::from_secs(3);
const BACK: Duration = Duration::from_secs(120);

/// What is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of every Redis at once.
    EveryRedis,
    /// kill -9 of the master's Redis.
    MastersRedis,
    /// kill -9 of one replica's Redis.
    OneReplicasRedis,
    /// kill -9 of the operator that leads.
    LeadingOperator,
    /// kill -9 of all operators.
    EveryOperator,
    /// Power off and on of the master's node.
    MastersNode,
    /// Power off and on of a replica's node.
    OneReplicasNode,
    /// Power off of all nodes at once, then on.
    EveryNode,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::EveryRedis,
        Self::MastersRedis,
        Self::OneReplicasRedis,
        Self::LeadingOperator,
        Self::EveryOperator,
        Self::MastersNode,
        Self::OneReplicasNode,
        Self::EveryNode,
    ];

    /// Whether the master goes on serving, and enough replicas acknowledge.
    pub fn spares_the_master(self) -> bool {
        matches!(
            self,
            Self::OneReplicasRedis | Self::LeadingOperator | Self::EveryOperator | Self::OneReplicasNode
        )
    }
}

/// Where it happens.
pub struct Stage {
    pub set: Set,
    operator: Operator,
    history: History,
}

/// What must come back: containers other than these, by namespace and pod.
pub struct Struck {
    pods: Vec<String>,
    containers: BTreeMap<String, String>,
    operators: BTreeMap<String, String>,
}

impl Struck {
    /// Until everything that was struck runs again, and an operator leads.
    pub fn wait(&self, stage: &Stage) -> Outcome {
        stage.set.wait_restarted(&self.pods, &self.containers, BACK)?;
        until("the operators to be restarted", BACK, || {
            let now = stage.operators()?;
            let back = self
                .operators
                .iter()
                .all(|(pod, id)| now.get(pod).is_some_and(|now| now != id));
            Ok(Look::when(back, format!("{now:?}")))
        })?;
        stage.operator.wait_leader(BACK).map(drop)
    }
}

impl Stage {
    pub fn new(set: &Set, history: &History) -> Self {
        Self {
            set: set.clone(),
            operator: Operator::new(&set.cluster),
            history: history.clone(),
        }
    }

    /// Does it, and returns when the power is on again.
    pub fn strike(&self, fault: Fault) -> Outcome<Struck> {
        let master = self.set.master()?;
        let names = self.set.pod_names()?;
        let replica = names
            .iter()
            .find(|name| **name != master)
            .cloned()
            .context("no replica")?;
        self.history.mark(format!("{fault:?}, master {master}"));
        match fault {
            Fault::EveryRedis => self.kill_redis(names),
            Fault::MastersRedis => self.kill_redis(vec![master]),
            Fault::OneReplicasRedis => self.kill_redis(vec![replica]),
            Fault::LeadingOperator => self.kill_operators(vec![self.operator.leader()?]),
            Fault::EveryOperator => self.kill_operators(self.operator.pod_names()?),
            Fault::MastersNode => self.power_cycle(&[self.set.node_of(&master)?]),
            Fault::OneReplicasNode => self.power_cycle(&[self.set.node_of(&replica)?]),
            Fault::EveryNode => {
                let nodes = self.set.cluster.testbed.nodes()?;
                let names: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
                self.power_cycle(&names)
            }
        }
    }

    fn kill_redis(&self, pods: Vec<String>) -> Outcome<Struck> {
        let (testbed, namespace) = (&self.set.cluster.testbed, &self.set.namespace);
        let containers = self.set.containers()?;
        let pids = pods.iter().map(|pod| testbed.redis_pid(namespace, pod));
        // All are found before the first dies.
        for pid in pids.collect::<Result<Vec<_>, _>>()? {
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        }
        Ok(Struck {
            pods,
            containers,
            operators: BTreeMap::new(),
        })
    }

    fn kill_operators(&self, pods: Vec<String>) -> Outcome<Struck> {
        let mut operators = self.operators()?;
        operators.retain(|pod, _| pods.contains(pod));
        ensure!(
            operators.len() == pods.len(),
            "of the operators {pods:?} run {operators:?}"
        );
        for pod in &pods {
            self.operator.kill(pod)?;
        }
        Ok(Struck {
            pods: Vec::new(),
            containers: BTreeMap::new(),
            operators,
        })
    }

    fn power_cycle(&self, names: &[String]) -> Outcome<Struck> {
        let nodes = names.iter().map(|name| self.set.cluster.testbed.node(name));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let containers = self.set.containers()?;
        let on = |pod: &serde_json::Value| names.iter().any(|name| pod["spec"]["nodeName"] == **name);
        let name = |pod: &serde_json::Value| text(&pod["metadata"]["name"]).to_owned();
        let pods: Vec<_> = self.set.pods()?.iter().filter(|pod| on(pod)).map(name).collect();
        let struck: Vec<_> = self.operator.pods()?.iter().filter(|pod| on(pod)).map(name).collect();
        let mut operators = self.operators()?;
        operators.retain(|pod, _| struck.contains(pod));
        for node in &nodes {
            node.power_off()?;
        }
        thread::sleep(DARK);
        for node in &nodes {
            node.power_on()?;
        }
        Ok(Struck {
            pods,
            containers,
            operators,
        })
    }

    /// Containers of the operators that run.
    fn operators(&self) -> Outcome<BTreeMap<String, String>> {
        let pods = self.operator.pods()?;
        let running = pods.iter().filter(|pod| {
            pod["metadata"]["namespace"] == NAME
                && pod["status"]["containerStatuses"][0]["state"]["running"].is_object()
        });
        let id = |pod: &serde_json::Value| text(&pod["status"]["containerStatuses"][0]["containerID"]).to_owned();
        Ok(running
            .map(|pod| (text(&pod["metadata"]["name"]).to_owned(), id(pod)))
            .collect())
    }
}
