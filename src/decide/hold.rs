//! Why the work on roles does not go on: each refusal with its numbers.
//!
//! No words for people here but [`Hold`]'s own `Display`; conditions choose reason and type.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

/// A refusal or a wait of the role decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A person asked that nothing be done.
    Paused,
    /// The set is being deleted.
    Deleting,
    /// A person fenced the recorded master.
    Fenced {
        /// The master.
        pod: String,
        /// Fenced pods that do not answer.
        silent: Vec<String>,
    },
    /// Pods are not there yet.
    WaitsForPods {
        /// The pod waited for, with what it does.
        pod: String,
        /// What is known of it.
        why: String,
    },
    /// The pod that is to be master reads its data.
    Loading {
        /// The pod.
        pod: String,
        /// Percent, in steps of ten.
        percent: u8,
    },
    /// A new set waits for a lower ordinal before another pod becomes its first master.
    PrefersLower {
        /// The pod that would be next.
        pod: String,
        /// Until when.
        until: Timestamp,
    },
    /// There is data, but nothing says who was master of it.
    LineageUnknown(String),
    /// The recorded master came back without the data the set had.
    Empty {
        /// The pod.
        pod: String,
        /// Keys the set had.
        keys: i64,
        /// In which epoch.
        epoch: i64,
    },
    /// Every volume of the core is empty, although the set had data.
    DataLost {
        /// Number of volumes.
        volumes: usize,
        /// Pods of tiers that still have data, which may not become master.
        elsewhere: Vec<String>,
        /// Keys the set had.
        keys: i64,
        /// In which epoch.
        epoch: i64,
    },
    /// The recorded master does not answer.
    MasterSilent {
        /// The pod.
        pod: String,
        /// Since when.
        since: Timestamp,
        /// The last error.
        error: String,
    },
    /// No pod stands on the recorded master's volume.
    MasterGone {
        /// Name of the pod that was master.
        pod: String,
        /// What is there instead.
        why: String,
    },
    /// Links to a master that refuses connections stay up: it lives.
    LinkStillUp {
        /// Whose.
        pods: Vec<String>,
    },
    /// Votes are missing.
    PositionsMissing {
        /// Votes that were read.
        read: usize,
        /// Votes that are needed.
        needed: usize,
        /// Whose are missing, and why.
        missing: String,
    },
    /// Votes are missing, and the master's file may lack what they would show: its process may have outlived its pod.
    MayBeOutlived {
        /// The master.
        pod: String,
        /// Votes that were read.
        read: usize,
        /// Votes that are needed.
        needed: usize,
        /// Whose are missing, and why.
        missing: String,
    },
    /// Too many pods may still be under the silent master.
    QuorumMissing {
        /// The master.
        pod: String,
        /// Who may be.
        loose: Vec<String>,
        /// Its min-replicas-to-write.
        min: i32,
    },
    /// By spec a silent master is a person's business.
    NeverByPolicy {
        /// The master.
        pod: String,
        /// Since when it is silent.
        since: Timestamp,
    },
    /// With so few pods nothing ends the writes of a silent master.
    TooFewPods {
        /// The master.
        pod: String,
        /// Since when it is silent.
        since: Timestamp,
    },
    /// Replicas hear a master that is silent to the operator.
    WitnessesDisagree {
        /// Who.
        pods: Vec<String>,
    },
    /// A failover was just made, and nothing proves that the master is dead.
    CoolingDown {
        /// When.
        last: Timestamp,
        /// Until when another one needs proof.
        until: Timestamp,
    },
    /// The silent master may take writes until it has fenced itself.
    FenceWait {
        /// The master.
        pod: String,
        /// Until when.
        until: Timestamp,
    },
    /// The dead master is awaited with its file.
    AwaitingReturn {
        /// The master.
        pod: String,
        /// Until when.
        until: Timestamp,
    },
    /// No pod's data has a known place in the history of the set, or nobody whose data has may be master.
    NoCandidate(String),
    /// The pod with the most may not be master.
    BestNotEligible {
        /// The pod.
        pod: String,
        /// Why.
        why: String,
    },
    /// By spec nobody who is left may become master.
    OnlyUnelectable {
        /// Who holds the data.
        pods: Vec<String>,
    },
    /// Status is older than the world.
    StatusBehind {
        /// What shows it.
        evidence: String,
        /// The highest epoch that was seen.
        epoch: i64,
        /// What a person can do.
        help: String,
    },
    /// The server cannot be used.
    VersionUnsupported {
        /// What it is.
        found: String,
    },
}

impl Hold {
    /// Whether only a person or another system can end it.
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::LineageUnknown(_)
            | Self::Empty { .. }
            | Self::DataLost { .. }
            | Self::MasterGone { .. }
            | Self::MayBeOutlived { .. }
            | Self::TooFewPods { .. }
            | Self::NeverByPolicy { .. }
            | Self::OnlyUnelectable { .. }
            | Self::StatusBehind { .. }
            | Self::Fenced { .. }
            | Self::VersionUnsupported { .. } => true,
            Self::Paused
            | Self::Deleting
            | Self::WaitsForPods { .. }
            | Self::Loading { .. }
            | Self::PrefersLower { .. }
            | Self::LinkStillUp { .. }
            | Self::PositionsMissing { .. }
            | Self::QuorumMissing { .. }
            | Self::WitnessesDisagree { .. }
            | Self::CoolingDown { .. }
            | Self::FenceWait { .. }
            | Self::AwaitingReturn { .. }
            | Self::NoCandidate(_)
            | Self::BestNotEligible { .. }
            | Self::MasterSilent { .. } => false,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("spec.paused is true: nothing is done"),
            Self::Deleting => f.write_str("the set is being deleted"),
            Self::Fenced { pod, silent } if silent.is_empty() => write!(
                f,
                "{pod} is fenced by request: nobody takes writes until it is let go by the annotation unfence"
            ),
            Self::Fenced { pod, silent } => write!(
                f,
                "{pod} is fenced by request, and is not to take writes until it is let go by the annotation unfence; not \
                 reached yet: {}",
                silent.join(", ")
            ),
            Self::WaitsForPods { pod, why } => write!(f, "waits for {pod}: {why}"),
            Self::Loading { pod, percent } => write!(f, "{pod} loads its data, {percent} %"),
            Self::PrefersLower { pod, until } => {
                write!(
                    f,
                    "{pod} could be the first master; a lower ordinal is awaited until {until:.0}"
                )
            }
            Self::LineageUnknown(why) => f.write_str(why),
            Self::Empty { pod, keys, epoch } => {
                write!(
                    f,
                    "{pod} has no data, the set had {keys} keys at epoch {epoch}: bring the data back, or annotate \
                     accept-data-loss={epoch} to go on with the best there is"
                )
            }
            Self::DataLost {
                volumes,
                elsewhere,
                keys,
                epoch,
            } if elsewhere.is_empty() => write!(
                f,
                "all {volumes} volumes are empty, {keys} keys were last seen at epoch {epoch}: restore a volume, or annotate \
                 accept-data-loss={epoch} to begin empty"
            ),
            Self::DataLost {
                volumes,
                elsewhere,
                keys,
                epoch,
            } => write!(
                f,
                "all {volumes} volumes of the core are empty, {keys} keys were last seen at epoch {epoch}; the data is on {}, which \
                 never becomes master: copy it from there, or restore a volume; annotate accept-data-loss={epoch} to begin empty, \
                 which drops it there too",
                elsewhere.join(", ")
            ),
            Self::MasterSilent { pod, since, error } => {
                write!(f, "{pod} is silent since {since:.0} ({error}); its data is awaited")
            }
            Self::MasterGone { pod, why } => write!(
                f,
                "the volume of master {pod} is gone: {why}; bring it back, or a replica whose place in the history is known"
            ),
            Self::LinkStillUp { pods } => write!(
                f,
                "the master refuses connections, but the links of {} to it are up: it lives",
                pods.join(", ")
            ),
            Self::PositionsMissing { read, needed, missing } => {
                write!(f, "{read} of {needed} electors read; missing {missing}")
            }
            Self::MayBeOutlived {
                pod,
                read,
                needed,
                missing,
            } => write!(
                f,
                "the pod of master {pod} is gone, and nobody saw its process end: its file may lack what was confirmed since; \
                 {read} of {needed} electors read; missing {missing}"
            ),
            Self::QuorumMissing { pod, loose, min } => write!(
                f,
                "{pod} is silent, and {} may still replicate from it: fewer than {min} are allowed",
                loose.join(", ")
            ),
            Self::TooFewPods { pod, since } => write!(
                f,
                "{pod} is silent since {since:.0} without proof of death, and with min-replicas-to-write 0 nothing ends its \
                 writes: bring it or its node back, or delete its pod by force once its node is known to be down"
            ),
            Self::NeverByPolicy { pod, since } => write!(
                f,
                "{pod} is silent since {since:.0} without proof of death, and failover.whenUnreachable is Never"
            ),
            Self::WitnessesDisagree { pods } => {
                write!(
                    f,
                    "{} hear the master: the operator's own path to it is broken",
                    pods.join(", ")
                )
            }
            Self::CoolingDown { last, until } => {
                write!(f, "until {until:.0}: last failover {last:.0}, no proof of death")
            }
            Self::FenceWait { pod, until } => write!(f, "{pod} may take writes until {until:.1}"),
            Self::AwaitingReturn { pod, until } => write!(f, "{pod}'s AOF, until {until:.0}"),
            Self::NoCandidate(why) => write!(f, "nobody can take over: {why}"),
            Self::BestNotEligible { pod, why } => write!(f, "{pod} has the most but {why}"),
            Self::OnlyUnelectable { pods } => write!(
                f,
                "{} could take over, but by failover.priorities they never do: give one a priority above 0",
                pods.join(", ")
            ),
            Self::StatusBehind { evidence, help, .. } => {
                write!(
                    f,
                    "{evidence}: was the cluster's store restored? Nothing is done; {help}"
                )
            }
            Self::VersionUnsupported { found } => {
                write!(f, "{found} is too old: Redis from 7.0 or Valkey from 7.2 is needed")
            }
        }
    }
}
