//! The `redis-operator` binary: `run` and `crds`.
//!
//! Parses and checks options, starts logging, the Lease, the HTTP endpoint and the loops, and ends them in order. A
//! wrong option is one sentence and exit code 2.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use kube::api::{Api, ListParams};
use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use redis_operator::api::{self, Period, RedisReplicaSet};
use redis_operator::controller::{self, Leader};
use redis_operator::http::{self, Readiness};
use redis_operator::lease::{Keeper, Timing};
use redis_operator::metrics::Metrics;
use redis_operator::redis::Tcp;
use redis_operator::{act, names, observe};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Operator for replicated Redis and Valkey on Kubernetes.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Run(Box<Options>),
    /// Prints the CustomResourceDefinition as YAML.
    Crds,
}

#[derive(Args)]
struct Options {
    /// Namespaces to watch, separated by commas; none means all.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Whether to look at nodes: a master leaves a node that is cordoned or shuts down before its pod is deleted.
    #[arg(long, env = "WATCH_NODES", action = ArgAction::Set, default_value_t = true)]
    watch_nodes: bool,
    /// Namespace of the Lease: the operator's own.
    #[arg(long, env = "LEASE_NAMESPACE")]
    lease_namespace: String,
    /// Name of the Lease.
    #[arg(long, env = "LEASE_NAME", default_value = "redis-operator")]
    lease_name: String,
    /// Name of this process among the operator's replicas: its pod's name.
    #[arg(long, env = "POD_NAME")]
    identity: String,
    /// How long a Lease that is not renewed excludes other operators.
    #[arg(long, env = "LEASE_DURATION", default_value = "4s")]
    lease_duration: Period,
    /// How often the Lease is renewed.
    #[arg(long, env = "RENEW_PERIOD", default_value = "1s")]
    renew_period: Period,
    /// How long after a renewal the holder still acts.
    #[arg(long, env = "HOLD", default_value = "2500ms")]
    hold: Period,
    /// Address of health, readiness and metrics.
    #[arg(long, env = "LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Form of the log.
    #[arg(long, env = "LOG_FORMAT", default_value = "json")]
    log_format: LogFormat,
    /// Least level that is logged.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Options {
    /// What no single option shows to be wrong.
    fn check(&self) -> Result<(), String> {
        let longest = act::API_CALL.max(act::REDIS_CALL);
        let (duration, renew, hold): (Duration, Duration, Duration) =
            (self.lease_duration.into(), self.renew_period.into(), self.hold.into());
        if hold + longest >= duration {
            return Err(format!(
                "--hold {} plus the longest call ({} s) must be less than --lease-duration {}",
                self.hold,
                longest.as_secs(),
                self.lease_duration
            ));
        }
        if renew + longest >= hold {
            return Err(format!(
                "--renew-period {} plus the longest call ({} s) must be less than --hold {}",
                self.renew_period,
                longest.as_secs(),
                self.hold
            ));
        }
        let named = |n: &str| {
            !n.is_empty()
                && n.len() <= 63
                && n.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = self.watch_namespaces.iter().find(|n| !seen.insert(*n)) {
            return Err(format!("--watch-namespaces names {twice} twice"));
        }
        match self.watch_namespaces.iter().find(|n| !named(n)) {
            Some(bad) => Err(format!("--watch-namespaces: {bad:?} is no name of a namespace")),
            None => Ok(()),
        }
    }

    fn timing(&self) -> Timing {
        Timing {
            duration: self.lease_duration.into(),
            renew_period: self.renew_period.into(),
            hold: self.hold.into(),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crds => match std::io::stdout().write_all(api::crd_yaml().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Command::Run(options) => match options.check() {
            Err(sentence) => {
                eprintln!("error: {sentence}");
                ExitCode::from(2)
            }
            Ok(()) => start(*options),
        },
    }
}

fn start(options: Options) -> ExitCode {
    log(&options);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ends");
            ExitCode::FAILURE
        }
    }
}

fn log(options: &Options) {
    let level = match options.log_level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "warn,redis_operator=debug",
        LogLevel::Trace => "info,redis_operator=trace",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
}

/// Why the process ends by itself.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("the API server's address or credentials were not found: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("no client for the API server: {0}")]
    Client(#[from] kube::Error),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("signals: {0}")]
    Signals(std::io::Error),
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

async fn run(options: Options) -> Result<(), Fatal> {
    let client = client().await?;
    let stop = CancellationToken::new();
    let metrics = Metrics::new();
    let ready = Readiness::default();
    let listen = options.listen;
    let server = tokio::spawn(http::serve(listen, ready.clone(), metrics.clone(), stop.clone()));
    let signal = tokio::spawn(stopped().map_err_signals());

    let leases = Api::namespaced(client.clone(), &options.lease_namespace);
    let (keeper, leadership) = Keeper::new(
        leases,
        options.lease_name.clone(),
        options.identity.clone(),
        options.timing(),
    );
    let reporter = Reporter {
        controller: names::REPORTER.into(),
        instance: Some(options.identity.clone()),
    };
    let leader = Leader {
        recorder: Recorder::new(client.clone(), reporter),
        client: client.clone(),
        namespaces: options.watch_namespaces.clone(),
        watch_nodes: options.watch_nodes,
        leadership,
        dial: Arc::new(Tcp),
        metrics,
    };
    let work = {
        let stop = stop.clone();
        async move {
            served(&client, &options.watch_namespaces, &ready, &stop).await;
            if !stop.is_cancelled() {
                let release = CancellationToken::new();
                let keeping = tokio::spawn(keeper.run(release.clone()));
                controller::run(leader, stop.clone()).await;
                // The Lease is given back only after the last effect.
                release.cancel();
                let _ = keeping.await;
            }
        }
    };
    let mut work = std::pin::pin!(work);
    let result = tokio::select! {
        ended = server => match ended {
            Ok(Err(error)) => Err(Fatal::Listen(listen, error)),
            Ok(Ok(())) | Err(_) => Err(Fatal::Ended("the HTTP endpoint")),
        },
        got = signal => match got {
            Ok(result) => result,
            Err(_) => Err(Fatal::Ended("the signal handler")),
        },
        () = &mut work => Err(Fatal::Ended("the control loop")),
    };
    tracing::info!("stops");
    stop.cancel();
    // Longer than any call: after that the Lease runs out by itself.
    let _ = tokio::time::timeout(Duration::from_secs(5), work).await;
    result
}

trait MapSignals {
    fn map_err_signals(self) -> impl Future<Output = Result<(), Fatal>> + Send;
}

impl<F: Future<Output = std::io::Result<()>> + Send> MapSignals for F {
    async fn map_err_signals(self) -> Result<(), Fatal> {
        self.await.map_err(Fatal::Signals)
    }
}

/// Waits for SIGTERM or SIGINT.
async fn stopped() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Waits until the API server serves the kind: it may be installed after the operator.
async fn served(client: &Client, namespaces: &[String], ready: &Readiness, stop: &CancellationToken) {
    let api: Api<RedisReplicaSet> = match namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let mut told: Option<std::time::Instant> = None;
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(5), api.list(&ListParams::default().limit(1))).await;
        match asked {
            Ok(Ok(_)) => {
                ready.set(true);
                return;
            }
            Ok(Err(error)) if told.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) => {
                tracing::warn!(%error, "waits for the kind RedisReplicaSet");
                told = Some(std::time::Instant::now());
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// A client whose calls are not retried behind our back; each call of ours has its own deadline.
async fn client() -> Result<Client, Fatal> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(Duration::from_secs(2));
    // A list or a watch over a connection that went silent, as after a reboot of the node, ends with this: nothing else
    // bounds it. A watch without news ends by itself before.
    config.read_timeout = Some(Duration::from_secs(u64::from(observe::WATCH_SECONDS) + 5));
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.build())
}
