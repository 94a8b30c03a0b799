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
        /// By spec.replicas: 0 there is nobody who could take over.
        NoReplica = "NoReplica",
        /// By failover.whenUnreachable: Never a silent master is left to a person.
        NeverByPolicy = "NeverByPolicy",
        /// A replica takes over.
        FailingOver = "FailingOver",
        /// The master hands over.
        SwitchingOver = "SwitchingOver",
        /// If the master died now, a replica would take over.
        Possible = "Possible",
        /// The silent master may take writes until it has fenced itself.
        FenceWait = "FenceWait",
        /// The dead master is awaited with its append-only file.
        AwaitingReturn = "AwaitingReturn",
        /// After a failover a further one needs proof of death for a while.
        CoolingDown = "CoolingDown",
        /// Too few electors are known to hold what was confirmed.
        PositionsMissing = "PositionsMissing",
        /// Too many pods may still replicate from the silent master.
        QuorumMissing = "QuorumMissing",
        /// Replicas hear the master: the operator's own path is broken.
        WitnessesDisagree = "WitnessesDisagree",
        /// The master refuses connections, but replicas are linked to it.
        LinkStillUp = "LinkStillUp",
        /// Nobody's data has a known place in the history, or nobody who has it may be master.
        NoCandidate = "NoCandidate",
        /// The pod with the most may not be master.
        BestNotEligible = "BestNotEligible",
        /// By failover.priorities nobody who is left may become master.
        OnlyUnelectable = "OnlyUnelectable",
        /// The operator reaches a replica and the master, but they do not reach each other.
        PathBlocked = "PathBlocked",
        /// A tier has more replicas than the pods above it are to have, or the core has none that they could hang on.
        TooFewParents = "TooFewParents",
        /// With two pods nothing ends the writes of a silent master.
        TooFewPods = "TooFewPods",
        /// The recorded master has no data, although the set had some.
        Empty = "Empty",
        /// Nothing says who was master of the data.
        LineageUnknown = "LineageUnknown",
        /// A former master has writes that nobody else has, and is held with them.
        Diverged = "Diverged",
        /// A person took a pod out of service; of the master, nobody takes its place.
        Fenced = "Fenced",
        /// A former master was not reached yet.
        Pending = "Pending",
        /// Every replica follows the master and is within its lag.
        InSync = "InSync",
        /// A replica receives its data.
        Syncing = "Syncing",
        /// A replica is further behind than the maxLag of its read Service.
        Lagging = "Lagging",
        /// A replica has no link to the master.
        LinkDown = "LinkDown",
        /// By spec.config, the master's output buffer for replicas may end a full resync before it is done.
        ReplicaBufferTooSmall = "ReplicaBufferTooSmall",
        /// The master takes writes with fewer replicas than it should, because replicas are gone.
        Degraded = "Degraded",
        /// Every append-only file is written.
        Healthy = "Healthy",
        /// A write of an append-only file failed.
        WriteFailed = "WriteFailed",
        /// A rewrite of an append-only file failed.
        RewriteFailed = "RewriteFailed",
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
        /// A change was refused or not answered, by the API server or by a Redis, and is tried again.
        ApplyFailed = "ApplyFailed",
        /// Volumes are being grown.
        Resizing = "Resizing",
        /// Pods are being made anew, one by one.
        Rolling = "Rolling",
        /// Replicas run the wanted revision, and the master waits for approve-update.
        WaitingForApproval = "WaitingForApproval",
        /// Pods of an older revision run until somebody deletes them.
        OnDelete = "OnDelete",
        /// Every running server follows spec.config.
        Applied = "Applied",
        /// The server does not know a directive.
        UnknownDirective = "UnknownDirective",
        /// The server refused a directive's value.
        RefusedByRedis = "RefusedByRedis",
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
        /// Every fence was delivered.
        Delivered = "Delivered",
        /// The operator hears what the pods hear.
        PathOk = "PathOk",
        /// Pods are silent to the operator only.
        OperatorCutOff = "OperatorCutOff",
        /// Pods are spread as well as the cluster allows.
        Spread = "Spread",
        /// Two pods share a node.
        SharedNode = "SharedNode",
        /// Every volume is empty although the set had data.
        AllCopiesLost = "AllCopiesLost",
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

    /// Whether this condition's bad state makes Ready False (but see [`Reason::leaves_ready`]).
    pub const fn decides_ready(self) -> bool {
        self.good_when_true() && !matches!(self, Self::Ready)
    }

    /// The reasons this condition can have: Ready has those of the conditions that decide it behind its own.
    pub fn reasons(self) -> Vec<Reason> {
        let mut list = self.own_reasons().to_vec();
        if self == Self::Ready {
            let deciding = Self::ALL.iter().filter(|kind| kind.decides_ready());
            let bad = deciding.flat_map(|kind| kind.own_reasons().iter().skip(1));
            for reason in bad.filter(|reason| !reason.leaves_ready()) {
                if !list.contains(reason) {
                    list.push(*reason);
                }
            }
        }
        list
    }

    /// Of one that decides Ready, the first is the good one.
    const fn own_reasons(self) -> &'static [Reason] {
        use Reason::*;
        match self {
            Self::Ready => &[
                Ready,
                DataLost,
                FailoverBlocked,
                FailingOver,
                SwitchingOver,
                ObjectConflict,
                Creating,
                Paused,
                Scaling,
            ],
            Self::Available => &[
                Serving,
                VIPNotConverged,
                WritesRefused,
                SelfFenced,
                Loading,
                MasterUnreachable,
                NoMaster,
                Fenced,
                DataLost,
            ],
            Self::Reconciling => &[
                Creating,
                FailingOver,
                SwitchingOver,
                Scaling,
                Resyncing,
                Updating,
                Waiting,
                Idle,
            ],
            Self::Stalled => &[
                ObjectConflict,
                DataLost,
                StatusBehind,
                VersionUnsupported,
                FailoverBlocked,
                ConfigRejected,
                OperatorLockedOut,
                ProgressDeadlineExceeded,
                No,
            ],
            Self::FailoverBlocked => &[
                Possible,
                FenceWait,
                AwaitingReturn,
                CoolingDown,
                PositionsMissing,
                QuorumMissing,
                WitnessesDisagree,
                LinkStillUp,
                NoCandidate,
                Empty,
                BestNotEligible,
                LineageUnknown,
                NoReplica,
                TooFewPods,
                NeverByPolicy,
                OnlyUnelectable,
                Paused,
                Fenced,
                DataLost,
            ],
            Self::ReplicationHealthy => &[
                InSync,
                ReplicaBufferTooSmall,
                PathBlocked,
                Degraded,
                Syncing,
                Lagging,
                LinkDown,
                Diverged,
                Fenced,
                TooFewParents,
            ],
            Self::PersistenceHealthy => &[Healthy, AofOff, WriteFailed, RewriteFailed],
            Self::UpToDate => &[
                UpToDate,
                PvcPending,
                Unschedulable,
                ImagePullFailed,
                ApplyFailed,
                Resizing,
                PodNotReady,
                Rolling,
                WaitingForApproval,
                OnDelete,
            ],
            Self::ConfigApplied => &[Applied, RefusedByRedis, UnknownDirective, RestartPending],
            Self::CredentialsInSync => &[InSync, SecretNotFound, SecretKeyMissing, PasswordEmpty, PasswordTooLong],
            Self::FencePending => &[Delivered, Pending],
            Self::ProbePathBroken => &[PathOk, OperatorCutOff],
            Self::SpreadDegraded => &[Spread, SharedNode],
            Self::DataLost => &[No, AllCopiesLost],
        }
    }
}

impl Reason {
    /// Whether a condition with this reason leaves Ready alone: it is True with it, or its exception is wanted.
    pub const fn leaves_ready(self) -> bool {
        matches!(
            self,
            Self::OnDelete | Self::RestartPending | Self::ReplicaBufferTooSmall
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_belongs_to_a_type_and_none_is_listed_twice() {
        let mut used: BTreeSet<Reason> = BTreeSet::new();
        for kind in ConditionType::ALL {
            let reasons: BTreeSet<_> = kind.reasons().into_iter().collect();
            assert_eq!(reasons.len(), kind.reasons().len(), "{kind} lists a reason twice");
            used.extend(reasons);
        }
        let orphans: Vec<_> = Reason::ALL.iter().filter(|reason| !used.contains(*reason)).collect();
        assert!(orphans.is_empty(), "{orphans:?}");
    }

    #[test]
    fn ready_can_show_the_reason_of_every_condition_that_decides_it() {
        for kind in ConditionType::ALL.iter().filter(|kind| kind.decides_ready()) {
            for reason in &kind.reasons()[1..] {
                let shown = ConditionType::Ready.reasons().contains(reason);
                assert_eq!(shown, !reason.leaves_ready(), "{reason} of {kind}");
            }
        }
    }
}
