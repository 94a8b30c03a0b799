//! What the demonstration shows, step by step, each with the time since it began.

use std::thread;
use std::time::{Duration, Instant};

use cluster_tests::client::{self, Counts, Manner, Writer};
use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failover::Report;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::{End, History, Stamp};
use cluster_tests::observer::Observer;
use cluster_tests::operator::Operator;
use cluster_tests::set::{self, Set};
use cluster_tests::wait::LOOK;
use cluster_tests::{checkers, set::text};
use serde_json::json;
use testbed::Signal;

const NAMESPACE: &str = "demo";
const SET: &str = "cache";
const MANIFEST: &str = "deploy/examples/minimal.yaml";
/// The set's and the pods' deadline: images are there already, so this is long.
const READY: Duration = Duration::from_secs(120);

/// How often a failover is looked at: it is a matter of a tenth of a second.
const AS_IT_HAPPENS: Duration = Duration::from_millis(10);

struct Show {
    begun: Instant,
}

/// The whole show. Fails if a write failed where nothing was broken, or if a write is lost.
pub fn run() -> Outcome {
    let show = Show { begun: Instant::now() };
    show.say("installing the operator: helm upgrade --install redis-operator charts/redis-operator");
    let cluster = Cluster::attach()?;
    let operator = Operator::install(&cluster, &[])?;
    show.say(&format!("the operator runs: {}", operator.pod_names()?.join(", ")));

    let set = show.found(&cluster)?;
    let login = set.login()?;
    login.wait_reachable()?;
    let history = History::default();
    show.say(&format!(
        "a client writes through the VIP {} as user {}",
        login.host, login.user
    ));
    let observer = Observer::start(&set, &login, &history);
    let writer = Writer::start_in(Manner::impatient(Duration::ZERO), history.clone(), login.clone());
    let began = Stamp::now();
    for _ in 0..8 {
        show.second(&history);
    }
    let calm = client::count(&history, began, Stamp::now());
    show.table(&set)?;
    let broken = show.kill_a_replica(&set, &history)?;
    let report = show.kill_the_master(&set, &history)?;
    writer.stop()?;
    observer.stop()?;
    show.verdict(&set, &history, calm, broken, &report)?;
    show.what_next(&login.host);
    Ok(())
}

impl Show {
    fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    /// Applies the set and tells each step of it until it is Ready.
    fn found(&self, cluster: &Cluster) -> Outcome<Set> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        if cluster.kubernetes.find("namespaces", "", NAMESPACE)?.is_none() {
            let namespace = json!({"metadata": {"name": NAMESPACE, "labels": labels}});
            cluster.kubernetes.create("namespaces", "", &namespace)?;
        }
        self.say(&format!(
            "kubectl apply -f {MANIFEST}, in namespace {NAMESPACE} (Pod Security \"restricted\")"
        ));
        cluster.kubectl(&["apply", "--namespace", NAMESPACE, "-f", MANIFEST])?;
        let set = Set::new(cluster, NAMESPACE, SET);
        let end = Instant::now() + READY;
        let mut told = String::new();
        loop {
            let object = set.object()?;
            let ready = set::condition(&object, "Ready");
            let now = ready.map_or("", |condition| text(&condition["message"])).to_owned();
            if now != told {
                self.say(&format!("  {now}"));
                told = now;
            }
            if set::is_ready(&object) {
                return Ok(set);
            }
            ensure!(Instant::now() < end, "the set is not Ready: {}", set::summary(&object));
            thread::sleep(LOOK);
        }
    }

    /// One second of writing.
    fn second(&self, history: &History) {
        let from = Stamp::now();
        thread::sleep(Duration::from_secs(1));
        let counts = client::count(history, from, Stamp::now());
        let errors = counts.fail + counts.unknown;
        self.say(&format!("  {:>5} writes/s acknowledged, {errors} errors", counts.ok));
    }

    fn table(&self, set: &Set) -> Outcome {
        self.say("kubectl get rrs,pods -L redisreplicaset.dev/role");
        let args = ["get", "rrs,pods", "--namespace", NAMESPACE, "-L", set::ROLE];
        for line in set.cluster.kubectl(&args)?.lines() {
            println!("            {line}");
        }
        Ok(())
    }

    /// Kills a replica while the client writes, and waits until it is in sync again.
    fn kill_a_replica(&self, set: &Set, history: &History) -> Outcome<Counts> {
        let master = set.master()?;
        let names = set.pod_names()?;
        let Some(victim) = names.iter().find(|name| **name != master) else {
            return Ok(Counts::default());
        };
        let from = history.mark(format!("kill -9 of {victim}"));
        self.say(&format!("kill -9 of the Redis of {victim}, a replica"));
        let before = set.containers()?;
        set.cluster.testbed.signal_redis(NAMESPACE, victim, Signal::SIGKILL)?;
        set.wait_restarted(std::slice::from_ref(victim), &before, READY)?;
        set.wait_ready(READY)?;
        self.say(&format!("{victim} is back and in sync"));
        self.second(history);
        Ok(client::count(history, from, Stamp::now()))
    }

    /// Kills the master while the client writes, and tells what happens until everybody is back.
    fn kill_the_master(&self, set: &Set, history: &History) -> Outcome<Report> {
        set.wait_redundant(READY)?;
        let (master, epoch) = (set.master()?, set.epoch()?);
        let from = history.mark(format!("kill -9 of {master}"));
        self.say(&format!(
            "kill -9 of the Redis of {master}, the master, in epoch {epoch}"
        ));
        set.cluster.testbed.signal_redis(NAMESPACE, &master, Signal::SIGKILL)?;
        self.follow(set, epoch)?;
        let report = set.reports()?.into_iter().next().context("no report")?;
        self.say(&format!("  {}", report.message));
        let mut phases: Vec<_> = report.phases_ms.iter().map(|(phase, at)| (at, phase)).collect();
        phases.sort();
        let phases: Vec<_> = phases.iter().map(|(at, phase)| format!("{phase} {at}")).collect();
        self.say(&format!("  milliseconds until: {}", phases.join(", ")));
        let counts = client::count(history, from, Stamp::now());
        self.say(&format!(
            "  the client had no acknowledged write for {} ms and saw {} errors",
            counts.gap.as_millis(),
            counts.fail + counts.unknown
        ));
        self.say(&format!(
            "waiting until {master} is back, as a replica of {}",
            report.to
        ));
        set.wait_redundant(READY)?;
        ensure!(
            set.master()? == report.to,
            "{} is master, not {}",
            set.master()?,
            report.to
        );
        self.second(history);
        self.table(set)?;
        Ok(report)
    }

    /// Tells each change of Ready's message and of the VIP until the failover after `epoch` is reported.
    fn follow(&self, set: &Set, epoch: i64) -> Outcome {
        let end = Instant::now() + READY;
        let mut told = String::new();
        loop {
            let object = set.object()?;
            let message = set::condition(&object, "Ready").map_or("", |ready| text(&ready["message"]));
            let vip = set.vip_selects()?.unwrap_or_else(|| "nobody".into());
            let now = format!("{message}; the VIP leads to {vip}");
            if now != told {
                self.say(&format!("  {now}"));
                told = now;
            }
            if set.reports()?.first().is_some_and(|report| report.epoch > epoch) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "no failover: {}", set::summary(&object));
            thread::sleep(AS_IT_HAPPENS);
        }
    }

    fn verdict(&self, set: &Set, history: &History, calm: Counts, broken: Counts, report: &Report) -> Outcome {
        let login = set.login()?;
        let there = login.numbers()?;
        let events = history.events();
        let acknowledged = events.writes.iter().filter(|write| write.end == End::Ok).count();
        let errors = |counts: Counts| counts.fail + counts.unknown;
        self.say(&format!(
            "writes acknowledged through the VIP: {acknowledged}; numbers in Redis: {}",
            there.len()
        ));
        self.say(&format!(
            "errors: {} before the kills, {} while a replica was gone",
            errors(calm),
            errors(broken)
        ));
        let reported = report.max_lost_bytes;
        let writes = &events.writes;
        let mut findings = checkers::losses_are_reported(writes, &there, reported, client::SMALLEST_WRITE);
        findings.extend(checkers::nothing_resurrected(&events.writes, &there));
        findings.extend(checkers::single_writer(&events.probes));
        findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
        findings.extend(checkers::vip_leads_to_the_master(&events.authorities));
        ensure!(findings.is_empty(), "{}", findings.join("; "));
        self.say(&format!(
            "an observer tried {} writes to the pods directly: only the master took any",
            events.probes.len()
        ));
        ensure!(calm.ok > 0 && acknowledged > 0, "no write was acknowledged");
        ensure!(
            errors(calm) == 0,
            "{} writes failed although nothing was broken",
            errors(calm)
        );
        Ok(())
    }

    fn what_next(&self, vip: &str) {
        self.say("done. With KEEP=1 the cluster stays, and you can try:");
        let commands = [
            "cargo testbed exec -- kubectl -n demo get rrs cache -o yaml",
            "cargo testbed exec -- kubectl explain rrs.spec",
            "cargo testbed exec -- kubectl -n demo scale rrs/cache --replicas=4",
            "cargo testbed exec -- kubectl -n demo delete pod cache-1",
            "cargo testbed node n1 power-off        # and power-on",
            "cargo testbed exec -- kubectl -n redis-operator logs deployment/redis-operator",
        ];
        for command in commands {
            println!("            {command}");
        }
        println!("            cargo testbed exec -- redis-cli -h {vip} --user app --askpass");
    }
}
