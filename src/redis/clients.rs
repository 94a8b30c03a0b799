//! Cutting off the clients of a Redis that is no longer the master.

use std::time::Duration;

use ::redis::Value;

use super::acl;
use super::client::{CallError, Command, Connection};
use crate::names;

/// A list of ten thousand clients takes Redis a while.
const LIST_DEADLINE: Duration = Duration::from_secs(2);
/// Kills in one write: each is quick, but all of them at once would hold up Redis and the reply.
const CHUNK: usize = 500;

/// What one round of killing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed {
    /// Clients that were there and are gone.
    pub killed: usize,
    /// Clients of applications that were let be, as they came at or after the mark.
    pub spared: usize,
}

/// A mark between the clients connected now and those that come later: ids below it are of now.
pub async fn client_mark(redis: &Connection) -> Result<u64, CallError> {
    // Ids are given in ascending order and never again, so the newest client's id is the highest of all that were.
    let newest = list(redis).await?.iter().map(|client| client.id).max();
    Ok(newest.map_or(0, |id| id.saturating_add(1)))
}

/// Kills the clients of applications, also subscribers, whose id is below `mark`; all of them without a mark.
/// Replicas and our own users stay.
pub async fn kill_clients(redis: &Connection, mark: Option<u64>) -> Result<Killed, CallError> {
    let (old, new): (Vec<Client>, Vec<Client>) = list(redis)
        .await?
        .into_iter()
        .filter(Client::is_an_application)
        .partition(|client| mark.is_none_or(|mark| client.id < mark));
    let mut killed = 0;
    for chunk in old.chunks(CHUNK) {
        let kill = |client: &Client| Command::new("CLIENT KILL", &["CLIENT", "KILL", "ID", &client.id.to_string()]);
        let replies = redis.run(chunk.iter().map(kill).collect(), LIST_DEADLINE).await?;
        // 0 is a client that left by itself.
        killed += replies.iter().filter(|reply| matches!(reply, Value::Int(1))).count();
    }
    Ok(Killed {
        killed,
        spared: new.len(),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Client {
    id: u64,
    flags: String,
    user: String,
}

impl Client {
    /// Neither a replica (S), a master (M), a monitor (O), nor one of our users.
    fn is_an_application(&self) -> bool {
        !self.flags.contains(['S', 'M', 'O'])
            && self.user != names::user::OPERATOR
            && self.user != names::user::PROBE
            && !self.user.starts_with(names::user::LINK_PREFIX)
    }
}

async fn list(redis: &Connection) -> Result<Vec<Client>, CallError> {
    let replies = redis
        .run(vec![Command::new("CLIENT LIST", &["CLIENT", "LIST"])], LIST_DEADLINE)
        .await?;
    let text = replies
        .first()
        .and_then(acl::text)
        .ok_or_else(|| CallError::Odd("CLIENT LIST is not text".into()))?;
    text.lines()
        .map(|line| client(line).ok_or_else(|| CallError::Odd("a line of CLIENT LIST".into())))
        .collect()
}

fn client(line: &str) -> Option<Client> {
    let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
    Some(Client {
        id: field("id=")?.parse().ok()?,
        flags: field("flags=")?.to_owned(),
        user: field("user=")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_of_applications_are_killed() {
        let line = |flags: &str, user: &str| {
            client(&format!(
                "id=12 addr=127.0.0.1:1 name= flags={flags} cmd=client|list user={user} redir=-1"
            ))
            .unwrap()
        };
        assert!(line("N", "app").is_an_application());
        assert!(line("P", "app").is_an_application());
        assert!(!line("S", "rrs-link-a").is_an_application());
        assert!(!line("N", "rrs-link-a").is_an_application());
        assert!(!line("N", "rrs-operator").is_an_application());
        assert!(!line("M", "(superuser)").is_an_application());
    }

    #[test]
    fn a_line_without_an_id_is_not_a_client() {
        assert_eq!(client("addr=127.0.0.1:1 flags=N user=app"), None);
    }
}
