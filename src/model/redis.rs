//! What the operator knows of one Redis: the facts of one look at it, and whether it answers at all.
//!
//! Plain data; nothing here talks to a Redis, reads a clock or decides what follows from a fact.

mod offsets;
mod seen;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::jiff::Timestamp;

pub use offsets::OffsetLog;
pub use seen::{ProbeError, Seen};
pub use version::{Engine, Version};

/// `min-replicas-to-write` of a Redis that must not take writes, whatever its role.
pub const UNARMED: u32 = 65535;
/// Where a fenced Redis replicates from: an address at which nothing listens.
pub const NOWHERE: (&str, u16) = ("127.0.0.1", 1);

/// A `RedisReplicaSet`, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetKey {
    /// Namespace of the set and of everything it owns.
    pub namespace: String,
    /// Name of the set.
    pub name: String,
}

impl fmt::Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// UID of a pod. A process is known by it, since names and addresses are used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodUid(pub String);

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One look at one Redis: `INFO`, `CONFIG GET`, `ACL USERS` and `ACL GETUSER`, sent in one write.
///
/// Offsets, sizes and counts are what Redis said: bytes of the replication stream, bytes of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Our clock just before the question was sent. Everything below was true at or after it.
    pub asked_at: Timestamp,
    /// Our clock when the whole answer had been read. Everything below was true at or before it.
    pub answered_at: Timestamp,
    /// Identity of the process: new at every start.
    pub run_id: String,
    /// Which server this is.
    pub engine: Engine,
    /// Version of the server itself, so 8.1.1 for a Valkey that calls itself Redis 7.2.4.
    pub version: Version,
    /// `replica-announce-ip`: the DNS name of the pod this process was started in; empty if it was given none.
    pub announced: String,
    /// `min-replicas-to-write`: [`UNARMED`], or the number of good replicas this Redis wants before it takes a write.
    pub min_replicas_to_write: u32,
    /// `replica-serve-stale-data`.
    pub serve_stale: bool,
    /// Reads its data from disk after a start, or a full resync into memory: answers most commands with `-LOADING`.
    pub loading: Option<Loading>,
    /// Role and, for a replica, what it follows.
    pub link: Link,
    /// Id of the replication history the next byte belongs to.
    pub replid: String,
    /// Id of the history before that, if this Redis was promoted since it started.
    pub replid2: Option<String>,
    /// `master_repl_offset` of a master; `slave_repl_offset` of a replica, which is the bytes it holds.
    /// 1 for a replica that holds nothing it could resume from.
    pub offset: u64,
    /// Offset at which [`Self::replid2`] ended.
    pub second_offset: Option<u64>,
    /// What it can still give to a replica that goes on where it stands; none on a server that never had one.
    pub backlog: Option<Backlog>,
    /// The replicas connected to this Redis, also in the middle of a full resync.
    pub replicas: Vec<ConnectedReplica>,
    /// The append-only file.
    pub aof: Aof,
    /// A fork writes an RDB, for a full resync or a snapshot.
    pub bgsave_in_progress: bool,
    /// Keys in all databases; while loading, those loaded so far.
    pub keys: u64,
    /// Bytes used.
    pub used_memory: u64,
    /// Bytes allowed; 0 is no limit.
    pub maxmemory: u64,
    /// Full resyncs given to replicas since the start.
    pub sync_full: u64,
    /// Partial resyncs given since the start.
    pub sync_partial_ok: u64,
    /// Partial resyncs refused since the start; each became a full one.
    pub sync_partial_err: u64,
    /// Writes refused since the start because this is a replica.
    pub refused_writes: u64,
    /// Users minted for one attachment each, as they are here: names with the prefix of link users.
    pub link_users: BTreeSet<String>,
    /// The application's user, if it exists here.
    pub app: Option<AclUser>,
    /// Values of the directives that the look asked for; `None` for one that this server does not know.
    pub managed: BTreeMap<String, Option<String>>,
}

/// The end of the stream that a Redis keeps for partial resyncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Offset of the oldest byte in it, or of the next one if it is empty.
    pub from: u64,
    /// Each further byte takes the place of the oldest one.
    pub full: bool,
}

impl Backlog {
    /// Whether a replica that holds the stream up to an offset finds the next byte here, also when so many more were pushed out.
    pub fn reaches(&self, offset: u64, pushed_out: u64) -> bool {
        offset.saturating_add(1) >= self.from.saturating_add(pushed_out)
    }
}

/// Progress of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    /// Whole percent, if Redis said.
    pub percent: Option<u8>,
}

/// Role of a Redis as it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// `role:master`, armed or bare.
    Master,
    /// `role:slave`, attached or fenced.
    Replica(ReplicaLink),
}

/// A replica's view of what it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaLink {
    /// Address it was told to follow.
    pub host: String,
    /// Port it was told to follow.
    pub port: u16,
    /// The stream flows.
    pub up: bool,
    /// Receives a full resync.
    pub syncing: bool,
    /// Bytes of the full resync still to come, if the parent said how many there are.
    pub sync_left_bytes: Option<u64>,
    /// Bytes of the full resync in all, if the parent said.
    pub sync_total_bytes: Option<u64>,
    /// Seconds since anything came from the parent; none if the link is down.
    pub last_io_seconds: Option<u64>,
}

/// A replica as its parent sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedReplica {
    /// What the replica announced: the DNS name of its pod.
    pub ip: String,
    /// Port it announced.
    pub port: u16,
    /// `online`, or a step of a full resync such as `wait_bgsave` or `send_bulk`.
    pub state: String,
    /// Last offset it acknowledged.
    pub offset: u64,
    /// Seconds since its last acknowledgement.
    pub lag: u64,
}

impl ConnectedReplica {
    /// Whether it receives the stream, as opposed to a full resync.
    pub fn online(&self) -> bool {
        self.state == "online"
    }
}

/// State of the append-only file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aof {
    /// Switched on. During a load it says what will be.
    pub enabled: bool,
    /// A rewrite runs.
    pub rewrite_in_progress: bool,
    /// A rewrite will start when the fork in progress has ended.
    pub rewrite_scheduled: bool,
    /// The last write succeeded. If not, a master answers writes with `-MISCONF`.
    pub write_ok: bool,
    /// The last rewrite succeeded.
    pub rewrite_ok: bool,
    /// Times a write waited for an fsync in progress since the start; absent while the file is switched off.
    pub delayed_fsync: Option<u64>,
}

/// A user as `ACL GETUSER` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclUser {
    /// May log in.
    pub enabled: bool,
    /// SHA-256 of the passwords that are valid, in hex.
    pub hashes: BTreeSet<String>,
    /// Command rules, as this server writes them.
    pub commands: String,
    /// Key patterns, as this server writes them.
    pub keys: String,
    /// Channel patterns, as this server writes them.
    pub channels: String,
}

/// The role a Redis has in the set, in terms of what the operator can make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleState {
    /// Follows nowhere: holds its data, serves nobody.
    Fenced,
    /// Follows `host`, whether or not its link is up.
    Attached {
        /// Address it was told to follow.
        host: String,
    },
    /// A master that takes no write.
    Bare,
    /// A master that takes writes once it has `min` good replicas.
    Armed {
        /// Its `min-replicas-to-write`.
        min: u32,
    },
}

impl Facts {
    /// The role this Redis has. Also right while it loads: no role command is taken then.
    pub fn state(&self) -> RoleState {
        match &self.link {
            Link::Replica(link) if (link.host.as_str(), link.port) == NOWHERE => RoleState::Fenced,
            Link::Replica(link) => RoleState::Attached {
                host: link.host.clone(),
            },
            Link::Master if self.min_replicas_to_write == UNARMED => RoleState::Bare,
            Link::Master => RoleState::Armed {
                min: self.min_replicas_to_write,
            },
        }
    }

    /// The link to a parent, if this is a replica.
    pub fn replica_link(&self) -> Option<&ReplicaLink> {
        match &self.link {
            Link::Replica(link) => Some(link),
            Link::Master => None,
        }
    }
}
