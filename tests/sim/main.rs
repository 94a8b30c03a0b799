//! The real controller in a world in memory, with every effect numbered and a fault at each of them.
//!
//! For every scenario the run without fault gives the effects and the end. Then, for each effect and each kind of fault,
//! the same scenario is run with that one fault, and must end as the one without. Time is virtual: a minute takes
//! milliseconds. All runs share one runtime, since the operator's clock never goes back.
//!
//! `cargo test` tries a crash after each effect of Found and every fault at each of Kill; `make sim` tries everything.
//! A failure names the run, and `SIM=Kill/17/lost-reply cargo test --test sim -- --nocapture` repeats just that one;
//! `SIM_LOG=debug` adds the operator's log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

mod api;
mod application;
mod apply;
mod effects;
mod end;
mod kubernetes;
mod operator;
mod redis;
mod resp;
mod run;
mod scenario;
mod store;
mod streams;
mod wire;
mod world;

use std::time::Instant;

use effects::{Fault, Kind};
use run::{Run, run};
use scenario::Scenario;
use world::World;

#[test]
fn a_fault_at_any_effect_changes_nothing_in_the_end() {
    log();
    if std::env::var_os("SIM_PART").is_none() {
        return side_by_side();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let failed = runtime.unwrap().block_on(all(&Choice::of_environment()));
    assert!(failed == 0, "{failed} runs failed, see above");
}

/// The runs in as many processes as there are processors: the operator's clock is one for a process.
fn side_by_side() {
    let parts = std::thread::available_parallelism().map_or(1, usize::from);
    let name = std::thread::current().name().expect("a test has a name").to_owned();
    let start = |part: usize| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args([&name, "--exact", "--nocapture"])
            .env("SIM_PART", format!("{part}/{parts}"));
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..parts).map(start).collect();
    let failed = processes
        .into_iter()
        .filter_map(|mut process| (!process.wait().unwrap().success()).then_some(()));
    assert_eq!(failed.count(), 0, "runs failed, see above");
}

/// Which runs are made.
struct Choice {
    /// Name, number and fault, by slashes, as far as they are given.
    only: String,
    /// Which of how many parts, for as many processes side by side.
    part: (usize, usize),
}

impl Choice {
    fn of_environment() -> Self {
        let part = std::env::var("SIM_PART").unwrap_or_else(|_| "0/1".into());
        let (part, parts) = part.split_once('/').expect("SIM_PART=0/2");
        Self {
            only: std::env::var("SIM").unwrap_or_default(),
            part: (part.parse().unwrap(), parts.parse().unwrap()),
        }
    }

    /// The faults that are tried: without a choice those that are tried always.
    fn kinds(&self, scenario: &Scenario) -> impl Iterator<Item = Kind> + use<> {
        let kinds = if self.only.is_empty() {
            scenario.always
        } else {
            &Kind::ALL
        };
        kinds.iter().copied()
    }

    /// Whether a run is wanted, by its name and its place among all of its scenario.
    fn has(&self, run: &str, place: usize) -> bool {
        let given = self.only.split('/').filter(|word| !matches!(*word, "" | "all"));
        place % self.part.1 == self.part.0 && given.zip(run.split('/')).all(|(given, word)| given == word)
    }
}

async fn all(choice: &Choice) -> usize {
    let (founded, mut failed) = faults(&World::default(), &scenario::FOUND, choice).await;
    let chosen = |s: &&Scenario| choice.has(s.name, choice.part.0) && choice.kinds(s).next().is_some();
    for scenario in scenario::ALL.iter().filter(chosen) {
        failed += faults(&founded, scenario, choice).await.1;
    }
    failed
}

/// Runs a scenario without fault, then with each; gives the world after it, and how many runs failed.
async fn faults(before: &World, scenario: &Scenario, choice: &Choice) -> (World, usize) {
    let (began, name) = (Instant::now(), scenario.name);
    let clean = run(before, scenario, None, None).await;
    let (mut runs, mut failed) = (0, 0);
    let mut judge = |this: &str, effect: &str, run: &Run| {
        if !run.problems.is_empty() {
            failed += 1;
            eprintln!("SIM={this} ({effect}):\n  {}", run.problems.join("\n  "));
        }
    };
    judge(name, "without fault", &clean);
    for (number, effect) in clean.effects.iter().enumerate() {
        for (at, kind) in choice.kinds(scenario).enumerate() {
            let this = format!("{name}/{number}/{}", kind.name());
            if choice.has(&this, number * Kind::ALL.len() + at) {
                runs += 1;
                let effect = effect.clone();
                let run = run(before, scenario, Some(Fault { effect, kind }), Some(&clean.end)).await;
                judge(&this, &clean.effects[number].to_string(), &run);
            }
        }
    }
    let effects = clean.effects.len();
    eprintln!(
        "{name}: {effects} effects, {runs} runs with a fault, {failed} failed, {:.1?}",
        began.elapsed()
    );
    (clean.world, failed)
}

fn log() {
    let Ok(level) = std::env::var("SIM_LOG") else { return };
    let filter = tracing_subscriber::EnvFilter::new(level);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let _ = log.try_init();
}
