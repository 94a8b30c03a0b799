//! `cargo testbed`: a real Kubernetes on one machine.

fn main() {}
