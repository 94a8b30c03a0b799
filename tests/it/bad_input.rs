//! The answers recorded in `tests/bad_input` against what can be decided without a cluster: the rules run here, and
//! the types read what is stored.

use std::path::Path;
use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, ValidationError, Validator, compile_schema};
use redis_operator::api::{self, RedisReplicaSetSpec};
use serde_json::Value;

#[allow(dead_code, reason = "the calls of kubectl are the cluster tests'")]
#[path = "../cluster/src/bad_input.rs"]
mod files;

pub use files::Case;

/// What the apiserver adds when it stops before the rules.
const RULES_NOT_RUN: [&str; 3] = [
    "some validation rules were not checked",
    "strict decoding error",
    "entity too large",
];

pub fn cases() -> Vec<Case> {
    files::cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input")).unwrap()
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The schema of the whole object.
pub fn schema() -> Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let version = api::crd().spec.versions.remove(0);
        serde_json::to_value(version.schema.unwrap().open_api_v3_schema.unwrap()).unwrap()
    });
    SCHEMA.clone()
}

/// Runs the rules as the apiserver does: over the object with its defaults.
pub fn refusals(object: &Value, old: Option<&Value>) -> Vec<ValidationError> {
    thread_local! {
        static RULES: (Validator, CompiledSchema) = (Validator::new(), compile_schema(&schema()));
    }
    RULES.with(
        |(validator, rules)| match validator.validate_compiled(rules, object, old) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_vec(),
        },
    )
}

/// The recorded lines that are rules' sentences: the others are the schema's.
fn sentences(golden: &str) -> Vec<&str> {
    let points: Vec<&str> = golden.lines().filter_map(|line| line.strip_prefix("* ")).collect();
    let one = golden.split_once(" is invalid: ").map(|(_, point)| point.trim_end());
    points
        .into_iter()
        .chain(one.filter(|point| !point.is_empty()))
        .filter(|point| !point.contains(" in body ") && !point.contains("Duplicate value"))
        .filter(|point| !point.contains("should be a non-negative integer"))
        .collect()
}

#[test]
fn every_manifest_has_a_recorded_answer_and_no_answer_is_left_over() {
    let cases = cases();
    for case in &cases {
        assert!(!case.golden.is_empty(), "{} has no golden file", case.name);
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input");
    let goldens = std::fs::read_dir(directory)
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|extension| extension == "golden")
        })
        .count();
    assert_eq!(goldens, cases.len());
}

#[test]
fn the_rules_say_here_what_they_said_at_the_apiserver() {
    for case in cases() {
        if RULES_NOT_RUN.iter().any(|mark| case.golden.contains(mark)) {
            continue;
        }
        let old = case.before.last().map(|text| yaml(text));
        let found = refusals(&yaml(&case.manifest), old.as_ref());
        let recorded = sentences(&case.golden);
        for error in &found {
            let same = |line: &&str| {
                line.starts_with(&format!("{}: ", error.field_path.trim_start_matches('.')))
                    && line.ends_with(&error.message)
            };
            assert!(
                recorded.iter().any(same),
                "{}: {error:?} is not in {recorded:?}",
                case.name
            );
        }
        assert_eq!(found.len(), recorded.len(), "{}: {found:?} for {recorded:?}", case.name);
    }
}

#[test]
fn the_types_read_and_write_what_the_apiserver_stored() {
    let accepted: Vec<_> = cases()
        .into_iter()
        .filter(|case| case.golden.starts_with("accepted\n"))
        .collect();
    assert!(accepted.len() >= 10);
    for case in accepted {
        let (_, spec) = case.golden.split_once("\nspec:\n").unwrap();
        let stored = yaml(spec);
        let read: RedisReplicaSetSpec = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), stored, "{}", case.name);
        if case.name == "b07-nothing-but-an-image" {
            assert_eq!(
                read,
                RedisReplicaSetSpec::new("redis:8.2"),
                "defaults of the types and of the schema differ"
            );
        }
    }
}
