//! What the operator knows and talks about, as plain values.

pub mod cluster;
