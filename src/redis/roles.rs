//! The procedures that change a Redis: its role, its link users, its configuration, the application's user.
//!
//! Each is one write to one connection and ends with a look, so that its reply is the newest observation there is.
//! Nothing here decides that a procedure is right to do, and none sends a command that our user may not run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::{CallError, Command, Connection, DEADLINE};
use super::secret::Secret;
use crate::model::redis::{Facts, NOWHERE, UNARMED};
use crate::names;

/// Makes a Redis of any role hold its data and serve nobody. History and backlog stay, so that it can resume.
///
/// The first effect is the demotion: were the rest to fail, it would still take no write.
pub async fn fence(redis: &Connection) -> Result<Facts, CallError> {
    let (host, port) = NOWHERE;
    let set = config_set("CONFIG SET")
        .arg(MIN)
        .arg(&UNARMED.to_string())
        .arg(SERVE_STALE)
        .arg("no");
    redis.act(vec![replicaof(host, &port.to_string()), set], DEADLINE).await
}

/// Looks again and again until the facts are as they shall be, or the time is over; the last facts either way.
pub async fn look_until(
    redis: &Connection,
    done: impl Fn(&Facts) -> bool,
    within: Duration,
) -> Result<Facts, CallError> {
    /// A look takes Redis a tenth of a millisecond.
    const EVERY: Duration = Duration::from_millis(3);
    let end = Instant::now() + within;
    loop {
        let facts = redis.look().await?;
        if done(&facts) || end <= Instant::now() + EVERY {
            return Ok(facts);
        }
        sleep(EVERY).await;
    }
}

/// Makes a Redis a master that takes no write.
pub async fn bare(redis: &Connection) -> Result<Facts, CallError> {
    let unarm = config_set("CONFIG SET").arg(MIN).arg(&UNARMED.to_string());
    redis.act(vec![unarm, replicaof("NO", "ONE")], DEADLINE).await
}

/// Lets a master take writes as long as it has `min` good replicas; also changes the `min` of an armed one.
pub async fn arm(redis: &Connection, min: u32) -> Result<Facts, CallError> {
    redis
        .act(
            vec![
                config_set("CONFIG SET min-replicas-to-write")
                    .arg(MIN)
                    .arg(&min.to_string()),
            ],
            DEADLINE,
        )
        .await
}

/// Makes a Redis follow `parent`, with the credentials minted for it there. It stays unarmed.
pub async fn attach(
    redis: &Connection,
    parent: IpAddr,
    port: u16,
    user: &str,
    secret: &Secret,
) -> Result<Facts, CallError> {
    let set = config_set("CONFIG SET")
        .arg(MIN)
        .arg(&UNARMED.to_string())
        .arg(SERVE_STALE)
        .arg("yes")
        .arg("masteruser")
        .arg(user)
        .arg("masterauth")
        .secret(secret.expose());
    redis
        .act(vec![set, replicaof(&parent.to_string(), &port.to_string())], DEADLINE)
        .await
}

/// Lets `child` attach to this Redis, and gives it a new password if it already may: a link that is up stays up.
pub async fn mint_link(redis: &Connection, child: &str, secret: &Secret) -> Result<Facts, CallError> {
    let hash = format!("#{}", secret.sha256_hex());
    let user = names::link_user(child);
    let rules = [
        "ACL",
        "SETUSER",
        &user,
        "reset",
        "on",
        &hash,
        "-@all",
        "+psync",
        "+replconf",
        "+ping",
    ];
    redis.act(vec![Command::new("ACL SETUSER", &rules)], DEADLINE).await
}

/// Cuts the link of `child` to this Redis and keeps it cut. No error if there was none.
pub async fn revoke_link(redis: &Connection, child: &str) -> Result<Facts, CallError> {
    redis
        .act(
            vec![Command::new(
                "ACL DELUSER",
                &["ACL", "DELUSER", &names::link_user(child)],
            )],
            DEADLINE,
        )
        .await
}

/// Sets directives, all or none. Nothing is sent if there are none.
pub async fn set_config(redis: &Connection, directives: &BTreeMap<String, String>) -> Result<Facts, CallError> {
    if directives.is_empty() {
        return redis.look().await;
    }
    let set = directives
        .iter()
        .fold(config_set("CONFIG SET"), |set, (name, value)| set.arg(name).arg(value));
    redis.act(vec![set], DEADLINE).await
}

/// Gives the application's user exactly these passwords and rules, in one step; clients that are logged in stay.
///
/// `hashes` are SHA-256 in hex; `rules` are ACL rules such as `~*`, without passwords.
pub async fn set_app_user(
    redis: &Connection,
    name: &str,
    hashes: &BTreeSet<String>,
    rules: &[String],
) -> Result<Facts, CallError> {
    let start = Command::new("ACL SETUSER", &["ACL", "SETUSER", name, "reset", "on"]);
    let with_hashes = hashes
        .iter()
        .fold(start, |command, hash| command.arg(&format!("#{hash}")));
    let command = rules.iter().fold(with_hashes, |command, rule| command.arg(rule));
    redis.act(vec![command], DEADLINE).await
}

const MIN: &str = "min-replicas-to-write";
const SERVE_STALE: &str = "replica-serve-stale-data";

fn replicaof(host: &str, port: &str) -> Command {
    Command::new("REPLICAOF", &["REPLICAOF", host, port])
}

fn config_set(name: &'static str) -> Command {
    Command::new(name, &["CONFIG", "SET"])
}
