//! Opening a connection to one pod's Redis, and what a look over it asks for.
//!
//! A connection exists only after Redis took our password and named itself as the pod we mean.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisConnectionInfo, Value};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;

use super::client::{CallError, Command, Connection, DEADLINE, End};
use super::socket::Dial;
use super::{Secret, acl, info, socket};
use crate::model::redis::Facts;
use crate::names;

/// How long opening a connection may take, with everything that belongs to it.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(1);

/// A Redis is looked at at least this often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// Admission takes no shorter silence for unreachable; an object from before that rule must not make looks endless.
const LEAST_DOWN_AFTER: Duration = Duration::from_millis(300);

/// Whom to connect to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address of the pod.
    pub address: SocketAddr,
    /// The DNS name that the pod's Redis must announce.
    pub announced: String,
    /// User to log in as.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// What a look reads besides the state of replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Name of the application's user.
    pub app_user: String,
    /// Directives whose values are wanted; plain names without `*`, `?` or `[`.
    pub managed: Vec<String>,
    /// Silence after which this Redis counts as unreachable: how often it is looked at, and how long an answer may take,
    /// follow from it.
    pub down_after: Duration,
}

/// Opens a connection within [`OPEN_DEADLINE`].
///
/// Order matters: the login goes out with the question who answers, and nothing is done before the answer, since a
/// pod's address may have gone to another pod. Then every other connection of our user is killed: a previous operator may still hold one.
pub async fn open(dial: &dyn Dial, endpoint: &Endpoint, view: View) -> Result<Connection, CallError> {
    match timeout(OPEN_DEADLINE, open_without_deadline(dial, endpoint, view)).await {
        Ok(result) => result,
        Err(_) => Err(CallError::NotConnected(End::Timeout)),
    }
}

async fn open_without_deadline(dial: &dyn Dial, endpoint: &Endpoint, view: View) -> Result<Connection, CallError> {
    let connection = silent(dial, endpoint.address, view).await?;
    let auth = Command::new("AUTH", &["AUTH", &endpoint.user]).secret(endpoint.password.expose());
    let name = Command::new("CONFIG GET", &["CONFIG", "GET", ANNOUNCED]);
    let replies = connection.run(vec![auth, name], DEADLINE).await?;
    let got = replies
        .get(1)
        .and_then(config)
        .and_then(|mut values| values.remove(ANNOUNCED))
        .unwrap_or_default();
    if got != endpoint.announced {
        return Err(CallError::WrongServer {
            want: endpoint.announced.clone(),
            got,
        });
    }
    let kill = Command::new(
        "CLIENT KILL",
        &["CLIENT", "KILL", "USER", &endpoint.user, "SKIPME", "yes"],
    );
    connection.run(vec![kill], DEADLINE).await?;
    Ok(connection)
}

/// A connection over which nothing was said yet.
async fn silent(dial: &dyn Dial, address: SocketAddr, view: View) -> Result<Connection, CallError> {
    let stream = socket::connect(dial, address).await.map_err(CallError::NotConnected)?;
    let end = stream.end();
    // No user and no library name: then the crate sends nothing of its own. Our user may not run CLIENT SETINFO,
    // and passwords are bytes, which it has no room for. Deadlines are ours.
    let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (multiplexed, driver) = MultiplexedConnection::new_with_config(&silent, stream, config)
        .await
        .map_err(|error| CallError::NotConnected(End::Io(error.to_string())))?;
    let (ended_sender, ended) = watch::channel(None);
    let task = tokio::spawn(async move {
        driver.await;
        // The crate gives up a connection without an end of the stream only if it can not read an answer.
        ended_sender.send_replace(Some(end.get().cloned().unwrap_or(End::Protocol)));
    });
    Ok(Connection::new(multiplexed, task.abort_handle(), ended, view))
}

const ANNOUNCED: &str = "replica-announce-ip";
const MIN: &str = "min-replicas-to-write";
const SERVE_STALE: &str = "replica-serve-stale-data";

impl View {
    /// Between two looks at a Redis that changes nothing.
    pub(super) fn interval(&self) -> Duration {
        LONGEST_INTERVAL.min(self.half())
    }

    /// How long a look may take before it counts as unanswered.
    pub(super) fn deadline(&self) -> Duration {
        DEADLINE.min(self.half())
    }

    fn half(&self) -> Duration {
        self.down_after.max(LEAST_DOWN_AFTER) / 2
    }

    /// The commands of a look. All of them work while Redis loads or has no link; none does while a script is busy.
    pub(super) fn commands(&self) -> Vec<Command> {
        let mut config = Command::new("CONFIG GET", &["CONFIG", "GET", ANNOUNCED, MIN, SERVE_STALE]);
        for directive in &self.managed {
            config = config.arg(directive);
        }
        let mut info = Command::new("INFO", &["INFO"]);
        for section in info::SECTIONS {
            info = info.arg(section);
        }
        vec![
            info,
            config,
            Command::new("ACL USERS", &["ACL", "USERS"]),
            Command::new("ACL GETUSER", &["ACL", "GETUSER", &self.app_user]),
        ]
    }

    /// The facts in the replies to [`Self::commands`].
    pub(super) fn facts(
        &self,
        asked_at: Timestamp,
        answered_at: Timestamp,
        replies: Vec<Value>,
    ) -> Result<Facts, CallError> {
        let [info, config_reply, users, user] = replies.as_slice() else {
            return Err(CallError::Odd(format!("{} replies to a look", replies.len())));
        };
        let odd = |what: &str| CallError::Odd(what.to_owned());
        let text = acl::text(info).ok_or_else(|| odd("INFO is not text"))?;
        let info = info::parse(&text).map_err(|error| CallError::Odd(error.to_string()))?;
        let config = config(config_reply).ok_or_else(|| odd("CONFIG GET is not a list of pairs"))?;
        let directive = |name: &str| {
            config
                .get(name)
                .cloned()
                .ok_or_else(|| odd(&format!("CONFIG GET lacks {name}")))
        };
        let announced = directive(ANNOUNCED)?;
        let min_replicas_to_write = directive(MIN)?.parse().map_err(|_| odd(MIN))?;
        let serve_stale = directive(SERVE_STALE)? == "yes";
        let managed = self
            .managed
            .iter()
            .map(|name| (name.clone(), config.get(name).cloned()))
            .collect();
        Ok(Facts {
            asked_at,
            answered_at,
            run_id: info.run_id,
            engine: info.engine,
            version: info.version,
            announced,
            min_replicas_to_write,
            serve_stale,
            loading: info.loading,
            link: info.link,
            replid: info.replid,
            replid2: info.replid2,
            offset: info.offset,
            second_offset: info.second_offset,
            backlog: info.backlog,
            replicas: info.replicas,
            aof: info.aof,
            bgsave_in_progress: info.bgsave_in_progress,
            keys: info.keys,
            used_memory: info.used_memory,
            maxmemory: info.maxmemory,
            sync_full: info.sync_full,
            sync_partial_ok: info.sync_partial_ok,
            sync_partial_err: info.sync_partial_err,
            refused_writes: info.refused_writes,
            link_users: acl::users(users, names::user::LINK_PREFIX).ok_or_else(|| odd("ACL USERS is not a list"))?,
            app: acl::user(user).ok_or_else(|| odd("ACL GETUSER is not a user"))?,
            managed,
        })
    }
}

/// The pairs in an answer to `CONFIG GET`.
fn config(value: &Value) -> Option<BTreeMap<String, String>> {
    let Value::Array(words) = value else { return None };
    words
        .chunks(2)
        .map(|pair| Some((acl::text(pair.first()?)?, acl::text(pair.get(1)?)?)))
        .collect()
}
