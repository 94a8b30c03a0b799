//! redis.conf: what every pod of a tier boots with.
//!
//! A pod boots fenced: a replica of nobody, that takes no writes and serves no stale reads. Which pod is master, its
//! `min-replicas-to-write` and its credentials never stand in this file; the operator gives them to a running server.
//! What a person wrote comes last, and can never name a directive of ours.

mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::writer::Writer;
use super::grace::Grace;
use super::{BuildError, meta, quantity};
use crate::api::reserved;
use crate::api::status::Derived;
use crate::model::cluster::{Cluster, Tier};
use crate::model::redis::{NOWHERE, UNARMED};
use crate::names;

/// The directive of `failover.selfFenceAfter`.
pub const MAX_LAG: &str = "min-replicas-max-lag";

/// The directive that `failover.downAfter` decides, and its old name.
const BUSY_REPLY: [&str; 2] = ["busy-reply-threshold", "lua-time-limit"];

/// Share of the memory limit that becomes `maxmemory`. The rest is for output buffers, the backlog, fragmentation and
/// the pages that a fork copies.
const MAXMEMORY_PERCENT: u128 = 75;

/// A redis.conf, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// The file.
    pub text: String,
    /// Short hash of the file; names its ConfigMap.
    pub revision: String,
    /// Values that were derived from something else, for status.
    pub derived: Vec<Derived>,
}

/// Writes a tier's redis.conf; the same spec makes the same bytes.
///
/// # Errors
/// [`BuildError::ReservedDirective`] and [`BuildError::NotADirective`] for a key of `config` that admission would refuse today, [`BuildError::Quantity`] for a memory limit that is no quantity.
pub fn build(cluster: &Cluster, tier: Tier<'_>) -> Result<Conf, BuildError> {
    check(tier)?;
    let derived: Vec<_> = maxmemory(tier)?.into_iter().collect();
    let mut writer = Writer::default();
    server(&mut writer, cluster, tier);
    replication(&mut writer, cluster);
    persistence(&mut writer, cluster);
    for Derived { key, value, .. } in &derived {
        writer.line(key, [value.as_str()]);
    }
    for (key, value) in tier.config() {
        writer.line(key, arguments(key, value));
    }
    let text = writer.finish();
    Ok(Conf {
        revision: revision(&text),
        text,
        derived,
    })
}

/// The directives that a redis.conf of ours names.
pub fn directives(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// Short hash of a redis.conf.
pub fn revision(text: &str) -> String {
    meta::short_hash(text.as_bytes())
}

/// The directives a person decides, and `maxmemory` where it is derived, with the value that should be in force on
/// every server of a tier: what a running server may be asked for with `CONFIG GET` and given with `CONFIG SET`. Values are as
/// written, `1gb` and not its bytes. Keys Redis cannot set live are here too: only the server knows which these are.
///
/// # Errors
/// As [`build`].
pub fn live_values(cluster: &Cluster, tier: Tier<'_>) -> Result<BTreeMap<String, String>, BuildError> {
    check(tier)?;
    let mut values = BTreeMap::from([
        ("appendfsync".to_owned(), appendfsync(cluster).to_owned()),
        ("appendonly".to_owned(), "yes".to_owned()),
        (MAX_LAG.to_owned(), max_lag(cluster)),
    ]);
    values.extend(busy_reply(cluster, tier).map(|value| (BUSY_REPLY[0].to_owned(), value)));
    values.extend(maxmemory(tier)?.map(|Derived { key, value, .. }| (key, value)));
    let own = tier.config().into_iter();
    values.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(values)
}

/// Silence of a replica after which it no longer counts for `min-replicas-to-write`, whole seconds.
fn max_lag(cluster: &Cluster) -> String {
    let after: Duration = cluster.spec.failover.self_fence_after.into();
    after.as_millis().div_ceil(1000).max(1).to_string()
}

/// Milliseconds of a script after which a server says that it is busy, unless a person chose. At most Redis's own 5 s,
/// and no more than the silence that makes a master unreachable: else a script of 4 s looks like a hang.
fn busy_reply(cluster: &Cluster, tier: Tier<'_>) -> Option<String> {
    let config = tier.config();
    let chosen = BUSY_REPLY.iter().any(|key| config.contains_key(key));
    let after: Duration = cluster.spec.failover.down_after.into();
    (!chosen).then(|| after.as_millis().min(5000).to_string())
}

fn check(tier: Tier<'_>) -> Result<(), BuildError> {
    for key in tier.config().into_keys() {
        if !is_directive(key) {
            return Err(BuildError::NotADirective(key.to_owned()));
        }
        if reserved::is_reserved(key) {
            return Err(BuildError::ReservedDirective(key.to_owned()));
        }
    }
    Ok(())
}

/// Whether the text is a directive's name: lower-case letters, digits and `-`, at most 64 of them, a letter first.
fn is_directive(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(inner)
}

fn server(writer: &mut Writer, cluster: &Cluster, tier: Tier<'_>) {
    writer.line("bind", ["*", "-::*"]);
    writer.line("port", [names::REDIS_PORT.to_string().as_str()]);
    // Every user has a password and `default` is off, so the mode would only refuse the pod's own address.
    writer.line("protected-mode", ["no"]);
    writer.line("dir", [names::DATA_DIR]);
    writer.line(
        "aclfile",
        [format!("{}/{}", names::CONF_DIR, names::internal_key::ACL).as_str()],
    );
    writer.line(
        "shutdown-timeout",
        [Grace::of(tier).shutdown_seconds.to_string().as_str()],
    );
    if let Some(after) = busy_reply(cluster, tier) {
        writer.line(BUSY_REPLY[0], [after.as_str()]);
    }
}

fn replication(writer: &mut Writer, cluster: &Cluster) {
    let (host, port) = NOWHERE;
    writer.line("replicaof", [host, port.to_string().as_str()]);
    writer.line("min-replicas-to-write", [UNARMED.to_string().as_str()]);
    writer.line(MAX_LAG, [max_lag(cluster).as_str()]);
    writer.line("replica-serve-stale-data", ["no"]);
    writer.line("repl-ping-replica-period", ["1"]);
    writer.line("repl-timeout", ["15"]);
    writer.line("repl-backlog-size", ["64mb"]);
    // A fenced pod keeps its backlog for as long as it takes: it is what makes the next resync a partial one.
    writer.line("repl-backlog-ttl", ["0"]);
    writer.line("repl-diskless-sync-delay", ["0"]);
    writer.line("repl-diskless-load", ["on-empty-db"]);
    writer.line("client-output-buffer-limit", ["replica", "1gb", "512mb", "120"]);
}

fn persistence(writer: &mut Writer, cluster: &Cluster) {
    writer.line("appendonly", ["yes"]);
    writer.line("appendfsync", [appendfsync(cluster)]);
    writer.line("aof-use-rdb-preamble", ["yes"]);
    writer.line("save", [""]);
}

fn appendfsync(cluster: &Cluster) -> &'static str {
    cluster.spec.persistence.append_fsync.as_str()
}

/// `maxmemory` in whole mebibytes, rounded down, if there is a limit and the person named none.
fn maxmemory(tier: Tier<'_>) -> Result<Option<Derived>, BuildError> {
    if tier.config().contains_key("maxmemory") {
        return Ok(None);
    }
    let Some(limit) = tier.resources.limits.get("memory") else {
        return Ok(None);
    };
    let refused = || BuildError::Quantity {
        field: "resources.limits.memory",
        value: limit.0.clone(),
    };
    let bytes = quantity::bytes(&limit.0).ok_or_else(refused)?;
    let megabytes = (u128::from(bytes) * MAXMEMORY_PERCENT / 100) >> 20;
    Ok(Some(Derived {
        key: "maxmemory".into(),
        // 0 would be "no limit at all".
        value: format!("{}mb", megabytes.max(1)),
        reason: format!("{MAXMEMORY_PERCENT} % of limits.memory {}", limit.0),
    }))
}

/// A person's value as the arguments of a line. Redis takes one argument, whatever is in it, except for the few
/// directives that have several words, which 7.0.0 takes only apart; later servers take them both ways.
fn arguments<'a>(directive: &str, value: &'a str) -> Vec<&'a str> {
    const SEVERAL: &[&str] = &[
        "client-output-buffer-limit",
        "latency-tracking-info-percentiles",
        "save",
    ];
    let words: Vec<_> = value.split_ascii_whitespace().collect();
    if SEVERAL.contains(&directive) && !words.is_empty() {
        words
    } else {
        vec![value]
    }
}

#[cfg(test)]
mod tests;
