//! Objects, labels, settings and logins: what is missing, what others changed, what is not ours.

use serde_json::json;

use super::check::{is_role, reasons, say, settle, world};
use super::world::{SET, World};
use crate::decide::decide;
use crate::model::observed::{AppSecret, InternalSecret, Live, ObjectId, Refusal, Unusable};
use crate::names;

/// A set at rest.
const REST: &str = "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached";

fn at_rest() -> World {
    let mut world = world(REST);
    assert!(settle(&mut world).steps.is_empty());
    world
}

fn steps(world: &World) -> Vec<String> {
    decide(&world.cluster, &world.observe(), world.now)
        .steps
        .iter()
        .map(say)
        .collect()
}

fn body<'a>(world: &'a mut World, kind: &'static str, name: &str) -> &'a mut serde_json::Value {
    match world.objects.get_mut(&ObjectId {
        kind,
        name: name.into(),
    }) {
        Some(Live::Ours(body)) => body,
        other => panic!("{kind} {name} is {other:?}"),
    }
}

#[test]
fn a_set_at_rest_is_left_alone_and_its_status_is_not_written() {
    let world = at_rest();
    let plan = decide(&world.cluster, &world.observe(), world.now);
    assert_eq!((plan.steps.len(), plan.status, plan.events), (0, None, vec![]));
}

#[test]
fn a_foreign_edit_of_the_vip_is_put_back_without_a_change_of_roles() {
    let mut world = at_rest();
    body(&mut world, "Service", SET)["spec"]["selector"] = json!({names::label::POD_NAME: "s-1"});
    let put_back =
        "apply Service s: spec.selector[statefulset.kubernetes.io/pod-name] had another value and is put back";
    assert_eq!(steps(&world), [put_back]);
    let events = decide(&world.cluster, &world.observe(), world.now).events;
    assert_eq!(events.iter().map(|e| e.reason).collect::<Vec<_>>(), ["ObjectRestored"]);
}

#[test]
fn every_object_is_put_back_when_it_was_deleted_or_changed() {
    let ids: Vec<ObjectId> = at_rest().objects.keys().cloned().collect();
    assert_eq!(ids.len(), 6);
    for id in ids {
        let mut world = at_rest();
        world.objects.remove(&id);
        assert_eq!(steps(&world), [format!("create {} {}", id.kind, id.name)]);
        if id.kind == "StatefulSet" {
            continue;
        }
        let mut world = at_rest();
        body(&mut world, id.kind, &id.name)["metadata"]["labels"][names::label::SET] = json!("another");
        let steps = steps(&world);
        assert!(
            steps.len() == 1 && steps[0].starts_with(&format!("apply {} {}: ", id.kind, id.name)),
            "{steps:?}"
        );
    }
}

#[test]
fn what_others_added_to_an_object_stays() {
    let mut world = at_rest();
    body(&mut world, "Service", SET)["metadata"]["labels"]["team"] = json!("shop");
    body(&mut world, "Service", SET)["spec"]["clusterIP"] = json!("10.96.0.7");
    assert!(steps(&world).is_empty());
}

#[test]
fn an_object_of_our_name_that_is_not_ours_is_named_and_not_touched() {
    for id in at_rest().objects.into_keys().filter(|id| id.kind != "StatefulSet") {
        let mut world = at_rest();
        world.objects.insert(
            id.clone(),
            Live::Foreign {
                owner: "it has no owner".into(),
            },
        );
        assert!(settle(&mut world).steps.is_empty(), "{id:?}");
        reasons(
            "a foreign object",
            &world,
            &["Stalled=ObjectConflict", "Ready=ObjectConflict", "Available=Serving"],
        );
    }
}

#[test]
fn a_foreign_secret_of_our_name_stops_a_new_set() {
    let mut world = World::new(2);
    world.app = AppSecret::Present {
        sha256: "ab".repeat(32),
    };
    world.internal = InternalSecret::Unusable {
        why: "controlled by another set".into(),
        known: None,
    };
    assert!(settle(&mut world).steps.is_empty());
    reasons(
        "a foreign Secret",
        &world,
        &["Stalled=ObjectConflict", "Available=NoMaster"],
    );
}

#[test]
fn labels_and_gates_that_others_changed_are_put_back() {
    let mut world = at_rest();
    let (first, second) = (&mut world.slots, "fenced");
    first[0].pod.as_mut().unwrap().role = Some("replica".into());
    first[1].pod.as_mut().unwrap().role = Some(second.into());
    first[2].pod.as_mut().unwrap().gate = Some(false);
    let expected = [
        "label s-0 master in-sync=false",
        "label s-1 replica in-sync=true",
        "gate s-2 true",
    ];
    assert_eq!(steps(&world), expected);
}

#[test]
fn without_the_named_secret_no_pod_is_started_and_a_running_set_goes_on() {
    let named = |world: &mut World, app| {
        world.cluster.spec.auth.secret_ref = Some(crate::api::SecretKeyRef {
            name: "mine".into(),
            key: "password".into(),
        });
        world.app = app;
    };
    let table = [
        (AppSecret::Absent, "SecretNotFound"),
        (AppSecret::Unknown, "SecretNotFound"),
        (AppSecret::Unusable(Unusable::KeyMissing), "SecretKeyMissing"),
        (AppSecret::Unusable(Unusable::Empty), "PasswordEmpty"),
        (AppSecret::Unusable(Unusable::TooLong(513)), "PasswordTooLong"),
    ];
    for (app, reason) in table {
        let mut world = World::new(2);
        named(&mut world, app.clone());
        assert!(settle(&mut world).steps.is_empty());
        assert!(world.objects.is_empty());
        reasons(
            "a new set",
            &world,
            &[&format!("CredentialsInSync={reason}"), &format!("Ready={reason}")],
        );
        let mut world = at_rest();
        named(&mut world, app);
        assert!(settle(&mut world).steps.is_empty());
        reasons(
            "a set at rest",
            &world,
            &[&format!("CredentialsInSync={reason}"), "Available=Serving"],
        );
    }
}

#[test]
fn a_new_password_goes_into_the_aclfile_and_to_every_server() {
    let mut world = at_rest();
    world.app = AppSecret::Present {
        sha256: "cd".repeat(32),
    };
    assert_eq!(steps(&world), ["write-acl", "login s-0", "login s-1", "login s-2"]);
}

/// A set at rest whose servers run with the configuration from before an entry was added.
fn reconfigured(key: &str, value: &str) -> World {
    let mut world = at_rest();
    for slot in &mut world.slots {
        slot.pod
            .as_mut()
            .unwrap()
            .redis
            .as_mut()
            .unwrap()
            .config
            .insert(key.into(), "before".into());
    }
    world.cluster.spec.config.insert(key.into(), value.into());
    world
}

#[test]
fn a_directive_is_tried_on_one_server_and_then_set_on_the_others() {
    let mut world = reconfigured("hz", "20");
    world.probe_all(&Default::default());
    let configured = |world: &World| {
        steps(world)
            .into_iter()
            .filter(|s| s.starts_with("configure"))
            .collect::<Vec<_>>()
    };
    assert_eq!(configured(&world), [r#"configure s-0 {"hz": "20"}"#]);
    let plan = decide(&world.cluster, &world.observe(), world.now);
    plan.steps.iter().for_each(|step| world.apply(step).unwrap());
    assert_eq!(
        configured(&world),
        [r#"configure s-1 {"hz": "20"}"#, r#"configure s-2 {"hz": "20"}"#]
    );
}

#[test]
fn an_unknown_or_refused_directive_keeps_the_file_that_new_processes_read() {
    let mut unknown = reconfigured("no-such-thing", "1");
    unknown.unknown_directives.push("no-such-thing".into());
    let mut refused = reconfigured("hz", "twenty");
    let words = Refusal::Refused("ERR argument must be an integer".into());
    refused.refused.insert(("hz".into(), "twenty".into()), words);
    for (mut world, reason) in [(unknown, "UnknownDirective"), (refused, "RefusedByRedis")] {
        let maps = |world: &World| {
            world
                .objects
                .keys()
                .filter(|id| id.kind == "ConfigMap")
                .cloned()
                .collect::<Vec<_>>()
        };
        let before = (maps(&world), world.stateful_set());
        world.probe_all(&Default::default());
        let plan = settle(&mut world);
        assert!(plan.steps.iter().all(|s| !is_role(s)));
        assert_eq!((maps(&world), world.stateful_set()), before);
        let expected = [
            &format!("ConfigApplied={reason}"),
            "Stalled=ConfigRejected",
            "Available=Serving",
        ];
        reasons("a directive", &world, &expected);
    }
}

#[test]
fn a_directive_that_only_a_restart_changes_waits_for_new_pods() {
    let mut world = reconfigured("hz", "20");
    world.refused.insert(("hz".into(), "20".into()), Refusal::Immutable);
    world.probe_all(&Default::default());
    settle(&mut world);
    reasons(
        "an immutable directive",
        &world,
        &["ConfigApplied=RestartPending", "UpToDate=Rolling"],
    );
    assert_eq!(
        world.objects.keys().filter(|id| id.kind == "ConfigMap").count(),
        2,
        "the pods still mount the old file"
    );
}

#[test]
fn the_read_service_leads_to_the_master_only_where_that_is_wanted_and_no_replica_is_in_sync() {
    let alone = "set epoch=3 master=0 min=0; 0 armed=0 keys=5; 1 dead; 2 dead";
    let selector = |world: &World| {
        world.live("Service", "s-replicas").unwrap()["spec"]["selector"][names::label::POD_NAME]
            .as_str()
            .map(str::to_owned)
    };
    for (text, when_empty, leads_to) in [
        (alone, crate::api::WhenEmpty::Master, Some("s-0".to_owned())),
        (alone, crate::api::WhenEmpty::Nothing, None),
        (REST, crate::api::WhenEmpty::Master, None),
    ] {
        let mut world = world(text);
        world.cluster.spec.services.replicas.when_empty = when_empty;
        settle(&mut world);
        assert_eq!(selector(&world), leads_to, "{text}");
    }
}

#[test]
fn the_vip_of_a_new_set_leads_to_nobody_before_its_master_takes_writes() {
    let selector = |text| {
        let mut world = world(text);
        settle(&mut world);
        world.live("Service", SET).unwrap()["spec"]["selector"][names::label::POD_NAME]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(selector("set; 0; 1; 2"), names::NOBODY);
    assert_eq!(
        selector("set epoch=1 master=0 op=Bootstrap min=0; 0 bare; 1; 2"),
        names::NOBODY
    );
    assert_eq!(
        selector("set epoch=1 master=0 op=Bootstrap min=1; 0 armed=1; 1 attached; 2 attached"),
        "s-0"
    );
    assert_eq!(selector("set epoch=3 master=0 had=5; 0 silent; 1; 2"), "s-0");
}

#[test]
fn an_operator_that_has_not_looked_at_a_new_sets_master_leaves_the_vip_where_it_is() {
    let mut world = world("set epoch=1 master=0 op=Bootstrap min=1; 0 silent; 1 attached; 2 attached");
    settle(&mut world);
    let vip = world.live("Service", SET).unwrap();
    assert_eq!(vip["spec"]["selector"][names::label::POD_NAME], "s-0");
}

#[test]
fn an_operation_does_not_end_before_the_vip_names_its_master_in_its_epoch() {
    let granted = "set epoch=4 master=0 op=Grant; 0 armed=0 keys=5; 1 attached; 2 attached";
    let ends = |world: &World| steps(world).iter().any(|s| s.starts_with("record s-0 serves"));
    assert!(ends(&world(granted)));
    let mut other_pod = world(granted);
    body(&mut other_pod, "Service", SET)["spec"]["selector"][names::label::POD_NAME] = json!("s-1");
    let mut old_epoch = world(granted);
    body(&mut old_epoch, "Service", SET)["metadata"]["annotations"][names::annotation::EPOCH] = json!("3");
    assert!(!ends(&other_pod) && !ends(&old_epoch));
}

#[test]
fn the_epoch_that_a_volume_carries_is_never_lowered() {
    let mut world = world("set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached mark=4/replica");
    settle(&mut world);
    assert_eq!(world.slots[2].claim.as_ref().unwrap().epoch, Some(4));
}
