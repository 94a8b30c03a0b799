//! Rolling updates and restarts as stories, in a set with every object: which pods are made anew, in which order, and what
//! is said about it.

use std::collections::BTreeMap;

use super::check::reasons;
use super::random::{converged, live};
use super::world::{Event, World};
use crate::api::UpdateStrategy;
use crate::api::status::{Outcome, Request};
use crate::build::pod;
use crate::model::observed::Trouble;

/// A set at rest that has a confirmed write.
fn story(replicas: i32) -> World {
    let mut world = World::new(replicas);
    seconds(&mut world, 15);
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 2);
    converged(&world);
    world
}

fn seconds(world: &mut World, count: usize) {
    (0..count).for_each(|_| live(world, &[]));
}

/// Ordinals whose pods are on their way out, in the order in which they went, within so many seconds. Clients write
/// meanwhile, and at no time more than one pod is away.
fn made_anew(world: &mut World, count: usize) -> Vec<usize> {
    let mut went = Vec::new();
    let mut uids = uids(world);
    for _ in 0..count {
        live(world, &[Event::Write]);
        let now = self::uids(world);
        let pods = uids.keys().filter(|ordinal| now.get(ordinal) != uids.get(ordinal));
        let away: Vec<_> = (0..uids.len()).filter(|o| world.redis(*o).is_none()).collect();
        assert!(away.len() <= 1, "away at the same time: {away:?}");
        went.extend(pods.filter(|o| now.contains_key(o)));
        uids.extend(now);
    }
    went
}

fn uids(world: &World) -> BTreeMap<usize, String> {
    let uid = |ordinal: usize| Some((ordinal, world.pod(ordinal)?.uid.clone()));
    (0..world.slots.len()).filter_map(uid).collect()
}

fn ask(world: &mut World, name: &str, value: &str) {
    world.requests.insert(name.into(), value.into());
}

fn answer<'a>(world: &'a World, name: &str) -> &'a Request {
    let answer = world.status.requests.iter().find(|r| r.name == name);
    answer.unwrap_or_else(|| panic!("no answer to {name}"))
}

/// Everything that was confirmed is still there.
#[track_caller]
fn ends_well(world: &World) {
    converged(world);
    let master = world.redis(world.master().unwrap()).unwrap();
    assert!(world.confirmed.iter().all(|write| master.data.contains(write)));
}

#[test]
fn a_restart_makes_every_pod_anew_once_and_the_master_last_by_a_switchover() {
    let mut world = story(2);
    ask(&mut world, "restart", "all@1");
    seconds(&mut world, 1);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Running);
    assert_eq!(made_anew(&mut world, 50), [2, 1, 0]);
    let answer = answer(&world, "restart");
    assert_eq!(
        (answer.outcome, answer.message.as_str()),
        (Outcome::Done, "3 pods were made anew")
    );
    assert_eq!(world.status.failovers.len(), 1, "{:?}", world.status.failovers);
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, Some(0));
    ends_well(&world);
    assert!(made_anew(&mut world, 10).is_empty(), "an answered value is done again");
    // Whoever is made anew later is none that was made before: the template stays as it is.
    live(&mut world, &[Event::DeletePod { pod: 2 }]);
    seconds(&mut world, 10);
    assert_eq!(world.pod(2).unwrap().restart.as_deref(), Some("all@1"));
}

#[test]
fn a_restart_may_be_of_the_replicas_or_of_one_pod() {
    let mut world = story(2);
    ask(&mut world, "restart", "replicas@1");
    assert_eq!(made_anew(&mut world, 30), [2, 1]);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Done);
    ask(&mut world, "restart", "s-1@2");
    assert_eq!(made_anew(&mut world, 20), [1]);
    assert_eq!(answer(&world, "restart").message, "s-1 was made anew");
    assert!(world.status.failovers.is_empty());
    // The master's own pod goes after it has handed over.
    ask(&mut world, "restart", "s-0@3");
    assert_eq!(made_anew(&mut world, 20), [0]);
    assert_eq!(world.status.failovers.len(), 1);
    ends_well(&world);
}

#[test]
fn a_set_without_replicas_is_restarted_too() {
    let mut world = story(0);
    ask(&mut world, "restart", "all");
    assert_eq!(made_anew(&mut world, 20), [0]);
    assert_eq!(answer(&world, "restart").message, "1 pod was made anew");
    ends_well(&world);
}

#[test]
fn a_restart_waits_for_a_pod_that_does_not_come_back_and_another_request_takes_its_place() {
    let mut world = story(2);
    ask(&mut world, "restart", "all@1");
    let away = |world: &mut World| {
        seconds(world, 1);
        world.redis(2).is_none()
    };
    assert!((0..20).any(|_| away(&mut world)), "s-2 does not go");
    seconds(&mut world, 2);
    let pod = world.pod_mut(2).unwrap();
    (pod.starts_in, pod.trouble) = (None, Some(Trouble::Unschedulable("no node".into())));
    seconds(&mut world, 5);
    reasons("a pod that was just made", &world, &["UpToDate=Rolling"]);
    assert!(made_anew(&mut world, 20).is_empty());
    assert_eq!(message(&world, "UpToDate"), "s-2: no node; restart=all@1 waits for it");
    assert_eq!(answer(&world, "restart").outcome, Outcome::Running);
    ask(&mut world, "restart", "s-2@2");
    assert_eq!(made_anew(&mut world, 20), [2]);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Done);
    ends_well(&world);
}

#[test]
fn a_restart_that_can_not_be_done_is_refused_and_ends_the_one_before() {
    let mut world = story(1);
    for (value, reason) in [("all@", "Malformed"), ("s-7", "TargetUnfit"), ("a,b", "Malformed")] {
        ask(&mut world, "restart", value);
        seconds(&mut world, 1);
        let answer = answer(&world, "restart");
        assert_eq!(
            (answer.outcome, answer.reason.as_str()),
            (Outcome::Refused, reason),
            "{value}"
        );
    }
    ask(&mut world, "restart", "all@1");
    seconds(&mut world, 1);
    ask(&mut world, "restart", "s-7@2");
    seconds(&mut world, 1);
    let words = "no pod of this set is called s-7; restart=all@1, which was being done, is given up";
    assert_eq!(answer(&world, "restart").message, words);
    assert!(made_anew(&mut world, 10).is_empty());
}

#[test]
fn a_restart_ends_the_same_whenever_the_operator_dies() {
    let begins = story(1);
    for after in 0..12 {
        let mut world = begins.clone();
        ask(&mut world, "restart", "all@1");
        live(&mut world, &[Event::Crash { after }]);
        assert_eq!(made_anew(&mut world, 40).len(), 2, "crash after {after}");
        assert_eq!(answer(&world, "restart").outcome, Outcome::Done, "crash after {after}");
        ends_well(&world);
    }
}

/// Another image, which is there.
fn change(world: &mut World, image: &str) {
    world.cluster.spec.image = image.into();
    world.cluster.generation += 1;
}

/// Another image, which nobody has.
fn change_to_nothing(world: &mut World) {
    change(world, "redis:0.0-none");
    world
        .unpullable
        .insert(pod::revision(&world.cluster, world.cluster.core()).unwrap());
}

fn waits_for(world: &World) -> &str {
    &world.status.update.as_ref().unwrap().waiting_for
}

fn message<'a>(world: &'a World, kind: &str) -> &'a str {
    let condition = world.status.conditions.iter().find(|c| c.type_ == kind);
    &condition.unwrap().message
}

#[test]
fn a_change_is_rolled_one_pod_at_a_time_and_the_master_last() {
    let mut world = story(2);
    change(&mut world, "redis:8.4");
    seconds(&mut world, 1);
    let update = world.status.update.clone().unwrap();
    assert_eq!((update.updated, update.total), (0, 3));
    reasons(
        "a change",
        &world,
        &["UpToDate=Rolling", "Ready=Rolling", "Reconciling=Updating"],
    );
    assert_eq!(made_anew(&mut world, 50), [2, 1, 0]);
    let update = world.status.update.clone().unwrap();
    assert_eq!((update.updated, update.total, update.waiting_for.as_str()), (3, 3, ""));
    reasons("done", &world, &["UpToDate=UpToDate", "Ready=Ready"]);
    assert_eq!(world.status.failovers.len(), 1);
    ends_well(&world);
}

#[test]
fn a_revision_that_does_not_come_up_stops_the_roll_at_its_first_pod_and_the_old_spec_undoes_it() {
    let mut world = story(2);
    let (image, uids_before) = (world.cluster.spec.image.clone(), uids(&world));
    change_to_nothing(&mut world);
    assert_eq!(made_anew(&mut world, 40), [2]);
    assert_eq!(waits_for(&world), "s-2 to be in sync");
    reasons(
        "a bad image",
        &world,
        &["UpToDate=ImagePullFailed", "Available=Serving"],
    );
    let words = "s-2: ErrImagePull: not found; the roll stopped, put the spec back to undo";
    assert_eq!(message(&world, "UpToDate"), words);
    change(&mut world, &image);
    assert_eq!(made_anew(&mut world, 20), [2]);
    reasons("undone", &world, &["UpToDate=UpToDate", "Ready=Ready"]);
    let uids = uids(&world);
    assert!(
        (0..2).all(|o| uids.get(&o) == uids_before.get(&o)),
        "others were made anew"
    );
    ends_well(&world);
}

#[test]
fn a_roll_that_was_stopped_goes_on_by_itself_when_the_pod_comes_back() {
    let mut world = story(2);
    change_to_nothing(&mut world);
    assert_eq!(made_anew(&mut world, 30), [2]);
    world.unpullable.clear();
    assert_eq!(made_anew(&mut world, 40), [1, 0]);
    reasons("done", &world, &["UpToDate=UpToDate", "Ready=Ready"]);
    ends_well(&world);
}

/// Nobody else serves meanwhile, so nothing but the spec can help.
#[test]
fn a_set_without_replicas_whose_new_revision_does_not_come_up_is_undone_by_the_old_spec() {
    for strategy in [UpdateStrategy::Automatic, UpdateStrategy::Supervised] {
        let mut world = story(0);
        world.cluster.spec.update.strategy = strategy;
        let image = world.cluster.spec.image.clone();
        change_to_nothing(&mut world);
        seconds(&mut world, 1);
        let revision = world.status.update.clone().unwrap().revision;
        ask(&mut world, "approve-update", &revision);
        assert_eq!(made_anew(&mut world, 20), [0], "{strategy}");
        let words = "s-0: ErrImagePull: not found; the roll stopped, put the spec back to undo";
        assert_eq!(message(&world, "UpToDate"), words);
        change(&mut world, &image);
        assert_eq!(made_anew(&mut world, 20), [0], "{strategy}");
        ends_well(&world);
    }
}

#[test]
fn a_new_set_whose_pods_never_ran_takes_up_the_mended_spec() {
    let mut world = World::new(2);
    change_to_nothing(&mut world);
    seconds(&mut world, 10);
    reasons(
        "a bad image",
        &world,
        &["UpToDate=ImagePullFailed", "Ready=ImagePullFailed"],
    );
    change(&mut world, "redis:8.2");
    seconds(&mut world, 30);
    converged(&world);
    reasons("mended", &world, &["UpToDate=UpToDate", "Ready=Ready"]);
}

#[test]
fn a_pod_that_stands_still_stops_a_roll_after_a_minute() {
    let mut world = story(2);
    change(&mut world, "redis:8.4");
    let away = |world: &mut World| {
        seconds(world, 1);
        world.redis(2).is_none()
    };
    assert!((0..20).any(|_| away(&mut world)), "s-2 does not go");
    seconds(&mut world, 2);
    world.pod_mut(2).unwrap().starts_in = None;
    seconds(&mut world, 30);
    reasons("for half a minute", &world, &["UpToDate=Rolling"]);
    seconds(&mut world, 40);
    reasons("for a minute", &world, &["UpToDate=PodNotReady"]);
    let said = message(&world, "UpToDate");
    assert!(said.starts_with("s-2 is Starting since 20"), "{said}");
    assert!(
        said.ends_with("; the roll stopped, put the spec back to undo"),
        "{said}"
    );
    world.pod_mut(2).unwrap().starts_in = Some(0);
    assert_eq!(made_anew(&mut world, 40), [1, 0]);
    ends_well(&world);
}

#[test]
fn a_master_from_whom_nobody_may_take_over_is_not_made_anew_and_that_is_said() {
    let mut world = story(2);
    let never = ["node-1", "node-2"].map(|node| serde_json::json!({"node": node, "priority": 0}));
    world.cluster.spec.failover.priorities = serde_json::from_value(never.to_vec().into()).unwrap();
    change(&mut world, "redis:8.4");
    assert_eq!(made_anew(&mut world, 40), [2, 1]);
    assert_eq!(waits_for(&world), "a replica that can take over from s-0");
    let said = message(&world, "UpToDate");
    let why = "no replica can take over from s-0 now: switchover-dry-run=any@1 says why";
    assert!(said.ends_with(why), "{said}");
    world.cluster.spec.failover.priorities.clear();
    assert_eq!(made_anew(&mut world, 20), [0]);
    ends_well(&world);
}

#[test]
fn under_supervision_the_master_waits_for_an_approval_of_this_very_revision() {
    let mut world = story(2);
    world.cluster.spec.update.strategy = UpdateStrategy::Supervised;
    ask(&mut world, "approve-update", "0123456789");
    change(&mut world, "redis:8.4");
    assert_eq!(made_anew(&mut world, 40), [2, 1]);
    let refused = answer(&world, "approve-update");
    assert_eq!(
        (refused.outcome, refused.reason.as_str()),
        (Outcome::Refused, "OtherRevision")
    );
    reasons(
        "waits",
        &world,
        &["UpToDate=WaitingForApproval", "Ready=WaitingForApproval", "Stalled=No"],
    );
    let revision = world.status.update.clone().unwrap().revision;
    assert_eq!(waits_for(&world), format!("approve-update: {revision}"));
    let words = format!("2 replicas done; annotate approve-update={revision}");
    assert_eq!(message(&world, "UpToDate"), words);
    // However long it takes, nobody is told that nothing moves.
    world.now += k8s_openapi::jiff::SignedDuration::from_secs(3600);
    seconds(&mut world, 2);
    reasons("waits", &world, &["Reconciling=Waiting", "Stalled=No"]);
    ask(&mut world, "approve-update", &revision);
    assert_eq!(made_anew(&mut world, 20), [0]);
    assert_eq!(answer(&world, "approve-update").outcome, Outcome::Done);
    assert_eq!(world.status.failovers.len(), 1);
    reasons("done", &world, &["UpToDate=UpToDate", "Ready=Ready"]);
    // The next change is another one.
    change(&mut world, "redis:8.6");
    assert_eq!(made_anew(&mut world, 40).len(), 2);
    reasons("waits", &world, &["UpToDate=WaitingForApproval"]);
}

#[test]
fn an_approval_is_refused_where_nothing_waits_for_one() {
    let mut world = story(1);
    for (value, reason) in [("0123456789", "NotSupervised"), ("a@", "Malformed")] {
        ask(&mut world, "approve-update", value);
        seconds(&mut world, 1);
        let answer = answer(&world, "approve-update");
        assert_eq!(
            (answer.outcome, answer.reason.as_str()),
            (Outcome::Refused, reason),
            "{value}"
        );
    }
}

#[test]
fn on_delete_only_what_a_person_asks_for_is_made_anew() {
    let mut world = story(2);
    world.cluster.spec.update.strategy = UpdateStrategy::OnDelete;
    change(&mut world, "redis:8.4");
    assert!(made_anew(&mut world, 10).is_empty());
    reasons("waits", &world, &["UpToDate=OnDelete", "Ready=Ready"]);
    assert_eq!(waits_for(&world), "a person to delete pods");
    ask(&mut world, "restart", "replicas@1");
    assert_eq!(made_anew(&mut world, 40), [2, 1]);
    reasons("the master is left", &world, &["UpToDate=OnDelete"]);
    let update = world.status.update.clone().unwrap();
    assert_eq!((update.updated, update.total), (2, 3));
}

#[test]
fn a_roll_is_told_when_it_begins_when_a_pod_stops_it_and_when_it_is_done() {
    let mut world = story(1);
    world.told.clear();
    change_to_nothing(&mut world);
    seconds(&mut world, 20);
    world.unpullable.clear();
    seconds(&mut world, 40);
    let told: Vec<_> = world.told.iter().filter(|reason| reason.starts_with("Roll")).collect();
    assert_eq!(told, [&"RollStarted", &"RollStopped", &"RollDone"]);
}
