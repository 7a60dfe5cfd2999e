//! A scan of JSON text (RFC 8259), just as much as a repository's metadata needs.

/// The text is not JSON, is nested too deep, or has another type where one is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonError;

/// The deepest nesting of arrays and objects in a value that is passed over.
const MAX_DEPTH: u8 = 8;

/// What is left of a text.
#[derive(Clone, Copy)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The character that comes next, white space passed over; NUL at the end, which no JSON text has there.
    fn peek(&mut self) -> char {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        self.0.chars().next().unwrap_or('\0')
    }

    /// Takes `character` if it comes next.
    fn take(&mut self, character: char) -> bool {
        self.peek();
        self.0.strip_prefix(character).map(|rest| self.0 = rest).is_some()
    }

    fn expect(&mut self, character: char) -> Result<(), JsonError> {
        if self.take(character) { Ok(()) } else { Err(JsonError) }
    }

    /// The text must end here.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.peek();
        if self.0.is_empty() { Ok(()) } else { Err(JsonError) }
    }

    /// Takes what stands between `open` and `close`, and calls `item` for each of the items, which commas separate.
    fn items(
        &mut self,
        [open, close]: [char; 2],
        item: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(open)?;
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(',') {
                return self.expect(close);
            }
        }
    }

    /// Takes an object and calls `member` with each key; it must take the value.
    pub(super) fn object(
        &mut self,
        member: &mut dyn FnMut(&mut Self, &'a str) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.items(['{', '}'], &mut |json| {
            let key = json.string()?;
            json.expect(':')?;
            // What is written with escapes cannot be compared here.
            if key.contains('\\') { Err(JsonError) } else { member(json, key) }
        })
    }

    /// Takes an array and calls `item` for each item; it must take it.
    pub(super) fn array(&mut self, item: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.items(['[', ']'], item)
    }

    /// Takes a string and gives what stands between its quotes, escapes as they are written.
    pub(super) fn string(&mut self) -> Result<&'a str, JsonError> {
        self.expect('"')?;
        let text = self.0;
        let mut bytes = text.bytes().enumerate();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    let (string, rest) = text.split_at_checked(index).ok_or(JsonError)?;
                    self.0 = rest.strip_prefix('"').ok_or(JsonError)?;
                    return Ok(string);
                }
                b'\\' => match bytes.next() {
                    Some((_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {}
                    Some((_, b'u'))
                        if bytes.by_ref().take(4).filter(|(_, byte)| byte.is_ascii_hexdigit()).count() == 4 => {}
                    _ => return Err(JsonError),
                },
                ..0x20 => return Err(JsonError),
                _ => {}
            }
        }
        Err(JsonError)
    }

    /// Takes a number, a literal or whatever else stands there up to a delimiter.
    fn word(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let end =
            self.0.find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '+' | '-' | '.'));
        let (word, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len())).ok_or(JsonError)?;
        self.0 = rest;
        Ok(word)
    }

    /// Takes a number that is whole, not negative and below 2^32.
    pub(super) fn number(&mut self) -> Result<u32, JsonError> {
        let word = self.word()?;
        let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse().ok().filter(|_| plain).ok_or(JsonError)
    }

    /// Takes any value.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        self.skip_nested(MAX_DEPTH)
    }

    fn skip_nested(&mut self, depth: u8) -> Result<(), JsonError> {
        match self.peek() {
            '"' => self.string().map(drop),
            '[' | '{' => {
                let depth = depth.checked_sub(1).ok_or(JsonError)?;
                if self.peek() == '[' {
                    self.array(&mut |json| json.skip_nested(depth))
                } else {
                    self.object(&mut |json, _| json.skip_nested(depth))
                }
            }
            _ => match self.word()? {
                "true" | "false" | "null" => Ok(()),
                word if is_number(word) => Ok(()),
                _ => Err(JsonError),
            },
        }
    }
}

/// Whether `word` is a number: digits without a leading zero, and perhaps a sign, a fraction and an exponent.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (word, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(fraction) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut json = Json::new(text);
        json.skip().and_then(|()| json.end()).is_ok()
    }

    #[test]
    fn json_is_told_from_what_is_not() {
        for text in [
            "{}",
            " [ ] ",
            "\"\"",
            "\"ä\\u00e4\\\"\\\\\"",
            "{\"a\":{\"b\":[1,-2.5e+3,true,false,null]},\"\":0}",
            "[[],{}]\n",
            "[[[[[[[[]]]]]]]]",
            "-0",
            "0.10e5",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "",
            "{",
            "}",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "tru",
            "nulll",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"\n\"",
            "{} x",
            "[[[[[[[[[]]]]]]]]]",
            "{\"\\u0061\":1}",
            "NaN",
            "'a'",
            "1\0",
        ] {
            assert!(!is_json(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, near in "[\\[\\]{}\":,0-9.eE\\\\u\\- tä\n]{0,60}") {
            is_json(&text);
            is_json(&near);
        }
    }
}
