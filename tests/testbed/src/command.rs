//! Programs that run and end: output captured, failure as a sentence, interruptible, with progress.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{At, Error, Result};
use crate::interrupt;

/// Builds a command from words.
pub(crate) fn command<I>(program: impl AsRef<std::ffi::OsStr>, args: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Takes away what `cargo run` tells a program of its own package: the build of `ring` depends on it, and a cargo below
/// would build that, and all that needs it, anew for each package it is called from.
pub fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `program` with words separated by spaces: for short commands without odd arguments.
pub(crate) fn sh(line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    output(&mut command(words.next().unwrap_or_default(), words))
}

/// Runs to the end and returns the standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = name(command);
    let done = command.stdin(Stdio::null()).output().at("run", &name)?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = if done.stderr.is_empty() {
        &done.stdout
    } else {
        &done.stderr
    };
    Err(Error::Failed {
        program: name,
        status: done.status.to_string(),
        output: tail(&String::from_utf8_lossy(said)),
    })
}

/// As [`output`], with `input` as its standard input.
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let name = name(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .at("run", &name)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).at("write to", &name)?;
    }
    let done = child.wait_with_output().at("run", &name)?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = tail(&String::from_utf8_lossy(&done.stderr));
    Err(Error::Failed {
        program: name,
        status: done.status.to_string(),
        output: said,
    })
}

/// Runs a long step with its output in `log`; now and then says how long it has been at work and at what.
pub(crate) fn long(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    let name = name(command);
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    let out = File::create(log).at("create", log)?;
    let err = out.try_clone().at("write", log)?;
    let begun = Instant::now();
    let mut next = Duration::from_secs(10);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .at("run", &name)?;
    loop {
        if let Some(status) = child.try_wait().at("wait for", &name)? {
            if status.success() {
                return Ok(());
            }
            return Err(Error::Failed {
                program: name,
                status: status.to_string(),
                output: last_lines(log),
            });
        }
        if interrupt::check().is_err() {
            // The group it runs in is killed by whoever clears up; this ends the direct child.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Interrupted);
        }
        if begun.elapsed() >= next {
            let last: String = last_lines(log)
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .chars()
                .take(80)
                .collect();
            say(&format!("  {what}: {} s  {last}", begun.elapsed().as_secs()));
            next += (next / 2).min(Duration::from_secs(30));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Tells a person what is going on.
pub(crate) fn say(line: &str) {
    eprintln!("testbed: {line}");
}

/// The last lines of a log, for an error message.
pub(crate) fn last_lines(log: &Path) -> String {
    let Ok(mut file) = File::open(log) else {
        return String::new();
    };
    let length = file.metadata().map_or(0, |m| m.len());
    let mut text = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(4000))).is_ok() {
        let _ = file.read_to_end(&mut text);
    }
    tail(&String::from_utf8_lossy(&text))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn name(command: &Command) -> String {
    let mut name = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args().take(6) {
        name.push(' ');
        name.push_str(&arg.to_string_lossy());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_its_last_words() {
        let error = output(&mut command("sh", ["-c", "echo one; echo two >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("sh -c"), "{error}");
        assert!(error.contains("exit status: 3") && error.ends_with("two"), "{error}");
    }

    #[test]
    fn only_the_last_eight_lines_are_quoted() {
        let text = (1..=20).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(tail(&text), "13\n14\n15\n16\n17\n18\n19\n20");
    }
}
