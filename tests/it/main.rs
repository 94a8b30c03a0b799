//! Tests that need no cluster.

mod chart;
mod crd;
mod deploy;
mod generated;
mod layers;
