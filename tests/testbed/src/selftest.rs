//! `cargo testbed selftest`: the testbed's promises, tried on the real thing, with figures.
//!
//! It runs the command as a user would, beside whatever testbed is up: it has a state directory of its own.

use std::fs;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use testbed::{Error, Result, Signal, Testbed};

const DIRECTORY: &str = "/var/lib/redis-operator-testbed-selftest";
const MANIFEST: &str = include_str!("selftest.yaml");
const NAMESPACE: &str = "selftest";
/// When `up` is killed: while it makes the network, starts the API server, starts nodes, waits for them.
const KILLED_AFTER: [u64; 5] = [50, 400, 1500, 2800, 3800];

/// All of it; the first broken promise ends it.
pub fn run() -> Result<()> {
    if std::env::var_os("TESTBED_DIR").is_none_or(|dir| dir != DIRECTORY) {
        // Everything that looks at the environment must see the directory, so it is set by starting again.
        let status = own(&["selftest"]).env("TESTBED_DIR", DIRECTORY).status();
        let status = status.map_err(|source| Error::Io {
            what: "run",
            path: "selftest".into(),
            source,
        })?;
        return promise(status.success(), "the selftest to pass");
    }
    Testbed::down()?;
    timed("up, 3 nodes", || words(&["up"]))?;
    timed("up again", || words(&["up"]))?;
    let testbed = Testbed::attach()?;
    timed("three images with volumes Ready", || workload(&testbed))?;
    timed("volumes of both classes", || volumes(&testbed))?;
    timed("DNS and Services from outside and inside", || reach(&testbed))?;
    timed("kill -9 of a Redis, its data kept", || killed_redis(&testbed))?;
    timed("power-off and power-on, same pod, same data", || power(&testbed))?;
    timed("pause, cut, cut-api and their undoing", || faults(&testbed))?;
    timed("audit log, folder of a failure", || evidence(&testbed))?;
    timed("down", || words(&["down"]))?;
    nothing_left("down")?;
    for milliseconds in KILLED_AFTER {
        kill_in_the_middle(milliseconds, Signal::SIGKILL)?;
    }
    kill_in_the_middle(2000, Signal::SIGINT)?;
    tell!("every promise held");
    Ok(())
}

fn timed(what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    step()?;
    tell!("{:6.1} s  {what}", begun.elapsed().as_secs_f32());
    Ok(())
}

fn own(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "testbed".into()));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Result<Output> {
    own(arguments).output().map_err(|source| Error::Io {
        what: "run",
        path: "testbed".into(),
        source,
    })
}

fn words(arguments: &[&str]) -> Result<()> {
    let done = output(arguments)?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    promise(
        done.status.success(),
        &format!("`testbed {}` to succeed: {said}", arguments.join(" ")),
    )
}

fn promise(held: bool, what: &str) -> Result<()> {
    if held {
        Ok(())
    } else {
        Err(Error::State(format!("selftest: expected {what}")))
    }
}

fn eventually(what: &str, seconds: u64, mut check: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !check().unwrap_or(false) {
        promise(Instant::now() < end, &format!("{what} within {seconds} s"))?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// What redis-cli answers, run by `exec` as a person would.
fn redis(host: &str, question: &[&str]) -> Result<String> {
    let mut arguments = vec!["exec", "--", "timeout", "2", "redis-cli", "-h", host];
    arguments.extend(question);
    Ok(String::from_utf8_lossy(&output(&arguments)?.stdout).trim().to_owned())
}

fn workload(testbed: &Testbed) -> Result<()> {
    testbed.apply(MANIFEST)?;
    for name in ["redis8", "redis7", "valkey"] {
        let set = format!("statefulset/{name}");
        let ready = "--for=jsonpath={.status.readyReplicas}=1";
        testbed.kubectl(&["wait", "--namespace", NAMESPACE, ready, &set, "--timeout=60s"])?;
    }
    Ok(())
}

fn volumes(testbed: &Testbed) -> Result<()> {
    let volumes = testbed.json(&["get", "persistentvolumes"])?;
    let of = |class: &str| {
        let all = volumes["items"].as_array().into_iter().flatten();
        all.filter(|volume| volume["spec"]["storageClassName"] == class)
            .map(|v| &v["spec"]["nodeAffinity"])
            .collect::<Vec<_>>()
    };
    let (local, network) = (of("standard"), of("network"));
    promise(
        local.len() == 2 && local.iter().all(|affinity| affinity.is_object()),
        "local volumes tied to nodes",
    )?;
    promise(
        network.len() == 1 && network[0].is_null(),
        "a network volume tied to none",
    )
}

fn reach(testbed: &Testbed) -> Result<()> {
    for (name, version) in [
        ("redis8", "redis_version:8.0"),
        ("redis7", "redis_version:7.0"),
        ("valkey", "valkey_version:8.1"),
    ] {
        let host = format!("{name}.{NAMESPACE}.svc.cluster.local");
        eventually(&format!("{host} to answer"), 10, || {
            Ok(redis(&host, &["INFO", "server"])?.contains(version))
        })?;
    }
    let inside = [
        "exec",
        "--namespace",
        NAMESPACE,
        "redis8-0",
        "--",
        "redis-cli",
        "-h",
        "valkey",
        "ping",
    ];
    promise(
        testbed.kubectl(&inside)?.trim() == "PONG",
        "a pod to reach another by its Service",
    )
}

fn killed_redis(testbed: &Testbed) -> Result<()> {
    let host = format!("redis8.{NAMESPACE}");
    promise(
        redis(&host, &["SET", "key", "kept"])? == "OK",
        "a write through the Service",
    )?;
    let pid = testbed.redis_pid(NAMESPACE, "redis8-0")?;
    testbed.signal_redis(NAMESPACE, "redis8-0", Signal::SIGKILL)?;
    eventually("another process", 20, || {
        Ok(testbed.redis_pid(NAMESPACE, "redis8-0")? != pid)
    })?;
    eventually("the data", 20, || Ok(redis(&host, &["GET", "key"])? == "kept"))
}

fn power(testbed: &Testbed) -> Result<()> {
    let host = format!("redis8.{NAMESPACE}");
    let pod = || testbed.json(&["get", "pod", "--namespace", NAMESPACE, "redis8-0"]);
    let before = pod()?;
    let name = before["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let node = testbed.node(&name)?;
    node.power_off()?;
    promise(
        node.state() == "off" && testbed.redis_pid(NAMESPACE, "redis8-0").is_err(),
        "no process on a node that is off",
    )?;
    promise(redis(&host, &["PING"])? != "PONG", "silence from a node that is off")?;
    let booted = Instant::now();
    // By `exec`, because tests run there: what is started must belong to the machine, not to the caller.
    words(&[
        "exec",
        "--",
        "sh",
        "-c",
        &format!("{} node {name} power-on", own(&[]).get_program().display()),
    ])?;
    eventually("the data after a reboot", 60, || {
        Ok(redis(&host, &["GET", "key"])? == "kept")
    })?;
    tell!(
        "          data served again {:.1} s after power-on",
        booted.elapsed().as_secs_f32()
    );
    promise(
        pod()?["metadata"]["uid"] == before["metadata"]["uid"],
        "the same pod after a reboot",
    )
}

fn faults(testbed: &Testbed) -> Result<()> {
    let host = format!("redis8.{NAMESPACE}");
    let pod = testbed.json(&["get", "pod", "--namespace", NAMESPACE, "redis8-0"])?;
    let name = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let node = testbed.node(&name)?;
    for (fault, undo) in [("pause", "resume"), ("cut", "heal")] {
        words(&["node", &name, fault])?;
        promise(redis(&host, &["PING"])? != "PONG", &format!("silence after {fault}"))?;
        words(&["node", &name, undo])?;
        eventually(&format!("an answer after {undo}"), 10, || {
            Ok(redis(&host, &["PING"])? == "PONG")
        })?;
    }
    words(&["node", &name, "cut-api"])?;
    promise(
        redis(&host, &["PING"])? == "PONG",
        "a node cut from the API server to serve clients",
    )?;
    eventually("the node to be NotReady", 60, || Ok(ready(testbed, &name)? != "True"))?;
    words(&["node", &name, "heal-api"])?;
    eventually("the node to be Ready", 60, || Ok(ready(testbed, &name)? == "True"))?;
    promise(node.state() == "on", "the node to be on")
}

fn ready(testbed: &Testbed, node: &str) -> Result<String> {
    testbed.kubectl(&[
        "get",
        "node",
        node,
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Ready')].status}",
    ])
}

fn evidence(testbed: &Testbed) -> Result<()> {
    let mut audit = testbed.audit();
    audit.skip()?;
    testbed.kubectl(&["create", "configmap", "--namespace", NAMESPACE, "seen"])?;
    let mut own = Vec::new();
    eventually("the request in the audit log", 5, || {
        own.extend(
            audit
                .read()?
                .into_iter()
                .filter(|event| event.user == "admin" && event.is_mutating()),
        );
        Ok(!own.is_empty())
    })?;
    promise(
        own.len() == 1 && own[0].resource == "configmaps" && own[0].code == 201,
        "one create by admin",
    )?;
    let folder = testbed.places().state.join("collected");
    testbed.collect(&folder)?;
    for file in [
        "control-plane/audit.log",
        "control-plane/n1-kubelet.log",
        "objects/pods.yaml",
        "redis/selftest_redis8-0.info",
    ] {
        promise(
            fs::metadata(folder.join(file)).is_ok_and(|meta| meta.len() > 100),
            &format!("{file} in the folder"),
        )?;
    }
    promise(!folder.join("objects/secrets.yaml").exists(), "no Secret in the folder")
}

fn kill_in_the_middle(milliseconds: u64, signal: Signal) -> Result<()> {
    let begun = Instant::now();
    let up = own(&["up"]).stderr(std::process::Stdio::null()).spawn();
    let mut up = up.map_err(|source| Error::Io {
        what: "run",
        path: "testbed up".into(),
        source,
    })?;
    thread::sleep(Duration::from_millis(milliseconds));
    let running = up.try_wait().is_ok_and(|status| status.is_none());
    let pid = i32::try_from(up.id()).unwrap_or(i32::MAX);
    if running {
        testbed::signal(pid, signal)?;
    }
    let _ = up.wait();
    let found = Testbed::inventory()?.len();
    if signal == Signal::SIGKILL {
        words(&["down"])?;
    }
    let moment = if running { "in the middle" } else { "after its end" };
    tell!(
        "{:6.1} s  {signal} after {milliseconds} ms of up ({moment}), {found} things found",
        begun.elapsed().as_secs_f32()
    );
    let leaves = nothing_left(&format!("{signal} after {milliseconds} ms"));
    Testbed::down()?;
    leaves
}

fn nothing_left(after: &str) -> Result<()> {
    let found = Testbed::inventory()?;
    promise(
        found.is_empty(),
        &format!("nothing left after {after}, found: {}", found.join("; ")),
    )
}
