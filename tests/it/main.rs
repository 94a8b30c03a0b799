//! Tests that need no cluster.

mod chart;
mod deploy;
mod generated;
mod layers;
