//! `info.xml`: what snapper says about a snapshot (snapper 0.10, `Snapshot.cc`).
//!
//! What is read is the XML that snapper writes: elements without attributes that hold text, and `userdata` with a key and
//! a value. Everything else is an error. All texts are borrowed.

use core::fmt::{self, Write};

/// What a snapshot was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// One that stands for itself.
    Single,
    /// The one before a change.
    Pre,
    /// The one after a change.
    Post,
}

/// A snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<'x> {
    /// Its number, which is also the name of its folder.
    pub number: u32,
    /// What it was made for.
    pub kind: SnapshotKind,
    /// When it was made: `YYYY-MM-DD HH:MM:SS` in UTC. The order of these texts is that of time.
    pub date: &'x str,
    /// What a person reads about it; empty when nothing stands there.
    pub description: XmlText<'x>,
    /// The algorithm that may delete it; empty for none.
    pub cleanup: XmlText<'x>,
    /// The elements that are left to be searched for user data.
    body: Xml<'x>,
}

impl<'x> Snapshot<'x> {
    /// Reads the text of the file in the folder `number`, which must name this very number.
    pub fn parse(text: &'x str, number: u32) -> Result<Self, SnapshotError> {
        let body = Xml(text).begin()?;
        let mut fields = Fields::default();
        let mut xml = body;
        while let Some((name, value)) = xml.element()? {
            fields.set(name, value)?;
        }
        if !xml.0.trim_ascii().is_empty() {
            return Err(SnapshotError::Syntax);
        }
        let kind = match fields.kind {
            Some("single") => SnapshotKind::Single,
            Some("pre") => SnapshotKind::Pre,
            Some("post") => SnapshotKind::Post,
            _ => return Err(SnapshotError::Kind),
        };
        if number == 0 || fields.number.and_then(|number| number.parse().ok()) != Some(number) {
            return Err(SnapshotError::Number);
        }
        let date = fields.date.filter(|date| is_date(date)).ok_or(SnapshotError::Date)?;
        let text = |text: Option<&'x str>| XmlText(text.unwrap_or_default());
        let (description, cleanup) = (text(fields.description), text(fields.cleanup));
        Ok(Self { number, kind, date, description, cleanup, body })
    }

    /// The user data with this key, for example `important`. The key must be one that XML writes without entities.
    pub fn userdata(&self, key: &str) -> Option<XmlText<'x>> {
        let mut xml = self.body;
        while let Ok(Some((_, value))) = xml.element() {
            match value {
                Value::Pair(found, value) if found == key => return Some(XmlText(value)),
                _ => {}
            }
        }
        None
    }

    /// Whether snapper's user marked it as important.
    pub fn is_important(&self) -> bool {
        self.userdata("important").is_some_and(|value| value.0 == "yes")
    }
}

#[derive(Default)]
struct Fields<'x> {
    kind: Option<&'x str>,
    number: Option<&'x str>,
    date: Option<&'x str>,
    description: Option<&'x str>,
    cleanup: Option<&'x str>,
}

impl<'x> Fields<'x> {
    /// Notes one element; those that nobody asks for are passed over.
    fn set(&mut self, name: &str, value: Value<'x>) -> Result<(), SnapshotError> {
        let Value::Text(text) = value else { return Ok(()) };
        let field = match name {
            "type" => &mut self.kind,
            "num" => &mut self.number,
            "date" => &mut self.date,
            "description" => &mut self.description,
            "cleanup" => &mut self.cleanup,
            _ => return Ok(()),
        };
        if field.replace(text).is_some() { Err(SnapshotError::Syntax) } else { Ok(()) }
    }
}

/// Whether `text` is `YYYY-MM-DD HH:MM:SS` as far as its characters go.
fn is_date(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00 00:00:00";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)
}

/// What an element holds.
#[derive(Clone, Copy)]
enum Value<'x> {
    Text(&'x str),
    /// The key and the value of `userdata`.
    Pair(&'x str, &'x str),
}

/// What is left of an XML text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Xml<'x>(&'x str);

impl<'x> Xml<'x> {
    /// Passes over the declaration and the tag that begins the snapshot.
    fn begin(mut self) -> Result<Self, SnapshotError> {
        if let Some(declaration) = self.0.strip_prefix("<?xml ") {
            self.0 = split_at(declaration, "?>").ok_or(SnapshotError::Syntax)?.1;
        }
        self.expect("<snapshot>")?;
        Ok(self)
    }

    /// Takes `text` if it comes next, white space passed over.
    fn take(&mut self, text: &str) -> bool {
        self.0.trim_ascii_start().strip_prefix(text).map(|rest| self.0 = rest).is_some()
    }

    fn expect(&mut self, text: &str) -> Result<(), SnapshotError> {
        if self.take(text) { Ok(()) } else { Err(SnapshotError::Syntax) }
    }

    /// Takes the next element; `None` and the tag that ends the snapshot when there is no more.
    fn element(&mut self) -> Result<Option<(&'x str, Value<'x>)>, SnapshotError> {
        if self.take("</snapshot>") {
            return Ok(None);
        }
        if self.take("<userdata>") {
            let (key, key_text) = self.leaf()?;
            let (value, value_text) = self.leaf()?;
            self.expect("</userdata>")?;
            let known = key == "key" && value == "value";
            return if known {
                Ok(Some(("userdata", Value::Pair(key_text, value_text))))
            } else {
                Err(SnapshotError::Syntax)
            };
        }
        self.leaf().map(|(name, text)| Some((name, Value::Text(text))))
    }

    /// Takes an element that holds text only: `<name>text</name>`, or `<name/>`, which holds none.
    fn leaf(&mut self) -> Result<(&'x str, &'x str), SnapshotError> {
        let syntax = SnapshotError::Syntax;
        self.expect("<")?;
        let (name, rest) = self.0.split_once('>').ok_or(syntax)?;
        let (name, empty) = name.strip_suffix('/').map_or((name, false), |name| (name, true));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(syntax);
        }
        if empty {
            self.0 = rest;
            return Ok((name, ""));
        }
        let (text, rest) = split_at(rest, "</").ok_or(syntax)?;
        self.0 = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix('>')).ok_or(syntax)?;
        if text.contains('<') || decode(text, &mut |_| Ok(())).is_err() { Err(syntax) } else { Ok((name, text)) }
    }
}

/// What comes before and behind the first `mark`. The search of core for texts costs more code than all of this file.
fn split_at<'x>(text: &'x str, mark: &str) -> Option<(&'x str, &'x str)> {
    let place = text.as_bytes().windows(mark.len()).position(|found| found == mark.as_bytes())?;
    let (before, rest) = text.split_at_checked(place)?;
    Some((before, rest.strip_prefix(mark)?))
}

/// A text of an XML file. [`Display`](fmt::Display) shows it with its entities replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlText<'x>(&'x str);

impl<'x> XmlText<'x> {
    /// The text with entities as they stand in the file.
    pub const fn as_written(&self) -> &'x str {
        self.0
    }
}

impl fmt::Display for XmlText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decode(self.0, &mut |character| f.write_char(character))
    }
}

/// Gives each character of `text` to `sink`; an error for an entity that is none.
fn decode(text: &str, sink: &mut dyn FnMut(char) -> fmt::Result) -> fmt::Result {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let character = if first == '&' {
            let (name, after) = rest.get(1..).and_then(|rest| rest.split_once(';')).ok_or(fmt::Error)?;
            rest = after;
            entity(name).ok_or(fmt::Error)?
        } else {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            first
        };
        sink(character)?;
    }
    Ok(())
}

/// The character that `&name;` stands for.
fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, radix).ok().filter(|number| plain && *number > 0).and_then(char::from_u32)
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => number(name.strip_prefix('#')?, 10),
        },
    }
}

/// Why a file says nothing about a snapshot. The file's name is the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// It is not the XML that snapper writes.
    Syntax,
    /// There is no type that is known.
    Kind,
    /// There is no number, or another one than the folder's.
    Number,
    /// There is no date.
    Date,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => {
                "is not the XML that snapper writes: <snapshot> with elements without attributes, each once"
            }
            Self::Kind => "has no type that is known: single, pre or post",
            Self::Number => "has another number than its folder",
            Self::Date => "has no date of the form YYYY-MM-DD HH:MM:SS",
        })
    }
}

impl core::error::Error for SnapshotError {}

#[cfg(test)]
mod tests;
