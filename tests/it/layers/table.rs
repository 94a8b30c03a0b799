//! The table of the layers.

/// A module of the crate and what it may do.
pub struct Module {
    pub name: &'static str,
    pub may: May,
    /// Modules it may name, by spaces. A module always may use itself and what is below it.
    pub may_use: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
pub enum May {
    /// Compute: see [`IMPURE_PATHS`] for what it may not.
    Compute,
    /// Read and wait, but change no object in the cluster.
    Read,
    /// Change objects in the cluster.
    Write,
}

const fn module(name: &'static str, may: May, may_use: &'static str) -> Module {
    Module { name, may, may_use }
}

// One module a line, whatever the width.
#[rustfmt::skip]
pub const MODULES: &[Module] = &[
    module("names",       May::Compute, ""),
    module("api",         May::Compute, "names"),
    module("model",       May::Compute, "names api"),
    module("build",       May::Compute, "names api model"),
    module("decide",      May::Compute, "names api model build"),
    module("redis::info", May::Compute, "names model"),
    module("redis",       May::Read,    "names model redis::info metrics"),
    module("metrics",     May::Read,    "names api model"),
    module("lease",       May::Write,   "names metrics"),
    module("observe",     May::Read,    "names api model build redis redis::info metrics"),
    module("act",         May::Write,   "names api model build redis redis::info observe lease metrics"),
    module("http",        May::Read,    "lease metrics"),
    module("controller",  May::Read,    "names api model build decide redis observe act lease metrics http"),
    module("main",        May::Read,    "names api act redis observe controller lease metrics http"),
];

/// What a module that computes may not name, and why.
pub const IMPURE_PATHS: &[(&str, &str)] = &[
    ("tokio", "it does not wait"),
    ("futures", "it does not wait"),
    ("rand", "it is deterministic"),
    ("tracing", "its reasons are data, the caller logs them"),
    ("kube::Client", "it asks nobody"),
    ("kube::client", "it asks nobody"),
    ("kube::Api", "it asks nobody"),
    ("kube::api::Api", "it asks nobody"),
    ("kube::runtime", "it asks nobody"),
    ("std::time::Instant", "the time is an argument"),
    ("std::time::SystemTime", "the time is an argument"),
    ("std::fs", "it asks nobody"),
    ("std::env", "it asks nobody"),
    ("std::thread", "it does not wait"),
    ("std::net::TcpStream", "it asks nobody"),
    ("std::net::ToSocketAddrs", "it asks nobody"),
];

/// Methods of `kube::Api` that change something, by spaces.
pub const WRITING_METHODS: &str = "create patch replace delete delete_collection evict \
    patch_status replace_status patch_scale replace_scale patch_metadata \
    patch_subresource replace_subresource create_subresource";

/// Whether a list of the table has this word.
pub fn lists(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|listed| listed == word)
}
