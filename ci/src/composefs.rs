//! Native composefs repositories (composefs-rs, bootc), written by the crate `composefs`, on a partition of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use composefs::erofs::format::{FormatConfig, FormatVersion};
use composefs::fs::read_filesystem;
use composefs::fsverity::{FsVerityHashValue, Sha256HashValue, Sha512HashValue};
use composefs::repository::{Repository, RepositoryConfig};

use crate::cache::{self, Key};
use crate::disk::{Partition, SYSROOT};
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem, Place};
use crate::fsverity::{self, Algorithm};
use crate::tree::Tree;

const BYTES: u64 = 64 << 20;

/// Layouts of the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// That of C's `mkcomposefs --min-version=1`; the word is `composefs.digest=`.
    #[default]
    V1,
    /// The earlier one of composefs-rs; the word is `composefs=`.
    V2,
}

/// What the directory of a deployment's state holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Empty directories `etc` and `var`.
    #[default]
    Empty,
    /// As bootc leaves it: `etc` is a copy of the image's, `var` a link to `/state/os/default/var`.
    Bootc,
}

/// A physical root with a repository that is to be made.
#[derive(Clone, Debug)]
pub struct Composefs {
    algorithm: Algorithm,
    version: Version,
    state: State,
    verity: bool,
    trees: Vec<Tree>,
    edits: Vec<Edit>,
}

/// A physical root with a repository.
#[derive(Clone, Debug)]
pub struct Image {
    /// The filesystem, an ext4.
    pub path: PathBuf,
    /// The digests of its images in hexadecimal, in the order in which they were added.
    pub digests: Vec<String>,
    algorithm: Algorithm,
    version: Version,
}

impl Composefs {
    /// An empty repository with fs-verity, and images of [`Version::V1`].
    pub fn new(algorithm: Algorithm) -> Self {
        let (version, state) = (Version::default(), State::default());
        Self { algorithm, version, state, verity: true, trees: Vec::new(), edits: Vec::new() }
    }

    /// Adds an image of a tree, and a directory for its state.
    #[must_use]
    pub fn image(mut self, tree: &Tree) -> Self {
        self.trees.push(tree.clone());
        self
    }

    /// Gives the images another layout.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Gives the state directories other contents.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Leaves fs-verity off everywhere, `meta.json` included: an "insecure" repository.
    #[must_use]
    pub fn without_verity(mut self) -> Self {
        self.verity = false;
        self
    }

    /// Makes a change, with a path relative to the physical root, before fs-verity is enabled.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Makes it, unless it was made before.
    ///
    /// # Errors
    /// What the crate or mkfs.ext4 say, or the guest that enables fs-verity.
    pub fn build(&self) -> Result<Image> {
        let kind = format!("{:?} {:?} {:?} {}", self.algorithm, self.version, self.state, self.verity);
        let key = self.trees.iter().fold(Key::default().text(RECIPE).text(&kind), |key, tree| tree.key(key));
        let key = self.edits.iter().fold(key, |key, edit| edit.key(key));
        let folder = cache::cached("composefs", "repository", key, |folder| {
            fs::create_dir(folder)?;
            self.make(folder)
        })?;
        let digests = fs::read(folder.join("digests"))?;
        Ok(Image {
            path: folder.join("image"),
            digests: serde_json::from_slice(&digests)?,
            algorithm: self.algorithm,
            version: self.version,
        })
    }

    fn make(&self, folder: &Path) -> Result<()> {
        let scratch = tempfile::tempdir_in(folder)?;
        let top = scratch.path().join("physical");
        fs::create_dir(&top)?;
        let digests = match self.algorithm {
            Algorithm::Sha256 => self.write::<Sha256HashValue>(scratch.path(), &top),
            Algorithm::Sha512 => self.write::<Sha512HashValue>(scratch.path(), &top),
        }?;
        for (tree, digest) in self.trees.iter().zip(&digests) {
            self.write_state(&top.join("state"), tree, digest)?;
        }
        for edit in &self.edits {
            edit.apply(&top)?;
        }
        // Each was deployed a second after the one before.
        for (second, digest) in (1..).zip(&digests) {
            let state = top.join("state/deploy").join(digest);
            if state.exists() {
                fs::File::open(state)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second))?;
            }
        }
        let image = folder.join("image");
        Directory { top: &top, bytes: BYTES, label: SYSROOT, immutable: Vec::new(), place: Place::Top }
            .image(Filesystem::Ext4, &image)?;
        if self.verity {
            let paths = ["composefs/objects", "composefs/meta.json"].map(str::to_owned);
            fsverity::enable(&image, self.algorithm, &paths)?;
        }
        Ok(fs::write(folder.join("digests"), serde_json::to_vec(&digests)?)?)
    }

    /// Writes the repository without fs-verity, for this machine may have none.
    fn write<ObjectID: FsVerityHashValue>(&self, scratch: &Path, top: &Path) -> Result<Vec<String>> {
        let version = match self.version {
            Version::V1 => FormatVersion::V1,
            Version::V2 => FormatVersion::V2,
        };
        let mut config = RepositoryConfig::new(ObjectID::ALGORITHM).set_insecure();
        config.erofs_formats = FormatConfig::single(version);
        let folder = fs::File::open(top)?;
        let (repository, _) = Repository::<ObjectID>::init_path(&folder, "composefs", config)?;
        let repository = Arc::new(repository);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let mut digests = Vec::new();
        for (number, tree) in self.trees.iter().enumerate() {
            let name = format!("tree-{number}");
            fs::create_dir(scratch.join(&name))?;
            tree.write(&scratch.join(&name))?;
            let here = fs::File::open(scratch)?.into();
            let mut files = runtime.block_on(read_filesystem(here, PathBuf::from(&name), Some(repository.clone())))?;
            // Whoever makes it, and whenever: the same tree has the same digest.
            files.for_each_stat_mut(|stat| {
                (stat.st_uid, stat.st_gid) = (0, 0);
                (stat.st_mtim_sec, stat.st_mtim_nsec) = (0, 0);
                stat.xattrs.clear();
            });
            files.copy_root_metadata_from_usr().context("the tree has no /usr")?;
            digests.push(files.commit_image(&repository, Some(&name))?.to_hex());
        }
        repository.sync()?;
        let found = runtime.block_on(repository.fsck())?;
        anyhow::ensure!(found.is_ok(), "the repository's own check: {found}");
        Ok(digests)
    }

    fn write_state(&self, top: &Path, tree: &Tree, digest: &str) -> Result<()> {
        let state = top.join("deploy").join(digest);
        fs::create_dir_all(state.join("etc"))?;
        if self.state == State::Empty {
            return Ok(fs::create_dir(state.join("var"))?);
        }
        tree.clone().below("etc").write(&state.join("etc"))?;
        fs::create_dir_all(top.join("os/default/var"))?;
        Ok(symlink("../../os/default/var", state.join("var"))?)
    }
}

/// Part of every cache key: to be changed together with how repositories are made.
const RECIPE: &str = "2";

impl Image {
    /// The word that boots the image of this number, counted from 0; `optional` puts the `?` in it, with which fs-verity may
    /// be missing.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn word(&self, number: usize, optional: bool) -> Result<String> {
        let digest = self.digests.get(number).context("no image of this number")?;
        let mark = if optional { "?" } else { "" };
        Ok(match self.version {
            Version::V1 => format!("composefs.digest={mark}v1-{}-12:{digest}", self.algorithm.name()),
            Version::V2 => format!("composefs={mark}{digest}"),
        })
    }

    /// The object that is the image of this number, relative to the physical root.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn object(&self, number: usize) -> Result<String> {
        let digest = self.digests.get(number).context("no image of this number")?;
        let (first, rest) = digest.split_at_checked(2).context("an empty digest")?;
        Ok(format!("composefs/objects/{first}/{rest}"))
    }

    /// A partition that holds it.
    pub fn partition(&self) -> Partition {
        Partition::sysroot(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{command, run};
    use crate::mounted::Mounted;

    fn tree(text: &str) -> Tree {
        let tree = Tree::default().directory("etc").directory("usr").directory("var").directory("sysroot");
        tree.file("etc/hostname", "test\n", 0o644).file("usr/big", text.repeat(5000), 0o644)
    }

    #[test]
    fn fsverity_and_fsck_accept_what_the_crate_wrote() -> Result<()> {
        for (algorithm, version) in [(Algorithm::Sha256, Version::V1), (Algorithm::Sha512, Version::V2)] {
            let repository = Composefs::new(algorithm).version(version).state(State::Bootc).without_verity();
            let image = repository.image(&tree("one")).image(&tree("two")).build()?;
            let mounted = Mounted::new(&image.path, "ro")?;
            for (number, digest) in image.digests.iter().enumerate() {
                let object = mounted.path().join(image.object(number)?);
                assert_eq!(&fsverity::digest(&object, algorithm)?, digest);
                assert_eq!(fs::read(mounted.path().join("composefs/images").join(digest))?, fs::read(&object)?);
                let state = mounted.path().join("state/deploy").join(digest);
                assert_eq!(fs::read_to_string(state.join("etc/hostname"))?, "test\n");
                assert!(state.join("var").canonicalize()?.ends_with("state/os/default/var"));
                run(command("fsck.erofs").arg(&object))?;
            }
            assert!(image.word(0, true)?.contains("=?"));
            mounted.unmount()?;
        }
        Ok(())
    }
}
