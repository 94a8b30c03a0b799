//! Tests on the testbed.
