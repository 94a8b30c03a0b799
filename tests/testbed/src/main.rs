//! `cargo testbed`: a real Kubernetes on one machine. Parses the command line and prints; the library works.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use testbed::{Error, Options, Result, Testbed};

/// A real Kubernetes on this machine: namespaces as nodes, no registry, no traffic outside.
#[derive(Parser)]
#[command(name = "cargo testbed", bin_name = "cargo testbed")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Bring the cluster up, or complete and reuse what runs. The first time builds Kubernetes.
    Up {
        /// Number of nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
    /// End everything and remove it; built programs and images stay in the cache.
    Down,
    /// Show the nodes and the programs of the control plane.
    Status,
    /// Run a command inside the cluster's network, with KUBECONFIG and kubectl, helm and redis-cli on the PATH.
    Exec {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Do something to a node.
    Node {
        /// n1, n2, ...
        name: String,
        /// What to do.
        action: Action,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    PowerOff,
    PowerOn,
    Cut,
    Heal,
    CutApi,
    HealApi,
    Pause,
    Resume,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Up { nodes } => {
            Testbed::watch_signals();
            Testbed::up(Options { nodes }).map(drop)
        }
        Verb::Down => {
            let there = Testbed::down()?;
            println!(
                "{}",
                if there {
                    "the testbed is gone"
                } else {
                    "there was no testbed"
                }
            );
            Ok(())
        }
        Verb::Status => status(),
        Verb::Exec { command } => {
            let source = Testbed::attach()?
                .command_in_cluster(&command[0])
                .args(&command[1..])
                .exec();
            Err(Error::Io {
                what: "run",
                path: command[0].clone().into(),
                source,
            })
        }
        Verb::Node { name, action } => node(&name, action),
    }
}

fn status() -> Result<()> {
    let testbed = Testbed::attach()?;
    for node in testbed.nodes()? {
        println!("{:<26} {:<12} {}", node.name(), node.address(), node.state());
    }
    Ok(())
}

fn node(name: &str, action: Action) -> Result<()> {
    let node = Testbed::attach()?.node(name)?;
    match action {
        Action::PowerOff => node.power_off(),
        Action::PowerOn => node.power_on(),
        Action::Cut => node.cut(),
        Action::Heal => node.heal(),
        Action::CutApi => node.cut_api(),
        Action::HealApi => node.heal_api(),
        Action::Pause => node.pause(),
        Action::Resume => node.resume(),
    }
}
