//! Paths of the new root and of the state device.

use core::fmt::{self, Write};

use heapless::String;

/// Most bytes of a path that is kept. fsconfig(2) takes values of at most 255 bytes.
pub const PATH_CAPACITY: usize = 255;

/// A directory of the new root: an absolute path as it will be seen from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String<PATH_CAPACITY>);

impl Target {
    /// The directory with this absolute path.
    pub fn new(path: &str) -> Result<Self, PathTooLong> {
        String::try_from(path).map(Self).map_err(|_| PathTooLong)
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many directories deep it lies: 1 for `/etc`.
    pub(crate) fn depth(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'/').count()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A directory of the state device: a path relative to its top, without `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePath(String<PATH_CAPACITY>);

impl StatePath {
    /// The directory with this relative path.
    pub(crate) fn new(path: fmt::Arguments<'_>) -> Result<Self, PathTooLong> {
        let mut text = String::new();
        text.write_fmt(path).map_err(|_| PathTooLong)?;
        Ok(Self(text))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path is longer than [`PATH_CAPACITY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathTooLong;

impl fmt::Display for PathTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path is too long; PATH_CAPACITY allows {PATH_CAPACITY} bytes")
    }
}

impl core::error::Error for PathTooLong {}

/// Writes a path as one file name, as `systemd-escape --path` does (systemd.unit(5), "String Escaping for Inclusion in
/// Unit Names"): `/` becomes `-`, and whatever is not a letter, a digit, `:`, `_` or `.` becomes `\xNN`, as does a `.`
/// in the first place.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.strip_prefix('/').unwrap_or(self.0);
        for (index, byte) in name.bytes().enumerate() {
            match byte {
                b'/' => f.write_char('-')?,
                b'.' if index == 0 => f.write_str("\\x2e")?,
                b':' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => f.write_char(byte.into())?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn paths_become_names_as_systemd_escape_writes_them() {
        let table = [
            ("/srv", "srv"),
            ("/usr/local", "usr-local"),
            ("/opt/a-b", r"opt-a\x2db"),
            ("/.hidden/.x", r"\x2ehidden-.x"),
            ("/a b\\c", r"a\x20b\x5cc"),
            ("/\u{e4}", r"\xc3\xa4"),
            ("/A:1_z", "A:1_z"),
            ("..", r"\x2e."),
        ];
        for (path, name) in table {
            assert_eq!(Escaped(path).to_string(), name);
        }
    }

    #[test]
    fn paths_have_an_end() {
        let longest = "/".repeat(PATH_CAPACITY);
        assert_eq!(Target::new(&longest).unwrap().as_str(), longest);
        assert_eq!(Target::new(&(longest.clone() + "x")), Err(PathTooLong));
        assert_eq!(StatePath::new(format_args!("{longest}x")), Err(PathTooLong));
        assert_eq!(PathTooLong.to_string(), "the path is too long; PATH_CAPACITY allows 255 bytes");
    }
}
