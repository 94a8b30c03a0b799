//! What counts as news, and what is newer than what.

use super::*;
use crate::model::redis::{Aof, ConnectedReplica, Engine, Link, Version};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn facts(second: i64) -> Facts {
    Facts {
        asked_at: at(second),
        answered_at: at(second),
        run_id: "run".into(),
        engine: Engine::Redis,
        version: Version {
            major: 7,
            minor: 0,
            patch: 15,
        },
        announced: "orders-0.orders-nodes.shop.svc".into(),
        min_replicas_to_write: 1,
        serve_stale: false,
        loading: None,
        link: Link::Master,
        replid: "replid".into(),
        replid2: None,
        offset: 100,
        second_offset: None,
        backlog: None,
        replicas: vec![ConnectedReplica {
            ip: "a".into(),
            port: 6379,
            state: "online".into(),
            offset: 90,
            lag: 0,
        }],
        aof: Aof {
            enabled: true,
            rewrite_in_progress: false,
            rewrite_scheduled: false,
            write_ok: true,
            rewrite_ok: true,
            delayed_fsync: Some(0),
        },
        bgsave_in_progress: false,
        keys: 1,
        used_memory: 1,
        maxmemory: 0,
        sync_full: 0,
        sync_partial_ok: 0,
        sync_partial_err: 0,
        refused_writes: 0,
        link_users: BTreeSet::new(),
        app: None,
        managed: std::collections::BTreeMap::new(),
    }
}

fn answers(facts: Facts) -> Seen {
    Seen::Answers {
        facts: Arc::new(facts),
        offsets: Arc::default(),
    }
}

#[test]
fn how_far_the_stream_is_and_how_full_the_memory_is_no_news() {
    let mut later = facts(1);
    later.offset = 200;
    later.used_memory = 2;
    later.keys = 2;
    later.replicas[0].offset = 190;
    later.replicas[0].lag = 1;
    later.aof.delayed_fsync = Some(3);
    later.sync_full = 1;
    assert!(!is_news(&facts(0), &later));
}

#[test]
fn what_a_decision_hangs_on_is_news() {
    let changes: [fn(&mut Facts); 9] = [
        |facts| facts.run_id = "another".into(),
        |facts| facts.min_replicas_to_write = 2,
        |facts| facts.replicas[0].state = "wait_bgsave".into(),
        |facts| facts.replicas.clear(),
        |facts| facts.aof.write_ok = false,
        |facts| facts.loading = Some(crate::model::redis::Loading { percent: None }),
        |facts| facts.link_users = BTreeSet::from(["rrs-link-a".into()]),
        |facts| facts.announced = String::new(),
        |facts| facts.replid = "another".into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut later = facts(1);
        change(&mut later);
        assert!(is_news(&facts(0), &later), "change {index}");
    }
}

#[test]
fn an_older_look_never_replaces_a_newer_one() {
    let mut seen = answers(facts(5));
    let mut older = facts(4);
    older.run_id = "another".into();
    assert!(!accept(&mut seen, older));
    assert_eq!(seen.facts().unwrap().run_id, "run");
}

#[test]
fn facts_from_before_the_end_of_a_connection_do_not_undo_it() {
    let mut seen = answers(facts(1));
    assert!(miss(&mut seen, at(3), ProbeError::Eof, true));
    assert!(!accept(&mut seen, facts(2)));
    assert!(seen.facts().is_none());
    assert!(accept(&mut seen, facts(4)));
}

#[test]
fn an_outage_keeps_its_beginning_its_eof_and_the_last_facts() {
    let mut seen = answers(facts(1));
    assert!(miss(&mut seen, at(3), ProbeError::Eof, true));
    assert!(miss(&mut seen, at(4), ProbeError::Refused, false));
    assert!(
        !miss(&mut seen, at(5), ProbeError::Refused, false),
        "the same again is no news"
    );
    let Seen::Unknown {
        since,
        error,
        eof,
        last,
        ..
    } = seen
    else {
        panic!("{seen:?}")
    };
    assert_eq!((since, error, eof), (at(3), ProbeError::Refused, true));
    assert_eq!(last.unwrap().asked_at, at(1));
}

#[test]
fn offsets_of_another_process_are_not_compared_with_those_before() {
    let mut seen = answers(facts(1));
    assert!(!accept(&mut seen, facts(2)));
    assert_eq!(seen.offsets().newest(), Some((at(2), 100)));
    let mut restarted = facts(3);
    restarted.run_id = "another".into();
    restarted.offset = 500;
    assert!(accept(&mut seen, restarted));
    assert_eq!(seen.offsets().age(100, at(4)), None);
}
