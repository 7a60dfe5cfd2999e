use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

type Pair<'a> = (&'a str, Option<&'a str>);

fn words(text: &str) -> Vec<Pair<'_>> {
    Words::new(text).map(|word| (word.key, word.value)).collect()
}

#[test]
fn words_are_keys_with_or_without_values() {
    assert_eq!(
        words("  ro\troot=UUID=ab\n\x0b\x0c\rpanic= "),
        [("ro", None), ("root", Some("UUID=ab")), ("panic", Some("")),]
    );
    assert_eq!(words(" \n"), []);
}

#[test]
fn quotes_follow_the_kernel() {
    let table: [(&str, &[Pair<'_>]); 14] = [
        (r#"a="b c" d"#, &[("a", Some("b c")), ("d", None)]),
        (r#""a=b c" d"#, &[("a", Some("b c")), ("d", None)]),
        (r#""a b" c"#, &[("a b", None), ("c", None)]),
        // A quote inside the value keeps white space together and stays.
        (r#"a=b" c"d e"#, &[("a", Some(r#"b" c"d"#)), ("e", None)]),
        (r#"a="b c"d e"#, &[("a", Some(r#"b c"d"#)), ("e", None)]),
        // A quote that is never closed lasts to the end.
        (r#"a="b c d"#, &[("a", Some("b c d"))]),
        (r#"a=" b"#, &[("a", Some(" b"))]),
        (r#"a=""#, &[("a", Some(""))]),
        (r#"a="" b"#, &[("a", Some("")), ("b", None)]),
        // Quotes do not nest: the second one closes the first.
        (r#""a="b c"" d"#, &[("a", Some("b")), (r#"c"""#, None), ("d", None)]),
        (r#""" a"#, &[("", None), ("a", None)]),
        // An `=` in the first place does not end a key.
        ("=a", &[("=a", None)]),
        ("==a=b", &[("=", Some("a=b"))]),
        (r#"a\"b c"#, &[(r#"a\"b c"#, None)]),
    ];
    for (text, expected) in table {
        assert_eq!(words(text), expected, "{text}");
    }
}

#[test]
fn a_no_break_space_is_a_part_of_its_word() {
    assert_eq!(words("a=\u{e0}\u{a0}b c"), [("a", Some("\u{e0}\u{a0}b")), ("c", None)]);
}

#[test]
fn two_dashes_end_our_words_and_begin_those_of_init() {
    let mut all = Words::new("ro -- single x=\"1 2\" -- y");
    assert_eq!(all.next().map(|word| word.key), Some("ro"));
    assert_eq!(all.next(), None);
    assert_eq!(all.next(), None);
    let arguments: Vec<String> = all.init_arguments().unwrap().map(|word| word.to_string()).collect();
    assert_eq!(arguments, ["single", "x=1 2"]);
    assert_eq!(Words::new("ro -- s").init_arguments().unwrap().next().unwrap().key, "s");
    assert!(Words::new("ro --x --=y \"-- \"").init_arguments().is_none());
}

#[test]
fn a_line_of_4096_bytes_is_read_to_its_last_word() {
    let line: String = (0..).map(|n| std::format!("k{n:05}=v ")).take(455).collect::<String>() + "z";
    assert_eq!(line.len(), 4096);
    assert_eq!(Words::new(&line).count(), 456);
    assert_eq!(Words::new(&line).last(), Some(Word { key: "z", value: None }));
}

proptest! {
    #[test]
    fn what_is_put_in_quotes_comes_back(
        expected in prop::collection::vec(("[a-z.]{1,8}", prop::option::of("[a-z =\t\n]{0,8}")), 0..8),
        whole: bool,
    ) {
        let quoted = expected.iter().map(|(key, value)| match value {
            None => key.clone(),
            Some(value) if whole => std::format!("\"{key}={value}\""),
            Some(value) => std::format!("{key}=\"{value}\""),
        });
        let text = quoted.collect::<Vec<_>>().join(" \t");
        let expected: Vec<_> = expected.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        prop_assert_eq!(words(&text), expected);
    }

    #[test]
    fn no_text_panics(text: String) {
        Words::new(&text).for_each(drop);
        let _ = Words::new(&text).init_arguments();
    }
}
