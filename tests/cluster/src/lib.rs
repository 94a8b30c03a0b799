//! Tests on the testbed.

pub mod bad_input;
