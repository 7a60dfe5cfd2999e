//! A writer of JSON (RFC 8259) that needs no memory: values go out as they come in.

use core::fmt::{self, Write};

/// Writes one JSON document to `W`. Commas are put where they belong; nesting is the caller's order of calls.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    /// Whether the next value or key in the current object or array needs a comma before it.
    comma: bool,
}

impl<W: Write> Json<W> {
    /// A document that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, comma: false }
    }

    /// Gives the output back.
    pub fn finish(self) -> W {
        self.out
    }

    /// `"name": value`, in an object.
    pub fn member(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        self.named(name, &value)
    }

    /// `"name": number`, in an object.
    pub fn number(&mut self, name: &str, value: u64) -> fmt::Result {
        self.key(name)?;
        self.comma = true;
        write!(self.out, "{value}")
    }

    /// `"name": true` or `false`, in an object.
    pub fn boolean(&mut self, name: &str, value: bool) -> fmt::Result {
        self.key(name)?;
        self.comma = true;
        self.out.write_str(if value { "true" } else { "false" })
    }

    /// `"name": {…}`, in an object; `content` writes the members.
    pub fn object(&mut self, name: &str, content: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.open(name, "{")?;
        content(self)?;
        self.brace("}", true)
    }

    /// `"name": […]`, in an object; `content` writes the elements.
    pub fn array(&mut self, name: &str, content: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.open(name, "[")?;
        content(self)?;
        self.brace("]", true)
    }

    /// `{…}`: the document itself, or an element of an array.
    pub fn element(&mut self, content: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.separate()?;
        self.brace("{", false)?;
        content(self)?;
        self.brace("}", true)
    }

    /// A string, as an element of an array.
    pub fn text(&mut self, value: impl fmt::Display) -> fmt::Result {
        self.separate()?;
        self.string(&value)
    }

    fn key(&mut self, name: &str) -> fmt::Result {
        self.separate()?;
        self.string(&name)?;
        self.out.write_str(":")
    }

    fn separate(&mut self) -> fmt::Result {
        if self.comma {
            self.out.write_str(",")?;
        }
        Ok(())
    }

    /// The same as [`Json::member`], for whom there is one copy of this for all types.
    #[inline(never)]
    pub(crate) fn named(&mut self, name: &str, value: &dyn fmt::Display) -> fmt::Result {
        self.key(name)?;
        self.string(value)
    }

    // The callers of these are inlined, once for each content.
    #[inline(never)]
    fn open(&mut self, name: &str, brace: &str) -> fmt::Result {
        self.key(name)?;
        self.brace(brace, false)
    }

    #[inline(never)]
    fn brace(&mut self, brace: &str, comma: bool) -> fmt::Result {
        self.comma = comma;
        self.out.write_str(brace)
    }

    fn string(&mut self, value: &dyn fmt::Display) -> fmt::Result {
        self.out.write_str("\"")?;
        write!(Escaped(&mut self.out), "{value}")?;
        self.comma = true;
        self.out.write_str("\"")
    }
}

/// Escapes what RFC 8259 §7 says must be.
struct Escaped<'w, W>(&'w mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                '\0'..=' ' if character != ' ' => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn commas_and_escapes_are_where_they_belong() {
        let mut json = Json::new(String::new());
        json.element(|json| {
            json.number("schema", 1)?;
            json.member("name", "a\"b\\c\n")?;
            json.array("empty", |_| Ok(()))?;
            json.array("two", |json| {
                json.text("x")?;
                json.element(|json| json.object("in", |json| json.member("k", "ä")))
            })
        })
        .unwrap();
        assert_eq!(json.finish(), r#"{"schema":1,"name":"a\"b\\c\u000a","empty":[],"two":["x",{"in":{"k":"ä"}}]}"#);
    }
}
