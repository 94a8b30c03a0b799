//! What Kubernetes does by itself: the StatefulSet's pods and claims, containers, EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis_operator::model::redis::NOWHERE;
use redis_operator::names::{self, label};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::redis::{Link, Process, Role, User, Write};
use crate::scenario::IMMUTABLE;
use crate::store::{Key, key};
use crate::world::{NAMESPACE, SET, World, stamp};

/// From a pod's birth to its container.
const START: Duration = Duration::from_millis(100);
/// From a container's end to the next one.
const RESTART: Duration = Duration::from_millis(500);
/// How long the preStop hook holds a deleted pod.
const PRE_STOP: Duration = Duration::from_secs(10);

/// What a server has where redis.conf says nothing.
const DEFAULTS: [(&str, &str); 2] = [("maxmemory-policy", "noeviction"), (IMMUTABLE, "1")];

/// What a kubelet knows of a pod.
#[derive(Clone, Debug)]
pub struct Sandbox {
    uid: String,
    pub ip: String,
    pub container: Container,
    restarts: u32,
    ends: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Container {
    Starts(Instant),
    Runs,
}

impl World {
    pub fn kubernetes(&mut self) {
        let now = Instant::now();
        let due = |sandbox: &Sandbox| match sandbox.container {
            Container::Starts(at) => at <= now,
            Container::Runs => sandbox.ends.is_some_and(|ends| ends <= now),
        };
        if self.seen == self.store.version() && !self.sandboxes.values().any(due) {
            return;
        }
        self.seen = self.store.version();
        self.stateful_set();
        self.kubelet();
        self.endpoints();
    }

    fn stateful_set(&mut self) {
        let at = key("statefulsets", NAMESPACE, SET);
        let Some(set) = self.store.get(&at).cloned() else {
            return;
        };
        let wanted = set["spec"]["replicas"].as_u64().unwrap_or(0);
        let template = &set["spec"]["template"];
        let revision = hex::encode(Sha256::digest(template.to_string()))[..10].to_owned();
        let ordinals: BTreeSet<u64> = self.ordinals().into_iter().chain(0..wanted).collect();
        for ordinal in ordinals {
            let name = format!("{SET}-{ordinal}");
            let pod = key("pods", NAMESPACE, &name);
            if ordinal >= wanted {
                let _ = self.store.delete(&pod, None);
            } else if self.store.get(&pod).is_none() {
                self.make_claim(&name, &set);
                let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": SET, "uid": set["metadata"]["uid"], "controller": true}]);
                let mut metadata = template["metadata"].clone();
                metadata["ownerReferences"] = owner;
                metadata["labels"][label::POD_NAME] = json!(name);
                metadata["labels"][label::POD_REVISION] = json!(revision);
                let spec = json!({"nodeName": format!("node-{ordinal}"), "containers": [], "volumes": template["spec"]["volumes"]});
                let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}});
                let _ = self.store.create(&pod, object);
            }
        }
        self.store.edit(&at, |set| {
            set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
            set["status"]["replicas"] = json!(wanted);
            set["status"]["updateRevision"] = json!(revision);
        });
    }

    fn ordinals(&self) -> Vec<u64> {
        let ordinal = |(key, _): (&Key, &Value)| names::ordinal(SET, &key.name).map(u64::from);
        self.store.of("pods").filter_map(ordinal).collect()
    }

    fn make_claim(&mut self, pod: &str, set: &Value) {
        let at = key("persistentvolumeclaims", NAMESPACE, &names::claim(pod));
        let template = &set["spec"]["volumeClaimTemplates"][0];
        let object = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"labels": template["metadata"]["labels"]}, "spec": template["spec"],
            "status": {"phase": "Bound", "capacity": template["spec"]["resources"]["requests"]},
        });
        let _ = self.store.create(&at, object);
    }

    fn kubelet(&mut self) {
        let now = Instant::now();
        let pods: Vec<(Key, Value)> = self
            .store
            .of("pods")
            .map(|(key, pod)| (key.clone(), pod.clone()))
            .collect();
        for (key, pod) in &pods {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            if self.sandboxes.get(&key.name).is_none_or(|sandbox| sandbox.uid != uid) {
                self.addresses += 1;
                let sandbox = Sandbox {
                    uid: uid.to_owned(),
                    ip: format!("10.0.0.{}", self.addresses),
                    container: Container::Starts(now + START),
                    restarts: 0,
                    ends: None,
                };
                self.sandboxes.insert(key.name.clone(), sandbox);
            }
            let deleted = !pod["metadata"]["deletionTimestamp"].is_null();
            let sandbox = &self.sandboxes[&key.name];
            match (&sandbox.container, deleted, sandbox.ends) {
                (Container::Starts(_), true, _) => self.pod_ends(key),
                (Container::Runs, true, Some(ends)) if ends <= now => self.pod_ends(key),
                (Container::Runs, true, None) => self.sandbox(&key.name).ends = Some(now + PRE_STOP),
                (Container::Starts(at), false, _) if *at <= now => self.start(key, pod),
                _ => {}
            }
            self.readiness(key);
        }
    }

    fn sandbox(&mut self, pod: &str) -> &mut Sandbox {
        self.sandboxes.get_mut(pod).expect("every pod has one")
    }

    fn pod_ends(&mut self, key: &Key) {
        self.process_ends(&key.name);
        self.sandboxes.remove(&key.name);
        self.store.remove(key);
    }

    /// The process of a pod ends at once; its volume keeps what it wrote.
    fn process_ends(&mut self, pod: &str) {
        let Some(ip) = self.sandboxes.get(pod).map(|sandbox| sandbox.ip.clone()) else {
            return;
        };
        if let Some(process) = self.redis.remove(&ip) {
            self.volumes.insert(pod.to_owned(), process.data);
            self.hang_up(&process.run_id);
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self, pod: &str) {
        self.process_ends(pod);
        let at = Instant::now() + RESTART;
        let sandbox = self.sandbox(pod);
        sandbox.container = Container::Starts(at);
        sandbox.restarts += 1;
        let restarts = sandbox.restarts;
        self.store.edit(&key("pods", NAMESPACE, pod), |object| {
            let ended = json!({"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": stamp()}});
            object["status"]["containerStatuses"] = json!([{
                "name": names::CONTAINER, "ready": false, "restartCount": restarts, "image": "", "imageID": "",
                "state": ended, "lastState": ended,
            }]);
        });
    }

    fn start(&mut self, key: &Key, pod: &Value) {
        let Some(process) = self.boot(&key.name, pod) else {
            return;
        };
        let sandbox = self.sandbox(&key.name);
        sandbox.container = Container::Runs;
        let (ip, restarts) = (sandbox.ip.clone(), sandbox.restarts);
        self.redis.insert(ip.clone(), process);
        self.store.edit(key, |pod| {
            pod["status"]["phase"] = json!("Running");
            pod["status"]["podIP"] = json!(ip);
            let last = pod["status"]["containerStatuses"][0]["lastState"].clone();
            pod["status"]["containerStatuses"] = json!([{
                "name": names::CONTAINER, "ready": true, "restartCount": restarts, "image": "", "imageID": "",
                "state": {"running": {"startedAt": stamp()}},
                "lastState": if last.is_null() { json!({}) } else { last },
            }]);
        });
    }

    /// A process as its files have it; nothing while they are not there.
    fn boot(&mut self, pod: &str, object: &Value) -> Option<Process> {
        let sources = object["spec"]["volumes"]
            .as_array()?
            .iter()
            .flat_map(|v| v["projected"]["sources"].as_array());
        let file = sources
            .flatten()
            .find_map(|source| source["configMap"]["name"].as_str())?;
        let conf = self.store.get(&key("configmaps", NAMESPACE, file))?["data"][names::CONF_KEY].as_str()?;
        let secret = self
            .store
            .get(&key("secrets", NAMESPACE, &names::internal_secret(SET)))?;
        let users = plain(secret["data"][names::internal_key::ACL].as_str()?);
        let defaults = DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut config = BTreeMap::from(defaults);
        config.extend(conf.lines().filter_map(directive));
        let announced = names::dns(SET, NAMESPACE, pod);
        config.insert("replica-announce-ip".into(), announced.clone());
        let data: Vec<Write> = self.volumes.get(pod).cloned().unwrap_or_default();
        let users = users.lines().filter_map(user).collect();
        Some(Process {
            pod: pod.to_owned(),
            announced,
            run_id: self.fresh("run"),
            role: Role::Follows {
                ip: NOWHERE.0.into(),
                link: Link::Down,
            },
            replid: self.fresh("replid"),
            before: None,
            offset: 1,
            data,
            config,
            users,
            children: BTreeMap::new(),
            clients: BTreeMap::new(),
            killed: BTreeSet::new(),
            rewrites: None,
            syncs: (0, 0, 0),
        })
    }

    fn readiness(&mut self, key: &Key) {
        let runs = self
            .sandboxes
            .get(&key.name)
            .is_some_and(|sandbox| sandbox.container == Container::Runs);
        let gate = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions
                .iter()
                .any(|c| c["type"] == names::READINESS_GATE && c["status"] == "True")
        };
        let Some(ready) = self.store.get(key).map(|pod| runs && gate(pod)) else {
            return;
        };
        self.store.edit(key, |pod| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let others = conditions.into_iter().filter(|c| c["type"] != "Ready");
            let own = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
            pod["status"]["conditions"] = others.chain([own]).collect();
        });
    }

    /// EndpointSlices follow the Services and their pods.
    fn endpoints(&mut self) {
        let services: Vec<(Key, Value)> = self
            .store
            .of("services")
            .map(|(key, s)| (key.clone(), s.clone()))
            .collect();
        for (service, object) in services {
            let selector = object["spec"]["selector"].as_object().cloned().unwrap_or_default();
            let unready = object["spec"]["publishNotReadyAddresses"] == true;
            let selected = |pod: &Value| {
                selector
                    .iter()
                    .all(|(label, value)| pod["metadata"]["labels"][label] == *value)
            };
            let ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
            };
            let shown = |pod: &Value| pod["status"]["podIP"].is_string() && selected(pod) && (unready || ready(pod));
            let endpoint = |(key, pod): (&Key, &Value)| json!({"addresses": [pod["status"]["podIP"]], "targetRef": {"kind": "Pod", "name": key.name}});
            let endpoints: Vec<Value> = self
                .store
                .of("pods")
                .filter(|(_, pod)| shown(pod))
                .map(endpoint)
                .collect();
            let mut labels = object["metadata"]["labels"].clone();
            labels["kubernetes.io/service-name"] = json!(service.name);
            let at = key("endpointslices", &service.namespace, &format!("{}-x", service.name));
            let _ = self.store.create(&at, json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": []}));
            self.store.edit(&at, |slice| {
                slice["metadata"]["labels"] = labels;
                slice["endpoints"] = json!(endpoints);
            });
        }
    }

    /// Pods that a Service leads to.
    pub fn behind(&self, service: &str) -> Vec<String> {
        let slice = self
            .store
            .get(&key("endpointslices", NAMESPACE, &format!("{service}-x")));
        let endpoints = slice
            .and_then(|slice| slice["endpoints"].as_array().cloned())
            .unwrap_or_default();
        endpoints
            .iter()
            .filter_map(|e| e["targetRef"]["name"].as_str().map(str::to_owned))
            .collect()
    }
}

fn directive(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(' ')?;
    let words = value
        .split('"')
        .enumerate()
        .filter(|(at, _)| at % 2 == 1)
        .map(|(_, word)| word);
    (!name.starts_with('#')).then(|| (name.to_owned(), words.collect::<Vec<_>>().join(" ")))
}

fn user(line: &str) -> Option<(String, User)> {
    let mut words = line.strip_prefix("user ")?.split_whitespace();
    let name = words.next()?.to_owned();
    let mut user = User::default();
    words.for_each(|rule| user.rule(rule));
    Some((name, user))
}

/// The text of a value in a Secret.
pub fn plain(value: &str) -> String {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(value)).unwrap();
    String::from_utf8_lossy(&bytes.0).into_owned()
}
