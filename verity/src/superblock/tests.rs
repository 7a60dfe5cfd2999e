use std::format;
use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The first 96 bytes of what `veritysetup format --uuid 00112233-4455-6677-8899-aabbccddeeff --salt
/// 0123456789abcdef --hash-block-size 1024` writes for 244 data blocks; all others are zero.
const KNOWN: &[u8; 96] = b"verity\0\0\x01\0\0\0\x01\0\0\0\
    \x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\
    sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\x10\0\0\0\x04\0\0\xf4\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\
    \x01\x23\x45\x67\x89\xab\xcd\xef";

fn known() -> [u8; SUPERBLOCK_SIZE] {
    let mut bytes = [0; SUPERBLOCK_SIZE];
    bytes[..96].copy_from_slice(KNOWN);
    bytes
}

fn superblock() -> Superblock {
    Superblock {
        hash_type: HashType::Normal,
        uuid: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
        algorithm: Algorithm::Sha256,
        data_block_size: 4096,
        hash_block_size: 1024,
        data_blocks: 244,
        salt: "0123456789abcdef".parse().unwrap(),
    }
}

#[test]
fn a_superblock_of_veritysetup_is_read_and_written() {
    assert_eq!(Superblock::parse(&known()), Ok(superblock()));
    assert_eq!(superblock().to_bytes(), known());
    assert_eq!(Superblock::new(superblock().uuid, &superblock().parameters()), superblock());
}

/// Parses the known superblock after `bytes` have been put at `offset`.
fn why(offset: usize, bytes: &[u8]) -> std::string::String {
    let mut damaged = known();
    damaged[offset..][..bytes.len()].copy_from_slice(bytes);
    Superblock::parse(&damaged).unwrap_err().to_string()
}

#[test]
fn every_field_is_checked_and_named() {
    let is = |text: &str| format!("verity superblock: {text}");
    assert_eq!(why(0, b"V"), is("not one, for it does not start with \"verity\""));
    assert_eq!(why(7, &[1]), is("not one, for it does not start with \"verity\""));
    assert_eq!(why(8, &[2]), is("version is 2; allowed is 1"));
    assert_eq!(why(12, &[2]), is("hash type is 2; allowed are 0 (Chrome OS) and 1"));
    assert_eq!(why(32, b"md5\0\0\0"), is("hash algorithm is \"md5\"; allowed are sha1, sha256 and sha512"));
    assert_eq!(why(33, b"\x1b"), is("hash algorithm is \"s\\x1ba256\"; allowed are sha1, sha256 and sha512"));
    let sizes = "allowed are powers of two from 512 to 524288";
    assert_eq!(why(65, &[3]), is(&format!("data block size is 768; {sizes}")));
    assert_eq!(why(69, &[1]), is(&format!("hash block size is 256; {sizes}")));
    assert_eq!(why(68, &(1_u32 << 20).to_le_bytes()), is(&format!("hash block size is 1048576; {sizes}")));
    assert_eq!(why(72, &[0]), is("number of data blocks is 0; allowed are 1 and more"));
    assert_eq!(why(80, &[1, 1]), is("salt size is 257; allowed are 0 to 256"));
}

#[test]
fn every_byte_of_padding_is_zero() {
    let padding = (39..64).chain(82..88).chain(96..512);
    for offset in padding {
        let expected = format!("verity superblock: byte {offset}, which is padding, is 0x40; allowed is 0");
        assert_eq!(why(offset, &[0x40]), expected);
    }
}

#[test]
fn a_flipped_bit_is_seen_or_changes_a_value() {
    let mut unseen = Vec::new();
    for bit in 0..SUPERBLOCK_SIZE * 8 {
        let mut damaged = known();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Superblock::parse(&damaged) {
            assert_ne!(read, superblock());
            assert_eq!(read.to_bytes(), damaged);
            unseen.push(bit / 8);
        }
    }
    unseen.dedup();
    // Hash type, UUID, number of data blocks, size of the salt and salt: any value is as good as another.
    let values: Vec<usize> = (12..13).chain(16..32).chain(72..81).chain(88..96).collect();
    assert_eq!(unseen, values);
}

/// Reads the known superblock after `bytes` have been put at `offset`; what is read is written the same.
fn with(offset: usize, bytes: &[u8]) -> Result<Superblock, SuperblockError> {
    let mut changed = known();
    changed[offset..][..bytes.len()].copy_from_slice(bytes);
    let read = Superblock::parse(&changed);
    assert!(read.as_ref().map_or(true, |superblock| superblock.to_bytes() == changed), "{bytes:?} at {offset}");
    read
}

#[test]
fn no_number_of_any_field_is_too_large() {
    // The salt of the known one has eight bytes, and what is behind it is zero.
    for size in 0..=u16::MAX {
        assert_eq!(with(80, &size.to_le_bytes()).is_ok(), (8..=256).contains(&size), "salt of {size}");
    }
    for power in 0..=64_u32 {
        for step in [-1, 0, 1] {
            let number = 1_u64.checked_shl(power).unwrap_or(0).wrapping_add_signed(step);
            assert_eq!(with(72, &number.to_le_bytes()).is_ok(), number != 0, "{number} data blocks");
            let Ok(number) = u32::try_from(number) else { continue };
            let is_size = number.is_power_of_two() && (512..=512 * 1024).contains(&number);
            for (offset, is_good) in [(8, number == 1), (12, number <= 1), (64, is_size), (68, is_size)] {
                assert_eq!(with(offset, &number.to_le_bytes()).is_ok(), is_good, "{number} at {offset}");
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_round_trip(
        uuid: [u8; 16],
        hash_type in prop::sample::select([HashType::ChromeOs, HashType::Normal].to_vec()),
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()),
        sizes in (9..20u32, 9..20u32),
        data_blocks in 1..u64::MAX,
        salt in prop::collection::vec(any::<u8>(), 0..=MAX_SALT_SIZE),
    ) {
        let superblock = Superblock {
            hash_type,
            uuid: Uuid(uuid),
            algorithm,
            data_block_size: 1 << sizes.0,
            hash_block_size: 1 << sizes.1,
            data_blocks,
            salt: Salt::from_bytes(&salt).unwrap(),
        };
        prop_assert_eq!(Superblock::parse(&superblock.to_bytes()), Ok(superblock));
    }

    #[test]
    fn no_bytes_panic(
        start in prop::collection::vec(any::<u8>(), 512),
        edits in prop::collection::vec((0..512usize, any::<u8>()), 0..4),
    ) {
        let _ = Superblock::parse(start.first_chunk().unwrap());
        let mut bytes = known();
        for (offset, byte) in edits {
            bytes[offset] = byte;
        }
        if let Ok(superblock) = Superblock::parse(&bytes) {
            prop_assert_eq!(superblock.to_bytes(), bytes);
        }
    }
}
