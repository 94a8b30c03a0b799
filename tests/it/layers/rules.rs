//! What of a source file the table does not allow.

use super::source::{self, Path, Token};
use super::table::{IMPURE_PATHS, MODULES, May, Module, WRITING_METHODS, lists};

/// Everything in these files that the table does not allow, as `file:line: sentence`.
pub fn violations(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .flat_map(|(file, text)| violations_in(file, text))
        .collect()
}

pub fn violations_in(file: &str, text: &str) -> Vec<String> {
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
pub fn place(file: &str) -> Vec<String> {
    let stem = file.trim_start_matches("src/").trim_end_matches(".rs");
    stem.split('/')
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect()
}

/// The longest entry of the table that a path lies in.
pub fn module_of(path: &[String]) -> Option<&'static Module> {
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
        if used.name != module.name && !below && !lists(module.may_use, used.name) {
            let allowed = if module.may_use.is_empty() {
                "nothing"
            } else {
                module.may_use
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
        let call = three[0].text == "." && three[2].text == "(" && lists(WRITING_METHODS, method);
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
