//! `surefoot explain` on small disk images: the plans, and the words in which a boot would fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod initramfs;
mod inside;
mod machine;

use std::fs;

use insta::assert_snapshot;
use machine::Machine;
use serde_json::Value;

/// A root hash of nothing.
const OTHER: &str = "00000000000000000000000000000000ffffffffffffffffffffffffffffffff";
const BY_LABEL: &str = "systemd.verity_root_data=PARTLABEL=root systemd.verity_root_hash=PARTLABEL=root-verity";

#[test]
fn a_root_hash_alone_is_enough() {
    assert_snapshot!(Machine::new().explain("roothash=ROOTHASH quiet", &[]));
}

#[test]
fn a_usr_of_its_own() {
    assert_snapshot!(Machine::new().explain("roothash=ROOTHASH usrhash=USRHASH", &[]));
}

#[test]
fn a_root_in_memory() {
    assert_snapshot!(Machine::new().explain("usrhash=USRHASH systemd.volatile=yes", &[]));
}

#[test]
fn changes_in_memory() {
    assert_snapshot!(Machine::new().explain("roothash=ROOTHASH systemd.volatile=overlay", &[]));
}

#[test]
fn further_directories() {
    let keys =
        "roothash=ROOTHASH surefoot.mount=/srv:overlay surefoot.mount=/opt:tmpfs:size=10% surefoot.mount=/root:bind";
    assert_snapshot!(Machine::new().explain(keys, &[]));
}

/// Priority 2 with the tries given; bit 56 is for a good slot, bit 58 for one that was good once.
fn slot(tries: u64, bits: u64) -> Machine {
    let machine = Machine::new();
    machine.attributes(1, 2 << 48 | tries << 52 | bits);
    machine
}

#[test]
fn a_slot_that_is_yet_to_be_proven() {
    assert_snapshot!(
        slot(3, 0).explain("surefoot.roothash=ROOTHASH surefoot.etc=ro surefoot.var=ro surefoot.home=ro", &[])
    );
}

#[test]
fn a_slot_whose_tries_are_spent() {
    assert_snapshot!(slot(0, 0).explain("surefoot.roothash=ROOTHASH", &[]));
}

#[test]
fn a_slot_that_was_good_once() {
    let keys =
        "surefoot.roothash=ROOTHASH surefoot.on-exhausted=last-good surefoot.etc=ro surefoot.var=ro surefoot.home=ro";
    assert_snapshot!(slot(0, 1 << 58).explain(keys, &[]));
}

#[test]
fn a_slot_that_does_not_verify_and_nothing_else() {
    let machine = slot(0, 1 << 56);
    machine.flip(2, 4096);
    assert_snapshot!(
        machine.explain("surefoot.roothash=ROOTHASH surefoot.etc=ro surefoot.var=ro surefoot.home=ro", &[])
    );
}

#[test]
fn a_slot_whose_root_hash_is_not_accepted() {
    assert_snapshot!(slot(3, 0).explain(&format!("surefoot.roothash={OTHER}"), &[]));
}

#[test]
fn a_slot_of_a_disk_whose_first_table_is_damaged() {
    let machine = slot(0, 1 << 56);
    let mut disk = fs::read(machine.path("disk.img")).unwrap();
    disk[512 + 60] ^= 1;
    fs::write(machine.path("disk.img"), disk).unwrap();
    assert_snapshot!(
        machine.explain("surefoot.roothash=ROOTHASH surefoot.etc=ro surefoot.var=ro surefoot.home=ro", &[])
    );
}

#[test]
fn a_root_that_nothing_verifies() {
    assert_snapshot!(Machine::new().explain("root=PARTLABEL=root surefoot.verity=optional surefoot.etc=ro", &[]));
}

#[test]
fn devices_that_are_missing() {
    assert_snapshot!(Machine::new().explain(&format!("roothash={OTHER} rd.timeout=7"), &[]));
}

#[test]
fn devices_that_are_missing_for_ever() {
    let text = Machine::new().explain("roothash=ROOTHASH rootwait surefoot.state=LABEL=none", &[]);
    let expected = "surefoot: the machine would not boot: it waits for the state device LABEL=none for ever (rootwait, or a \
                    deadline of 0)\n";
    assert!(text.ends_with(&format!("--- stderr, exit code 1\n{expected}")), "{text}");
}

#[test]
fn a_missing_state_device_that_may_be_missing() {
    let keys = "roothash=ROOTHASH surefoot.state=LABEL=none surefoot.state.missing=tmpfs";
    assert_snapshot!(Machine::new().explain(keys, &[]));
}

#[test]
fn two_disks_with_the_same_partitions() {
    assert_snapshot!(Machine::new().explain("roothash=ROOTHASH", &["--disk", "disk.img"]));
}

#[test]
fn the_root_hash_of_something_else() {
    assert_snapshot!(Machine::new().explain(&format!("roothash={OTHER} {BY_LABEL} surefoot.on-failure=poweroff"), &[]));
}

#[test]
fn a_flipped_bit_of_the_hash_tree() {
    let machine = Machine::new();
    machine.flip(2, 4096 + 5);
    assert_snapshot!(stderr(&machine.explain("roothash=ROOTHASH", &[])));
}

#[test]
fn a_flipped_bit_of_the_superblock() {
    let machine = Machine::new();
    machine.flip(2, 8);
    assert_snapshot!(stderr(&machine.explain("roothash=ROOTHASH", &[])));
}

#[test]
fn a_hash_device_that_is_too_short() {
    let machine = Machine::new();
    machine.assemble(4096);
    assert_snapshot!(stderr(&machine.explain("roothash=ROOTHASH", &[])));
}

#[test]
fn an_unknown_key() {
    let text = Machine::new().explain("roothash=ROOTHASH surefoot.etcc=ro", &[]);
    assert!(
        text.contains("\nunknown key, ignored: surefoot.etcc (the nearest valid one is surefoot.etc)\nwould boot root")
    );
    let expected = "surefoot: the machine would boot, but ignore a part of the command line: surefoot.etcc (the nearest valid \
                    one is surefoot.etc)\n";
    assert!(text.ends_with(&format!("--- stderr, exit code 1\n{expected}")), "{text}");
}

#[test]
fn a_bad_value() {
    assert_snapshot!(stderr(&Machine::new().explain("roothash=ROOTHASH surefoot.etc=maybe", &[])));
}

#[test]
fn no_root_at_all() {
    assert_snapshot!(stderr(&Machine::new().explain("quiet", &[])));
}

#[test]
fn a_state_device_that_cannot_be_mounted() {
    let machine = Machine::new();
    let keys = "roothash=ROOTHASH surefoot.state=PARTLABEL=usr-verity";
    assert_snapshot!(stderr(&machine.explain(keys, &[])));
    let degraded = machine.explain(&format!("{keys} surefoot.state.missing=tmpfs"), &[]);
    assert!(degraded.contains("\nDEGRADED changes are kept in memory and lost at power-off: "), "{degraded}");
    assert!(degraded.ends_with("--- stderr, exit code 0\n"), "{degraded}");
}

#[test]
fn the_command_line_may_be_in_a_file() {
    let machine = Machine::new();
    fs::write(machine.path("words"), format!("roothash={}\n", machine.root_hash)).unwrap();
    let from_file = machine.explain("./words", &[]);
    assert_eq!(from_file, machine.explain("roothash=ROOTHASH", &[]));
    assert!(machine.explain("words", &[]).contains("nothing names a root"));
}

#[test]
fn json_has_all_of_it() {
    let machine = Machine::new();
    let arguments = ["--json", "--disk", "disk.img"];
    let output = machine.command("roothash=ROOTHASH surefoot.etcc=ro", &arguments).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["boots"], &value["error"], &value["init"]), (&true.into(), &Value::Null, &Value::Null));
    assert_eq!(value["unknown_keys"][0]["nearest"], "surefoot.etc");
    assert_eq!(value["candidates"][0]["trust"], "verified");
    assert_eq!(value["attempts"][0]["steps"][0], "load module dm-verity");
    assert_eq!(value["devices"][1]["content"], "erofs");
    assert_eq!(output.status.code(), Some(1));

    let output = machine.command("", &arguments).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["boots"], &value["then"]), (&false.into(), &"the machine reboots".into()));
    let error = format!("surefoot: the machine would not boot: {}\n", value["error"].as_str().unwrap());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), error);
}

#[test]
fn exit_codes_tell_wrong_requests_from_files_that_are_not_there() {
    let machine = Machine::new();
    assert_eq!(machine.command("", &[]).status().unwrap().code(), Some(2));
    assert_eq!(machine.command("", &["--disk", "disk.img", "--sector-size", "520"]).status().unwrap().code(), Some(2));
    assert_eq!(machine.command("", &["--disk", "none"]).status().unwrap().code(), Some(3));
    assert_eq!(machine.command("./none", &["--disk", "disk.img"]).status().unwrap().code(), Some(3));
    let initramfs = ["--disk", "disk.img", "--initramfs", "none"];
    assert_eq!(machine.command("", &initramfs).status().unwrap().code(), Some(3));
}

/// What comes after the explanation.
fn stderr(text: &str) -> &str {
    &text[text.find("--- stderr").unwrap()..]
}
