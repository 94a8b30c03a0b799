//! An operator for replicated Redis and Valkey: one `RedisReplicaSet`, one stable address, no agents in the pods.
//!
//! It watches sets, keeps one connection to every Redis, and runs one loop for each set:
//! **observe** (I/O in) -> **decide** (pure) -> **act** (I/O out) -> status. Who is master is decided in one place, the
//! set's status, by compare-and-set before the first effect; pods boot fenced and get every role from here.
//!
//! In reading order:
//! - [`api`]: what a user writes and reads. [`names`]: every label, annotation, name and field manager.
//! - [`model`]: the vocabulary: a set, what was seen of it, what is to be done.
//! - [`build`]: a set's objects, from the set alone. [`decide`]: what is to be done, from what was seen.
//! - [`observe`]: stores, Secrets and probes, as one value. [`act`]: one `match` over the steps of a plan.
//! - [`redis`]: held connections, looks, and the procedures that change a role.
//! - [`controller`]: the loop. [`lease`]: one operator acts. [`http`], [`metrics`]: what others see of the process.
//!
//! Imports run one way, and a test keeps it so: `api, names <- model <- build <- decide <- observe, act <- controller`.
//! What is pure (api, names, model, build, decide) knows no client, no clock and no `await`; only `act` changes
//! the world, and `lease` its own Lease.

pub mod act;
pub mod api;
pub mod build;
pub mod controller;
pub mod decide;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod model;
pub mod names;
pub mod observe;
pub mod redis;
