//! Staging that is cut off at every moment: what ran is next, and what was written is no candidate, until it is whole.

use std::cell::Cell;

use boot_config::{Config, Sources};
use deployment::facts::{DiskIdentity, scan_disk};
use deployment::gpt::{EntryMut, rewrite};
use deployment::recorder::{Recorder, every_cut};
use deployment::{DeviceNumber, Facts, ReadAt, WriteAt, candidates};
use verity::{Algorithm, Geometry, HashType, Parameters, RootHash, Salt, Superblock, Uuid};

use super::progress::Progress;
use super::write::{Places, Update, write};
use crate::slots::Part;

#[allow(dead_code, reason = "the tests of the program use the rest")]
#[path = "../../tests/slots/image.rs"]
mod image;

use image::{hash, slot};

const MIB: u64 = 1 << 20;
/// The partitions of the disk, in order: each begins at a MiB.
const ROOT_A: u64 = MIB;
const ROOT_B: u64 = 2 * MIB;
const HASH_B: u64 = 5 * MIB;
/// The primary table, the slot that is written and its hash partition, in bytes.
const MAY_CHANGE: [std::ops::Range<u64>; 3] = [512..34 * 512, ROOT_B..ROOT_B + 2 * MIB, HASH_B..HASH_B + 64 * 1024];

/// `root-a` runs and is good; `root-b` was good before, and would be the second choice.
fn disk() -> Vec<u8> {
    let large = |mut part: image::Part| {
        part.size = 2 * MIB;
        part
    };
    let parts =
        [slot("root-a", 2, 0, true), large(slot("root-b", 1, 0, true)), hash("a"), hash("b"), slot("x", 0, 0, false)];
    let mut image = image::disk(&parts);
    // Other things of the disk, which must stay as they are.
    let third = ROOT_B + 2 * MIB;
    image[usize::try_from(third).unwrap()..][..4096].fill(3);
    image[usize::try_from(ROOT_A).unwrap()..][..64].fill(9);
    image
}

fn content() -> Vec<u8> {
    (0..MIB + 5000).map(|byte| (byte / 3 % 253) as u8).collect()
}

fn update<'i>(image: &'i dyn ReadAt, salt: &[u8]) -> Update<'i> {
    let parameters = Parameters {
        hash_type: HashType::Normal,
        algorithm: Algorithm::Sha256,
        data_block_size: 4096,
        hash_block_size: 4096,
        data_blocks: image.size().div_ceil(4096),
        salt: Salt::from_bytes(salt).unwrap(),
    };
    let superblock = Superblock::new(Uuid([7; 16]), &parameters);
    let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
    Update { image, geometry, superblock, tree: None, root_hash: None, label: "root-b".to_owned(), tries: 3 }
}

fn stage(disk: &Recorder, verity: bool) -> Result<RootHash, crate::error::Error> {
    let image = content();
    let (data, hash) = (Part::new(disk, ROOT_B, 2 * MIB), Part::new(disk, HASH_B, 64 * 1024));
    let hash = verity.then_some((4, &hash as &dyn WriteAt));
    let places = Places { table: disk, sector_size: 512, data: (2, &data), hash };
    let image: &[u8] = &image;
    write(&places, &update(&image, b"salt"), &Progress::silent())
}

/// The disk once PID 1 has repaired its table.
fn repaired(image: &[u8]) -> Vec<u8> {
    let disk = Recorder::new(image);
    rewrite(&disk, 512, &mut |_: &mut EntryMut<'_>| ()).unwrap();
    disk.image.into_inner()
}

/// The slots that this disk would boot, in order.
fn order(image: &[u8], cmdline: &str) -> Vec<String> {
    let disk = repaired(image);
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap();
    let mut facts = Box::new(Facts::new());
    let number = DeviceNumber { major: 254, minor: 0 };
    let identity = DiskIdentity { name: "vda", number, sector_size: 512, read_only: false };
    scan_disk(&mut facts, &disk.as_slice(), &identity, false).unwrap();
    let found = candidates(&config, &facts).unwrap();
    found.iter().filter(|candidate| !candidate.is_last_good()).map(|candidate| candidate.name.to_string()).collect()
}

const BY_LABEL: &str = "surefoot.verity=off";

#[test]
fn a_cut_at_any_moment_leaves_what_runs_next_and_the_spare_slot_no_candidate() {
    for verity in [true, false] {
        let image = disk();
        let recorder = Recorder::new(&image);
        let root_hash = stage(&recorder, verity).unwrap();
        let done = recorder.image.into_inner();
        assert_eq!(order(&done, BY_LABEL), ["root-b", "root-a"]);
        let (before, after) = (["root-a", "root-b"].as_slice(), ["root-b", "root-a"].as_slice());
        // The order only ever goes on: before, without the spare slot, after.
        let mut seen = [0; 3];
        every_cut(&image, &recorder.events.into_inner(), 512, &mut |cut| {
            let found = order(cut, BY_LABEL);
            let state = [before, &["root-a"], after].iter().position(|state| found == *state);
            seen[state.unwrap_or_else(|| panic!("{found:?}"))] += 1;
            if state == Some(1) {
                // The label alone keeps it from booting; so does the ledger, for those who know nothing of labels.
                assert_eq!(image::ledger(&repaired(cut), 2), "0/0/-");
            }
            if verity && state == Some(2) {
                let accepted = format!("surefoot.roothash={root_hash}");
                assert_eq!(order(cut, &accepted), ["root-b"]);
            }
        });
        assert!(seen[0] > 1 && seen[1] > 8 && seen[2] > 1, "{seen:?}");
    }
}

#[test]
fn a_write_that_fails_at_any_place_is_an_error_with_the_same_outcome() {
    let mut writes = 0;
    loop {
        let recorder = Recorder { writes_left: Cell::new(writes), ..Recorder::new(&disk()) };
        let result = stage(&recorder, true);
        let found = order(&recorder.image.into_inner(), BY_LABEL);
        if result.is_ok() {
            assert_eq!(found, ["root-b", "root-a"]);
            break;
        }
        // The backup table comes first: until the primary one is written as well, the old one counts.
        assert!(
            found == ["root-a", "root-b"] || found == ["root-a"] || found == ["root-b", "root-a"],
            "{writes}: {found:?}"
        );
        assert!(found[0] == "root-a" || writes > 10, "{writes}: {found:?}");
        writes += 1;
    }
    assert!(writes > 12, "{writes}");
}

#[test]
fn nothing_else_of_the_disk_is_touched() {
    let image = disk();
    let recorder = Recorder::new(&image);
    stage(&recorder, true).unwrap();
    let done = recorder.image.into_inner();
    let last = image.len() as u64;
    for (offset, (old, new)) in (0..).zip(image.iter().zip(&done)) {
        let table = offset >= last - 33 * 512;
        let allowed = table || MAY_CHANGE.iter().any(|range| range.contains(&offset));
        assert!(old == new || allowed, "byte {offset} was changed");
    }
    let root_a = usize::try_from(ROOT_A).unwrap();
    assert_eq!(done[root_a..][..64], [9; 64]);
}

#[test]
fn what_was_written_wrongly_is_found_and_never_becomes_a_candidate() {
    for (worn, what) in [
        (ROOT_B + 100, "block 2 of the hash tree is not that of the data"),
        (ROOT_B + MIB + 5001, "block 4 of the hash tree is not that of the data"),
        (HASH_B + 4096, "block 1 of the hash tree is not that of the data"),
        (HASH_B + 3 * 4096, "block 3 of the hash tree is not that of the data"),
        (HASH_B + 8, "the superblock is not as it was written"),
    ] {
        let recorder = Recorder { wears: Some(worn), ..Recorder::new(&disk()) };
        let error = stage(&recorder, true).unwrap_err().to_string();
        assert!(error.contains(what), "{worn}: {error}");
        assert_eq!(order(&recorder.image.into_inner(), BY_LABEL), ["root-a"]);
    }
    let recorder = Recorder { wears: Some(ROOT_B + 100), ..Recorder::new(&disk()) };
    let error = stage(&recorder, false).unwrap_err().to_string();
    assert!(error.starts_with("cannot verify what was written to partition 2: it has the root hash"), "{error}");
}
