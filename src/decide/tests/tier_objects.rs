//! Tiers as objects and numbers: what is made for them, what goes when they are taken out of spec, and what is counted. Whom
//! their pods follow is not looked at here.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::check::{say, settle, world};
use super::world::{SET, World};
use crate::api::TierSpec;
use crate::api::status::{Elector, Outcome, Request};
use crate::decide::requests::restart;
use crate::decide::view::View;
use crate::decide::{decide, leftovers, scale, settings};
use crate::model::observed::{Live, Member, ObjectId, Observed, Refusal, StatefulSetFacts};
use crate::model::redis::{Link, NOWHERE, ProbeError, Seen};
use crate::names;

/// A set at rest that has these tiers too, with their objects, but without a pod of them.
fn with_tiers(tiers: &[(&str, &str, i32)]) -> World {
    let mut world = world("set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached");
    let tier = |(name, from, replicas): &(&str, &str, i32)| TierSpec {
        from: (*from).to_owned(),
        replicas: *replicas,
        ..TierSpec::new(*name)
    };
    world.cluster.spec.tiers = tiers.iter().map(tier).collect();
    settle(&mut world);
    world
}

/// What is seen with so many pods of each tier, each in sync below the master.
fn seen(world: &World, tiers: &[(&str, u32)]) -> Observed {
    let mut observed = world.observe();
    // Without the pods that spec wants and nobody has made yet.
    observed.members.retain(Member::is_core);
    let model = observed.members[1].clone();
    for (tier, pods) in tiers {
        let facts = StatefulSetFacts {
            replicas: i32::try_from(*pods).unwrap(),
            ..StatefulSetFacts::default()
        };
        observed.stateful_sets.insert((*tier).to_owned(), facts);
        observed
            .members
            .extend((0..*pods).map(|ordinal| of_tier(&model, tier, ordinal)));
    }
    observed
}

fn of_tier(model: &Member, tier: &str, ordinal: u32) -> Member {
    let mut member = model.clone();
    member.name = names::pod(&names::stateful_set(SET, tier), ordinal);
    (member.tier, member.ordinal) = (tier.to_owned(), ordinal);
    let pod = member.pod.as_mut().unwrap();
    (pod.uid, pod.ip) = (format!("uid-{}", member.name), Some(format!("10.9.0.{ordinal}")));
    member.claim.as_mut().unwrap().uid = format!("claim-{}", member.name);
    member
}

/// Detaches a pod, as a fence does.
fn fence(observed: &mut Observed, pod: &str) {
    let member = observed.members.iter_mut().find(|m| m.name == pod).unwrap();
    let Seen::Answers { facts, .. } = &mut member.redis else {
        panic!("{pod} does not answer")
    };
    if let Link::Replica(link) = &mut Arc::make_mut(facts).link {
        (link.host, link.port, link.up) = (NOWHERE.0.to_owned(), NOWHERE.1, false);
    }
}

/// Deletions of what spec does not have any more, redis.conf aside.
fn deletions(world: &World, observed: &Observed) -> Vec<String> {
    let view = View::new(&world.cluster, observed, world.now);
    let steps = leftovers::decide(&view, &BTreeMap::new());
    steps
        .iter()
        .map(say)
        .filter(|step| !step.contains("ConfigMap"))
        .collect()
}

#[test]
fn a_tier_has_a_stateful_set_and_a_read_service_and_the_set_is_at_rest_with_them() {
    let world = with_tiers(&[("edge", "core", 2)]);
    for kind in ["StatefulSet", "Service"] {
        assert!(world.live(kind, "s-edge").is_some(), "{kind}");
    }
    let selector = &world.live("Service", "s-edge").unwrap()["spec"]["selector"];
    assert_eq!(selector[names::label::TIER], "edge");
    assert_eq!(selector[names::label::IN_SYNC], "true");
    assert_eq!(world.live("StatefulSet", "s-edge").unwrap()["spec"]["replicas"], 2);
}

#[test]
fn what_a_tier_that_is_gone_from_spec_had_is_deleted_once_all_its_pods_have_parted() {
    let mut world = with_tiers(&[("edge", "core", 2), ("west", "core", 1)]);
    world.cluster.spec.tiers.retain(|tier| tier.name == "west");
    let mut observed = seen(&world, &[("west", 1), ("edge", 2)]);
    assert_eq!(deletions(&world, &observed), [""; 0]);
    fence(&mut observed, "s-edge-0");
    assert_eq!(deletions(&world, &observed), [""; 0]);
    fence(&mut observed, "s-edge-1");
    let all = ["delete Service s-edge", "delete StatefulSet s-edge"];
    assert_eq!(deletions(&world, &observed), all);

    // One that can confirm a write has not parted, nor has one that may still attach.
    let mut electing = observed.clone();
    electing.status.electors.push(Elector {
        name: "s-edge-1".into(),
        uid: "uid-s-edge-1".into(),
        volume: "claim-s-edge-1".into(),
        ..Elector::default()
    });
    assert_eq!(deletions(&world, &electing), [""; 0]);
    let mut linked = observed.clone();
    if let Seen::Answers { facts, .. } = &mut linked.members[0].redis {
        let users = &mut Arc::make_mut(facts).link_users;
        users.insert(names::link_user("s-edge-1"));
    }
    assert_eq!(deletions(&world, &linked), [""; 0]);

    // What is not ours is left alone, and so is everything while nobody serves.
    let id = |kind| ObjectId {
        kind,
        name: "s-edge".into(),
    };
    let foreign = Live::Foreign {
        owner: "controlled by RedisReplicaSet s-edge".into(),
    };
    let mut others = observed.clone();
    others.objects.insert(id("StatefulSet"), foreign);
    assert_eq!(deletions(&world, &others), ["delete Service s-edge"]);
    fence(&mut observed, "s-1");
    let mut silent = observed;
    silent.members[0].redis = Seen::Unknown {
        since: world.now,
        error: ProbeError::Refused,
        eof: true,
        last: None,
        offsets: Arc::default(),
    };
    assert_eq!(deletions(&world, &silent), [""; 0]);
}

#[test]
fn a_label_that_somebody_changed_deletes_nothing() {
    let mut world = with_tiers(&[("edge", "core", 1)]);
    world.cluster.spec.tiers.clear();
    let mut observed = seen(&world, &[("edge", 1)]);
    for live in observed.objects.values_mut() {
        if let Live::Ours(body) = live
            && body["metadata"]["name"] == "s-edge"
        {
            body["metadata"]["labels"][names::label::TIER] = "other".into();
        }
    }
    assert_eq!(deletions(&world, &observed), [""; 0]);
}

#[test]
fn the_pods_of_a_tier_that_is_gone_part_one_by_one_and_a_smaller_tier_shrinks_from_the_top() {
    let mut world = with_tiers(&[("edge", "core", 3), ("leaf", "edge", 2)]);
    let asked = |world: &World, observed: &Observed, tier: &str| {
        let view = View::new(&world.cluster, observed, world.now);
        let tier = world.cluster.tiers().find(|t| t.name == tier).unwrap();
        scale::stateful_set_replicas(&view, tier)
    };
    let parting = |world: &World, observed: &Observed| {
        let view = View::new(&world.cluster, observed, world.now);
        let (master, facts, min) = view.serving().unwrap();
        let steps = scale::decide(&view, master, facts, min).steps;
        steps.iter().map(say).collect::<Vec<_>>()
    };
    let mut observed = seen(&world, &[("edge", 3), ("leaf", 2)]);
    world.cluster.spec.tiers[0].replicas = 1;
    world.cluster.spec.tiers[1].replicas = 1;
    if let Seen::Answers { facts, .. } = &mut observed.members[0].redis {
        let users = &mut Arc::make_mut(facts).link_users;
        users.insert(names::link_user("s-leaf-1"));
    }
    // The lowest tier first, and each shrinks on its own.
    assert_eq!(parting(&world, &observed), ["lock-out s-leaf-1 at s-0"]);
    assert_eq!(
        (asked(&world, &observed, "leaf"), asked(&world, &observed, "edge")),
        (2, 2)
    );
    world.cluster.spec.tiers.retain(|tier| tier.name == "edge");
    assert_eq!(parting(&world, &observed), ["lock-out s-leaf-1 at s-0"]);
    world.cluster.spec.tiers.clear();
    assert_eq!(parting(&world, &observed), ["fence s-edge-2"]);
}

#[test]
fn nobody_of_a_tier_that_goes_is_made_anew() {
    let mut world = with_tiers(&[("edge", "core", 2)]);
    let value = "all@1";
    let due = |world: &World| {
        let mut observed = seen(world, &[("edge", 2)]);
        observed.requests.insert("restart".into(), value.into());
        observed.status.requests = vec![Request {
            name: "restart".into(),
            value: value.into(),
            outcome: Outcome::Running,
            reason: String::new(),
            message: String::new(),
            at: Time(world.now),
        }];
        let view = View::new(&world.cluster, &observed, world.now);
        let due = observed.members.iter().filter(|m| restart::is_due(&view, m));
        due.map(|m| m.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(due(&world), ["s-0", "s-1", "s-2", "s-edge-0", "s-edge-1"]);
    world.cluster.spec.tiers.clear();
    assert_eq!(due(&world), ["s-0", "s-1", "s-2"]);
}

#[test]
fn a_directive_that_is_refused_keeps_only_the_file_of_its_tier_as_it_was() {
    let mut world = with_tiers(&[("edge", "core", 1)]);
    world.cluster.spec.tiers[0].config = [("hz".to_owned(), "9999".to_owned())].into();
    let mut observed = seen(&world, &[("edge", 1)]);
    let key = ("hz".to_owned(), "9999".to_owned());
    observed.refused.insert(key, Refusal::Refused("out of range".into()));
    let view = View::new(&world.cluster, &observed, world.now);
    let settings = settings::decide(&view);
    assert_eq!(
        (settings.acceptable("core"), settings.acceptable("edge")),
        (true, false)
    );
    assert_eq!(settings.refused().len(), 1);
}

#[test]
fn status_counts_each_tier_for_itself() {
    let world = with_tiers(&[("edge", "core", 2)]);
    let observed = seen(&world, &[("edge", 2)]);
    let status = decide(&world.cluster, &observed, world.now).status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas), (Some(2), Some(2)));
    let edge = &status.tiers[0];
    assert_eq!((edge.name.as_str(), edge.replicas), ("edge", 2));
    assert_eq!(status.tiers.len(), 1);
    let tiers: Vec<_> = status.members.iter().map(|m| m.tier.as_str()).collect();
    assert_eq!(tiers, ["core", "core", "core", "edge", "edge"]);
}
