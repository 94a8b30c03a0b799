//! What Kubernetes does by itself within a tick: the StatefulSet's pods, their containers, the VIP's EndpointSlices.

use std::collections::BTreeSet;

use serde_json::json;

use super::redis::Redis;
use super::{Claim, GHOSTS, PLACES, Pod, SET, TIERS, World, pod_name, tier_at};
use crate::api::{AppendFsync, TierSpec};
use crate::build::{self, acl};
use crate::model::observed::{AppSecret, ObjectId, Trouble};
use crate::model::plan::Object;
use crate::names;

impl World {
    /// One second passes.
    pub fn tick(&mut self) {
        self.now += k8s_openapi::jiff::SignedDuration::from_secs(1);
        self.stateful_set_controllers();
        self.kubelets();
        self.replicate();
        self.endpoints();
    }

    fn stateful_set_controllers(&mut self) {
        (0..=TIERS.len()).for_each(|tier| self.stateful_set_controller(tier * PLACES));
    }

    fn stateful_set_controller(&mut self, first: usize) {
        let Some(set) = self.stateful_set_of(tier_at(first)) else {
            return;
        };
        let (now, wanted) = (self.now, first + usize::try_from(set.replicas).unwrap());
        let name = names::stateful_set(SET, tier_at(first));
        let template = self.live("StatefulSet", &name).unwrap()["spec"]["template"].clone();
        let annotation = |name| template["metadata"]["annotations"][name].as_str().map(str::to_owned);
        let config = annotation(names::annotation::CONFIG_REVISION);
        for ordinal in first..self.slots.len().min(first + PLACES).max(wanted) {
            let slot = self.slot(ordinal);
            match &mut slot.pod {
                Some(pod) if pod.deleting && pod.grace > 0 && pod.redis.is_some() => pod.grace -= 1,
                // The kubelet says that the process ended before it says that the pod is gone.
                Some(pod) if pod.deleting && pod.redis.is_some() => {
                    (pod.redis, pod.started) = (None, None);
                    pod.trouble = Some(Trouble::Terminated("exit code 0: Completed".into()));
                }
                Some(pod) if pod.deleting => slot.pod = None,
                Some(pod) if ordinal >= wanted => pod.deleting = true,
                Some(_) => {}
                None if ordinal < wanted => {
                    self.claim(ordinal);
                    let uid = self.fresh("pod");
                    let ip = format!("10.0.0.{}", self.serial);
                    let mut pod = Pod::new(ordinal, uid, ip, now);
                    let tier = self.cluster.tiers().find(|tier| tier.name == tier_at(first));
                    let revision = tier.and_then(|tier| build::pod::revision(&self.cluster, tier).ok());
                    (pod.revision, pod.config_revision) = (revision, config.clone());
                    pod.restart = annotation(names::annotation::RESTART);
                    pod.node = Some(format!("node-{ordinal}"));
                    self.slot(ordinal).pod = Some(pod);
                }
                None => {}
            }
        }
    }

    /// The claim of an ordinal, made if it is missing.
    pub fn claim(&mut self, ordinal: usize) -> &mut Claim {
        let (uid, created) = (self.fresh("vol"), self.now);
        let slot = self.slot(ordinal);
        slot.claim.get_or_insert(Claim {
            uid,
            created,
            epoch: None,
            role: None,
            disk: Vec::new(),
            synced: 0,
            written: 0,
            lost: BTreeSet::new(),
            outlived: false,
        })
    }

    fn kubelets(&mut self) {
        for ordinal in 0..self.slots.len() {
            let unpullable = self.unpullable.clone();
            let Some(pod) = self.pod_mut(ordinal) else { continue };
            if pod.redis.is_some() || pod.deleting {
                continue;
            }
            if pod.revision.as_ref().is_some_and(|r| unpullable.contains(r)) {
                pod.trouble = Some(Trouble::ImagePull("ErrImagePull: not found".into()));
                continue;
            }
            match &mut pod.starts_in {
                Some(0) => self.start(ordinal, 1),
                Some(ticks) => *ticks -= 1,
                None => {}
            }
        }
    }

    /// A container starts: the process loads what its volume has.
    pub fn start(&mut self, ordinal: usize, loading: u32) {
        let (run_id, replid, now) = (self.fresh("run"), self.fresh("aof"), self.now);
        let data = self.claim(ordinal).disk.clone();
        let login = match &self.app {
            AppSecret::Present { sha256 } => Some(sha256.clone()),
            AppSecret::Unknown | AppSecret::Absent | AppSecret::Unusable(_) => None,
        };
        let config = crate::build::conf::live_values(&self.cluster, self.cluster.core()).unwrap();
        let Some(pod) = self.pod_mut(ordinal) else { return };
        (pod.started, pod.trouble, pod.starts_in) = (Some(now), None, Some(1));
        let booted = Redis::boot(run_id, replid, data, loading);
        pod.redis = Some(Redis {
            login,
            config,
            ..booted
        });
    }

    /// A process ends. What was not flushed is lost if `tail` says so.
    pub fn kill(&mut self, ordinal: usize, tail: bool) {
        let Some(slot) = self.slots.get_mut(ordinal) else {
            return;
        };
        let Some(pod) = slot.pod.as_mut().filter(|p| p.redis.is_some()) else {
            return;
        };
        (pod.redis, pod.started) = (None, None);
        pod.trouble = Some(Trouble::Terminated("exit code 137: Error".into()));
        let tail = tail && self.cluster.spec.persistence.append_fsync == AppendFsync::Everysec;
        if let Some(claim) = slot.claim.as_mut().filter(|c| tail && c.synced < c.disk.len()) {
            claim.lost.extend(claim.disk.split_off(claim.synced));
        }
    }

    /// The VIP's EndpointSlices follow the Service.
    pub fn endpoints(&mut self) {
        let Some(vip) = self.live("Service", SET) else { return };
        let selected = vip["spec"]["selector"][names::label::POD_NAME]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let ready = |ordinal| self.pod(ordinal).is_some_and(|p| p.started.is_some() && !p.deleting);
        self.vip_pods = (0..self.slots.len().min(GHOSTS))
            .filter(|o| ready(*o))
            .map(pod_name)
            .filter(|n| *n == selected)
            .collect();
    }

    /// The set's objects as an earlier pass left them.
    pub fn build_objects(&mut self, pods: u32) {
        let tier = self.cluster.core().with_pods(pods);
        let conf = build::conf::build(&self.cluster, tier).unwrap();
        let master = self.status.master.as_ref().map(|m| m.name.clone());
        let inputs = build::Inputs {
            master: master.as_deref(),
            epoch: self.status.epoch.unwrap_or(0),
            vip_families: Vec::new(),
            tiers: vec![build::TierInputs {
                tier,
                conf,
                reads: build::services::Reads::Replicas,
                families: Vec::new(),
                live: build::LivePods::default(),
            }],
        };
        for build::Object {
            kind,
            name,
            manager,
            value,
        } in build::all(&self.cluster, &inputs).unwrap()
        {
            let id = ObjectId {
                kind: kind.as_str(),
                name,
            };
            self.write(&Object {
                id,
                body: value,
                manager,
                uid: None,
                resource_version: None,
            });
        }
    }

    /// A set with the least of its objects, for many worlds in little time.
    pub fn lean(replicas: i32) -> Self {
        let mut world = Self::new(replicas);
        world.lean = true;
        world.app = AppSecret::Present {
            sha256: "ab".repeat(32),
        };
        world.internal = Self::credentials(world.acl());
        Self::lean_objects(&[(names::CORE_TIER, 1 + replicas)], None, 0)
            .iter()
            .for_each(|object| world.write(object));
        world
    }

    /// The same with tiers: the name of each, the tier that it hangs on, and its pods.
    pub fn lean_with(replicas: i32, tiers: &[(&str, &str, i32)]) -> Self {
        let mut world = Self::lean(replicas);
        let tier = |(name, from, replicas): &(&str, &str, i32)| TierSpec {
            from: (*from).to_owned(),
            replicas: *replicas,
            ..TierSpec::new(*name)
        };
        world.cluster.spec.tiers = tiers.iter().map(tier).collect();
        let pods: Vec<_> = tiers.iter().map(|(name, _, replicas)| (*name, *replicas)).collect();
        let objects = Self::lean_objects(&pods, None, 0);
        let sets = objects.iter().filter(|object| object.id.kind == "StatefulSet");
        sets.for_each(|object| world.write(object));
        world
    }

    /// StatefulSets and VIP, as far as roles depend on them.
    pub fn lean_objects(tiers: &[(&str, i32)], master: Option<&str>, epoch: i64) -> Vec<Object> {
        let object = |kind, name: String, body| Object {
            id: ObjectId { kind, name },
            body,
            manager: names::manager::OBJECTS,
            uid: None,
            resource_version: None,
        };
        let selector = json!({names::label::POD_NAME: master.unwrap_or(names::NOBODY)});
        let annotations = json!({names::annotation::EPOCH: epoch.to_string()});
        let sets = tiers.iter().map(|(tier, pods)| {
            let name = names::stateful_set(SET, tier);
            object("StatefulSet", name, json!({"spec": {"replicas": pods}}))
        });
        let vip = json!({"metadata": {"annotations": annotations}, "spec": {"selector": selector}});
        sets.chain([object("Service", SET.to_owned(), vip)]).collect()
    }

    /// The aclfile as it should be, for a Secret that is there from the beginning.
    pub fn acl(&self) -> String {
        let hash = |secret: &crate::model::secret::Secret| acl::PasswordHash::from_sha256(&secret.sha256_hex());
        let of = |text: &[u8]| hash(&crate::model::secret::Secret::new(text));
        let application = match &self.app {
            AppSecret::Present { sha256 } => Some(acl::PasswordHash::from_sha256(sha256)),
            AppSecret::Unknown | AppSecret::Absent | AppSecret::Unusable(_) => None,
        };
        let hashes = acl::Hashes {
            operator: of(b"operator"),
            probe: of(b"probe"),
            application,
        };
        acl::file(&self.cluster, &hashes).unwrap()
    }
}
