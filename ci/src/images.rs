//! Root images as files of a data partition: versioned, verified by a hash tree behind them or beside them, or with a
//! partition table of their own ("discoverable disk images"). veritysetup makes the hash trees.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::disk::{self, Disk, Partition, SYSROOT};
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem, Place};
use crate::slots::Image;
use crate::tree::Tree;

const BYTES: u64 = 64 << 20;
/// As the other hash trees have them: so the same tree has the same root hash wherever its hash tree is.
const VERITY: [&str; 4] = [
    "--salt=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "--uuid=5afe0b07-0000-4000-8000-000000000002",
    "--data-block-size=4096",
    "--hash-block-size=4096",
];

/// What an image file is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An erofs alone.
    Plain,
    /// An erofs with its hash tree, superblock first, right behind it.
    Appended,
    /// An erofs; its hash tree and its root hash are the files `STEM.verity` and `STEM.roothash` of the same directory.
    Beside(String),
    /// A disk image: a GPT, a root partition and its hash partition, as the Discoverable Partitions Specification has them.
    Partitioned,
}

/// A data partition with image files that is to be made.
#[derive(Clone, Debug, Default)]
pub struct Images {
    files: Vec<(String, Tree, Kind)>,
    edits: Vec<Edit>,
}

/// A data partition with image files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The filesystem, an ext4.
    pub path: PathBuf,
    /// The root hashes of the images, in the order in which they were added.
    pub root_hashes: Vec<String>,
}

impl Images {
    /// An empty partition.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an erofs without a hash tree. Paths are relative to the partition; directories are made as needed.
    #[must_use]
    pub fn plain(self, path: &str, tree: &Tree) -> Self {
        self.with(path, tree, Kind::Plain)
    }

    /// Adds an erofs with its hash tree appended to it.
    #[must_use]
    pub fn appended(self, path: &str, tree: &Tree) -> Self {
        self.with(path, tree, Kind::Appended)
    }

    /// Adds an erofs with its hash tree and root hash beside it, as `STEM.verity` and `STEM.roothash`.
    #[must_use]
    pub fn beside(self, path: &str, stem: &str, tree: &Tree) -> Self {
        self.with(path, tree, Kind::Beside(stem.to_owned()))
    }

    /// Adds a disk image with a root partition and its hash partition, whose PARTUUIDs come from the root hash.
    #[must_use]
    pub fn partitioned(self, path: &str, tree: &Tree) -> Self {
        self.with(path, tree, Kind::Partitioned)
    }

    fn with(mut self, path: &str, tree: &Tree, kind: Kind) -> Self {
        self.files.push((path.to_owned(), tree.clone(), kind));
        self
    }

    /// Makes a change, with a path relative to the partition, when all files are there.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Makes it, unless it was made before.
    ///
    /// # Errors
    /// What the tools say.
    pub fn build(&self) -> Result<Files> {
        let mut key = Key::default().text(RECIPE);
        for (path, tree, kind) in &self.files {
            key = tree.key(key.text(path).text(&format!("{kind:?}")));
        }
        let key = self.edits.iter().fold(key, |key, edit| edit.key(key));
        let path = cache::cached("image-files", "partition", key, |image| self.make(image))?;
        let hash = |(_, tree, _): &(String, Tree, Kind)| Ok(Image::of(tree)?.tree.root_hash);
        Ok(Files { path, root_hashes: self.files.iter().map(hash).collect::<Result<_>>()? })
    }

    fn make(&self, image: &Path) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        let top = scratch.path().join("top");
        fs::create_dir(&top)?;
        for (path, tree, kind) in &self.files {
            let path = top.join(path);
            fs::create_dir_all(path.parent().context("a file needs a name")?)?;
            kind.write(&Image::of(tree)?, &path)?;
        }
        for edit in &self.edits {
            edit.apply(&top)?;
        }
        Directory { top: &top, bytes: BYTES, label: SYSROOT, immutable: Vec::new(), place: Place::Top }
            .image(Filesystem::Ext4, image)
    }
}

impl Kind {
    fn write(&self, image: &Image, path: &Path) -> Result<()> {
        if *self == Self::Partitioned {
            return Disk::create(path, 512, &disk::verity_pair(&image.data, &image.tree)).map(drop);
        }
        fs::copy(&image.data, path)?;
        match self {
            Self::Plain | Self::Partitioned => Ok(()),
            Self::Appended => {
                let offset = format!("--hash-offset={}", fs::metadata(path)?.len());
                run(command("veritysetup").arg("format").args([path, path]).args(VERITY).arg(offset)).map(drop)
            }
            Self::Beside(stem) => {
                let file = |kind: &str| path.with_file_name(format!("{stem}.{kind}"));
                fs::copy(&image.tree.image, file("verity"))?;
                Ok(fs::write(file("roothash"), format!("{}\n", image.tree.root_hash))?)
            }
        }
    }
}

/// Part of every cache key: to be changed together with how files are made.
const RECIPE: &str = "2";

impl Files {
    /// A partition that holds them.
    pub fn partition(&self) -> Partition {
        Partition::sysroot(&self.path)
    }

    /// The word that lets all of them boot; nothing where none has a root hash.
    pub fn accept(&self) -> String {
        let list = self.root_hashes.join(",");
        if list.is_empty() { list } else { format!("surefoot.roothash={list}") }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::mounted::Mounted;

    fn tree(text: &str) -> Tree {
        Tree::default().directory("etc").file("etc/big", text.repeat(100_000), 0o644)
    }

    fn verify(data: &Path, hash: &Path, root_hash: &str, offset: u64) -> Result<()> {
        let offset = format!("--hash-offset={offset}");
        run(command("veritysetup").arg("verify").args([data, hash]).args([root_hash, &offset])).map(drop)
    }

    /// A part of a file as a file of its own.
    fn part(file: &Path, start: u64, length: u64) -> Result<tempfile::NamedTempFile> {
        let content = fs::read(file)?;
        let (start, length) = (usize::try_from(start)?, usize::try_from(length)?);
        let mut part = tempfile::NamedTempFile::new()?;
        part.write_all(content.get(start..start + length).context("a part beyond the end")?)?;
        Ok(part)
    }

    #[test]
    fn veritysetup_and_sgdisk_accept_the_files() -> Result<()> {
        let images = Images::new().appended("a.v/a_1+3-0.raw", &tree("one")).beside("b_2.raw", "b_2", &tree("two"));
        let files = images.partitioned("c.v/c_1.raw", &tree("three")).plain("d.raw", &tree("four")).build()?;
        let mounted = Mounted::new(&files.path, "ro")?;
        let top = mounted.path();

        let file = top.join("a.v/a_1+3-0.raw");
        let length = fs::metadata(Image::of(&tree("one"))?.data)?.len();
        verify(&file, &file, &files.root_hashes[0], length)?;

        assert_eq!(fs::read_to_string(top.join("b_2.roothash"))?.trim(), files.root_hashes[1]);
        verify(&top.join("b_2.raw"), &top.join("b_2.verity"), &files.root_hashes[1], 0)?;

        let file = top.join("c.v/c_1.raw");
        run(command("sgdisk").arg("--verify").arg(&file))?;
        let mut places = Vec::new();
        for (number, kind) in [("1", disk::types::ROOT), ("2", disk::types::ROOT_VERITY)] {
            let said = run(command("sgdisk").args(["--info", number]).arg(&file))?.to_lowercase();
            assert!(said.contains(kind), "{said}");
            let value = |key: &str| {
                said.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
            };
            let first: u64 = value("first sector: ").context("no first sector")?;
            let count: u64 = value("partition size: ").context("no size")?;
            places.push(part(&file, first * 512, count * 512)?);
            let (data, hash) = disk::derived_uuids(&files.root_hashes[2]);
            assert!(said.contains(if number == "1" { &data } else { &hash }), "{said}");
        }
        verify(places[0].path(), places[1].path(), &files.root_hashes[2], 0)?;
        run(command("fsck.erofs").arg(top.join("d.raw")))?;
        assert_eq!(files.accept().split(',').count(), 4);
        mounted.unmount()
    }
}
