use std::string::{String, ToString};

use super::*;
use crate::fixture::{BLOCK_SIZE, Fixture, ROOT_HASHES};
use crate::{Algorithm, HashType, Salt, Superblock};

fn fixture() -> Fixture {
    Fixture::new(Algorithm::Sha256, HashType::Normal, 137)
}

fn examine(fixture: &Fixture, geometry: &Geometry) -> Result<Verdict, DiagnoseError<&'static str>> {
    let (mut parent, mut child) = ([0xff; BLOCK_SIZE], [0xff; BLOCK_SIZE]);
    let buffers = Buffers { parent: &mut parent, child: &mut child };
    diagnose(geometry, &fixture.root_hash, buffers, |block, bytes| {
        let (device, index) = match block {
            Block::Data(index) => (&fixture.data, index),
            Block::Hash(index) => (&fixture.hash, index),
        };
        let start = usize::try_from(index).unwrap().saturating_mul(BLOCK_SIZE);
        let content = device.get(start..start.saturating_add(BLOCK_SIZE)).ok_or("beyond the end")?;
        bytes.copy_from_slice(content);
        Ok(())
    })
}

fn verdict(fixture: &Fixture) -> Verdict {
    examine(fixture, &fixture.geometry).unwrap()
}

/// The verdict when the superblock is another one.
fn verdict_with(fixture: &Fixture, superblock: &Superblock) -> Verdict {
    examine(fixture, &Geometry::with_superblock(superblock, 0).unwrap()).unwrap()
}

#[test]
fn a_sound_tree_is_sound() {
    for (algorithm, hash_type, _) in ROOT_HASHES {
        for data_blocks in [1, 2, 8, 9, 16, 17, 137, 256, 257] {
            let fixture = Fixture::new(algorithm, hash_type, data_blocks);
            assert_eq!(verdict(&fixture), Verdict::Sound, "{algorithm} {hash_type} {data_blocks}");
        }
    }
}

/// A partition is often longer than the tree on it, and a filesystem's last block is often unused.
#[test]
fn zeros_behind_the_tree_are_not_taken_for_one_more_level() {
    let mut fixture = Fixture::new(Algorithm::Sha256, HashType::Normal, 512);
    assert!(fixture.data.ends_with(&[0; BLOCK_SIZE]));
    fixture.hash.resize(fixture.hash.len() + 512 * BLOCK_SIZE, 0);
    assert_eq!(verdict(&fixture), Verdict::Sound);
}

#[test]
fn a_wrong_root_hash_is_told_from_a_wrong_tree() {
    for data_blocks in [2, 16, 17, 137] {
        let mut fixture = Fixture::new(Algorithm::Sha256, HashType::Normal, data_blocks);
        let computed = fixture.root_hash;
        fixture.root_hash = RootHash::from_bytes(&[0x5a; 32]).unwrap();
        assert_eq!(verdict(&fixture), Verdict::RootHashWrong { computed }, "{data_blocks}");
    }
}

#[test]
fn every_flipped_bit_of_the_root_block_is_told() {
    for (algorithm, hash_type, _) in ROOT_HASHES {
        let mut fixture = Fixture::new(algorithm, hash_type, 137);
        for bit in 0..BLOCK_SIZE * 8 {
            fixture.hash[BLOCK_SIZE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verdict(&fixture), Verdict::RootBlockCorrupt { block: 1 }, "bit {bit}");
            fixture.hash[BLOCK_SIZE + bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn wrong_parameters_are_told() {
    let fixture = fixture();
    let good = &fixture.superblock;
    let salt: Salt = "0123456789abcdee".parse().unwrap();
    let longer: Salt = "0123456789abcdef00".parse().unwrap();
    assert_eq!(verdict_with(&fixture, &Superblock { salt, ..good.clone() }), Verdict::ParametersWrong);
    assert_eq!(verdict_with(&fixture, &Superblock { salt: longer, ..good.clone() }), Verdict::ParametersWrong);
    let hash_type = HashType::ChromeOs;
    assert_eq!(verdict_with(&fixture, &Superblock { hash_type, ..good.clone() }), Verdict::ParametersWrong);
}

#[test]
fn any_other_number_of_data_blocks_is_told() {
    let fixture = fixture();
    for data_blocks in (1..5000).filter(|number| *number != 137) {
        let superblock = Superblock { data_blocks, ..fixture.superblock.clone() };
        let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
        // A number that is far too large makes a tree that ends beyond the device.
        let told = examine(&fixture, &geometry)
            .map(|verdict| matches!(verdict, Verdict::DataBlocksWrong { .. } | Verdict::HashBlockCorrupt { .. }));
        assert!(matches!(told, Ok(true) | Err(DiagnoseError::Read { .. })), "{data_blocks}: {told:?}");
    }
}

#[test]
fn a_missing_tree_and_an_overwritten_one_are_told() {
    let mut fixture = fixture();
    fixture.hash[BLOCK_SIZE..].fill(0x11);
    assert_eq!(verdict(&fixture), Verdict::ParametersWrong);
    fixture.hash[BLOCK_SIZE..].fill(0);
    assert_eq!(verdict(&fixture), Verdict::TreeMissing { block: 1 });
}

#[test]
fn damage_on_the_way_to_the_last_block_is_told() {
    let mut fixture = fixture();
    let last = fixture.hash.len() - BLOCK_SIZE;
    fixture.hash[last] ^= 1;
    assert_eq!(verdict(&fixture), Verdict::HashBlockCorrupt { block: 10 });
}

#[test]
fn one_data_block_cannot_tell_what_is_wrong() {
    let mut fixture = Fixture::new(Algorithm::Sha256, HashType::Normal, 1);
    fixture.data[0] ^= 1;
    let computed = RootHash::from(fixture.superblock.parameters().hasher().digest(&fixture.data));
    assert_eq!(verdict(&fixture), Verdict::Undecided { computed, block: Block::Data(0) });
}

#[test]
fn what_cannot_be_read_or_held_is_an_error() {
    let mut fixture = fixture();
    fixture.hash.truncate(BLOCK_SIZE);
    let error = examine(&fixture, &fixture.geometry).unwrap_err();
    assert_eq!(error.to_string(), "cannot read hash block 1: beyond the end");
    let superblock = Superblock { data_block_size: 8192, ..fixture.superblock.clone() };
    let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
    assert_eq!(examine(&fixture, &geometry).unwrap_err(), DiagnoseError::BufferTooSmall { needed: 8192 });
}

#[test]
fn verdicts_say_which_thing_is_wrong() {
    let computed = RootHash::from_bytes(&[0xab; 20]).unwrap();
    let text = |verdict: Verdict| -> String { verdict.to_string() };
    let hex = "ab".repeat(20);
    assert_eq!(
        text(Verdict::RootHashWrong { computed }),
        std::format!("root hash is wrong: the hash tree is consistent, and its root hash is {hex}")
    );
    assert_eq!(
        text(Verdict::Undecided { computed, block: Block::Data(0) }),
        std::format!("root hash, superblock or data block 0 is wrong: the root hash computed from them is {hex}")
    );
    assert_eq!(
        text(Verdict::RootBlockCorrupt { block: 1 }),
        "hash tree is corrupt: hash block 1, the topmost, does not have the root hash"
    );
}
