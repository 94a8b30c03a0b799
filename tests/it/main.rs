//! Tests that need no cluster.

mod bad_input;
mod crd;
