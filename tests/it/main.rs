//! Tests that need no cluster, in one binary.

mod bad_input;
mod crd;
mod redis;
