//! Everything that talks to a Redis: the parser of its answers, the connection, the role procedures, the probes.
//!
//! What was seen goes out as [`crate::model::redis`]. Nothing here knows Kubernetes or decides which pod gets which
//! role; and no password leaves a [`Secret`] except onto a connection.

mod acl;
pub mod client;
pub mod clients;
pub mod clock;
pub mod connection;
pub mod info;
pub mod probe;
pub mod roles;
pub mod secret;
mod socket;

pub use client::{CallError, Connection};
pub use connection::{Endpoint, View};
pub use probe::{Probes, Target};
pub use secret::{Secret, link_secret};
pub use socket::{Dial, Stream, Tcp};
