//! Redis's protocol as far as a server needs it: commands in, replies out.

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Simple(&'static str),
    Error(String),
    Number(i64),
    Bulk(String),
    Nil,
    List(Vec<Reply>),
}

impl Reply {
    pub fn bulks<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::List(items.into_iter().map(|item| Self::Bulk(item.into())).collect())
    }

    /// Appends the reply as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => out.extend(format!("+{text}\r\n").bytes()),
            Self::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
            Self::Number(number) => out.extend(format!(":{number}\r\n").bytes()),
            Self::Bulk(text) => out.extend(format!("${}\r\n{text}\r\n", text.len()).bytes()),
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::List(items) => {
                out.extend(format!("*{}\r\n", items.len()).bytes());
                items.iter().for_each(|item| item.write(out));
            }
        }
    }
}

/// The first whole command of the bytes and its length; nothing while it is not whole. Clients send lists of strings.
pub fn command(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let (count, mut at) = header(bytes, 0, b'*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, start) = header(bytes, at, b'$')?;
        let word = bytes.get(start..start + length)?;
        bytes.get(start + length + 1)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at = start + length + 2;
    }
    Some((words, at))
}

fn header(bytes: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let end = line.windows(2).position(|two| two == b"\r\n")?;
    assert_eq!(line[0], kind, "not a command");
    let number = std::str::from_utf8(&line[1..end]).unwrap().parse().unwrap();
    Some((number, at + end + 2))
}

#[test]
fn a_command_is_read_when_it_is_whole() {
    let bytes = b"*2\r\n$4\r\nPING\r\n$1\r\na\r\n*1\r\n";
    assert_eq!(command(bytes), Some((vec!["PING".into(), "a".into()], 21)));
    assert!((0..21).all(|end| command(&bytes[..end]).is_none()));
}
