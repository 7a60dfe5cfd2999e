//! What the keys mean, alone and together.

use std::string::ToString;

use proptest::prelude::*;

use super::*;

const NONE: PrepareRoot<'static> = PrepareRoot {
    readonly: None,
    transient_etc: false,
    transient_root: TransientRoot::No,
    composefs: Composefs { enabled: Enabled::No, check: Check::Nothing },
    keypath: DEFAULT_KEYPATH,
};

fn etc(text: &str) -> ConfigFile<'_> {
    ConfigFile { path: "etc", text }
}

fn parse(text: &str) -> Result<PrepareRoot<'_>, PrepareRootError<'_>> {
    PrepareRoot::parse(&[etc(text)], None)
}

fn composefs(text: &str, word: Option<&'static str>) -> (Enabled, Check) {
    let composefs = PrepareRoot::parse(&[etc(text)], word).unwrap().composefs;
    (composefs.enabled, composefs.check)
}

#[test]
fn without_files_everything_has_its_default() {
    assert_eq!(PrepareRoot::parse(&[], None), Ok(NONE));
    assert_eq!(parse("# nothing\n[composefs]\n"), Ok(NONE));
    assert_eq!(parse("[root]\nreadonly=yes\n[Composefs]\nenabled=what\n"), Ok(NONE));
}

#[test]
fn every_key_is_read() {
    let text = "[sysroot]\nreadonly = false\n[etc]\ntransient=1 \n[root]\ntransient-ro=true\n\
                [composefs]\nenabled=signed\nkeypath = /usr/lib/key\n";
    let expected = PrepareRoot {
        readonly: Some(false),
        transient_etc: true,
        transient_root: TransientRoot::ReadOnly,
        composefs: Composefs { enabled: Enabled::Yes, check: Check::Signature },
        keypath: "/usr/lib/key",
    };
    assert_eq!(parse(text), Ok(expected));
}

#[test]
fn a_later_file_stands_in_the_place_of_an_earlier_one() {
    let usr = ConfigFile { path: "usr", text: "[composefs]\nenabled=verity\n[etc]\ntransient=true\n" };
    let config = PrepareRoot::parse(&[usr, etc("[sysroot]\nreadonly=true\n")], None);
    assert_eq!(config, Ok(PrepareRoot { readonly: Some(true), ..NONE }));
    let error = PrepareRoot::parse(&[ConfigFile { text: "x", ..usr }, etc("")], None).unwrap_err();
    assert_eq!(error.to_string(), r#"usr, line 1: "x" is neither [group] nor key=value in a group"#);
}

#[test]
fn composefs_has_three_states_and_two_checks() {
    for (value, expected) in [
        ("yes", (Enabled::Yes, Check::Nothing)),
        ("true ", (Enabled::Yes, Check::Nothing)),
        ("1", (Enabled::Yes, Check::Nothing)),
        ("no", (Enabled::No, Check::Nothing)),
        ("false", (Enabled::No, Check::Nothing)),
        ("0", (Enabled::No, Check::Nothing)),
        ("maybe", (Enabled::Maybe, Check::Nothing)),
        ("verity", (Enabled::Yes, Check::Verity)),
        ("signed", (Enabled::Yes, Check::Signature)),
    ] {
        assert_eq!(composefs(&std::format!("[composefs]\nenabled={value}\n"), None), expected, "{value}");
    }
}

#[test]
fn the_command_line_overrides_the_state_and_lifts_the_signature() {
    let signed = "[composefs]\nenabled=signed\n";
    let verity = "[composefs]\nenabled=verity\n";
    assert_eq!(composefs(signed, Some("1")), (Enabled::Yes, Check::Verity));
    assert_eq!(composefs(signed, Some("maybe")), (Enabled::Maybe, Check::Verity));
    assert_eq!(composefs(signed, Some("0")), (Enabled::No, Check::Verity));
    assert_eq!(composefs(verity, Some("signed")), (Enabled::Yes, Check::Signature));
    assert_eq!(composefs("", Some("signed")), (Enabled::Yes, Check::Signature));
    assert_eq!(composefs("", Some("verity")), (Enabled::Yes, Check::Verity));
    let error = PrepareRoot::parse(&[], Some("on")).unwrap_err();
    let text = "ostree.prepare-root.composefs=on: it may be yes, no, maybe, signed or verity";
    assert_eq!(error.to_string(), text);
}

#[test]
fn values_without_a_meaning_are_refused() {
    for (text, message) in [
        ("[sysroot]\nreadonly=yes", "etc: [sysroot] readonly=yes: it may be true, 1, false or 0"),
        ("[etc]\ntransient=", "etc: [etc] transient=: it may be true, 1, false or 0"),
        ("[root]\ntransient=TRUE", "etc: [root] transient=TRUE: it may be true, 1, false or 0"),
        ("[root]\ntransient-ro=1 0", "etc: [root] transient-ro=1 0: it may be true, 1, false or 0"),
        ("[composefs]\nenabled=on", "etc: [composefs] enabled=on: it may be yes, no, maybe, signed or verity"),
        (
            "[composefs]\nenabled=signed ",
            "etc: [composefs] enabled=signed : it may be yes, no, maybe, signed or verity",
        ),
        ("[root]\ntransient=1\ntransient-ro=1", "etc: [root] transient and transient-ro rule each other out"),
        ("[root]\ntransient=1", "[root] transient needs [composefs] enabled"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
    let transient = etc("[root]\ntransient=1\n[composefs]\nenabled=yes");
    assert_eq!(PrepareRoot::parse(&[transient], Some("no")), Err(PrepareRootError::TransientWithoutComposefs));
}

#[test]
fn the_sysroot_is_read_only_where_somebody_says_so() {
    let legacy = Some("[core]\nrepo_version=1\n[sysroot]\nreadonly=true\n");
    for (text, repository, expected) in [
        ("", None, false),
        ("", legacy, true),
        ("", Some("[sysroot]\nreadonly=perhaps\n"), false),
        ("", Some("readonly=true\n"), false),
        ("[sysroot]\nreadonly=true", None, true),
        ("[sysroot]\nreadonly=false", legacy, true),
        ("[composefs]\nenabled=yes", None, true),
        ("[composefs]\nenabled=maybe", None, false),
        ("[composefs]\nenabled=maybe", legacy, true),
        ("[composefs]\nenabled=yes\n[sysroot]\nreadonly=false", legacy, false),
    ] {
        assert_eq!(parse(text).unwrap().sysroot_readonly(repository), expected, "{text} {repository:?}");
    }
}

#[test]
fn etc_is_mounted_over_a_root_that_is_not_plain() {
    let transient = PrepareRoot { transient_etc: true, ..NONE };
    assert_eq!((NONE.etc(false, false), transient.etc(false, false)), (Etc::Plain, Etc::Plain));
    assert_eq!((NONE.etc(true, false), transient.etc(true, false)), (Etc::Bind, Etc::Transient));
    assert_eq!((NONE.etc(false, true), transient.etc(false, true)), (Etc::Bind, Etc::Transient));
}

proptest! {
    #[test]
    fn no_text_panics(text in r"(\[composefs\]|\[root\]|transient|enabled|=|\n|true|yes|.){0,40}", word in ".{0,8}") {
        let _ = PrepareRoot::parse(&[etc(&text)], Some(&word)).map_err(|error| error.to_string());
    }
}
