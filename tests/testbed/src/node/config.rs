//! The kubelet's and kube-proxy's configuration.

use std::path::Path;

use crate::network::{DNS_SERVICE, PODS, Port};
use crate::pki;
use crate::places::Places;

/// The kubelet's configuration file.
pub(crate) fn kubelet(places: &Places, node: &str, disk: &Path, port: &Port) -> String {
    let [certificate, key] = pki::pair(&places.pki(), &format!("{node}-kubelet"));
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {ca}}}
authorization: {{mode: Webhook}}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
cgroupDriver: cgroupfs
cgroupRoot: {group}
failCgroupV1: false
failSwapOn: false
clusterDNS: [{DNS_SERVICE}]
clusterDomain: cluster.local
resolvConf: {disk}/resolv.conf
containerRuntimeEndpoint: unix://{disk}/containerd.sock
volumePluginDir: {disk}/volume-plugins
nodeStatusUpdateFrequency: 4s
# The disk is shared by everything on this machine: how full it is says nothing about a node.
evictionHard: {{nodefs.available: "0%", imagefs.available: "0%", memory.available: "10Mi"}}
# What was loaded by hand cannot be pulled again.
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
# The default makes ten crashes of one container take many minutes.
crashLoopBackOff: {{maxContainerRestartPeriod: 1s}}
maxPods: 110
"#,
        address = port.address(),
        ca = places.pki().join("ca.crt").display(),
        certificate = certificate.display(),
        key = key.display(),
        group = places.group(node).kubelet_name(),
        disk = disk.display(),
    )
}

/// kube-proxy's configuration file, for a node or for the clients' namespace.
pub(crate) fn proxy(places: &Places, host: &str, address: &str) -> String {
    format!(
        r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {kubeconfig}}}
clusterCIDR: {PODS}
mode: iptables
hostnameOverride: {host}
# Its sysctl belongs to the whole machine.
conntrack: {{maxPerCore: 0}}
iptables: {{minSyncPeriod: 1s}}
healthzBindAddress: {address}:10256
metricsBindAddress: {address}:10249
"#,
        kubeconfig = places.pki().join("kube-proxy.kubeconfig").display(),
    )
}
