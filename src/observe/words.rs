//! What a kubelet, a scheduler or a server's log says, made short and plain enough for status and logs.

/// Longest text that is kept.
const WORDS: usize = 200;

/// What a log ends with: Redis's complaint about its configuration with the line it names, else the last line.
pub(super) fn last_words(log: &str) -> String {
    const COMPLAINTS: [&str; 2] = ["*** FATAL CONFIG FILE ERROR", "Unresolved Configuration(s) Detected"];
    let lines: Vec<&str> = log
        .lines()
        .map(|line| unstamped(line.trim()))
        .filter(|line| !line.is_empty())
        .collect();
    let complaint = lines
        .iter()
        .position(|line| COMPLAINTS.iter().any(|c| line.contains(c)));
    match complaint {
        Some(at) => lines[at..].join(" "),
        None => lines.last().map(|line| (*line).to_owned()).unwrap_or_default(),
    }
}

/// A line of a server's log without process, time and level (`1:M 25 Nov 2026 03:27:28.833 # `): with them, a container
/// that ends again and again would say something new each time.
fn unstamped(line: &str) -> &str {
    let stamped = line
        .split_once(':')
        .is_some_and(|(pid, _)| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()));
    let levels = [" # ", " * ", " - ", " . "];
    let after = levels
        .iter()
        .filter_map(|level| line.find(level).map(|at| at + level.len()))
        .min();
    match after {
        Some(at) if stamped => &line[at..],
        _ => line,
    }
}

/// The head of a text without control characters, which shall not reach status or logs.
pub(super) fn words(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    clean.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_its_last_line_without_stamps() {
        let log = "1:C 25 Nov 2026 03:27:28.800 * oO0\n1:M 25 Nov 2026 03:27:28.833 # Out of disk\n\n";
        assert_eq!(last_words(log), "Out of disk");
        assert_eq!(last_words("a: b - c"), "a: b - c");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_complaint_about_the_configuration_is_told_with_the_line_it_names() {
        let seven = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 33\n\
                     >>> 'foo-bar \"1\"'\nBad directive or wrong number of arguments\n";
        assert!(last_words(seven).starts_with("*** FATAL CONFIG FILE ERROR"));
        assert!(last_words(seven).contains("'foo-bar"));
        let eight = "1:S 25 Nov 2026 03:27:28.833 # Unresolved Configuration(s) Detected:\n\
                     1:S 25 Nov 2026 03:27:28.833 # >>> 'foo-bar 1'\n1:S 25 Nov 2026 03:27:28.834 # aborting\n";
        assert_eq!(
            last_words(eight),
            "Unresolved Configuration(s) Detected: >>> 'foo-bar 1' aborting"
        );
    }

    #[test]
    fn control_characters_reach_nobody() {
        assert_eq!(words("a\u{1b}[31m\tb\n"), "a [31m b");
    }
}
