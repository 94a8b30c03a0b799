//! Every rule of the API at its limits: what just passes, and the sentence for what just does not.

use serde_json::{Value, json};

use crate::bad_input::refusals;

fn set(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "redisreplicaset.dev/v1alpha1", "kind": "RedisReplicaSet",
        "metadata": {"name": "cache"}, "spec": {"image": "redis:8.2"},
    });
    object["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    object
}

pub fn messages(spec: Value) -> Vec<String> {
    refusals(&set(spec), None)
        .into_iter()
        .map(|error| error.message)
        .collect()
}

fn assert_said(spec: Value, expected: &[&str]) {
    assert_eq!(messages(spec.clone()), expected, "{spec}");
}

fn memory(limit: &str, config: Value) -> Value {
    json!({"resources": {"limits": {"memory": limit}}, "config": config})
}

#[test]
fn a_name_has_at_most_40_characters_and_the_form_of_a_label() {
    let said = |name: &str| {
        let mut object = set(json!({}));
        object["metadata"]["name"] = name.into();
        refusals(&object, None)
            .into_iter()
            .map(|error| error.message)
            .collect::<Vec<_>>()
    };
    for name in ["a", "a1", "a-b", &"a".repeat(40)] {
        assert!(said(name).is_empty(), "{name}");
    }
    for name in ["1a", "a-", "-a", "a.b", "A", "a_b"] {
        assert_eq!(
            said(name),
            ["metadata.name must be a DNS-1035 label: it becomes a Service name"],
            "{name}"
        );
    }
    assert_eq!(said(&"a".repeat(41)), ["metadata.name must be at most 40 characters"]);
}

#[test]
fn a_limit_of_memory_is_at_least_64_mi() {
    for limit in ["64Mi", "67108864", "1Gi", "0.1Gi"] {
        assert_said(memory(limit, json!({})), &[]);
    }
    for limit in ["63Mi", "64M", "67108863", "100m"] {
        assert_said(memory(limit, json!({})), &["limits.memory must be at least 64Mi"]);
    }
    assert_said(json!({"resources": {"limits": {"memory": 67_108_864}}}), &[]);
    assert_said(
        json!({"resources": {"limits": {"memory": 67_108_863}}}),
        &["limits.memory must be at least 64Mi"],
    );
}

#[test]
fn a_request_is_at_most_its_limit() {
    let resources = |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
    assert_said(resources(json!({"cpu": "1"}), json!({"cpu": "1000m"})), &[]);
    assert_said(resources(json!({"cpu": 2}), json!({"memory": "1Gi"})), &[]);
    assert_said(
        resources(json!({"cpu": "1001m"}), json!({"cpu": 1})),
        &["requests.cpu is above its limit"],
    );
    assert_said(
        resources(
            json!({"memory": "2Gi", "cpu": "1"}),
            json!({"memory": "2000M", "cpu": "1"}),
        ),
        &["requests.memory is above its limit"],
    );
}

#[test]
fn maxmemory_is_below_the_limit_of_memory_in_every_unit_of_redis() {
    let above = &["config.maxmemory must be below resources.limits.memory"];
    for fits in [
        "0",
        "1073741823",
        "1073741823b",
        "1048575kb",
        "1023mb",
        "1g",
        "1G",
        "1000m",
        "1000000K",
        "75%",
        "",
    ] {
        assert_said(memory("1Gi", json!({"maxmemory": fits})), &[]);
    }
    for exceeds in [
        "1073741824",
        "1073741824B",
        "1048576kb",
        "1024mb",
        "1024MB",
        "1gb",
        "1Gb",
        "2g",
        "1074m",
    ] {
        assert_said(memory("1Gi", json!({"maxmemory": exceeds})), above);
    }
    assert_said(json!({"config": {"maxmemory": "9gb"}}), &[]);
    assert_said(
        json!({"config": {"maxmemory": "9gb"}, "resources": {"limits": {"cpu": "1"}}}),
        &[],
    );
}

#[test]
fn a_volume_has_128_mi_to_64_ti_and_only_grows() {
    let range = "storage.size must be between 128Mi and 64Ti";
    for size in [json!("128Mi"), json!("64Ti"), json!(134_217_728), json!("0.5Gi")] {
        assert_said(json!({"storage": {"size": size}}), &[]);
    }
    for size in [
        json!("127Mi"),
        json!("65Ti"),
        json!(134_217_727),
        json!("-1Gi"),
        json!("0"),
    ] {
        assert_said(json!({"storage": {"size": size}}), &[range]);
    }
    let change = |old: &str, new: &str| {
        let sized = |size: &str| set(json!({"storage": {"size": size}}));
        let found = refusals(&sized(new), Some(&sized(old)));
        found.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    assert!(change("1Gi", "1Gi").is_empty());
    assert!(change("1Gi", "1024Mi").is_empty());
    assert!(change("1Gi", "2Gi").is_empty());
    assert_eq!(change("1Gi", "1023Mi"), ["storage.size cannot be reduced (was 1Gi)"]);
}

#[test]
fn class_and_access_mode_of_volumes_stay() {
    let change = |old: Value, new: Value| {
        let found = refusals(&set(json!({"storage": new})), Some(&set(json!({"storage": old}))));
        found.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    let immutable = ["storageClassName and accessMode are immutable; make a new set and move the data"];
    assert!(change(json!({}), json!({"size": "2Gi"})).is_empty());
    assert!(change(json!({"storageClassName": "a"}), json!({"storageClassName": "a"})).is_empty());
    assert!(change(json!({}), json!({"accessMode": "ReadWriteOnce"})).is_empty());
    assert_eq!(
        change(json!({"storageClassName": "a"}), json!({"storageClassName": "b"})),
        immutable
    );
    assert_eq!(change(json!({"storageClassName": "a"}), json!({})), immutable);
    assert_eq!(change(json!({}), json!({"storageClassName": "a"})), immutable);
    assert_eq!(change(json!({}), json!({"accessMode": "ReadWriteOncePod"})), immutable);
}

/// As the design has them; the code keeps its own list.
const MANAGED: &str = "
    dir dbfilename appendfilename appenddirname aof-use-rdb-preamble aclfile masterauth masteruser primaryauth
    primaryuser replicaof slaveof port tls-port tls-cert-file tls-replication bind bind-source-addr unixsocket
    protected-mode daemonize supervised pidfile logfile cluster-enabled replica-announce-ip
    replica-announce-port slave-announce-ip slave-announce-port replica-read-only slave-read-only
    replica-serve-stale-data slave-serve-stale-data replica-priority slave-priority min-replicas-to-write
    min-replicas-max-lag min-slaves-to-write min-slaves-max-lag repl-timeout repl-ping-replica-period
    repl-ping-slave-period repl-backlog-size repl-backlog-ttl repl-diskless-sync-max-replicas shutdown-timeout
    shutdown-on-sigterm
";
const FORBIDDEN: &str = "
    include loadmodule rename-command enable-debug-command enable-module-command enable-protected-configs
    proc-title-template syslog-enabled syslog-ident syslog-facility oom-score-adj oom-score-adj-values
    unixsocketperm unixsocketgroup rdma-bind rdma-port
";
const FREE: &str = "
    maxmemory maxmemory-policy save timeout tcp-keepalive databases maxclients loglevel
    client-output-buffer-limit auto-aof-rewrite-percentage no-appendfsync-on-rewrite aof-load-truncated
    repl-diskless-sync repl-diskless-load lua-time-limit notify-keyspace-events lazyfree-lazy-eviction
    hash-max-listpack-entries io-threads active-defrag-ignore-bytes slowlog-log-slower-than
";

#[test]
fn every_directive_of_the_operator_is_refused_by_name_and_the_rest_is_free() {
    let said = |key: &str| messages(json!({"config": {key: "1"}}));
    for key in MANAGED.split_whitespace() {
        assert_eq!(said(key), [format!("config key \"{key}\" is managed by the operator")]);
    }
    for key in FORBIDDEN.split_whitespace() {
        assert_eq!(said(key), [format!("config key \"{key}\" is not allowed")]);
    }
    for key in FREE.split_whitespace() {
        assert!(said(key).is_empty(), "{key}");
    }
    for (key, field) in [
        ("appendonly", "persistence (it is always on)"),
        ("appendfsync", "persistence.appendFsync"),
        ("requirepass", "auth.secretRef"),
        ("user", "auth.username"),
    ] {
        assert_eq!(
            said(key),
            [format!(
                "config key \"{key}\" is managed by the operator; use spec.{field}"
            )]
        );
    }
}

#[test]
fn a_key_of_config_has_the_form_of_a_directive() {
    let form = "config keys are redis.conf directives: lower-case letters, digits and '-', at most 64 characters";
    for key in ["a", "a1", "a-b-", &"a".repeat(64)] {
        assert_said(json!({"config": {key: "1"}}), &[]);
    }
    for key in ["", "A", "1a", "-a", "a b", "a\nb", "a_b", "#a", "ä", &"a".repeat(65)] {
        assert_said(json!({"config": {key: "1"}}), &[form]);
    }
}

#[test]
fn the_names_of_our_own_users_are_reserved_and_default_is_not() {
    for name in ["app", "default", "rrs", "rr-s", "a.b_c-D9"] {
        assert_said(json!({"auth": {"username": name}}), &[]);
    }
    for name in ["rrs-operator", "rrs-probe", "rrs-link-cache-0", "rrs-"] {
        assert_said(
            json!({"auth": {"username": name}}),
            &[&format!("user name \"{name}\" is reserved")],
        );
    }
}

#[test]
fn fields_of_a_service_fit_its_type() {
    let both = ["master", "replicas"];
    let said = |spec: Value, expected: &[&str]| {
        for service in both {
            assert_said(json!({"services": {service: {"spec": spec}}}), expected);
        }
    };
    let balancer = "loadBalancerClass and loadBalancerSourceRanges need type LoadBalancer";
    let outside = "nodePort and externalTrafficPolicy need type NodePort or LoadBalancer";
    let cidr = "loadBalancerSourceRanges must be CIDRs such as 10.0.0.0/8";
    said(json!({}), &[]);
    said(
        json!({"type": "NodePort", "nodePort": 30000, "externalTrafficPolicy": "Local"}),
        &[],
    );
    said(
        json!({"type": "LoadBalancer", "loadBalancerClass": "a", "nodePort": 30000}),
        &[],
    );
    said(
        json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "fd00::/8"]}),
        &[],
    );
    said(json!({"loadBalancerClass": "a"}), &[balancer]);
    said(
        json!({"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}),
        &[balancer],
    );
    said(json!({"nodePort": 30000}), &[outside]);
    said(json!({"externalTrafficPolicy": "Cluster"}), &[outside]);
    for wrong in ["10.0.0.1", "10.0.0.0/33", "example.com", ""] {
        said(
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [wrong]}),
            &[cidr],
        );
    }
    let families = "two ipFamilies need ipFamilyPolicy PreferDualStack or RequireDualStack";
    said(json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}), &[]);
    said(json!({"ipFamilies": ["IPv6", "IPv4"]}), &[]);
    said(
        json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6", "IPv4"]}),
        &[families],
    );
}

#[test]
fn the_lag_of_a_replica_is_a_second_to_an_hour() {
    for lag in ["1s", "1000ms", "59m60s", "1h"] {
        assert_said(json!({"services": {"replicas": {"maxLag": lag}}}), &[]);
    }
    for lag in ["0s", "999ms", "1h1ms", "99999h"] {
        assert_said(
            json!({"services": {"replicas": {"maxLag": lag}}}),
            &["services.replicas.maxLag must be between 1s and 1h"],
        );
    }
}

#[test]
fn times_of_a_failover_are_within_their_bounds() {
    let failover = |field: &str, value: &str| json!({"failover": {field: value}});
    let table = [
        (
            "downAfter",
            ["300ms", "60s", "1m"],
            "failover.downAfter must be between 300ms and 60s",
            ["0s", "299ms", "60001ms", "9999h"],
        ),
        (
            "selfFenceAfter",
            ["1s", "60s", "2000ms"],
            "failover.selfFenceAfter must be between 1s and 60s",
            ["0s", "61s", "1h", "0h"],
        ),
        (
            "cooldown",
            ["0s", "1h", "60m"],
            "failover.cooldown must be at most 1h",
            ["61m", "1h1ms", "2h", "3601s"],
        ),
    ];
    for (field, good, sentence, bad) in table {
        good.iter().for_each(|value| assert_said(failover(field, value), &[]));
        bad.iter()
            .for_each(|value| assert_said(failover(field, value), &[sentence]));
    }
    assert_said(
        failover("selfFenceAfter", "1500ms"),
        &["failover.selfFenceAfter must be whole seconds; it becomes min-replicas-max-lag"],
    );
}

#[test]
fn a_return_is_awaited_for_ten_minutes_at_most_and_only_with_a_file_that_has_everything() {
    let awaited =
        |wait: &str, fsync: &str| json!({"failover": {"awaitReturn": wait}, "persistence": {"appendFsync": fsync}});
    for wait in ["0s", "1ms", "30s", "10m", "600s"] {
        assert_said(awaited(wait, "always"), &[]);
    }
    for none in ["0s", "0h0m"] {
        assert_said(awaited(none, "everysec"), &[]);
    }
    let needs = "failover.awaitReturn needs persistence.appendFsync: always";
    assert_said(awaited("1ms", "everysec"), &[needs]);
    assert_said(json!({"failover": {"awaitReturn": "30s"}}), &[needs]);
    for long in ["10m1ms", "601s", "1h"] {
        assert_said(awaited(long, "always"), &["failover.awaitReturn must be at most 10m"]);
    }
}

#[test]
fn a_priority_is_of_a_zone_or_of_a_node() {
    let priorities = |rule: Value| json!({"failover": {"priorities": [rule]}});
    assert_said(priorities(json!({"zone": "a", "priority": 0})), &[]);
    assert_said(priorities(json!({"node": "n1", "priority": 1000})), &[]);
    let sentence = &["give exactly one of zone and node"];
    assert_said(priorities(json!({"priority": 1})), sentence);
    assert_said(priorities(json!({"zone": "a", "node": "n1", "priority": 1})), sentence);
}

fn tiers(tiers: Value) -> Value {
    json!({"tiers": tiers})
}

#[test]
fn a_set_has_200_pods_at_most() {
    let pods = |replicas: u32, tiers: &[u32]| {
        let tier =
            |(at, replicas): (usize, &u32)| json!({"name": format!("t{at}"), "replicas": replicas, "from": "core"});
        json!({"replicas": replicas, "tiers": tiers.iter().enumerate().map(tier).collect::<Vec<_>>()})
    };
    let sentence = &["a set has at most 200 pods: 1 + replicas + the replicas of all tiers"];
    assert_said(pods(99, &[100]), &[]);
    assert_said(pods(0, &[100, 99]), &[]);
    assert_said(pods(100, &[100]), sentence);
    assert_said(pods(0, &[25; 8]), sentence);
}

#[test]
fn every_tier_leads_to_core_in_four_steps() {
    let from = |pairs: &[(&str, &str)]| {
        let tier = |(name, from): &(&str, &str)| json!({"name": name, "from": from, "replicas": 1});
        tiers(pairs.iter().map(tier).collect())
    };
    let sentence = &["tiers[].from must lead to core in at most 4 steps: unknown name, loop, or too deep"];
    assert_said(tiers(json!([])), &[]);
    assert_said(from(&[("a", "core"), ("b", "core")]), &[]);
    assert_said(from(&[("d", "c"), ("c", "b"), ("b", "a"), ("a", "core")]), &[]);
    let deep = [("e", "d"), ("d", "c"), ("c", "b"), ("b", "a"), ("a", "core")];
    for wrong in [
        &[("a", "b")][..],
        &[("a", "a")],
        &[("a", "b"), ("b", "a")],
        &[("x", "core"), ("a", "b"), ("b", "c"), ("c", "a")],
        &[("a", "")],
        &deep,
    ] {
        assert_said(from(wrong), sentence);
    }
}

#[test]
fn a_tier_has_a_name_that_is_free_and_fits_beside_the_sets() {
    let named = |name: &str| tiers(json!([{"name": name, "from": "core", "replicas": 1}]));
    for name in ["edge", "a", "core2", "replica"] {
        assert_said(named(name), &[]);
    }
    for name in ["core", "replicas", "nodes", "master", "app", "internal", "config"] {
        let sentences = messages(named(name));
        let reserved = format!("tier name \"{name}\" is reserved");
        assert!(sentences.contains(&reserved), "{sentences:?}");
    }
    let said = |set_name: usize, tier_name: usize| {
        let mut object = set(named(&"t".repeat(tier_name)));
        object["metadata"]["name"] = "s".repeat(set_name).into();
        let found = refusals(&object, None);
        found.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    assert!(said(40, 11).is_empty());
    assert!(said(35, 16).is_empty());
    let sentence = ["metadata.name and a tier's name together must be at most 51 characters"];
    assert_eq!(said(40, 12), sentence);
    assert_eq!(said(36, 16), sentence);
    assert_eq!(said(41, 16), ["metadata.name must be at most 40 characters"]);
}

#[test]
fn maxmemory_is_below_the_limit_of_a_tier_whichever_block_gives_it() {
    let sentence = "config.maxmemory of a tier must be below its resources.limits.memory";
    let with = |set_config: Value, set_limit: Value, config: Value, resources: Value| {
        let mut tier = json!({"name": "a", "from": "core", "replicas": 1, "config": config});
        if !resources.is_null() {
            tier["resources"] = resources;
        }
        json!({"config": set_config, "resources": {"limits": set_limit}, "tiers": [tier]})
    };
    let (two, one) = (json!({"maxmemory": "2gb"}), json!({"maxmemory": "1gb"}));
    let limit = |memory: &str| json!({"memory": memory});
    let own = |memory: &str| json!({"limits": {"memory": memory}});
    let none = || json!({});
    for (spec, fits) in [
        (with(none(), none(), two.clone(), own("3Gi")), true),
        (with(none(), none(), two.clone(), own("2Gi")), false),
        (with(none(), limit("3Gi"), two.clone(), Value::Null), true),
        (with(none(), limit("2Gi"), two.clone(), Value::Null), false),
        (with(one.clone(), limit("4Gi"), none(), own("2Gi")), true),
        (with(two.clone(), limit("4Gi"), none(), own("1Gi")), false),
        // What the tier gives counts, and a block that gives no limit has none.
        (with(two.clone(), limit("4Gi"), one.clone(), own("1500Mi")), true),
        (
            with(two.clone(), limit("4Gi"), none(), json!({"limits": {"cpu": "1"}})),
            true,
        ),
        (with(one.clone(), limit("1500Mi"), two.clone(), json!({})), true),
    ] {
        let expected: &[&str] = if fits { &[] } else { &[sentence] };
        assert_said(spec, expected);
    }
}

#[test]
fn the_volumes_of_a_tier_stay_where_they_are() {
    let tier = |storage: Value| {
        let mut tier = json!({"name": "a", "from": "core", "replicas": 1});
        if !storage.is_null() {
            tier["storage"] = storage;
        }
        let set_storage = json!({"storageClassName": "fast", "accessMode": "ReadWriteOnce", "size": "1Gi"});
        set(json!({"storage": set_storage, "tiers": [tier]}))
    };
    let storage = |class: &str, mode: &str| json!({"storageClassName": class, "accessMode": mode, "size": "1Gi"});
    let change = |old: Value, new: Value| {
        let found = refusals(&tier(new), Some(&tier(old)));
        found.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    let immutable = ["storageClassName and accessMode of a tier are immutable; make a tier of another name"];
    let same = storage("fast", "ReadWriteOnce");
    assert!(change(Value::Null, same.clone()).is_empty());
    assert!(change(same.clone(), Value::Null).is_empty());
    assert_eq!(change(same.clone(), storage("slow", "ReadWriteOnce")), immutable);
    assert_eq!(change(same.clone(), storage("fast", "ReadWriteOncePod")), immutable);
    assert_eq!(change(Value::Null, storage("slow", "ReadWriteOnce")), immutable);
    assert_eq!(change(storage("slow", "ReadWriteOnce"), Value::Null), immutable);
    // Another tier of this name may have any.
    let storage_of_set = storage("fast", "ReadWriteOnce");
    let without = set(json!({"storage": storage_of_set, "tiers": []}));
    assert!(refusals(&tier(storage("slow", "ReadWriteOnce")), Some(&without)).is_empty());
}

#[test]
fn the_blocks_of_a_tier_have_the_rules_of_the_sets() {
    let tier = |block: Value| {
        let mut tier = json!({"name": "a", "from": "core", "replicas": 1});
        tier.as_object_mut().unwrap().extend(block.as_object().unwrap().clone());
        tiers(json!([tier]))
    };
    for (block, sentence) in [
        (
            json!({"resources": {"limits": {"memory": "1Mi"}}}),
            "limits.memory must be at least 64Mi",
        ),
        (
            json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}),
            "requests.cpu is above its limit",
        ),
        (
            json!({"storage": {"size": "1Mi"}}),
            "storage.size must be between 128Mi and 64Ti",
        ),
        (
            json!({"config": {"dir": "/"}}),
            "config key \"dir\" is managed by the operator",
        ),
        (
            json!({"service": {"maxLag": "2h"}}),
            "service.maxLag must be between 1s and 1h",
        ),
        (
            json!({"service": {"spec": {"nodePort": 30000}}}),
            "nodePort and externalTrafficPolicy need type NodePort or LoadBalancer",
        ),
        (
            json!({"template": {"metadata": {"labels": {"redisreplicaset.dev/set": "a"}}}}),
            "keys under redisreplicaset.dev/, app.kubernetes.io/ and argocd.argoproj.io/ are reserved",
        ),
    ] {
        assert_said(tier(block), &[sentence]);
    }
}

#[test]
fn keys_of_metadata_are_names_that_are_not_ours() {
    let ours = "keys under redisreplicaset.dev/, app.kubernetes.io/ and argocd.argoproj.io/ are reserved";
    let places: [fn(Value) -> Value; 4] = [
        |metadata| json!({"commonMetadata": metadata}),
        |metadata| json!({"services": {"master": {"metadata": metadata}}}),
        |metadata| json!({"services": {"replicas": {"metadata": metadata}}}),
        |metadata| json!({"template": {"metadata": metadata}}),
    ];
    for place in places {
        for (map, form) in [
            ("labels", "label keys must be names such as team or example.com/team"),
            (
                "annotations",
                "annotation keys must be names such as team or example.com/team",
            ),
        ] {
            for key in ["team", "example.com/team", "kubernetes.io/x", "redisreplicaset.dev"] {
                assert_said(place(json!({map: {key: "a"}})), &[]);
            }
            for key in [
                "redisreplicaset.dev/set",
                "app.kubernetes.io/name",
                "argocd.argoproj.io/instance",
            ] {
                assert_said(place(json!({map: {key: "a"}})), &[ours]);
            }
            for key in ["", "a b", "a/b/c", "-a", "/a", &"a".repeat(64)] {
                assert_said(place(json!({map: {key: "a"}})), &[form]);
            }
        }
    }
    assert_said(
        json!({"template": {"spec": {"nodeSelector": {"app.kubernetes.io/name": "a"}}}}),
        &[],
    );
}
