//! A small tree for tests, built in memory block by block.

use std::vec::Vec;
use std::{format, vec};

use crate::{Algorithm, Geometry, HashType, Parameters, RootHash, Superblock, Uuid};

/// Size of data and hash blocks, in bytes.
pub(crate) const BLOCK_SIZE: usize = 512;
/// The UUID of the superblock.
pub(crate) const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";
/// The salt.
pub(crate) const SALT: &str = "0123456789abcdef";

/// Data with its hash device: 137 blocks make three levels with SHA-512 and two with the others.
pub(crate) struct Fixture {
    pub(crate) superblock: Superblock,
    pub(crate) geometry: Geometry,
    pub(crate) data: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) root_hash: RootHash,
}

impl Fixture {
    /// Each data block is filled with its own number; every 256 blocks that starts one higher, lest runs be alike.
    pub(crate) fn new(algorithm: Algorithm, hash_type: HashType, data_blocks: u64) -> Self {
        let size = u32::try_from(BLOCK_SIZE).unwrap();
        let salt = SALT.parse().unwrap();
        let (data_block_size, hash_block_size) = (size, size);
        let parameters = Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt };
        let superblock = Superblock::new(UUID.parse::<Uuid>().unwrap(), &parameters);
        let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
        let data: Vec<u8> =
            (0..data_blocks).flat_map(|block| [(block + block / 256).to_le_bytes()[0]; BLOCK_SIZE]).collect();
        let mut hash = vec![0; usize::try_from(geometry.hash_device_size()).unwrap()];
        hash[..512].copy_from_slice(&superblock.to_bytes());

        let hasher = parameters.hasher();
        let mut below = data.clone();
        for level in geometry.levels() {
            let mut blocks = Vec::new();
            for children in below.chunks(BLOCK_SIZE * usize::try_from(geometry.digests_per_block()).unwrap()) {
                let start = blocks.len();
                for child in children.chunks(BLOCK_SIZE) {
                    let end = blocks.len() + geometry.digest_spacing();
                    blocks.extend_from_slice(hasher.digest(child).as_bytes());
                    blocks.resize(end, 0);
                }
                blocks.resize(start + BLOCK_SIZE, 0);
            }
            let start = usize::try_from(level.start_block).unwrap() * BLOCK_SIZE;
            hash[start..][..blocks.len()].copy_from_slice(&blocks);
            below = blocks;
        }
        assert_eq!(below.len(), BLOCK_SIZE);
        let root_hash = hasher.digest(&below).into();
        Self { superblock, geometry, data, hash, root_hash }
    }
}

/// The root hashes that veritysetup 2.6.1 gives for 137 data blocks.
pub(crate) const ROOT_HASHES: [(Algorithm, HashType, &str); 6] = [
    (Algorithm::Sha1, HashType::ChromeOs, "b27267360ad40c92f4f59852686a8434c9a8ded5"),
    (Algorithm::Sha1, HashType::Normal, "17add9cc3ec659c671ebdcc2b327c0eec719b0d4"),
    (Algorithm::Sha256, HashType::ChromeOs, "bcdc296a1e07d202fdd3c72ca4988b3253af9d3697b0c32b430e80cf3306e00a"),
    (Algorithm::Sha256, HashType::Normal, "0b67e04f3a0d790acf8050ce13f673d0d1389e36ac026e3cce57b6511105f26e"),
    (
        Algorithm::Sha512,
        HashType::ChromeOs,
        "6721f7983b2599d7f03519f40f2ee6495c3a05c1fbc2d4122ef2b19b4e5c3024\
         e07724bf6ac5c246e5d9eb83fe892e22e2d28ac9d3791020212d60d76809aed6",
    ),
    (
        Algorithm::Sha512,
        HashType::Normal,
        "93d4f7b85a270f2519390b3446d908ed4da674cf039d7ef67f45e60af7228fc4\
         eb76ecb3bee5e93053b16edb1c9d3e36112d748b896848d469526ac7629d660d",
    ),
];

#[test]
fn the_fixture_is_what_veritysetup_makes() {
    for (algorithm, hash_type, root_hash) in ROOT_HASHES {
        let fixture = Fixture::new(algorithm, hash_type, 137);
        assert_eq!(format!("{}", fixture.root_hash), root_hash, "{algorithm} {hash_type}");
    }
}
