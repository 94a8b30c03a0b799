//! One set of three tiers: the tree as it is at the servers, while a middle node, the master and all nodes of a tier are lost,
//! the master hands over, and tiers are scaled, hung elsewhere and removed. Nobody is resynced in full but those who come
//! back without a history.

mod tree;

use std::time::Duration;

use cluster_tests::client::{self, Writer};
use cluster_tests::failover::{FullResyncs, full_resyncs_between};
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::fault::Fault;
use cluster_tests::history::Stamp;
use cluster_tests::observer::Observer;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, summary};
use cluster_tests::wait::{Look, until};
use cluster_tests::{checkers, ensure};
use serde_json::{Value, json};
use tree::Tree;

const READY: Duration = Duration::from_secs(180);
const FIRST_WRITE: Duration = Duration::from_secs(10);
const CHANGED: Duration = Duration::from_secs(40);

#[test]
fn a_tree_of_three_tiers_survives_its_losses_and_changes_without_a_full_resync() -> Outcome {
    Scene::play("tiers", |scene| {
        let spec = json!({
            "image": "redis:8.0",
            "failover": {"cooldown": "0s"},
            "tiers": [
                {"name": "edge", "replicas": 4, "maxReplicasPerParent": 2},
                {"name": "leaf", "from": "edge", "replicas": 2},
            ],
        });
        let set = {
            let _alone = Scene::start_alone();
            let set = Set::create(&scene.cluster, &scene.namespace, "tree", spec)?;
            set.wait_redundant(READY)?;
            set
        };
        let tree = grown(&set, &[("edge", "core"), ("leaf", "edge")])?;
        println!("{tree}");
        let login = set.login()?;
        login.wait_reachable()?;
        let observer = Observer::start(&set, &login, &scene.history);
        let mut failures = Vec::new();
        // All are tried, so that one failure does not hide the others.
        for change in Change::ALL {
            let done = played(scene, &set, change).context(format_args!("{change:?}"));
            let broken = done.is_err() && set.wait_redundant(READY).is_err();
            failures.extend(done.err());
            if broken {
                break;
            }
        }
        observer.stop()?;
        let there = set.login_at_the_master()?.numbers()?;
        let events = scene.history.events();
        let mut findings = checkers::no_confirmed_write_lost(&events.writes, &there);
        findings.extend(checkers::single_writer(&events.probes));
        findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
        findings.extend(checkers::epochs_are_monotone(&events.authorities));
        findings.extend(failures.iter().map(ToString::to_string));
        ensure!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    })
}

/// What happens to the tree, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// kill -9 of a replica of the core that has children.
    KillParent,
    /// kill -9 of a replica of the middle tier that has children.
    KillMiddle,
    /// kill -9 of the master.
    KillMaster,
    /// The master hands over.
    Switchover,
    /// The lowest tier hangs on the core, and back.
    Rehang,
    /// All pods of the middle tier are deleted at once.
    LoseMiddle,
    /// The lowest tier goes to no pods, and back to two.
    ScaleToNothing,
    /// The middle tier is removed after the lowest was hung on the core.
    RemoveMiddle,
}

impl Change {
    const ALL: [Self; 8] = [
        Self::KillParent,
        Self::KillMiddle,
        Self::KillMaster,
        Self::Switchover,
        Self::Rehang,
        Self::LoseMiddle,
        Self::ScaleToNothing,
        Self::RemoveMiddle,
    ];

    /// Full resyncs that it costs: of those who start from a file, which has no replication history, or from nothing.
    fn full_resyncs(self) -> u64 {
        match self {
            Self::KillParent | Self::KillMiddle | Self::KillMaster => 1,
            Self::Switchover | Self::Rehang | Self::RemoveMiddle => 0,
            // The pods come back with their files.
            Self::LoseMiddle => 4,
            Self::ScaleToNothing => 2,
        }
    }
}

fn played(scene: &Scene, set: &Set, change: Change) -> Outcome {
    set.wait_redundant(READY)?;
    let (before, begun) = (full_resyncs(set)?, Stamp::now());
    let writer = Writer::start(set.login()?, scene.history.clone(), Duration::from_millis(5));
    client::acknowledged_after(&scene.history, begun, FIRST_WRITE)?;
    change_the_tree(set, change)?;
    client::acknowledged_after(&scene.history, Stamp::now(), READY)?;
    set.wait_redundant(READY)?;
    let hangs: &[(&str, &str)] = match change {
        Change::RemoveMiddle => &[("leaf", "core")],
        _ => &[("edge", "core"), ("leaf", "edge")],
    };
    let tree = grown(set, hangs)?;
    let counts = client::count(&scene.history, begun, Stamp::now());
    writer.stop()?;
    let full = full_resyncs_between(&before, &full_resyncs(set)?);
    println!(
        "{change:?}: {full} full resyncs, no write acknowledged for {:.0} ms\n{tree}",
        counts.gap.as_secs_f64() * 1000.0
    );
    ensure!(full <= change.full_resyncs(), "{full} full resyncs");
    if !matches!(change, Change::KillMaster | Change::Switchover) {
        ensure!(counts.fail + counts.unknown == 0, "writes failed: {counts:?}");
    }
    Ok(())
}

/// What each server has given. A former master ends every connection but the operator's for some seconds.
fn full_resyncs(set: &Set) -> Outcome<FullResyncs> {
    until("every server to tell its resyncs", CHANGED, || {
        Ok(Look::There(set.full_resyncs()?))
    })
}

/// The tree once it is as it should be.
fn grown(set: &Set, hangs: &[(&str, &str)]) -> Outcome<Tree> {
    until("the tree to be grown", READY, || {
        let tree = Tree::read(set)?;
        let wrong = tree.faults(hangs);
        let shown = format!("{}\n{tree}", wrong.join("; "));
        Ok(Look::some(wrong.is_empty().then_some(tree), shown))
    })
}

fn change_the_tree(set: &Set, change: Change) -> Outcome {
    match change {
        Change::KillParent => kill_a_parent(set, "core"),
        Change::KillMiddle => kill_a_parent(set, "edge"),
        Change::KillMaster => {
            let (master, epoch) = (set.master()?, set.epoch()?);
            Fault::Kill.strike(set, &master, "tiers")?;
            set.wait_reports_after(epoch, READY).map(|reports| tell(&reports))
        }
        Change::Switchover => {
            let epoch = set.epoch()?;
            set.ask("switchover", "any@tiers")?;
            set.wait_reports_after(epoch, READY).map(|reports| tell(&reports))
        }
        Change::Rehang => {
            set.change(&tiers(&json!([edge(), leaf("core", 2)])))?;
            println!("{}", grown(set, &[("edge", "core"), ("leaf", "core")])?);
            set.change(&tiers(&json!([edge(), leaf("edge", 2)])))
        }
        Change::LoseMiddle => delete_all(set, "edge"),
        Change::ScaleToNothing => {
            set.change(&tiers(&json!([edge(), leaf("edge", 0)])))?;
            pods_of(set, "leaf", 0)?;
            set.change(&tiers(&json!([edge(), leaf("edge", 2)])))?;
            pods_of(set, "leaf", 2)
        }
        Change::RemoveMiddle => {
            set.change(&tiers(&json!([leaf("core", 2)])))?;
            pods_of(set, "edge", 0)?;
            gone(set, "edge")
        }
    }
}

fn tell(reports: &[cluster_tests::failover::Report]) {
    for report in reports {
        println!("{}", report.message);
    }
}

fn tiers(list: &Value) -> Value {
    json!({"spec": {"tiers": list}})
}

fn edge() -> Value {
    json!({"name": "edge", "replicas": 4, "maxReplicasPerParent": 2})
}

fn leaf(from: &str, replicas: u32) -> Value {
    json!({"name": "leaf", "from": from, "replicas": replicas})
}

/// Kills the Redis of a pod of this tier that others replicate from; they hang on somebody else before it is back.
fn kill_a_parent(set: &Set, tier: &str) -> Outcome {
    let tree = Tree::read(set)?;
    let (parent, children) = tree
        .parent_in(tier)
        .context(format_args!("nobody hangs on {tier}:\n{tree}"))?;
    let before = set.containers()?;
    let killed = std::time::Instant::now();
    Fault::Kill.strike(set, &parent, "tiers")?;
    until(
        format_args!("the children of {parent} to be linked to others"),
        CHANGED,
        || {
            let now = Tree::read(set)?;
            let moved = children.iter().all(|child| now.is_linked_elsewhere(child, &parent));
            Ok(Look::when(moved, now))
        },
    )?;
    println!(
        "{parent} died: {} linked again after {:?}",
        children.join(", "),
        killed.elapsed()
    );
    set.wait_restarted(&[parent], &before, CHANGED)
}

fn delete_all(set: &Set, tier: &str) -> Outcome {
    let before = set.containers()?;
    let pods: Vec<_> = set
        .pod_names()?
        .into_iter()
        .filter(|pod| tree::tier_of(set, pod) == tier)
        .collect();
    for pod in &pods {
        set.cluster.kubernetes.delete("pods", &set.namespace, pod)?;
    }
    set.wait_restarted(&pods, &before, READY)
}

fn pods_of(set: &Set, tier: &str, wanted: usize) -> Outcome {
    until(format_args!("{wanted} pods of tier {tier}"), READY, || {
        let pods = set.pod_names()?;
        let there = pods.iter().filter(|pod| tree::tier_of(set, pod) == tier).count();
        Ok(Look::when(there == wanted, summary(&set.object()?)))
    })
}

/// A tier that was removed leaves no object; its volumes stay by default.
fn gone(set: &Set, tier: &str) -> Outcome {
    let name = format!("{}-{tier}", set.name);
    for kind in ["statefulsets", "services"] {
        until(format_args!("{kind} {name} to be gone"), CHANGED, || {
            let found = set.cluster.kubernetes.find(kind, &set.namespace, &name)?;
            Ok(Look::when(found.is_none(), "it is there"))
        })?;
    }
    let claims = set.cluster.kubernetes.list(
        "persistentvolumeclaims",
        &set.namespace,
        &format!("redisreplicaset.dev/tier={tier}"),
    )?;
    ensure!(claims.len() == 4, "{} volumes of tier {tier} are left", claims.len());
    Ok(())
}
