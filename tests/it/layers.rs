//! Which module may use which, and what each may do: the table is the documentation, the tests keep the code to it.
//!
//! ```text
//! api, names <- model <- decide, build <- observe, act <- controller <- main
//!               model <- redis::info <- redis <- observe, act, controller
//! ```
//! Read `<-` as "is used by". What decides is pure: no clock, no network, no randomness, no log, so that the same
//! decision can be tried a million times in a second.

#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path as File;

use source::{Path, Token};

/// A module of the crate and what it may do.
struct Module {
    name: &'static str,
    /// Modules it may name. A module always may use itself and what is below it.
    may_use: &'static [&'static str],
    may: May,
}

#[derive(Clone, Copy, PartialEq)]
enum May {
    /// Compute: see [`IMPURE_PATHS`] for what it may not.
    Compute,
    /// Read and wait, but change no object in the cluster.
    Read,
    /// Change objects in the cluster.
    Write,
}

const fn module(name: &'static str, may: May, may_use: &'static [&'static str]) -> Module {
    Module { name, may_use, may }
}

const MODULES: &[Module] = &[
    module("names", May::Compute, &[]),
    module("api", May::Compute, &["names"]),
    module("model", May::Compute, &["api", "names"]),
    module("build", May::Compute, &["api", "names", "model"]),
    module("decide", May::Compute, &["api", "names", "model"]),
    module("redis::info", May::Compute, &["names", "model"]),
    module("redis", May::Read, &["names", "model", "redis::info", "metrics"]),
    module("metrics", May::Read, &["api", "names", "model"]),
    module("lease", May::Write, &["names", "metrics"]),
    module(
        "observe",
        May::Read,
        &["api", "names", "model", "build", "redis", "redis::info", "metrics"],
    ),
    module(
        "act",
        May::Write,
        &[
            "api",
            "names",
            "model",
            "build",
            "redis",
            "redis::info",
            "lease",
            "metrics",
        ],
    ),
    module("http", May::Read, &["lease", "metrics"]),
    module(
        "controller",
        May::Read,
        &[
            "api", "names", "model", "build", "decide", "redis", "observe", "act", "lease", "metrics", "http",
        ],
    ),
    module(
        "main",
        May::Read,
        &["api", "names", "controller", "lease", "metrics", "http"],
    ),
];

/// Modules of the table that are still to be written. One that exists must not stand here.
const NOT_YET: &[&str] = &[
    "model",
    "build",
    "decide",
    "redis::info",
    "redis",
    "metrics",
    "lease",
    "observe",
    "act",
    "http",
    "controller",
];

/// What a module that computes may not name, and why.
const IMPURE_PATHS: &[(&str, &str)] = &[
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

/// Methods of `kube::Api` that change something.
const WRITING_METHODS: &[&str] = &[
    "create",
    "patch",
    "replace",
    "delete",
    "delete_collection",
    "evict",
    "patch_status",
    "replace_status",
    "patch_scale",
    "replace_scale",
    "patch_subresource",
    "replace_subresource",
    "create_subresource",
    "patch_metadata",
];

/// Everything in these files that the table does not allow, as `file:line: sentence`.
fn violations(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .flat_map(|(file, text)| violations_in(file, text))
        .collect()
}

fn violations_in(file: &str, text: &str) -> Vec<String> {
    let place = place(file);
    let Some(module) = module_of(&place) else {
        let root = matches!(place.first().map(String::as_str), None | Some("lib"));
        return if root {
            vec![]
        } else {
            vec![format!("{file}:1: module {} is not in the table", place.join("::"))]
        };
    };
    let code = source::code(text);
    let paths = source::paths(&code);
    let mut found = foreign_uses(module, &place, &paths);
    if module.may == May::Compute {
        found.extend(impurities(module, &code, &paths));
    }
    if module.may != May::Write {
        found.extend(writes(module, &code));
    }
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|(line, sentence)| format!("{file}:{line}: {sentence}"))
        .collect()
}

/// The module path of a file below `src`: `redis/info.rs` is `redis::info`, `main.rs` is `main`.
fn place(file: &str) -> Vec<String> {
    let stem = file.trim_start_matches("src/").trim_end_matches(".rs");
    stem.split('/')
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect()
}

/// The longest entry of the table that a path lies in.
fn module_of(path: &[String]) -> Option<&'static Module> {
    let within = |name: &str| {
        let name: Vec<&str> = name.split("::").collect();
        path.len() >= name.len() && name.iter().zip(path).all(|(a, b)| a == b)
    };
    MODULES
        .iter()
        .filter(|module| within(module.name))
        .max_by_key(|module| module.name.len())
}

fn foreign_uses(module: &Module, place: &[String], paths: &[Path]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for path in paths {
        let Some(used) = within_crate(place, &path.segments).and_then(|inner| module_of(&inner)) else {
            continue;
        };
        let below = used.name.starts_with(&format!("{}::", module.name));
        if used.name != module.name && !below && !module.may_use.contains(&used.name) {
            let allowed = if module.may_use.is_empty() {
                "nothing".to_owned()
            } else {
                module.may_use.join(", ")
            };
            let (name, other) = (module.name, used.name);
            found.push((
                path.line,
                format!("module {name} may not use {other} (it may use {allowed})"),
            ));
        }
    }
    found
}

/// The path from the crate's root; `None` for a path into another crate or to a local name.
fn within_crate(place: &[String], segments: &[String]) -> Option<Vec<String>> {
    let first = segments.first()?.as_str();
    if first == "crate" || first == "redis_operator" {
        return Some(segments[1..].to_vec());
    }
    let ups = segments.iter().take_while(|s| *s == "super").count();
    let base = place.len().checked_sub(ups).filter(|_| ups > 0)?;
    Some(place[..base].iter().chain(&segments[ups..]).cloned().collect())
}

fn impurities(module: &Module, code: &[Token], paths: &[Path]) -> Vec<(usize, String)> {
    let name = module.name;
    let mut found = Vec::new();
    for token in code
        .iter()
        .filter(|token| matches!(token.text.as_str(), "async" | "await"))
    {
        found.push((
            token.line,
            format!(
                "module {name} may not use {}: it computes and does not wait",
                token.text
            ),
        ));
    }
    for path in paths {
        let text = path.segments.join("::");
        let named = |bad: &str| text == bad || text.starts_with(&format!("{bad}::"));
        if let Some((bad, why)) = IMPURE_PATHS.iter().find(|(bad, _)| named(bad)) {
            found.push((
                path.line,
                format!("module {name} may not use {bad}: it computes, {why}"),
            ));
        }
        if path.segments.len() > 1 && path.segments.last().is_some_and(|last| last == "now") {
            found.push((
                path.line,
                format!("module {name} may not use {text}: it computes, the time is an argument"),
            ));
        }
    }
    found
}

/// Calls such as `.patch(`. `.replace(` is a method of strings too: it counts where the file names `Api`.
fn writes(module: &Module, code: &[Token]) -> Vec<(usize, String)> {
    let names_api = code.iter().any(|token| token.text == "Api");
    let mut found = Vec::new();
    for three in code.windows(3) {
        let method = three[1].text.as_str();
        let call = three[0].text == "." && three[2].text == "(" && WRITING_METHODS.contains(&method);
        if call && (method != "replace" || names_api) {
            let name = module.name;
            found.push((
                three[1].line,
                format!("module {name} may not call .{method}(): only act and lease write"),
            ));
        }
    }
    found
}

fn sources() -> Vec<(String, String)> {
    let root = File::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let name = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .replace('\\', "/");
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                found.push((name, text));
            }
        }
    }
    // Tests of a module may read files and the clock; a test module in the same file is under #[cfg(test)].
    found.retain(|(name, _)| !name.split('/').any(|part| part == "tests" || part == "tests.rs"));
    found
}

#[test]
fn every_module_keeps_to_the_layers() {
    let found = violations(&sources());
    assert!(
        found.is_empty(),
        "the layers are broken; the table is in tests/it/layers.rs\n{}",
        found.join("\n")
    );
}

#[test]
fn every_module_of_the_table_exists_unless_it_is_still_to_be_written() {
    let exist: BTreeSet<&str> = sources()
        .iter()
        .filter_map(|(file, _)| module_of(&place(file)))
        .map(|module| module.name)
        .collect();
    for module in MODULES {
        let (exists, expected) = (exist.contains(module.name), !NOT_YET.contains(&module.name));
        assert!(
            exists || !expected,
            "module {} is in the table but not in src: was it renamed?",
            module.name
        );
        assert!(
            !exists || expected,
            "module {} exists now: take it off NOT_YET",
            module.name
        );
    }
}

#[test]
fn a_planted_violation_is_found_with_its_place_and_the_rule() {
    let planted = [
        (
            "src/decide/mod.rs",
            "//! x\nuse crate::act;\n",
            "src/decide/mod.rs:2: module decide may not use act",
        ),
        (
            "src/decide/a.rs",
            "use super::super::observe::X;",
            "src/decide/a.rs:1: module decide may not use observe",
        ),
        (
            "src/build/mod.rs",
            "use crate::{names, decide::{self, Plan}};",
            "module build may not use decide",
        ),
        (
            "src/names.rs",
            "fn f() { crate::api::x() }",
            "module names may not use api (it may use nothing)",
        ),
        (
            "src/act.rs",
            "use crate::controller;",
            "module act may not use controller",
        ),
        (
            "src/redis/info.rs",
            "use super::client::C;",
            "module redis::info may not use redis",
        ),
        (
            "src/model/x.rs",
            "async fn f() { g().await }",
            "module model may not use async",
        ),
        (
            "src/model/x.rs",
            "use kube::{Api as A, Resource};",
            "module model may not use kube::Api",
        ),
        (
            "src/api/x.rs",
            "fn f() { std::time::Instant::now(); }",
            "module api may not use std::time::Instant",
        ),
        (
            "src/decide/x.rs",
            "fn f() { Timestamp::now(); }",
            "module decide may not use Timestamp::now",
        ),
        (
            "src/decide/x.rs",
            "use std::time::{Duration, SystemTime};",
            "may not use std::time::SystemTime",
        ),
        ("src/build/x.rs", "use rand::Rng as _;", "module build may not use rand"),
        (
            "src/observe.rs",
            "fn f() {\n api.patch(\"x\") }",
            "src/observe.rs:2: module observe may not call .patch()",
        ),
        (
            "src/redis/x.rs",
            "fn f(a: Api<Pod>) { a.replace(x) }",
            "module redis may not call .replace()",
        ),
        ("src/utils.rs", "", "src/utils.rs:1: module utils is not in the table"),
        ("src/main.rs", "use redis_operator::act;", "module main may not use act"),
    ];
    for (file, text, expected) in planted {
        let found = violations_in(file, text).join("\n");
        assert!(
            found.contains(expected),
            "{file} with {text:?} should give\n  {expected}\nbut gives\n  {found}"
        );
    }
}

#[test]
fn what_the_table_allows_is_not_found() {
    let allowed = [
        (
            "src/decide/mod.rs",
            "use crate::model::{Plan, Step};\n/// See [`crate::act`].\nuse std::time::Duration;",
        ),
        (
            "src/decide/mod.rs",
            "// use crate::act;\n/* use /* tokio */ rand; */ const X: &str = \"crate::act\";",
        ),
        (
            "src/build/x.rs",
            "const A: &str = r#\"say \"crate::act\" async\"#; const Q: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        ("src/build/x.rs", "fn f(s: &str) -> String { s.replace('a', \"b\") }"),
        (
            "src/model/mod.rs",
            "pub mod redis; pub use redis::Facts; use crate::names::label;",
        ),
        (
            "src/model/mod.rs",
            "#[cfg(test)]\nmod tests { use rand::Rng; fn f() { let x = [1; 2]; } }\nuse crate::api;",
        ),
        (
            "src/act/x.rs",
            "async fn f() { crate::lease::held(); api.patch(1).await; }",
        ),
        ("src/redis/client.rs", "use super::info; use tokio::net::TcpStream;"),
        ("src/lib.rs", "pub mod controller;"),
    ];
    for (file, text) in allowed {
        let found = violations_in(file, text);
        assert!(found.is_empty(), "{file} with {text:?} is allowed, but gives {found:?}");
    }
}
