//! `surefoot notice`, and the units that call the tool.

use std::path::Path;
use std::process::{Command, Output};

const UNITS: &str = "../dist/systemd";

/// Runs it on a report; gives the exit code and what it printed.
fn notice(folder: &Path, report: &str) -> (Option<i32>, String) {
    std::fs::write(folder.join("boot.json"), report).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    command.arg("notice").arg("--report").arg(folder.join("boot.json")).arg("--motd").arg(folder.join("motd.d/60"));
    let Output { status, stdout, .. } = command.arg("--history").arg(folder.join("boots")).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[test]
fn logins_show_the_notice_until_there_is_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let motd = folder.path().join("motd.d/60");
    let fallback = include_str!("fallback.json");
    let (code, printed) = notice(folder.path(), fallback);
    assert_eq!((code, std::fs::read_to_string(&motd).unwrap()), (Some(0), printed.clone()));
    assert!(printed.starts_with("FALLBACK: root-a runs instead of root-b (boot of 2"), "{printed}");
    assert_eq!(std::fs::read_dir(motd.parent().unwrap()).unwrap().count(), 1);
    let good = include_str!("../../src/status/tests/boot.json");
    assert_eq!(notice(folder.path(), good), (Some(0), String::new()));
    assert!(!motd.exists());
    assert_eq!(notice(folder.path(), good), (Some(0), String::new()));
}

#[test]
fn systemd_takes_the_units() {
    for entry in std::fs::read_dir(UNITS).unwrap() {
        let path = entry.unwrap().path();
        let folder = tempfile::tempdir().unwrap();
        let unit = folder.path().join(path.file_name().unwrap());
        // The program need not be installed here.
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("ExecStart=/usr/bin/surefoot "), "{}", path.display());
        std::fs::write(&unit, text.replace("/usr/bin/surefoot", env!("CARGO_BIN_EXE_surefoot"))).unwrap();
        let mut command = Command::new("systemd-analyze");
        let output = command.args(["verify", "--man=no"]).arg(&unit).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run systemd-analyze (package systemd): {error}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(output.status.success() && !said.contains(&*name), "{name}: {said}");
    }
}
