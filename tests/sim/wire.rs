//! Connections to the Redis processes: streams in memory, one task for each, and the faults that a command may meet.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use redis_operator::redis::client::End;
use redis_operator::redis::{Dial, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::effects::Kind;
use crate::resp::{self, Reply};
use crate::world::{Sim, World};

/// How long a delayed command is on its way: its caller gives up after half a second.
const LONG_WAY: Duration = Duration::from_millis(1500);

/// The network of one life of the operator.
pub struct Network {
    pub sim: Sim,
    pub life: u64,
}

/// A connection as the server's side knows it.
pub struct Wire {
    life: u64,
    run_id: String,
    close: CancellationToken,
}

impl Dial for Network {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Stream>, End>> {
        Box::pin(async move {
            match self.connect(&address.ip().to_string()) {
                Some(result) => result,
                // Nothing comes back.
                None => pending().await,
            }
        })
    }
}

impl Network {
    /// A connection, or a refusal; nothing from an address of nobody, and for a process that has ended.
    fn connect(&self, ip: &str) -> Option<Result<Box<dyn Stream>, End>> {
        let mut world = self.sim.world();
        if !world.lives(self.life) {
            return None;
        }
        let Some(run_id) = world.redis.get(ip).map(|process| process.run_id.clone()) else {
            let known = world.sandboxes.values().any(|sandbox| sandbox.ip == ip);
            return known.then_some(Err(End::Refused));
        };
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let close = CancellationToken::new();
        world.connections += 1;
        let id = world.connections;
        let wire = Wire {
            life: self.life,
            run_id: run_id.clone(),
            close: close.clone(),
        };
        world.wires.insert(id, wire);
        let session = Session {
            sim: self.sim.clone(),
            ip: ip.to_owned(),
            run_id,
            id,
            user: None,
            queued: None,
        };
        tokio::spawn(session.serve(theirs, close));
        Some(Ok(Box::new(ours)))
    }
}

impl World {
    /// Ends the connections to a process that has gone.
    pub fn hang_up(&mut self, run_id: &str) {
        self.close_wires(|wire| wire.run_id == run_id);
    }

    /// Ends the connections of a life of the operator that has ended.
    pub fn drop_life(&mut self, life: u64) {
        self.close_wires(|wire| wire.life == life);
    }

    fn close_wires(&mut self, which: impl Fn(&Wire) -> bool) {
        let gone: Vec<u64> = self
            .wires
            .iter()
            .filter(|(_, wire)| which(wire))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.close_wire(id);
        }
    }

    /// Also that of an application, which has no wire.
    fn close_wire(&mut self, id: u64) {
        if let Some(wire) = self.wires.remove(&id) {
            wire.close.cancel();
        }
        self.redis
            .values_mut()
            .for_each(|process| drop(process.clients.remove(&id)));
    }
}

/// One connection.
struct Session {
    sim: Sim,
    ip: String,
    run_id: String,
    id: u64,
    user: Option<String>,
    /// Commands since `MULTI`.
    queued: Option<Vec<Vec<String>>>,
}

impl Session {
    async fn serve(mut self, mut stream: DuplexStream, close: CancellationToken) {
        let mut bytes = Vec::new();
        loop {
            let read = tokio::select! {
                biased;
                () = close.cancelled() => break,
                read = stream.read_buf(&mut bytes) => read,
            };
            if !matches!(read, Ok(1..)) {
                break;
            }
            let mut replies = Vec::new();
            let mut goes_on = true;
            while let Some((words, length)) = resp::command(&bytes) {
                bytes.drain(..length);
                match self.answer(words).await {
                    Some(reply) => reply.write(&mut replies),
                    None => {
                        goes_on = false;
                        break;
                    }
                }
            }
            if !goes_on || stream.write_all(&replies).await.is_err() {
                break;
            }
        }
        self.sim.world().close_wire(self.id);
    }

    /// The reply to a command; nothing if the connection breaks before it.
    async fn answer(&mut self, words: Vec<String>) -> Option<Reply> {
        match (words[0].as_str(), &mut self.queued) {
            ("MULTI", _) => {
                self.queued = Some(Vec::new());
                return Some(Reply::Simple("OK"));
            }
            ("EXEC", _) => {}
            (_, Some(queued)) => {
                queued.push(words);
                return Some(Reply::Simple("QUEUED"));
            }
            ("AUTH", None) => return self.login(&words),
            _ if self.user.is_none() => return Some(Reply::Error("NOAUTH Authentication required.".into())),
            _ => {}
        }
        let transaction = self.queued.take();
        let batch = transaction.clone().unwrap_or_else(|| vec![words]);
        let fault = self.fault(&batch);
        match fault {
            Some(Kind::CrashBefore) => {
                self.sim.world().crash();
                return None;
            }
            Some(Kind::Error) => {
                let code = if transaction.is_some() { "EXECABORT" } else { "BUSY" };
                return Some(Reply::Error(format!("{code} an error was put here")));
            }
            Some(Kind::Delay) => sleep(LONG_WAY).await,
            Some(Kind::CrashAfter | Kind::LostReply) | None => {}
        }
        let mut replies = self.execute(&batch)?;
        match fault {
            Some(Kind::CrashAfter) => {
                self.sim.world().crash();
                None
            }
            Some(Kind::LostReply) => None,
            _ if transaction.is_some() => Some(Reply::List(replies)),
            _ => replies.pop(),
        }
    }

    fn login(&mut self, words: &[String]) -> Option<Reply> {
        let mut world = self.sim.world();
        let process = world.redis.get_mut(&self.ip).filter(|p| p.run_id == self.run_id)?;
        let [_, user, password] = words else { return None };
        if !process.admits(user, password) {
            return Some(Reply::Error(
                "WRONGPASS invalid username-password pair or user is disabled.".into(),
            ));
        }
        process.clients.insert(self.id, user.clone());
        self.user = Some(user.clone());
        Some(Reply::Simple("OK"))
    }

    fn fault(&self, batch: &[Vec<String>]) -> Option<Kind> {
        let mut world = self.sim.world();
        let names: Vec<String> = batch.iter().filter_map(|words| world.effect_of(words)).collect();
        if names.is_empty() {
            return None;
        }
        let pod = world
            .redis
            .get(&self.ip)
            .filter(|p| p.run_id == self.run_id)?
            .pod
            .clone();
        world.effects.next(format!("{pod}: {}", names.join("; ")))
    }

    fn execute(&self, batch: &[Vec<String>]) -> Option<Vec<Reply>> {
        let mut world = self.sim.world();
        let replid = world.fresh("replid");
        let process = world.redis.get_mut(&self.ip).filter(|p| p.run_id == self.run_id)?;
        let mut replies = Vec::new();
        for words in batch {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if words[..2.min(words.len())] == ["CLIENT", "KILL"] && words[2] == "USER" {
                let others = process
                    .clients
                    .iter()
                    .filter(|(id, user)| **id != self.id && **user == words[3]);
                let others: Vec<u64> = others.map(|(id, _)| *id).collect();
                process.killed.extend(&others);
                replies.push(Reply::Number(1));
            } else {
                replies.push(process.command(&words, || replid.clone()));
            }
        }
        let killed = std::mem::take(&mut process.killed);
        killed.into_iter().for_each(|id| world.close_wire(id));
        Some(replies)
    }
}
