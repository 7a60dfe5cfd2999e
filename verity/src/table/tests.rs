use std::format;
use std::string::{String as Text, ToString};

use proptest::prelude::*;

use super::*;
use crate::{Algorithm, OnCorruption, OnError, Salt};

/// The example of the kernel's document, with the salt of that document.
const EXAMPLE: &str = "1 /dev/sda1 /dev/sda2 4096 4096 262144 1 sha256 \
    4392712ba01368efdf14b05c76f9e4df0d53664630b5d48632ed17a137f39076 \
    1234000000000000000000000000000000000000000000000000000000000000";

#[test]
fn the_example_of_the_kernel_is_read_and_written() {
    let table: Table = EXAMPLE.parse().unwrap();
    assert_eq!(table.to_string(), EXAMPLE);
    assert_eq!(table.length_sectors(), 2_097_152);
    assert_eq!((table.data_device.as_str(), table.hash_device.as_str()), ("/dev/sda1", "/dev/sda2"));
    assert_eq!((table.hash_start_block, table.options), (1, TableOptions::default()));
}

#[test]
fn options_are_counted() {
    let mut table: Table = EXAMPLE.parse().unwrap();
    table.options.corruption = OnCorruption::Restart;
    assert_eq!(table.to_string(), format!("{EXAMPLE} 1 restart_on_corruption"));
    table.options = TableOptions {
        corruption: OnCorruption::Panic,
        on_error: OnError::Panic,
        ignore_zero_blocks: true,
        check_at_most_once: true,
    };
    let options = "4 panic_on_corruption panic_on_error ignore_zero_blocks check_at_most_once";
    assert_eq!(table.to_string(), format!("{EXAMPLE} {options}"));
}

#[test]
fn a_table_made_of_a_geometry_is_the_one_to_load() {
    let known: Table = EXAMPLE.parse().unwrap();
    let superblock = crate::Superblock::new(crate::Uuid::default(), &known.parameters);
    let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
    let options = TableOptions::default();
    let made = Table::new(&geometry, known.root_hash, "/dev/sda1", "/dev/sda2", options).unwrap();
    assert_eq!(made.to_string(), EXAMPLE);
    let short = crate::RootHash::from_bytes(&[0; 20]).unwrap();
    let why = Table::new(&geometry, short, "8:1", "8:2", options).unwrap_err();
    let text = "verity table: root hash has 20 bytes; allowed are 32, the length of the algorithm's digests";
    assert_eq!(why.to_string(), text);
    for name in ["", "a b", "a\\b", "a\n", &"x".repeat(65)] {
        let why = Table::new(&geometry, known.root_hash, name, "8:2", options).unwrap_err();
        assert_eq!(why, TableError::Word { field: "data device", allowed: "1 to 64 bytes without white space" });
    }
}

/// Why the example with its word at `index` replaced is refused.
fn why(index: usize, word: &str) -> Text {
    let mut words: std::vec::Vec<&str> = EXAMPLE.split(' ').collect();
    words[index] = word;
    words.join(" ").parse::<Table>().unwrap_err().to_string()
}

#[test]
fn every_field_is_checked_and_named() {
    let is = |field: &str, allowed: &str| {
        format!("verity table: {field} has a value that is not allowed; allowed are {allowed}")
    };
    assert_eq!(why(0, "2"), is("hash type", "0 and 1"));
    assert_eq!(why(0, "4294967297"), is("hash type", "0 and 1"));
    assert_eq!(why(3, "1000"), is("data block size", "powers of two from 512 to 524288"));
    assert_eq!(why(4, "4294971392"), is("hash block size", "powers of two from 512 to 524288"));
    assert_eq!(why(5, "0"), is("number of data blocks", "1 to 2^64 bytes' worth"));
    assert_eq!(why(5, "4503599627370496"), is("number of data blocks", "1 to 2^64 bytes' worth"));
    assert_eq!(why(6, "-1"), is("hash start block", "decimal numbers up to 2^64 - 1"));
    assert_eq!(why(7, "md5"), is("algorithm", "sha1, sha256 and sha512"));
    assert_eq!(why(8, "12"), is("root hash", "40, 64 or 128 hexadecimal digits"));
    assert_eq!(why(9, "0"), is("salt", "- and up to 256 bytes in hexadecimal"));
    assert_eq!("1 8:1".parse::<Table>().unwrap_err().to_string(), "verity table: hash device is missing");
}

#[test]
fn options_that_are_miscounted_unknown_or_contradictory_are_refused() {
    let why = |options: &str| format!("{EXAMPLE} {options}").parse::<Table>().unwrap_err();
    let count = TableError::Word { field: "number of options", allowed: "exactly the number of words that follow" };
    for options in ["1", "2 panic_on_corruption", "1 panic_on_corruption panic_on_error", "x panic_on_error"] {
        assert_eq!(why(options), count, "{options}");
    }
    assert_eq!(why("1 use_fec_from_device"), TableError::Option);
    assert_eq!(why("2 panic_on_corruption restart_on_corruption"), TableError::OptionConflict);
    assert_eq!(why("2 ignore_zero_blocks ignore_zero_blocks"), TableError::OptionConflict);
}

fn any_table() -> impl Strategy<Value = Table> {
    let algorithms = prop::sample::select(Algorithm::ALL.to_vec());
    let numbers = (any::<bool>(), 9..13u32, 9..13u32, 1..1_u64 << 50, any::<u64>());
    let salt = prop::collection::vec(any::<u8>(), 0..40);
    let options = (0..4usize, 0..3usize, any::<bool>(), any::<bool>());
    (algorithms, numbers, salt, options, "[!-\\[\\]-~]{1,64}").prop_map(
        |(algorithm, (normal, data, hash, data_blocks, hash_start_block), salt, options, device)| Table {
            parameters: Parameters {
                hash_type: if normal { HashType::Normal } else { HashType::ChromeOs },
                algorithm,
                data_block_size: 1 << data,
                hash_block_size: 1 << hash,
                data_blocks,
                salt: Salt::from_bytes(&salt).unwrap(),
            },
            data_device: device.as_str().try_into().unwrap(),
            hash_device: "8:17".try_into().unwrap(),
            hash_start_block,
            root_hash: RootHash::from_bytes(&[0xa5; 64][..algorithm.digest_size()]).unwrap(),
            options: TableOptions {
                corruption: [OnCorruption::Eio, OnCorruption::Ignore, OnCorruption::Restart, OnCorruption::Panic]
                    [options.0],
                on_error: [OnError::Eio, OnError::Restart, OnError::Panic][options.1],
                ignore_zero_blocks: options.2,
                check_at_most_once: options.3,
            },
        },
    )
}

#[test]
fn no_size_overflows() {
    let known: Table = EXAMPLE.parse().unwrap();
    for power in 0..=64_u32 {
        for step in [-1, 0, 1] {
            let data_blocks = 1_u64.checked_shl(power).unwrap_or(0).wrapping_add_signed(step);
            for size in [512, 4096, 512 * 1024_u32] {
                let words = EXAMPLE.replace(" 4096 4096 262144 ", &format!(" {size} 4096 {data_blocks} "));
                let bytes = u128::from(data_blocks) * u128::from(size);
                match words.parse::<Table>() {
                    Ok(table) => {
                        assert_eq!(u128::from(table.length_sectors()) * 512, bytes);
                        assert_eq!(table.to_string(), words);
                    }
                    Err(_) => assert!(bytes == 0 || bytes > u128::from(u64::MAX), "{words}"),
                }
                // A table that was put together by hand has a length all the same.
                let parameters = Parameters { data_blocks, data_block_size: size, ..known.parameters.clone() };
                let length = Table { parameters, ..known.clone() }.length_sectors();
                assert_eq!(u128::from(length), (bytes / 512).min(u64::MAX.into()));
            }
        }
    }
}

proptest! {
    #[test]
    fn text_round_trips(table in any_table()) {
        prop_assert_eq!(table.to_string().parse(), Ok(table));
    }

    #[test]
    fn no_text_panics(text: Text, table in any_table(), at in any::<prop::sample::Index>()) {
        let _ = text.parse::<Table>();
        let mut line = table.to_string();
        line.truncate(at.index(line.len()));
        let _ = line.parse::<Table>();
    }
}
