//! Tiers: who hangs on whom while masters and middle nodes come and go.

use super::random::{converged, live};
use super::story::{ends_well, kill, reach, seconds};
use super::world::redis::{Link, Role};
use super::world::{Event, PLACES, Reach, World, pod_name};

/// Places of the first pods of the two tiers.
const EDGE: usize = PLACES;
const LEAF: usize = 2 * PLACES;

/// A set at rest with one confirmed write: tiers as [`World::lean_with`] has them.
fn set(replicas: i32, tiers: &[(&str, &str, i32)]) -> World {
    let mut world = World::lean_with(replicas, tiers);
    seconds(&mut world, 25);
    converged(&world);
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 1);
    assert!(world.confirmed.contains(&world.written));
    world.done.clear();
    world.resynced.clear();
    world
}

/// Whom a pod follows, and whether its link is up.
fn parent(world: &World, at: usize) -> Option<(usize, bool)> {
    match &world.redis(at)?.role {
        Role::Follows { ip, link } => Some((world.at(ip)?, matches!(link, Link::Up(_)))),
        Role::Master | Role::Fenced => None,
    }
}

/// Pods of tiers whose stream comes from a pod.
fn children(world: &World, of: usize) -> Vec<usize> {
    let all = PLACES..world.slots.len().min(3 * PLACES);
    all.filter(|at| parent(world, *at) == Some((of, true))).collect()
}

fn names(places: &[usize]) -> Vec<String> {
    places.iter().map(|at| pod_name(*at)).collect()
}

/// Everybody has everything, and nobody who had data needed a full resync but those.
#[track_caller]
fn ends_with_resyncs_of(mut world: World, places: &[usize]) {
    ends_well(&mut world);
    world.resynced.sort_unstable();
    assert_eq!(names(&world.resynced), names(places));
}

#[test]
fn a_new_set_comes_up_with_its_tiers_below_the_replicas() {
    let world = set(2, &[("edge", "core", 4), ("leaf", "edge", 2)]);
    assert_eq!([1, 2].map(|at| children(&world, at).len()), [2, 2]);
    assert!(children(&world, 0).is_empty());
    assert!(
        [LEAF, LEAF + 1]
            .iter()
            .all(|at| (EDGE..EDGE + 4).contains(&parent(&world, *at).unwrap().0))
    );
    let electors: Vec<_> = world.status.electors.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(electors, ["s-0", "s-1", "s-2"]);
    assert_eq!(world.status.quorum.unwrap().wait, 1);
}

#[test]
fn the_children_of_a_replica_that_died_are_with_its_sibling_in_the_same_pass() {
    let mut world = set(2, &[("edge", "core", 2), ("leaf", "edge", 1)]);
    let orphan = children(&world, 1)[0];
    live(&mut world, &[kill(1, 5), Event::Write]);
    assert_eq!(parent(&world, orphan).unwrap().0, 2);
    live(&mut world, &[]);
    assert_eq!(parent(&world, orphan), Some((2, true)));
    assert!(world.pod(orphan).unwrap().in_sync, "its readers noticed nothing");
    seconds(&mut world, 20);
    assert_eq!(
        [1, 2].map(|at| children(&world, at).len()),
        [1, 1],
        "they even out when it is back"
    );
    ends_with_resyncs_of(world, &[1]);
}

#[test]
fn what_hangs_on_a_child_that_moves_stays_where_it_is() {
    let mut world = set(2, &[("edge", "core", 2), ("leaf", "edge", 2)]);
    let middle = children(&world, 2)[0];
    let below = children(&world, middle);
    assert_eq!(below.len(), 1);
    live(&mut world, &[kill(2, 5)]);
    seconds(&mut world, 2);
    assert_eq!(
        (parent(&world, middle), parent(&world, below[0])),
        (Some((1, true)), Some((middle, true)))
    );
    ends_with_resyncs_of(world, &[2]);
}

#[test]
fn without_a_sibling_children_wait_for_their_parent_and_never_hang_on_the_master() {
    let mut world = set(1, &[("edge", "core", 2)]);
    live(&mut world, &[kill(1, 8), Event::Write]);
    for second in 0..6 {
        seconds(&mut world, 1);
        assert!(children(&world, 0).is_empty());
        assert!(second < 3 || !world.pod(EDGE).unwrap().in_sync);
    }
    ends_with_resyncs_of(world, &[1, EDGE, EDGE + 1]);
}

#[test]
fn the_children_of_the_winner_follow_it_into_its_lineage_and_leave_before_it_takes_writes() {
    let mut world = set(2, &[("edge", "core", 4), ("leaf", "edge", 1)]);
    let of_winner = children(&world, 1);
    live(&mut world, &[Event::Write, kill(0, 3)]);
    seconds(&mut world, 1);
    assert_eq!(world.master(), Some(1));
    let said = |word: &str| {
        let found = |step: &&String| step.starts_with(word);
        world
            .done
            .iter()
            .rposition(|step| found(&step))
            .unwrap_or_else(|| panic!("no {word}: {:?}", world.done))
    };
    assert!(
        said("bare s-1") < said("lock-out s-edge") && said("lock-out s-edge") < said("arm s-1"),
        "{:?}",
        world.done
    );
    let steps: Vec<_> = world
        .done
        .iter()
        .filter(|step| step.starts_with("come-along"))
        .collect();
    assert!(steps.len() >= of_winner.len(), "{:?}", world.done);
    assert!(children(&world, 1).is_empty());
    ends_with_resyncs_of(world, &[0]);
}

#[test]
fn a_failover_costs_no_child_its_data_whatever_hangs_where() {
    for (core, edge, leaf) in [(2, 1, 1), (2, 4, 2), (3, 3, 3), (4, 6, 2)] {
        let mut world = set(core, &[("edge", "core", edge), ("leaf", "edge", leaf)]);
        live(&mut world, &[Event::Write, kill(0, 6)]);
        seconds(&mut world, 3);
        assert_ne!(world.master(), Some(0));
        ends_with_resyncs_of(world, &[0]);
    }
}

/// What the old master has after its restart it has from a full resync, and keeps nothing of before.
#[test]
fn without_a_sibling_the_winners_children_wait_for_the_old_master_and_need_a_full_resync() {
    let mut world = set(1, &[("edge", "core", 2)]);
    live(&mut world, &[Event::Write, kill(0, 3)]);
    seconds(&mut world, 3);
    assert_eq!((world.master(), children(&world, 1)), (Some(1), vec![]));
    ends_with_resyncs_of(world, &[0, EDGE, EDGE + 1]);
}

#[test]
fn a_sibling_that_was_behind_costs_the_winners_children_nothing() {
    let mut world = set(2, &[("edge", "core", 4)]);
    let slow = Event::Slow { pod: 2, slow: true };
    live(&mut world, &[slow, Event::Write, Event::Write, Event::Write]);
    live(&mut world, &[kill(0, 6)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(1));
    ends_with_resyncs_of(world, &[0]);
}

#[test]
fn a_switchover_costs_no_child_its_data() {
    for to in ["s-1", "s-2"] {
        let mut world = set(2, &[("edge", "core", 3), ("leaf", "edge", 2)]);
        world.requests.insert("switchover".into(), format!("{to}@1"));
        live(&mut world, &[Event::Write]);
        seconds(&mut world, 4);
        assert_eq!(world.master().map(pod_name).as_deref(), Some(to));
        ends_with_resyncs_of(world, &[]);
    }
}

#[test]
fn a_failover_ends_well_for_tiers_whichever_step_the_operator_dies_at() {
    let begin = set(2, &[("edge", "core", 3), ("leaf", "edge", 1)]);
    for after in 0..30 {
        let mut world = begin.clone();
        world.crash_after = Some(after);
        live(&mut world, &[Event::Write, kill(0, 3)]);
        seconds(&mut world, 4);
        let written = world.confirmed.clone();
        ends_well(&mut world);
        let master = world.master().and_then(|o| world.redis(o)).unwrap();
        assert!(written.iter().all(|w| master.data.contains(w)), "crash after {after}");
    }
}

#[test]
fn a_child_that_hangs_does_not_keep_the_writes_from_the_others_for_long() {
    let mut world = set(2, &[("edge", "core", 2)]);
    let child = children(&world, 1)[0];
    live(&mut world, &[reach(child, Reach::Operator)]);
    live(&mut world, &[kill(0, 3)]);
    seconds(&mut world, 1);
    assert!(world.redis(1).unwrap().is_armed());
    assert!(!world.redis(1).unwrap().links.contains_key(&pod_name(child)));
}

#[test]
fn a_deep_replica_leaves_the_read_service_when_the_root_is_gone_although_its_own_link_is_up() {
    let mut world = set(2, &[("edge", "core", 2), ("leaf", "edge", 1)]);
    world.cluster.spec.failover.when_unreachable = crate::api::WhenUnreachable::Never;
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 30);
    let leaf = world.pod(LEAF).unwrap();
    assert!(parent(&world, LEAF).unwrap().1, "its parent lives");
    assert!(!leaf.in_sync);
}

#[test]
fn a_pod_of_a_tier_that_was_armed_by_hand_is_no_sign_of_a_status_that_is_behind() {
    let mut world = set(2, &[("edge", "core", 1)]);
    let redis = world.pod_mut(EDGE).unwrap().redis.as_mut().unwrap();
    (redis.role, redis.min) = (Role::Master, 0);
    world.probe(EDGE);
    super::operator::pass(&mut world, &Default::default());
    assert!(world.done.contains(&"fence s-edge-0".to_owned()), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn pods_of_tiers_leave_when_they_are_scaled_away_and_so_do_parents_without_their_children() {
    let mut world = set(3, &[("edge", "core", 3), ("leaf", "edge", 2)]);
    live(&mut world, &[Event::ScaleTier { tier: 0, replicas: 1 }]);
    seconds(&mut world, 25);
    live(&mut world, &[Event::Scale { replicas: 1 }]);
    ends_with_resyncs_of(world, &[]);
}

#[test]
fn a_fenced_replica_gives_its_children_away_and_a_fenced_child_leaves() {
    let mut world = set(2, &[("edge", "core", 2)]);
    let (away, stays) = (children(&world, 1)[0], children(&world, 2)[0]);
    world
        .requests
        .insert("fence".into(), format!("s-1,{}@1", pod_name(stays)));
    seconds(&mut world, 3);
    assert_eq!(parent(&world, away), Some((2, true)));
    assert_eq!(world.redis(stays).unwrap().role, Role::Fenced);
    assert!(!world.redis(2).unwrap().links.contains_key(&pod_name(stays)));
    world.requests.insert("unfence".into(), "*@2".into());
    world.requests.remove("fence");
    ends_with_resyncs_of(world, &[]);
}

#[test]
fn volumes_of_tiers_forbid_to_begin_empty() {
    let mut world = set(1, &[("edge", "core", 1)]);
    seconds(&mut world, 2);
    world.status = Default::default();
    (0..2).for_each(|at| world.slots[at] = Default::default());
    seconds(&mut world, 12);
    assert_eq!(world.status.master, None);
    let said = super::story::hold(&world);
    assert!(
        said.contains("volume data-s-edge-0 of tier edge carries epoch 1"),
        "{said}"
    );
}

#[test]
fn lost_data_that_a_tier_still_has_is_named() {
    let mut world = set(1, &[("edge", "core", 1)]);
    live(
        &mut world,
        &[Event::LoseVolume { pod: 0 }, Event::LoseVolume { pod: 1 }],
    );
    seconds(&mut world, 12);
    let said = super::story::hold(&world);
    assert!(said.contains("the data is on s-edge-0"), "{said}");
    assert!(!world.redis(EDGE).unwrap().data.is_empty());
    world.ask("accept-data-loss", None);
    ends_with_resyncs_of(world, &[EDGE]);
}

#[test]
fn nobody_can_name_a_pod_of_a_tier_to_take_over() {
    let mut world = set(1, &[("edge", "core", 1)]);
    live(&mut world, &[reach(0, Reach::Nobody), reach(1, Reach::Nobody)]);
    seconds(&mut world, 3);
    world.ask("force-failover", Some(EDGE));
    seconds(&mut world, 2);
    let answer = world
        .status
        .requests
        .iter()
        .find(|r| r.name == "force-failover")
        .unwrap();
    assert!(
        answer
            .message
            .contains("is of tier edge, whose pods never become master"),
        "{}",
        answer.message
    );
}
