//! The vocabulary of the loop: what a set should be, what was seen of it, and what is to be done.
//!
//! Plain data only. Nothing here asks the world, changes it, or reads a clock.

pub mod cluster;
pub mod observed;
pub mod plan;
pub mod redis;
pub mod secret;
pub mod timeline;
