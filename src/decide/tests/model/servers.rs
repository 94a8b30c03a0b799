//! What the processes do by themselves: links, streams, confirmations. As the toy cluster of [`world`](super::super::world)
//! has it, but that a stream moves one write at a time and a replica is seen at every place in it.

use super::state::{Age, Broken, Link, Log, Redis, Role, State, Uid};

impl State {
    /// Brings links and confirmations up to what is true now; nothing in it takes time.
    pub fn settle(&mut self) {
        for at in 0..self.count() {
            self.settle_link(at);
        }
        for at in 0..self.count() {
            self.settle_good(at);
        }
        self.confirm();
        self.settle_watches();
        let serves = |p: &super::state::Pod| {
            let complete = |r: &Redis| r.is_armed() && !r.rewrites;
            p.answers() && p.member() == self.status.master && p.redis.as_ref().is_some_and(complete)
        };
        if self.left.awaits && self.pods.iter().any(serves) {
            self.status.complete = self.status.epoch;
        }
        self.status.had_keys |= self.pods.iter().any(|p| {
            p.answers() && p.member() == self.status.master && {
                let redis = p.redis.as_ref();
                redis.is_some_and(|r| r.is_armed() && r.data != 0)
            }
        });
    }

    fn settle_link(&mut self, at: usize) {
        let pod = self.at(at);
        let Some(child) = &pod.redis else { return };
        let Role::Follows { parent, link } = child.role else {
            return;
        };
        let Some(host) = self.process_at(parent).filter(|host| *host != at) else {
            return self.set_link(at, Link::Down);
        };
        if !pod.reaches(self.at(host)) {
            if !matches!(link, Link::Up(_)) {
                self.set_link(at, Link::Down);
            }
            return;
        }
        let Some(parent) = self.redis(host) else { return };
        let up = matches!(link, Link::Up(_));
        let serves = parent.role == Role::Master || matches!(parent.link(), Some(Link::Up(_)));
        // A demoted master goes on with the links it has, and gives no new one.
        let serves = serves || parent.role == Role::Fenced && up;
        let may = match link {
            Link::Down => parent.links[usize::from(pod.uid.name)] == Some(child.run),
            Link::Syncing | Link::Up(_) => parent.links[usize::from(pod.uid.name)].is_some(),
        };
        if !serves || !may {
            return self.set_link(at, Link::Down);
        }
        if link == Link::Syncing {
            return;
        }
        let (line, offset, data) = (parent.line, parent.offset, parent.data);
        if !child.flushed && parent.continues(child.line, child.offset) {
            assert!(
                is_prefix(child.data, data),
                "a stream goes on although the data before it differs"
            );
            let child = self.at_mut(at).redis.as_mut().unwrap();
            if child.line != line {
                child.before = Some((child.line, child.offset + 1));
                child.line = line;
            }
            debug_assert!(child.offset <= offset);
            self.set_link(at, Link::Up(Age::Now));
        } else {
            let confirmed = self.confirmed;
            let child = self.at_mut(at).redis.as_mut().unwrap();
            let wiped = child.data & !data;
            (child.data, child.offset, child.flushed) = (0, 0, true);
            if wiped & confirmed != 0 {
                self.broken = self.broken.or(Some(Broken::ConfirmedWriteWiped));
            }
            self.set_link(at, Link::Syncing);
        }
    }

    fn set_link(&mut self, at: usize, now: Link) {
        if let Some(Role::Follows { link, .. }) = self.at_mut(at).redis.as_mut().map(|r| &mut r.role) {
            *link = now;
        }
    }

    /// Whom each process counts as good although it does not hear it any more.
    fn settle_good(&mut self, host: usize) {
        let Some(parent) = self.redis(host) else { return };
        let mut good = parent.good.clone();
        good.retain(|(child, _)| self.all().any(|p| p.uid == *child && !p.reaches(self.at(host))));
        for child in (0..self.count()).filter(|child| *child != host) {
            let uid = self.at(child).uid;
            let cut = self.follows(child, host) == Some(Link::Up(Age::Now)) && !self.at(child).reaches(self.at(host));
            if cut && !good.iter().any(|(known, _)| *known == uid) {
                good.push((uid, Age::Now));
            }
        }
        good.sort_unstable();
        self.at_mut(host).redis.as_mut().unwrap().good = good;
    }

    /// The link of one process to another, if it follows that one.
    pub fn follows(&self, child: usize, host: usize) -> Option<Link> {
        match self.redis(child)?.role {
            Role::Follows { parent, link } if parent == self.at(host).uid => Some(link),
            Role::Follows { .. } | Role::Master | Role::Fenced => None,
        }
    }

    /// Replicas that hear a process and are heard by it.
    pub fn replicas(&self, host: usize) -> impl Iterator<Item = usize> {
        let hears = move |child: &usize| {
            *child != host
                && matches!(self.follows(*child, host), Some(Link::Up(_)))
                && self.at(*child).reaches(self.at(host))
        };
        (0..self.count()).filter(hears)
    }

    /// Whether a process answers a write with OK.
    pub fn takes_writes(&self, at: usize) -> bool {
        let Some(redis) = self.redis(at).filter(|r| r.is_armed()) else {
            return false;
        };
        self.replicas(at).count() + redis.good.len() >= usize::from(redis.min.unwrap_or(0))
    }

    /// Writes that `status.wait` replicas hold under a master are confirmed to whoever waits there.
    fn confirm(&mut self) {
        for at in 0..self.count() {
            let Some(master) = self.redis(at).filter(|r| r.is_armed()) else {
                continue;
            };
            let held: Vec<Log> = self
                .replicas(at)
                .filter_map(|c| self.redis(c))
                .map(|r| r.data)
                .collect();
            let enough = |write: &Log| held.iter().filter(|log| **log & write != 0).count() >= self.status.wait.into();
            let confirmed = bits(master.data).filter(enough).fold(0, |all, write| all | write);
            self.confirmed |= confirmed;
        }
    }

    /// What the operator's probes notice at once.
    fn settle_watches(&mut self) {
        for pod in &mut self.pods {
            let answers = pod.answers();
            let role = pod.redis.as_ref().map(|r| (r.run, r.role));
            let watch = &mut pod.watch;
            if !answers {
                watch.old = None;
                continue;
            }
            (watch.held, watch.silent) = (true, Age::Now);
            watch.detached = match (role, watch.detached) {
                (Some((run, Role::Fenced)), Some((known, age))) if known == run => Some((run, age)),
                (Some((run, Role::Fenced)), _) => Some((run, Age::Now)),
                _ => None,
            };
        }
    }

    /// A client writes to a process that takes it.
    pub fn write(&mut self, at: usize) {
        let write = 1 << self.written;
        self.written += 1;
        let pod = self.at_mut(at);
        if let Some(redis) = &mut pod.redis {
            redis.data |= write;
            redis.offset += 1;
            pod.keep();
        }
    }

    /// The parent of a replica whose stream flows.
    pub fn source(&self, at: usize) -> Option<usize> {
        let Role::Follows {
            parent,
            link: Link::Up(_),
        } = self.redis(at)?.role
        else {
            return None;
        };
        self.process_at(parent)
            .filter(|host| self.at(*host).reaches(self.at(at)))
    }

    /// Whether a replica lacks a write of its parent's stream.
    pub fn lags(&self, at: usize) -> bool {
        let data = |at| self.redis(at).map_or(0, |r: &Redis| r.data);
        self.source(at).is_some_and(|host| data(host) != data(at))
    }

    /// A replica takes in the next write of the stream.
    pub fn replicate(&mut self, at: usize) {
        let Some(source) = self.source(at).and_then(|host| self.redis(host)) else {
            return;
        };
        let data = source.data;
        let pod = self.at_mut(at);
        if let Some(redis) = &mut pod.redis {
            let missing = data & !redis.data;
            redis.data |= missing & missing.wrapping_neg();
            redis.offset += 1;
            pod.keep();
        }
    }

    /// A full resync is complete.
    pub fn synced(&mut self, at: usize) {
        let Some(Role::Follows { parent, .. }) = self.redis(at).map(|r| r.role) else {
            return;
        };
        let Some(source) = self.process_at(parent).and_then(|host| self.redis(host)) else {
            return;
        };
        let (line, offset, data) = (source.line, source.offset, source.data);
        let takes_time = self.left.rewrites > 0;
        self.left.rewrites -= u8::from(takes_time);
        let pod = self.at_mut(at);
        if let Some(redis) = &mut pod.redis {
            (redis.line, redis.before, redis.offset, redis.data) = (line, None, offset, data);
            (redis.flushed, redis.rewrites) = (false, takes_time);
            pod.keep();
        }
        self.set_link(at, Link::Up(Age::Now));
    }

    /// The rewrite after a full resync is complete.
    pub fn rewritten(&mut self, at: usize) {
        let pod = self.at_mut(at);
        pod.redis.iter_mut().for_each(|redis| redis.rewrites = false);
        pod.keep();
    }

    /// Two and a half seconds pass.
    pub fn tick(&mut self) {
        for at in 0..self.count() {
            let silent =
                self.redis(at).is_some_and(|r| matches!(r.link(), Some(Link::Up(_)))) && self.source(at).is_none();
            let pod = self.at_mut(at);
            pod.watch.tick(pod.redis.is_some() && pod.operator_reaches());
            let Some(redis) = &mut pod.redis else { continue };
            redis.good = redis
                .good
                .iter()
                .filter(|(_, age)| *age == Age::Now)
                .map(|(c, _)| (*c, Age::Step))
                .collect();
            if let (
                true,
                Role::Follows {
                    link: Link::Up(age), ..
                },
            ) = (silent, redis.role)
            {
                let next = if age == Age::Long {
                    Link::Down
                } else {
                    Link::Up(age.older())
                };
                self.set_link(at, next);
            }
        }
        if let Some(operation) = &mut self.status.operation {
            operation.started = operation.started.older();
        }
    }
}

impl super::state::Pod {
    /// What the process has is in its file, but for one whose rewrite runs.
    pub fn keep(&mut self) {
        if let Some(redis) = self.redis.as_ref().filter(|r| !r.rewrites) {
            self.disk = redis.data;
            self.lost &= !self.disk;
        }
    }
}

impl super::state::Watch {
    fn tick(&mut self, answers: bool) {
        // Every pod is asked within a second, and again and again.
        (self.asked, self.old) = (true, None);
        if !answers && self.silent == Age::Now {
            self.silent = Age::Step;
        }
        self.detached = self.detached.map(|(run, age)| (run, age.older()));
    }
}

impl Redis {
    /// Data, history and offset stay, but for one that threw its data away: it holds nothing.
    pub fn fence(&mut self) {
        (self.role, self.min) = (Role::Fenced, None);
    }

    /// A replica that becomes a master begins a history of its own and remembers the one before.
    pub fn bare(&mut self, name: u8) {
        self.min = None;
        if self.role != Role::Master {
            let began = self.line.turn == 0;
            self.role = Role::Master;
            self.before = Some((self.line, self.offset + 1));
            self.turns += 1;
            self.line = super::state::Line {
                pod: name,
                run: self.run,
                turn: self.turns,
            };
            // The first ping of a stream that did not go on from another.
            self.offset += u8::from(began);
        }
    }

    pub fn follow(&mut self, to: Uid) {
        self.min = None;
        if !matches!(self.role, Role::Follows { parent, .. } if parent == to) {
            self.role = Role::Follows {
                parent: to,
                link: Link::Down,
            };
        }
    }
}

/// Each write of a log by itself.
pub fn bits(log: Log) -> impl Iterator<Item = Log> {
    (0..8).map(|n| 1 << n).filter(move |write| log & write != 0)
}

/// Whether one log is the beginning of another.
fn is_prefix(part: Log, whole: Log) -> bool {
    let more = whole & !part;
    part & !whole == 0 && (part == 0 || more == 0 || more.trailing_zeros() > part.ilog2())
}
