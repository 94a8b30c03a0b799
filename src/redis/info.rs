//! `INFO` text -> typed parts of the facts.
//!
//! Pure. A field that a decision hangs on and that is missing or odd is an error with its name, never a zero.

use std::collections::HashMap;
use std::str::FromStr;

use crate::model::redis::{Aof, Backlog, ConnectedReplica, Engine, Link, Loading, ReplicaLink, Version};

/// The sections [`parse`] needs, as arguments of `INFO`.
pub const SECTIONS: [&str; 7] = [
    "server",
    "replication",
    "persistence",
    "keyspace",
    "memory",
    "stats",
    "errorstats",
];

/// What `INFO` says; the fields mean what those of [`crate::model::redis::Facts`] mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is documented in Facts")]
pub struct Info {
    pub run_id: String,
    pub engine: Engine,
    pub version: Version,
    pub loading: Option<Loading>,
    pub link: Link,
    pub replid: String,
    pub replid2: Option<String>,
    pub offset: u64,
    pub second_offset: Option<u64>,
    pub backlog: Option<Backlog>,
    pub replicas: Vec<ConnectedReplica>,
    pub aof: Aof,
    pub bgsave_in_progress: bool,
    pub keys: u64,
    pub used_memory: u64,
    pub maxmemory: u64,
    pub sync_full: u64,
    pub sync_partial_ok: u64,
    pub sync_partial_err: u64,
    pub refused_writes: u64,
}

/// A field of `INFO` that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// The field is not there.
    #[error("INFO has no field {0}")]
    Missing(String),
    /// The field's value is not of its kind.
    #[error("INFO field {field} has the odd value {value:?}")]
    Odd {
        /// Name of the field.
        field: String,
        /// What it said.
        value: String,
    },
}

/// Reads the answer to `INFO` with at least the sections of [`SECTIONS`].
pub fn parse(text: &str) -> Result<Info, InfoError> {
    let fields = Fields::split(text);
    let (engine, version) = server(&fields)?;
    let link = link(&fields)?;
    let offset = match link {
        Link::Master => fields.number("master_repl_offset")?,
        Link::Replica(_) => fields.number("slave_repl_offset")?,
    };
    Ok(Info {
        run_id: fields.text("run_id")?.to_owned(),
        engine,
        version,
        loading: loading(&fields)?,
        link,
        replid: fields.text("master_replid")?.to_owned(),
        replid2: Some(fields.text("master_replid2")?)
            .filter(|id| id.bytes().any(|c| c != b'0'))
            .map(str::to_owned),
        offset,
        second_offset: fields.number_unless_minus_one("second_repl_offset")?,
        backlog: backlog(&fields)?,
        replicas: replicas(&fields)?,
        aof: aof(&fields)?,
        bgsave_in_progress: fields.flag("rdb_bgsave_in_progress")?,
        keys: keys(&fields)?,
        used_memory: fields.number("used_memory")?,
        maxmemory: fields.number("maxmemory")?,
        sync_full: fields.number("sync_full")?,
        sync_partial_ok: fields.number("sync_partial_ok")?,
        sync_partial_err: fields.number("sync_partial_err")?,
        refused_writes: refused_writes(&fields)?,
    })
}

fn server(fields: &Fields<'_>) -> Result<(Engine, Version), InfoError> {
    // Valkey keeps `redis_version` at the Redis it is compatible with.
    let (engine, field) = match fields.get("server_name") {
        Some("valkey") => (Engine::Valkey, "valkey_version"),
        _ => (Engine::Redis, "redis_version"),
    };
    let text = fields.text(field)?;
    let version = Version::parse(text).ok_or_else(|| odd(field, text))?;
    Ok((engine, version))
}

fn loading(fields: &Fields<'_>) -> Result<Option<Loading>, InfoError> {
    if !fields.flag("loading")? {
        return Ok(None);
    }
    let percent = match fields.get("loading_loaded_perc") {
        // "nan" as long as the size is not known.
        Some(text) => text.split('.').next().and_then(|whole| whole.parse().ok()),
        None => None,
    };
    Ok(Some(Loading { percent }))
}

fn link(fields: &Fields<'_>) -> Result<Link, InfoError> {
    match fields.text("role")? {
        "master" => Ok(Link::Master),
        "slave" => Ok(Link::Replica(ReplicaLink {
            host: fields.text("master_host")?.to_owned(),
            port: fields.number("master_port")?,
            up: match fields.text("master_link_status")? {
                "up" => true,
                "down" => false,
                other => return Err(odd("master_link_status", other)),
            },
            syncing: fields.flag("master_sync_in_progress")?,
            sync_left_bytes: sync_bytes(fields, "master_sync_left_bytes")?,
            sync_total_bytes: sync_bytes(fields, "master_sync_total_bytes")?,
            last_io_seconds: fields.number_unless_minus_one("master_last_io_seconds_ago")?,
        })),
        other => Err(odd("role", other)),
    }
}

/// Bytes of a full resync: absent outside one; negative, and the total 0, while a diskless parent has not said how
/// many there are.
fn sync_bytes(fields: &Fields<'_>, field: &str) -> Result<Option<u64>, InfoError> {
    let Some(text) = fields.get(field) else { return Ok(None) };
    let bytes: i64 = number(field, text)?;
    let total_known = fields.get("master_sync_total_bytes").is_none_or(|total| total != "0");
    Ok(u64::try_from(bytes).ok().filter(|_| total_known))
}

/// A server that never had a replica or a parent has no backlog.
fn backlog(fields: &Fields<'_>) -> Result<Option<Backlog>, InfoError> {
    if !fields.flag("repl_backlog_active")? {
        return Ok(None);
    }
    let [size, held]: [u64; 2] = [
        fields.number("repl_backlog_size")?,
        fields.number("repl_backlog_histlen")?,
    ];
    Ok(Some(Backlog {
        from: fields.number("repl_backlog_first_byte_offset")?,
        full: held >= size,
    }))
}

fn replicas(fields: &Fields<'_>) -> Result<Vec<ConnectedReplica>, InfoError> {
    let count: usize = fields.number("connected_slaves")?;
    let mut replicas = Vec::new();
    for index in 0..count {
        let field = format!("slave{index}");
        let text = fields.text(&field)?;
        let parts: HashMap<&str, &str> = text.split(',').filter_map(|part| part.split_once('=')).collect();
        // The second connection of a replica in its full resync (Redis 8, Valkey 8) is not another replica.
        if parts.get("type").is_some_and(|kind| *kind == "rdb-channel") {
            continue;
        }
        let part = |name: &str| parts.get(name).copied().ok_or_else(|| odd(&field, text));
        replicas.push(ConnectedReplica {
            ip: part("ip")?.to_owned(),
            port: number(&field, part("port")?)?,
            state: part("state")?.to_owned(),
            offset: number(&field, part("offset")?)?,
            lag: number(&field, part("lag")?)?,
        });
    }
    Ok(replicas)
}

fn aof(fields: &Fields<'_>) -> Result<Aof, InfoError> {
    Ok(Aof {
        enabled: fields.flag("aof_enabled")?,
        rewrite_in_progress: fields.flag("aof_rewrite_in_progress")?,
        rewrite_scheduled: fields.flag("aof_rewrite_scheduled")?,
        write_ok: fields.ok("aof_last_write_status")?,
        rewrite_ok: fields.ok("aof_last_bgrewrite_status")?,
        delayed_fsync: match fields.get("aof_delayed_fsync") {
            Some(text) => Some(number("aof_delayed_fsync", text)?),
            None => None,
        },
    })
}

fn keys(fields: &Fields<'_>) -> Result<u64, InfoError> {
    // A server without keys leaves the section empty; that it was asked for shows in its header.
    if !fields.has_keyspace {
        return Err(InfoError::Missing("# Keyspace".to_owned()));
    }
    let mut sum: u64 = 0;
    for (field, text) in &fields.databases {
        let keys = text
            .split(',')
            .find_map(|part| part.strip_prefix("keys="))
            .ok_or_else(|| odd(field, text))?;
        sum = sum.saturating_add(number(field, keys)?);
    }
    Ok(sum)
}

fn refused_writes(fields: &Fields<'_>) -> Result<u64, InfoError> {
    // An error has no line before its first time.
    let Some(text) = fields.get("errorstat_READONLY") else {
        return Ok(0);
    };
    let count = text
        .strip_prefix("count=")
        .ok_or_else(|| odd("errorstat_READONLY", text))?;
    number("errorstat_READONLY", count)
}

struct Fields<'a> {
    values: HashMap<&'a str, &'a str>,
    databases: Vec<(&'a str, &'a str)>,
    has_keyspace: bool,
}

impl<'a> Fields<'a> {
    fn split(text: &'a str) -> Self {
        let mut fields = Self {
            values: HashMap::new(),
            databases: Vec::new(),
            has_keyspace: false,
        };
        for line in text.lines() {
            if line == "# Keyspace" {
                fields.has_keyspace = true;
            } else if let Some((name, value)) = line.split_once(':') {
                let database = name.strip_prefix("db").is_some_and(|rest| rest.parse::<u32>().is_ok());
                if database {
                    fields.databases.push((name, value));
                } else {
                    fields.values.insert(name, value);
                }
            }
        }
        fields
    }

    fn get(&self, field: &str) -> Option<&'a str> {
        self.values.get(field).copied()
    }

    fn text(&self, field: &str) -> Result<&'a str, InfoError> {
        self.get(field).ok_or_else(|| InfoError::Missing(field.to_owned()))
    }

    fn number<N: FromStr>(&self, field: &str) -> Result<N, InfoError> {
        number(field, self.text(field)?)
    }

    fn number_unless_minus_one(&self, field: &str) -> Result<Option<u64>, InfoError> {
        match self.text(field)? {
            "-1" => Ok(None),
            text => number(field, text).map(Some),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, InfoError> {
        match self.text(field)? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(odd(field, other)),
        }
    }

    fn ok(&self, field: &str) -> Result<bool, InfoError> {
        match self.text(field)? {
            "ok" => Ok(true),
            "err" => Ok(false),
            other => Err(odd(field, other)),
        }
    }
}

fn number<N: FromStr>(field: &str, text: &str) -> Result<N, InfoError> {
    text.parse().map_err(|_| odd(field, text))
}

fn odd(field: &str, value: &str) -> InfoError {
    InfoError::Odd {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
#[path = "info/tests.rs"]
mod tests;
