//! Steps, done as the real acts do them: to exactly the process that was seen, and not at all if it is another one now.

use std::collections::BTreeSet;

use serde_json::json;

use super::redis::Redis;
use super::{GHOSTS, World, place_of, pod_name};
use crate::api::status::{Operation, OperationKind, Proof, RedisReplicaSetStatus};
use crate::build::meta;
use crate::model::observed::{AppSecret, Live};
use crate::model::plan::{Authority, Object, Step, Target};
use crate::model::timeline::CutOff;
use crate::names;

/// A step that was not done.
#[derive(Debug)]
pub struct Failed;

impl World {
    /// Does one step.
    pub fn apply(&mut self, step: &Step) -> Result<(), Failed> {
        let (status, began) = (self.status.clone(), self.now);
        self.carry_out(step)?;
        self.timeline.done(&status, step, began, self.now);
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Failed> {
        match step {
            Step::Record { authority, .. } => self.record(authority),
            Step::CreateApp => {
                self.app = AppSecret::Present {
                    sha256: "ab".repeat(32),
                }
            }
            Step::CreateInternal { .. } => self.internal = Self::credentials(self.acl()),
            Step::WriteAcl { acl } => self.internal = Self::credentials(acl.clone()),
            Step::Create(object) | Step::Apply { object, .. } => self.write(object),
            Step::Delete { id, .. } => drop(self.objects.remove(id)),
            Step::Bare { to } => {
                let replid = self.fresh("repl");
                self.on(to, |redis| redis.bare(replid))?;
            }
            Step::Arm { to, min, .. } => self.on(to, |redis| redis.min = u32::try_from(*min).unwrap())?,
            Step::Fence { to } => self.on(to, Redis::fence)?,
            Step::Drain { to } => self.on(to, |_| ())?,
            Step::CatchUp { to, .. } => {
                self.replicate_one(place_of(&to.name).ok_or(Failed)?);
                self.on(to, |_| ())?;
            }
            Step::ComeAlong { to, .. } => {
                self.replicate_one(place_of(&to.name).ok_or(Failed)?);
                self.on(to, |_| ())?;
            }
            Step::KillClients { to, refused } => {
                self.on(to, |_| ())?;
                let cut = CutOff {
                    at: self.now,
                    refused: *refused,
                };
                self.timeline.cut_off.insert(to.run_id.clone(), cut);
            }
            Step::DeletePod { pod, uid, .. } => {
                self.named(pod, uid)?;
                self.delete_pod(place_of(pod).ok_or(Failed)?);
            }
            Step::Attach { child, parent, epoch } => {
                let secret = format!("{}/{}/{epoch}", parent.run_id, child.run_id);
                if !self.attached.contains_key(&child.run_id) {
                    self.on(parent, |redis| drop(redis.links.remove(&child.name)))?;
                }
                self.on(parent, |redis| {
                    drop(redis.links.insert(child.name.clone(), secret.clone()))
                })?;
                self.on(child, |redis| redis.follow(&parent.ip, secret))?;
                self.on(parent, |_| ())?;
                self.attached.insert(child.run_id.clone(), self.now);
            }
            Step::LockOut { parent, child } => self.on(parent, |redis| drop(redis.links.remove(child)))?,
            Step::Configure { to, values } => self.on(to, |redis| redis.config.extend(values.clone()))?,
            Step::Login { to, sha256 } => self.on(to, |redis| redis.login = Some(sha256.clone()))?,
            Step::Label {
                pod,
                uid,
                role,
                in_sync,
            } => {
                let pod = self.named(pod, uid)?;
                (pod.role, pod.in_sync) = (Some(role.as_str().to_owned()), *in_sync);
            }
            Step::Gate { pod, uid, ready, .. } => self.named(pod, uid)?.gate = Some(*ready),
            Step::Grow { .. } => {}
            Step::Mark { claim, epoch, role, .. } => {
                let slot = (0..self.slots.len().min(GHOSTS)).find(|at| names::claim(&pod_name(*at)) == *claim);
                let claim = slot.and_then(|o| self.slots[o].claim.as_mut()).ok_or(Failed)?;
                (claim.epoch, claim.role) = (Some(*epoch), Some(role.as_str().to_owned()));
            }
        }
        Ok(())
    }

    fn record(&mut self, authority: &Authority) {
        let Authority {
            epoch,
            master,
            electors,
            quorum,
            histories,
            operation,
            pending_fences,
            fenced,
            failovers,
        } = authority.clone();
        let rises = Some(epoch) > self.status.epoch;
        let lacking: BTreeSet<_> = self.confirmed.iter().copied().filter(|w| self.may_lack(*w)).collect();
        let before = self.status.master.as_ref().map(|m| m.uid.clone());
        let status = &mut self.status;
        (status.epoch, status.master, status.electors) = (Some(epoch), master, electors);
        (status.quorum, status.histories, status.operation) = (quorum, histories, operation);
        (status.pending_fences, status.fenced, status.failovers) = (pending_fences, fenced, failovers);
        // A person answers for what is lost by who was named.
        let named = |o: &Operation| o.request_id.as_ref().is_some_and(|id| id.contains('=')) && !o.to.is_empty();
        let by_a_person = self
            .status
            .operation
            .as_ref()
            .filter(|o| named(o) && o.kind == OperationKind::Failover);
        let unproven = |o: &Operation| o.verdict.as_ref().is_some_and(|v| v.proof == Proof::None);
        let by_a_person = by_a_person.map(unproven);
        self.disowned.extend(before.filter(|_| by_a_person == Some(true)));
        let Some(master) = self.master().filter(|_| rises) else {
            return;
        };
        let Some(redis) = self.redis(master) else { return };
        let (data, run_id) = (redis.data.clone(), redis.run_id.clone());
        self.kept.retain(|write| data.contains(write));
        // A file is the source of last resort, and may lack what it lost.
        let answered_for = |write: &u32| by_a_person.is_some() || lacking.contains(write);
        self.confirmed
            .retain(|write| data.contains(write) || !answered_for(write));
        self.chosen = self
            .status
            .operation
            .as_ref()
            .filter(|o| o.kind.is_handover())
            .map(|_| run_id);
        self.slots[master]
            .claim
            .iter_mut()
            .for_each(|claim| claim.outlived = false);
    }

    /// The observed fields as server-side apply leaves them; fields of the authority are not touched.
    pub fn write_status(&mut self, new: &RedisReplicaSetStatus) {
        let old = std::mem::replace(&mut self.status, new.clone());
        let status = &mut self.status;
        (status.epoch, status.master, status.electors) = (old.epoch, old.master, old.electors);
        (status.quorum, status.histories, status.operation) = (old.quorum, old.histories, old.operation);
        (status.pending_fences, status.fenced, status.failovers) = (old.pending_fences, old.fenced, old.failovers);
    }

    fn named(&mut self, name: &str, uid: &str) -> Result<&mut super::Pod, Failed> {
        self.pod_mut(place_of(name).ok_or(Failed)?)
            .filter(|p| p.uid == uid)
            .ok_or(Failed)
    }

    /// A procedure on a process; what it reads afterwards is seen at once.
    fn on(&mut self, to: &Target, procedure: impl FnOnce(&mut Redis)) -> Result<(), Failed> {
        let pod = self.named(&to.name, &to.uid)?;
        if !pod.operator_reaches() || pod.seen.facts().is_none_or(|f| f.run_id != to.run_id) {
            return Err(Failed);
        }
        let redis = pod
            .redis
            .as_mut()
            .filter(|r| r.run_id == to.run_id && r.loading == 0)
            .ok_or(Failed)?;
        procedure(redis);
        self.cut_links();
        self.hear();
        self.probe(place_of(&to.name).ok_or(Failed)?);
        Ok(())
    }

    /// A link whose user was deleted ends within milliseconds.
    fn cut_links(&mut self) {
        use super::redis::{Link, Role};
        let lost: Vec<usize> = self
            .processes()
            .filter(|(_, pod, redis)| {
                let Role::Follows { ip, link } = &redis.role else {
                    return false;
                };
                let name = pod_name(pod.name);
                let may = |at| self.redis(at).is_some_and(|p: &Redis| p.links.contains_key(&name));
                *link != Link::Down
                    && self
                        .at(ip)
                        .is_some_and(|at| !may(at) && self.pod(at).is_some_and(|p| p.peers_with(pod)))
            })
            .map(|(ordinal, ..)| ordinal)
            .collect();
        for ordinal in lost {
            if let Some(Role::Follows { link, .. }) = self
                .pod_mut(ordinal)
                .and_then(|p| p.redis.as_mut())
                .map(|r| &mut r.role)
            {
                *link = Link::Down;
            }
        }
    }

    /// Creates or replaces an object.
    pub fn write(&mut self, object: &Object) {
        let mut body = object.body.clone();
        let old = self.live(object.id.kind, &object.id.name);
        let uid = old.and_then(|o| o["metadata"]["uid"].as_str()).map(str::to_owned);
        body["metadata"]["uid"] = json!(uid.unwrap_or_else(|| self.fresh("uid")));
        body["metadata"]["resourceVersion"] = json!(self.fresh("v"));
        if object.id.kind == "StatefulSet" {
            let revision = meta::short_hash(body["spec"]["template"].to_string().as_bytes());
            body["metadata"]["generation"] = json!(1);
            body["status"] = json!({"updateRevision": revision, "observedGeneration": 1});
        }
        self.objects.insert(object.id.clone(), Live::Ours(body));
    }
}
