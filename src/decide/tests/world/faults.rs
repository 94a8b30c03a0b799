//! What happens to a set from outside: faults, people, and a client that writes.

use serde_json::json;

use super::{GHOSTS, Pod, Reach, SET, World, place_of, pod_name};
use crate::model::observed::{Draining, Live};
use crate::names;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client writes through the VIP.
    Write,
    /// Clients write over the connections they have to whoever takes it.
    WriteToAll,
    /// A person deletes the pod of a node that is off the network by force; its process lives on there.
    ForceDelete { pod: usize },
    /// A pod's stream comes slowly, or as it should again.
    Slow { pod: usize, slow: bool },
    /// A process is killed; the container starts again after `back` ticks.
    Kill { pod: usize, tail: bool, back: u32 },
    /// Every process is killed.
    KillAll { tail: bool },
    /// A person or a drain deletes a pod.
    DeletePod { pod: usize },
    /// A claim and its volume are gone, and the pod with them.
    LoseVolume { pod: usize },
    /// Who gets through to a pod changes.
    Reach { pod: usize, reach: Reach },
    /// The operator's process ends after some steps and begins anew, without memory.
    Crash { after: usize },
    /// Somebody edits a Service.
    EditService { name: &'static str },
    /// Somebody labels a pod.
    EditLabel { pod: usize, role: &'static str },
    /// A person asks for another number of replicas.
    Scale { replicas: i32 },
    /// A person asks for another number of pods of a tier.
    ScaleTier { tier: usize, replicas: i32 },
    /// A person pauses the set, or ends that.
    Pause { paused: bool },
    /// A person asks by annotation for a pod, or for all.
    Ask { name: &'static str, pod: Option<usize> },
    /// A node is cordoned, shuts down, or neither.
    Drain { node: usize, draining: Option<Draining> },
    /// The probe of a pod is slow: what it saw before stands for one more pass.
    SlowProbe { pod: usize },
}

impl World {
    /// Lets it happen.
    pub fn happen(&mut self, event: &Event) {
        match *event {
            Event::SlowProbe { .. } => {}
            Event::Write => self.client_writes(),
            Event::WriteToAll => {
                (0..self.slots.len()).for_each(|at| self.write_to(at));
            }
            Event::ForceDelete { pod } => self.force_delete(pod),
            Event::Slow { pod, slow } => {
                if let Some(pod) = self.pod_mut(pod) {
                    pod.slow = slow;
                }
            }
            Event::Kill { pod, tail, back } => {
                self.kill(pod, tail);
                if let Some(pod) = self.pod_mut(pod).filter(|p| p.redis.is_none()) {
                    pod.starts_in = Some(back);
                }
            }
            Event::KillAll { tail } => (0..self.slots.len()).for_each(|pod| self.kill(pod, tail)),
            Event::DeletePod { pod } => self.delete_pod(pod),
            Event::LoseVolume { pod } => {
                // The process may live on an unreachable node; then the volume does too.
                if self.pod(pod).is_none_or(Pod::peers_reach)
                    && let Some(slot) = self.slots.get_mut(pod)
                {
                    (slot.claim, slot.pod) = (None, None);
                }
            }
            Event::Reach { pod, reach } => {
                if let Some(pod) = self.pod_mut(pod) {
                    pod.reach = reach;
                }
            }
            Event::Crash { after } => self.crash_after = Some(after),
            Event::EditService { name } => self.edit_service(name),
            Event::EditLabel { pod, role } => {
                if let Some(pod) = self.pod_mut(pod) {
                    pod.role = Some(role.to_owned());
                }
            }
            Event::Scale { replicas } => {
                self.cluster.spec.replicas = replicas;
                self.cluster.generation += 1;
            }
            Event::ScaleTier { tier, replicas } => {
                if let Some(tier) = self.cluster.spec.tiers.get_mut(tier) {
                    tier.replicas = replicas;
                    self.cluster.generation += 1;
                }
            }
            Event::Pause { paused } => self.cluster.spec.paused = paused,
            Event::Ask { name, pod } => self.ask(name, pod),
            Event::Drain { node, draining } => {
                let node = format!("node-{node}");
                self.draining.remove(&node);
                self.draining.extend(draining.map(|draining| (node, draining)));
            }
        }
    }

    /// A request that was never made before.
    pub fn ask(&mut self, name: &str, pod: Option<usize>) {
        let whom = pod.map_or("*".to_owned(), pod_name);
        let epoch = self.status.epoch.unwrap_or(0);
        let value = match name {
            "force-failover" | "discard" => format!("{whom}@{epoch}"),
            "accept-data-loss" => format!("{epoch}@{}", self.fresh("id")),
            _ => format!("{whom}@{}", self.fresh("id")),
        };
        self.requests.insert(name.to_owned(), value);
    }

    /// The pod ends in good order after its preStop hook; a new one follows.
    pub(super) fn delete_pod(&mut self, ordinal: usize) {
        if let Some(pod) = self.pod_mut(ordinal).filter(|p| p.peers_reach() && !p.deleting) {
            (pod.deleting, pod.grace) = (true, 3);
        }
    }

    fn edit_service(&mut self, name: &str) {
        let found = self
            .objects
            .iter_mut()
            .find(|(id, _)| id.kind == "Service" && id.name == name);
        if let Some((_, Live::Ours(body))) = found {
            body["spec"]["selector"] = json!({names::label::POD_NAME: "s-1"});
        }
    }

    /// A client of the VIP writes; the master takes it if it is armed and has enough replicas.
    fn client_writes(&mut self) {
        let Some(vip) = self.live("Service", SET) else { return };
        let selected = vip["spec"]["selector"][names::label::POD_NAME]
            .as_str()
            .unwrap_or_default();
        let Some(ordinal) = place_of(selected) else { return };
        let Some(pod) = self.pod(ordinal) else { return };
        if !pod.peers_reach() || !self.takes_writes(ordinal) {
            return;
        }
        self.write_to(ordinal);
    }

    fn write_to(&mut self, ordinal: usize) {
        if !self.takes_writes(ordinal) {
            return;
        }
        self.written += 1;
        let write = self.written;
        let slot = &mut self.slots[ordinal];
        if let Some(redis) = slot.pod.as_mut().and_then(|p| p.redis.as_mut()) {
            redis.data.push(write);
            redis.offset += 1;
            self.ends.insert(write, redis.offset);
            let file = slot.claim.as_mut().filter(|_| !redis.rewrites);
            file.into_iter().for_each(|claim| claim.disk.push(write));
        }
        if self.master() == Some(ordinal) {
            self.kept.insert(write);
        }
    }

    /// The pod object goes; the process lives on with a volume of its own, as another one is made from the claim.
    fn force_delete(&mut self, ordinal: usize) {
        let off = |p: &Pod| matches!(p.reach, Reach::Nobody | Reach::Apart | Reach::Peers);
        if !self.pod(ordinal).is_some_and(off) {
            return;
        }
        let mut ghost = self.slots[ordinal].pod.take();
        ghost.iter_mut().for_each(|pod| pod.starts_in = None);
        self.slots[ordinal]
            .claim
            .iter_mut()
            .for_each(|claim| claim.outlived = true);
        let free = (GHOSTS..).find(|at| self.pod(*at).is_none());
        if let Some(at) = free {
            self.slot(at).pod = ghost;
        }
    }

    /// The nodes of all pods are back; their kubelets end what should not run there.
    pub fn heal(&mut self) {
        self.slots.truncate(GHOSTS);
        for pod in self.slots.iter_mut().filter_map(|slot| slot.pod.as_mut()) {
            (pod.reach, pod.slow, pod.starts_in) = (Reach::All, false, Some(0));
        }
    }
}
