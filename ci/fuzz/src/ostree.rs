//! What ostree writes: paths and links, commits and their signatures, settings, boot entries.

use deployment::ostree::bls::loader_version;
use deployment::ostree::prepare_root::{CONFIG_PATHS, ConfigFile};
use deployment::ostree::target::{MAX_PATH, sub_version};
use deployment::ostree::{BootEntry, BootLink, Checksum, Commit, Deployment, PrepareRoot};
use verity::{Algorithm, HashType, Salt, digest_block};

use crate::input::{take, text, texts};

/// A commit that was signed by the keys of the project's tests, and these.
const SIGNED: &[u8] = include_bytes!("../../../deployment/src/ostree/commit/fixtures/signed.commit");
const KEYS: [&str; 2] = [
    include_str!("../../../deployment/src/ostree/commit/fixtures/k1.key"),
    include_str!("../../../deployment/src/ostree/commit/fixtures/k2.key"),
];

/// The value of `ostree=` or what a link says.
pub(crate) fn paths(input: &[u8]) {
    let text = text(input);
    match BootLink::parse(text) {
        Ok(link) => {
            let BootLink { boot_version, os, boot_checksum, serial, path } = link;
            assert_eq!(
                (format!("/ostree/boot.{boot_version}/{os}/{boot_checksum}/{serial}").as_str(), path),
                (text, text)
            );
            let resolved = link.resolved(1).to_string();
            assert!(resolved.len() <= MAX_PATH && !resolved.contains("/../") && resolved.starts_with("ostree/boot."));
            assert!(link.deployment(text).is_err(), "a path is taken for a link");
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    if let Ok(deployment) = Deployment::from_link(text) {
        is_deployment(&deployment);
        assert_eq!(format!("../../../deploy/{}", &deployment.to_string()["ostree/deploy/".len()..]), text);
    }
    match Deployment::from_path(text) {
        Ok(deployment) => {
            assert_eq!(deployment.to_string(), text);
            is_deployment(&deployment);
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    for version in [0, 1] {
        assert!(sub_version(version, text).is_err() || text.len() == "boot.0.1".len());
    }
    assert!(loader_version(text).is_none_or(|version| version <= 1));
    if let Ok(checksum) = text.parse::<Checksum>() {
        assert_eq!(checksum.to_string(), text);
    }
}

fn is_deployment(deployment: &Deployment<'_>) {
    let path = deployment.to_string();
    assert!(path.len() <= MAX_PATH && path.split('/').all(|part| !matches!(part, "" | "." | "..")));
    assert_eq!(Deployment::from_path(&path), Ok(*deployment));
    assert!(path.starts_with(deployment.var().to_string().trim_end_matches("var")));
}

/// A commit, its detached metadata and a file of keys, the first two with their lengths in front. What was signed by the keys
/// of the project is that alone.
pub(crate) fn commit(input: &[u8]) {
    let (lengths, rest) = take::<4>(input);
    let length = |at: usize| usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]]));
    let (commit, rest) = rest.split_at(length(0).min(rest.len()));
    let (detached, keys) = rest.split_at(length(2).min(rest.len()));
    let name = |bytes: &[u8]| {
        let digest = digest_block(Algorithm::Sha256, HashType::Normal, &Salt::default(), bytes);
        Checksum(digest.as_bytes().try_into().unwrap())
    };
    let checksum = name(commit);
    assert!(Commit::parse(Checksum([1; 32]), commit).is_err());
    let read = match Commit::parse(checksum, commit) {
        Ok(read) => read,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let _ = read.base();
    if let Err(why) = read.signed_digest(detached, text(keys)) {
        assert!(!why.to_string().is_empty());
    }
    for keys in KEYS {
        assert!(read.signed_digest(detached, keys).is_err() || commit == SIGNED, "a forged signature");
    }
}

/// Two files, the word of the command line, and the repository's configuration.
pub(crate) fn prepare_root(input: &[u8]) {
    let [first, second, word, repository] = texts(input);
    let files = [(CONFIG_PATHS[0], first), (CONFIG_PATHS[1], second)].map(|(path, text)| ConfigFile { path, text });
    let word = Some(word).filter(|word| !word.is_empty());
    for files in [&files[..], &files[..1], &files[1..]] {
        match PrepareRoot::parse(files, word) {
            Ok(settings) => {
                let readonly = settings.sysroot_readonly(Some(repository));
                assert!(readonly || !settings.sysroot_readonly(None), "a repository makes it writable");
                for composefs in [false, true] {
                    let _ = settings.etc(readonly, composefs);
                }
                assert!(
                    files.iter().any(|file| file.text.contains(settings.keypath)) || settings.keypath.starts_with('/')
                );
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}

/// A boot entry by name and text, and the name of another one.
pub(crate) fn boot_entry(input: &[u8]) {
    let [name, text, other] = texts(input);
    let (Some(entry), Some(other)) = (BootEntry::parse(name, text), BootEntry::parse(other, text)) else { return };
    assert!(entry.name.starts_with("ostree-") && entry.ostree().is_none_or(|path| entry.options.contains(path)));
    assert_eq!(entry.order(&other), other.order(&entry).reverse());
    assert!(entry.order(&entry).is_eq());
    assert!(!entry.is_bad() || entry.tries.is_some());
    if let Some(link) = entry.ostree() {
        let _ = BootLink::parse(link);
    }
}
