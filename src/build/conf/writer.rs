//! The one writer of redis.conf lines.
//!
//! Every argument is quoted and everything that could end it is escaped, so a value can be nothing but a value. No
//! other code puts text into redis.conf.

/// Lines of a redis.conf under construction.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// Adds `directive "argument" ...`. The caller has checked the directive's name; arguments may be any text.
    pub fn line<'a>(&mut self, directive: &str, arguments: impl IntoIterator<Item = &'a str>) {
        self.text.push_str(directive);
        for argument in arguments {
            self.text.push(' ');
            quote(&mut self.text, argument);
        }
        self.text.push('\n');
    }

    /// The file.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Writes a double-quoted argument: printable ASCII stands for itself, every other byte is `\xHH`.
fn quote(text: &mut String, argument: &str) {
    text.push('"');
    for byte in argument.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => *text += &format!("\\x{byte:02x}"),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How Redis reads a line: `sdssplitargs`, with the state of its loop kept. `None` where it says "unbalanced quotes".
    fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let at = |i: usize| line.get(i).copied().unwrap_or(0);
        let is_space = |b: u8| matches!(b, b' ' | b'\t'..=b'\r');
        let mut arguments = Vec::new();
        let mut i = 0;
        loop {
            while at(i) != 0 && is_space(at(i)) {
                i += 1;
            }
            if at(i) == 0 {
                return Some(arguments);
            }
            let mut argument = Vec::new();
            let (mut double, mut single) = (false, false);
            loop {
                let byte = at(i);
                let closes = |b: u8| b == 0 || is_space(b);
                if double {
                    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
                    match (byte, at(i + 1), hex(at(i + 2)), hex(at(i + 3))) {
                        (b'\\', b'x', Some(high), Some(low)) => {
                            argument.push(high * 16 + low);
                            i += 3;
                        }
                        (b'\\', next, ..) if next != 0 => {
                            argument.push(match next {
                                b'n' => b'\n',
                                b'r' => b'\r',
                                b't' => b'\t',
                                b'b' => 8,
                                b'a' => 7,
                                other => other,
                            });
                            i += 1;
                        }
                        (b'"', next, ..) => {
                            if !closes(next) {
                                return None;
                            }
                            i += 1;
                            break;
                        }
                        (0, ..) => return None,
                        _ => argument.push(byte),
                    }
                } else if single {
                    match byte {
                        b'\\' if at(i + 1) == b'\'' => {
                            argument.push(b'\'');
                            i += 1;
                        }
                        b'\'' => {
                            if !closes(at(i + 1)) {
                                return None;
                            }
                            i += 1;
                            break;
                        }
                        0 => return None,
                        _ => argument.push(byte),
                    }
                } else {
                    match byte {
                        b if closes(b) => break,
                        b'"' => double = true,
                        b'\'' => single = true,
                        _ => argument.push(byte),
                    }
                }
                i += 1;
            }
            arguments.push(argument);
        }
    }

    proptest! {
        #[test]
        fn redis_reads_back_what_was_written(arguments in prop::collection::vec(any::<String>(), 0..4)) {
            let mut writer = Writer::default();
            writer.line("save", arguments.iter().map(String::as_str));
            let text = writer.finish();
            prop_assert!(text.is_ascii());
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(!text.trim_end_matches('\n').bytes().any(|b| b.is_ascii_control()));
            let read = split_args(text.as_bytes()).expect("balanced quotes");
            let wanted: Vec<Vec<u8>> =
                std::iter::once("save").chain(arguments.iter().map(String::as_str)).map(|s| s.as_bytes().to_vec()).collect();
            prop_assert_eq!(read, wanted);
        }
    }

    #[test]
    fn the_hostile_values_are_arguments_and_nothing_else() {
        for value in [
            "",
            "a\nappendonly no",
            "\"",
            "\\",
            "\\x41",
            "' x",
            "\"\nrequirepass x\n\"",
            "\0",
            "\u{202e}é",
            "# no",
        ] {
            let mut writer = Writer::default();
            writer.line("maxmemory-policy", [value]);
            let text = writer.finish();
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert_eq!(split_args(text.as_bytes()).unwrap()[1], value.as_bytes());
        }
    }

    #[test]
    fn the_parser_of_this_test_refuses_what_redis_refuses() {
        for line in ["save \"a", "save \"a\"b", "save 'a", "save 'a'b"] {
            assert_eq!(split_args(line.as_bytes()), None, "{line}");
        }
    }
}
