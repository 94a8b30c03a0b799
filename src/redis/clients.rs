//! Cutting off the clients of a Redis that is no longer the master.

use std::time::Duration;

use super::acl;
use super::client::{CallError, Command, Connection};
use crate::names;

/// A list of ten thousand clients takes Redis a while.
const LIST_DEADLINE: Duration = Duration::from_secs(2);
/// Kills in one write: each is quick, but all of them at once would hold up Redis and the reply.
const CHUNK: usize = 500;

/// Kills the clients of applications, also subscribers, and says how many there were. Replicas and our own users stay.
pub async fn kill_clients(redis: &Connection) -> Result<usize, CallError> {
    let clients: Vec<Client> = list(redis)
        .await?
        .into_iter()
        .filter(Client::is_an_application)
        .collect();
    for chunk in clients.chunks(CHUNK) {
        let kill = |client: &Client| Command::new("CLIENT KILL", &["CLIENT", "KILL", "ID", &client.id.to_string()]);
        redis.run(chunk.iter().map(kill).collect(), LIST_DEADLINE).await?;
    }
    Ok(clients.len())
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
