//! What is done to a set's master, and how it is undone.

use std::time::Duration;

use clap::ValueEnum;
use testbed::{Cut, Signal};

use crate::ensure;
use crate::failure::{Context, Outcome};
use crate::operator::{self, Operator};
use crate::set::Set;

/// Longest for an operator to lead, a hand-over to be done.
const LIMIT: Duration = Duration::from_secs(60);

/// What is done to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// kill -9 of its redis-server.
    Kill,
    /// A hand-over by annotation.
    Switchover,
    /// Its pod is deleted.
    Delete,
    /// SIGSTOP of its redis-server until another is master.
    Stop,
    /// Its pod is cut off from everybody until another is master.
    Cut,
    /// Its node loses power in silence; the operator's leader is on another.
    NodeOff,
    /// The same with the operator's leader on that node.
    NodeOffWithLeader,
}

impl Fault {
    /// Every one, those that take a node last.
    pub const ALL: [Self; 7] = [
        Self::Kill,
        Self::Switchover,
        Self::Delete,
        Self::Stop,
        Self::Cut,
        Self::NodeOff,
        Self::NodeOffWithLeader,
    ];

    /// As tables have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Switchover => "switchover",
            Self::Delete => "pod delete",
            Self::Stop => "SIGSTOP",
            Self::Cut => "partition",
            Self::NodeOff => "node off",
            Self::NodeOffWithLeader => "node off, with leader",
        }
    }

    /// Whether a round is a matter of seconds.
    #[must_use]
    pub fn is_quick(self) -> bool {
        matches!(self, Self::Kill | Self::Switchover)
    }

    /// Whether a node is lost.
    #[must_use]
    pub fn takes_a_node(self) -> bool {
        matches!(self, Self::NodeOff | Self::NodeOffWithLeader)
    }

    /// Whether nothing is broken, so that no acknowledged write may be lost.
    #[must_use]
    pub fn is_planned(self) -> bool {
        matches!(self, Self::Switchover | Self::Delete)
    }

    /// Full resyncs that the old master's own return may cost: it starts from its append-only file, which has no
    /// history, or comes back with writes that nobody else has.
    #[must_use]
    pub fn full_resyncs_of_return(self) -> u64 {
        match self {
            Self::Switchover => 0,
            Self::Kill | Self::Delete | Self::Stop | Self::Cut | Self::NodeOff | Self::NodeOffWithLeader => 1,
        }
    }

    /// Makes the master one that this fault is about: on the leader's node, or not on it.
    ///
    /// # Errors
    /// If no pod of the set is there, or the hand-over to it is not done.
    pub fn prepare(self, set: &Set, id: &str) -> Outcome {
        if !self.takes_a_node() {
            return Ok(());
        }
        let leader = Operator::new(&set.cluster).wait_leader(LIMIT)?;
        let leader = set.cluster.kubernetes.get("pods", operator::NAME, &leader)?;
        let together = self == Self::NodeOffWithLeader;
        let fits = |pod: &str| -> Outcome<bool> { Ok((leader["spec"]["nodeName"] == *set.node_of(pod)?) == together) };
        if fits(&set.master()?)? {
            return Ok(());
        }
        let mut pods = set.pod_names()?;
        pods.retain(|pod| fits(pod).unwrap_or(false));
        let target = pods.first().context("no pod of the set is where the fault needs it")?;
        let (epoch, value) = (set.epoch()?, format!("{target}@{id}"));
        set.ask("switchover", &value)?;
        let answer = set.wait_answer("switchover", &value, LIMIT)?;
        ensure!(answer["outcome"] == "Done", "switchover to {target}: {answer}");
        set.wait_reports_after(epoch, LIMIT).map(drop)
    }

    /// Does it to this pod. A hand-over is asked for with this id.
    ///
    /// # Errors
    /// If it cannot be done.
    pub fn strike(self, set: &Set, master: &str, id: &str) -> Outcome {
        let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
        match self {
            Self::Kill => testbed.signal_redis(namespace, master, Signal::SIGKILL)?,
            Self::Stop => testbed.signal_redis(namespace, master, Signal::SIGSTOP)?,
            Self::Cut => testbed.cut_pod(namespace, master, Cut::All)?,
            Self::Switchover => set.ask("switchover", &format!("any@{id}"))?,
            Self::Delete => set.cluster.kubernetes.delete("pods", namespace, master)?,
            Self::NodeOff | Self::NodeOffWithLeader => testbed.node(&set.node_of(master)?)?.power_off()?,
        }
        Ok(())
    }

    /// Undoes what lasts.
    ///
    /// # Errors
    /// If it cannot be undone.
    pub fn undo(self, set: &Set, master: &str) -> Outcome {
        let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
        match self {
            Self::Kill | Self::Switchover | Self::Delete => {}
            Self::Stop => testbed.signal_redis(namespace, master, Signal::SIGCONT)?,
            Self::Cut => testbed.heal_pod(namespace, master)?,
            Self::NodeOff | Self::NodeOffWithLeader => {
                for node in testbed.nodes()?.iter().filter(|node| node.state() == "off") {
                    node.power_on()?;
                }
            }
        }
        Ok(())
    }
}
