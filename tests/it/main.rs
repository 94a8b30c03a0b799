//! Tests that need no cluster, in one binary.

mod bad_input;
mod chart;
mod crd;
mod deploy;
mod generated;
mod layers;
mod redis;
