use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::*;
use crate::api::{AppendFsync, RedisReplicaSetSpec, Resources, TierSpec};

fn cluster(change: impl FnOnce(&mut RedisReplicaSetSpec)) -> Cluster {
    let mut spec = RedisReplicaSetSpec::new("redis:8.2");
    change(&mut spec);
    Cluster {
        name: "cache".into(),
        namespace: "shop".into(),
        uid: "6f0c".into(),
        generation: 1,
        spec,
    }
}

fn build(cluster: &Cluster) -> Result<Conf, BuildError> {
    super::build(cluster, cluster.core())
}

fn live_values(cluster: &Cluster) -> Result<BTreeMap<String, String>, BuildError> {
    super::live_values(cluster, cluster.core())
}

fn with_config(pairs: &[(&str, &str)]) -> Cluster {
    cluster(|spec| spec.config = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

#[test]
fn a_reserved_directive_is_refused_whatever_its_value() {
    for key in [
        "replicaof",
        "slaveof",
        "min-replicas-to-write",
        "min-slaves-max-lag",
        "appendonly",
        "appendfsync",
        "dir",
        "user",
        "aclfile",
        "requirepass",
        "masterauth",
        "replica-announce-ip",
        "tls-port",
        "bind",
        "bind-source-addr",
        "include",
        "loadmodule",
        "rename-command",
        "enable-debug-command",
        "enable-protected-configs",
        "unixsocketperm",
        "repl-diskless-sync-delay",
        "shutdown-timeout",
        "repl-backlog-ttl",
        "slave-serve-stale-data",
    ] {
        assert_eq!(
            build(&with_config(&[(key, "x")])),
            Err(BuildError::ReservedDirective(key.into()))
        );
        assert!(live_values(&with_config(&[(key, "x")])).is_err());
    }
}

#[test]
fn what_is_no_directive_never_reaches_the_file() {
    for key in [
        "",
        "a b",
        "MaxMemory",
        "save\nuser",
        "\"save\"",
        "#",
        "1a",
        "module.key",
        &"a".repeat(65),
    ] {
        assert_eq!(
            build(&with_config(&[(key, "x")])),
            Err(BuildError::NotADirective(key.into())),
            "{key:?}"
        );
    }
}

#[test]
fn directives_of_several_words_are_written_apart_and_all_others_whole() {
    let conf = build(&with_config(&[
        ("client-output-buffer-limit", "normal 256mb  128mb 60"),
        ("save", ""),
        ("notify-keyspace-events", "K E A"),
    ]));
    let text = conf.unwrap().text;
    assert!(text.ends_with(
        "client-output-buffer-limit \"normal\" \"256mb\" \"128mb\" \"60\"\nnotify-keyspace-events \"K E A\"\nsave \"\"\n"
    ));
}

#[test]
fn maxmemory_is_three_quarters_of_the_limit_unless_a_person_names_it() {
    let limited = |memory: &str, config: &[(&str, &str)]| {
        let mut cluster = with_config(config);
        cluster
            .spec
            .resources
            .limits
            .insert("memory".into(), Quantity(memory.into()));
        cluster
    };
    for (limit, value) in [
        ("1Gi", "768mb"),
        ("4Gi", "3072mb"),
        ("64Mi", "48mb"),
        ("100M", "71mb"),
        ("1", "1mb"),
    ] {
        let conf = build(&limited(limit, &[])).unwrap();
        assert!(
            conf.text.contains(&format!("\nmaxmemory \"{value}\"\n")),
            "{limit}: {}",
            conf.text
        );
        assert_eq!(conf.derived[0].value, value);
        assert_eq!(conf.derived[0].reason, format!("75 % of limits.memory {limit}"));
        assert_eq!(live_values(&limited(limit, &[])).unwrap()["maxmemory"], value);
    }
    let named = build(&limited("1Gi", &[("maxmemory", "3gb")])).unwrap();
    assert_eq!(named.text.matches("maxmemory").count(), 1);
    assert_eq!(named.derived, []);
    assert_eq!(
        live_values(&limited("1Gi", &[("maxmemory", "3gb")])).unwrap()["maxmemory"],
        "3gb"
    );
    assert_eq!(build(&cluster(|_| ())).unwrap().derived, []);
    let nonsense = BuildError::Quantity {
        field: "resources.limits.memory",
        value: "much".into(),
    };
    assert_eq!(build(&limited("much", &[])), Err(nonsense));
}

#[test]
fn the_revision_changes_with_the_file_and_with_nothing_else() {
    let plain = build(&cluster(|_| ())).unwrap();
    assert_eq!(plain.revision.len(), 10);
    assert_eq!(build(&cluster(|spec| spec.replicas = 5)).unwrap(), plain);
    let always = build(&cluster(|spec| spec.persistence.append_fsync = AppendFsync::Always)).unwrap();
    assert_ne!(always.revision, plain.revision);
    assert!(always.text.contains("appendfsync \"always\""));
}

#[test]
fn a_short_grace_period_shortens_the_wait_at_shutdown() {
    for (grace, sleep, shutdown) in [
        (None, 10, 10),
        (Some(15), 5, 5),
        (Some(25), 10, 10),
        (Some(3600), 10, 10),
    ] {
        let cluster = cluster(|spec| spec.template.spec.termination_grace_period_seconds = grace);
        let parts = Grace::of(cluster.core());
        assert_eq!((parts.sleep_seconds, parts.shutdown_seconds), (sleep, shutdown));
        assert!(parts.sleep_seconds + parts.shutdown_seconds + 5 <= parts.total_seconds);
        assert!(
            build(&cluster)
                .unwrap()
                .text
                .contains(&format!("shutdown-timeout \"{shutdown}\""))
        );
    }
}

#[test]
fn the_time_after_which_a_master_fences_itself_is_in_the_file_and_settable_live() {
    for (period, seconds) in [("2s", "2"), ("1m", "60"), ("1s500ms", "2"), ("10ms", "1")] {
        let cluster = cluster(|spec| spec.failover.self_fence_after = period.parse().unwrap());
        let text = build(&cluster).unwrap().text;
        assert!(
            text.contains(&format!("min-replicas-max-lag \"{seconds}\"\n")),
            "{period}"
        );
        assert_eq!(live_values(&cluster).unwrap()["min-replicas-max-lag"], seconds);
    }
}

#[test]
fn a_busy_server_says_so_before_it_is_taken_for_dead_unless_a_person_chose() {
    for (period, milliseconds) in [("300ms", "300"), ("1s", "1000"), ("1m", "5000")] {
        let cluster = cluster(|spec| spec.failover.down_after = period.parse().unwrap());
        let text = build(&cluster).unwrap().text;
        assert!(
            text.contains(&format!("busy-reply-threshold \"{milliseconds}\"\n")),
            "{period}"
        );
        assert_eq!(live_values(&cluster).unwrap()["busy-reply-threshold"], milliseconds);
    }
    for key in ["busy-reply-threshold", "lua-time-limit"] {
        let cluster = with_config(&[(key, "60000")]);
        let text = build(&cluster).unwrap().text;
        let lines: Vec<_> = text.lines().filter(|line| line.ends_with("00\"")).collect();
        assert_eq!(lines, [format!("{key} \"60000\"")]);
        assert_eq!(live_values(&cluster).unwrap()[key], "60000");
    }
}

#[test]
fn a_tier_has_its_own_directives_beside_the_sets_and_its_own_limit() {
    let cluster = cluster(|spec| {
        spec.config = [("hz", "10"), ("maxclients", "100")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        spec.resources.limits.insert("memory".into(), Quantity("1Gi".into()));
        let limits = [("memory".to_owned(), Quantity("4Gi".into()))].into();
        spec.tiers = vec![
            TierSpec {
                config: [("hz".to_owned(), "50".to_owned())].into(),
                resources: Some(Resources {
                    limits,
                    ..Resources::default()
                }),
                ..TierSpec::new("large")
            },
            TierSpec::new("same"),
            TierSpec {
                config: [("dir".to_owned(), "/".to_owned())].into(),
                ..TierSpec::new("wrong")
            },
        ];
    });
    let of = |name: &str| cluster.tiers().find(|tier| tier.name == name).unwrap();
    let large = super::build(&cluster, of("large")).unwrap().text;
    for line in ["hz \"50\"", "maxclients \"100\"", "maxmemory \"3072mb\""] {
        assert_eq!(large.matches(&format!("\n{line}\n")).count(), 1, "{line}: {large}");
    }
    let values = super::live_values(&cluster, of("large")).unwrap();
    assert_eq!((values["hz"].as_str(), values["maxmemory"].as_str()), ("50", "3072mb"));
    assert_eq!(super::build(&cluster, of("same")), build(&cluster));
    let refused = Err(BuildError::ReservedDirective("dir".into()));
    assert_eq!(super::build(&cluster, of("wrong")), refused);
    assert!(build(&cluster).is_ok());
}
