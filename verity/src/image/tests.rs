use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::string::ToString;
use std::vec::Vec;

use tempfile::TempDir;

use super::*;
use crate::diagnose::Verdict;
use crate::fixture::{BLOCK_SIZE, Fixture, ROOT_HASHES};
use crate::{Algorithm, Geometry, HashType, RootHash, Superblock};

/// A fixture whose data, and whose tree if it is asked for, stand in files.
struct Image {
    fixture: Fixture,
    folder: TempDir,
}

impl Image {
    fn new(algorithm: Algorithm, hash_type: HashType, data_blocks: u64) -> Self {
        let image = Self { fixture: Fixture::new(algorithm, hash_type, data_blocks), folder: TempDir::new().unwrap() };
        fs::write(image.path("data"), &image.fixture.data).unwrap();
        image
    }

    fn with_tree(self) -> Self {
        fs::write(self.path("hash"), &self.fixture.hash).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> Device {
        Device::open(&self.path("data")).unwrap()
    }

    fn format(&self) -> Result<RootHash, ImageError> {
        let hash = Device::open_writable(&self.path("hash")).unwrap();
        format(&self.data(), &hash, &self.fixture.geometry, Some((&self.fixture.superblock, 0)), &())
    }

    fn verify(&self) -> Report {
        let hash = Device::open(&self.path("hash")).unwrap();
        verify(&self.data(), &hash, &self.fixture.geometry, &self.fixture.root_hash, &()).unwrap()
    }

    fn hash_bytes(&self) -> Vec<u8> {
        fs::read(self.path("hash")).unwrap()
    }
}

fn small() -> Image {
    Image::new(Algorithm::Sha512, HashType::Normal, 9)
}

#[test]
fn trees_are_made_and_found_good() {
    for (algorithm, hash_type, root_hash) in ROOT_HASHES {
        let image = Image::new(algorithm, hash_type, 137);
        assert_eq!(image.format().unwrap().to_string(), root_hash);
        assert!(image.hash_bytes() == image.fixture.hash, "{algorithm} {hash_type}");
        assert!(image.verify().is_good(), "{algorithm} {hash_type}");
    }
}

#[test]
fn data_of_several_runs_gives_one_tree() {
    let blocks = u64::from(runs::RUN_BYTES) * 5 / 2 / BLOCK_SIZE as u64;
    for data_blocks in [blocks - 1, blocks, blocks + 1] {
        let image = Image::new(Algorithm::Sha256, HashType::Normal, data_blocks);
        assert_eq!(image.format().unwrap(), image.fixture.root_hash);
        assert!(image.hash_bytes() == image.fixture.hash, "{data_blocks} blocks");
        assert!(image.verify().is_good(), "{data_blocks} blocks");
    }
}

#[test]
fn nothing_beside_the_tree_is_touched() {
    let image = small();
    let mut expected = image.fixture.hash.clone();
    // Between the superblock, which fills a whole hash block here, and after the tree.
    expected.extend_from_slice(&[0xa5; 1000]);
    fs::write(image.path("hash"), std::vec![0xa5; expected.len()]).unwrap();
    image.format().unwrap();
    assert!(image.hash_bytes() == expected);
    assert_eq!(fs::read(image.path("data")).unwrap(), image.fixture.data);
}

#[test]
fn a_tree_that_is_not_finished_has_no_superblock() {
    let image = small().with_tree();
    let before = image.hash_bytes();
    // The data shrinks after it was opened, so that reading it fails half-way.
    let (data, hash) = (image.data(), Device::open_writable(&image.path("hash")).unwrap());
    fs::write(image.path("data"), &image.fixture.data[..BLOCK_SIZE]).unwrap();
    let superblock = Some((&image.fixture.superblock, 0));
    let why = format(&data, &hash, &image.fixture.geometry, superblock, &()).unwrap_err().to_string();
    assert_eq!(
        why,
        std::format!("cannot read {} at byte 0: failed to fill whole buffer", image.path("data").display())
    );
    let after = image.hash_bytes();
    assert_eq!(after[..BLOCK_SIZE], [0; BLOCK_SIZE]);
    assert_eq!(after[BLOCK_SIZE..], before[BLOCK_SIZE..]);
}

#[test]
fn a_superblock_is_read_back() {
    let image = small().with_tree();
    let hash = Device::open(&image.path("hash")).unwrap();
    assert_eq!(read_superblock(&hash, 0).unwrap(), image.fixture.superblock);
    let why = read_superblock(&hash, 512).unwrap_err().to_string();
    let path = image.path("hash").display().to_string();
    assert_eq!(why, path.clone() + ": verity superblock: not one, for it does not start with \"verity\"");
    let why = read_superblock(&hash, 2048 - 511).unwrap_err().to_string();
    assert_eq!(why, path + " is too short: the superblock needs 2049 bytes, it has 2048");
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    let image = small().with_tree();
    assert!(image.verify().is_good());
    // Waking threads would take most of the time.
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one_thread.install(|| {
        for (name, first_byte) in [("data", 0), ("hash", BLOCK_SIZE)] {
            let bytes = fs::read(image.path(name)).unwrap();
            let file = fs::OpenOptions::new().write(true).open(image.path(name)).unwrap();
            for (at, byte) in (0..).zip(&bytes).skip(first_byte) {
                for bit in 0..8 {
                    file.write_all_at(&[byte ^ (1 << bit)], at as u64).unwrap();
                    let report = image.verify();
                    assert!(!report.is_good(), "bit {bit} of byte {at} of {name}");
                    assert!(names(&report, name == "data", at / BLOCK_SIZE), "byte {at} of {name}: {report:?}");
                }
                file.write_all_at(&[*byte], at as u64).unwrap();
            }
        }
    });
    assert!(image.verify().is_good());
}

/// Whether a report names this block of the data or hash device first.
fn names(report: &Report, is_data: bool, block: usize) -> bool {
    let block = block as u64;
    // The root hash vouches for the topmost block, so no hash block names it.
    report.verdict == Verdict::RootBlockCorrupt { block }
        || report.bad_blocks.first().is_some_and(|bad| {
            (bad.place == Place::Data) == is_data && (bad.block, bad.position) == (block, block * BLOCK_SIZE as u64)
        })
}

#[test]
fn bytes_beside_the_digests_are_found_though_the_root_hash_vouches_for_them() {
    let mut image = Image::new(Algorithm::Sha1, HashType::Normal, 137);
    let parameters = image.fixture.superblock.parameters();
    let hasher = parameters.hasher();
    let hash = &mut image.fixture.hash;
    let (root_block, first_below) = (BLOCK_SIZE..2 * BLOCK_SIZE, 2 * BLOCK_SIZE..3 * BLOCK_SIZE);
    // A digest of 20 bytes is padded to 32.
    hash[first_below.start + 21] = 0xa5;
    let digest = hasher.digest(&hash[first_below]);
    hash[root_block.start..][..20].copy_from_slice(digest.as_bytes());
    image.fixture.root_hash = hasher.digest(&hash[root_block]).into();

    let report = image.with_tree().verify();
    let bad = BadBlock { place: Place::Level(0), block: 2, position: 1024, fault: Fault::Padding };
    assert_eq!(report, Report { verdict: Verdict::Sound, bad_blocks: std::vec![bad], bad_count: 1 });
    assert_eq!(bad.to_string(), "hash block 2 at byte 1024, level 0: bytes beside its digests are not zero");
}

#[test]
fn all_bad_blocks_are_counted_and_the_first_are_listed() {
    let image = Image::new(Algorithm::Sha256, HashType::Normal, 3000).with_tree();
    fs::write(image.path("data"), std::vec![0xff; 3000 * BLOCK_SIZE]).unwrap();
    let report = image.verify();
    let blocks = (0..).zip(image.fixture.data.chunks(BLOCK_SIZE));
    let bad: Vec<u64> = blocks.filter(|(_, bytes)| bytes[0] != 0xff).map(|(block, _)| block).collect();
    // Some blocks held nothing but 0xff before.
    assert!(bad.len() < 3000);
    assert_eq!((report.verdict, report.bad_count), (Verdict::Sound, bad.len() as u64));
    let listed: Vec<u64> = report.bad_blocks.iter().map(|bad| bad.block).collect();
    assert_eq!(listed, bad[..MAX_REPORTED]);
    let text = "data block 0 at byte 0: does not have the digest that the hash tree holds for it";
    assert_eq!(report.bad_blocks[0].to_string(), text);
}

#[test]
fn a_tree_of_another_superblock_has_a_verdict_and_no_blocks() {
    let mut image = small().with_tree();
    let superblock = Superblock { salt: "00".parse().unwrap(), ..image.fixture.superblock.clone() };
    image.fixture.geometry = Geometry::with_superblock(&superblock, 0).unwrap();
    let report = image.verify();
    assert_eq!((report.verdict, report.bad_count), (Verdict::ParametersWrong, 0));
}

#[test]
fn devices_that_are_too_short_or_overlap_are_refused() {
    let image = small();
    fs::write(image.path("data"), &image.fixture.data[1..]).unwrap();
    let path = image.path("data").display().to_string();
    let why = image.format().unwrap_err().to_string();
    assert_eq!(why, path.clone() + " is too short: the data needs 4608 bytes, it has 4607");

    fs::write(image.path("data"), &image.fixture.data).unwrap();
    let device = Device::open_writable(&image.path("data")).unwrap();
    let superblock = &image.fixture.superblock;
    let geometry = Geometry::with_superblock(superblock, 4096).unwrap();
    let why = format(&image.data(), &device, &geometry, Some((superblock, 4096)), &()).unwrap_err().to_string();
    let overlap = "data and hash area overlap on ".to_string() + &path;
    assert_eq!(why, overlap + ": the data ends at byte 4608, the hash area starts at 4096");
    assert_eq!(fs::read(image.path("data")).unwrap(), image.fixture.data);

    fs::write(image.path("hash"), &image.fixture.hash[1..]).unwrap();
    let hash = Device::open(&image.path("hash")).unwrap();
    let why = verify(&image.data(), &hash, &image.fixture.geometry, &image.fixture.root_hash, &()).unwrap_err();
    let path = image.path("hash").display().to_string();
    assert_eq!(why.to_string(), path + " is too short: the hash tree needs 2048 bytes, it has 2047");
}

#[test]
fn progress_adds_up() {
    use core::sync::atomic::{AtomicU64, Ordering};
    struct Sum(AtomicU64);
    impl Progress for Sum {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }
    let image = Image::new(Algorithm::Sha256, HashType::Normal, 1100);
    let sum = Sum(AtomicU64::new(0));
    let hash = Device::open_writable(&image.path("hash")).unwrap();
    format(&image.data(), &hash, &image.fixture.geometry, None, &sum).unwrap();
    assert_eq!(sum.0.into_inner(), bytes_read(&image.fixture.geometry));
}
