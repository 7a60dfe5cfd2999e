use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

/// As snapper 0.10.4 writes it.
const WRITTEN: &str = r#"<?xml version="1.0"?>
<snapshot>
  <type>post</type>
  <num>12</num>
  <date>2026-11-25 15:51:12</date>
  <pre_num>3</pre_num>
  <description>good &amp; &lt;old&gt; "x" &#xE9;</description>
  <cleanup>number</cleanup>
  <userdata>
    <key>important</key>
    <value>yes</value>
  </userdata>
  <userdata>
    <key>note</key>
    <value>a&amp;b</value>
  </userdata>
</snapshot>
"#;

#[test]
fn a_snapshot_is_read_as_it_is_written() {
    let snapshot = Snapshot::parse(WRITTEN, 12).unwrap();
    assert_eq!((snapshot.kind, snapshot.date), (SnapshotKind::Post, "2026-11-25 15:51:12"));
    assert_eq!(snapshot.description.to_string(), "good & <old> \"x\" é");
    assert_eq!(snapshot.cleanup.as_written(), "number");
    assert!(snapshot.is_important());
    assert_eq!(snapshot.userdata("note").unwrap().to_string(), "a&b");
    assert_eq!(snapshot.userdata("other"), None);
}

#[test]
fn little_is_required() {
    let text =
        "<snapshot><num>1</num><type>single</type><date>2026-11-25 15:51:12</date><cleanup/><new>x</new></snapshot>";
    let snapshot = Snapshot::parse(text, 1).unwrap();
    assert_eq!((snapshot.description.as_written(), snapshot.cleanup.as_written()), ("", ""));
    assert!(!snapshot.is_important());
}

#[test]
fn what_is_not_understood_is_an_error() {
    use SnapshotError::{Date, Kind, Number, Syntax};
    for (from, to, why) in [
        ("<snapshot>", "", Syntax),
        ("</snapshot>", "", Syntax),
        ("</snapshot>", "</snapshot>x", Syntax),
        ("<snapshot>", "<snapshot a=\"1\">", Syntax),
        ("<snapshot>", "<!DOCTYPE x><snapshot>", Syntax),
        ("<type>", "<!-- x --><type>", Syntax),
        ("<type>", "<type a=\"1\">", Syntax),
        ("<type>", "<type>pre</type><type>", Syntax),
        ("</type>", "</num>", Syntax),
        ("post", "<![CDATA[post]]>", Syntax),
        ("post", "middle", Kind),
        ("&#xE9;", "&eacute;", Syntax),
        ("&#xE9;", "&#xD800;", Syntax),
        ("&#xE9;", "&#0;", Syntax),
        ("&#xE9;", "&#x+41;", Syntax),
        ("&#xE9;", "&", Syntax),
        ("<key>note</key>", "", Syntax),
        ("<key>note", "<value>note", Syntax),
        ("12</num>", "13</num>", Number),
        ("<num>12</num>", "", Number),
        ("2026-11-25 ", "2026-11-25T", Date),
        ("2026", "26", Date),
    ] {
        let text = WRITTEN.replacen(from, to, 1);
        assert_ne!(text, WRITTEN);
        assert_eq!(Snapshot::parse(&text, 12), Err(why), "{from} {to}");
    }
    assert_eq!(Snapshot::parse("<snapshot><num>0</num><type>pre</type></snapshot>", 0), Err(Number));
}

proptest! {
    #[test]
    fn no_text_panics(text: String, cut in 0..WRITTEN.len(), insert in "[<>/&;#xé a]{0,4}") {
        let _ = Snapshot::parse(&text, 12);
        let (head, tail) = WRITTEN.split_at(cut);
        for text in [std::format!("{head}{insert}{tail}"), std::format!("{head}{insert}")] {
            if let Ok(snapshot) = Snapshot::parse(&text, 12) {
                let _ = (snapshot.description.to_string(), snapshot.is_important());
            }
        }
    }

    #[test]
    fn descriptions_round_trip(text in "[ -~éü\u{1F600}]{0,20}") {
        let mut escaped = String::new();
        for character in text.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                _ if character.is_ascii() => escaped.push(character),
                _ => write!(escaped, "&#{};", u32::from(character)).unwrap(),
            }
        }
        let file = WRITTEN.replace("good &amp; &lt;old&gt; \"x\" &#xE9;", &escaped);
        prop_assert_eq!(Snapshot::parse(&file, 12).unwrap().description.to_string(), text);
    }
}
