//! `cargo testbed`: a real Kubernetes on one machine. Parses the command line and prints; the library works.

/// Prints a line; a reader that has gone, as in `status | head -1`, is no reason to panic.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

mod selftest;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use testbed::{Error, Options, Places, Result, Testbed, without_package};

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
    /// Bring an image to every node: a docker-archive, or the name of an image that buildah or docker has here.
    Load {
        /// A file, or a name such as app:1.
        image: String,
    },
    /// Build an image from this repository and bring it to every node, now and at every later `up`.
    Image {
        /// Which one.
        which: Which,
        /// Cargo's profile: `dev` builds in a fraction of the time, for trying something out.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Print a program's log: kube-apiserver, audit, n1-kubelet, ...; without a name, list them.
    Logs {
        /// Name of the log.
        component: Option<String>,
        /// Go on as it grows.
        #[arg(short, long)]
        follow: bool,
    },
    /// Write logs, objects and every Redis's INFO into a directory.
    Collect {
        /// The directory; made if it is missing.
        directory: PathBuf,
    },
    /// Measure the operator on the running cluster: `bench failover --help`. The program is `bench` of tests/cluster.
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Try the testbed's promises on a testbed of its own, beside the one that may be up.
    Selftest,
    /// Do something to a node.
    Node {
        /// n1, n2, ...
        name: String,
        /// What to do.
        action: Action,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Operator,
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
            tell!(
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
        Verb::Exec { command } => exec(&command),
        Verb::Load { image } => Testbed::attach()?
            .load(&image)
            .map(|name| tell!("{name} is on every node")),
        Verb::Image {
            which: Which::Operator,
            profile,
        } => {
            Testbed::watch_signals();
            Testbed::build_operator_image(&profile).map(|name| tell!("{name}"))
        }
        Verb::Logs { component, follow } => logs(component.as_deref(), follow),
        Verb::Collect { directory } => Testbed::attach()?.collect(&directory),
        Verb::Bench { arguments } => bench(arguments),
        Verb::Selftest => selftest::run(),
        Verb::Node { name, action } => node(&name, action),
    }
}

fn exec(words: &[String]) -> Result<()> {
    let testbed = Testbed::attach()?;
    testbed.enter()?;
    let source = without_package(&mut Command::new(&words[0]))
        .args(&words[1..])
        .envs(testbed.environment())
        .exec();
    Err(Error::Io {
        what: "run",
        path: words[0].clone().into(),
        source,
    })
}

/// The program is built here, with a network, and run in the cluster's, where the VIP is.
fn bench(arguments: Vec<String>) -> Result<()> {
    let io = |source| Error::Io {
        what: "run",
        path: "cargo".into(),
        source,
    };
    let package = ["--quiet", "--locked", "--package", "cluster-tests", "--bin", "bench"];
    let mut build = Command::new("cargo");
    let built = without_package(&mut build)
        .arg("build")
        .args(package)
        .status()
        .map_err(io)?;
    if !built.success() {
        return Err(Error::Unsuitable("the benchmark could not be built".into()));
    }
    let run = ["cargo", "run", "--offline"].into_iter().chain(package).chain(["--"]);
    exec(&run.map(str::to_owned).chain(arguments).collect::<Vec<_>>())
}

fn logs(component: Option<&str>, follow: bool) -> Result<()> {
    let places = Places::from_env()?;
    let directory = places.state.join("log");
    let file = component.map(|name| places.log(name)).filter(|file| file.exists());
    let Some(file) = file else {
        let entries = std::fs::read_dir(&directory).map_err(|source| Error::Io {
            what: "read",
            path: directory.clone(),
            source,
        })?;
        let names = entries.flatten().map(|entry| entry.path());
        let mut names: Vec<_> = names
            .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        let list = names.join(" ");
        return match component {
            None => {
                tell!("{list}");
                Ok(())
            }
            Some(name) => Err(Error::Unsuitable(format!("there is no log {name}; there are: {list}"))),
        };
    };
    let mut tail = Command::new("tail");
    tail.args(["-n", "+1"]).args(follow.then_some("-F"));
    let source = tail.arg(&file).exec();
    Err(Error::Io {
        what: "run",
        path: "tail".into(),
        source,
    })
}

fn status() -> Result<()> {
    let testbed = Testbed::attach()?;
    for name in Testbed::components() {
        let state = testbed
            .process(name)
            .map_or_else(|_| "off".to_owned(), |pid| format!("on (pid {pid})"));
        tell!("{name:<26} {state}");
    }
    for node in testbed.nodes()? {
        tell!("{:<26} {} ({})", node.name(), node.state(), node.address());
    }
    tell!("{:<26} cargo testbed exec -- kubectl get nodes", "try");
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
