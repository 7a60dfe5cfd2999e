//! Commits made by Debian's ostree 2022.7, signed by openssl; their detached metadata was put together by GLib.

use std::format;
use std::string::ToString;

use proptest::prelude::*;

use super::*;

const NAME: &str = "19a17504f9ba7aa11ee5da18f21bb31f4e794ba90293b3360690ab2de4479d82";
const SIGNED: &[u8] = include_bytes!("fixtures/signed.commit");
/// Larger than 255 bytes, without a digest; its parent is [`SIGNED`].
const BOOTC: &[u8] = include_bytes!("fixtures/bootc.commit");
const BOOTC_NAME: &str = "d45761025fe722647e554d7709ea3c63e9cfe69216c580e689f2961dd2db0cab";
/// By the first key; by both keys; one byte too short; none.
const ONE: &[u8] = include_bytes!("fixtures/one.commitmeta");
const TWO: &[u8] = include_bytes!("fixtures/two.commitmeta");
const SHORT: &[u8] = include_bytes!("fixtures/short.commitmeta");
const NONE: &[u8] = include_bytes!("fixtures/none.commitmeta");
const KEY_1: &str = include_str!("fixtures/k1.key");
const KEY_2: &str = include_str!("fixtures/k2.key");

fn commit<'a>(name: &str, bytes: &'a [u8]) -> Commit<'a> {
    Commit::parse(name.parse().unwrap(), bytes).unwrap()
}

fn digest(detached: &[u8], keys: &str) -> Result<Checksum, CommitError> {
    commit(NAME, SIGNED).signed_digest(detached, keys)
}

#[test]
fn one_signature_by_one_key_is_enough() {
    let expected = Ok(Checksum(core::array::from_fn(|index| 0x40 + u8::try_from(index).unwrap())));
    for (detached, keys) in [
        (ONE, KEY_1),
        (TWO, KEY_1),
        (TWO, KEY_2),
        (ONE, &format!("\n{KEY_2}\r\n  {KEY_1}")),
        (ONE, KEY_1.trim_end().trim_end_matches('=')),
    ] {
        assert_eq!(digest(detached, keys), expected, "{keys}");
    }
}

#[test]
fn without_a_key_that_fits_there_is_no_digest() {
    let short_key = KEY_1.replacen('I', "", 1);
    let long_key = format!("A{KEY_1}");
    for (detached, keys, error) in [
        (ONE, KEY_2, CommitError::OtherKey),
        (ONE, "", CommitError::NoKey),
        (ONE, " \n\n", CommitError::NoKey),
        (ONE, &format!("\n{short_key}"), CommitError::BadKey { line: 2 }),
        (ONE, &long_key, CommitError::BadKey { line: 1 }),
        (ONE, "# a comment\n", CommitError::BadKey { line: 1 }),
        (SHORT, KEY_1, CommitError::BadSignature),
        (NONE, KEY_1, CommitError::OtherKey),
        (&[], KEY_1, CommitError::NotSigned),
        (&[9], KEY_1, CommitError::Malformed),
    ] {
        assert_eq!(digest(detached, keys), Err(error), "{keys}");
    }
    let message = "line 2 of the key file is no Ed25519 public key: that is 32 bytes in base64";
    assert_eq!(CommitError::BadKey { line: 2 }.to_string(), message);
}

#[test]
fn a_commit_under_another_name_is_refused() {
    let error = Commit::parse(BOOTC_NAME.parse().unwrap(), SIGNED).unwrap_err();
    assert_eq!(error, CommitError::OtherName);
}

#[test]
fn bytes_that_are_no_commit_are_refused() {
    // Metadata that ends behind its end, and a parent that ends before it begins.
    for bytes in [&[][..], &[0], &[0, 9], &[1, 2, 0, 1]] {
        let digest = digest_block(Algorithm::Sha256, HashType::Normal, &Salt::default(), bytes);
        let name = Checksum(digest.as_bytes().try_into().unwrap());
        assert_eq!(Commit::parse(name, bytes).unwrap_err(), CommitError::Malformed, "{bytes:?}");
    }
}

#[test]
fn the_commit_that_bootc_has_imported_names_its_base() {
    let bootc = commit(BOOTC_NAME, BOOTC);
    assert_eq!(bootc.base(), Ok(Some(NAME.parse().unwrap())));
    assert_eq!(bootc.signed_digest(ONE, KEY_1), Err(CommitError::OtherKey));
    assert_eq!(commit(NAME, SIGNED).base(), Ok(None));
}

#[test]
fn a_signed_commit_without_an_image_is_refused() {
    let commit = Commit { metadata: &[], ..commit(NAME, SIGNED) };
    assert_eq!(commit.signed_digest(ONE, KEY_1), Err(CommitError::NoDigest));
}

/// Of the forged and the true, only the true is believed: every bit of the commit and of the signature matters.
#[test]
fn no_changed_bit_is_believed() {
    for position in (0..SIGNED.len()).step_by(7) {
        let mut bytes = SIGNED.to_vec();
        bytes[position] ^= 1;
        let commit = Commit { bytes: &bytes, ..commit(NAME, SIGNED) };
        assert_eq!(commit.signed_digest(ONE, KEY_1), Err(CommitError::OtherKey), "{position}");
    }
    let start = ONE.len() - 64 - 6;
    for position in (start..start + 64).step_by(5) {
        let mut detached = ONE.to_vec();
        detached[position] ^= 1;
        assert!(digest(&detached, KEY_1).is_err(), "{position}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), keys in "[A-Za-z0-9+/=\n]{0,90}") {
        let hash = digest_block(Algorithm::Sha256, HashType::Normal, &Salt::default(), &bytes);
        let name = Checksum(hash.as_bytes().try_into().unwrap());
        if let Ok(commit) = Commit::parse(name, &bytes) {
            let _ = (commit.base(), commit.signed_digest(&bytes, &keys));
        }
        let _ = (digest(&bytes, KEY_1), digest(ONE, &keys));
    }
}
