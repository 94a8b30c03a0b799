//! The Redis side of the operator against real servers.
//!
//! `REDIS_SERVERS` is a list of server binaries, separated by `:`; every test runs on each of them in turn. Without it
//! the installed `redis-server` is used.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod connection;
mod handover;
mod loading;
mod probes;
mod roles;
mod server;
mod source;
mod tiers;
