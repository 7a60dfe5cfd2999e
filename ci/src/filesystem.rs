//! Filesystem images, made without privileges by Debian's own mkfs programs. The same tree gives the same bytes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::mounted::Mounted;
use crate::tree::{Node, Tree};

/// Filesystems that surefoot boots from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// erofs, not compressed.
    Erofs,
    /// squashfs, compressed with zstd.
    Squashfs,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
}

const UUID: &str = "5afe0b07-0000-4000-8000-000000000001";
const STATE_UUID: &str = "5afe0b07-0000-4000-8000-000000000004";
/// The label of every root image that has one; no partition is called that.
pub const LABEL: &str = "probe-root";
const EXT4_BYTES: u64 = 16 << 20;
const XFS_BYTES: u64 = 64 << 20;
const BTRFS_BYTES: u64 = 128 << 20;

impl Filesystem {
    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The UUID of every image made here.
    pub fn uuid() -> &'static str {
        UUID
    }

    /// An image that holds `tree`; its length is a multiple of 4096 bytes.
    pub fn image(self, tree: &Tree) -> Result<PathBuf> {
        cache::cached("images", self.name(), tree.key(Key::default().text(RECIPE)), |image| {
            let scratch = tempfile::tempdir()?;
            let top = scratch.path().join("root");
            fs::create_dir(&top)?;
            tree.write(&top)?;
            match self {
                Self::Erofs => {
                    run(command("mkfs.erofs").args(["--quiet", "-T0", "-U", UUID, "--all-root"]).args([image, &top]))
                }
                Self::Squashfs => run(command("mksquashfs")
                    .args([&top, image])
                    .args(["-quiet", "-no-progress", "-all-root", "-noappend", "-comp", "zstd", "-mkfs-time", "0"])
                    .args(["-all-time", "0"])),
                Self::Ext4 => ext4(image, EXT4_BYTES, UUID, &["-L", LABEL, "-d", &top.to_string_lossy()]),
                Self::Xfs => xfs(image, &scratch.path().join("proto"), &top, tree),
                Self::Btrfs => btrfs(image, &top),
            }?;
            pad(image)
        })
    }
}

/// Where in a filesystem a directory goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// At the top.
    #[default]
    Top,
    /// In this subvolume of a btrfs, beside one for `home`.
    Subvolume(&'static str),
    /// The same, and a mount without options shows it.
    DefaultSubvolume(&'static str),
}

/// A directory that becomes a filesystem as it is: with owners, hard links, and everything else.
#[derive(Clone, Debug)]
pub struct Directory<'a> {
    /// The directory.
    pub top: &'a Path,
    /// Bytes of the filesystem. XFS wants 300 MiB, btrfs 128 MiB.
    pub bytes: u64,
    /// Label of the filesystem.
    pub label: &'a str,
    /// Directories that become immutable (chattr(1), `+i`), relative to the top. XFS leaves them mutable.
    pub immutable: Vec<&'a str>,
    /// Where in the filesystem it goes.
    pub place: Place,
}

impl Directory<'_> {
    /// Writes the filesystem to `image`. ext4 can have fs-verity. XFS and btrfs take root, for they are mounted here.
    pub fn image(&self, filesystem: Filesystem, image: &Path) -> Result<()> {
        // No two of these that are attached at once may share a UUID.
        let uuid = format!("5afe0b07-0000-4000-b000-0000{:.8}", Key::default().text(&image.to_string_lossy()).hex());
        match filesystem {
            Filesystem::Ext4 => {
                ext4(image, self.bytes, &uuid, &["-O", "verity", "-L", self.label, "-d", &self.top.to_string_lossy()])?;
                for path in &self.immutable {
                    // The extents flag, which every directory of ext4 has, and the immutable flag (linux/fs.h).
                    let request = format!("set_inode_field /{path} flags 0x80010");
                    run(command("debugfs").args(["-w", "-R", &request]).arg(image))?;
                }
                return Ok(());
            }
            Filesystem::Xfs | Filesystem::Btrfs => File::create(image)?.set_len(self.bytes)?,
            Filesystem::Erofs | Filesystem::Squashfs => bail!("{} takes no writes", filesystem.name()),
        }
        let option = if filesystem == Filesystem::Xfs { "-m" } else { "-U" };
        let uuid = if filesystem == Filesystem::Xfs { format!("uuid={uuid}") } else { uuid };
        let words = ["-q", option, &uuid];
        let mkfs = format!("mkfs.{}", filesystem.name());
        run(command(&mkfs).args(words).args(["-L", self.label]).arg(image))?;
        let mounted = Mounted::new(image, "")?;
        let place = self.make_place(mounted.path())?;
        run(command("cp").arg("--archive").arg(self.top.join(".")).arg(&place))?;
        for path in self.immutable.iter().filter(|_| filesystem == Filesystem::Btrfs) {
            run(command("chattr").arg("+i").arg(place.join(path)))?;
        }
        mounted.unmount()
    }

    /// The directory of the mounted filesystem that it goes to.
    fn make_place(&self, mounted: &Path) -> Result<PathBuf> {
        let (Place::Subvolume(name) | Place::DefaultSubvolume(name)) = self.place else {
            return Ok(mounted.to_owned());
        };
        let place = mounted.join(name);
        for subvolume in [&place, &mounted.join("home")] {
            run(command("btrfs").args(["subvolume", "create"]).arg(subvolume))?;
        }
        if self.place == Place::DefaultSubvolume(name) {
            run(command("btrfs").args(["subvolume", "set-default"]).arg(&place))?;
        }
        Ok(place)
    }
}

/// Part of every cache key: to be changed together with the options of mkfs.
const RECIPE: &str = "3";

/// An empty ext4 filesystem of `bytes`, as a state partition holds.
pub fn empty_ext4(bytes: u64) -> Result<PathBuf> {
    cache::cached("images", "state", Key::default().text(RECIPE).text(&bytes.to_string()), |image| {
        ext4(image, bytes, STATE_UUID, &["-L", "state", "-m", "0"]).map(drop)
    })
}

fn ext4(image: &Path, bytes: u64, uuid: &str, options: &[&str]) -> Result<String> {
    File::create(image)?.set_len(bytes)?;
    run(command("mkfs.ext4")
        .env("E2FSPROGS_FAKE_TIME", "1")
        .args(["-q", "-F", "-b", "4096", "-U", uuid, "-E"])
        .arg(format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0"))
        .args(options)
        .arg(image))
}

fn btrfs(image: &Path, top: &Path) -> Result<String> {
    File::create(image)?.set_len(BTRFS_BYTES)?;
    run(command("mkfs.btrfs").args(["-q", "-U", UUID, "-L", LABEL, "--rootdir"]).arg(top).arg(image))
}

/// XFS takes its files from a "protofile" (mkfs.xfs(8)).
fn xfs(image: &Path, proto: &Path, top: &Path, tree: &Tree) -> Result<String> {
    fs::write(proto, protofile(top, tree))?;
    File::create(image)?.set_len(XFS_BYTES)?;
    run(command("mkfs.xfs")
        // Sectors as large as the blocks of dm-verity: XFS mounts on nothing coarser than its own.
        .args(["-q", "--unsupported", "-s", "size=4096", "-L", LABEL, "-m", &format!("uuid={UUID}"), "-p"])
        .arg(proto)
        .arg(image))
}

fn protofile(top: &Path, tree: &Tree) -> String {
    let mut text = "/stand/diskboot\n0 0\nd--755 0 0\n".to_owned();
    let mut open: Vec<&Path> = Vec::new();
    for (path, node) in tree.nodes() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        while open.last().is_some_and(|last| Some(*last) != path.parent()) {
            text.push_str("$\n");
            open.pop();
        }
        let _ = match node {
            Node::Directory(mode) => writeln!(text, "{name} d--{mode:03o} 0 0"),
            Node::File(_, mode) => writeln!(text, "{name} ---{mode:03o} 0 0 {}", top.join(path).display()),
            Node::Symlink(target) => writeln!(text, "{name} l--777 0 0 {target}"),
        };
        if matches!(node, Node::Directory(_)) {
            open.push(path);
        }
    }
    text.push_str(&"$\n".repeat(open.len() + 1));
    text
}

/// A verity device has whole blocks.
fn pad(image: &Path) -> Result<()> {
    let file = File::options().write(true).open(image)?;
    let length = file.metadata()?.len();
    Ok(file.set_len(length.next_multiple_of(4096))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protofile_closes_every_directory() {
        let tree = Tree::default().directory("a").file("a/f", "x", 0o640).directory("a/b").symlink("z", "a/f");
        let expected = "/stand/diskboot\n0 0\nd--755 0 0\na d--755 0 0\nb d--755 0 0\n$\nf ---640 0 0 /t/a/f\n$\nz l--777 0 0 a/f\n$\n";
        assert_eq!(protofile(Path::new("/t"), &tree), expected);
    }
}
