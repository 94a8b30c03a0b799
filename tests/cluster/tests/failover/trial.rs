//! The trials: what is done in each, and what may come of it.

use std::thread;
use std::time::Duration;

use cluster_tests::client::{self, Manner, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::fault::Fault;
use cluster_tests::history::{History, Stamp};
use cluster_tests::operator::{self, Operator};
use cluster_tests::set::{Set, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest until another is master, or writes are taken again: far beyond the targets, which the benchmark is for.
pub const CHANGED: Duration = Duration::from_secs(40);
/// How long a cut lasts of which nothing may come.
const CUT: Duration = Duration::from_secs(6);

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// One of the faults that the benchmark measures too.
    Master(Fault),
    /// SIGSTOP of the master, shorter than it takes to call it silent.
    Blink,
    /// SIGSTOP of the master for 3 s: looked at, perhaps begun, perhaps done.
    Nap,
    /// Its pod is deleted without grace.
    ForceDelete,
    /// The master and all operators are killed at once.
    KillWithOperators,
    /// The master is cut off from the operators only.
    CutFromOperators,
    /// The master is cut off from its replicas only.
    CutFromReplicas,
    /// kill -9 of all replicas.
    KillReplicas,
    /// A hand-over to a pod that cannot take it.
    BadTarget,
}

/// What is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// A replica takes over; kind as in the report.
    To(&'static str),
    /// Either is right.
    Any,
}

impl Trial {
    pub const ALL: [Self; 15] = [
        Self::Master(Fault::Kill),
        Self::BadTarget,
        Self::Master(Fault::Switchover),
        Self::Blink,
        Self::CutFromOperators,
        Self::CutFromReplicas,
        Self::Master(Fault::Delete),
        Self::KillReplicas,
        Self::Master(Fault::Stop),
        Self::KillWithOperators,
        Self::Master(Fault::Cut),
        Self::Nap,
        Self::ForceDelete,
        Self::Master(Fault::NodeOff),
        Self::Master(Fault::NodeOffWithLeader),
    ];

    pub fn change(self) -> Change {
        match self {
            Self::Master(Fault::Switchover | Fault::Delete) => Change::To("Switchover"),
            Self::Master(Fault::Kill | Fault::Stop | Fault::Cut | Fault::NodeOff | Fault::NodeOffWithLeader)
            | Self::ForceDelete
            | Self::KillWithOperators => Change::To("Failover"),
            Self::Blink | Self::CutFromOperators | Self::CutFromReplicas | Self::KillReplicas | Self::BadTarget => {
                Change::None
            }
            Self::Nap => Change::Any,
        }
    }

    /// Whether no client may see an error, for the master is there all the time.
    pub fn is_invisible(self) -> bool {
        matches!(self, Self::CutFromOperators | Self::BadTarget)
    }

    /// Whether no acknowledged write may be lost: nothing is broken that holds one alone.
    pub fn is_lossless(self) -> bool {
        match self {
            Self::Master(fault) => fault.is_planned(),
            Self::Nap | Self::ForceDelete | Self::KillWithOperators => false,
            Self::Blink | Self::CutFromOperators | Self::CutFromReplicas | Self::KillReplicas | Self::BadTarget => true,
        }
    }

    /// Full resyncs of the pods that come back from their append-only files, or with writes that nobody else has.
    pub fn full_resyncs(self) -> u64 {
        match self {
            Self::Master(fault) => fault.full_resyncs_of_return(),
            Self::ForceDelete | Self::KillWithOperators | Self::Nap => 1,
            Self::KillReplicas => 2,
            Self::Blink | Self::CutFromOperators | Self::CutFromReplicas | Self::BadTarget => 0,
        }
    }

    /// Moves the master where the fault needs it.
    pub fn prepare(self, set: &Set) -> Outcome {
        match self {
            Self::Master(fault) => fault.prepare(set, &format!("prepare-{self:?}").replace(['(', ')'], "")),
            _ => Ok(()),
        }
    }
}

/// Does it, and undoes it when it has had its effect: a report after `epoch`, or the end of its time.
pub fn play(
    trial: Trial,
    set: &Set,
    history: &History,
    master: &str,
    wait_changed: impl FnOnce() -> Outcome,
) -> Outcome {
    let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
    history.mark(format!("{trial:?}, master {master}"));
    match trial {
        Trial::Master(fault) => {
            fault.strike(set, master, "once")?;
            let changed = wait_changed();
            // Also if nobody took over: nothing stays stopped or dark.
            fault.undo(set, master)?;
            changed
        }
        Trial::Blink => pause(set, master, Duration::from_millis(700)),
        Trial::Nap => pause(set, master, Duration::from_secs(3)),
        Trial::ForceDelete => {
            let args = [
                "delete",
                "pod",
                "--namespace",
                namespace,
                master,
                "--grace-period=0",
                "--force",
            ];
            set.cluster.kubectl(&args)?;
            wait_changed()
        }
        Trial::KillWithOperators => {
            let operator = Operator::new(&set.cluster);
            let operators = operator.pod_names()?.into_iter().map(|pod| operator.pid(&pod));
            // All are found before the first dies.
            let mut pids = vec![testbed.redis_pid(namespace, master)?];
            pids.extend(operators.collect::<Outcome<Vec<_>>>()?);
            for pid in pids {
                kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            }
            wait_changed()
        }
        Trial::CutFromOperators => {
            let pods = set.cluster.kubernetes.list("pods", operator::NAME, "")?;
            let addresses: Vec<_> = pods
                .iter()
                .map(|pod| text(&pod["status"]["podIP"]).to_owned())
                .collect();
            cut(set, history, master, &addresses)
        }
        Trial::CutFromReplicas => {
            let mut others = set.addresses()?;
            others.retain(|(pod, _)| pod != master);
            let addresses: Vec<_> = others.into_iter().map(|(_, address)| address).collect();
            cut(set, history, master, &addresses)
        }
        Trial::KillReplicas => kill_replicas(set, master),
        Trial::BadTarget => {
            for target in ["nobody".to_owned(), master.to_owned(), "a b".to_owned()] {
                let value = format!("{target}@bad");
                set.ask("switchover", &value)?;
                let answer = set.wait_answer("switchover", &value, CHANGED)?;
                ensure!(answer["outcome"] == "Refused", "switchover to {target}: {answer}");
                ensure!(
                    !text(&answer["message"]).is_empty(),
                    "refused without a reason: {answer}"
                );
            }
            Ok(())
        }
    }
}

fn pause(set: &Set, pod: &str, time: Duration) -> Outcome {
    let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
    let pid = testbed.redis_pid(namespace, pod)?;
    kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
    thread::sleep(time);
    Ok(kill(Pid::from_raw(pid), Signal::SIGCONT)?)
}

/// Cuts for a while, in which writes must be taken again.
fn cut(set: &Set, history: &History, pod: &str, addresses: &[String]) -> Outcome {
    let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
    ensure!(!addresses.is_empty(), "nobody to cut {pod} off from");
    testbed.cut_pod(namespace, pod, addresses)?;
    thread::sleep(CUT);
    let served = client::acknowledged_after(history, Stamp::now(), CHANGED);
    testbed.heal_pod(namespace, pod)?;
    served.map(drop).context("while it was cut")
}

fn kill_replicas(set: &Set, master: &str) -> Outcome {
    let (testbed, namespace) = (&set.cluster.testbed, &set.namespace);
    let (mut pods, before) = (set.pod_names()?, set.containers()?);
    pods.retain(|pod| pod != master);
    let pids = pods.iter().map(|pod| testbed.redis_pid(namespace, pod));
    for pid in pids.collect::<Result<Vec<_>, _>>()? {
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    }
    set.wait_restarted(&pods, &before, CHANGED)
}

/// A client that tells at once, and one that has its writes confirmed.
pub fn writers(set: &Set, history: &History) -> Outcome<[Writer; 2]> {
    let (login, quorum) = (set.login()?, set.quorum()?);
    let start = |manner: Manner| {
        let login = login.clone();
        Writer::start_as(manner, history.clone(), move || {
            login.connect_within(6379, manner.connect, manner.answer)
        })
    };
    let manner = Manner::impatient(Duration::from_millis(4));
    Ok([start(manner), start(manner.confirmed_by(quorum))])
}
