//! `cargo testbed bench`: how long nobody takes writes when a master dies, hangs, is lost or hands over; beside a stock
//! Redis Sentinel deployment on the same cluster. docs/benchmarks.md has the figures and how to repeat them.

mod figures;
mod load;
mod ours;
mod sentinel;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use cluster_tests::cluster::Cluster;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::fault::Fault;
use figures::Figures;
use ours::Ours;
use sentinel::Sentinel;

/// Rounds of a fault that is waited for, or of Sentinel: beyond these a percentile says little more than a maximum.
const SLOW_ROUNDS: u32 = 20;

/// Measures the operator that is installed on the running cluster.
#[derive(Parser)]
#[command(name = "cargo testbed bench", bin_name = "cargo testbed bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The write gap that a client of the VIP sees, writes lost and full resyncs, fault by fault, in turns.
    Failover(Failover),
}

#[derive(Args)]
struct Failover {
    /// Rounds of kill -9 and of switchover; of each of the others as many, but at most 20.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these faults, by comma.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Also kill the master of a stock Sentinel deployment, at down-after 500 and 1000 ms, in turn with ours.
    #[arg(long)]
    sentinel: bool,
    /// Write every round into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let What::Failover(failover) = Arguments::parse().what;
    let mut figures = Figures::default();
    let result = failover.measure(&mut figures);
    println!("{}", figures.table());
    let written = failover.json.as_ref().map_or(Ok(()), |file| figures.save(file));
    let findings = figures.findings();
    for finding in &findings {
        eprintln!("bench: {finding}");
    }
    if let Some(failure) = result.err().or(written.err()) {
        eprintln!("bench: {failure}");
        return ExitCode::FAILURE;
    }
    if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Failover {
    /// In turns, so that a slow minute of the machine hits all. Nodes are lost last: Sentinel's pods know each other by
    /// address, which a reboot changes.
    fn measure(&self, figures: &mut Figures) -> Outcome {
        let cluster = Cluster::attach()?;
        let ours = Ours::create(&cluster)?;
        let sentinel = self.sentinel.then(|| Sentinel::create(&cluster)).transpose()?;
        let picked = |fault: &&Fault| self.faults.is_empty() || self.faults.contains(fault);
        let (nodes, light): (Vec<Fault>, Vec<Fault>) =
            Fault::ALL.iter().filter(picked).partition(|fault| fault.takes_a_node());
        for round in 0..self.rounds {
            self.ours(&ours, &light, round, figures)?;
            if let Some(sentinel) = sentinel.as_ref().filter(|_| round < SLOW_ROUNDS) {
                for down_after in sentinel::DOWN_AFTER {
                    let measured = sentinel.round(down_after);
                    figures.add(measured.context(format_args!("Sentinel, round {round}"))?);
                }
            }
        }
        if let Some(sentinel) = sentinel {
            sentinel.remove()?;
        }
        for round in 0..self.rounds {
            self.ours(&ours, &nodes, round, figures)?;
        }
        ours.remove()
    }

    fn ours(&self, ours: &Ours, faults: &[Fault], round: u32, figures: &mut Figures) -> Outcome {
        for fault in faults.iter().filter(|fault| fault.is_quick() || round < SLOW_ROUNDS) {
            let measured = ours.round(*fault, round);
            figures.add(measured.context(format_args!("{}, round {round}", fault.name()))?);
        }
        Ok(())
    }
}
