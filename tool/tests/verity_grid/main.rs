//! `surefoot verity` judged by veritysetup: the same options must give the same bytes and the same words, and each must
//! verify what the other has made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod command;

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use case::{Case, Place, SUREFOOT, folder, noise, succeeded, text, veritysetup};

/// The number of bytes that a device's content is taken from: no case has more data.
const MOST_DATA: usize = 9 << 20;

/// Both programs format, everything they leave behind is compared, and each verifies the other's tree.
fn judge(case: &Case, noise: &[u8]) {
    let (surefoot, veritysetup) = (Path::new(SUREFOOT), veritysetup());
    let (ours, theirs) = (folder(case, noise), folder(case, noise));
    let (ours, theirs) = (ours.path(), theirs.path());

    let our_words = case.run(surefoot, ours, "format", &case.format_options());
    let their_words = case.run(veritysetup, theirs, "format", &case.format_options());
    succeeded(&their_words, "veritysetup format", case);
    succeeded(&our_words, "surefoot verity format", case);
    assert_eq!(text(&our_words.stdout), text(&their_words.stdout), "{case:?}");
    for file in ["data", case.hash_device(), "root.hash"] {
        let (our_bytes, their_bytes) = (fs::read(ours.join(file)).unwrap(), fs::read(theirs.join(file)).unwrap());
        assert!(our_bytes == their_bytes, "{file} differs: {case:?}");
    }

    let mut options = case.verify_options();
    options.push("--root-hash-file=root.hash".to_owned());
    succeeded(&case.run(veritysetup, ours, "verify", &options), "veritysetup verify", case);
    let verified = case.run(surefoot, theirs, "verify", &options);
    succeeded(&verified, "surefoot verity verify", case);
    assert_eq!(text(&verified.stdout), "", "{case:?}");

    if case.superblock {
        let our_words = case.run(surefoot, theirs, "dump", &[]);
        let their_words = case.run(veritysetup, theirs, "dump", &[]);
        succeeded(&our_words, "surefoot verity dump", case);
        assert_eq!(text(&our_words.stdout), text(&their_words.stdout), "{case:?}");
    }
}

fn judge_all(cases: &[Case]) {
    let noise = noise(MOST_DATA);
    cases.par_iter().for_each(|case| judge(case, &noise));
}

const ALGORITHMS: [(&str, usize); 3] = [("sha1", 20), ("sha256", 32), ("sha512", 64)];
const BLOCK_SIZES: [(usize, usize); 10] = [
    (512, 512),
    (512, 1024),
    (512, 4096),
    (1024, 512),
    (1024, 1024),
    (4096, 512),
    (4096, 1024),
    (4096, 4096),
    (8192, 4096),
    (4096, 16384),
];

fn salts() -> [String; 4] {
    ["-".to_owned(), "a5".to_owned(), "0123456789abcdef".repeat(4), "fe".repeat(256)]
}

/// One block, whole hash blocks, one data block more and one less, on one to four levels.
fn numbers_of_blocks(per_block: usize, most: usize) -> Vec<usize> {
    let mut numbers = vec![1, 2];
    for power in [per_block, per_block.pow(2), per_block.pow(3)] {
        numbers.extend([power - 1, power, power + 1]);
    }
    numbers.retain(|number| *number <= most);
    numbers
}

#[test]
fn sizes_block_sizes_algorithms_and_types() {
    // Salts, superblock and place take turns, so that each of them meets every size.
    let mut rest = Vec::new();
    for place in [Place::Alone, Place::SameDevice, Place::Behind] {
        for superblock in [true, false] {
            rest.extend(salts().map(|salt| (salt, superblock, place)));
        }
    }
    let mut rest = rest.into_iter().cycle();
    let mut cases = Vec::new();
    for (data_block_size, hash_block_size) in BLOCK_SIZES {
        for (algorithm, digest_size) in ALGORITHMS {
            let per_block = 1 << (hash_block_size / digest_size).ilog2();
            for blocks in numbers_of_blocks(per_block, MOST_DATA / data_block_size) {
                for format in [0, 1] {
                    let (salt, superblock, place) = rest.next().unwrap();
                    cases.push(Case {
                        blocks,
                        data_block_size,
                        hash_block_size,
                        algorithm,
                        format,
                        salt,
                        superblock,
                        place,
                    });
                }
            }
        }
    }
    assert!(cases.len() > 300, "{} cases", cases.len());
    judge_all(&cases);
}

#[test]
fn salts_superblocks_and_places() {
    let mut cases = Vec::new();
    for (algorithm, _) in ALGORITHMS {
        for format in [0, 1] {
            for salt in salts() {
                for superblock in [true, false] {
                    for place in [Place::Alone, Place::SameDevice, Place::Behind] {
                        cases.push(Case {
                            blocks: 67,
                            data_block_size: 1024,
                            hash_block_size: 512,
                            algorithm,
                            format,
                            salt: salt.clone(),
                            superblock,
                            place,
                        });
                    }
                }
            }
        }
    }
    judge_all(&cases);
}
