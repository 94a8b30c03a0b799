//! `make demo`: a cluster, the operator, a set, and a client that writes through the VIP, shown as it happens.
//!
//! This process brings the cluster up, runs the show (itself again, with the argument `show`) inside the cluster's
//! network, and takes everything down however the show ended; KEEP=1 leaves it running.

mod show;

use std::process::{Child, ExitCode};
use std::thread;
use std::time::Duration;

use cluster_tests::cluster::repository;
use cluster_tests::failure::{Context, Failure, Outcome};
use testbed::{Options, Testbed};

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => everything(),
        Some("show") => show::run(),
        Some(other) => Err(Failure::new(format!(
            "there is no argument {other}; KEEP=1 is a variable"
        ))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn everything() -> Outcome {
    Testbed::watch_signals();
    std::env::set_current_dir(repository())?;
    let shown = up_and_show();
    if std::env::var_os("KEEP").is_some_and(|keep| keep == "1") {
        println!("demo: KEEP=1: the cluster stays; `make down` ends it");
    } else {
        println!("demo: taking everything down; KEEP=1 make demo leaves it running");
        Testbed::down()?;
    }
    shown
}

fn up_and_show() -> Outcome {
    let testbed = Testbed::up(Options::default())?;
    Testbed::build_operator_image("release")?;
    let program = std::env::current_exe()?;
    let mut child = testbed
        .command_in_cluster(&program.to_string_lossy())
        .arg("show")
        .spawn()
        .context("start the show")?;
    wait(&mut child)
}

/// Waits for the show; a signal to this process ends it.
fn wait(child: &mut Child) -> Outcome {
    loop {
        if let Some(status) = child.try_wait()? {
            cluster_tests::ensure!(status.success(), "the show failed");
            return Ok(());
        }
        if Testbed::interrupted() {
            // Ctrl-C has reached it already; kill(1) of this process has not.
            let _ = child.kill();
            child.wait()?;
            return Err(Failure::new("interrupted"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
