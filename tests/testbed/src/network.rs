//! The network: a namespace with a bridge for the control plane and one namespace per node.
//!
//! Nothing here is connected to the machine's own network, so no packet can leave. Addresses, routes
//! and neighbours are all set by hand: an unplugged node then is silence, not an ARP failure that
//! tells the caller at once.

use std::path::{Path, PathBuf};

use crate::command::{command, output, sh};
use crate::error::{Error, Result};

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

/// A node's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// The testbed's name, which is that of the control plane's namespace: clients and tests run there too.
    testbed: String,
    /// From 1.
    number: u8,
}

impl Port {
    /// The port of a node by its name, `n1` to `n9`.
    pub(crate) fn of(testbed: &str, node: &str) -> Result<Self> {
        let number = node
            .strip_prefix('n')
            .and_then(|n| n.parse::<u8>().ok())
            .filter(|n| (1..=9).contains(n));
        let port = number.map(|number| Self {
            testbed: testbed.to_owned(),
            number,
        });
        port.ok_or_else(|| Error::Unsuitable(format!("{node} is not a node's name: they are n1 to n9")))
    }

    /// The zone its node is labelled with.
    pub(crate) fn zone(&self) -> String {
        format!("z{}", (self.number - 1) % 3 + 1)
    }

    pub(crate) fn namespace(&self) -> String {
        format!("{}-n{}", self.testbed, self.number)
    }

    pub(crate) fn address(&self) -> String {
        format!("10.77.0.{}", 10 + self.number)
    }

    pub(crate) fn pods(&self) -> String {
        format!("10.78.{}.0/24", self.number)
    }

    fn hardware(&self) -> String {
        format!("02:4d:00:00:01:{:02x}", self.number)
    }

    /// The bridge's end of the cable.
    fn plug(&self) -> String {
        format!("n{}", self.number)
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
pub(crate) fn ensure_control_plane(ns: &str) -> Result<()> {
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
pub(crate) fn ensure_node(port: &Port, others: &[Port]) -> Result<()> {
    let ns = port.namespace();
    if !(exists(&ns) && has_plug(port)) {
        remove(&ns)?;
        let _ = sh(&format!("ip -n {} link del {}", port.testbed, port.plug()));
        sh(&format!("ip netns add {ns}"))?;
        sh(&format!(
            "ip link add {} netns {} type veth peer name eth0 address {} netns {ns}",
            port.plug(),
            port.testbed,
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
            "ip -n {} link set {} master {BRIDGE}",
            port.testbed,
            port.plug()
        ))?;
    }
    plug(port, true)?;
    introduce(&port.testbed, BRIDGE, port)?;
    for other in others
        .iter()
        .filter(|other| *other != port && exists(&other.namespace()))
    {
        introduce(&ns, "eth0", other)?;
        introduce(&other.namespace(), "eth0", port)?;
    }
    Ok(())
}

fn introduce(ns: &str, device: &str, port: &Port) -> Result<()> {
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

fn has_plug(port: &Port) -> bool {
    sh(&format!("ip -n {} -o link show {}", port.testbed, port.plug())).is_ok()
}

/// Plugs a node's cable in or pulls it out. Without it packets vanish silently in both directions.
pub(crate) fn plug(port: &Port, plugged: bool) -> Result<()> {
    let state = if plugged { "up" } else { "down" };
    sh(&format!("ip -n {} link set {} {state}", port.testbed, port.plug())).map(drop)
}

/// Whether the cable is plugged in.
pub(crate) fn is_plugged(port: &Port) -> bool {
    sh(&format!("ip -n {} -o link show {}", port.testbed, port.plug())).is_ok_and(|out| flags(&out).contains(&"UP"))
}

fn flags(link: &str) -> Vec<&str> {
    let inner = link
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(flags, _)| flags);
    inner.split(',').collect()
}

/// Drops what passes between a node, its pods included, and the API server; the rest of its network works.
pub(crate) fn cut_api(port: &Port, cut: bool) -> Result<()> {
    for rule in api_rules(port) {
        let there = iptables(port, "-C", &rule).is_ok();
        match (cut, there) {
            (true, false) => iptables(port, "-I", &rule)?,
            (false, true) => iptables(port, "-D", &rule)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether [`cut_api`] is in force.
pub(crate) fn is_api_cut(port: &Port) -> bool {
    api_rules(port).iter().all(|rule| iptables(port, "-C", rule).is_ok())
}

fn api_rules(port: &Port) -> [String; 4] {
    let (node, pods) = (port.address(), port.pods());
    [
        format!("INPUT -p tcp -s {node} --dport 6443 -j DROP"),
        format!("INPUT -p tcp -s {pods} --dport 6443 -j DROP"),
        format!("OUTPUT -p tcp -d {node} --dport 10250 -j DROP"),
        format!("OUTPUT -p tcp -d {pods} --sport 6443 -j DROP"),
    ]
}

fn iptables(port: &Port, verb: &str, rule: &str) -> Result<()> {
    let net = file(&port.testbed);
    sh(&format!("nsenter --net={} iptables -w 5 {verb} {rule}", net.display())).map(drop)
}

/// Removes a namespace if there is one.
pub(crate) fn remove(namespace: &str) -> Result<()> {
    if exists(namespace) {
        sh(&format!("ip netns del {namespace}"))?;
    }
    Ok(())
}

/// Every namespace of a testbed: the control plane's and the nodes'.
pub(crate) fn namespaces(testbed: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    names
        .filter(|n| n == testbed || n.starts_with(&format!("{testbed}-n")))
        .collect()
}

/// Whether kube-proxy has set up the rules of Services in a namespace.
pub(crate) fn has_services(namespace: &str) -> bool {
    let net = file(namespace);
    sh(&format!("nsenter --net={} iptables-save -t nat", net.display())).is_ok_and(|rules| rules.contains(DNS_SERVICE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_number_in_every_address() {
        let port = Port::of("testbed", "n3").unwrap();
        assert_eq!(
            (port.address().as_str(), port.pods().as_str()),
            ("10.77.0.13", "10.78.3.0/24")
        );
        assert_eq!(port.namespace(), "testbed-n3");
    }

    #[test]
    fn names_that_are_no_nodes_are_refused() {
        for name in ["n0", "n10", "3", "node1", "n", ""] {
            assert!(Port::of("testbed", name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_link_without_carrier_is_still_plugged_in() {
        assert!(flags("3: n1@if2: <NO-CARRIER,BROADCAST,UP> mtu 1500").contains(&"UP"));
        assert!(!flags("3: n1@if2: <BROADCAST,MULTICAST> mtu 1500 state DOWN").contains(&"UP"));
    }
}
