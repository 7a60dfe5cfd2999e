//! The scripts for RAUC, as RAUC calls them.

use std::path::Path;
use std::process::{Command, Output};

use crate::image::{hash, slot};
use crate::run::Machine;

const FOLDER: &str = "../dist/rauc";

fn machine() -> Machine {
    Machine::new(&[
        slot("root-a", 1, 0, true),
        hash("root-a-verity"),
        slot("root-b", 0, 0, false),
        hash("root-b-verity"),
    ])
    .running("root-a")
}

/// Runs a script; gives its exit code, standard output and standard error.
fn script(machine: &Machine, name: &str, words: &str, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let tool = Path::new(env!("CARGO_BIN_EXE_surefoot")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap_or_default());
    let options = format!("--disk {} --running root-a", machine.disk().display());
    let mut command = Command::new("sh");
    command.arg(Path::new(FOLDER).join(name)).args(words.split(' ')).env("PATH", path).env("SUREFOOT_OPTIONS", options);
    let Output { status, stdout, stderr } = command.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (status.code(), text(stdout), text(stderr))
}

/// What the backend answers.
fn backend(machine: &Machine, words: &str) -> String {
    let (code, stdout, stderr) = script(machine, "surefoot-backend", words, &[]);
    assert_eq!(code, Some(0), "{words}: {stderr}");
    stdout
}

fn install(machine: &Machine) -> Option<i32> {
    let bundle = machine.path("");
    let environment = [
        ("RAUC_IMAGE_NAME", "root.img"),
        ("RAUC_BUNDLE_MOUNT_POINT", bundle.to_str().unwrap()),
        ("RAUC_SLOT_BOOTNAME", "3"),
        ("RAUC_SLOT_NAME", "rootfs.1"),
    ];
    script(machine, "install-hook", "slot-install", &environment).0
}

#[test]
fn the_shell_takes_the_scripts() {
    for name in ["surefoot-backend", "install-hook", "make-bundle"] {
        let path = Path::new(FOLDER).join(name);
        assert!(Command::new("sh").arg("-n").arg(&path).status().unwrap().success(), "{name}");
    }
}

#[test]
fn an_update_goes_as_rauc_asks_for_it() {
    let machine = machine();
    let all = |words: &str| backend(&machine, words);
    assert_eq!([all("get-primary"), all("get-current")], ["1", "1"]);
    assert_eq!([all("get-state 1"), all("get-state 3")], ["good", "bad"]);
    // What RAUC does for an installation: the target is bad, is written, and becomes the primary one.
    assert_eq!(all("set-state 3 bad"), "");
    std::fs::write(machine.path("root.img"), vec![7; 20_000]).unwrap();
    assert_eq!(install(&machine), Some(0));
    assert_eq!(all("get-primary"), "3");
    assert_eq!(all("set-primary 3"), "");
    assert_eq!([all("get-state 1"), all("get-state 3")], ["good", "good"]);
    assert_eq!([machine.ledger(1), machine.ledger(3)], ["1/0/good", "2/3/-"]);
    // It has booted well; then the old one is asked for.
    assert_eq!(all("set-state 3 good"), "");
    assert_eq!(machine.ledger(3), "2/0/good");
    assert_eq!(all("set-primary 1"), "");
    assert_eq!([all("get-primary"), machine.ledger(1)], ["1", "3/0/good"]);
}

#[test]
fn what_is_next_keeps_its_tries() {
    let machine = machine();
    machine.done("set-next root-b --tries 1");
    backend(&machine, "set-primary 3");
    assert_eq!(machine.ledger(3), "2/1/-");
}

#[test]
fn an_update_that_was_cut_off_is_bad_and_can_be_repeated() {
    installs_into("PRT#root-b", "PRT#root-b-verity");
}

#[test]
fn an_empty_slot_is_bad_and_can_be_written() {
    installs_into("_empty", "root-b-verity");
}

/// Installs into a slot with this label, and a hash partition with that one.
fn installs_into(label: &str, hash_label: &str) {
    let parts = [slot("root-a", 1, 0, true), hash("root-a-verity"), slot(label, 0, 0, false), hash(hash_label)];
    let machine = Machine::new(&parts).running("root-a");
    assert_eq!(backend(&machine, "get-state 3"), "bad");
    assert_eq!(backend(&machine, "set-state 3 bad"), "");
    assert_ne!(script(&machine, "surefoot-backend", "set-primary 3", &[]).0, Some(0));
    std::fs::write(machine.path("root.img"), vec![7; 20_000]).unwrap();
    assert_eq!(install(&machine), Some(0));
    assert_eq!(backend(&machine, "get-state 3"), "good");
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let machine = machine();
    for words in ["", "get-state", "get-state 5", "set-state 1 fine", "set-primary 5", "get-primary 1"] {
        let (code, stdout, stderr) = script(&machine, "surefoot-backend", words, &[]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{words}");
        assert!(stderr.starts_with("surefoot-backend: "), "{words}: {stderr}");
    }
    machine.done("mark-bad root-a");
    let (code, stdout, stderr) = script(&machine, "surefoot-backend", "get-primary", &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(1), "", "surefoot-backend: no slot would boot"));
    // Without a disk, surefoot's own reason is passed on.
    std::fs::remove_file(machine.disk()).unwrap();
    let (code, stdout, _) = script(&machine, "surefoot-backend", "get-primary", &[]);
    assert_eq!((code.is_some_and(|code| code != 0), stdout.as_str()), (true, ""));
}
