//! The `redis-operator` binary.

fn main() {}
