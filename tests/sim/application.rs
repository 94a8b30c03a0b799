//! An application that writes through the VIP over one connection, which it gives up only when that ends.

use std::collections::BTreeSet;

use redis_operator::names;

use crate::redis::{Role, Write};
use crate::store::key;
use crate::world::{NAMESPACE, SET, World};

/// Bytes of a write in the stream.
const BYTES: u64 = 40;

#[derive(Clone, Debug, Default)]
pub struct Application {
    /// Whether it writes now.
    pub writes: bool,
    last: u64,
    /// Address, process and number of its connection.
    connection: Option<(String, String, u64)>,
    /// Writes that were answered with OK.
    pub acknowledged: BTreeSet<u64>,
    /// Those of them that as many replicas hold as `status.quorum.wait` says.
    pub confirmed: BTreeSet<u64>,
}

impl Application {
    pub fn reconnected(&self) -> Self {
        let connection = None;
        Self {
            connection,
            ..self.clone()
        }
    }
}

impl World {
    pub fn application(&mut self) {
        self.confirm();
        if !self.application.writes {
            return;
        }
        let holds = |(ip, run, id): &(String, String, u64)| {
            self.redis
                .get(ip)
                .is_some_and(|process| process.run_id == *run && process.clients.contains_key(id))
        };
        if !self.application.connection.as_ref().is_some_and(holds) {
            self.application.connection = self.connect();
        }
        let Some((ip, ..)) = &self.application.connection else {
            return;
        };
        let Some(process) = self.redis.get_mut(ip) else { return };
        if process.takes_writes() {
            self.application.last += 1;
            process.offset += BYTES;
            let (id, end) = (self.application.last, process.offset);
            process.data.push(Write { id, end });
            self.application.acknowledged.insert(id);
        }
    }

    fn connect(&mut self) -> Option<(String, String, u64)> {
        let pod = self.behind(&names::vip(SET)).into_iter().next()?;
        let (ip, process) = self.redis.iter_mut().find(|(_, process)| process.pod == pod)?;
        process.users.get("app").filter(|user| user.on)?;
        self.connections += 1;
        process.clients.insert(self.connections, "app".into());
        Some((ip.clone(), process.run_id.clone(), self.connections))
    }

    fn confirm(&mut self) {
        let set = self.store.get(&key("redisreplicasets", NAMESPACE, SET));
        let Some(wait) = set
            .and_then(|set| set["status"]["quorum"]["wait"].as_u64())
            .filter(|wait| *wait > 0)
        else {
            return;
        };
        for master in self.redis.values().filter(|process| process.role == Role::Master) {
            let mut offsets: Vec<u64> = master
                .children
                .values()
                .filter(|c| c.online)
                .map(|c| c.offset)
                .collect();
            offsets.sort_unstable_by(|a, b| b.cmp(a));
            let Some(held) = usize::try_from(wait).ok().and_then(|wait| offsets.get(wait - 1)) else {
                continue;
            };
            let open = master
                .data
                .iter()
                .rev()
                .take_while(|write| !self.application.confirmed.contains(&write.id));
            let now: Vec<u64> = open.filter(|write| write.end <= *held).map(|write| write.id).collect();
            self.application.confirmed.extend(now);
        }
    }
}
