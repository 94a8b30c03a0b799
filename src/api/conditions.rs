//! Conditions of status: every type, in the order of `kubectl get -o yaml`, and the closed list of its reasons.
//!
//! Only types and reasons that can occur are here. Messages and the decision which reason holds are not: they need
//! what was seen. A reason is part of the API: people and alerts match on it, so none is ever renamed.

use super::words::words;

words! {
    /// Type of a condition.
    pub enum ConditionType {
        /// The spec is realised.
        Ready = "Ready",
        /// The VIP takes writes.
        Available = "Available",
        /// The operator is at work.
        Reconciling = "Reconciling",
        /// Only a person or another system can help; Reconciling is False then.
        Stalled = "Stalled",
        /// If the master died now, nobody would take over.
        FailoverBlocked = "FailoverBlocked",
        /// Every replica is in sync.
        ReplicationHealthy = "ReplicationHealthy",
        /// Every Redis can write its append-only file.
        PersistenceHealthy = "PersistenceHealthy",
        /// Every pod runs the wanted revision.
        UpToDate = "UpToDate",
        /// Every running server follows spec.config.
        ConfigApplied = "ConfigApplied",
        /// Every running server knows the wanted passwords.
        CredentialsInSync = "CredentialsInSync",
        /// A pod that must not take writes was not reached yet.
        FencePending = "FencePending",
        /// The operator does not hear pods that hear each other.
        ProbePathBroken = "ProbePathBroken",
        /// Pods share a node or a zone.
        SpreadDegraded = "SpreadDegraded",
        /// No copy of the data is left.
        DataLost = "DataLost",
    }

    /// Reason of a condition.
    pub enum Reason {
        /// The master serves and every replica is in sync.
        Ready = "Ready",
        /// Objects, pods or roles of a new set are being made.
        Creating = "Creating",
        /// Replicas are being added or removed.
        Scaling = "Scaling",
        /// By spec.paused the operator only looks.
        Paused = "Paused",
        /// There is no master, and nobody takes over by itself.
        FailoverBlocked = "FailoverBlocked",
        /// An object of the set's name belongs to someone else.
        ObjectConflict = "ObjectConflict",
        /// All copies of the data are gone.
        DataLost = "DataLost",
        /// The master answers and the VIP leads to it.
        Serving = "Serving",
        /// No master is chosen, or the chosen one has no pod.
        NoMaster = "NoMaster",
        /// The master does not answer.
        MasterUnreachable = "MasterUnreachable",
        /// The master takes no writes because too few replicas acknowledge.
        SelfFenced = "SelfFenced",
        /// Redis refuses writes, for example because it cannot write its append-only file.
        WritesRefused = "WritesRefused",
        /// The master reads its data.
        Loading = "Loading",
        /// The EndpointSlices do not show exactly the master's pod yet.
        VIPNotConverged = "VIPNotConverged",
        /// The master is kept from serving.
        Fenced = "Fenced",
        /// Objects are being changed.
        Updating = "Updating",
        /// A replica receives its data.
        Resyncing = "Resyncing",
        /// The operator waits, by itself, until a time or an event that the message names.
        Waiting = "Waiting",
        /// There is nothing to do.
        Idle = "Idle",
        /// The server is older than the operator can drive.
        VersionUnsupported = "VersionUnsupported",
        /// A directive of spec.config was refused.
        ConfigRejected = "ConfigRejected",
        /// Nothing moved for 10 minutes.
        ProgressDeadlineExceeded = "ProgressDeadlineExceeded",
        /// The operator's passwords were lost: pods answer again after their next restart.
        OperatorLockedOut = "OperatorLockedOut",
        /// Pods or volumes know of a later epoch than status does.
        StatusBehind = "StatusBehind",
        /// It is not so.
        No = "No",
        /// A replica could take over.
        Possible = "Possible",
        /// No replica is fit to take over.
        NoCandidate = "NoCandidate",
        /// By spec.replicas: 0 there is nobody who could take over.
        NoReplica = "NoReplica",
        /// Nobody takes over by itself: this version, or the set's policy, has no failover.
        NeverByPolicy = "NeverByPolicy",
        /// The pods left are no quorum.
        TooFewPods = "TooFewPods",
        /// Every replica follows the master and is within its lag.
        InSync = "InSync",
        /// A replica receives its data.
        Syncing = "Syncing",
        /// A replica is further behind than services.replicas.maxLag.
        Lagging = "Lagging",
        /// A replica has no link to the master.
        LinkDown = "LinkDown",
        /// The master takes writes with fewer replicas than it should, because replicas are gone.
        Degraded = "Degraded",
        /// The master's output buffer for replicas is too small for a full resync.
        ReplicaBufferTooSmall = "ReplicaBufferTooSmall",
        /// Every append-only file is written.
        Healthy = "Healthy",
        /// A volume is full.
        DiskFull = "DiskFull",
        /// A write of an append-only file failed.
        WriteFailed = "WriteFailed",
        /// A rewrite of an append-only file failed.
        RewriteFailed = "RewriteFailed",
        /// Flushing takes longer than writing.
        FsyncSlow = "FsyncSlow",
        /// The append-only file is off in a pod and is being turned on again.
        AofOff = "AofOff",
        /// Every pod runs the wanted revision.
        UpToDate = "UpToDate",
        /// A pod that was made anew does not get ready.
        PodNotReady = "PodNotReady",
        /// A claim gets no volume.
        PvcPending = "PvcPending",
        /// A pod finds no node.
        Unschedulable = "Unschedulable",
        /// An image cannot be fetched.
        ImagePullFailed = "ImagePullFailed",
        /// Volumes are being grown.
        Resizing = "Resizing",
        /// Pods of an older revision run until somebody deletes them.
        OnDelete = "OnDelete",
        /// Every running server follows spec.config.
        Applied = "Applied",
        /// The server does not know a directive.
        UnknownDirective = "UnknownDirective",
        /// The server refused a directive's value.
        RefusedByRedis = "RefusedByRedis",
        /// A value that somebody had changed in a running server was put back.
        DriftRepaired = "DriftRepaired",
        /// A directive takes effect only when pods are made anew.
        RestartPending = "RestartPending",
        /// The Secret does not exist or cannot be read.
        SecretNotFound = "SecretNotFound",
        /// The Secret has no such key.
        SecretKeyMissing = "SecretKeyMissing",
        /// The password is empty or only white space.
        PasswordEmpty = "PasswordEmpty",
        /// The password is longer than 512 bytes.
        PasswordTooLong = "PasswordTooLong",
        /// The server refused a user's rules.
        AclRefused = "AclRefused",
        /// Every fence was delivered.
        Delivered = "Delivered",
        /// A fence could not be delivered yet.
        Pending = "Pending",
        /// The operator hears what the pods hear.
        PathOk = "PathOk",
        /// Pods are silent to the operator only.
        OperatorCutOff = "OperatorCutOff",
        /// Pods are spread as well as the cluster allows.
        Spread = "Spread",
        /// Two pods share a node.
        SharedNode = "SharedNode",
        /// Pods share a zone although there are others.
        SharedZone = "SharedZone",
        /// Every volume is empty although the set had data.
        AllCopiesLost = "AllCopiesLost",
        /// It was not looked at yet.
        Unknown = "Unknown",
    }
}

impl ConditionType {
    /// Whether True is the good state.
    pub const fn good_when_true(self) -> bool {
        match self {
            Self::Ready
            | Self::Available
            | Self::ReplicationHealthy
            | Self::PersistenceHealthy
            | Self::UpToDate
            | Self::ConfigApplied
            | Self::CredentialsInSync => true,
            Self::Reconciling
            | Self::Stalled
            | Self::FailoverBlocked
            | Self::FencePending
            | Self::ProbePathBroken
            | Self::SpreadDegraded
            | Self::DataLost => false,
        }
    }

    /// Whether a bad state of this condition makes Ready False, unless its reason is an exception
    /// (see [`Reason::leaves_ready`]).
    pub const fn decides_ready(self) -> bool {
        self.good_when_true() && !matches!(self, Self::Ready)
    }

    /// The reasons this condition can have while it is known; [`Reason::Unknown`] goes with every type.
    pub const fn reasons(self) -> &'static [Reason] {
        use Reason::*;
        match self {
            Self::Ready => &[
                Ready,
                DataLost,
                FailoverBlocked,
                ObjectConflict,
                Creating,
                Scaling,
                Paused,
                // Else reason and message of the first condition below that decides it.
                NoMaster,
                MasterUnreachable,
                SelfFenced,
                WritesRefused,
                Loading,
                VIPNotConverged,
                Fenced,
                Syncing,
                Lagging,
                LinkDown,
                Degraded,
                ReplicaBufferTooSmall,
                DiskFull,
                WriteFailed,
                RewriteFailed,
                AofOff,
                PodNotReady,
                PvcPending,
                Unschedulable,
                ImagePullFailed,
                Resizing,
                UnknownDirective,
                RefusedByRedis,
                SecretNotFound,
                SecretKeyMissing,
                PasswordEmpty,
                PasswordTooLong,
                AclRefused,
            ],
            Self::Available => &[
                Serving,
                NoMaster,
                MasterUnreachable,
                SelfFenced,
                WritesRefused,
                Loading,
                VIPNotConverged,
                Fenced,
                DataLost,
            ],
            Self::Reconciling => &[Creating, Updating, Scaling, Resyncing, Resizing, Waiting, Idle],
            Self::Stalled => &[
                ObjectConflict,
                VersionUnsupported,
                ConfigRejected,
                FailoverBlocked,
                DataLost,
                OperatorLockedOut,
                StatusBehind,
                ProgressDeadlineExceeded,
                No,
            ],
            Self::FailoverBlocked => &[
                Possible,
                NoReplica,
                NoCandidate,
                TooFewPods,
                NeverByPolicy,
                Paused,
                Fenced,
                DataLost,
            ],
            Self::ReplicationHealthy => &[InSync, Syncing, Lagging, LinkDown, Degraded, ReplicaBufferTooSmall],
            Self::PersistenceHealthy => &[Healthy, DiskFull, WriteFailed, RewriteFailed, FsyncSlow, AofOff],
            Self::UpToDate => &[
                UpToDate,
                PodNotReady,
                PvcPending,
                Unschedulable,
                ImagePullFailed,
                Resizing,
                OnDelete,
            ],
            Self::ConfigApplied => &[Applied, UnknownDirective, RefusedByRedis, DriftRepaired, RestartPending],
            Self::CredentialsInSync => &[
                InSync,
                SecretNotFound,
                SecretKeyMissing,
                PasswordEmpty,
                PasswordTooLong,
                AclRefused,
            ],
            Self::FencePending => &[Delivered, Pending],
            Self::ProbePathBroken => &[PathOk, OperatorCutOff],
            Self::SpreadDegraded => &[Spread, SharedNode, SharedZone],
            Self::DataLost => &[No, AllCopiesLost],
        }
    }
}

impl Reason {
    /// Whether a condition with this reason leaves Ready alone although it is not in its good state.
    pub const fn leaves_ready(self) -> bool {
        matches!(self, Self::FsyncSlow | Self::OnDelete)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_belongs_to_a_type_and_none_is_listed_twice() {
        let mut used = BTreeSet::from([Reason::Unknown]);
        for kind in ConditionType::ALL {
            let reasons: BTreeSet<_> = kind.reasons().iter().collect();
            assert_eq!(reasons.len(), kind.reasons().len(), "{kind} lists a reason twice");
            used.extend(reasons);
        }
        let orphans: Vec<_> = Reason::ALL.iter().filter(|reason| !used.contains(reason)).collect();
        assert!(orphans.is_empty(), "{orphans:?}");
    }

    #[test]
    fn ready_can_show_the_reason_of_every_condition_that_decides_it() {
        // The good reason of each type is the first of its list.
        for kind in ConditionType::ALL.iter().filter(|kind| kind.decides_ready()) {
            for reason in kind.reasons()[1..].iter().filter(|reason| !reason.leaves_ready()) {
                let goes_with_true = matches!(reason, Reason::DriftRepaired | Reason::RestartPending);
                assert_eq!(
                    ConditionType::Ready.reasons().contains(reason),
                    !goes_with_true,
                    "{reason} of {kind}"
                );
            }
        }
    }
}
