//! Recorded answers of Redis 7.0.15, Redis 8.0.2 and Valkey 8.1.1. Those in the middle of a full resync were recorded
//! with an RDB slowed down, and with the RDB on a connection of its own where the server can do that.

use super::*;

const FENCED: &str = include_str!("redis-7.0-fenced.txt");
const SYNCING: &str = include_str!("redis-7.0-syncing.txt");
const LOADING: &str = include_str!("redis-7.0-loading.txt");
const REPLICA: &str = include_str!("redis-7.0-replica.txt");
const MASTER: &str = include_str!("redis-7.0-master.txt");
const MASTER_IN_SYNC: &str = include_str!("redis-7.0-master-sync.txt");
const REDIS_8_REPLICA: &str = include_str!("redis-8.0-replica.txt");
const REDIS_8_IN_SYNC: &str = include_str!("redis-8.0-master-sync.txt");
const VALKEY_MASTER: &str = include_str!("valkey-8.1-master.txt");
const VALKEY_IN_SYNC: &str = include_str!("valkey-8.1-master-sync.txt");
const VALKEY_REPLICA: &str = include_str!("valkey-8.1-replica.txt");
const VALKEY_SYNCING: &str = include_str!("valkey-8.1-syncing.txt");

fn info(text: &str) -> Info {
    parse(text).unwrap()
}

fn replica(text: &str) -> ReplicaLink {
    match info(text).link {
        Link::Replica(link) => link,
        Link::Master => panic!("not a replica"),
    }
}

/// The text with the value of one field replaced.
fn with(text: &str, field: &str, value: &str) -> String {
    let replace = |line: &str| match line.split_once(':') {
        Some((name, _)) if name == field => format!("{field}:{value}"),
        _ => line.to_owned(),
    };
    text.lines().map(replace).collect::<Vec<_>>().join("\r\n")
}

/// The text without one field.
fn without(text: &str, field: &str) -> String {
    let keep = |line: &&str| line.split_once(':').is_none_or(|(name, _)| name != field);
    text.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fenced_redis_follows_nowhere_and_holds_nothing_to_resume_from() {
    let info = info(FENCED);
    assert_eq!(
        (info.engine, info.version.to_string().as_str()),
        (Engine::Redis, "7.0.15")
    );
    assert_eq!(info.run_id.len(), 40);
    assert_eq!((info.offset, info.keys, info.loading), (1, 0, None));
    assert_eq!((info.replid2, info.second_offset), (None, None));
    let link = replica(FENCED);
    assert_eq!(
        (link.host.as_str(), link.port, link.up, link.syncing),
        ("127.0.0.1", 1, false, false)
    );
    assert_eq!(link.last_io_seconds, None);
    assert!(info.aof.enabled && info.aof.write_ok && info.aof.rewrite_ok && !info.aof.rewrite_in_progress);
    assert_eq!(info.aof.delayed_fsync, Some(0));
}

#[test]
fn a_master_counts_the_keys_of_all_databases_and_names_its_replicas() {
    let info = info(MASTER);
    assert_eq!(info.link, Link::Master);
    assert_eq!(
        (info.keys, info.offset, info.sync_full, info.sync_partial_ok),
        (3001, 14, 1, 0)
    );
    let [replica] = info.replicas.as_slice() else {
        panic!("{:?}", info.replicas)
    };
    assert_eq!(
        (replica.ip.as_str(), replica.port),
        ("orders-3.orders-nodes.shop.svc", 6379)
    );
    assert!(replica.online());
}

#[test]
fn a_master_that_gives_a_full_resync_forks_and_its_replica_is_not_online() {
    let info = info(MASTER_IN_SYNC);
    assert!(info.bgsave_in_progress);
    assert_eq!(info.replicas[0].state, "wait_bgsave");
    assert!(!info.replicas[0].online());
}

#[test]
fn a_replica_has_the_offset_it_holds_and_not_the_one_it_could_serve() {
    let text = with(&with(REPLICA, "master_repl_offset", "99"), "slave_repl_offset", "77");
    assert_eq!(info(&text).offset, 77);
    let link = replica(REPLICA);
    assert_eq!(
        (link.host.as_str(), link.up, link.last_io_seconds),
        ("127.0.0.2", true, Some(0))
    );
}

#[test]
fn refused_writes_are_counted_from_none() {
    assert_eq!(info(REPLICA).refused_writes, 0);
    let counted = |count: &str| parse(&format!("{REPLICA}# Errorstats\r\nerrorstat_READONLY:{count}\r\n"));
    assert_eq!(counted("count=12").unwrap().refused_writes, 12);
    assert!(matches!(counted("12"), Err(InfoError::Odd { .. })));
}

#[test]
fn bytes_of_a_full_resync_are_unknown_until_the_parent_says() {
    let link = replica(SYNCING);
    assert!(link.syncing && !link.up);
    assert_eq!((link.sync_total_bytes, link.sync_left_bytes), (None, None));
    let known = with(
        &with(SYNCING, "master_sync_total_bytes", "1000"),
        "master_sync_left_bytes",
        "400",
    );
    let link = replica(&known);
    assert_eq!((link.sync_total_bytes, link.sync_left_bytes), (Some(1000), Some(400)));
    // A diskless parent: total 0, and what is left counts down from there.
    let link = replica(LOADING);
    assert_eq!((link.sync_total_bytes, link.sync_left_bytes), (None, None));
}

#[test]
fn loading_says_how_far_or_that_it_does_not_know() {
    assert_eq!(info(LOADING).loading, Some(Loading { percent: Some(6) }));
    let unknown = with(LOADING, "loading_loaded_perc", "-nan");
    assert_eq!(info(&unknown).loading, Some(Loading { percent: None }));
}

#[test]
fn a_promoted_redis_names_the_history_before() {
    let old = "df1de783697e0a2784d74ef20034f67c46e84f70";
    let text = with(&with(MASTER, "master_replid2", old), "second_repl_offset", "15");
    assert_eq!(
        (info(&text).replid2.as_deref(), info(&text).second_offset),
        (Some(old), Some(15))
    );
}

#[test]
fn the_second_connection_of_a_full_resync_is_not_another_replica() {
    let info = info(VALKEY_IN_SYNC);
    let replicas: Vec<_> = info
        .replicas
        .iter()
        .map(|it| (it.ip.as_str(), it.state.as_str()))
        .collect();
    assert_eq!(replicas, [("orders-3.orders-nodes.shop.svc", "bg_transfer")]);
}

#[test]
fn a_replica_that_gets_its_rdb_and_the_stream_at_once_is_not_online() {
    let info = info(REDIS_8_IN_SYNC);
    assert_eq!(
        (info.engine, info.version.to_string().as_str()),
        (Engine::Redis, "8.0.2")
    );
    assert_eq!(info.replicas[0].state, "send_bulk_and_stream");
    assert!(!info.replicas[0].online());
}

#[test]
fn replicas_and_masters_of_other_servers_read_alike() {
    for text in [REDIS_8_REPLICA, VALKEY_REPLICA] {
        let info = info(text);
        assert_eq!((info.keys, info.loading, info.aof.enabled), (3000, None, true));
        assert!(replica(text).up && !replica(text).syncing);
        assert!(3000 <= info.offset);
    }
    assert!(replica(VALKEY_SYNCING).syncing);
    assert!(info(VALKEY_MASTER).replicas[0].online());
}

#[test]
fn valkey_has_its_own_version_and_not_the_one_it_is_compatible_with() {
    let info = info(VALKEY_MASTER);
    assert_eq!(
        (info.engine, info.version.to_string().as_str()),
        (Engine::Valkey, "8.1.1")
    );
}

#[test]
fn a_redis_with_its_append_only_file_switched_off_has_no_count_of_fsyncs() {
    let text = without(&with(MASTER, "aof_enabled", "0"), "aof_delayed_fsync");
    assert_eq!((info(&text).aof.enabled, info(&text).aof.delayed_fsync), (false, None));
}

#[test]
fn a_missing_field_is_an_error_with_its_name() {
    for field in [
        "run_id",
        "redis_version",
        "role",
        "master_host",
        "master_port",
        "master_link_status",
        "master_sync_in_progress",
        "master_last_io_seconds_ago",
        "slave_repl_offset",
        "master_replid",
        "master_replid2",
        "second_repl_offset",
        "repl_backlog_active",
        "repl_backlog_size",
        "repl_backlog_histlen",
        "repl_backlog_first_byte_offset",
        "connected_slaves",
        "loading",
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
        "aof_last_write_status",
        "aof_last_bgrewrite_status",
        "rdb_bgsave_in_progress",
        "used_memory",
        "maxmemory",
        "sync_full",
        "sync_partial_ok",
        "sync_partial_err",
    ] {
        assert_eq!(
            parse(&without(REPLICA, field)),
            Err(InfoError::Missing(field.to_owned()))
        );
    }
    assert_eq!(
        parse(&without(MASTER, "master_repl_offset")),
        Err(InfoError::Missing("master_repl_offset".into()))
    );
    assert_eq!(
        parse(&without(MASTER, "slave0")),
        Err(InfoError::Missing("slave0".into()))
    );
    assert_eq!(
        parse(&without(VALKEY_MASTER, "valkey_version")),
        Err(InfoError::Missing("valkey_version".into()))
    );
    let no_keyspace = MASTER.replace("# Keyspace", "");
    assert_eq!(parse(&no_keyspace), Err(InfoError::Missing("# Keyspace".into())));
}

#[test]
fn an_odd_value_is_an_error_with_the_field_and_the_value() {
    for (text, field, value) in [
        (REPLICA, "role", "sentinel"),
        (REPLICA, "master_link_status", "sideways"),
        (REPLICA, "slave_repl_offset", "-5"),
        (REPLICA, "master_port", "65536"),
        (REPLICA, "loading", "yes"),
        (MASTER, "aof_last_write_status", ""),
        (MASTER, "slave0", "ip=a,port=1,state=online,lag=0"),
        (MASTER, "db0", "expires=0"),
        (MASTER, "redis_version", "unknown"),
    ] {
        let error = InfoError::Odd {
            field: field.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(parse(&with(text, field, value)), Err(error));
    }
}

#[test]
fn no_cut_of_an_answer_panics() {
    for text in [MASTER, LOADING, VALKEY_IN_SYNC] {
        for end in 0..text.len() {
            let _: Result<Info, InfoError> = parse(&text[..end]);
        }
    }
}
