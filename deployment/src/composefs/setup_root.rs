//! `setup-root-conf.toml`: what `/`, `/etc` and `/var` of a composefs deployment are.
//!
//! composefs-setup-root reads it from `/usr/lib/composefs` of the initramfs. It is TOML; what is read here is the part of
//! TOML that such files use: tables with plain names, and on each line one key with a boolean, a string without escapes
//! or an integer. Everything else is an error, for what is not understood could mean that changes are to be forgotten.

use core::fmt;

/// How `/etc` or `/var` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Nothing is: the image's own directory stays. bootc also calls it `root`.
    None,
    /// The directory of the deployment's state.
    Bind,
    /// An overlay with upper layer and work directory in the deployment's state.
    Overlay,
    /// An overlay with a tmpfs. bootc also calls it `volatile`.
    Transient,
}

impl Mount {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" | "root" => Self::None,
            "bind" => Self::Bind,
            "overlay" => Self::Overlay,
            "transient" | "volatile" => Self::Transient,
            _ => return None,
        })
    }
}

/// The settings of a file. [`Default`] is that of a file which is empty or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupRoot {
    /// `[root]`: an overlay with a tmpfs lies over the whole root.
    pub root_transient: bool,
    /// `[etc]`, unless nothing is said. composefs-setup-root then takes [`Mount::Overlay`], bootc [`Mount::Bind`].
    pub etc: Option<Mount>,
    /// `[var]`, unless nothing is said. Both then take [`Mount::Bind`].
    pub var: Option<Mount>,
}

impl SetupRoot {
    /// Reads the text of a file. Tables and keys that are unknown are passed over, as the peers do.
    pub fn parse(text: &str) -> Result<Self, SetupRootError> {
        let mut file = File { tables: [Table::default(); 3], current: Place::Top };
        for (line, number) in text.split('\n').zip(1..) {
            file.read(line).map_err(|cause| SetupRootError { line: number, cause })?;
        }
        let [root, etc, var] = file.tables;
        Ok(Self { root_transient: root.transient == Some(true), etc: etc.mount(), var: var.mount() })
    }
}

/// What stands in a table that is known.
#[derive(Clone, Copy, Default)]
struct Table {
    seen: bool,
    mount: Option<Mount>,
    transient: Option<bool>,
}

impl Table {
    /// `mount` wins over `transient`.
    fn mount(self) -> Option<Mount> {
        self.mount.or((self.transient == Some(true)).then_some(Mount::Transient))
    }
}

/// The names of the tables, in the order of [`File::tables`].
const NAMES: [&str; 3] = ["root", "etc", "var"];
const ROOT: usize = 0;

/// Where a key stands.
#[derive(Clone, Copy)]
enum Place {
    /// Before the first table.
    Top,
    /// In the table with this index.
    Known(usize),
    /// In another one.
    Unknown,
}

struct File {
    tables: [Table; 3],
    current: Place,
}

impl File {
    fn read(&mut self, line: &str) -> Result<(), Cause> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(|character: char| character.is_control() && character != '\t') {
            return Err(Cause::Syntax);
        }
        let line = trim(line);
        if is_end(line) {
            return Ok(());
        }
        if let Some(header) = line.strip_prefix('[') {
            let (name, rest) = header.split_once(']').ok_or(Cause::Syntax)?;
            return if is_end(trim(rest)) { self.enter(bare(name)?) } else { Err(Cause::Syntax) };
        }
        let (key, value) = line.split_once('=').ok_or(Cause::Syntax)?;
        self.set(bare(key)?, Value::parse(trim(value))?)
    }

    fn enter(&mut self, name: &str) -> Result<(), Cause> {
        self.current = Place::Unknown;
        if let Some((index, table)) =
            self.tables.iter_mut().enumerate().zip(NAMES).find(|(_, known)| *known == name).map(|(found, _)| found)
        {
            if core::mem::replace(&mut table.seen, true) {
                return Err(Cause::Duplicate);
            }
            self.current = Place::Known(index);
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), Cause> {
        let index = match self.current {
            Place::Known(index) => index,
            // `etc = { … }` is valid, but not what is read here.
            Place::Top if NAMES.contains(&key) => return Err(Cause::Syntax),
            Place::Top | Place::Unknown => return Ok(()),
        };
        let Some(table) = self.tables.get_mut(index) else { return Ok(()) };
        let before = match (key, value) {
            ("transient", Value::Boolean(value)) => table.transient.replace(value).is_some(),
            ("transient", _) => return Err(Cause::NotBoolean),
            ("mount", value) if index != ROOT => {
                let Value::Text(name) = value else { return Err(Cause::NotMount) };
                table.mount.replace(Mount::from_name(name).ok_or(Cause::NotMount)?).is_some()
            }
            _ => false,
        };
        if before { Err(Cause::Duplicate) } else { Ok(()) }
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Boolean(bool),
    Text(&'a str),
    Integer,
}

impl<'a> Value<'a> {
    /// Reads a value up to the end of the line.
    fn parse(text: &'a str) -> Result<Self, Cause> {
        let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, rest) = if let Some(quote) = quote {
            let inner = text.get(1..).unwrap_or_default();
            let (value, rest) = inner.split_once(quote).ok_or(Cause::Syntax)?;
            if quote == '"' && value.contains('\\') {
                return Err(Cause::Syntax);
            }
            (Self::Text(value), rest)
        } else {
            let end = text.find([' ', '\t', '#']).unwrap_or(text.len());
            let (word, rest) = text.split_at_checked(end).ok_or(Cause::Syntax)?;
            (Self::from_word(word)?, rest)
        };
        if is_end(trim(rest)) { Ok(value) } else { Err(Cause::Syntax) }
    }

    fn from_word(word: &str) -> Result<Self, Cause> {
        match word {
            "true" => Ok(Self::Boolean(true)),
            "false" => Ok(Self::Boolean(false)),
            _ if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self::Integer),
            _ => Err(Cause::Syntax),
        }
    }
}

/// Takes TOML's white space off.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether nothing but a comment is left of a line.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('#')
}

/// A key or a table's name that needs no quotes.
fn bare(name: &str) -> Result<&str, Cause> {
    let name = trim(name);
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if valid { Ok(name) } else { Err(Cause::Syntax) }
}

/// What cannot be read in a file, and on which line. The file's name is the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupRootError {
    /// The number of the line, from 1.
    pub line: u32,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Syntax,
    Duplicate,
    NotBoolean,
    NotMount,
}

impl fmt::Display for SetupRootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.cause {
            Cause::Syntax => {
                "is not read: what is read are [TABLE] and KEY = VALUE, with a boolean, a string without escapes or an \
                 integer"
            }
            Cause::Duplicate => "says again what has been said",
            Cause::NotBoolean => "has transient, which is true or false",
            Cause::NotMount => "has mount, which is \"none\", \"bind\", \"overlay\" or \"transient\"",
        };
        write!(f, "line {} {why}", self.line)
    }
}

impl core::error::Error for SetupRootError {}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "# all\n\n[root] # the root\r\ntransient = true\n[etc]\n mount = \"bind\"#x\ntransient=true\n\t[ var ]\n\
                        mount='transient'\nsize = 20 # unknown\n[new]\nmount = 'any # thing'\nx = \"\"";

    fn why(text: &str) -> String {
        SetupRoot::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_settings_of_a_file_are_read() {
        let expected = SetupRoot { root_transient: true, etc: Some(Mount::Bind), var: Some(Mount::Transient) };
        assert_eq!(SetupRoot::parse(FILE), Ok(expected));
        assert_eq!(SetupRoot::parse(""), Ok(SetupRoot::default()));
        let transient = SetupRoot { etc: Some(Mount::Transient), ..SetupRoot::default() };
        assert_eq!(SetupRoot::parse("top = 1\n[etc]\ntransient = true\n[var]\ntransient = false"), Ok(transient));
        for (name, mount) in
            [("none", Mount::None), ("root", Mount::None), ("overlay", Mount::Overlay), ("volatile", Mount::Transient)]
        {
            assert_eq!(SetupRoot::parse(&format!("[var]\nmount = \"{name}\"")).unwrap().var, Some(mount));
        }
        assert_eq!(SetupRoot::parse("[root]\nmount = 7"), Ok(SetupRoot::default()));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert_eq!(why("[etc]\ntransient = 1"), "line 2 has transient, which is true or false");
        assert_eq!(why("[etc]\n[etc]"), "line 2 says again what has been said");
        assert_eq!(why("[var]\nmount=\"bind\"\nmount=\"bind\""), "line 3 says again what has been said");
        for mount in ["\"tmpfs\"", "\"Bind\"", "true", "\"\""] {
            let expected = "line 2 has mount, which is \"none\", \"bind\", \"overlay\" or \"transient\"";
            assert_eq!(why(&format!("[etc]\nmount = {mount}")), expected);
        }
        for line in [
            "[etc",
            "[[etc]]",
            "[a.b]",
            "[]",
            "[etc] x",
            "etc = 1",
            "etc = {mount = \"none\"}",
            "etc.mount = \"none\"",
            "mount",
            "= 1",
            "x =",
            "x = yes",
            "x = tru",
            "x = [1]",
            "x = {}",
            "x = \"a",
            "x = \"\"\"a\"\"\"",
            "x = \"\\u0041\"",
            "x = 1 2",
            "x = -1",
            "\"x\" = 1",
            "x\u{1} = 1",
            "x = 1\r\r",
            "x = 'a\u{7f}'",
            "\u{feff}[etc]",
            "x = \u{a0}1",
        ] {
            assert!(why(line).starts_with("line 1 is not read: "), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, near in "(\\[(etc|var|root)\\]|(mount|transient) ?= ?(true|\"(bind|none)\"|é')|[ \n#'\"\\[=])*") {
            let _ = SetupRoot::parse(&text);
            let _ = SetupRoot::parse(&near);
        }

        #[test]
        fn the_last_line_counts_like_any_other(text in "[ -~]{0,30}") {
            let alone = SetupRoot::parse(&text);
            prop_assert_eq!(SetupRoot::parse(&format!("{text}\n\n# end\n")), alone);
        }
    }
}
