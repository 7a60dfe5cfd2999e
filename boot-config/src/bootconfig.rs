//! The keys of `/proc/bootconfig`, as words of the same kind that a command line has.
//!
//! The kernel writes each key in full with its values in quotes, `KEY = "V"[, "V2"]`, one key to a line (a value may
//! itself hold a newline); single quotes surround a value with a double quote in it. Lines that begin with `#` repeat
//! the boot loader's command line (Documentation/admin-guide/bootconfig.rst, fs/proc/bootconfig.c).
//!
//! * A key stands for the command-line key of the same name: `surefoot.etc = tmpfs` for `surefoot.etc=tmpfs`.
//! * Each value of an array is a word of its own, as if the key had been given several times.
//! * A key without a value and one with an empty value look the same here; both are words without a value.
//! * Keys under `kernel.` and `init.` are left out: the kernel adds them, without that prefix, to `/proc/cmdline`,
//!   where they are read already.

use crate::cmdline::Word;

/// The words of `/proc/bootconfig`.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a str,
    /// The key of the array whose next value `rest` begins with.
    array: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// The words of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, array: None }
    }

    /// Takes the next value of an array, or else the next line; `None` for a line that holds no key.
    fn step(&mut self) -> Option<Word<'a>> {
        if let Some(key) = self.array.take()
            && let Some(value) = self.take_value(key)
        {
            return Some(Word { key, value: Some(value) });
        }
        let line = self.rest;
        if let Some((key, value)) = line.split_once('=')
            && let (Some(key), Some(value)) = (key.strip_suffix(' '), value.strip_prefix(' '))
            && is_key(key)
        {
            self.rest = value;
            if let Some(value) = self.take_value(key) {
                return Some(Word {
                    key,
                    value: Some(value).filter(|value| !value.is_empty() || self.array.is_some()),
                });
            }
        }
        self.rest = line.split_once('\n').map_or("", |(_, rest)| rest);
        None
    }

    /// Takes one value in quotes and what separates it from the next one.
    fn take_value(&mut self, key: &'a str) -> Option<&'a str> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, rest) = self.rest.strip_prefix(quote)?.split_once(quote)?;
        let next = rest.strip_prefix(", ");
        self.array = next.map(|_| key);
        self.rest = next.or(rest.strip_prefix('\n')).unwrap_or(rest);
        Some(value)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        while !self.rest.is_empty() {
            if let Some(word) = self.step()
                && !is_for_the_kernel(word.key)
            {
                return Some(word);
            }
        }
        None
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_for_the_kernel(key: &str) -> bool {
    key.starts_with("kernel.") || key.starts_with("init.")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<(&str, Option<&str>)> {
        Words::new(text).map(|word| (word.key, word.value)).collect()
    }

    #[test]
    fn keys_arrays_and_flags_become_words() {
        let text = "root = \"LABEL=a b\"\n\
                    surefoot.mount = \"/srv:bind\", \"/opt:overlay\"\n\
                    quiet = \"\"\n\
                    dm_mod.param = 'say \"x\"'\n\
                    init = \"/bin/init\"\n";
        assert_eq!(
            words(text),
            [
                ("root", Some("LABEL=a b")),
                ("surefoot.mount", Some("/srv:bind")),
                ("surefoot.mount", Some("/opt:overlay")),
                ("quiet", None),
                ("dm_mod.param", Some("say \"x\"")),
                ("init", Some("/bin/init")),
            ]
        );
    }

    #[test]
    fn what_the_kernel_adds_to_its_command_line_is_not_taken_twice() {
        let text = "kernel.surefoot.etc = \"tmpfs\", \"ro\"\ninit.x = \"1\"\nkernelish = \"2\"\n";
        assert_eq!(words(text), [("kernelish", Some("2"))]);
    }

    #[test]
    fn comments_and_lines_of_no_known_form_are_passed_over() {
        let text = "# Parameters from bootloader:\n# ro a = \"b\"\nno value\nx = y\na b = \"c\"\nok = \"1\"";
        assert_eq!(words(text), [("ok", Some("1"))]);
        assert_eq!(words("a = \"never closed\n"), []);
    }

    #[test]
    fn a_value_may_span_lines_and_be_empty_in_an_array() {
        assert_eq!(
            words("a = \"1\n2\"\nb = \"\", \"x\"\nc = \"x\", \"\"\n"),
            [("a", Some("1\n2")), ("b", Some("")), ("b", Some("x")), ("c", Some("x")), ("c", Some("")),]
        );
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_is_read_back(
            keys in prop::collection::vec(("x[a-z.]{0,6}", prop::collection::vec("[a-z =,#\n'\\\\]{1,8}", 1..4)), 0..6)
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (key, values) in &keys {
                let quoted: Vec<_> = values.iter().map(|value| std::format!("\"{value}\"")).collect();
                writeln!(text, "{key} = {}", quoted.join(", ")).unwrap();
                expected.extend(values.iter().map(|value| (key.as_str(), Some(value.as_str()))));
            }
            prop_assert_eq!(words(&text), expected);
        }

        #[test]
        fn no_text_panics_or_goes_on_for_ever(text in "([a. ]|=|\"|'|, | = |\n|#|\\PC){0,40}") {
            prop_assert!(Words::new(&text).count() <= text.len());
        }
    }
}
