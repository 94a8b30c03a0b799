//! Rust source as tokens and paths, as far as the layers need it: no macros are expanded, no types are known.

use std::iter::Peekable;
use std::str::Chars;

/// A word or a punctuation mark, and the line it stands on, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path such as `crate::names::label`, in a `use` or anywhere else.
#[derive(Debug, PartialEq)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
}

/// The code of a file without comments, literals and items under `#[cfg(test)]`.
pub fn code(source: &str) -> Vec<Token> {
    without_tests(&tokens(source))
}

fn tokens(source: &str) -> Vec<Token> {
    let mut scan = Scan {
        rest: source.chars().peekable(),
        line: 1,
    };
    let mut found = Vec::new();
    while let Some(first) = scan.next() {
        let line = scan.line;
        let text = match first {
            '/' if scan.rest.peek() == Some(&'/') => {
                scan.until('\n');
                continue;
            }
            '/' if scan.rest.peek() == Some(&'*') => {
                scan.block_comment();
                continue;
            }
            '"' => {
                scan.string();
                continue;
            }
            '\'' => {
                scan.character_or_lifetime();
                continue;
            }
            c if c.is_whitespace() => continue,
            c if c.is_alphanumeric() || c == '_' => {
                let word = scan.word(c);
                if matches!(word.as_str(), "r" | "br" | "cr") && scan.raw_string() {
                    continue;
                }
                word
            }
            ':' if scan.rest.peek() == Some(&':') => {
                scan.next();
                "::".to_owned()
            }
            c => c.to_string(),
        };
        found.push(Token { text, line });
    }
    found
}

struct Scan<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Iterator for Scan<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }
}

impl Scan<'_> {
    fn until(&mut self, end: char) {
        while self.next().is_some_and(|c| c != end) {}
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        word
    }

    fn string(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => return,
                _ => {}
            }
        }
    }

    /// After `r`: skips `#"..."#` with any number of marks. `false` for a raw identifier or a variable named r.
    fn raw_string(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        let marks = std::iter::from_fn(|| ahead.next_if_eq(&'#')).count();
        if ahead.next() != Some('"') {
            return false;
        }
        self.by_ref().take(marks + 1).for_each(drop);
        let mut seen = None;
        while seen != Some(marks) {
            match self.next() {
                Some('"') => seen = Some(0),
                Some('#') => seen = seen.map(|n| n + 1),
                Some(_) => seen = None,
                None => return true,
            }
        }
        true
    }

    /// After `'`: a character literal is skipped whole, of a lifetime the mark only.
    fn character_or_lifetime(&mut self) {
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('\\'), _) => {
                self.by_ref().take(2).for_each(drop);
                self.until('\'');
            }
            (Some(_), Some('\'')) => self.by_ref().take(2).for_each(drop),
            _ => {}
        }
    }

    fn block_comment(&mut self) {
        let (mut depth, mut last) = (1, self.next().and(None));
        while let (true, Some(c)) = (depth > 0, self.next()) {
            match (last, c) {
                (Some('/'), '*') => (depth, last) = (depth + 1, None),
                (Some('*'), '/') => (depth, last) = (depth - 1, None),
                _ => last = Some(c),
            }
        }
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_with(&tokens[at..], &MARK) {
            at = end_of_item(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Whether the tokens begin with these words.
pub fn starts_with(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

/// The index after an item that begins here: after its `;` or its closing brace.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return i + 1;
                }
            }
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Every path of at least two segments, those of `use` with their braces written out; single names of `use` too.
pub fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at = use_tree(tokens, at + 1, &[], &mut found);
        } else if is_name(&tokens[at]) {
            let end = path_end(tokens, at);
            if end > at + 1 {
                found.push(path(tokens, at, end, &[]));
            }
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn path_end(tokens: &[Token], start: usize) -> usize {
    let mut end = start + 1;
    while end + 1 < tokens.len() && tokens[end].text == "::" && is_name(&tokens[end + 1]) {
        end += 2;
    }
    end
}

fn path(tokens: &[Token], start: usize, end: usize, prefix: &[String]) -> Path {
    let own = tokens[start..end]
        .iter()
        .filter(|t| t.text != "::")
        .map(|t| t.text.clone());
    Path {
        segments: prefix.iter().cloned().chain(own).collect(),
        line: tokens[start].line,
    }
}

/// Reads one tree of a `use` and returns the index after it.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let mut prefix = prefix.to_vec();
    if tokens.get(at).is_some_and(|t| t.text == "::") {
        at += 1;
    }
    if tokens.get(at).is_some_and(is_name) {
        let end = path_end(tokens, at);
        let here = path(tokens, at, end, &prefix);
        prefix.clone_from(&here.segments);
        at = end;
        if !starts_with(&tokens[at..], &["::", "{"]) {
            found.push(here);
        } else {
            at += 1;
        }
    }
    if tokens.get(at).is_some_and(|t| t.text == "{") {
        at += 1;
        while tokens.get(at).is_some_and(|t| t.text != "}") {
            at = use_tree(tokens, at, &prefix, found);
            if tokens.get(at).is_some_and(|t| t.text == ",") {
                at += 1;
            }
        }
        return at + 1;
    }
    // `as name` and `::*` end here.
    while tokens
        .get(at)
        .is_some_and(|t| !matches!(t.text.as_str(), "," | "}" | ";"))
    {
        at += 1;
    }
    at
}
