//! What the other tests left in logs and processes: the rights that were used are the rights that are granted, and no
//! password is anywhere but in Secrets. Runs after the others, on the same cluster.

mod rights;
mod secrets;
