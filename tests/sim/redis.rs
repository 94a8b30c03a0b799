//! One process of Redis: what it holds, and the commands that the operator sends.
//!
//! Data is the list of writes, each with the offset of the stream after it. What a server does by itself, such as its
//! streams, is in `streams`.

use std::collections::{BTreeMap, BTreeSet};

use redis_operator::model::redis::{NOWHERE, UNARMED};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::resp::Reply;
use crate::scenario::IMMUTABLE;

/// A write and where in the stream it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    pub id: u64,
    pub end: u64,
}

/// What it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Follows { ip: String, link: Link },
}

/// The link of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Down,
    Syncing(Instant),
    Up,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub on: bool,
    pub hashes: BTreeSet<String>,
    pub rules: Vec<String>,
}

/// A replica as its parent knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub announced: String,
    pub online: bool,
    pub offset: u64,
}

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pod: String,
    pub announced: String,
    pub run_id: String,
    pub role: Role,
    pub replid: String,
    pub before: Option<(String, u64)>,
    pub offset: u64,
    pub data: Vec<Write>,
    pub config: BTreeMap<String, String>,
    pub users: BTreeMap<String, User>,
    pub children: BTreeMap<String, Child>,
    /// Connections of applications and of the operator: number and user.
    pub clients: BTreeMap<u64, String>,
    /// Connections to be closed by the server.
    pub killed: BTreeSet<u64>,
    /// Until when its file is written anew after a full resync.
    pub rewrites: Option<Instant>,
    pub syncs: (u64, u64, u64),
}

const MIN: &str = "min-replicas-to-write";

impl Process {
    pub fn min(&self) -> u32 {
        self.config.get(MIN).and_then(|min| min.parse().ok()).unwrap_or(0)
    }

    pub fn is_armed(&self) -> bool {
        self.role == Role::Master && self.min() != UNARMED
    }

    /// Whether a write of an application is answered with OK.
    pub fn takes_writes(&self) -> bool {
        let good = self.children.values().filter(|child| child.online).count();
        self.is_armed() && good >= self.min() as usize
    }

    pub fn link(&self) -> Option<Link> {
        match &self.role {
            Role::Follows { link, .. } => Some(*link),
            Role::Master => None,
        }
    }

    pub fn follows(&self) -> Option<&str> {
        match &self.role {
            Role::Follows { ip, .. } => Some(ip),
            Role::Master => None,
        }
    }

    /// Whether a user may log in with this password.
    pub fn admits(&self, user: &str, password: &str) -> bool {
        let hash = hex::encode(Sha256::digest(password.as_bytes()));
        self.users
            .get(user)
            .is_some_and(|user| user.on && user.hashes.contains(&hash))
    }

    /// A new history begins where the one before ends.
    pub fn promote(&mut self, replid: String) {
        if self.role != Role::Master {
            self.before = Some((std::mem::replace(&mut self.replid, replid), self.offset + 1));
            self.role = Role::Master;
            self.children.clear();
        }
    }

    pub fn follow(&mut self, ip: &str) {
        if self.follows() != Some(ip) {
            let (ip, link) = (ip.to_owned(), Link::Down);
            self.role = Role::Follows { ip, link };
        }
    }

    /// Does one command that is not about a connection.
    pub fn command(&mut self, words: &[&str], replid: impl FnOnce() -> String) -> Reply {
        let upper: Vec<String> = words.iter().take(2).map(|word| word.to_ascii_uppercase()).collect();
        match (upper[0].as_str(), upper.get(1).map_or("", String::as_str), words) {
            ("PING", ..) => Reply::Simple("PONG"),
            ("INFO", ..) => Reply::Bulk(self.info()),
            ("CONFIG", "GET", [_, _, names @ ..]) => {
                let known = |name: &&str| Some([(*name).to_owned(), self.config.get(*name)?.clone()]);
                Reply::bulks(names.iter().filter_map(known).flatten())
            }
            ("CONFIG", "SET", [_, _, pairs @ ..]) if pairs.contains(&IMMUTABLE) => {
                Reply::Error("ERR CONFIG SET failed - can't set immutable config".into())
            }
            ("CONFIG", "SET", [_, _, pairs @ ..]) => {
                for pair in pairs.chunks_exact(2) {
                    self.config.insert(pair[0].to_owned(), pair[1].to_owned());
                }
                Reply::Simple("OK")
            }
            ("REPLICAOF", "NO", _) => {
                self.promote(replid());
                Reply::Simple("OK")
            }
            ("REPLICAOF", _, [_, host, port]) => {
                let nowhere = (*host, *port) == (NOWHERE.0, &NOWHERE.1.to_string());
                self.follow(if nowhere { NOWHERE.0 } else { host });
                Reply::Simple("OK")
            }
            ("ACL", "USERS", _) => Reply::bulks(self.users.keys().cloned()),
            ("ACL", "GETUSER", [_, _, name]) => self.users.get(*name).map_or(Reply::Nil, user),
            ("ACL", "SETUSER", [_, _, name, rules @ ..]) => {
                let user = self.users.entry((*name).to_owned()).or_default();
                rules.iter().for_each(|rule| user.rule(rule));
                Reply::Simple("OK")
            }
            ("ACL", "DELUSER", [_, _, name]) => {
                let gone = self.users.remove(*name).is_some();
                let child = name.trim_start_matches(redis_operator::names::user::LINK_PREFIX);
                self.children.remove(child);
                Reply::Number(gone.into())
            }
            ("CLIENT", "LIST", _) => {
                let line = |(id, user): (&u64, &String)| format!("id={id} addr=10.9.9.9:1 flags=N user={user} cmd=x\n");
                Reply::Bulk(self.clients.iter().map(line).collect())
            }
            ("CLIENT", "KILL", [_, _, _, id]) => {
                self.killed.extend(id.parse::<u64>());
                Reply::Number(1)
            }
            _ => Reply::Error(format!("ERR unknown command '{}'", words.join(" "))),
        }
    }

    fn info(&self) -> String {
        let flag = u8::from;
        let rewrites = flag(self.rewrites.is_some());
        let zeros = "0".repeat(40);
        let (replid2, second) = self
            .before
            .as_ref()
            .map_or((zeros.as_str(), -1), |(id, end)| (id, *end as i64));
        let mut text = format!(
            "# Server\r\nredis_version:8.2.0\r\nrun_id:{}\r\n# Memory\r\nused_memory:1000000\r\nmaxmemory:0\r\n\
             # Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:1\r\n\
             aof_rewrite_in_progress:{rewrites}\r\naof_rewrite_scheduled:0\r\naof_last_bgrewrite_status:ok\r\n\
             aof_last_write_status:ok\r\naof_delayed_fsync:0\r\n# Stats\r\nsync_full:{}\r\nsync_partial_ok:{}\r\n\
             sync_partial_err:{}\r\n# Replication\r\n",
            self.run_id, self.syncs.0, self.syncs.1, self.syncs.2
        );
        match &self.role {
            Role::Master => text += "role:master\r\n",
            Role::Follows { ip, link } => {
                let port = if ip == NOWHERE.0 { NOWHERE.1 } else { 6379 };
                let up = *link == Link::Up;
                text += &format!(
                    "role:slave\r\nmaster_host:{ip}\r\nmaster_port:{port}\r\nmaster_link_status:{}\r\n\
                     master_last_io_seconds_ago:{}\r\nmaster_sync_in_progress:{}\r\nslave_repl_offset:{}\r\n",
                    if up { "up" } else { "down" },
                    if up { 0 } else { -1 },
                    flag(matches!(link, Link::Syncing(_))),
                    self.offset
                );
            }
        }
        text += &format!("connected_slaves:{}\r\n", self.children.len());
        for (at, child) in self.children.values().enumerate() {
            let state = if child.online { "online" } else { "send_bulk" };
            let Child { announced, offset, .. } = child;
            text += &format!("slave{at}:ip={announced},port=6379,state={state},offset={offset},lag=0\r\n");
        }
        let (replid, offset) = (&self.replid, self.offset);
        text += &format!(
            "master_replid:{replid}\r\nmaster_replid2:{replid2}\r\nmaster_repl_offset:{offset}\r\n\
             second_repl_offset:{second}\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\n\
             repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:{offset}\r\n# Keyspace\r\n"
        );
        if !self.data.is_empty() {
            text += &format!("db0:keys={},expires=0,avg_ttl=0\r\n", self.data.len());
        }
        text
    }
}

impl User {
    /// Takes over one rule of `ACL SETUSER` or of an aclfile.
    pub fn rule(&mut self, rule: &str) {
        match rule {
            "reset" => *self = Self::default(),
            "on" => self.on = true,
            "off" => self.on = false,
            _ => match rule.strip_prefix('#') {
                Some(hash) => drop(self.hashes.insert(hash.to_owned())),
                None => self.rules.push(rule.to_owned()),
            },
        }
    }
}

fn user(user: &User) -> Reply {
    let text = |text: &str| Reply::Bulk(text.to_owned());
    Reply::List(vec![
        text("flags"),
        Reply::bulks([if user.on { "on" } else { "off" }]),
        text("passwords"),
        Reply::bulks(user.hashes.iter().cloned()),
        text("commands"),
        Reply::Bulk(user.rules.join(" ")),
        text("keys"),
        text("~*"),
        text("channels"),
        text("&*"),
        text("selectors"),
        Reply::List(vec![]),
    ])
}
