//! The trials, and what may come of each.

use cluster_tests::failure::Outcome;
use cluster_tests::fault::Fault;
use cluster_tests::set::Set;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// One of the faults that the benchmark measures too.
    Master(Fault),
    /// SIGSTOP of the master, shorter than it takes to call it silent.
    Blink,
    /// SIGSTOP of the master for 3 s: looked at, perhaps begun, perhaps done.
    Nap,
    /// A script that keeps the master busy for seconds.
    Script,
    /// kill -9 of the master again and again, each time as soon as writes are taken.
    KillAgain,
    /// Its pod is deleted without grace.
    ForceDelete,
    /// Its node is drained.
    Drain,
    /// Its node is cordoned, and no more.
    Cordon,
    /// The eviction of all pods is asked for at once, the master's first.
    EvictAll,
    /// kill -9 of all replicas.
    KillReplicas,
    /// Nothing that the master sends arrives, what is sent to it does.
    Mute,
    /// The master's link comes and goes.
    Flap,
    /// A fifth of the master's packets are lost.
    Loss,
    /// The master is cut off from the operators only.
    CutFromOperators,
    /// The master is cut off from its replicas only.
    CutFromReplicas,
    /// The master's node and the API server do not reach each other, until the node counts as lost.
    NodeCutFromApiServer,
    /// The API server does not answer.
    ApiServerAway,
    /// The API server does not answer, and the master is killed.
    KillWithoutApiServer,
    /// The master and all operators are killed at once.
    KillWithOperators,
    /// The master is killed while there is no operator.
    KillWithoutOperators,
    /// The master is killed while the leading operator is stopped; it wakes up when another has taken over.
    KillWithLeaderStopped,
    /// The Lease is deleted.
    LeaseDeleted,
    /// A hand-over to a pod that cannot take it.
    BadTarget,
    /// A person takes the master out of service for a while.
    Fence,
    /// The master's node and that of one replica lose power.
    TwoNodesOff,
}

/// What becomes of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// A replica takes over; kind as in the report.
    To(&'static str),
    /// As often as it takes.
    Any,
}

/// What is to come of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub change: Change,
    /// Whether a client may see errors: the master is not there all the time.
    pub errors: bool,
    /// Whether acknowledged writes may be lost that nobody confirmed: something is broken that may hold them alone.
    pub loss: bool,
    /// Whether the read Service always leads to somebody: a replica stays in sync.
    pub reads: bool,
    /// Full resyncs of the pods that come back from their append-only files, or with writes that nobody else has.
    pub full_resyncs: u64,
}

impl Expected {
    const NOTHING: Self = Self {
        change: Change::None,
        errors: false,
        loss: false,
        reads: false,
        full_resyncs: 0,
    };
    const NO_CHANGE: Self = Self {
        errors: true,
        ..Self::NOTHING
    };
    const SWITCHOVER: Self = Self {
        change: Change::To("Switchover"),
        reads: true,
        ..Self::NO_CHANGE
    };
    const FAILOVER: Self = Self {
        change: Change::To("Failover"),
        errors: true,
        loss: true,
        reads: false,
        full_resyncs: 1,
    };

    const fn with_full_resyncs(self, full_resyncs: u64) -> Self {
        Self { full_resyncs, ..self }
    }

    const fn with_any_change(self) -> Self {
        Self {
            change: Change::Any,
            ..self
        }
    }
}

impl Trial {
    pub const ALL: [Self; 31] = [
        Self::Master(Fault::Kill),
        Self::BadTarget,
        Self::Fence,
        Self::Master(Fault::Switchover),
        Self::Blink,
        Self::Script,
        Self::LeaseDeleted,
        Self::CutFromOperators,
        Self::CutFromReplicas,
        Self::Master(Fault::Delete),
        Self::EvictAll,
        Self::KillReplicas,
        Self::Master(Fault::Stop),
        Self::KillWithOperators,
        Self::ApiServerAway,
        Self::KillWithoutApiServer,
        Self::Master(Fault::Cut),
        Self::Loss,
        Self::Mute,
        Self::Flap,
        Self::KillWithoutOperators,
        Self::Nap,
        Self::Drain,
        Self::Cordon,
        Self::KillWithLeaderStopped,
        Self::ForceDelete,
        Self::KillAgain,
        Self::NodeCutFromApiServer,
        Self::Master(Fault::NodeOff),
        Self::Master(Fault::NodeOffWithLeader),
        Self::TwoNodesOff,
    ];

    pub fn expected(self) -> Expected {
        match self {
            Self::CutFromOperators
            | Self::BadTarget
            | Self::NodeCutFromApiServer
            | Self::ApiServerAway
            | Self::LeaseDeleted => Expected::NOTHING,
            // The same master in a new epoch.
            Self::Fence => Expected::NO_CHANGE.with_any_change(),
            Self::Blink | Self::Script | Self::CutFromReplicas | Self::Loss => Expected::NO_CHANGE,
            Self::KillReplicas => Expected::NO_CHANGE.with_full_resyncs(2),
            Self::Master(Fault::Switchover) | Self::Cordon => Expected::SWITCHOVER,
            Self::Master(Fault::Delete) | Self::Drain | Self::EvictAll => Expected::SWITCHOVER.with_full_resyncs(1),
            Self::Master(Fault::Kill | Fault::Stop | Fault::Cut | Fault::NodeOff | Fault::NodeOffWithLeader)
            | Self::Mute
            | Self::ForceDelete
            | Self::KillWithoutApiServer
            | Self::KillWithOperators
            | Self::KillWithoutOperators
            | Self::KillWithLeaderStopped => Expected::FAILOVER,
            Self::Nap | Self::Flap => Expected::FAILOVER.with_any_change(),
            Self::TwoNodesOff => Expected::FAILOVER.with_any_change().with_full_resyncs(2),
            // Each kill may cost the one before its place, and each return is one.
            Self::KillAgain => Expected::FAILOVER.with_any_change().with_full_resyncs(10),
        }
    }

    /// Moves the master where the fault needs it.
    pub fn prepare(self, set: &Set) -> Outcome {
        let fault = match self {
            Self::Master(fault) => fault,
            // Else nobody is left who could do anything.
            Self::TwoNodesOff | Self::NodeCutFromApiServer => Fault::NodeOff,
            _ => return Ok(()),
        };
        fault.prepare(set, &format!("prepare-{self:?}").replace(['(', ')'], ""))
    }
}
