//! Tests that need no cluster.

fn main() {}
