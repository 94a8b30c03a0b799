//! What the Redis processes do by themselves: links come up and go down, streams flow, full resyncs take their time.

use std::time::Duration;

use tokio::time::Instant;

use crate::redis::{Child, Link, Process, Role};
use crate::world::World;

/// How long a full resync takes.
const FULL: Duration = Duration::from_millis(300);
/// How long the rewrite of the append-only file after it takes.
const REWRITE: Duration = Duration::from_millis(200);
/// Bytes of a ping of a master to its replicas, one a tick.
const PING: u64 = 14;

/// What becomes of a link.
enum Next {
    Down,
    Begins,
    Continues,
    Waits(Instant),
    Ends,
}

impl World {
    /// One tick of all streams.
    pub fn replicate(&mut self) {
        let now = Instant::now();
        for process in self.redis.values_mut() {
            process.rewrites = process.rewrites.filter(|until| now < *until);
            if process.role == Role::Master {
                process.offset += PING;
            }
        }
        let ips: Vec<String> = self.redis.keys().cloned().collect();
        for ip in &ips {
            self.forget_children(ip);
        }
        for ip in ips {
            self.move_link(&ip, now);
        }
    }

    /// A parent sees that a child's connection has ended.
    fn forget_children(&mut self, ip: &str) {
        let Some(parent) = self.redis.get(ip) else { return };
        let holds = |pod: &String, child: &Child| {
            let process = self.redis.values().find(|p| p.pod == *pod);
            process.is_some_and(|p| {
                p.follows() == Some(ip)
                    && if child.online {
                        p.link() == Some(Link::Up)
                    } else {
                        p.link() != Some(Link::Down)
                    }
            })
        };
        let gone: Vec<String> = parent
            .children
            .iter()
            .filter(|(pod, child)| !holds(pod, child))
            .map(|(pod, _)| pod.clone())
            .collect();
        if let Some(parent) = self.redis.get_mut(ip) {
            gone.iter().for_each(|pod| drop(parent.children.remove(pod)));
        }
    }

    fn move_link(&mut self, ip: &str, now: Instant) {
        let Some(child) = self.redis.get(ip) else { return };
        let Role::Follows { ip: to, link } = child.role.clone() else {
            return;
        };
        let next = match self.redis.get(&to) {
            Some(parent) if to != ip => next(child, parent, link, now),
            _ => Next::Down,
        };
        let link = match next {
            Next::Down => Link::Down,
            Next::Waits(until) => Link::Syncing(until),
            Next::Begins => {
                self.with_parent(&to, child_of(child, false), |parent| parent.syncs.0 += 1);
                Link::Syncing(now + FULL)
            }
            Next::Continues => {
                let began = link == Link::Down;
                self.stream(ip, &to, false);
                self.with_parent(&to, child_of(&self.redis[ip], true), |parent| {
                    parent.syncs.1 += u64::from(began)
                });
                Link::Up
            }
            Next::Ends => {
                self.stream(ip, &to, true);
                self.with_parent(&to, child_of(&self.redis[ip], true), |_| ());
                Link::Up
            }
        };
        if let Some(Process {
            role: Role::Follows { link: now, .. },
            ..
        }) = self.redis.get_mut(ip)
        {
            *now = link;
        }
    }

    fn with_parent(&mut self, ip: &str, (pod, child): (String, Child), change: impl FnOnce(&mut Process)) {
        if let Some(parent) = self.redis.get_mut(ip) {
            parent.children.insert(pod, child);
            change(parent);
        }
    }

    /// The child holds what its parent holds; after a full resync in place of what it had.
    fn stream(&mut self, ip: &str, from: &str, full: bool) {
        let Some(mut child) = self.redis.remove(ip) else { return };
        let parent = &self.redis[from];
        if full {
            let lost = |id: &u64| child.data.iter().any(|w| w.id == *id) && !parent.data.iter().any(|w| w.id == *id);
            if let Some(id) = self.application.confirmed.iter().find(|id| lost(id)) {
                let (child, parent) = (&child.pod, &parent.pod);
                self.broken.push(format!(
                    "{child} gave up confirmed write {id} in a full resync from {parent}"
                ));
            }
            (child.data, child.before) = (parent.data.clone(), None);
            child.rewrites = Some(Instant::now() + REWRITE);
        } else {
            if !parent.data.starts_with(&child.data) {
                let (child, parent) = (&child.pod, &parent.pod);
                self.broken
                    .push(format!("{child} went on from {parent}, whose data before that differs"));
            }
            child
                .data
                .extend_from_slice(&parent.data[child.data.len().min(parent.data.len())..]);
            if child.replid != parent.replid {
                child.before = Some((child.replid.clone(), child.offset + 1));
            }
        }
        (child.replid, child.offset) = (parent.replid.clone(), parent.offset);
        self.redis.insert(ip.to_owned(), child);
    }
}

fn child_of(child: &Process, online: bool) -> (String, Child) {
    let (announced, offset) = (child.announced.clone(), child.offset);
    (
        child.pod.clone(),
        Child {
            announced,
            online,
            offset,
        },
    )
}

fn next(child: &Process, parent: &Process, link: Link, now: Instant) -> Next {
    let config = |name: &str| child.config.get(name).map_or("", String::as_str);
    let admitted = || parent.admits(config("masteruser"), config("masterauth"));
    let known = parent.children.contains_key(&child.pod);
    let serves = parent.role == Role::Master || parent.link() == Some(Link::Up);
    let goes_on = (child.replid == parent.replid && child.offset <= parent.offset)
        || parent
            .before
            .as_ref()
            .is_some_and(|(id, end)| *id == child.replid && child.offset < *end);
    match link {
        Link::Down if !serves || !admitted() => Next::Down,
        Link::Down if goes_on => Next::Continues,
        Link::Down => Next::Begins,
        _ if !known => Next::Down,
        Link::Syncing(until) if now < until => Next::Waits(until),
        Link::Syncing(_) => Next::Ends,
        // A master that was demoted goes on with the links it has.
        Link::Up => Next::Continues,
    }
}
