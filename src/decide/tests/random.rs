//! Random worlds with random faults: what must hold holds after every step, and when faults stop the set comes to rest.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::awaiting::flushes;
use super::operator;
use super::oracle;
use super::priorities::prefer;
use super::world::redis::{Redis, Role};
use super::world::{Event, PLACES, Reach, SET, World, first_of, place_of, pod_name};
use crate::api::OnDivergence;
use crate::api::status::{MemberState, Outcome};
use crate::decide::hold::Hold;
use crate::decide::view::View;
use crate::decide::{IDLE, min_target, roles, wait_target};
use crate::model::cluster::Tier;
use crate::model::observed::Draining;

/// Ticks after the last fault within which a set is at rest.
const REST: usize = 60;
/// The same if every pod is made anew meanwhile.
const ROLLED: usize = 150;

fn event(pod: fn() -> BoxedStrategy<usize>) -> impl Strategy<Value = Event> {
    let reach = prop_oneof![
        3 => Just(Reach::All),
        1 => Just(Reach::Peers),
        1 => Just(Reach::Rejected),
        1 => Just(Reach::Reset),
        1 => Just(Reach::Operator),
        2 => Just(Reach::Nobody),
        2 => Just(Reach::Apart),
    ];
    prop_oneof![
        6 => Just(Event::Write),
        4 => (pod(), any::<bool>(), 0..12_u32).prop_map(|(pod, tail, back)| Event::Kill { pod, tail, back }),
        1 => any::<bool>().prop_map(|tail| Event::KillAll { tail }),
        2 => pod().prop_map(|pod| Event::DeletePod { pod }),
        1 => pod().prop_map(|pod| Event::LoseVolume { pod }),
        4 => (pod(), reach).prop_map(|(pod, reach)| Event::Reach { pod, reach }),
        4 => (0..6_usize).prop_map(|after| Event::Crash { after }),
        1 => Just(Event::EditService { name: SET }),
        1 => (pod(), prop_oneof![Just("master"), Just("fenced")]).prop_map(|(pod, role)| Event::EditLabel { pod, role }),
        3 => (0..5_i32).prop_map(|replicas| Event::Scale { replicas }),
        1 => any::<bool>().prop_map(|paused| Event::Pause { paused }),
        3 => pod().prop_map(|pod| Event::SlowProbe { pod }),
        4 => Just(Event::WriteToAll),
        2 => pod().prop_map(|pod| Event::ForceDelete { pod }),
        2 => (pod(), any::<bool>()).prop_map(|(pod, slow)| Event::Slow { pod, slow }),
        2 => proptest::option::weighted(0.8, pod()).prop_map(|pod| Event::Ask { name: "fence", pod }),
        1 => proptest::option::weighted(0.5, pod()).prop_map(|pod| Event::Ask { name: "unfence", pod }),
        3 => pod().prop_map(|pod| Event::Ask { name: "force-failover", pod: Some(pod) }),
        1 => Just(Event::Ask { name: "accept-data-loss", pod: None }),
        2 => (pod(), draining()).prop_map(|(node, draining)| Event::Drain { node, draining }),
    ]
}

fn draining() -> impl Strategy<Value = Option<Draining>> {
    prop_oneof![
        2 => Just(Some(Draining::Cordoned)),
        1 => Just(Some(Draining::ShuttingDown)),
        1 => Just(None),
    ]
}

/// A second in which things happen, and the operator's pass after it.
pub fn live(world: &mut World, events: &[Event]) {
    events.iter().for_each(|event| world.happen(event));
    world.tick();
    oracle::state(world);
    let slow = |event: &Event| match event {
        Event::SlowProbe { pod } => Some(*pod),
        _ => None,
    };
    operator::pass(world, &events.iter().filter_map(slow).collect());
}

/// Seconds in which things happen.
fn seconds(most: usize) -> impl Strategy<Value = Vec<Vec<Event>>> {
    let event = event(|| (0..5_usize).boxed());
    proptest::collection::vec(proptest::collection::vec(event, 0..3), 0..most)
}

/// The same for a set with tiers, whose pods have their share of it.
fn seconds_of_tiers(most: usize) -> impl Strategy<Value = Vec<Vec<Event>>> {
    let pod = || prop_oneof![3 => 0..4_usize, 2 => PLACES..PLACES + 3, 1 => 2 * PLACES..2 * PLACES + 2].boxed();
    let scale = (0..2_usize, 0..4_i32).prop_map(|(tier, replicas)| Event::ScaleTier { tier, replicas });
    let event = prop_oneof![24 => event(pod), 1 => scale];
    proptest::collection::vec(proptest::collection::vec(event, 0..3), 0..most)
}

/// Everything outside is well again.
pub fn heal(world: &mut World) {
    (world.cluster.spec.paused, world.crash_after) = (false, None);
    world.cluster.spec.failover.priorities.clear();
    world.requests.remove("fence");
    world.heal();
}

/// A person ends what only a person can.
fn lets_go(world: &mut World) {
    if !world.status.fenced.is_empty() {
        world.ask("unfence", None);
    }
    let mut members = world.status.members.iter();
    let diverged = members.find(|m| m.state == MemberState::Diverged);
    if let Some(pod) = diverged.and_then(|m| place_of(&m.name)) {
        world.ask("discard", Some(pod));
    }
    let told = world.status.conditions.iter().map(|c| c.message.as_str());
    let outlived = |message: &&str| message.contains("nobody saw its process end");
    let mut advice = told
        .filter(outlived)
        .filter_map(|m| m.split("annotate force-failover=").nth(1));
    if let Some((named, _)) = advice.next().and_then(|m| m.split_once(' ')) {
        world.requests.insert("force-failover".into(), named.to_owned());
    }
}

fn run(world: World, seconds: &[Vec<Event>]) {
    run_for(REST, world, seconds);
}

/// The world at rest, within so many seconds after the last fault.
fn run_for(rest: usize, mut world: World, seconds: &[Vec<Event>]) -> World {
    seconds.iter().for_each(|events| live(&mut world, events));
    heal(&mut world);
    for _ in 0..rest {
        lets_go(&mut world);
        live(&mut world, &[]);
        if at_rest(&world) {
            break;
        }
    }
    let observed = world.observe();
    let view = View::new(&world.cluster, &observed, world.now);
    match roles::decide(&view, &[]).hold {
        None => converged(&world),
        Some(hold) => justified(&world, &hold),
    }
    world.tick();
    operator::pass(&mut world, &BTreeSet::new());
    world.probe_all(&BTreeSet::new());
    let plan = operator::plan(&world);
    assert!(plan.steps.is_empty(), "S16: steps at rest: {:?}", plan.steps);
    assert_eq!(
        plan.status, None,
        "S16: status is written at rest, over {:?}",
        world.status
    );
    world
}

fn at_rest(world: &World) -> bool {
    let settled = |c: &Condition| c.status == "True" && (c.type_ == "Ready" || c.type_ == "Stalled");
    let tiers = world
        .cluster
        .tiers()
        .map(|tier| (first_of(tier.name), world.stateful_set_of(tier.name)));
    let mut pods = tiers.flat_map(|(first, set)| first..first + set.map_or(0, |s| s.replicas as usize));
    let leaves = |ordinal| world.pod(ordinal).is_some_and(|p| p.deleting);
    let runs = |ordinal| world.redis(ordinal).is_some_and(|r| r.loading == 0) && !leaves(ordinal);
    if !world.status.conditions.iter().any(settled) || !pods.all(runs) {
        return false;
    }
    let plan = operator::plan(world);
    plan.steps.is_empty() && plan.status.is_none() && plan.next == IDLE
}

/// Everything is as spec asks.
pub fn converged(world: &World) {
    let status = &world.status;
    let master = world.master().expect("no master at rest");
    let pods = (1 + world.cluster.spec.replicas as usize).max(master + 1);
    let redis = world.redis(master).unwrap();
    assert!(redis.is_armed(), "the master is not armed at rest: {redis:?}");
    assert_eq!(status.operation, None, "an operation at rest");
    let quorum = status.quorum.unwrap();
    let spec = 1 + world.cluster.spec.replicas as usize;
    assert_eq!(
        (quorum.wait, quorum.min_replicas_to_write, quorum.degraded),
        (wait_target(spec), min_target(spec), false)
    );
    assert_eq!(redis.min as i32, quorum.min_replicas_to_write);
    assert_eq!(world.vip_pods, BTreeSet::from([pod_name(master)]));
    assert_eq!(world.stateful_set().unwrap().replicas as usize, pods);
    let stays = |ordinal: &usize| !world.draining.contains_key(&format!("node-{ordinal}"));
    let better = (0..pods).find(|o| *o != master && stays(o));
    let tried = world.timeline.demoted.as_ref().map(|(uid, _)| uid);
    let waits = tried.is_some() && tried == world.pod(master).map(|p| &p.uid);
    assert!(
        stays(&master) || better.is_none() || waits,
        "s-{master} is master at rest on a node that drains, and that of s-{better:?} does not"
    );
    for ordinal in (0..pods).filter(|o| *o != master) {
        let replica = world
            .redis(ordinal)
            .unwrap_or_else(|| panic!("s-{ordinal} does not run"));
        assert!(replica.linked(), "s-{ordinal} is not linked: {replica:?}");
        assert_eq!(replica.data, redis.data, "s-{ordinal} has other data");
    }
    world
        .cluster
        .tiers()
        .skip(1)
        .for_each(|tier| in_place(world, tier, redis));
    let voters: BTreeSet<_> = status
        .electors
        .iter()
        .filter(|e| !e.learner)
        .map(|e| e.volume.as_str())
        .collect();
    let volumes: BTreeSet<_> = world.slots[..pods]
        .iter()
        .map(|s| s.claim.as_ref().unwrap().uid.as_str())
        .collect();
    assert_eq!((voters, status.electors.len()), (volumes, pods), "electors at rest");
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    let starved = spec == 1 && world.cluster.tiers().skip(1).any(|tier| tier.pods > 0);
    match starved {
        true => assert_eq!(ready.reason, "TooFewParents", "{}", ready.message),
        false => assert_eq!(ready.status, "True", "{}: {}", ready.reason, ready.message),
    }
}

/// Every pod of a tier has everything, and hangs on a replica.
fn in_place(world: &World, tier: Tier<'_>, master: &Redis) {
    let (first, pods) = (first_of(tier.name), tier.pods as usize);
    assert_eq!(
        world.stateful_set_of(tier.name).unwrap().replicas as usize,
        pods,
        "{}",
        tier.name
    );
    let parents = (0..PLACES).filter(|at| world.redis(*at).is_some_and(Redis::linked));
    for at in (first..first + pods).filter(|_| parents.clone().count() > 0) {
        let name = pod_name(at);
        let replica = world.redis(at).unwrap_or_else(|| panic!("{name} does not run"));
        assert!(replica.linked(), "{name} is not linked: {replica:?}");
        assert_eq!(replica.data, master.data, "{name} has other data");
        let Role::Follows { ip, .. } = &replica.role else {
            unreachable!()
        };
        assert_ne!(world.at(ip), world.master(), "{name} hangs on the master");
        let pod = world.pod(at).unwrap();
        assert_eq!((pod.role.as_deref(), pod.in_sync), (Some("replica"), true), "{name}");
    }
}

/// A set that does not serve says why, and the reason is true.
fn justified(world: &World, hold: &Hold) {
    assert!(
        hold.needs_a_person(),
        "still waits after {REST} seconds without a fault: {hold}"
    );
    let had = world.status.high_water_mark.as_ref().is_some_and(|m| m.keys > 0);
    let empty = |ordinal: usize| world.redis(ordinal).is_none_or(|r| r.data.is_empty());
    let nobody_has = |places: Range<usize>| {
        world
            .slots
            .iter()
            .enumerate()
            .all(|(at, _)| !places.contains(&at) || empty(at))
    };
    let (core_empty, all_empty) = (nobody_has(0..PLACES), nobody_has(0..usize::MAX));
    match hold {
        Hold::MasterGone { .. } => assert_eq!(world.master(), None, "{hold}"),
        Hold::DataLost { elsewhere, .. } => assert!(had && core_empty && elsewhere.is_empty() == all_empty, "{hold}"),
        Hold::Empty { .. } => assert!(!all_empty && world.master().is_some_and(empty), "{hold}"),
        Hold::LineageUnknown(_) => assert!(world.status.master.is_none() && !all_empty, "{hold}"),
        other => panic!("nothing in this world explains it: {other}"),
    }
    assert!(
        world.processes().all(|(.., r)| r.role != Role::Master || !r.is_armed()),
        "somebody serves: {hold}"
    );
}

/// A set with tiers that came to rest by itself: two core replicas and more, three pods below them and two below those.
pub fn settled_with_tiers(replicas: i32) -> World {
    static WORLDS: OnceLock<Vec<World>> = OnceLock::new();
    let make = |replicas| {
        let mut world = World::lean_with(replicas, &[("edge", "core", 3), ("leaf", "edge", 2)]);
        (0..30).for_each(|_| live(&mut world, &[]));
        converged(&world);
        world
    };
    WORLDS.get_or_init(|| (1..4).map(make).collect())[replicas as usize - 1].clone()
}

/// A set of each size that came to rest by itself, made once.
pub fn settled(replicas: i32) -> World {
    static WORLDS: OnceLock<Vec<World>> = OnceLock::new();
    let make = |replicas| {
        let mut world = World::lean(replicas);
        (0..20).for_each(|_| live(&mut world, &[]));
        converged(&world);
        world
    };
    WORLDS.get_or_init(|| (0..5).map(make).collect())[replicas as usize].clone()
}

/// The same cases in every run; `TIMES=10` asks for ten times as many.
fn runner(cases: u32) -> TestRunner {
    let times = |factor: &str| factor.parse::<u32>().ok();
    let factor = std::env::var("TIMES").ok().as_deref().and_then(times).unwrap_or(1);
    let config = Config {
        cases: cases * factor,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn whatever_happens_to_a_set_every_step_is_safe_and_it_comes_to_rest() {
    let never = proptest::option::of(0..5_usize);
    let cases = (0..5_i32, any::<bool>(), any::<bool>(), never, seconds(14));
    let result = runner(1000).run(&cases, |(replicas, hold, awaits, never, seconds)| {
        let mut world = settled(replicas);
        if hold {
            world.cluster.spec.failover.on_divergence = OnDivergence::Hold;
        }
        if let Some(pod) = never {
            prefer(&mut world, &[(&format!("node-{pod}"), 0)]);
        }
        if awaits {
            flushes(&mut world, 6);
        }
        run(world, &seconds);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whatever_happens_to_a_set_with_tiers_every_step_is_safe_and_it_comes_to_rest() {
    let cases = (1..4_i32, any::<bool>(), any::<bool>(), seconds_of_tiers(14));
    let result = runner(300).run(&cases, |(replicas, hold, awaits, seconds)| {
        let mut world = settled_with_tiers(replicas);
        if hold {
            world.cluster.spec.failover.on_divergence = OnDivergence::Hold;
        }
        if awaits {
            flushes(&mut world, 6);
        }
        run(world, &seconds);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whatever_happens_to_a_set_with_tiers_while_it_is_made_every_step_is_safe_and_it_comes_to_rest() {
    let cases = (1..4_i32, any::<bool>(), seconds_of_tiers(14));
    let result = runner(100).run(&cases, |(replicas, side_by_side, seconds)| {
        let above = if side_by_side { "core" } else { "edge" };
        run(
            World::lean_with(replicas, &[("edge", "core", 3), ("leaf", above, 2)]),
            &seconds,
        );
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whatever_happens_to_a_set_while_it_is_made_every_step_is_safe_and_it_comes_to_rest() {
    let cases = (0..5_i32, seconds(14));
    let result = runner(300).run(&cases, |(replicas, seconds)| {
        run(World::lean(replicas), &seconds);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn the_same_holds_with_every_object_of_a_set() {
    let cases = (0..3_i32, seconds(8));
    let result = runner(12).run(&cases, |(replicas, seconds)| {
        run(World::new(replicas), &seconds);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn the_same_holds_while_every_pod_is_made_anew() {
    let full = |replicas| {
        let mut world = World::new(replicas);
        (0..15).for_each(|_| live(&mut world, &[]));
        converged(&world);
        world
    };
    let begins: Vec<_> = (0..3).map(full).collect();
    let cases = (0..begins.len(), seconds(8), any::<bool>());
    let result = runner(12).run(&cases, |(replicas, seconds, by_request)| {
        let mut world = begins[replicas].clone();
        if by_request {
            world.requests.insert("restart".into(), "all@1".into());
        } else {
            (world.cluster.spec.image, world.cluster.generation) = ("redis:8.4".into(), 2);
        }
        let world = run_for(ROLLED, world, &seconds);
        let ready = world.status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        if ready.status == "True" {
            let update = world.status.update.as_ref().unwrap();
            assert_eq!(update.updated, update.total, "{update:?}");
            let asked = world.status.requests.iter().filter(|r| r.name == "restart");
            let answers: Vec<_> = asked.map(|r| r.outcome).collect();
            assert_eq!(answers, vec![Outcome::Done; usize::from(by_request)]);
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn who_is_locked_out_while_out_of_sight_acknowledges_nothing() {
    let gone = Event::Reach {
        pod: 2,
        reach: Reach::Nobody,
    };
    let lost = vec![Event::ForceDelete { pod: 2 }, Event::LoseVolume { pod: 1 }];
    run(settled(2), &[vec![gone], lost, vec![], vec![]]);
}

/// Nobody saw the master end, and its only replica has nothing yet: a person is told of the master's own file.
#[test]
fn a_person_is_told_of_the_masters_file_beside_a_replica_that_is_empty() {
    let grows = vec![Event::Scale { replicas: 1 }];
    let ends = vec![Event::DeletePod { pod: 0 }];
    let paused = vec![Event::Pause { paused: true }];
    run(settled(0), &[vec![Event::Write], grows, ends, vec![], paused, vec![]]);
}

/// Everybody was started again, and the operator still sees the master as it was.
#[test]
fn a_command_for_a_process_that_another_one_has_replaced_is_not_done() {
    let slow = || Event::SlowProbe { pod: 0 };
    let events = [vec![slow(), Event::KillAll { tail: false }], vec![slow()]];
    run(settled(1), &events);
    run(settled_with_tiers(1), &events);
}

#[test]
fn the_first_write_of_a_set_is_not_lost_to_an_empty_master() {
    let tail = Event::Kill {
        pod: 0,
        tail: true,
        back: 0,
    };
    run(
        settled(2),
        &[vec![Event::Write, Event::SlowProbe { pod: 0 }], vec![tail]],
    );
}

#[test]
fn an_empty_replica_does_not_win_a_set_that_was_seen_to_have_data() {
    let cut = Event::Reach {
        pod: 1,
        reach: Reach::Operator,
    };
    run(
        settled(1),
        &[vec![cut], vec![Event::Write], vec![Event::LoseVolume { pod: 0 }]],
    );
}
