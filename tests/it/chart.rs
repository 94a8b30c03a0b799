//! The chart's values: documented, closed, and wrong ones refused with a sentence (TESTS.md, rows H1 to H12).
//!
//! The tests that call Helm are ignored by default, since a plain `cargo test` has none; `hack/cluster-test` runs them
//! with the testbed's.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::deploy::documents;

const CHART: &str = "charts/redis-operator";

fn schema() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(CHART)
        .join("values.schema.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("the schema can be read")).expect("the schema is JSON")
}

#[test]
fn every_value_is_described_in_the_schema_and_unknown_ones_are_refused() {
    fn compare(at: &str, value: &Value, schema: &Value) {
        assert!(
            schema["description"].is_string(),
            "{at} has no description in values.schema.json"
        );
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        assert_eq!(schema["additionalProperties"], false, "{at} takes unknown keys");
        for (key, inner) in value.as_object().into_iter().flatten() {
            assert!(
                properties.contains_key(key),
                "{at}.{key} is in values.yaml but not in values.schema.json"
            );
            compare(&format!("{at}.{key}"), inner, &properties[key]);
        }
    }
    compare("values", &documents(&format!("{CHART}/values.yaml"))[0], &schema());
}

#[test]
fn the_comment_of_every_top_level_value_precedes_it() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CHART).join("values.yaml"))
        .expect("values.yaml can be read");
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines
        .windows(2)
        .filter(|pair| pair[1].starts_with(|c: char| c.is_ascii_lowercase()))
    {
        assert!(
            !pair[0].is_empty() || pair[1].ends_with(':'),
            "{} has neither a comment nor a group",
            pair[1]
        );
    }
}

/// What `helm template` says of these arguments: the manifests, or the error.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let helm = std::env::var("HELM").unwrap_or_else(|_| "helm".to_owned());
    let done = Command::new(&helm)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["template", "r", CHART, "--namespace", "ns", "--kube-version", "1.35.4"])
        .args(arguments)
        .output()
        .map_err(|error| format!("{helm} cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(text(&done.stderr))
    }
}

#[test]
#[ignore = "needs helm: hack/cluster-test runs it"]
fn wrong_values_are_refused_with_a_sentence() {
    let long = format!("nameOverride={}", "a".repeat(80));
    let rows: &[(&str, &[&str], &str)] = &[
        (
            "H1",
            &["--set-json", "image.tag=1.10"],
            "at '/image/tag': got number, want string",
        ),
        (
            "H2",
            &["--set", "replicas=2,leaderElection=false"],
            "leaderElection must be on when replicas > 1",
        ),
        (
            "H2 with one",
            &["--set", "replicas=1,leaderElection=false"],
            "leaderElection must be on: a rolling update",
        ),
        (
            "H3 a string",
            &["--set-json", r#"watchNamespaces="a,b""#],
            "at '/watchNamespaces': got string, want array",
        ),
        (
            "H3 empty",
            &["--set-json", r#"watchNamespaces=[""]"#],
            "at '/watchNamespaces/0': '' does not match pattern",
        ),
        (
            "H3 all by namespace",
            &[
                "--set-json",
                r#"watchNamespaces=["*"]"#,
                "--set",
                "rbac.scope=namespace",
            ],
            r#"watchNamespaces ["*"] needs rbac.scope: cluster"#,
        ),
        (
            "H3 none by namespace",
            &["--set", "rbac.scope=namespace"],
            "rbac.scope: namespace needs watchNamespaces",
        ),
        (
            "H3 all and one",
            &["--set-json", r#"watchNamespaces=["*","a"]"#],
            r#"has "*" beside other names"#,
        ),
        (
            "H4",
            &["--set", "watchNamespace=a"],
            "additional properties 'watchNamespace' not allowed",
        ),
        (
            "H5",
            &["--set", "logLevel=info; rm -rf /"],
            "at '/logLevel': value must be one of 'error', 'warn', 'info'",
        ),
        (
            "H6",
            &["--set-json", "resources.limits.memory=64"],
            "resources.limits.memory 64 is below 64Mi",
        ),
        (
            "H6 with a unit",
            &["--set", "resources.limits.memory=0.06Gi"],
            "resources.limits.memory 0.06Gi is below 64Mi",
        ),
        (
            "H7",
            &["--set", "serviceAccount.create=false"],
            "give serviceAccount.name",
        ),
        (
            "H8 long",
            &["--set", &long],
            "at '/nameOverride': maxLength: got 80, want 40",
        ),
        (
            "H8 upper case",
            &["--set", "nameOverride=Redis"],
            "at '/nameOverride': 'Redis' does not match pattern",
        ),
        (
            "H10 root",
            &["--set", "securityContext.runAsNonRoot=false"],
            "set unsafe.allowPrivileged=true",
        ),
        (
            "H10 privileged",
            &["--set", "securityContext.privileged=true"],
            "set unsafe.allowPrivileged=true",
        ),
        (
            "H10 uid 0",
            &["--set", "securityContext.runAsUser=0"],
            "set unsafe.allowPrivileged=true",
        ),
        (
            "H12",
            &["--set", "metrics.bind=0.0.0.0"],
            "additional properties 'bind' not allowed",
        ),
        (
            "H12",
            &["--set", "metrics.auth=none"],
            "additional properties 'auth' not allowed",
        ),
        ("null", &["--set-json", "metrics=null"], "missing property 'metrics'"),
    ];
    for (row, arguments, expected) in rows {
        let said = helm(arguments);
        let refused = said.as_ref().is_err_and(|error| error.contains(expected));
        assert!(
            refused,
            "{row}: {arguments:?} should be refused with\n  {expected}\nbut helm says\n  {said:?}"
        );
    }
}

#[test]
#[ignore = "needs helm: hack/cluster-test runs it"]
fn sensible_values_are_rendered_into_what_they_say() {
    let rows: &[(&[&str], &str)] = &[
        (
            &["--set-json", r#"watchNamespaces=["a","b"]"#],
            "- --watch-namespaces=a,b",
        ),
        (&["--set", "resources.limits.memory=64Mi"], "memory: 64Mi"),
        (&["--set", "rbac.nodes=false"], "- --watch-nodes=false"),
        (
            &[
                "--set-json",
                r#"watchNamespaces=["a"]"#,
                "--set",
                "rbac.scope=namespace",
            ],
            "resources: [nodes]",
        ),
        (
            &["--set", "securityContext.privileged=true,unsafe.allowPrivileged=true"],
            "privileged: true",
        ),
        (
            &[
                "--set",
                "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            "redis-operator@sha256:0123",
        ),
        (&["--set", "metrics.serviceMonitor.enabled=true"], "honorLabels: true"),
        (&["--set", "networkPolicy.enabled=true"], "kind: NetworkPolicy"),
        (&[], "helm.sh/resource-policy: keep"),
    ];
    for (arguments, expected) in rows {
        let said = helm(arguments);
        let rendered = said.as_ref().is_ok_and(|text| text.contains(expected));
        assert!(
            rendered,
            "{arguments:?} should render {expected}, but helm says\n{said:?}"
        );
    }
}

#[test]
#[ignore = "needs helm: hack/cluster-test runs it"]
fn roles_by_namespace_grant_nothing_on_the_cluster() {
    let arguments = [
        "--set-json",
        r#"watchNamespaces=["a","b"]"#,
        "--set",
        "rbac.scope=namespace,rbac.aggregate=false,rbac.nodes=false",
    ];
    let text = helm(&arguments).expect("the values are sensible");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("helm renders YAML");
    let of_kind = |kind: &str| {
        objects
            .iter()
            .filter(|o| o["kind"] == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        of_kind("ClusterRole").is_empty() && of_kind("ClusterRoleBinding").is_empty(),
        "{text}"
    );
    let roles = of_kind("Role");
    let namespaces: Vec<&Value> = roles.iter().map(|role| &role["metadata"]["namespace"]).collect();
    assert_eq!(namespaces, ["a", "b", "ns"]);
    assert!(!text.contains("\"*\""), "nothing is granted by wildcard");
}
