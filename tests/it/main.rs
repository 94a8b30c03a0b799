//! Tests that need no cluster.

mod crd;
