//! One run: a world, what happens in it, one fault or none, and how it ends.

use std::time::Duration;

use redis_operator::redis::clock;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::effects::{Effect, Fault};
use crate::operator;
use crate::scenario::{Keeps, Scenario, set};
use crate::world::{Sim, TICK, World};

/// Without an effect for this long a run without fault is at its end: longer than a deleted pod is held.
const QUIET: Duration = Duration::from_secs(14);
/// ... and one with a fault, whose end is known: longer than a delayed effect is on its way.
const QUIET_AFTER_FAULT: Duration = Duration::from_secs(3);
/// What is under way after the last thing that happened takes no longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the application writes after each thing that happens.
const WRITES: Duration = Duration::from_secs(3);

/// How long an operator takes to lead and to see a set as it is.
const LEADS: Duration = Duration::from_secs(2);
/// How often the end is compared.
const LOOK: Duration = Duration::from_secs(1);

/// How a run ended.
pub struct Run {
    pub effects: Vec<Effect>,
    pub world: World,
    pub end: Value,
    /// What is wrong with it, in sentences.
    pub problems: Vec<String>,
}

/// Runs a scenario in a copy of a world. `want` is the end of the run without fault.
pub async fn run(before: &World, scenario: &Scenario, fault: Option<Fault>, want: Option<&Value>) -> Run {
    whole_second().await;
    let sim = Sim::new(before.copy());
    let ticks = spawn_ticks(&sim);
    let mut operator = operator::start(&sim);
    if !scenario.founds() {
        sleep(LEADS).await;
    }
    {
        let mut world = sim.world();
        world.effects.counting = true;
        world.effects.fault = fault;
    }
    let (began, mut looked) = (Instant::now(), Instant::now());
    let mut acts = scenario.acts.iter();
    let mut writes_until = began;
    let mut next = acts.next();
    let problems = loop {
        if let Some(act) = next.filter(|_| next_may_happen(&sim, began == writes_until)) {
            act(&mut sim.world());
            writes_until = Instant::now() + WRITES.max(scenario.unseen);
            sim.world().application.writes = true;
            next = acts.next();
        }
        sleep(Duration::from_millis(200)).await;
        if sim.world().is_crashed() {
            operator = operator::start(&sim);
        }
        if writes_until < Instant::now() {
            sim.world().application.writes = false;
        }
        if next.is_none() && writes_until < Instant::now() && LOOK < looked.elapsed() {
            looked = Instant::now();
            let problems = judge(&sim.world(), scenario, want);
            if problems.as_ref().is_some_and(Vec::is_empty) {
                break Vec::new();
            }
            if LONGEST < writes_until.elapsed() {
                break problems.unwrap_or_else(|| vec!["is never quiet".into()]);
            }
        } else if LONGEST < writes_until.elapsed() {
            break vec!["what should happen next never could".into()];
        }
    };
    drop((operator, ticks));
    let mut world = sim.world();
    let effects = std::mem::take(&mut world.effects.made);
    let end = world.end();
    let broken = world.broken.clone();
    Run {
        effects,
        world: world.copy(),
        end,
        problems: [broken, problems].concat(),
    }
}

/// The first thing happens at once, each further one when the set has taken in the one before.
fn next_may_happen(sim: &Sim, first: bool) -> bool {
    let world = sim.world();
    let quiet = world
        .effects
        .last
        .is_some_and(|last| QUIET_AFTER_FAULT < last.elapsed());
    first || quiet && world.is_taken_in()
}

/// What is wrong now; nothing while something is under way.
fn judge(world: &World, scenario: &Scenario, want: Option<&Value>) -> Option<Vec<String>> {
    let quiet = if want.is_some() { QUIET_AFTER_FAULT } else { QUIET };
    if world.effects.last.is_none_or(|last| last.elapsed() < quiet) {
        return None;
    }
    let mut problems = Vec::new();
    if !world.is_taken_in() {
        problems.push("the set is not ready as spec has it".into());
    }
    if world.effects.fault.is_some() && !world.effects.hit {
        problems.push("the effect was never made".into());
    }
    let (kept, what) = match scenario.keeps {
        Keeps::Answered => (&world.application.acknowledged, "answered"),
        Keeps::Confirmed => (&world.application.confirmed, "confirmed"),
    };
    let lost = world.lost(kept);
    if !lost.is_empty() {
        problems.push(format!("{} {what} writes are lost: {lost:?}", lost.len()));
    }
    if let Some(want) = want {
        problems.extend(scenario.deviations(want, &world.end(), world.effects.fault.as_ref()));
    }
    Some(problems)
}

impl World {
    /// Whether status has what spec asks for.
    fn is_taken_in(&self) -> bool {
        let Some(set) = self.store.get(&set()) else {
            return false;
        };
        let conditions = set["status"]["conditions"].as_array();
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        let is = |of_status: &str, wanted: &Value| set["status"][of_status] == *wanted;
        let (generation, replicas) = (&set["metadata"]["generation"], &set["spec"]["replicas"]);
        ready && is("observedGeneration", generation) && is("readyReplicas", replicas)
    }
}

/// Objects have their times in whole seconds: every run begins at one.
async fn whole_second() {
    let past = clock::now().as_nanosecond().rem_euclid(1_000_000_000);
    sleep(Duration::from_nanos(1_000_000_000 - u64::try_from(past).unwrap_or(0))).await;
}

fn spawn_ticks(sim: &Sim) -> JoinSet<()> {
    let sim = sim.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            sleep(TICK).await;
            sim.world().tick();
        }
    });
    tasks
}
