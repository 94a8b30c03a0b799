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
    /// Every volume is empty, although the set had data.
    DataLost {
        /// Number of volumes.
        volumes: usize,
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
    /// Status is older than the world.
    StatusBehind {
        /// What shows it.
        evidence: String,
        /// The epoch of the evidence.
        epoch: i64,
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
            | Self::StatusBehind { .. }
            | Self::VersionUnsupported { .. } => true,
            Self::Paused
            | Self::Deleting
            | Self::WaitsForPods { .. }
            | Self::Loading { .. }
            | Self::PrefersLower { .. }
            | Self::MasterSilent { .. } => false,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("spec.paused is true: nothing is done"),
            Self::Deleting => f.write_str("the set is being deleted"),
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
                write!(f, "{pod} has no data, the set had {keys} keys at epoch {epoch}")
            }
            Self::DataLost { volumes, keys, epoch } => write!(
                f,
                "all {volumes} volumes are empty, {keys} keys were last seen at epoch {epoch}: restore a volume, or \
                 delete the set and make a new one"
            ),
            Self::MasterSilent { pod, since, error } => {
                write!(f, "{pod} is silent since {since:.0} ({error}); its data is awaited")
            }
            Self::MasterGone { pod, why } => write!(
                f,
                "the volume of master {pod} is gone: {why}; this version does not promote a replica, bring the volume back"
            ),
            Self::StatusBehind { evidence, epoch } => write!(
                f,
                "{evidence}: was the cluster's store restored? Nothing is done until status and epoch {epoch} agree"
            ),
            Self::VersionUnsupported { found } => {
                write!(f, "{found} is too old: Redis from 7.0 or Valkey from 7.2 is needed")
            }
        }
    }
}
