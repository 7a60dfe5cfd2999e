//! GLib's key files, as far as ostree's configuration needs them.
//!
//! The rules are those of g_key_file_load_from_data(): spaces before a line, around `=` and after `]` mean nothing; a line
//! that is empty or begins with `#` is a comment; every other line is `[group]` or `key=value`, and no key stands before
//! the first group. Where a key stands twice in a group, the last one counts.

/// A `key=value`, and the group that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) group: &'a str,
    pub(super) key: &'a str,
    /// As it stands there: spaces at its end belong to it, escapes are not resolved.
    pub(super) value: &'a str,
}

/// A line that is none of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) line: &'a str,
}

/// Reads a whole key file: gives its entries to `each`, in their order.
pub(super) fn read<'a>(text: &'a str, mut each: impl FnMut(Entry<'a>)) -> Result<(), BadLine<'a>> {
    let mut group = None;
    for (line, number) in text.lines().zip(1..) {
        let content = trim_start(line);
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let bad = BadLine { number, line };
        if let Some(rest) = content.strip_prefix('[') {
            group = Some(group_name(rest).ok_or(bad)?);
        } else {
            let (key, value) = content.split_once('=').ok_or(bad)?;
            let key = key.trim_end_matches(is_space);
            let group = group.filter(|_| !key.is_empty()).ok_or(bad)?;
            each(Entry { group, key, value: trim_start(value) });
        }
    }
    Ok(())
}

/// The group of a line, from what follows its `[`.
fn group_name(rest: &str) -> Option<&str> {
    let (name, after) = rest.split_once(']')?;
    let valid = !name.is_empty() && !name.contains('[') && !name.contains(char::is_control);
    (valid && after.trim_end_matches([' ', '\t']).is_empty()).then_some(name)
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// GLib's g_ascii_isspace().
pub(super) fn is_space(character: char) -> bool {
    character.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Result<Vec<(&str, &str, &str)>, usize> {
        let mut entries = Vec::new();
        read(text, |entry| entries.push((entry.group, entry.key, entry.value))).map_err(|bad| bad.number)?;
        Ok(entries)
    }

    /// Each of these was given to GLib 2.74, which says the same.
    #[test]
    fn what_glib_reads_is_read_alike() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t", &[]),
            ("#x", &[]),
            ("# c\n\n [a]\nx=1", &[("a", "x", "1")]),
            ("[a]\n x = 1 \n", &[("a", "x", "1 ")]),
            ("[a] \nx=1", &[("a", "x", "1")]),
            ("[a]\n;x=1", &[("a", ";x", "1")]),
            ("[a]\r\nx=1\r\n", &[("a", "x", "1")]),
            ("[a]\n x=1\n# d\n #e\n", &[("a", "x", "1")]),
            ("[a]\n[b]\nx=1", &[("b", "x", "1")]),
            ("[a]\nx =\t1\t\n", &[("a", "x", "1\t")]),
            ("[a]\nx==1", &[("a", "x", "=1")]),
            ("[a]\nx y=1", &[("a", "x y", "1")]),
            ("[a b]\nx=a\\sb\\\\", &[("a b", "x", "a\\sb\\\\")]),
            ("[a]\nx=1\n[a]\nx=3\n", &[("a", "x", "1"), ("a", "x", "3")]),
        ] {
            assert_eq!(entries(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_glib_refuses_is_refused() {
        for (text, line) in [
            ("x=1\n", 1),
            ("[a]\nx\n", 2),
            ("[a\nx=1", 1),
            ("\n[a]x\nk=1", 2),
            ("[]\nk=1", 1),
            ("[[a]\nx=1", 1),
            ("[a]]\nx=1", 1),
            ("[\ta]\nx=1", 1),
            ("[a]\n=1", 2),
            ("[a]\n  \n\x0b\nx=1", 3),
        ] {
            assert_eq!(entries(text), Err(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"(\[|\]|=|\n|[a-z ]|.){0,40}") {
            let _ = entries(&text);
        }
    }
}
