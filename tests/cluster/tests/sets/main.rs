//! Tests of sets on one installed operator, side by side: nothing here disturbs a node, an operator, or a set of another test.

// The first name is the first test that begins, and this one takes longest.
mod alone;
mod awaited;
mod bad_world;
mod edits;
mod flags;
mod images;
mod manifests;
mod removal;
mod requests;
mod rolls;
mod settings;
mod switchover;
mod tiers;
