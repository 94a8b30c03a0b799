//! Directives that a person may not give: the operator's own, and those that open the server.
//!
//! Admission refuses them with a message that names the field to use. The writer refuses them again, for an object
//! that was stored under older rules must not reach a file.

/// Directives that carry a decision of the operator. Old spellings with `slave` are keys too.
const MANAGED: &[&str] = &[
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
    "requirepass",
    "shutdown-on-sigterm",
    "shutdown-timeout",
    "slave-priority",
    "slave-read-only",
    "slave-serve-stale-data",
    "slaveof",
    "supervised",
    "user",
];

/// Families of the same.
const MANAGED_PREFIXES: &[&str] = &[
    "append",
    "bind",
    "min-replicas-",
    "min-slaves-",
    "repl-backlog-",
    "replica-announce-",
    "slave-announce-",
    "tls-",
];

/// Directives that load code or files, rename or open commands, or reach out of the container.
const FORBIDDEN: &[&str] = &["include", "proc-title-template", "rename-command"];

/// Families of the same.
const FORBIDDEN_PREFIXES: &[&str] = &[
    "enable-",
    "loadmodule",
    "oom-score-adj",
    "rdma-",
    "syslog-",
    "unixsocket",
];

/// Whether the writer refuses the directive from a person.
pub fn is_reserved(directive: &str) -> bool {
    [MANAGED, FORBIDDEN].iter().any(|names| names.contains(&directive))
        || [MANAGED_PREFIXES, FORBIDDEN_PREFIXES]
            .iter()
            .any(|list| list.iter().any(|start| directive.starts_with(start)))
}

/// Whether the text is a directive's name: lower-case letters, digits and `-`, at most 64 of them, a letter first.
pub fn is_directive(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(inner)
}
