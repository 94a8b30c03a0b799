//! The definition as it is installed: equal to the code, and small enough.

use std::path::Path;

use redis_operator::api;

/// Compares a generated file with what the code makes of it now; `UPDATE=1` writes it.
pub fn generated(path: &str, wanted: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the code makes: run `UPDATE=1 cargo test` and look at the difference"
    );
}

#[test]
fn the_installed_definition_is_the_one_of_the_code() {
    generated("crds/redisreplicaset.yaml", &api::crd_yaml());
}

#[test]
fn the_definition_stays_below_200_kib_of_json() {
    let size = serde_json::to_vec(&api::crd()).unwrap().len();
    assert!(size < 200 * 1024, "{size} bytes");
}
