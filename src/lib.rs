//! The operator of `RedisReplicaSet`.

pub mod api;
pub mod build;
pub mod model;
pub mod names;
