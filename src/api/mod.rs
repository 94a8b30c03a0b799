//! The API: what a user writes ([`spec`]), reads ([`status`]) and waits for ([`conditions`]).
//!
//! Start here. The kind is `RedisReplicaSet`, short name `rrs`, of group `redisreplicaset.dev/v1alpha1`. [`spec`] has
//! its fields, with `services`, `template` and `tiers` for the large blocks; `shapes` has the limits that a field's
//! schema alone can hold, `rules` the ones that need an expression, [`reserved`] the directives that `spec.config` may
//! not have. [`Change`] is what a change of a field does. [`crd`] puts all together: `crds/`, the reference
//! under `docs/reference/` and the subcommand `crds` are all made from it.
//!
//! Nothing here talks to a cluster or decides anything, and nothing of the other modules is imported.

pub mod conditions;
pub mod reserved;
pub mod spec;
pub mod status;

mod change;
mod definition;
mod durations;
mod rules;
mod services;
mod shapes;
mod template;
mod tiers;
mod words;

pub use change::Change;
pub use conditions::{ConditionType, Reason};
pub use definition::{crd, crd_yaml};
pub use durations::{NotAPeriod, Period};
pub use services::{
    ExternalTrafficPolicy, IpFamily, IpFamilyPolicy, MasterService, ReplicasService, ServiceSpec, ServiceType,
    Services, WhenEmpty,
};
pub use spec::{
    AccessMode, AppendFsync, Auth, Failover, ImagePullPolicy, LocalRef, OnDivergence, Persistence, Priority,
    RedisReplicaSet, RedisReplicaSetSpec, Resources, Retain, SecretKeyRef, Storage, Update, UpdateStrategy,
    VolumeRetention, WhenUnreachable,
};
pub use status::{
    Binding, ConfigStatus, Derived, Elector, Endpoints, FailoverReport, FenceState, HighWaterMark, History, Identity,
    MemberState, MemberStatus, Operation, OperationKind, OperationReason, Outcome, PendingFence, Phases, Point,
    Positions, Proof, Quorum, RedisReplicaSetStatus, Request, Resyncs, Role, ServerVersion, TierStatus, Verdict,
    Witnesses,
};
pub use template::{FsGroupChangePolicy, Metadata, PodMetadata, PodSecurity, PodSpec, Template};
pub use tiers::TierSpec;
