//! Directives of redis.conf that `spec.config` may not have: those the operator writes, and those that open the server.
//!
//! Both spellings of Redis (`slave`) and Valkey (`primary`) are here. Whether a directive exists at all is not: the
//! server says so.

/// Directives that have a field of their own in spec, and that field.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("appendonly", "persistence (it is always on)"),
    ("appendfsync", "persistence.appendFsync"),
    ("requirepass", "auth.secretRef"),
    ("user", "auth.username"),
];

/// Directives that the operator writes.
pub const MANAGED: &[&str] = &[
    "aclfile",
    "aof-use-rdb-preamble",
    "cluster-enabled",
    "daemonize",
    "dbfilename",
    "dir",
    "logfile",
    "masterauth",
    "masteruser",
    "pidfile",
    "port",
    "primaryauth",
    "primaryuser",
    "protected-mode",
    "repl-diskless-sync-delay",
    "repl-diskless-sync-max-replicas",
    "repl-ping-replica-period",
    "repl-ping-slave-period",
    "repl-timeout",
    "replica-priority",
    "replica-read-only",
    "replica-serve-stale-data",
    "replicaof",
    "shutdown-on-sigterm",
    "shutdown-timeout",
    "slave-priority",
    "slave-read-only",
    "slave-serve-stale-data",
    "slaveof",
    "supervised",
    "unixsocket",
];

/// Beginnings of directives that the operator writes.
pub const MANAGED_PREFIXES: &[&str] = &[
    "append",
    "bind",
    "min-replicas-",
    "min-slaves-",
    "repl-backlog-",
    "replica-announce-",
    "slave-announce-",
    "tls-",
];

/// Directives that read files, load code, open a listener or reach out of the container.
pub const FORBIDDEN: &[&str] = &[
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "include",
    "loadmodule",
    "proc-title-template",
    "rename-command",
    "unixsocketgroup",
    "unixsocketperm",
];

/// Beginnings of such directives.
pub const FORBIDDEN_PREFIXES: &[&str] = &["oom-score-adj", "rdma-", "syslog-"];

/// Whether a person may not give the directive. What the rules below say in CEL, for an object that was stored under
/// older rules.
pub fn is_reserved(directive: &str) -> bool {
    let named = |names: &[&str]| names.contains(&directive);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| directive.starts_with(prefix));
    let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == directive);
    elsewhere || named(MANAGED) || named(FORBIDDEN) || begins(MANAGED_PREFIXES) || begins(FORBIDDEN_PREFIXES)
}

/// CEL: whether the key in this variable has a field of its own.
pub(super) fn elsewhere(key: &str) -> String {
    format!("{key} in {}", list(ELSEWHERE.iter().map(|(directive, _)| *directive)))
}

/// CEL: the field by directive.
pub(super) fn fields() -> String {
    let entries: Vec<_> = ELSEWHERE
        .iter()
        .map(|(directive, field)| format!("'{directive}': '{field}'"))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

/// CEL: whether the key in this variable is written by the operator and has no field.
pub(super) fn managed(key: &str) -> String {
    format!(
        "({}) && !({})",
        matching(key, MANAGED, MANAGED_PREFIXES),
        elsewhere(key)
    )
}

/// CEL: whether the key in this variable opens the server.
pub(super) fn forbidden(key: &str) -> String {
    matching(key, FORBIDDEN, FORBIDDEN_PREFIXES)
}

fn matching(key: &str, names: &[&str], prefixes: &[&str]) -> String {
    let mut parts = vec![format!("{key} in {}", list(names.iter().copied()))];
    parts.extend(prefixes.iter().map(|prefix| format!("{key}.startsWith('{prefix}')")));
    parts.join(" || ")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}
