//! Tests of the operator on the testbed: a real Kubernetes, the chart, clients through the VIP, faults from outside.
//!
//! - [`scene`]: a test's namespace; [`cluster`], [`kubernetes`], [`set`], [`operator`]: what it asks and tells the cluster
//! - [`failover`]: what status tells of changes of the master, how one is asked for, and the servers' own counts
//! - [`fault`]: what is done to a master, and undone
//! - [`client`], [`observer`]: what runs beside a test and writes a [`history`]
//! - [`checkers`]: what must hold of a history; pure
//! - [`bad_input`]: manifests that a person may get wrong
//! - [`wait`], [`failure`]: how a test waits and fails
//!
//! The tests run inside the control plane's network (`hack/cluster-test`), where pods and Services are reachable.
//! Names that users rely on are written out here and never taken from the operator's code: a changed name must fail.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bad_input;
pub mod checkers;
pub mod client;
pub mod cluster;
pub mod failover;
pub mod failure;
pub mod fault;
pub mod history;
pub mod kubernetes;
pub mod observer;
pub mod operator;
pub mod scene;
pub mod set;
pub mod wait;
pub mod workloads;
