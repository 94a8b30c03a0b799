//! Tests that need no cluster, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first thing that is wrong"
)]

mod api_reference;
mod api_rules;
mod api_schema;
mod api_sentences;
mod bad_input;
mod build_golden;
mod build_golden_redis;
mod build_golden_server;
mod chart;
mod crd;
mod deploy;
mod generated;
mod layers;
mod redis;
