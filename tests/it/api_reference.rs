//! The reference under `docs/reference/`, made from the schema and kept equal to it. What users read.

use std::fmt::Write;

use redis_operator::api::{Change, ConditionType, Reason, reserved};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::api_schema::EMBEDDED;
use crate::bad_input::schema;
use crate::crd::generated;

const MADE: &str = "<!-- Made from the types under src/api; `UPDATE=1 cargo test` writes it. -->\n";

#[test]
fn the_reference_of_spec_is_the_one_of_the_code() {
    let spec = &schema()["properties"]["spec"];
    let mut text = format!("{MADE}\n# spec\n\n{}\n", SPEC);
    text += "| Field | Type | Default | Limits | Change | |\n|---|---|---|---|---|---|\n";
    fields(spec, "", &mut |path, schema, required| {
        let description = schema["description"].as_str().unwrap_or_default();
        let (sentence, change) = Change::split(description).map_or((description, ""), |(text, c)| (text, c.as_str()));
        let default = if required { "required".into() } else { default(schema) };
        let cells = [
            format!("`{path}`"),
            kind(path, schema),
            default,
            limits(schema),
            change.into(),
            cell(sentence),
        ];
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    });
    text += "\n## What is refused\n\nBeside the limits above; the sentence is what `kubectl apply` prints.\n\n";
    text += "| Where | Sentence |\n|---|---|\n";
    for (path, sentence) in sentences(&schema()) {
        writeln!(text, "| `{path}` | {} |", cell(&sentence)).unwrap();
    }
    text += &directives();
    generated("docs/reference/spec.md", &text);
}

#[test]
fn the_reference_of_status_is_the_one_of_the_code() {
    let mut text = format!("{MADE}\n# status\n\n{}\n| Field | Type | |\n|---|---|---|\n", STATUS);
    fields(&schema()["properties"]["status"], "", &mut |path, schema, _| {
        let description = schema["description"].as_str().unwrap_or_default();
        writeln!(text, "| `{path}` | {} | {} |", kind(path, schema), cell(description)).unwrap();
    });
    generated("docs/reference/status.md", &text);
}

#[test]
fn the_reference_of_conditions_is_the_one_of_the_code() {
    let mut text = format!("{MADE}\n# Conditions\n\n{}", CONDITIONS);
    let types = meanings::<ConditionType>();
    let reasons = meanings::<Reason>();
    text += "\n| Type | True means | True is | Makes Ready False |\n|---|---|---|---|\n";
    for (kind, meaning) in ConditionType::ALL.iter().zip(&types) {
        let good = if kind.good_when_true() { "good" } else { "bad" };
        let decides = if kind.decides_ready() { "yes" } else { "" };
        writeln!(
            text,
            "| [`{kind}`](#{}) | {meaning} | {good} | {decides} |",
            kind.as_str().to_lowercase()
        )
        .unwrap();
    }
    for kind in ConditionType::ALL {
        write!(text, "\n## {kind}\n\n| Reason | |\n|---|---|\n").unwrap();
        for reason in kind.reasons() {
            let position = Reason::ALL.iter().position(|known| *known == reason).unwrap();
            writeln!(text, "| `{reason}` | {} |", reasons[position]).unwrap();
        }
    }
    generated("docs/reference/conditions.md", &text);
}

const SPEC: &str = "\
What a person wants of a `RedisReplicaSet`, short name `rrs`, of `redisreplicaset.dev/v1alpha1`. Only `image` is
required. The operator never writes spec. Defaults are stored with the object.

`metadata.name` is a DNS-1035 label of at most 40 characters: pods, Services and claims are named after it.

What a change does: `free` takes effect at once and disturbs no client; `grow only` and `immutable` are held to by the
apiserver; `restart` takes effect in a pod when the pod is made anew; `live` is taken by running servers if Redis can,
else as `restart`. With `update.strategy: Automatic` the operator makes pods anew one by one, the master last; with
`Supervised` the master waits for a person; with `OnDelete` a person deletes them, and condition `UpToDate` says how many
are old.

Fields that are pasted from a Pod or a Service have the paths they have there.
";

const STATUS: &str = "\
What was seen of a set, and who is its master. Fields that say *compare-and-set* are the record that role changes
follow: they change alone, before the effect they announce. All others are observations. Sizes are bytes. Values that
always move (offsets, lags) are metrics and not here.

Nobody but the operator writes status.
";

const CONDITIONS: &str = "\
All types are present from the first pass on, in this order, with `observedGeneration`. Types and reasons are closed
lists and part of the API; messages are for people and may change.

`kubectl wait --for=condition=Ready` waits until the spec is realised, `--for=condition=Available` until the master
takes writes. For kstatus (Flux, `kubectl rollout`-like tools): Reconciling True is in progress, Stalled True is failed,
Ready True is current; Reconciling and Stalled are never True together.
";

/// Every field below a schema with its path, in the order of the schema; blocks are named too.
fn fields(schema: &Value, path: &str, seen: &mut impl FnMut(&str, &Value, bool)) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        seen(&path, property, required.contains(&name.as_str()));
        if !core_type(&path) && path != "conditions" {
            fields(property, &path, seen);
            fields(&property["items"], &format!("{path}[]"), seen);
        }
    }
}

fn core_type(path: &str) -> bool {
    EMBEDDED.iter().any(|field| field.strip_prefix("spec.") == Some(path))
}

fn kind(path: &str, schema: &Value) -> String {
    let name = path.rsplit('.').next().unwrap_or_default();
    match (name, schema["type"].as_str(), schema["format"].as_str()) {
        ("affinity", ..) => "[Affinity] of core/v1".replace(['[', ']'], "`"),
        ("tolerations", ..) => "list of `Toleration` of core/v1".into(),
        ("topologySpreadConstraints", ..) => "list of `TopologySpreadConstraint` of core/v1".into(),
        ("conditions", ..) => "list of `Condition` of meta/v1, see [conditions](conditions.md)".into(),
        (_, None, _) => "quantity".into(),
        (_, Some("array"), _) => format!("list of {}", kind("", &schema["items"])),
        (_, Some("object"), _) => match schema.get("additionalProperties") {
            Some(values) => format!("map to {}", kind("", values)),
            None => "block".into(),
        },
        (_, Some("string"), Some("date-time")) => "time".into(),
        (_, Some("string"), Some("partial-date-time")) => "time".into(),
        (_, Some("string"), _)
            if schema["pattern"]
                .as_str()
                .is_some_and(|form| form.contains("(h|m|s|ms)")) =>
        {
            "duration such as `10s`".into()
        }
        (_, Some("string"), _) if schema.get("enum").is_some() => "word".into(),
        (_, Some(other), _) => other.into(),
    }
}

fn duration(schema: &Value) -> bool {
    schema["pattern"]
        .as_str()
        .is_some_and(|form| form.contains("(h|m|s|ms)"))
}

fn default(schema: &Value) -> String {
    match schema.get("default") {
        None | Some(Value::Object(_)) => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

fn limits(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect();
        return words.join(", ");
    }
    let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
        return format!("{least} to {most}");
    }
    if duration(schema) {
        return String::new();
    }
    [
        ("maxItems", "at most {}"),
        ("maxProperties", "at most {}"),
        ("maxLength", "at most {} characters"),
    ]
    .into_iter()
    .find_map(|(keyword, text)| Some(text.replace("{}", &number(keyword)?.to_string())))
    .filter(|_| schema.get("x-kubernetes-int-or-string").is_none())
    .unwrap_or_default()
}

/// The rules' sentences with the place where they stand, each sentence of several places once for all of them.
fn sentences(schema: &Value) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut all = Vec::new();
    crate::api_sentences::rules(schema, "", &mut all);
    for (path, rule) in all {
        let sentence = rule["message"]
            .as_str()
            .map_or_else(|| told(&rule["messageExpression"]), str::to_owned);
        let place = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
        let place = place.trim_start_matches('.').to_owned();
        match found.iter_mut().find(|(_, known)| *known == sentence) {
            Some((places, _)) => *places += &format!("`, `{place}"),
            None => found.push((place, sentence)),
        }
    }
    found
}

/// The directives that config may not have.
fn directives() -> String {
    let list = |names: &[&str], prefixes: &[&str]| {
        let names = names.iter().map(|name| format!("`{name}`"));
        names
            .chain(prefixes.iter().map(|prefix| format!("`{prefix}*`")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = "\n## Directives that config may not have\n\nManaged by a field of spec:\n\n".to_owned();
    text += "| Directive | Field |\n|---|---|\n";
    for (directive, field) in reserved::ELSEWHERE {
        writeln!(text, "| `{directive}` | {field} |").unwrap();
    }
    text += &format!(
        "\nManaged by the operator: {}.\n",
        list(reserved::MANAGED, reserved::MANAGED_PREFIXES)
    );
    text + &format!(
        "\nNot allowed: {}.\n",
        list(reserved::FORBIDDEN, reserved::FORBIDDEN_PREFIXES)
    )
}

/// A sentence that is an expression, with an ellipsis for what is only known when it is said.
fn told(expression: &Value) -> String {
    let (mut text, mut depth, mut quote) = (String::new(), 0, false);
    for c in expression.as_str().unwrap_or_default().chars() {
        match c {
            '\'' if depth == 0 => quote = !quote,
            _ if quote => text.push(c),
            ')' | ']' | '}' => depth -= 1,
            ' ' | '+' => {}
            _ => {
                if depth == 0 && !text.ends_with('…') {
                    text.push('…');
                }
                depth += i32::from("([{".contains(c));
            }
        }
    }
    text
}

/// The documentation of an enum's values, in their order.
fn meanings<T: JsonSchema>() -> Vec<String> {
    let schema = schema_for!(T).to_value();
    let values = schema["oneOf"].as_array().unwrap();
    values
        .iter()
        .map(|value| cell(value["description"].as_str().unwrap()))
        .collect()
}

/// Text that does not break a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[test]
fn every_reason_of_the_reference_is_given_by_the_decision() {
    // A reason that is not in the list does not compile; one that nothing gives is found here.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decide/conditions");
    let sources = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let source: String = sources.collect();
    for reason in Reason::ALL {
        let variant = format!("Reason::{reason}");
        let given = source
            .match_indices(&variant)
            .any(|(at, _)| !source[at + variant.len()..].starts_with(|next: char| next.is_ascii_alphanumeric()));
        assert!(given, "nothing gives {reason}: remove it from src/api/conditions.rs");
    }
}
