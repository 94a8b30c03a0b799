//! The operator as its binary wires it, for one life.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::runtime::events::{Recorder, Reporter};
use redis_operator::controller::{self, Leader};
use redis_operator::lease::{Keeper, Timing};
use redis_operator::metrics::Metrics;
use redis_operator::names;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::wire::Network;
use crate::world::Sim;

/// As the binary's defaults.
const TIMING: Timing = Timing {
    duration: Duration::from_secs(4),
    renew_period: Duration::from_secs(1),
    hold: Duration::from_millis(2500),
};

/// Begins a life; it ends when this is dropped.
pub fn start(sim: &Sim) -> JoinSet<()> {
    let life = sim.world().begin_life();
    let client = api::client(sim, life);
    let identity = format!("operator-{life}");
    let leases = Api::namespaced(client.clone(), "operators");
    let (keeper, leadership) = Keeper::new(leases, "redis-operator".into(), identity.clone(), TIMING);
    let reporter = Reporter {
        controller: names::REPORTER.into(),
        instance: Some(identity),
    };
    let network = Network { sim: sim.clone(), life };
    let leader = Leader {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        namespaces: Vec::new(),
        watch_nodes: true,
        leadership,
        dial: Arc::new(network),
        metrics: Metrics::new(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.run(CancellationToken::new()));
    tasks.spawn(controller::run(leader, CancellationToken::new()));
    tasks
}
