//! The network: a namespace with a bridge for the control plane and one namespace per node.
//!
//! Nothing here is connected to the machine's own network, so no packet can leave. Addresses, routes
//! and neighbours are all set by hand: an unplugged node then is silence, not an ARP failure that
//! tells the caller at once.

use std::path::{Path, PathBuf};

use crate::command::{command, output, sh};
use crate::error::{Error, Result};

/// The control plane's namespace, where clients and tests run too.
pub(crate) const CONTROL_PLANE: &str = "testbed";
/// The control plane's address.
pub(crate) const API_ADDRESS: &str = "10.77.0.1";
/// Addresses of Services.
pub(crate) const SERVICES: &str = "10.79.0.0/16";
/// Address of the Service `kubernetes`.
pub(crate) const KUBERNETES_SERVICE: &str = "10.79.0.1";
/// Address of the Service `kube-dns`.
pub(crate) const DNS_SERVICE: &str = "10.79.0.10";
/// Addresses of all pods.
pub(crate) const PODS: &str = "10.78.0.0/16";
const BRIDGE: &str = "br0";
const BRIDGE_HARDWARE: &str = "02:4d:00:00:00:01";

/// A node's place in the network, by its number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u8);

impl Port {
    pub(crate) fn namespace(self) -> String {
        format!("{CONTROL_PLANE}-n{}", self.0)
    }

    pub(crate) fn address(self) -> String {
        format!("10.77.0.{}", 10 + self.0)
    }

    pub(crate) fn pods(self) -> String {
        format!("10.78.{}.0/24", self.0)
    }

    fn hardware(self) -> String {
        format!("02:4d:00:00:01:{:02x}", self.0)
    }

    /// The bridge's end of the cable.
    fn plug(self) -> String {
        format!("n{}", self.0)
    }
}

/// The file that stands for a namespace.
pub(crate) fn file(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

pub(crate) fn exists(namespace: &str) -> bool {
    file(namespace).exists()
}

/// The control plane's namespace with its bridge.
pub(crate) fn ensure_control_plane() -> Result<()> {
    let ns = CONTROL_PLANE;
    if exists(ns) && sh(&format!("ip -n {ns} route show {SERVICES}")).is_ok_and(|out| out.contains(BRIDGE)) {
        return Ok(());
    }
    remove(ns)?;
    sh(&format!("ip netns add {ns}"))?;
    for line in [
        "link set lo up".to_owned(),
        format!("link add {BRIDGE} address {BRIDGE_HARDWARE} type bridge"),
        format!("addr add {API_ADDRESS}/24 dev {BRIDGE}"),
        format!("link set {BRIDGE} up"),
        // A bridge without a live port loses its carrier; this one never dies.
        "link add anchor type veth peer name anchored".to_owned(),
        "link set anchored up".to_owned(),
        format!("link set anchor master {BRIDGE} up"),
        // Without a route a Service's address is unreachable before kube-proxy's rules see it.
        format!("route add {SERVICES} dev {BRIDGE}"),
    ] {
        sh(&format!("ip -n {ns} {line}"))?;
    }
    forward(ns)
}

/// A node's namespace, plugged into the bridge and known to all `others`.
pub(crate) fn ensure_node(port: Port, others: &[Port]) -> Result<()> {
    let ns = port.namespace();
    if !(exists(&ns) && has_plug(port)) {
        remove(&ns)?;
        let _ = sh(&format!("ip -n {CONTROL_PLANE} link del {}", port.plug()));
        sh(&format!("ip netns add {ns}"))?;
        sh(&format!(
            "ip link add {} netns {CONTROL_PLANE} type veth peer name eth0 address {} netns {ns}",
            port.plug(),
            port.hardware()
        ))?;
        for line in [
            "link set lo up".to_owned(),
            format!("addr add {}/24 dev eth0", port.address()),
            "link set eth0 up".to_owned(),
            format!("route add default via {API_ADDRESS}"),
            format!("neigh replace {API_ADDRESS} lladdr {BRIDGE_HARDWARE} dev eth0 nud permanent"),
        ] {
            sh(&format!("ip -n {ns} {line}"))?;
        }
        forward(&ns)?;
        sh(&format!(
            "ip -n {CONTROL_PLANE} link set {} master {BRIDGE}",
            port.plug()
        ))?;
    }
    plug(port, true)?;
    introduce(CONTROL_PLANE, BRIDGE, port)?;
    for other in others
        .iter()
        .filter(|other| **other != port && exists(&other.namespace()))
    {
        introduce(&ns, "eth0", *other)?;
        introduce(&other.namespace(), "eth0", port)?;
    }
    Ok(())
}

fn introduce(ns: &str, device: &str, port: Port) -> Result<()> {
    let (address, hardware) = (port.address(), port.hardware());
    sh(&format!(
        "ip -n {ns} neigh replace {address} lladdr {hardware} dev {device} nud permanent"
    ))?;
    sh(&format!("ip -n {ns} route replace {} via {address}", port.pods()))?;
    Ok(())
}

fn forward(ns: &str) -> Result<()> {
    let net = format!("--net={}", file(ns).display());
    output(&mut command(
        "nsenter",
        [&net, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
    ))
    .map(drop)
}

fn has_plug(port: Port) -> bool {
    sh(&format!("ip -n {CONTROL_PLANE} -o link show {}", port.plug())).is_ok()
}

/// Plugs a node's cable in or pulls it out. Without it packets vanish silently in both directions.
pub(crate) fn plug(port: Port, plugged: bool) -> Result<()> {
    let state = if plugged { "up" } else { "down" };
    sh(&format!("ip -n {CONTROL_PLANE} link set {} {state}", port.plug())).map(drop)
}

/// Whether the cable is plugged in.
pub(crate) fn is_plugged(port: Port) -> bool {
    sh(&format!("ip -n {CONTROL_PLANE} -o link show {}", port.plug())).is_ok_and(|out| flags(&out).contains(&"UP"))
}

fn flags(link: &str) -> Vec<&str> {
    let inner = link
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(flags, _)| flags);
    inner.split(',').collect()
}

/// Drops what passes between a node, its pods included, and the API server; the rest of its network works.
pub(crate) fn cut_api(port: Port, cut: bool) -> Result<()> {
    for rule in api_rules(port) {
        let there = iptables("-C", &rule).is_ok();
        match (cut, there) {
            (true, false) => iptables("-I", &rule)?,
            (false, true) => iptables("-D", &rule)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether [`cut_api`] is in force.
pub(crate) fn is_api_cut(port: Port) -> bool {
    api_rules(port).iter().all(|rule| iptables("-C", rule).is_ok())
}

fn api_rules(port: Port) -> [String; 4] {
    let (node, pods) = (port.address(), port.pods());
    [
        format!("INPUT -p tcp -s {node} --dport 6443 -j DROP"),
        format!("INPUT -p tcp -s {pods} --dport 6443 -j DROP"),
        format!("OUTPUT -p tcp -d {node} --dport 10250 -j DROP"),
        format!("OUTPUT -p tcp -d {pods} --sport 6443 -j DROP"),
    ]
}

fn iptables(verb: &str, rule: &str) -> Result<()> {
    let net = file(CONTROL_PLANE);
    sh(&format!("nsenter --net={} iptables -w 5 {verb} {rule}", net.display())).map(drop)
}

/// Removes a namespace if there is one.
pub(crate) fn remove(namespace: &str) -> Result<()> {
    if exists(namespace) {
        sh(&format!("ip netns del {namespace}"))?;
    }
    Ok(())
}

/// Every namespace of a testbed on this machine.
pub(crate) fn namespaces() -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    names
        .filter(|n| n == CONTROL_PLANE || n.starts_with(&format!("{CONTROL_PLANE}-n")))
        .collect()
}

/// The port of a node by its name, `n1` to `n9`.
pub(crate) fn port_of(node: &str) -> Result<Port> {
    let number = node
        .strip_prefix('n')
        .and_then(|n| n.parse::<u8>().ok())
        .filter(|n| (1..=9).contains(n));
    number
        .map(Port)
        .ok_or_else(|| Error::Unsuitable(format!("{node} is not a node's name: they are n1 to n9")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_number_in_every_address() {
        let port = port_of("n3").unwrap();
        assert_eq!(
            (port.address().as_str(), port.pods().as_str()),
            ("10.77.0.13", "10.78.3.0/24")
        );
        assert_eq!(port.namespace(), "testbed-n3");
    }

    #[test]
    fn names_that_are_no_nodes_are_refused() {
        for name in ["n0", "n10", "3", "node1", "n", ""] {
            assert!(port_of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_link_without_carrier_is_still_plugged_in() {
        assert!(flags("3: n1@if2: <NO-CARRIER,BROADCAST,UP> mtu 1500").contains(&"UP"));
        assert!(!flags("3: n1@if2: <BROADCAST,MULTICAST> mtu 1500 state DOWN").contains(&"UP"));
    }
}
