//! Which module may use which, and what each may do: [`table`] is the documentation, the tests keep the code to it.
//!
//! ```text
//! names <- api <- model <- build <- decide <- controller <- main
//!                 model <- redis::info <- redis <- observe <- act <- controller
//! ```
//! Read `<-` as "is used by". What decides is pure: no clock, no network, no randomness, no log, so that the same
//! decision can be tried a million times in a second.

mod rules;
mod source;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rules::{module_of, place, violations, violations_in};
use table::MODULES;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
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
        "the layers are broken; the table is in tests/it/layers/table.rs\n{}",
        found.join("\n")
    );
}

#[test]
fn every_module_of_the_table_exists() {
    let sources = sources();
    let exist: BTreeSet<&str> = sources
        .iter()
        .filter_map(|(file, _)| module_of(&place(file)))
        .map(|module| module.name)
        .collect();
    for module in MODULES {
        assert!(
            exist.contains(module.name),
            "module {} is in the table but not in src: was it renamed?",
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
        (
            "src/main.rs",
            "use redis_operator::decide;",
            "module main may not use decide",
        ),
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
