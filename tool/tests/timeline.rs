//! `surefoot timeline` as a program: what it prints where, and what it exits with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const REPORT: &str = include_str!("../src/timeline/tests/boot.json");
/// A report of a version that did not measure steps.
const WITHOUT_STEPS: &str = include_str!("../src/status/tests/boot.json");

/// Runs it in a folder in which `boot.json` has this text; gives the exit code, standard output and standard error.
fn timeline(folder: &Path, arguments: &[&str], report: Option<&str>) -> (Option<i32>, String, String) {
    if let Some(report) = report {
        std::fs::write(folder.join("boot.json"), report).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    let Output { status, stdout, stderr } =
        command.arg("timeline").args(arguments).arg("boot.json").current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_chart_goes_to_a_file_or_into_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (code, svg, stderr) = timeline(folder.path(), &[], Some(REPORT));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    let nothing = (Some(0), String::new(), String::new());
    assert_eq!(timeline(folder.path(), &["-o", "boot.svg"], Some(REPORT)), nothing);
    assert_eq!(std::fs::read_to_string(folder.path().join("boot.svg")).unwrap(), svg);
}

#[test]
fn json_has_every_span_with_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (code, json, _) = timeline(folder.path(), &["--json"], Some(REPORT));
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).unwrap();
    let kinds = json.as_array().unwrap().iter().map(|span| span["kind"].as_str().unwrap());
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["device", "module", "mount", "phase", "step"]);
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let failed = |code, text: &str| (Some(code), String::new(), text.to_owned());
    assert_eq!(
        timeline(folder.path(), &[], None),
        failed(3, "surefoot: cannot read boot.json: No such file or directory\n")
    );
    assert_eq!(
        timeline(folder.path(), &[], Some(WITHOUT_STEPS)),
        failed(
            1,
            "surefoot: cannot draw boot.json: it has no steps: surefoot 0.1.0 did not measure any\n  \
             Build the initramfs anew with this version. surefoot status shows the milestones.\n"
        )
    );
    assert_eq!(
        timeline(folder.path(), &[], Some("{")),
        failed(1, "surefoot: cannot use boot.json: it is not JSON: EOF while parsing an object at line 1 column 1\n")
    );
    assert_eq!(
        timeline(folder.path(), &["-o", "missing/boot.svg"], Some(REPORT)),
        failed(3, "surefoot: cannot write missing/boot.svg: No such file or directory\n")
    );
}
