//! How each trial is done, and undone when it has had its effect.

use std::thread;
use std::time::Duration;

use cluster_tests::client::{self, Manner, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::{History, Stamp};
use cluster_tests::operator::{self, Operator};
use cluster_tests::set::{Set, condition, text};
use cluster_tests::wait::{Look, until};
use testbed::{Cut, Signal};

use crate::trial::Trial;

/// Longest until another is master, or writes are taken again: far beyond the targets, which the benchmark is for.
pub const CHANGED: Duration = Duration::from_secs(40);
/// How long something lasts of which nothing may come: longer than it takes to replace a silent master.
const LASTING: Duration = Duration::from_secs(8);
/// For a node that is given up after 20 s (the testbed's `--node-monitor-grace-period`).
const NODE_LOST: Duration = Duration::from_secs(60);
/// Longer than the operators' Lease.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(15);
const KILLS: usize = 4;

/// Does it, and undoes it when it has had its effect: a report that was not there before, or the end of its time.
pub fn play(trial: Trial, set: &Set, history: &History, master: &str, wait_changed: &dyn Fn() -> Outcome) -> Outcome {
    let play = Play {
        set,
        history,
        master,
        wait_changed,
    };
    history.mark(format!("{trial:?}, master {master}"));
    match trial {
        Trial::Master(fault) => {
            fault.strike(set, master, "once")?;
            let changed = wait_changed();
            // Also if nobody took over: nothing stays stopped or dark.
            fault.undo(set, master)?;
            changed
        }
        Trial::Blink => play.pause(Duration::from_millis(700)),
        Trial::Nap => play.pause(Duration::from_secs(3)),
        Trial::Script => play.script(),
        Trial::KillAgain => play.kill_again(),
        Trial::ForceDelete => {
            let options = ["--grace-period=0", "--force"];
            play.kubectl(&[&["delete", "pod", "--namespace", &set.namespace, master], &options[..]].concat())?;
            wait_changed()
        }
        Trial::Drain => play.drain(),
        Trial::Cordon => play.cordon(),
        Trial::EvictAll => play.evict_all(),
        Trial::KillReplicas => play.kill_replicas(),
        Trial::Mute => play.cut_until(Cut::Outgoing, wait_changed),
        Trial::Flap => play.flap(),
        Trial::Loss => play.cut_for_a_while(Cut::Fifth),
        Trial::CutFromOperators => {
            let pods = Operator::new(&set.cluster).pods()?;
            let addresses: Vec<_> = pods
                .iter()
                .map(|pod| text(&pod["status"]["podIP"]).to_owned())
                .collect();
            play.cut_for_a_while(Cut::From(&addresses))
        }
        Trial::CutFromReplicas => {
            let mut others = set.addresses()?;
            others.retain(|(pod, _)| pod != master);
            let addresses: Vec<_> = others.into_iter().map(|(_, address)| address).collect();
            play.cut_for_a_while(Cut::From(&addresses))
        }
        Trial::NodeCutFromApiServer => play.cut_node_from_api_server(),
        Trial::Fence => play.fence(),
        Trial::ApiServerAway => play.without_api_server(|| Ok(())),
        Trial::KillWithoutApiServer => {
            let pid = set.cluster.testbed.redis_pid(&set.namespace, master)?;
            play.without_api_server(|| signal(pid, Signal::SIGKILL))?;
            wait_changed()
        }
        Trial::KillWithOperators => play.kill_with_operators(),
        Trial::KillWithoutOperators => play.kill_without_operators(),
        Trial::KillWithLeaderStopped => play.kill_with_leader_stopped(),
        Trial::LeaseDeleted => {
            set.cluster
                .kubernetes
                .delete("leases", operator::NAME, operator::NAME)?;
            thread::sleep(LASTING);
            Ok(())
        }
        Trial::BadTarget => play.bad_targets(),
        Trial::TwoNodesOff => play.two_nodes_off(),
    }
}

struct Play<'a> {
    set: &'a Set,
    history: &'a History,
    master: &'a str,
    wait_changed: &'a dyn Fn() -> Outcome,
}

impl Play<'_> {
    fn kubectl(&self, args: &[&str]) -> Outcome {
        self.set.cluster.kubectl(args).map(drop)
    }

    fn redis_pid(&self, pod: &str) -> Outcome<i32> {
        Ok(self.set.cluster.testbed.redis_pid(&self.set.namespace, pod)?)
    }

    fn pause(&self, time: Duration) -> Outcome {
        let pid = self.redis_pid(self.master)?;
        signal(pid, Signal::SIGSTOP)?;
        thread::sleep(time);
        signal(pid, Signal::SIGCONT)
    }

    /// By the clock of the server, so that a fast machine is as busy as a slow one.
    fn script(&self) -> Outcome {
        const BUSY: &str = "local function now() local t = redis.call('TIME'); return t[1] + t[2] / 1000000 end \
                            local stop = now() + ARGV[1]; while now() < stop do end; return 'done'";
        let mut connection = self.set.login()?.connect_within(6379, CHANGED, CHANGED)?;
        let mut script = redis::cmd("EVAL");
        let done: String = script.arg(BUSY).arg(0).arg(LASTING.as_secs()).query(&mut connection)?;
        ensure!(done == "done", "the script said {done}");
        Ok(())
    }

    fn kill_again(&self) -> Outcome {
        for _ in 0..KILLS {
            let master = self.set.master()?;
            signal(self.redis_pid(&master)?, Signal::SIGKILL)?;
            let killed = self.history.mark(format!("{master} was killed again"));
            client::acknowledged_after(self.history, killed, CHANGED)?;
        }
        Ok(())
    }

    fn kill_replicas(&self) -> Outcome {
        let (mut pods, before) = (self.set.pod_names()?, self.set.containers()?);
        pods.retain(|pod| pod != self.master);
        let pids = pods.iter().map(|pod| self.redis_pid(pod));
        // All are found before the first dies.
        for pid in pids.collect::<Outcome<Vec<_>>>()? {
            signal(pid, Signal::SIGKILL)?;
        }
        self.set.wait_restarted(&pods, &before, CHANGED)
    }

    fn drain(&self) -> Outcome {
        let node = self.set.node_of(self.master)?;
        let of_the_set = format!("--pod-selector=redisreplicaset.dev/set={}", self.set.name);
        let options = [
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout=60s",
            &of_the_set,
        ];
        let drained = self.kubectl(&[&["drain", &node], &options[..]].concat());
        let changed = drained.and_then(|()| (self.wait_changed)());
        self.kubectl(&["uncordon", &node])?;
        changed
    }

    /// The master leaves for no other reason, and nothing moves back when the cordon ends.
    fn cordon(&self) -> Outcome {
        let node = self.set.node_of(self.master)?;
        self.kubectl(&["cordon", &node])?;
        let changed = (self.wait_changed)();
        self.kubectl(&["uncordon", &node])?;
        changed?;
        let reports = self.set.reports()?;
        let reason = reports.first().map(|report| report.reason.as_str());
        ensure!(reason == Some("NodeDraining"), "{reports:?}");
        thread::sleep(LASTING);
        Ok(())
    }

    /// The disruption budget grants one at a time, and the master leaves by switchover.
    fn evict_all(&self) -> Outcome {
        let (kubernetes, namespace) = (&self.set.cluster.kubernetes, &self.set.namespace);
        until(format_args!("{} to be evicted", self.master), CHANGED, || {
            Ok(Look::when(kubernetes.evict(namespace, self.master)?, "refused"))
        })?;
        for pod in self.set.pod_names()?.iter().filter(|pod| *pod != self.master) {
            ensure!(!kubernetes.evict(namespace, pod)?, "{pod} was evicted as well");
        }
        (self.wait_changed)()
    }

    fn cut_until(&self, cut: Cut, over: impl FnOnce() -> Outcome) -> Outcome {
        let (testbed, namespace) = (&self.set.cluster.testbed, &self.set.namespace);
        testbed.cut_pod(namespace, self.master, cut)?;
        let over = over();
        testbed.heal_pod(namespace, self.master)?;
        over
    }

    /// Writes must be taken again while it lasts.
    fn cut_for_a_while(&self, cut: Cut) -> Outcome {
        self.cut_until(cut, || {
            thread::sleep(LASTING);
            let served = client::acknowledged_after(self.history, Stamp::now(), CHANGED);
            served.map(drop).context("while it was cut")
        })
    }

    fn flap(&self) -> Outcome {
        for _ in 0..4 {
            let pause = || {
                thread::sleep(Duration::from_secs(2));
                Ok(())
            };
            self.cut_until(Cut::All, pause)?;
            pause()?;
        }
        Ok(())
    }

    /// Kubernetes gives the node up, clients and replicas do not notice.
    fn cut_node_from_api_server(&self) -> Outcome {
        let name = self.set.node_of(self.master)?;
        let node = self.set.cluster.testbed.node(&name)?;
        node.cut_api()?;
        let lost = until(format_args!("{name} to count as lost"), NODE_LOST, || {
            let object = self.set.cluster.kubernetes.get("nodes", "", &name)?;
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = all.into_iter().find(|c| c["type"] == "Ready").unwrap_or_default();
            Ok(Look::when(ready["status"] == "Unknown", ready))
        });
        thread::sleep(LASTING);
        node.heal_api()?;
        lost
    }

    /// It takes no writes, and nobody takes over, until it is let go.
    fn fence(&self) -> Outcome {
        self.set.ask("fence", &format!("{}@out", self.master))?;
        self.set.wait_condition("Available", "False", "Fenced", CHANGED)?;
        let fenced = Stamp::now();
        thread::sleep(LASTING);
        let taken = client::count(self.history, fenced, Stamp::now());
        ensure!(taken.ok == 0, "{} writes were taken by a fenced set", taken.ok);
        self.set.ask("unfence", &format!("{}@in", self.master))
    }

    /// What is done while the API server is stopped, which is a while longer than the operators' Lease.
    fn without_api_server(&self, act: impl FnOnce() -> Outcome) -> Outcome {
        let pid = self.set.cluster.testbed.process("kube-apiserver")?;
        signal(pid, Signal::SIGSTOP)?;
        let done = act();
        thread::sleep(LONGER_THAN_A_LEASE);
        signal(pid, Signal::SIGCONT)?;
        done
    }

    fn kill_with_operators(&self) -> Outcome {
        let operator = Operator::new(&self.set.cluster);
        let operators = operator.pod_names()?.into_iter().map(|pod| operator.pid(&pod));
        // All are found before the first dies.
        let mut pids = vec![self.redis_pid(self.master)?];
        pids.extend(operators.collect::<Outcome<Vec<_>>>()?);
        for pid in pids {
            signal(pid, Signal::SIGKILL)?;
        }
        (self.wait_changed)()
    }

    fn kill_without_operators(&self) -> Outcome {
        let operator = Operator::new(&self.set.cluster);
        operator.scale(0)?;
        let before = self.set.containers()?;
        let killed = signal(self.redis_pid(self.master)?, Signal::SIGKILL);
        // It is back, fenced, before anybody looks.
        let back = killed.and_then(|()| self.set.wait_restarted(&[self.master.to_owned()], &before, CHANGED));
        operator.scale(2)?;
        back?;
        (self.wait_changed)()
    }

    fn kill_with_leader_stopped(&self) -> Outcome {
        let operator = Operator::new(&self.set.cluster);
        let leader = operator.pid(&operator.wait_leader(CHANGED)?)?;
        signal(leader, Signal::SIGSTOP)?;
        let killed = self.redis_pid(self.master).and_then(|pid| signal(pid, Signal::SIGKILL));
        let changed = killed.and_then(|()| (self.wait_changed)());
        signal(leader, Signal::SIGCONT)?;
        changed
    }

    fn bad_targets(&self) -> Outcome {
        for target in ["nobody", self.master, "a b"] {
            let value = format!("{target}@bad");
            self.set.ask("switchover", &value)?;
            let answer = self.set.wait_answer("switchover", &value, CHANGED)?;
            ensure!(answer["outcome"] == "Refused", "switchover to {target}: {answer}");
            ensure!(
                !text(&answer["message"]).is_empty(),
                "refused without a reason: {answer}"
            );
        }
        Ok(())
    }

    /// The set says why it does nothing, and what would help, and goes on when they are back.
    fn two_nodes_off(&self) -> Outcome {
        let operator = Operator::new(&self.set.cluster).wait_leader(CHANGED)?;
        let operator = self.set.cluster.kubernetes.get("pods", operator::NAME, &operator)?;
        let spared = text(&operator["spec"]["nodeName"]);
        let nodes = self.set.cluster.testbed.nodes()?;
        let lost = || nodes.iter().filter(|node| node.name() != spared);
        for node in lost() {
            node.power_off()?;
        }
        let said = until("FailoverBlocked to say why", CHANGED, || {
            let object = self.set.object()?;
            let blocked = condition(&object, "FailoverBlocked").cloned().unwrap_or_default();
            let says = blocked["status"] == "True" && !text(&blocked["message"]).is_empty();
            let available = condition(&object, "Available").cloned().unwrap_or_default();
            Ok(Look::when(
                says && available["status"] == "False",
                format!("{blocked}, {available}"),
            ))
        });
        for node in lost() {
            node.power_on()?;
        }
        said
    }
}

fn signal(pid: i32, signal: Signal) -> Outcome {
    Ok(testbed::signal(pid, signal)?)
}

/// A client that tells at once, one that has its writes confirmed, and one that keeps its connection.
pub fn writers(set: &Set, history: &History) -> Outcome<[Writer; 3]> {
    let (login, quorum) = (set.login()?, set.quorum()?);
    let start = |manner: Manner| Writer::start_in(manner, history.clone(), login.clone());
    let manner = Manner::impatient(Duration::from_millis(4));
    let sticky = Manner::patient(Duration::from_millis(20)).sticky();
    Ok([start(manner), start(manner.confirmed_by(quorum)), start(sticky)])
}
