//! The operator of `RedisReplicaSet`.

pub mod names;
