//! What the command says and how it ends.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::case::{Case, Place, SUREFOOT, UUID, folder, noise, run, succeeded, text, veritysetup};

fn small_case() -> Case {
    Case {
        blocks: 137,
        data_block_size: 512,
        hash_block_size: 512,
        algorithm: "sha256",
        format: 1,
        salt: "a5".to_owned(),
        superblock: true,
        place: Place::Alone,
    }
}

/// A folder with the small case's devices and its tree, made by veritysetup.
fn small_image() -> (Case, TempDir) {
    let case = small_case();
    let folder = folder(&case, &noise(case.data_size()));
    succeeded(&case.run(veritysetup(), folder.path(), "format", &case.format_options()), "veritysetup format", &case);
    (case, folder)
}

/// Runs `surefoot verity` in a folder; gives its exit code, output and errors.
fn surefoot(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments: Vec<String> = ["verity"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    let output = run(Path::new(SUREFOOT), folder, &arguments);
    (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn flipped_bits_are_refused_by_both() {
    let (case, folder) = small_image();
    let verify = ["--root-hash-file=root.hash".to_owned()];
    let mut positions = noise(8 * 60);
    for (index, position) in positions.chunks_exact_mut(8).enumerate() {
        let name = if index % 2 == 0 { "data" } else { "hash" };
        // A superblock has bits that nothing vouches for, such as those of its UUID; after the data stands one byte more.
        let range = if name == "data" { 0..case.data_size() } else { 512..512 * 11 };
        let random = usize::try_from(u64::from_le_bytes(position.try_into().unwrap())).unwrap();
        let (at, bit) = (range.start + random / 8 % range.len(), random % 8);
        let path = folder.path().join(name);
        let sound = fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << bit;
        fs::write(&path, &damaged).unwrap();
        let ours = case.run(Path::new(SUREFOOT), folder.path(), "verify", &verify);
        let theirs = case.run(veritysetup(), folder.path(), "verify", &verify);
        fs::write(&path, &sound).unwrap();
        assert_eq!(ours.status.code(), Some(1), "bit {bit} of byte {at} of {name}");
        assert!(!theirs.status.success(), "bit {bit} of byte {at} of {name}");
    }
    succeeded(&case.run(Path::new(SUREFOOT), folder.path(), "verify", &verify), "surefoot verity verify", &case);
}

#[test]
fn what_is_bad_is_said() {
    let (_, folder) = small_image();
    let folder = folder.path();
    let mut data = fs::read(folder.join("data")).unwrap();
    data[512 * 7] ^= 1;
    fs::write(folder.join("data"), data).unwrap();
    let (code, output, errors) = surefoot(folder, &["verify", "data", "hash", "--root-hash-file", "root.hash"]);
    let expected = "surefoot: cannot verify data: 1 block is bad\n  \
        data block 7 at byte 3584: does not have the digest that the hash tree holds for it\n";
    assert_eq!((code, output.as_str(), errors.as_str()), (Some(1), "", expected));

    let (code, output, _) = surefoot(folder, &["verify", "data", "hash", "--root-hash-file", "root.hash", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&output).unwrap();
    let expected = serde_json::json!({
        "verified": false,
        "verdict": "root hash and hash tree fit",
        "bad_count": 1,
        "bad_blocks": [{ "level": null, "block": 7, "position": 3584, "fault": "digest" }],
    });
    assert_eq!((code, found), (Some(1), expected));
}

#[test]
fn a_wrong_root_hash_is_told_with_the_right_one() {
    let (_, folder) = small_image();
    let right = fs::read_to_string(folder.path().join("root.hash")).unwrap();
    let wrong = "5a".repeat(32);
    let (code, _, errors) = surefoot(folder.path(), &["verify", "data", "hash", &wrong]);
    let expected = format!(
        "surefoot: cannot verify data: root hash is wrong: the hash tree is consistent, and its root hash is {right}\n"
    );
    assert_eq!((code, errors), (Some(1), expected));
    let (code, _, _) = surefoot(folder.path(), &["verify", "data", "hash", &right.to_uppercase()]);
    assert_eq!(code, Some(0));
}

#[test]
fn defaults_are_those_of_veritysetup() {
    let (case, folder) = small_image();
    let folder = folder.path();
    let (code, output, errors) = surefoot(folder, &["format", "data", "made"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let field = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    };
    let blocks = (case.data_size() / 4096).to_string();
    let fields = ["Hash type", "Data blocks", "Data block size", "Hash block size", "Hash algorithm"].map(field);
    assert_eq!(fields, ["1", blocks.as_str(), "4096", "4096", "sha256"]);
    assert_eq!(field("Salt").len(), 64);
    // A random UUID: version 4, variant 1.
    let uuid = field("UUID");
    assert!(uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    let arguments = ["verify", "data", "made", &field("Root hash")].map(str::to_owned);
    succeeded(&run(veritysetup(), folder, &arguments), "veritysetup verify", &case);

    let (_, again, _) = surefoot(folder, &["format", "data", "made"]);
    let differing = output.lines().zip(again.lines()).filter(|(first, second)| first != second);
    let differing: Vec<&str> = differing.filter_map(|(line, _)| line.split(':').next()).collect();
    assert_eq!(differing, ["UUID", "Salt", "Root hash"]);
}

#[test]
fn json_holds_the_fields() {
    let (_, folder) = small_image();
    let root_hash = fs::read_to_string(folder.path().join("root.hash")).unwrap();
    let mut expected = serde_json::json!({
        "hash_device": "hash",
        "uuid": UUID,
        "hash_type": 1,
        "data_blocks": 137,
        "data_block_size": 512,
        "hash_blocks": 10,
        "hash_block_size": 512,
        "hash_algorithm": "sha256",
        "salt": "a5",
        "root_hash": null,
        "hash_device_size": 5632,
        "hash_offset": 0,
    });
    let (code, output, _) = surefoot(folder.path(), &["dump", "hash", "--json"]);
    assert_eq!((code, serde_json::from_str(&output).ok().as_ref()), (Some(0), Some(&expected)));

    let mut arguments = vec!["format", "data", "hash", "--json"];
    let options = small_case().format_options();
    arguments.extend(options.iter().map(String::as_str));
    let (code, output, _) = surefoot(folder.path(), &arguments);
    expected["root_hash"] = root_hash.into();
    assert_eq!((code, serde_json::from_str(&output).ok()), (Some(0), Some(expected)));
}

#[test]
fn exit_codes_tell_bad_from_misused_from_refused() {
    let (_, folder) = small_image();
    let root_hash = fs::read_to_string(folder.path().join("root.hash")).unwrap();
    let judge = |arguments: &[&str], code: i32, words: &str| {
        let (found, _, errors) = surefoot(folder.path(), arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    };
    judge(&["dump", "data"], 1, "not one, for it does not start with \"verity\"");
    judge(&["dump", "hash", "--hash-offset=5300"], 1, "is too short");
    judge(&["dump", "nowhere"], 3, "cannot open nowhere: No such file or directory");
    judge(&["format", "nowhere", "made"], 3, "cannot open nowhere: No such file or directory");
    judge(&["format", "data", "made", "--data-blocks=1000"], 1, "data: it is too short: the data needs 4096000 bytes");
    judge(&["format", "data", "made", "--data-block-size=1000"], 2, "allowed are powers of two from 512 to 524288");
    judge(&["format", "data", "made", "--hash=md5"], 2, "allowed are sha1, sha256 and sha512");
    judge(&["format", "data", "made", "--salt=abc"], 2, "salt has 3 hexadecimal digits");
    judge(&["format", "data", "made", "--uuid=abc"], 2, "32 hexadecimal digits");
    judge(&["format", "data", "made", "--format=2"], 2, "allowed are 1 (today's) and 0");
    judge(&["format", "data", "made", "--hash-offset=100"], 2, "allowed are multiples of 512");
    judge(&["format", "data", "data"], 2, "the hash area starts at byte 0");
    judge(&["verify", "data", "hash"], 2, "ROOT_HASH");
    judge(&["verify", "data", "hash", "abc"], 2, "root hash has 3 hexadecimal digits");
    judge(&["verify", "data", "hash", &root_hash[..40]], 1, "it has 20 bytes");
    judge(&["verify", "data", "hash", &root_hash, "--hash=sha1"], 2, "the superblock says sha256");
    judge(&["verify", "data", "hash", &root_hash, "--no-superblock"], 2, "--salt is missing");
    assert!(!folder.path().join("made").exists(), "a refused format leaves nothing behind");
}
