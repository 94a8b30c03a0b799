//! A real Kubernetes on one machine, as a library.
//!
//! Unmodified etcd, kube-apiserver, controllers, scheduler, and per node containerd, kubelet and kube-proxy,
//! in Linux namespaces: no virtual machine, no registry, no packet leaves the machine. The command
//! `cargo testbed` is a thin shell around [`Testbed`].
//!
//! - [`lifecycle`](Options): `up` and `down`; `programs`, `images`: what they build first, cached by key
//! - `network`, `pki`, `control_plane`, `addons`, `node`: what a cluster consists of
//! - `cgroup`, `daemon`: how every process is registered with the kernel before it starts
//! - `audit`, `collect`: what a test reads, and what it leaves when it fails
//!
//! Nothing here knows the operator's types.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod addons;
mod audit;
mod cgroup;
mod collect;
mod command;
mod control_plane;
mod daemon;
mod enter;
mod error;
mod images;
mod interrupt;
mod key;
mod kubectl;
mod lifecycle;
mod load;
mod network;
mod node;
mod pki;
mod places;
mod pods;
mod preflight;
mod programs;
mod state;
mod testbed;

pub use audit::{Audit, Event};
pub use command::without_package;
pub use error::{Error, Result};
pub use lifecycle::Options;
pub use nix::sys::signal::Signal;
pub use node::Node;
pub use places::Places;
pub use pods::{Cut, Process, signal};
pub use testbed::Testbed;
