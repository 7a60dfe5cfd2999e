use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::{Algorithm, Salt, Uuid};

fn parameters(data_blocks: u64, data_block_size: u32, hash_block_size: u32, algorithm: Algorithm) -> Parameters {
    let (hash_type, salt) = (HashType::Normal, Salt::default());
    Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt }
}

fn behind_superblock(parameters: &Parameters, offset: u64) -> Result<Geometry, GeometryError> {
    Geometry::with_superblock(&Superblock::new(Uuid::default(), parameters), offset)
}

/// What `veritysetup format --debug` says: data blocks, data and hash block size, size of the hash device, levels.
const KNOWN: [(u64, u32, u32, u64, usize); 5] = [
    (1000, 4096, 4096, 40960, 2),
    (1, 512, 4096, 4096, 0),
    (129, 4096, 4096, 16384, 2),
    (16385, 512, 4096, 544_768, 3),
    (4097, 512, 512, 142_336, 4),
];

#[test]
fn sizes_and_levels_are_those_of_veritysetup() {
    for (blocks, data_block_size, hash_block_size, size, levels) in KNOWN {
        let parameters = parameters(blocks, data_block_size, hash_block_size, Algorithm::Sha256);
        let geometry = behind_superblock(&parameters, 0).unwrap();
        assert_eq!((geometry.hash_device_size(), geometry.levels().len()), (size, levels), "{blocks} blocks");
        assert_eq!(geometry.data_size(), blocks * u64::from(data_block_size));
    }
}

#[test]
fn the_topmost_level_stands_first() {
    let geometry = behind_superblock(&parameters(16385, 512, 4096, Algorithm::Sha256), 0).unwrap();
    let levels: Vec<(u64, u64)> = geometry.levels().iter().map(|level| (level.start_block, level.blocks)).collect();
    assert_eq!(levels, [(4, 129), (2, 2), (1, 1)]);
    assert_eq!((geometry.hash_start_block(), geometry.hash_end_block(), geometry.hash_blocks()), (1, 133, 132));
}

#[test]
fn the_tree_starts_at_the_next_block_after_the_superblock() {
    let start = |hash_block_size, offset| {
        behind_superblock(&parameters(2, 512, hash_block_size, Algorithm::Sha256), offset).unwrap().hash_start_block()
    };
    assert_eq!([start(512, 0), start(512, 512), start(512, 4096)], [1, 2, 9]);
    assert_eq!([start(4096, 0), start(4096, 3584), start(4096, 4096)], [1, 1, 2]);
}

#[test]
fn without_superblock_the_tree_starts_in_the_block_of_the_offset() {
    let start = |offset| {
        let parameters = parameters(2, 512, 4096, Algorithm::Sha256);
        Geometry::without_superblock(parameters, offset).unwrap().hash_start_block()
    };
    assert_eq!([start(0), start(4096), start(4095), start(8704)], [0, 1, 0, 2]);
}

#[test]
fn digests_are_packed_or_padded_by_hash_type() {
    let layout = |hash_type, algorithm| {
        let parameters = Parameters { hash_type, ..parameters(2, 4096, 4096, algorithm) };
        let geometry = behind_superblock(&parameters, 0).unwrap();
        (geometry.digests_per_block(), geometry.digest_spacing())
    };
    let per_algorithm = |hash_type| Algorithm::ALL.map(|algorithm| layout(hash_type, algorithm));
    assert_eq!(per_algorithm(HashType::Normal), [(128, 32), (128, 32), (64, 64)]);
    assert_eq!(per_algorithm(HashType::ChromeOs), [(128, 20), (128, 32), (64, 64)]);
}

#[test]
fn what_cannot_be_is_refused() {
    let good = parameters(2, 4096, 4096, Algorithm::Sha256);
    let why = |parameters: Parameters, offset| behind_superblock(&parameters, offset).unwrap_err();
    assert_eq!(why(Parameters { data_blocks: 0, ..good.clone() }, 0), GeometryError::NoDataBlocks);
    assert_eq!(why(Parameters { data_blocks: 1 << 52, ..good.clone() }, 0), GeometryError::TooLarge);
    assert_eq!(why(good.clone(), u64::MAX - 511), GeometryError::TooLarge);
    assert_eq!(why(good.clone(), 513).to_string(), "hash offset is 513; allowed are multiples of 512");
    for size in [0, 256, 513, 1 << 20] {
        assert_eq!(
            why(Parameters { data_block_size: size, ..good.clone() }, 0),
            GeometryError::BlockSize { field: "data block size", found: size }
        );
        assert_eq!(
            why(Parameters { hash_block_size: size, ..good.clone() }, 0),
            GeometryError::BlockSize { field: "hash block size", found: size }
        );
    }
}

proptest! {
    /// Each level has just enough blocks for the one below, and all stand side by side.
    #[test]
    fn levels_follow_each_other(
        data_blocks in prop_oneof![1..5000u64, 1..u64::MAX >> 12],
        sizes in (9..20u32, 9..20u32),
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()),
        offset in 0..1_000_000u64,
    ) {
        let parameters = parameters(data_blocks, 1 << sizes.0, 1 << sizes.1, algorithm);
        let Ok(geometry) = behind_superblock(&parameters, offset * 512) else {
            prop_assert!(u128::from(data_blocks) << sizes.0 > u128::from(u64::MAX));
            return Ok(());
        };
        let mut below = data_blocks;
        let mut end = geometry.hash_end_block();
        for level in geometry.levels() {
            prop_assert!((level.blocks - 1) * geometry.digests_per_block() < below);
            prop_assert!(below <= level.blocks * geometry.digests_per_block());
            prop_assert_eq!(level.start_block + level.blocks, end);
            (below, end) = (level.blocks, level.start_block);
        }
        prop_assert_eq!((below, end), (1, geometry.hash_start_block()));
    }

    #[test]
    fn no_numbers_panic(data_blocks: u64, sizes: (u32, u32), powers in (0..32u32, 0..32u32), offset: u64) {
        for sizes in [sizes, (1 << powers.0, 1 << powers.1)] {
            let parameters = parameters(data_blocks, sizes.0, sizes.1, Algorithm::Sha512);
            let _ = behind_superblock(&parameters, offset);
            let _ = Geometry::without_superblock(parameters, offset);
        }
    }
}
