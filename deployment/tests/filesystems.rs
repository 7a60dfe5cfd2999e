//! Judges the probe against blkid, on filesystems that the real tools made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use deployment::{Filesystem, FilesystemKind, ReadAt, ReadError};

const UUID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const MIB: u64 = 1 << 20;

struct Image(File);

impl ReadAt for Image {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.0.read_exact_at(buffer, offset).map_err(|_| ReadError::OutOfRange)
    }

    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }
}

/// Makes an image of `size` bytes with this command, whose `IMAGE` becomes the image and `TREE` a small directory, and
/// probes it.
fn made_by(command: &str, size: u64) -> (Filesystem, Blkid) {
    let directory = tempfile::tempdir().unwrap();
    let (image, tree) = (directory.path().join("image"), directory.path().join("tree"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "content").unwrap();
    File::create(&image).unwrap().set_len(size).unwrap();
    let words = command.split(' ').map(|word| match word {
        "IMAGE" => image.to_str().unwrap(),
        "TREE" => tree.to_str().unwrap(),
        word => word,
    });
    run(&words.collect::<Vec<_>>());
    let found = Filesystem::probe(&Image(File::open(&image).unwrap())).unwrap();
    (found.unwrap_or_else(|| panic!("{command}: nothing found")), Blkid::of(&image))
}

/// Runs a tool, which must be there and succeed, and gives what it printed.
fn run(words: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).env("PATH", path).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", words[0]));
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {text}{errors}");
    text.into_owned()
}

/// What blkid says of an image, empty where it says nothing.
struct Blkid {
    kind: String,
    uuid: String,
    label: String,
}

impl Blkid {
    fn of(image: &Path) -> Self {
        let text = run(&["blkid", "-p", "-o", "export", image.to_str().unwrap()]);
        let value = |key| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().replace("\\ ", " ")
        };
        Self { kind: value("TYPE"), uuid: value("UUID"), label: value("LABEL") }
    }
}

/// The filesystem that `command` makes is `kind`, which blkid calls `blkid_kind`, and blkid finds the same UUID and label.
#[track_caller]
fn agrees(command: &str, size: u64, kind: FilesystemKind, blkid_kind: &str, label: &str) -> Filesystem {
    let (found, blkid) = made_by(command, size);
    assert_eq!((found.kind, blkid.kind.as_str()), (kind, blkid_kind), "{command}");
    assert_eq!(found.uuid.as_str(), blkid.uuid, "{command}");
    assert_eq!((found.label.as_str(), blkid.label.as_str()), (label, label), "{command}");
    found
}

#[test]
fn ext_of_every_generation() {
    for (kind, blkid) in [("ext2", "ext2"), ("ext3", "ext3"), ("ext4", "ext4")] {
        let command = format!("mkfs.ext4 -q -F -t {kind} -L state -U {UUID} IMAGE");
        let found = agrees(&command, 16 * MIB, FilesystemKind::Ext4, blkid, "state");
        assert_eq!(found.uuid, UUID);
    }
    for options in ["-b 1024", "-b 4096 -O ^metadata_csum,^64bit", "-r 0 -O none"] {
        let command = format!("mkfs.ext4 -q -F {options} -U {UUID} IMAGE");
        assert_eq!(made_by(&command, 16 * MIB).0.kind, FilesystemKind::Ext4, "{options}");
    }
}

#[test]
fn xfs() {
    let command = format!("mkfs.xfs -q -L twelve_bytes -m uuid={UUID} IMAGE");
    let found = agrees(&command, 320 * MIB, FilesystemKind::Xfs, "xfs", "twelve_bytes");
    assert_eq!(found.uuid, UUID);
    agrees("mkfs.xfs -q -s size=4096 IMAGE", 320 * MIB, FilesystemKind::Xfs, "xfs", "");
}

#[test]
fn btrfs() {
    let command = format!("mkfs.btrfs -q -L state -U {UUID} IMAGE");
    let found = agrees(&command, 256 * MIB, FilesystemKind::Btrfs, "btrfs", "state");
    assert_eq!(found.uuid, UUID);
    // blkid cuts so long a label off. It could have one byte more, which mkfs.btrfs does not write.
    let longest = "x".repeat(254);
    assert_eq!(made_by(&format!("mkfs.btrfs -q -L {longest} IMAGE"), 256 * MIB).0.label, longest.as_str());
}

#[test]
fn erofs() {
    let found = agrees(&format!("mkfs.erofs -U {UUID} IMAGE TREE"), 0, FilesystemKind::Erofs, "erofs", "");
    assert_eq!(found.uuid, UUID);
    agrees("mkfs.erofs -zlz4 IMAGE TREE", 0, FilesystemKind::Erofs, "erofs", "");
}

#[test]
fn squashfs() {
    for options in ["", " -b 4096", " -comp zstd -b 1M"] {
        let command = format!("mksquashfs TREE IMAGE -quiet -noappend{options}");
        agrees(&command, 0, FilesystemKind::Squashfs, "squashfs", "");
    }
}

#[test]
fn fat_of_every_size() {
    for (bits, size) in [(12, 4), (16, 32), (32, 64)] {
        let command = format!("mkfs.vfat -F {bits} -n ELEVENBYTES -i abcd1234 IMAGE");
        let found = agrees(&command, size * MIB, FilesystemKind::Vfat, "vfat", "ELEVENBYTES");
        assert_eq!(found.uuid, "ABCD-1234");
        agrees(&format!("mkfs.vfat -F {bits} IMAGE"), size * MIB, FilesystemKind::Vfat, "vfat", "");
    }
    agrees("mkfs.vfat -S 4096 -n SECTORS IMAGE", 300 * MIB, FilesystemKind::Vfat, "vfat", "SECTORS");
}

#[test]
fn swap() {
    let command = format!("mkswap -L swap -U {UUID} IMAGE");
    assert_eq!(agrees(&command, 4 * MIB, FilesystemKind::Swap, "swap", "swap").uuid, UUID);
}

#[test]
fn luks_of_both_versions() {
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), "key").unwrap();
    let format = format!("cryptsetup luksFormat -q --key-file {} --uuid {UUID}", key.path().display());
    let luks1 = format!("{format} --type luks1 --pbkdf-force-iterations 1000 IMAGE");
    assert_eq!(agrees(&luks1, 4 * MIB, FilesystemKind::Luks, "crypto_LUKS", "").uuid, UUID);
    let luks2 = format!("{format} --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --label vault IMAGE");
    assert_eq!(agrees(&luks2, 20 * MIB, FilesystemKind::Luks, "crypto_LUKS", "vault").uuid, UUID);
}

#[test]
fn hash_tree_of_a_verity_device() {
    let data = tempfile::NamedTempFile::new().unwrap();
    data.as_file().set_len(MIB).unwrap();
    let command = format!("veritysetup format --uuid {UUID} {} IMAGE", data.path().display());
    assert_eq!(agrees(&command, 0, FilesystemKind::VerityHash, "DM_verity_hash", "").uuid, UUID);
}

#[test]
fn a_partitioned_disk_and_an_empty_one_hold_no_filesystem() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    File::create(&image).unwrap().set_len(8 * MIB).unwrap();
    assert_eq!(Filesystem::probe(&Image(File::open(&image).unwrap())), Ok(None));
    run(&["sgdisk", "-n", "1:2048:4096", image.to_str().unwrap()]);
    assert_eq!(Filesystem::probe(&Image(File::open(&image).unwrap())), Ok(None));
}
