//! `surefoot status` as a program: what it prints where, and what it exits with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output};

const REPORT: &str = include_str!("../src/status/tests/boot.json");

/// Runs it on a report with this text; gives the exit code, standard output and standard error.
fn status(arguments: &[&str], report: Option<&str>) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boot.json");
    if let Some(report) = report {
        std::fs::write(&path, report).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    let Output { status, stdout, stderr } =
        command.arg("status").args(arguments).arg("--report").arg(&path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(path.to_str().unwrap(), "REPORT");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_report_is_shown_without_colour_in_a_pipe() {
    let (code, stdout, stderr) = status(&[], Some(REPORT));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("root was booted by surefoot 0.1.0: verified\n"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "{stdout}");
}

#[test]
fn json_is_passed_through_as_it_is_with_the_slots_added() {
    let now =
        r#","now":{"disk":null,"slots_from":null,"slots":[],"deployments_from":null,"deployments":[],"history":[]}}"#;
    let expected = REPORT.trim_end().strip_suffix('}').unwrap().to_owned() + now + "\n";
    assert_eq!(status(&["--json"], Some(REPORT)), (Some(0), expected, String::new()));
}

#[test]
fn json_is_checked_before_it_is_passed_through() {
    let cut = REPORT.replace(r#""init":"/sbin/init","#, "");
    let expected = "surefoot: cannot use REPORT: missing field `init`\n";
    assert_eq!(status(&["--json"], Some(&cut)), (Some(1), String::new(), expected.to_owned()));
}

#[test]
fn without_a_report_the_system_was_started_by_something_else() {
    let expected = "surefoot: cannot show how this system booted: it was not started by surefoot\n  \
                    There is no REPORT, which surefoot's PID 1 writes.\n";
    assert_eq!(status(&[], None), (Some(1), String::new(), expected.to_owned()));
}

#[test]
fn a_newer_report_is_shown_with_a_note() {
    let newer = REPORT.replace(r#""schema":1"#, r#""schema":7"#);
    let (code, stdout, stderr) = status(&[], Some(&newer));
    let expected = "surefoot: note: this boot was reported in schema 7, this program knows up to 1: what is shown may be \
                    incomplete\n";
    assert_eq!((code, stderr.as_str()), (Some(0), expected));
    assert!(stdout.contains("/dev/mapper/root"), "{stdout}");
}

#[test]
fn what_is_not_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boot.json");
    std::fs::write(&path, b"\xff").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_surefoot")).args(["status", "--report"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("boot.json: it is not UTF-8 text\n"));
}
