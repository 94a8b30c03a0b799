//! Proof of the decisions: tables over worlds written as a line of text, and random worlds with random faults.
//!
//! [`world`] is a toy cluster that does to its Redises, claims and objects what the real acts do, [`operator`] runs the loop
//! in it, [`oracle`] says what must hold after every step. [`check`] turns a line of text into a world and a plan into
//! words. Nothing here knows how a decision is made.

mod awaiting;
mod behind;
mod check;
mod cut;
mod divergence;
mod draining;
mod events;
mod failover;
mod fence;
mod force;
mod founding;
mod layout;
mod losses;
mod model;
mod moving;
mod numbers;
mod objects;
mod operator;
mod oracle;
mod outlived;
mod priorities;
mod random;
mod replicas;
mod requests;
mod returning;
mod rolling;
pub mod rules;
mod scaling;
mod silent;
mod sources;
mod story;
mod switchover;
mod text;
mod tier_objects;
mod tiers;
mod unreachable;
mod votes;
mod world;
