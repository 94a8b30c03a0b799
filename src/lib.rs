//! The operator of `RedisReplicaSet`.

pub mod model;
pub mod names;
pub mod redis;
