//! `surefoot status` of a machine with slots.

use deployment::gpt::Attributes;
use serde_json::Value;

use crate::image::{Part, root_hash_of, slot};
use crate::run::Machine;

/// What PID 1 has left of a boot that fell back from `root-b` to `root-a`.
const REPORT: &str = include_str!("fallback.json");
const BOOTS: &str = concat!(
    r#"{"time":1795399449,"deployment":"root-b","kernel":"6.12","tries_left":2,"successful":false,"failed":[]}"#,
    "\n",
    r#"{"time":1795399500,"deployment":"root-a","kernel":"6.12","tries_left":0,"successful":true,"#,
    r#""fallback":{"from":"root-b","reason":"cannot mount /: \u001b[2Jbad"},"failed":[]}"#,
    "\n{\"time\":17953"
);

fn parts() -> Vec<Part> {
    let mut hidden = slot("root-f", 9, 0, true);
    hidden.attributes = Attributes(hidden.attributes.0 | 1 << 63);
    vec![
        slot("root-a", 2, 0, true),
        slot("root-b", 3, 2, false),
        slot("root-c", 4, 0, false),
        slot("root-d", 0, 0, true),
        slot("_empty", 0, 0, false),
        hidden,
    ]
}

fn report(machine: &Machine) {
    std::fs::write(machine.path("report"), REPORT).unwrap();
    std::fs::write(machine.path("boots"), BOOTS).unwrap();
}

#[test]
fn slots_are_lines_for_scripts() {
    let machine = Machine::new(&parts()).running("root-a");
    let expected = "root-a\t1\t2\t0\tgood\trunning\n\
                    root-b\t2\t3\t2\tuntested\tnext\n\
                    root-c\t3\t4\t0\tspent\t-\n\
                    root-d\t4\t0\t0\tbad\t-\n\
                    _empty\t5\t0\t0\tempty\t-\n\
                    root-f\t6\t9\t0\tbad\t-\n";
    assert_eq!(machine.done("status --slots"), expected);
    machine.done("mark-bad root-b");
    let next = machine.done("status --slots").lines().filter(|line| line.ends_with("next")).count();
    assert_eq!(next, 0, "the running slot is the next one");
}

#[test]
fn a_name_that_is_no_word_or_not_unique_is_shown_as_a_number() {
    let mut parts = parts();
    parts[1].label = "root b\t".to_owned();
    parts[2].label = "root-a".to_owned();
    let names = Machine::new(&parts).done("status --slots");
    let names: Vec<_> = names.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["1", "2", "3", "root-d", "_empty", "root-f"]);
}

#[test]
fn the_table_tells_where_each_slot_stands() {
    let accepted = format!("surefoot.roothash={},{}", root_hash_of("root-a"), root_hash_of("root-d"));
    let machine = Machine::new(&parts()).command_line(&accepted);
    let expected = "\
slots of disk.img
  root-a  next     good, priority 2
  root-b           2 tries left, root hash not accepted, priority 3
  root-c           spent: tried, and never marked good, root hash not accepted, priority 4
  root-d           bad, was good once, priority 0
  _empty           empty, priority 0
  root-f           marked no-auto, root hash not accepted, priority 9
";
    assert_eq!(machine.done("status"), expected);
    let machine = Machine::new(&parts()).running("root-a");
    let shown = machine.done("status");
    assert!(
        shown.contains("\n  root-a  running  good, priority 2\n  root-b  next     2 tries left, priority 3\n"),
        "{shown}"
    );
}

#[test]
fn a_fallback_and_the_last_boots_are_told() {
    let machine = Machine::new(&parts());
    report(&machine);
    let boots = machine.path("boots");
    let shown = machine.done(&format!("status --history {}", boots.display()));
    let flags = "root-a was booted by surefoot 0.1.0: verified\n\
                 FALLBACK    it runs instead of root-b: cannot mount /: no filesystem\n\
                 chosen      it is the best slot that boots\n";
    assert!(shown.starts_with(flags), "{shown}");
    assert!(shown.contains("\nfailed before\n  root-b: cannot mount /: no filesystem\n"), "{shown}");
    assert!(shown.contains("\n  root-a  running  good, priority 2\n"), "{shown}");
    let history = "\nlast boots (by the machine's clock)\n  \
                   2026-11-23 02:04:09 UTC  root-b, 2 tries left\n  \
                   2026-11-23 02:05:00 UTC  root-a, instead of root-b: cannot mount /: \u{fffd}[2Jbad\n";
    assert!(shown.ends_with(history), "{shown}");
}

#[test]
fn json_is_the_report_with_slots_and_history() {
    let machine = Machine::new(&parts());
    report(&machine);
    let boots = machine.path("boots");
    let json: Value =
        serde_json::from_str(&machine.done(&format!("status --json --history {}", boots.display()))).unwrap();
    assert_eq!(json["fallback"]["from"], "root-b");
    let now = &json["now"];
    assert_eq!((now["slots_from"].as_str(), now["slots"].as_array().unwrap().len()), (Some("disk"), 6));
    assert_eq!(now["slots"][0]["running"], true);
    assert_eq!(now["slots"][1]["state"], "untested");
    assert_eq!(now["slots"][1]["accepted"], Value::Null);
    assert_eq!(now["history"][1]["fallback"]["from"], "root-b");
    let without: Value = serde_json::from_str(&Machine::new(&parts()).done("status --json")).unwrap();
    assert_eq!((without["schema"].as_u64(), without["now"]["slots"][3]["once_good"].as_bool()), (Some(1), Some(true)));
}

/// Without root the disk cannot be read; here it is not there at all.
#[test]
fn slots_are_as_the_boot_left_them_where_the_disk_cannot_be_read() {
    let machine = Machine::new(&parts());
    report(&machine);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_surefoot"));
    command.args(["status", "--history", "/nowhere", "--report"]).arg(machine.path("report"));
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let expected = "\nslots of /dev/no-such-disk as the boot left them (cannot open /dev/no-such-disk: No such file or \
                    directory)\n  root-a  running  good, priority 2\n  root-b           bad, priority 0\n";
    assert!(shown.ends_with(&expected.replace("cannot open", "cannot read")), "{shown}");
    command.arg("--slots");
    let lines = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(lines, "root-a\t1\t2\t0\tgood\trunning\nroot-b\t3\t0\t0\tbad\t-\n");
}

#[test]
fn a_disk_that_was_named_must_be_readable() {
    let machine = Machine::new(&parts());
    std::fs::write(machine.disk(), [0; 4096]).unwrap();
    assert_eq!(machine.refused("status").0, 1);
}
