//! Golden plans of image files.

use std::fs;
use std::vec;

use verity::{Algorithm, HashType, Parameters, Salt, Superblock, Uuid};

use super::btrfs::look_into;
use super::*;
use crate::mounted_tree::MountedTree;

const HASH: &str = "0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210";

const DISK: [Row; 1] =
    [("vda", 1, PartitionType::Var, "11111111-0000-0000-0000-000000000000", "state", FilesystemKind::Ext4)];

/// A squashfs of two blocks, as far as it is looked at.
fn filesystem() -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    bytes[..4].copy_from_slice(b"hsqs");
    (bytes[14], bytes[22], bytes[28], bytes[41]) = (2, 17, 4, 32);
    bytes
}

fn hash_tree() -> Vec<u8> {
    let (hash_type, algorithm) = (HashType::Normal, Algorithm::Sha256);
    let salt = Salt::from_bytes(&[]).unwrap();
    let parameters =
        Parameters { hash_type, algorithm, data_block_size: 4096, hash_block_size: 4096, data_blocks: 2, salt };
    let mut bytes = Superblock::new(Uuid([1; 16]), &parameters).to_bytes().to_vec();
    bytes.resize(8192, 0);
    bytes
}

/// The plans for what is found in a filesystem with these files.
fn explain(files: &[(&str, &[u8])], cmdline: &str, visit: Visit<'_>) -> String {
    let top = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let tree = MountedTree::open(top.path().to_str().unwrap()).unwrap();
    look_into(&DISK, &tree, cmdline, visit)
}

pub(super) fn all(visit: Visit<'_>) {
    with_hash_trees(visit);
    unverified(visit);
}

fn with_hash_trees(visit: Visit<'_>) -> String {
    let appended = [filesystem(), hash_tree()].concat();
    let files: [(&str, &[u8]); 5] = [
        ("images/os.v/os_1.raw", &filesystem()),
        ("images/os.v/os_1.verity", &hash_tree()),
        ("images/os.v/os_1.roothash", HASH.as_bytes()),
        ("images/os.v/os_2+3-0.raw", &appended),
        ("images/os.v/os_2.roothash", HASH.as_bytes()),
    ];
    explain(&files, &format!("surefoot.deployment=auto surefoot.roothash={HASH}"), visit)
}

fn unverified(visit: Visit<'_>) -> String {
    let files: [(&str, &[u8]); 1] = [("os.raw", &filesystem())];
    let cmdline = "surefoot.deployment=image:os.raw surefoot.verity=optional surefoot.etc=tmpfs";
    explain(&files, cmdline, visit)
}

#[test]
fn images_with_their_hash_trees() {
    insta::assert_snapshot!(with_hash_trees(&mut |_| ()));
}

#[test]
fn an_image_that_nothing_verifies() {
    insta::assert_snapshot!(unverified(&mut |_| ()));
}
