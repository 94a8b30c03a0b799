//! A stock Sentinel deployment to compare with: three Redis and three Sentinels on the same image, as Redis's own
//! documentation sets them up, and clients that ask a Sentinel for the master at every connection.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_tests::client::{Login, NUMBERS};
use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::Stamp;
use cluster_tests::wait::{Look, until};
use redis::{Connection, ErrorKind, RedisError};
use serde_json::json;
use testbed::Signal;

use crate::figures::Measured;
use crate::load::{self, Connect, Load};

/// Settings of `down-after-milliseconds` to compare with: below the first it flaps.
pub const DOWN_AFTER: [u32; 2] = [500, 1000];
const STEADY: Duration = Duration::from_secs(120);
const MASTER: &str = "bench";
const PORT: u16 = 26379;

/// The deployment.
pub struct Sentinel {
    cluster: Cluster,
    namespace: String,
    /// Pods of the Redis by address.
    servers: BTreeMap<String, String>,
    sentinels: Vec<String>,
}

impl Sentinel {
    pub fn create(cluster: &Cluster) -> Outcome<Self> {
        let namespace = cluster.namespace("bench-sentinel")?;
        let mut all = Self {
            cluster: cluster.clone(),
            namespace,
            servers: BTreeMap::new(),
            sentinels: Vec::new(),
        };
        let nodes = cluster.testbed.nodes()?;
        let mut first = None;
        for (number, node) in nodes.iter().take(3).enumerate() {
            let mut conf = "dir /data\nappendonly yes\nprotected-mode no\n".to_owned();
            if let Some(first) = &first {
                conf += &format!("replicaof {first} 6379\n");
            }
            let pod = format!("redis-{number}");
            let address = all.start(&pod, node.name(), &conf, "")?;
            first.get_or_insert(address.clone());
            all.servers.insert(address, pod);
        }
        let first = first.context("the cluster has no node")?;
        for (number, node) in nodes.iter().take(3).enumerate() {
            let conf = format!(
                "dir /data\nprotected-mode no\nsentinel monitor {MASTER} {first} 6379 2\n\
                 sentinel down-after-milliseconds {MASTER} {}\nsentinel failover-timeout {MASTER} 10000\n\
                 sentinel parallel-syncs {MASTER} 2\n",
                DOWN_AFTER[0]
            );
            let address = all.start(&format!("sentinel-{number}"), node.name(), &conf, "--sentinel")?;
            all.sentinels.push(address);
        }
        all.wait_steady()?;
        Ok(all)
    }

    pub fn remove(self) -> Outcome {
        self.cluster.remove_namespace(&self.namespace)
    }

    /// A pod with this configuration, which its server rewrites; its address. The file outlives a killed container.
    fn start(&self, name: &str, node: &str, conf: &str, argument: &str) -> Outcome<String> {
        let script = format!(
            "[ -f /data/own.conf ] || printf '%s' \"$CONF\" > /data/own.conf; exec redis-server /data/own.conf {argument}"
        );
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "fsGroup": 999,
                    "seccompProfile": {"type": "RuntimeDefault"}
                },
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [{
                    "name": "redis",
                    "image": "redis:8.0",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "env": [{"name": "CONF", "value": conf}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
                }]
            }
        });
        self.cluster.kubernetes.create("pods", &self.namespace, &object)?;
        until(format_args!("pod {name} to run"), STEADY, || {
            let pod = self.cluster.kubernetes.get("pods", &self.namespace, name)?;
            let runs = pod["status"]["containerStatuses"][0]["ready"] == true;
            let address = pod["status"]["podIP"].as_str().filter(|_| runs).map(str::to_owned);
            Ok(Look::some(address, &pod["status"]))
        })
    }

    /// One kill of the master under load.
    pub fn round(&self, down_after: u32) -> Outcome<Measured> {
        self.set_down_after(down_after)?;
        let master = self.wait_steady()?;
        let mut at_master = self.connect()().context("connect before the round")?;
        let () = redis::cmd("DEL").arg(NUMBERS).query(&mut at_master)?;
        let load = Load::start(&self.connect(), 1)?;
        let pod = self.servers.get(&master).context("the master is none of the pods")?;
        let struck = Stamp::now();
        self.cluster
            .testbed
            .signal_redis(&self.namespace, pod, Signal::SIGKILL)?;
        load.wait_served(STEADY)?;
        let now = self.wait_steady()?;
        // It may tell nothing of what it lost.
        let seen = load.stop(struck, || login(&now).numbers(), Some(0))?;
        Ok(Measured {
            fault: format!("Sentinel {down_after} ms, kill -9"),
            sentinel: true,
            gap: seen.gap,
            kept_gap: seen.kept_gap,
            acknowledged: seen.acknowledged,
            lost: seen.lost,
            confirmed: seen.confirmed,
            confirmed_lost: seen.confirmed_lost,
            full_resyncs: None,
            reports: Vec::new(),
            findings: seen.findings,
        })
    }

    fn connect(&self) -> impl Connect + use<> {
        let sentinels = self.sentinels.clone();
        move || {
            let (connect, answer) = load::deadlines();
            let told = sentinels.iter().find_map(|address| address_of_master(address).ok());
            let no_answer = || RedisError::from((ErrorKind::Io, "no Sentinel names a master"));
            login(&told.ok_or_else(no_answer)?).connect_within(6379, connect, answer)
        }
    }

    fn set_down_after(&self, down_after: u32) -> Outcome {
        for address in &self.sentinels {
            let mut command = redis::cmd("SENTINEL");
            command
                .arg("SET")
                .arg(MASTER)
                .arg("down-after-milliseconds")
                .arg(down_after);
            let () = command.query(&mut sentinel(address)?)?;
        }
        Ok(())
    }

    /// The master, when every Sentinel names it, finds nothing wrong with it or its two replicas, and they are in sync.
    fn wait_steady(&self) -> Outcome<String> {
        until("a Sentinel deployment in which all agree", STEADY, || {
            let mut named: Vec<String> = Vec::new();
            for address in &self.sentinels {
                let mut connection = sentinel(address)?;
                let ask = |verb: &str| {
                    let mut command = redis::cmd("SENTINEL");
                    command.arg(verb).arg(MASTER);
                    command
                };
                let master: BTreeMap<String, String> = ask("MASTER").query(&mut connection)?;
                let replicas: Vec<BTreeMap<String, String>> = ask("REPLICAS").query(&mut connection)?;
                let others: Vec<BTreeMap<String, String>> = ask("SENTINELS").query(&mut connection)?;
                let flags = |of: &BTreeMap<String, String>| of.get("flags").cloned().unwrap_or_default();
                let linked = |of: &&BTreeMap<String, String>| {
                    flags(of) == "slave" && of.get("master-link-status").is_some_and(|link| link == "ok")
                };
                let steady = flags(&master) == "master"
                    && replicas.iter().filter(linked).count() == 2
                    && others.iter().filter(|other| flags(other) == "sentinel").count() == 2;
                ensure!(steady, "{address}: {} {replicas:?}", flags(&master));
                named.push(master.get("ip").cloned().unwrap_or_default());
            }
            named.dedup();
            let [one] = named.as_slice() else {
                return Ok(Look::NotYet(format!("the Sentinels name {named:?}")));
            };
            let info: String = redis::cmd("INFO")
                .arg("replication")
                .query(&mut login(one).connect()?)?;
            let in_sync = info.contains("role:master") && info.matches("state=online").count() == 2;
            Ok(Look::some(in_sync.then(|| one.clone()), info))
        })
    }
}

fn login(address: &str) -> Login {
    Login {
        host: address.into(),
        user: String::new(),
        password: String::new(),
    }
}

fn sentinel(address: &str) -> Result<Connection, RedisError> {
    let (connect, answer) = load::deadlines();
    login(address).connect_within(PORT, connect, answer)
}

fn address_of_master(sentinel_address: &str) -> Result<String, RedisError> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER);
    let (address, _port): (String, String) = command.query(&mut sentinel(sentinel_address)?)?;
    Ok(address)
}
