//! `surefoot stage`.

use std::path::PathBuf;
use std::process::Command;

use deployment::ReadAt;
use deployment::gpt::Attributes;
use serde_json::Value;
use verity::RootHash;
use verity::image::Device;

use crate::image::{Part, entry, hash, root_hash_of, slot};
use crate::run::Machine;

const MIB: usize = 1 << 20;

/// Two slots with their hash partitions; the second slot is spare.
fn parts() -> Vec<Part> {
    vec![slot("root-a", 1, 0, true), hash("root-a-verity"), slot("root-b", 0, 0, false), hash("root-b-verity")]
}

fn content() -> Vec<u8> {
    (0..50_000_u32).map(|byte| (byte / 3 % 253) as u8).collect()
}

/// A machine with `root.erofs` to be staged.
fn machine(parts: &[Part]) -> Machine {
    let machine = Machine::new(parts);
    std::fs::write(machine.path("root.erofs"), content()).unwrap();
    machine
}

/// Makes `root.verity` and gives its root hash.
fn format(machine: &Machine) -> String {
    let root_hash = machine.path("made.hash");
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    command.args(["verity", "format"]).arg(image(machine)).arg(machine.path("root.verity"));
    assert!(command.arg("--root-hash-file").arg(&root_hash).output().unwrap().status.success());
    std::fs::read_to_string(root_hash).unwrap()
}

fn image(machine: &Machine) -> PathBuf {
    machine.path("root.erofs")
}

fn stage(machine: &Machine, options: &str) -> Value {
    let ran = machine.run(&words(machine, &format!("--json{options}")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn words(machine: &Machine, options: &str) -> String {
    format!("stage {} {options}", image(machine).display()).trim_end().to_owned()
}

/// The part of a disk that a partition is, as a file.
fn partition(machine: &Machine, number: u32) -> PathBuf {
    let (image, entry) = (machine.image(), entry(&machine.image(), number));
    let start = usize::try_from(entry.starting_lba).unwrap() * 512;
    let size = usize::try_from(entry.ending_lba - entry.starting_lba + 1).unwrap() * 512;
    let path = machine.path(&format!("part{number}"));
    std::fs::write(&path, &image[start..start + size]).unwrap();
    path
}

/// Whether `surefoot verity verify`, which is held to veritysetup elsewhere, takes what stands in two partitions.
fn verifies(machine: &Machine, data: u32, tree: u32, root_hash: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    command.args(["verity", "verify"]).arg(partition(machine, data)).arg(partition(machine, tree)).arg(root_hash);
    command.output().unwrap().status.success()
}

#[test]
fn the_spare_slot_gets_the_image_and_a_tree_and_is_next() {
    let machine = machine(&parts()).running("root-a");
    let staged = stage(&machine, "");
    let root_hash = staged["root_hash"].as_str().unwrap();
    assert!(verifies(&machine, 3, 4, root_hash));
    assert_eq!(std::fs::read(partition(&machine, 3)).unwrap()[..50_000], content());
    assert_eq!([machine.ledger(1), machine.ledger(3)], ["1/0/good", "2/3/-"]);
    let parsed: RootHash = root_hash.parse().unwrap();
    let image = machine.image();
    let (data, tree) = (entry(&image, 3), entry(&image, 4));
    assert_eq!((data.partition_name.as_str(), tree.partition_name.as_str()), ("root-b", "root-b-verity"));
    assert_eq!(data.unique_partition_guid, parsed.data_partition().unwrap().to_mixed_endian());
    assert_eq!(tree.unique_partition_guid, parsed.hash_partition().unwrap().to_mixed_endian());
    let expected = format!("surefoot.roothash={root_hash}");
    assert_eq!((staged["command_line"].as_str(), &staged["accepted"]), (Some(expected.as_str()), &Value::Null));
}

#[test]
fn what_lies_beside_the_image_is_used() {
    let machine = machine(&parts()).running("root-a");
    let root_hash = format(&machine);
    std::fs::write(machine.path("root.roothash"), format!("{root_hash}\n")).unwrap();
    let line = format!("surefoot.roothash={},{root_hash}", root_hash_of("root-a"));
    let machine = machine.command_line(&line);
    let ran = machine.run(&words(&machine, "--tries 1"));
    let expected = format!("root-b is next: priority 2, 1 try left\nroot hash     {root_hash}\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected.as_str()));
    assert!(
        ran.stderr.contains("surefoot: writing: 0 of 1 MiB\n")
            && ran.stderr.contains("surefoot: verifying: 1 of 1 MiB\n"),
        "{}",
        ran.stderr
    );
    assert!(verifies(&machine, 3, 4, &root_hash));
    let next = machine.done("status --slots");
    assert!(next.contains("root-b\t3\t2\t1\tuntested\tnext\n"), "{next}");
}

#[test]
fn a_root_hash_that_is_not_accepted_comes_with_the_word_that_accepts_it() {
    let machine = machine(&parts()).running("root-a");
    let root_hash = format(&machine);
    let known = root_hash_of("root-a");
    let machine = machine.command_line(&format!("surefoot.roothash={known}"));
    let staged = stage(&machine, "");
    assert_eq!(staged["command_line"], format!("surefoot.roothash={known},{root_hash}"));
    assert_eq!(staged["accepted"], false);
}

#[test]
fn a_tree_that_does_not_belong_to_image_or_root_hash_is_refused_first() {
    let machine = machine(&parts()).running("root-a");
    let root_hash = format(&machine);
    let other = root_hash_of("root-a");
    let (code, why) = machine.refused(&words(&machine, &format!("--root-hash {other}")));
    assert_eq!(
        (code, why),
        (1, format!("surefoot: cannot use root.verity: its root hash is {root_hash}, not {other}\n"))
    );
    std::fs::write(image(&machine), vec![1; 90_000]).unwrap();
    let (code, why) = machine.refused(&words(&machine, ""));
    assert!(code == 1 && why.contains("it is the tree of 49152 bytes, but root.erofs has 90000"), "{why}");
    std::fs::remove_file(machine.path("root.verity")).unwrap();
    let (code, why) = machine.refused(&words(&machine, &format!("--root-hash {other}")));
    assert!(code == 2 && why.contains("there is no hash tree with it"), "{why}");
}

#[test]
fn an_image_that_differs_from_its_tree_is_written_and_never_boots() {
    let machine = machine(&parts()).running("root-a");
    format(&machine);
    let mut changed = content();
    changed[7] ^= 1;
    std::fs::write(image(&machine), changed).unwrap();
    let ran = machine.run(&words(&machine, ""));
    assert!(ran.code == Some(1) && ran.stderr.contains("is not that of the data"), "{}", ran.stderr);
    let slots = machine.done("status --slots");
    assert_eq!(slots, "root-a\t1\t1\t0\tgood\trunning\nPRT#root-b\t3\t0\t0\tempty\t-\n");
    // The next update takes that slot again, and its name.
    std::fs::write(image(&machine), content()).unwrap();
    assert_eq!(stage(&machine, "")["slot"], "root-b");
}

#[test]
fn the_slot_that_is_empty_then_bad_then_last_is_spare() {
    let chosen = |slots: [Part; 3]| {
        let hashes = ["1", "2", "3"].map(hash);
        let machine = machine(&[slots.to_vec(), hashes.to_vec()].concat()).running("a");
        let ran = machine.run(&words(&machine, "--label new"));
        if ran.code == Some(0) {
            (2..=3).find(|number| entry(&machine.image(), *number).partition_name.as_str() == "new")
        } else {
            None
        }
    };
    let a = || slot("a", 5, 0, true);
    assert_eq!(chosen([a(), slot("b", 0, 0, false), slot("_empty", 0, 0, false)]), Some(3));
    assert_eq!(chosen([a(), slot("PRT#b", 0, 0, false), slot("c", 1, 0, false)]), Some(2));
    assert_eq!(chosen([a(), slot("b", 1, 0, true), slot("c", 9, 0, false)]), Some(3));
    assert_eq!(chosen([a(), slot("b", 2, 0, true), slot("c", 1, 0, true)]), Some(3));
    assert_eq!(chosen([a(), slot("b", 0, 0, false), slot("c", 9, 0, false)]), None);
    assert_eq!(chosen([a(), slot("b", 2, 0, true), slot("c", 2, 0, true)]), None);
}

#[test]
fn what_cannot_be_decided_or_would_leave_nothing_is_refused_before_anything_is_written() {
    let b = |machine: Machine, options: &str| machine.refused(&words(&machine, options));
    let why = |parts: &[Part], running: &str, options: &str| b(machine(parts).running(running), options);
    let (code, text) = why(&parts(), "root-a", "--slot root-a");
    assert_eq!((code, text.as_str()), (2, "surefoot: cannot write to root-a: the system runs from it\n"));
    let (code, text) = b(machine(&parts()), "");
    assert!(code == 2 && text.contains("which one runs is not known\n  Choose by --slot."), "{text}");
    let mut tied = parts();
    tied.push(slot("root-c", 0, 0, false));
    let (code, text) = why(&tied, "root-a", "");
    assert!(code == 2 && text.contains("root-b (partition 3) and root-c (partition 5) are equally spare"), "{text}");
    let mut unproven = parts();
    unproven[0] = slot("root-a", 2, 2, false);
    let (code, text) = why(&unproven, "root-a", "");
    assert!(code == 1 && text.contains("root-a, which runs, is not marked good"), "{text}");
    for (label, reason) in
        [("PRT#x", "unfinished"), ("a-label-that-is-longer-than-32-chars", "longer"), ("root-a", "has it already")]
    {
        let (code, text) = why(&parts(), "root-a", &format!("--label {label}"));
        assert!(code == 2 && text.contains(reason), "{text}");
    }
}

#[test]
fn partitions_that_are_too_small_are_refused() {
    let mut small = parts();
    small[2].size = 48 * 1024;
    let machine = machine(&small).running("root-a");
    let expected = "surefoot: cannot write to root-b: the image needs 53248 bytes, it has 49152\n";
    assert_eq!(machine.refused(&words(&machine, "")), (1, expected.to_owned()));
    let mut small = parts();
    small[3].size = 4096;
    let machine = self::machine(&small).running("root-a");
    let (code, text) = machine.refused(&words(&machine, ""));
    let expected =
        "cannot find a hash partition on disk.img: the hash tree needs 8192 bytes, the free hash partition has 4096\n";
    assert!(code == 1 && text.contains(expected), "{text}");
}

/// The tree of `root-b` is in the hash partition that carries the label of another one, and the proof counts.
#[test]
fn a_hash_partition_is_known_by_its_tree() {
    let mut parts = parts();
    parts.push(hash("one-more"));
    let machine = machine(&parts).running("root-a");
    let root_hash = stage(&machine, "")["root_hash"].as_str().unwrap().to_owned();
    // Now root-b runs, and its hash partition is labelled as if it were that of root-a.
    let mut image = machine.image();
    relabel(&mut image, 4, "root-a-verity");
    relabel(&mut image, 2, "nothing");
    std::fs::write(machine.disk(), &image).unwrap();
    machine.done("mark-good root-b");
    let machine = machine.running("root-b");
    let staged = stage(&machine, " --slot root-a");
    assert_eq!((staged["partition"].as_u64(), staged["hash_partition"].as_u64()), (Some(1), Some(2)));
    assert!(verifies(&machine, 3, 4, &root_hash), "the running slot's tree was overwritten");
    // What runs is to stay accepted, and is known by the same proof.
    let both = format!("surefoot.roothash={root_hash},{}", staged["root_hash"].as_str().unwrap());
    assert_eq!(staged["command_line"], both);
}

fn relabel(image: &mut [u8], number: u32, label: &str) {
    let mut cursor = std::io::Cursor::new(image);
    let mut table = gptman::GPT::read_from(&mut cursor, 512).unwrap();
    table[number].partition_name = label.into();
    table.write_into(&mut cursor).unwrap();
}

#[test]
fn one_image_in_two_slots_is_refused() {
    let mut parts = parts();
    parts.extend([slot("root-c", 0, 0, false), hash("root-c-verity")]);
    let machine = machine(&parts).running("root-a");
    let root_hash = format(&machine);
    stage(&machine, " --slot root-b");
    let (code, text) = machine.refused(&words(&machine, "--slot root-c"));
    let expected = format!("cannot stage root hash {root_hash}: partition 3 (root-b) has its PARTUUID already\n");
    assert!(code == 1 && text.contains(&expected), "{text}");
    // The same image once more into the same slot is no twin of itself.
    stage(&machine, " --slot root-b");
}

#[test]
fn without_verity_the_data_alone_is_written_and_read_again() {
    let slots = [slot("root-a", 1, 0, true), slot("root-b", 0, 0, false)];
    let one = machine(&slots).running("root-a");
    let (code, text) = one.refused(&words(&one, ""));
    assert!(code == 1 && text.contains("--no-verity"), "{text}");
    let staged = stage(&one, " --no-verity");
    assert_eq!((&staged["root_hash"], staged["priority"].as_u64()), (&Value::Null, Some(2)));
    assert_eq!(std::fs::read(partition(&one, 2)).unwrap()[..50_000], content());
    let other = machine(&slots).running("root-a").command_line("surefoot.verity=off");
    assert_eq!(stage(&other, "")["hash_partition"], Value::Null);
    assert_eq!(other.ledger(2), "2/3/-");
}

#[test]
fn an_empty_slot_takes_the_name_of_its_image() {
    let mut parts = parts();
    parts[2] = slot("_empty", 0, 0, false);
    parts[2].attributes = Attributes(parts[2].attributes.0 | 1 << 60);
    let machine = machine(&parts).running("root-a");
    assert_eq!(stage(&machine, "")["slot"], "root");
    let image = machine.image();
    assert_eq!(entry(&image, 4).partition_name.as_str(), "root-verity");
    assert!(Attributes(entry(&image, 3).attribute_bits).read_only(), "the partition's other bits are kept");
}

/// A process that is killed, and not only a disk that fails: what was written so far is in the file.
#[test]
fn a_command_that_is_killed_leaves_what_runs_next() {
    let mut parts = parts();
    parts[2].size = 64 * MIB as u64;
    parts[3].size = MIB as u64;
    let machine = machine(&parts).running("root-a");
    std::fs::write(image(&machine), vec![5; 60 * MIB]).unwrap();
    for milliseconds in [1, 5, 20, 60, 150, 400] {
        let mut child =
            machine.command(&words(&machine, "--slot 3")).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let slots = machine.done("status --slots");
        let whole = slots.contains("root-b\t3\t2\t3\tuntested\tnext");
        let untouched = slots.contains("root-b\t3\t0\t0\tbad\t-");
        assert!(whole || untouched || slots.contains("PRT#root-b\t3\t0\t0\tempty\t-"), "{slots}");
    }
}

#[test]
fn the_image_is_read_to_its_end() {
    let machine = machine(&parts()).running("root-a");
    let device = Device::open(&image(&machine)).unwrap();
    assert_eq!((device.size(), content().as_slice().size()), (50_000, 50_000));
    stage(&machine, "");
    let written = std::fs::read(partition(&machine, 3)).unwrap();
    assert!(written[49_152..50_000] == content()[49_152..] && written[50_000..53_248].iter().all(|byte| *byte == 0));
}
