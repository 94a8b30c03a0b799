//! Tests that need no cluster.

mod layers;
