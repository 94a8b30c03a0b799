//! The operator of `RedisReplicaSet`.

pub mod api;
pub mod names;
