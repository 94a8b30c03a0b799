//! Tests that need no cluster.

mod build_golden;
mod build_golden_redis;
mod build_golden_server;
mod crd;
