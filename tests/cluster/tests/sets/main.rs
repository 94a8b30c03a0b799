//! Tests of sets on one installed operator, side by side: nothing here disturbs a node or an operator.

mod bad_world;
mod edits;
mod flags;
mod images;
mod manifests;
mod quiet;
mod removal;
mod requests;
mod rolls;
mod settings;
