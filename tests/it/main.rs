//! Tests that need no cluster.

mod redis;
