//! The rules of failover by name, each where it is followed.
//!
//! All of them hold, always. Only the model in the tests leaves one out at a time, to show what happens without it.

/// A rule that a decision follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// Votes from all electors but k are needed.
    AllButK,
    /// A position counts only when it was read of a pod that follows nobody any more.
    VoteIsADetach,
    /// Who was not seen to hold everything since it entered has no vote.
    LearnersDoNotVote,
    /// ... but one with nothing, as long as the process that entered has completed no resync.
    NothingSinceItEntered,
    /// Nobody whose position is below the largest one takes over.
    NobodyBelowTheLargest,
    /// Who receives a full resync, or did when it was cut off, has no position.
    ResyncIsNoPosition,
    /// What stands under an id that status does not know has no position.
    UnknownIsNoPosition,
    /// A position is in the lineage of the last byte held, whatever id it stands under.
    LineageOfTheLastByte,
    /// k is what status says, not what spec asks for.
    KIsState,
    /// k rises once the electors have grown and k replicas hold everything.
    KRisesLast,
    /// The min of a master that is not reached is what status says.
    MinIsState,
    /// min falls once the missing replicas are proven to acknowledge nothing.
    MinFallsByProof,
    /// A link that stays up through the drain vetoes a refused connection as proof of death.
    LinksVetoDeath,
    /// Silence proves nothing.
    SilenceIsNoProof,
    /// Whom the master still has a connection of is not dead.
    ConnectedIsAlive,
    /// A master that its replicas hear is not lost.
    ReplicasAgree,
    /// A silent master is replaced once fewer pods than min can be under it.
    OneWriter,
    /// ... and after the time in which it fences itself.
    FenceWait,
    /// A former master that was not seen to end is fenced when it answers.
    FencesAreRemembered,
    /// A master's file is the source only if the votes do not suffice.
    VotesBeforeTheFile,
    /// ... and none beside a replica that kept its place in the stream, if the process may have outlived its pod.
    NoFileBesideAReplica,
    /// A master's return is awaited only if its file was seen to have everything (its story is in `awaiting`).
    OnlyACompleteFile,
    /// Nobody without data is granted the role of a set that had some.
    NobodyEmpty,
    /// Nobody without data wins the votes below where the set was seen to have some (its story is in `random`).
    NobodyEmptyWins,
    /// Before a pod that was made anew takes writes, the process before it has fenced itself.
    TheOldEndsFirst,
    /// A pod enters the electors before it is attached.
    EnterFirst,
    /// An elector leaves once enough of the others hold everything.
    OthersHoldEverything,
    /// ... and can not acknowledge any more.
    LockOutFirst,
    /// A master that hands over is demoted before anybody is promoted.
    DemoteFirst,
    /// ... and the target has taken in everything.
    TargetHoldsEverything,
}

/// Whether a rule holds.
#[cfg(not(test))]
pub(super) const fn holds(_: Rule) -> bool {
    true
}
#[cfg(test)]
pub(super) use super::tests::rules::holds;
