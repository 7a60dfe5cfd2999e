//! `surefoot mark-good`, `mark-bad`, `set-next` and `rollback`.

use std::process::{Child, Command, Stdio};

use deployment::gpt::Attributes;

use crate::image::{Part, root_hash_of, slot};
use crate::run::Machine;

/// A good slot, and an update of it that is to be tried.
fn updated() -> [Part; 2] {
    [slot("root-a", 1, 0, true), slot("root-b", 2, 2, false)]
}

#[test]
fn the_running_slot_is_marked_good_and_becomes_the_first_to_fall_back_to() {
    let machine = Machine::new(&updated()).running("root-b");
    assert_eq!(machine.done("mark-good"), "root-b is good: priority 2, good\n");
    assert_eq!([machine.ledger(1), machine.ledger(2)], ["1/0/good", "2/0/good"]);
}

#[test]
fn a_slot_is_marked_good_by_name_and_by_number() {
    let machine = Machine::new(&updated());
    assert_eq!(machine.done("mark-good root-b"), "root-b is good: priority 2, good\n");
    assert_eq!(machine.done("mark-good 1"), "root-a is good: priority 3, good\n");
}

#[test]
fn without_a_name_the_running_slot_must_be_known() {
    let (code, words) = Machine::new(&updated()).refused("mark-good");
    assert_eq!(code, 2);
    assert!(words.contains("it is not known with --disk"), "{words}");
}

#[test]
fn a_bad_slot_is_passed_over_and_remembered() {
    let machine = Machine::new(&updated());
    assert_eq!(machine.done("mark-bad root-b"), "root-b is bad and not booted any more; next is root-a\n");
    assert_eq!(machine.done("mark-bad root-a"), "root-a is bad and not booted any more; no slot is left to boot\n");
    assert_eq!([machine.ledger(1), machine.ledger(2)], ["0/0/once", "0/0/-"]);
}

#[test]
fn the_next_slot_has_the_highest_priority_and_tries() {
    let machine = Machine::new(&[slot("root-a", 2, 0, true), slot("root-b", 1, 0, false), slot("root-c", 15, 0, true)]);
    assert_eq!(machine.done("set-next root-b"), "root-b is next: priority 3, 3 tries left\n");
    assert_eq!([machine.ledger(1), machine.ledger(2), machine.ledger(3)], ["1/0/good", "3/3/-", "2/0/good"]);
    assert_eq!(machine.done("set-next root-b --tries 1"), "root-b is next: priority 3, 1 try left\n");
    assert_eq!(machine.done("set-next root-a --tries 9"), "root-a is next: priority 4, good\n");
}

#[test]
fn tries_are_one_to_fifteen() {
    let machine = Machine::new(&updated());
    for tries in ["0", "16", "x"] {
        assert_eq!(machine.refused(&format!("set-next root-b --tries {tries}")).0, 2);
    }
}

#[test]
fn two_slots_with_one_label_are_told_apart_by_number() {
    let mut parts = updated();
    for part in &mut parts {
        part.label = "root".to_owned();
    }
    let machine = Machine::new(&parts);
    let expected = "surefoot: cannot find slot root: partitions 1 and 2 both have that label\n  \
                    Give the partition's number instead.\n";
    assert_eq!(machine.refused("set-next root"), (2, expected.to_owned()));
    assert_eq!(machine.done("set-next 1"), "root (partition 1) is next: priority 3, good\n");
}

#[test]
fn a_slot_that_is_not_there_is_an_error_that_names_those_that_are() {
    let expected = "surefoot: cannot find slot root-c: disk.img has no such slot\n  There are: root-a, root-b.\n";
    assert_eq!(Machine::new(&updated()).refused("mark-bad root-c"), (2, expected.to_owned()));
}

#[test]
fn slots_that_can_never_boot_are_refused_with_the_reason() {
    let mut hidden = slot("root-d", 1, 0, true);
    hidden.attributes = Attributes(hidden.attributes.0 | 1 << 63);
    let machine =
        Machine::new(&[slot("_empty", 0, 0, false), slot("PRT#b", 0, 0, false), slot("PND#c", 0, 0, false), hidden]);
    for (name, why) in [
        ("_empty", "its label says that it is empty"),
        ("PRT#b", "its label says that it holds an unfinished update"),
        ("PND#c", "its label says that it holds an unfinished update"),
        ("root-d", "its partition is marked no-auto"),
    ] {
        let advice = "surefoot stage writes an image to it.";
        let expected = format!("surefoot: cannot boot {name}: {why}\n  {advice}\n");
        assert_eq!(machine.refused(&format!("set-next {name}")), (1, expected));
    }
}

#[test]
fn going_back_takes_the_slot_that_was_good_before() {
    let machine = Machine::new(&[slot("root-a", 1, 0, true), slot("root-b", 3, 0, true), slot("root-c", 0, 0, true)]);
    assert_eq!(machine.running("root-b").done("rollback"), "root-a is next: priority 4, good\n");
}

#[test]
fn going_back_can_wake_a_slot_that_was_given_up() {
    let machine = Machine::new(&[slot("root-a", 1, 0, true), slot("root-b", 2, 0, true)]).running("root-b");
    machine.done("mark-bad root-a");
    assert_eq!(machine.done("rollback"), "root-a is next: priority 3, 3 tries left\n");
}

#[test]
fn there_is_no_way_back_to_what_was_never_good_or_is_not_accepted() {
    let expected = "surefoot: cannot roll back disk.img: no other slot has ever been good\n";
    let machine = Machine::new(&updated()).running("root-a");
    assert_eq!(machine.refused("rollback"), (1, expected.to_owned()));
    let accepted = format!("surefoot.roothash={}", root_hash_of("root-b"));
    let machine = Machine::new(&updated()).running("root-b").command_line(&accepted);
    assert_eq!(machine.refused("rollback"), (1, expected.to_owned()));
}

#[test]
fn a_slot_that_the_boot_would_pass_over_is_warned_of() {
    let accepted = format!("quiet surefoot.roothash={}", root_hash_of("root-a"));
    let machine = Machine::new(&updated()).command_line(&accepted);
    let ran = machine.run("set-next root-b");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "root-b is next: priority 2, 3 tries left\n"));
    let expected = "surefoot: warning: the running command line does not accept root-b: no root hash of surefoot.roothash= \
                    begins with its PARTUUID 726f6f74-2d62-a5a5-a5a5-a5a5a5a5a5a5; the boot would pass it over\n";
    assert_eq!(ran.stderr, expected);
    assert_eq!(machine.done("set-next root-a"), "root-a is next: priority 3, good\n");
}

#[test]
fn the_count_of_reboots_is_forgotten_once_a_slot_is_good() {
    let mut parts = updated();
    parts[0].attributes = parts[0].attributes.with_reboots_digit(3);
    let machine = Machine::new(&parts);
    let digit = || Attributes(crate::image::entry(&machine.image(), 1).attribute_bits).reboots_digit();
    assert_eq!(digit(), 3);
    machine.done("mark-bad root-b");
    assert_eq!(digit(), 3);
    machine.done("mark-good root-a");
    assert_eq!(digit(), 0);
}

/// Both copies of the table are what gptman takes for sound, and a damaged one is made again.
#[test]
fn a_damaged_table_is_repaired_on_the_way() {
    let machine = Machine::new(&updated());
    let mut image = machine.image();
    image[512 + 60] ^= 1;
    std::fs::write(machine.disk(), &image).unwrap();
    machine.done("set-next root-a");
    assert_eq!(machine.ledger(1), "3/0/good");
    image = machine.image();
    let last = image.len() - 512;
    image[512..1024].fill(0);
    assert!(last > 0 && crate::image::ledger(&image, 1) == "3/0/good");
}

#[test]
fn what_is_no_disk_with_slots_is_refused() {
    let machine = Machine::new(&[]);
    let expected = "surefoot: cannot use disk.img: it has no root partition, and so no slot\n";
    assert_eq!(machine.refused("set-next x"), (1, expected.to_owned()));
    std::fs::write(machine.disk(), vec![0; 1 << 20]).unwrap();
    let expected = "surefoot: cannot use disk.img: it has no GUID partition table\n";
    assert_eq!(machine.refused("set-next x"), (1, expected.to_owned()));
}

/// Ten commands at once: each reads what the one before it has written.
#[test]
fn commands_at_the_same_time_do_not_lose_each_others_changes() {
    let names: Vec<_> = (0..10).map(|index| format!("root-{index}")).collect();
    let parts: Vec<_> = names.iter().map(|name| slot(name, 0, 0, false)).collect();
    let machine = Machine::new(&parts);
    let mut children: Vec<_> = names.iter().map(|name| quiet(machine.command(&format!("mark-good {name}")))).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert!((1..=10).all(|number| machine.ledger(number).ends_with("/0/good")));
}

fn quiet(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn where_the_system_runs_from_no_slot_nothing_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("boot.json");
    std::fs::write(&report, include_str!("../../src/status/tests/boot.json")).unwrap();
    let run = |word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        let output = command.args([word, "--report"]).arg(&report).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let expected = (Some(0), "nothing to mark: no boot ledger is kept about what runs\n".to_owned(), String::new());
    assert_eq!(run("mark-good"), expected);
    let (code, stdout, stderr) = run("rollback");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("cannot find the deployments of this system: no ledger is kept"), "{stderr}");
}
