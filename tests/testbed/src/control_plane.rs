//! etcd, the API server, the controllers, the scheduler, and what runs beside them instead of in pods.

use std::time::Duration;

use crate::addons;
use crate::command::last_lines;
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::interrupt::wait_until;
use crate::kubectl;
use crate::network::{API_ADDRESS, SERVICES};
use crate::node::proxy_config;
use crate::pki;
use crate::places::{Places, write};

/// Names of the programs, which are also the names of their logs and groups.
pub(crate) const COMPONENTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "local-path-provisioner",
];

const AUDIT_POLICY: &str = include_str!("audit-policy.yaml");

/// etcd and the API server, until it is ready.
pub(crate) fn ensure_api(places: &Places) -> Result<bool> {
    pki::ensure_control_plane(places)?;
    write(&places.state.join("audit-policy.yaml"), AUDIT_POLICY)?;
    let begun = start(places, "etcd", etcd(places))?;
    let begun = start(places, "kube-apiserver", api_server(places))? || begun;
    let ready = || {
        for name in ["etcd", "kube-apiserver"] {
            alive(places, name)?;
        }
        Ok(kubectl::run(places, &["get", "--raw", "/readyz"]).is_ok())
    };
    wait_until(
        "the API server to be ready",
        Duration::from_secs(60),
        &places.log("kube-apiserver"),
        ready,
    )?;
    Ok(begun)
}

/// The controllers and the scheduler.
pub(crate) fn ensure_controllers(places: &Places) -> Result<bool> {
    let begun = start(places, "kube-controller-manager", controller_manager(places))?;
    Ok(start(places, "kube-scheduler", scheduler(places))? || begun)
}

/// What runs beside the control plane.
pub(crate) fn ensure_rest(places: &Places) -> Result<bool> {
    let proxy = places.state.join("kube-proxy.yaml");
    write(&proxy, proxy_config(places, "n1", API_ADDRESS))?;
    let mut begun = start(places, "kube-proxy", vec![format!("--config={}", proxy.display())])?;
    begun |= start(places, "coredns", addons::coredns(places)?)?;
    begun |= start(places, "local-path-provisioner", addons::provisioner(places)?)?;
    Ok(begun)
}

fn start(places: &Places, name: &str, args: Vec<String>) -> Result<bool> {
    Daemon::control_plane(places, name, &places.programs().join(name), &args).ensure(places)
}

/// A program that has ended will not become ready: its last words are worth more than a timeout.
fn alive(places: &Places, name: &str) -> Result<()> {
    if places.group(name).is_running() {
        return Ok(());
    }
    Err(Error::Failed {
        program: name.to_owned(),
        status: "ended".to_owned(),
        output: last_lines(&places.log(name)),
    })
}

fn etcd(places: &Places) -> Vec<String> {
    let client = "http://127.0.0.1:2379";
    vec![
        format!("--data-dir={}", places.state.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        // A crash of the machine may lose a test cluster.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server(places: &Places) -> Vec<String> {
    let pki = |name: &str| places.pki().join(name).display().to_string();
    let mut args: Vec<String> = [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--allow-privileged=true",
        // Names of nodes are in no DNS.
        "--kubelet-preferred-address-types=InternalIP",
        "--audit-log-mode=blocking",
    ]
    .map(str::to_owned)
    .to_vec();
    args.extend([
        format!("--bind-address={API_ADDRESS}"),
        format!("--advertise-address={API_ADDRESS}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("kube-apiserver.crt")),
        format!("--tls-private-key-file={}", pki("kube-apiserver.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("kubelet-client.key")),
        format!("--service-account-signing-key-file={}", pki("service-accounts.key")),
        format!("--service-account-key-file={}", pki("service-accounts.pub")),
        format!(
            "--audit-policy-file={}",
            places.state.join("audit-policy.yaml").display()
        ),
        format!("--audit-log-path={}", places.audit_log().display()),
    ]);
    args
}

fn controller_manager(places: &Places) -> Vec<String> {
    let mut args = identity(places, "kube-controller-manager");
    args.extend([
        format!(
            "--service-account-private-key-file={}",
            places.pki().join("service-accounts.key").display()
        ),
        format!("--root-ca-file={}", places.pki().join("ca.crt").display()),
        "--use-service-account-credentials".to_owned(),
        // It makes a service account per controller first; with the default of 20 a second that takes 5 s.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        // The default of 50 s would be most of the time of every test that loses a node.
        "--node-monitor-grace-period=20s".to_owned(),
    ]);
    args
}

fn scheduler(places: &Places) -> Vec<String> {
    identity(places, "kube-scheduler")
}

fn identity(places: &Places, name: &str) -> Vec<String> {
    let file = places.pki().join(format!("{name}.kubeconfig"));
    let flags = [
        "--kubeconfig",
        "--authentication-kubeconfig",
        "--authorization-kubeconfig",
    ];
    let mut args: Vec<String> = flags.iter().map(|flag| format!("{flag}={}", file.display())).collect();
    // There is one of each; an election only delays the start.
    args.push("--leader-elect=false".to_owned());
    args
}
