//! dm-verity: superblock, table, and the check that comes before the kernel's.

use deployment::Name;
use init::plan::VerityDevice;
use init::verity_device::{Content, prepare};
use verity::{Geometry, Parameters, RootHash, SUPERBLOCK_SIZE, Superblock, Table, TableOptions};

use crate::input::{Sparse, take, text};

/// The largest tree that is computed, in blocks.
const MAX_BLOCKS: u64 = 64;

/// A superblock, and the offset at which it stands in the eight bytes behind it.
pub(crate) fn superblock(input: &[u8]) {
    let (bytes, rest) = take::<SUPERBLOCK_SIZE>(input);
    let superblock = match Superblock::parse(&bytes) {
        Ok(superblock) => superblock,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    assert_eq!(superblock.to_bytes(), bytes);
    assert_eq!(Superblock::new(superblock.uuid, &superblock.parameters()), superblock);
    let offset = u64::from_le_bytes(take(rest).0);
    for offset in [offset, offset & !511, 0] {
        match Geometry::with_superblock(&superblock, offset) {
            Ok(geometry) => {
                let superblock_end = u128::from(offset) + SUPERBLOCK_SIZE as u128;
                let start = u128::from(geometry.hash_start_block()) * u128::from(superblock.hash_block_size);
                assert!(start >= superblock_end, "the tree begins in the superblock");
                tree_is_where_it_says(&geometry);
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
        if let Ok(geometry) = Geometry::without_superblock(superblock.parameters(), offset) {
            tree_is_where_it_says(&geometry);
        }
    }
}

/// All of it in numbers that cannot overflow.
fn tree_is_where_it_says(geometry: &Geometry) {
    let Parameters { hash_block_size, data_block_size, data_blocks, .. } = *geometry.parameters();
    assert_eq!(u128::from(geometry.data_size()), u128::from(data_blocks) * u128::from(data_block_size));
    let bytes = u128::from(geometry.hash_end_block()) * u128::from(hash_block_size);
    assert_eq!(u128::from(geometry.hash_device_size()), bytes);
    let mut below = data_blocks;
    let mut end = geometry.hash_end_block();
    for level in geometry.levels() {
        assert_eq!(level.start_block + level.blocks, end);
        assert!(below <= level.blocks * geometry.digests_per_block());
        let last = geometry.digest_offset(*level, below - 1);
        let digest = geometry.parameters().algorithm.digest_size() as u64;
        assert!(u128::from(last) + u128::from(digest) <= u128::from(end) * u128::from(hash_block_size));
        assert!(last >= level.start_block * u64::from(hash_block_size));
        (below, end) = (level.blocks, level.start_block);
    }
    assert_eq!((below, end), (1, geometry.hash_start_block()));
}

/// The text of a table.
pub(crate) fn table(input: &[u8]) {
    match text(input).parse::<Table>() {
        Ok(table) => {
            let bytes = u128::from(table.parameters.data_blocks) * u128::from(table.parameters.data_block_size);
            assert_eq!(u128::from(table.length_sectors()) * 512, bytes);
            assert_eq!(table.to_string().parse(), Ok(table));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// A data device and its tree: a superblock, one byte that says what is damaged and how, and the content of the data. A
/// tree that is what it should be is found to be sound.
pub(crate) fn device(input: &[u8]) {
    let (mut bytes, rest) = take::<SUPERBLOCK_SIZE>(input);
    let ([damage, at_low, at_high], content) = take::<3>(rest);
    let Ok(superblock) = Superblock::parse(&bytes) else { return };
    let Ok(geometry) = Geometry::with_superblock(&superblock, 0) else { return };
    let is_small =
        superblock.data_blocks <= MAX_BLOCKS && superblock.data_block_size.max(superblock.hash_block_size) <= 4096;
    let (mut tree, mut root_hash) = (Vec::new(), RootHash::from_bytes(&[7; 32]).unwrap());
    if is_small {
        (tree, root_hash) = whole_tree(&geometry, content);
    }
    tree.resize(tree.len().max(SUPERBLOCK_SIZE), 0);
    let at = usize::from(u16::from_le_bytes([at_low, at_high]));
    match damage {
        0 => {}
        1..0x80 => {
            let index = at % tree.len();
            tree[index] ^= damage;
        }
        _ => bytes[at % SUPERBLOCK_SIZE] ^= damage & 0x7f,
    }
    tree[..SUPERBLOCK_SIZE].copy_from_slice(&bytes);
    let data = Sparse { place: 0, bytes: content, size: geometry.data_size().min(1 << 62) };
    let node = || Name::try_from("vda1").unwrap();
    let device = VerityDevice {
        name: "root",
        data: init::plan::Device::Block(node()),
        hash: init::plan::Device::Block(node()),
        hash_offset: 0,
        root_hash,
        ignore_zero_blocks: false,
        check_at_most_once: false,
    };
    let hash = tree.as_slice();
    let result = prepare(&device, Content { reader: &data, path: "/d" }, Content { reader: &hash, path: "/h" });
    match result {
        Ok(prepared) => {
            assert!(prepared.uuid == superblock.uuid || damage >= 0x80);
            let options = TableOptions::default();
            let table = Table::new(&geometry, root_hash, "/d", "/h", options);
            assert!(damage >= 0x80 || table.is_ok_and(|table| table == prepared.table));
        }
        Err(why) => assert!(!is_small || damage != 0, "{why}"),
    }
}

/// The hash device of a data device with this content, and its root hash.
fn whole_tree(geometry: &Geometry, content: &[u8]) -> (Vec<u8>, RootHash) {
    let parameters = geometry.parameters();
    let hasher = parameters.hasher();
    let (data_block_size, hash_block_size) = (parameters.data_block_size as usize, parameters.hash_block_size as usize);
    let mut tree = vec![0; usize::try_from(geometry.hash_device_size()).unwrap()];
    let mut data = content[..content.len().min(usize::try_from(geometry.data_size()).unwrap())].to_vec();
    data.resize(usize::try_from(geometry.data_size()).unwrap(), 0);
    let mut digests: Vec<_> = data.chunks_exact(data_block_size).map(|block| hasher.digest(block)).collect();
    for level in geometry.levels() {
        for (digest, index) in digests.iter().zip(0..) {
            let place = usize::try_from(geometry.digest_offset(*level, index)).unwrap();
            tree[place..][..digest.as_bytes().len()].copy_from_slice(digest.as_bytes());
        }
        let start = usize::try_from(level.start_block).unwrap() * hash_block_size;
        let blocks = tree[start..].chunks_exact(hash_block_size).take(usize::try_from(level.blocks).unwrap());
        digests = blocks.map(|block| hasher.digest(block)).collect();
    }
    assert_eq!(digests.len(), 1);
    (tree, digests[0].into())
}
