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

const SMALLEST: u64 = 512;
const BLOCK_SIZES: [u32; 4] = [512, 1024, 4096, 512 * 1024];
const HASH_TYPES: [HashType; 2] = [HashType::ChromeOs, HashType::Normal];

/// The block after the tree, in numbers that nothing overflows.
fn end_of(parameters: &Parameters, start: u64, per_block: u64) -> u128 {
    let mut end = u128::from(start);
    let mut blocks = u128::from(parameters.data_blocks);
    while blocks > 1 {
        blocks = blocks.div_ceil(u128::from(per_block));
        end += blocks;
    }
    end
}

/// Holds a geometry to what is computed without a limit, or its refusal.
fn is_right(geometry: Result<&Geometry, GeometryError>, parameters: &Parameters, start: u64) {
    let digest_size = parameters.algorithm.digest_size() as u64;
    let spacing =
        if parameters.hash_type == HashType::ChromeOs { digest_size } else { digest_size.next_power_of_two() };
    let per_block = 1_u64 << (u64::from(parameters.hash_block_size) / digest_size).ilog2();
    let data_size = u128::from(parameters.data_blocks) * u128::from(parameters.data_block_size);
    let end = end_of(parameters, start, per_block);
    let hash_size = end * u128::from(parameters.hash_block_size);
    if data_size == 0 || data_size.max(hash_size) > u128::from(u64::MAX) {
        assert!(
            matches!(geometry, Err(GeometryError::TooLarge | GeometryError::NoDataBlocks)),
            "{parameters:?} at {start}"
        );
        return;
    }
    let geometry = geometry.unwrap_or_else(|why| panic!("{parameters:?} at {start}: {why}"));
    assert_eq!((geometry.digests_per_block(), geometry.digest_spacing() as u64), (per_block, spacing));
    assert!(spacing * per_block <= u64::from(parameters.hash_block_size));
    assert_eq!(u128::from(geometry.hash_end_block()), end);
    assert_eq!((u128::from(geometry.data_size()), u128::from(geometry.hash_device_size())), (data_size, hash_size));
    assert_eq!(geometry.hash_blocks(), geometry.hash_end_block() - start);
    let mut below = parameters.data_blocks;
    for level in geometry.levels() {
        let block_size = u128::from(parameters.hash_block_size);
        for index in [0, 1, per_block - 1, per_block, below / 2, below - 1].into_iter().filter(|index| *index < below) {
            let block = u128::from(level.start_block) + u128::from(index / per_block);
            let offset = block * block_size + u128::from(index % per_block * spacing);
            assert_eq!(u128::from(geometry.digest_offset(*level, index)), offset);
            assert!(offset + u128::from(digest_size) <= hash_size);
        }
        below = level.blocks;
    }
}

/// All trees of few blocks, digest by digest: none lies over another one or outside of its level.
#[test]
fn every_digest_of_a_small_tree_has_a_place_of_its_own() {
    for (hash_type, algorithm, hash_block_size) in HASH_TYPES
        .into_iter()
        .flat_map(|hash_type| Algorithm::ALL.map(|algorithm| (hash_type, algorithm)))
        .flat_map(|(hash_type, algorithm)| [512, 1024].map(|size| (hash_type, algorithm, size)))
    {
        for data_blocks in 1..=300 {
            let parameters = Parameters { hash_type, ..parameters(data_blocks, 512, hash_block_size, algorithm) };
            let geometry = behind_superblock(&parameters, 512).unwrap();
            is_right(Ok(&geometry), &parameters, geometry.hash_start_block());
            let mut end_of_last = geometry.hash_start_block() * u64::from(hash_block_size);
            let below = geometry.levels().iter().map(|level| level.blocks);
            let counts: Vec<_> = core::iter::once(data_blocks).chain(below).collect();
            for (level, count) in geometry.levels().iter().zip(counts).rev() {
                for index in 0..count {
                    let place = geometry.digest_offset(*level, index);
                    assert!(place >= end_of_last, "{parameters:?}");
                    end_of_last = place + algorithm.digest_size() as u64;
                }
                assert!(end_of_last <= (level.start_block + level.blocks) * u64::from(hash_block_size));
            }
        }
    }
}

/// The numbers on either side of every power of two.
fn edges() -> impl Iterator<Item = u64> {
    (0..=64)
        .flat_map(|power| [-1_i64, 0, 1].map(|step| 1_u64.checked_shl(power).unwrap_or(0).wrapping_add_signed(step)))
}

#[test]
fn nothing_overflows_at_the_edges_of_the_types() {
    for data_blocks in edges() {
        for (sizes, algorithm) in BLOCK_SIZES
            .into_iter()
            .flat_map(|data| BLOCK_SIZES.map(|hash| (data, hash)))
            .flat_map(|sizes| Algorithm::ALL.map(|algorithm| (sizes, algorithm)))
        {
            for (hash_type, offset) in
                [(HashType::Normal, 0), (HashType::ChromeOs, 1 << 40), (HashType::Normal, 1 << 63)]
            {
                let parameters = Parameters { hash_type, ..parameters(data_blocks, sizes.0, sizes.1, algorithm) };
                let start = (offset + SMALLEST).div_ceil(u64::from(sizes.1));
                is_right(behind_superblock(&parameters, offset).as_ref().map_err(|why| *why), &parameters, start);
            }
        }
    }
}

#[test]
fn no_offset_overflows() {
    for offset in edges().flat_map(|offset| [offset, offset & !511, offset.wrapping_mul(512)]) {
        for hash_block_size in BLOCK_SIZES {
            let parameters = parameters(1_000_000, 4096, hash_block_size, Algorithm::Sha512);
            let start = offset / u64::from(hash_block_size);
            let geometry = Geometry::without_superblock(parameters.clone(), offset);
            is_right(geometry.as_ref().map_err(|why| *why), &parameters, start);
            match behind_superblock(&parameters, offset) {
                Err(GeometryError::HashOffset { found }) => assert!(found == offset && offset % SMALLEST != 0),
                Err(GeometryError::TooLarge) if offset > u64::MAX - SMALLEST => {}
                geometry => {
                    let start = (offset + SMALLEST).div_ceil(u64::from(hash_block_size));
                    is_right(geometry.as_ref().map_err(|why| *why), &parameters, start);
                }
            }
        }
    }
}

proptest! {
    /// Even a level that is none of the tree's, which only its own fields keep from being asked for.
    #[test]
    fn no_place_of_a_digest_overflows(start_block: u64, blocks: u64, index: u64, near in 0..3_u64) {
        let geometry = behind_superblock(&parameters(1000, 4096, 4096, Algorithm::Sha1), 0).unwrap();
        for index in [index, u64::MAX - near, near] {
            geometry.digest_offset(Level { start_block, blocks }, index);
            geometry.digest_offset(Level { start_block: u64::MAX - near, blocks }, index);
        }
    }

    #[test]
    fn any_tree_is_what_is_computed_without_a_limit(
        data_blocks: u64, shift in 0..64_u32, sizes in (9..20_u32, 9..20_u32), chrome_os: bool,
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()), offset: u64,
    ) {
        let hash_type = HASH_TYPES[usize::from(!chrome_os)];
        let parameters = Parameters { hash_type, ..parameters(data_blocks >> shift, 1 << sizes.0, 1 << sizes.1, algorithm) };
        let geometry = Geometry::without_superblock(parameters.clone(), offset);
        is_right(geometry.as_ref().map_err(|why| *why), &parameters, offset >> sizes.1);
    }

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
