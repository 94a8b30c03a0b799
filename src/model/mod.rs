//! The vocabulary of the operator: plain data that the pure and the acting part share.

pub mod redis;
