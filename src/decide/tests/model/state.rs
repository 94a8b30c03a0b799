//! A set as small as it can be: processes with their logs, status, what the operator remembers, and the faults that are left.
//!
//! Only what a decision or a property can tell apart is kept, so that the search meets the same state again: times are
//! [`Age`]s, names are numbers, a log is a set of writes.

use crate::api::status::{OperationKind, OperationReason};

/// Writes, a bit each, in the order they were taken.
pub type Log = u8;

/// How long ago, in steps of 2.5 s: less than `downAfter`, more than it but less than a master needs to fence itself, or
/// any longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Age {
    #[default]
    Now,
    Step,
    Long,
}

impl Age {
    pub const fn older(self) -> Self {
        match self {
            Self::Now => Self::Step,
            Self::Step | Self::Long => Self::Long,
        }
    }
}

/// A replication id: which process began it, as which of its own. The one it starts with is its 0th.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line {
    pub pod: u8,
    pub run: u8,
    pub turn: u8,
}

/// A pod: its name and how many of that name there were before. Also its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    pub name: u8,
    pub nth: u8,
}

/// Most pods of one name and of all names.
pub const PODS: usize = 4;

/// A process of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    /// Which process of this pod's name.
    pub run: u8,
    pub role: Role,
    /// min-replicas-to-write; none is [`UNARMED`](crate::model::redis::UNARMED).
    pub min: Option<u8>,
    pub line: Line,
    /// The history before, and the offset after its last byte.
    pub before: Option<(Line, u8)>,
    pub offset: u8,
    pub data: Log,
    /// A full resync has thrown its data away and is not complete.
    pub flushed: bool,
    /// The rewrite after a full resync runs: until it has ended the file is the one of before.
    pub rewrites: bool,
    /// Histories it has begun.
    pub turns: u8,
    /// Which process of each pod's name may attach here.
    pub links: [Option<u8>; PODS],
    /// Replicas out of sight that still count as good.
    pub good: Vec<(Uid, Age)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Master,
    Fenced,
    Follows { parent: Uid, link: Link },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    Down,
    /// A full resync is received.
    Syncing,
    /// The stream flows, or did until the parent fell silent so long ago.
    Up(Age),
}

/// Who gets through to a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    #[default]
    All,
    /// Its peers, but the operator does not.
    Peers,
    /// Its peers, but a firewall has ended the operator's connection and refuses others.
    Reset,
    /// The operator, but its peers do not.
    Operator,
    /// Only others of which this is so, and their clients.
    Apart,
}

/// A pod, its volume, and the process in it if one runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    pub uid: Uid,
    /// How many volumes of this name there were before.
    pub volume: u8,
    /// What the volume has.
    pub disk: Log,
    /// What the volume lost at its end, and did not get back.
    pub lost: Log,
    /// What an RDB would give back of its place in the stream.
    pub dump: Option<(Line, u8)>,
    pub redis: Option<Redis>,
    /// Processes of this name so far.
    pub runs: u8,
    /// Whether a container of this pod was ever started.
    pub started: bool,
    pub deleting: bool,
    pub reach: Reach,
    pub watch: Watch,
}

/// What the operator remembers of a pod beside its last look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watch {
    /// It has asked this pod, and so has closed the connections of the operator before.
    pub asked: bool,
    /// It has held a connection, whose end it will see.
    pub held: bool,
    /// Since when there is no answer, if there is none.
    pub silent: Age,
    /// Which process was seen to follow nobody, and since when.
    pub detached: Option<(u8, Age)>,
    /// A look that is not the newest: the pod has changed since.
    pub old: Option<Box<Look>>,
}

/// What one look at a process gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    pub run: u8,
    pub role: Role,
    pub min: Option<u8>,
    pub line: Line,
    pub before: Option<(Line, u8)>,
    pub offset: u8,
    pub keys: u8,
    pub rewrites: bool,
    pub links: [Option<u8>; PODS],
    /// Names of the pods that are connected to it, and since when it has not heard them.
    pub replicas: Vec<(u8, bool)>,
}

/// The fields of status that change by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    pub epoch: u8,
    pub master: Member,
    pub electors: Vec<Seat>,
    pub wait: u8,
    pub min: u8,
    pub degraded: bool,
    /// Lineages, newest first: id, where it began, epoch.
    pub histories: Vec<(Line, u8, u8)>,
    pub operation: Option<Operation>,
    pub fences: Vec<(Uid, u8)>,
    /// The epoch in which the mark says that the master's file has everything; 0 if it never did.
    pub complete: u8,
    /// The mark has keys: whether the operator has told that the set has data.
    pub had_keys: bool,
}

/// Process and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    pub uid: Uid,
    pub volume: u8,
}

/// An elector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat {
    pub member: Member,
    pub learner: bool,
    pub entered_with: Option<Line>,
}

impl Seat {
    pub const fn voter(member: Member) -> Self {
        Self {
            member,
            learner: false,
            entered_with: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    pub kind: OperationKind,
    pub reason: OperationReason,
    pub to: Option<u8>,
    pub source: Option<u8>,
    pub epoch: u8,
    pub started: Age,
    /// A grant to a master that is, or was, awaited.
    pub awaited: bool,
}

/// A step of the operator, as the model does it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    Record(Box<Status>),
    Bare(Process),
    Arm(Process, u8),
    Fence(Process),
    Attach {
        child: Process,
        parent: Process,
    },
    LockOut {
        parent: Process,
        child: u8,
    },
    /// The StatefulSet gets this size.
    Size(u8),
}

/// A process by its pod and its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub uid: Uid,
    pub run: u8,
}

/// Steps that were decided upon what was seen then, and are under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    pub acts: Vec<Act>,
    /// Nobody has written status since.
    pub newest: bool,
    /// They are of an operator whose lease has ended; another one leads.
    pub foreign: bool,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub writes: u8,
    pub crashes: u8,
    /// Crashes that lose the last write from the file.
    pub tails: u8,
    /// Pods that a partition takes to its other side.
    pub cuts: u8,
    /// Pods that only the operator does not reach.
    pub mutes: u8,
    /// Pods at which a firewall ends the operator's connection.
    pub resets: u8,
    /// Pods that only their peers do not reach.
    pub lonely: u8,
    /// Pods that are deleted in good order.
    pub deletes: u8,
    /// Pods that are deleted by force while their process lives on.
    pub forced: u8,
    /// Volumes that are lost, with force where their process lives on.
    pub volumes: u8,
    /// A pod that never becomes master.
    pub never: Option<u8>,
    /// A dead master is awaited, as its file has every write.
    pub awaits: bool,
    /// Full resyncs after which the file is the old one for a while.
    pub rewrites: u8,
    /// Starts from an RDB: the position is known, and may be old.
    pub dumps: u8,
    /// Operators that end in the middle of what they do.
    pub restarts: u8,
    /// Leases that end while steps are under way.
    pub leases: u8,
    /// Plans that are done upon what was seen before.
    pub plans: u8,
    /// Looks that are not the newest.
    pub looks: u8,
    /// Pods that spec asks for later, if it changes.
    pub scale: Option<u8>,
}

/// What no state may show, and only a change can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// S2.
    EpochFalls,
    /// S2.
    TwoMastersOfAnEpoch,
    /// S8.
    PromotedUnrecorded,
    /// S4: a pod without data, although the set had some, and not by votes that say that nothing confirmed is missing.
    EmptyPromoted,
    /// S5: a full resync from a master that lacks it.
    ConfirmedWriteWiped,
    /// min falls to less than there are replicas that acknowledge.
    MinFellUnderReplicas,
    /// N2: a silent master is to be replaced although a replica that answers hears it.
    ReplacedWhileHeard,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By ordinal.
    pub pods: Vec<Pod>,
    /// Processes whose pod object is gone.
    pub ghosts: Vec<Pod>,
    pub status: Status,
    /// Pods that spec asks for.
    pub wanted: u8,
    pub late: Option<Late>,
    pub written: u8,
    /// Writes that were confirmed by `status.wait` replicas.
    pub confirmed: Log,
    pub left: Left,
    pub broken: Option<Broken>,
}

impl State {
    /// A set at rest: pod 0 is master in epoch 1 and the others hold what it has.
    pub fn at_rest(pods: u8, left: Left) -> Self {
        let line = Line {
            turn: 1,
            ..Line::default()
        };
        let min = u8::try_from(crate::decide::min_target(pods.into())).unwrap();
        let pod = |name: u8| {
            let uid = Uid { name, nth: 0 };
            let follows = Role::Follows {
                parent: Uid::default(),
                link: Link::Up(Age::Now),
            };
            let redis = Redis {
                run: 0,
                role: if name == 0 { Role::Master } else { follows },
                min: (name == 0).then_some(min),
                line,
                before: None,
                offset: 10,
                data: 0,
                flushed: false,
                rewrites: false,
                turns: u8::from(name == 0),
                links: std::array::from_fn(|child| (name == 0 && 0 < child && child < pods.into()).then_some(0)),
                good: Vec::new(),
            };
            Pod {
                redis: Some(redis),
                ..Pod::new(uid, 0)
            }
        };
        let member = |name| Member {
            uid: Uid { name, nth: 0 },
            volume: 0,
        };
        let status = Status {
            epoch: 1,
            master: member(0),
            electors: (0..pods).map(|name| Seat::voter(member(name))).collect(),
            wait: u8::try_from(crate::decide::wait_target(pods.into())).unwrap(),
            min,
            degraded: false,
            histories: vec![(line, 5, 1)],
            operation: None,
            fences: Vec::new(),
            complete: 0,
            had_keys: false,
        };
        let watch = Watch {
            asked: true,
            held: true,
            ..Watch::default()
        };
        let at_rest = |name| Pod {
            runs: 1,
            started: true,
            watch: watch.clone(),
            ..pod(name)
        };
        Self {
            pods: (0..pods).map(at_rest).collect(),
            ghosts: Vec::new(),
            status,
            wanted: pods,
            late: None,
            written: 0,
            confirmed: 0,
            left,
            broken: None,
        }
    }

    /// Pods, then processes that outlived theirs.
    pub fn all(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().chain(&self.ghosts)
    }

    pub fn at(&self, at: usize) -> &Pod {
        self.pods.get(at).unwrap_or_else(|| &self.ghosts[at - self.pods.len()])
    }

    pub fn at_mut(&mut self, at: usize) -> &mut Pod {
        let pods = self.pods.len();
        if at < pods {
            &mut self.pods[at]
        } else {
            &mut self.ghosts[at - pods]
        }
    }

    pub fn count(&self) -> usize {
        self.pods.len() + self.ghosts.len()
    }

    /// Where a process runs in the pod of an address.
    pub fn process_at(&self, uid: Uid) -> Option<usize> {
        self.all().position(|p| p.uid == uid && p.redis.is_some())
    }

    pub fn redis(&self, at: usize) -> Option<&Redis> {
        self.at(at).redis.as_ref()
    }

    /// The pod on the recorded master's volume.
    pub fn master(&self) -> Option<&Pod> {
        let recorded = self.status.master;
        self.pods
            .iter()
            .find(|p| p.uid.name == recorded.uid.name && p.volume == recorded.volume)
    }
}

impl Pod {
    /// A pod that was just made, on a volume.
    pub fn new(uid: Uid, volume: u8) -> Self {
        Self {
            uid,
            volume,
            disk: 0,
            lost: 0,
            dump: None,
            redis: None,
            runs: 0,
            started: false,
            deleting: false,
            reach: Reach::All,
            watch: Watch::default(),
        }
    }

    pub fn member(&self) -> Member {
        Member {
            uid: self.uid,
            volume: self.volume,
        }
    }

    /// Whether it and another pod reach each other.
    pub fn reaches(&self, other: &Self) -> bool {
        let near = |pod: &Self| matches!(pod.reach, Reach::All | Reach::Peers | Reach::Reset);
        let apart = |pod: &Self| pod.reach == Reach::Apart;
        near(self) && near(other) || apart(self) && apart(other)
    }

    pub fn operator_reaches(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::Operator)
    }

    /// Whether the operator gets an answer.
    pub fn answers(&self) -> bool {
        self.watch.asked && self.redis.is_some() && self.operator_reaches()
    }
}

impl Redis {
    /// A process as a container starts it: fenced, with what its file has and a history of its own.
    pub fn boot(name: u8, run: u8, data: Log) -> Self {
        Self {
            run,
            role: Role::Fenced,
            min: None,
            line: Line {
                pod: name,
                run,
                turn: 0,
            },
            before: None,
            offset: 2,
            data,
            flushed: false,
            rewrites: false,
            turns: 0,
            links: [None; PODS],
            good: Vec::new(),
        }
    }

    pub fn link(&self) -> Option<Link> {
        match self.role {
            Role::Follows { link, .. } => Some(link),
            Role::Master | Role::Fenced => None,
        }
    }

    pub fn is_armed(&self) -> bool {
        self.role == Role::Master && self.min.is_some()
    }

    /// Whether a child with this history and offset may go on from here without a full resync.
    pub fn continues(&self, line: Line, offset: u8) -> bool {
        (line == self.line && offset <= self.offset)
            || self.before.is_some_and(|(before, end)| before == line && offset < end)
    }
}
