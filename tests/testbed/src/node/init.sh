#!/bin/bash
# Pid 1 of a node. When it dies, every process of the node dies with it; its disk stays.
# From the environment: NODE (its name), DISK (its directory), LOGS, BIN (kubelet, kube-proxy), ADDRESS, ZONE.
set -u
hostname "$NODE"

# Nothing mounted here is seen outside; inside, what the kubelet mounts reaches the containers.
mount --make-rprivate /
mount --make-rshared /

# Sockets, locks, sandboxes' namespaces: the node's own, and gone at a power-off as on a machine.
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock

# Directories whose place is fixed in the programs lie on the node's disk.
mount --bind "$DISK/kubelet" /var/lib/kubelet
mount --bind "$DISK/cni-results" /var/lib/cni
mount --bind "$DISK/pod-logs" /var/log/pods
mount --bind "$DISK/container-logs" /var/log/containers

# Starts a program again when it ends, as a machine's init would.
keep() {
    local name=$1
    shift
    while :; do
        "$@" >>"$LOGS/$NODE-$name.log" 2>&1
        echo "init: $name ended with $?; it is started again" >>"$LOGS/$NODE-$name.log"
        sleep 1
    done
}

keep containerd containerd --config "$DISK/containerd.toml" &
until ctr -a "$DISK/containerd.sock" version >/dev/null 2>&1; do sleep 0.05; done
keep kubelet "$BIN/kubelet" --kubeconfig="$DISK/../../pki/$NODE.kubeconfig" --config="$DISK/kubelet.yaml" \
    --hostname-override="$NODE" --cert-dir="$DISK/kubelet-pki" --node-ip="$ADDRESS" \
    --node-labels="topology.kubernetes.io/zone=$ZONE" &
keep kube-proxy "$BIN/kube-proxy" --config="$DISK/kube-proxy.yaml" &
wait
