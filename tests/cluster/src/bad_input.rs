//! Manifests that a person may get wrong, and what the apiserver says to each, word by word.
//!
//! `tests/bad_input/NAME.yaml` is the input and `NAME.golden` the answer of a real apiserver with the definition
//! installed: what kubectl prints, or for a manifest that is taken the spec as it is stored. This module knows the
//! files and compares; how kubectl is called is the caller's affair, so that any cluster can be asked.
//!
//! A file of several documents is a history: all but the last are stored, the last is tried. `{{x*N}}` stands for N
//! times the letter x. A line `# validate: warn` asks for a warning about unknown fields instead of an error.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One call of kubectl that a case needs; answered with what it prints: standard output if it succeeds, with standard
/// error before it, else standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// `kubectl apply --validate=strict -f -`: stores the object.
    Store(&'a str),
    /// `kubectl apply --dry-run=server --validate=VALIDATE -o yaml -f -`: stores nothing.
    Try {
        /// The object.
        manifest: &'a str,
        /// `strict` or `warn`.
        validate: &'static str,
    },
    /// `kubectl delete --wait -f -`: removes what was stored.
    Remove(&'a str),
}

/// One manifest and the answer that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// File name without `.yaml`.
    pub name: String,
    /// Documents to store before, oldest first.
    pub before: Vec<String>,
    /// The document to try.
    pub manifest: String,
    /// `strict` or `warn`.
    pub validate: &'static str,
    /// The answer; empty if it was not recorded yet.
    pub golden: String,
    file: PathBuf,
}

/// Reads every case of a directory, by name.
pub fn cases(directory: &Path) -> io::Result<Vec<Case>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.into_iter().map(read).collect()
}

fn read(file: PathBuf) -> io::Result<Case> {
    let text = fs::read_to_string(&file)?;
    let mut before: Vec<String> = text.split("\n---\n").map(expand).collect();
    let golden = match fs::read_to_string(file.with_extension("golden")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    Ok(Case {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        manifest: before.pop().unwrap_or_default(),
        validate: if text.contains("# validate: warn\n") {
            "warn"
        } else {
            "strict"
        },
        before,
        golden,
        file,
    })
}

fn expand(document: &str) -> String {
    let mut parts = document.split("{{x*");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (count, rest) = part.split_once("}}").unwrap_or(("0", part));
        text += &"x".repeat(count.parse().unwrap_or(0));
        text += rest;
    }
    text
}

impl Case {
    /// Asks the apiserver and returns its answer in the form of a golden file.
    pub fn answer(&self, call: &mut impl FnMut(Call) -> Result<String, String>) -> String {
        for document in &self.before {
            if let Err(refusal) = call(Call::Store(document)) {
                return format!("could not be prepared: {refusal}");
            }
        }
        let answer = call(Call::Try {
            manifest: &self.manifest,
            validate: self.validate,
        });
        if let Some(document) = self.before.last()
            && let Err(refusal) = call(Call::Remove(document))
        {
            return format!("could not be cleared away: {refusal}");
        }
        match answer {
            Ok(stored) => accepted(&stored),
            Err(refusal) => refused(&refusal),
        }
    }

    /// The answer if it is not the recorded one; with `record` it is written down instead.
    pub fn difference(
        &self,
        record: bool,
        call: &mut impl FnMut(Call) -> Result<String, String>,
    ) -> io::Result<Option<String>> {
        let answer = self.answer(call);
        if record {
            fs::write(self.file.with_extension("golden"), &answer)?;
        }
        Ok((answer != self.golden && !record).then_some(answer))
    }
}

/// Warnings, and the spec of the stored object: its metadata differs at every call.
fn accepted(stored: &str) -> String {
    let warnings = stored.lines().filter(|line| line.starts_with("Warning: "));
    let spec = stored
        .lines()
        .skip_while(|line| *line != "spec:")
        .take_while(|line| *line != "status:");
    ["accepted"]
        .into_iter()
        .chain(warnings)
        .chain(spec)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The refusal with its points in alphabetical order: the apiserver gives them in any.
fn refused(refusal: &str) -> String {
    let mut lines: Vec<&str> = refusal.trim_end().lines().map(str::trim_end).collect();
    if let Some(first) = lines.iter().position(|line| line.starts_with("* ")) {
        lines[first..].sort_unstable();
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(before: &[&str]) -> Case {
        Case {
            name: "a".into(),
            before: before.iter().map(|text| (*text).to_owned()).collect(),
            manifest: "new".into(),
            validate: "strict",
            golden: String::new(),
            file: PathBuf::new(),
        }
    }

    #[test]
    fn a_history_is_stored_then_the_last_document_tried_then_all_removed() {
        let mut calls = Vec::new();
        case(&["old"]).answer(&mut |call| {
            calls.push(format!("{call:?}"));
            Ok(String::new())
        });
        assert_eq!(
            calls,
            [
                r#"Store("old")"#,
                r#"Try { manifest: "new", validate: "strict" }"#,
                r#"Remove("old")"#
            ]
        );
    }

    #[test]
    fn the_points_of_a_refusal_are_sorted_and_its_head_is_kept() {
        assert_eq!(
            refused("X is invalid: \n* b: no\n* a: no\n"),
            "X is invalid:\n* a: no\n* b: no\n"
        );
    }

    #[test]
    fn of_an_accepted_object_only_warnings_and_spec_are_compared() {
        let stored = "Warning: unknown field\napiVersion: v1\nmetadata:\n  uid: 1\nspec:\n  a: 1\nstatus:\n  b: 2\n";
        assert_eq!(accepted(stored), "accepted\nWarning: unknown field\nspec:\n  a: 1\n");
    }

    #[test]
    fn a_long_text_is_written_short() {
        assert_eq!(expand("a: {{x*3}} {{x*2}}"), "a: xxx xx");
    }
}
