use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Root hashes that veritysetup 2.6.1 gives for one data block of 512 bytes, 0 to 255 twice: the digests of that
/// block, with the salt 0123456789abcdef and with none.
const KNOWN: [(&str, u32, &str, &str); 12] = [
    ("sha1", 0, "-", "dbe649daba340bce7a44b809016d914839b99f10"),
    ("sha1", 0, "0123456789abcdef", "91ffed4040013f66f8979c105d3ca0e77d3c4886"),
    ("sha1", 1, "-", "dbe649daba340bce7a44b809016d914839b99f10"),
    ("sha1", 1, "0123456789abcdef", "b321858c5f13d66dbceb2237a24161cdfba227df"),
    ("sha256", 0, "-", "110009dcee21620b166f3abfecb5eff7a873be729d1c2d53822e7acc5f34eb9b"),
    ("sha256", 0, "0123456789abcdef", "0379bd7632ca838fcae833e49b68f23ad99dfb2cc0009a34f1b88c750e134009"),
    ("sha256", 1, "-", "110009dcee21620b166f3abfecb5eff7a873be729d1c2d53822e7acc5f34eb9b"),
    ("sha256", 1, "0123456789abcdef", "f6635a7a43acd315b59be489084c078e96196647606172f663ab3c4dfcbc5e94"),
    (
        "sha512",
        0,
        "-",
        "edb9bed721aa6a5f6fbc6619d3a3c2be3d043043f05a9aebc7b1197a2aa9c49a\
         57d5ddd4674c1785785088d9f1ff42c797a02adc9b817a139a50970da6c99524",
    ),
    (
        "sha512",
        0,
        "0123456789abcdef",
        "27256c9fb45d8dd5d39cc76f798fd010f1bbece08bc78ee1a78c90d4a7a5cd39\
         178e9cff27adc894fe2f0e4282e14f5547033c3e1ec40b50764074bbbb475a4e",
    ),
    (
        "sha512",
        1,
        "-",
        "edb9bed721aa6a5f6fbc6619d3a3c2be3d043043f05a9aebc7b1197a2aa9c49a\
         57d5ddd4674c1785785088d9f1ff42c797a02adc9b817a139a50970da6c99524",
    ),
    (
        "sha512",
        1,
        "0123456789abcdef",
        "f41663f1ce9ebe8df5711bd2e406090a529222bf851b1aa5e4d49c16ecd49b54\
         50f8f82262d03729b57645220d1d237ffeb8ead1c7d2cd8d3404f841358ccb3f",
    ),
];

#[test]
fn digests_are_those_of_veritysetup() {
    let block: Vec<u8> = (0..=255).chain(0..=255).collect();
    for (algorithm, hash_type, salt, expected) in KNOWN {
        let (algorithm, salt) = (algorithm.parse().unwrap(), salt.parse().unwrap());
        let digest = digest_block(algorithm, HashType::from_number(hash_type).unwrap(), &salt, &block);
        assert_eq!(digest.to_string(), expected, "{algorithm} {hash_type} {salt}");
        assert_eq!(digest.algorithm(), algorithm);
    }
}

#[test]
fn algorithms_have_the_names_of_the_kernel() {
    let names: Vec<String> = Algorithm::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["sha1", "sha256", "sha512"]);
    let why = "SHA256".parse::<Algorithm>().unwrap_err().to_string();
    assert_eq!(why, "unknown hash algorithm; allowed are sha1, sha256 and sha512");
}

#[test]
fn hash_types_are_zero_and_one() {
    let numbers = [0, 1, 2, u32::MAX].map(HashType::from_number);
    assert_eq!(numbers, [Some(HashType::ChromeOs), Some(HashType::Normal), None, None]);
    assert_eq!([HashType::ChromeOs.number(), HashType::Normal.number()], [0, 1]);
}

proptest! {
    #[test]
    fn little_code_and_fast_code_make_the_same_digests(
        prefix in prop::collection::vec(any::<u8>(), 0..300),
        block in prop::collection::vec(any::<u8>(), 0..300),
        suffix in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        for algorithm in Algorithm::ALL {
            let fast = fast::State::after(algorithm, &prefix).finish(&block, &suffix);
            let small = small::State::after(algorithm, &prefix).finish(&block, &suffix);
            prop_assert_eq!(fast, small, "{}", algorithm);
        }
    }
}
