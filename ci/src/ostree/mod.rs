//! Sysroots with ostree deployments, made by Debian's `ostree`. This takes root: deployments belong to root.

mod calls;
mod composefs;
mod sign;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
use crate::disk::{Disk, Partition, SYSROOT};
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem, Place};
use crate::fsverity::{self, Algorithm};
use crate::mounted::Mounted;

use calls::{commit, entries, ostree};
use sign::Signer;

pub use tree::{KERNEL_VERSION, Source, deployable};

/// The stateroot ("OS name") of all deployments.
pub const STATEROOT: &str = "probe";
/// The branch that deployments follow.
pub const BRANCH: &str = "probe/stable";
/// Bytes of a sysroot with trees of a few megabytes.
const BYTES: u64 = 128 << 20;
/// Date of the first commit, in seconds of the epoch. The next ones follow each a second later, so that the same trees in
/// the same order give the same checksums, and no two commits share one.
const FIRST_COMMIT: u64 = 1_700_000_000;

#[derive(Clone, Debug)]
enum Step {
    Commit(Source),
    Deploy,
}

/// Whether deployments have a composefs image, and what vouches for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Composefs {
    /// They have none.
    #[default]
    No,
    /// `.ostree.cfs`, and no fs-verity.
    Plain,
    /// `.ostree.cfs`, and fs-verity on it and on all objects. This takes ext4.
    Verity,
    /// The same, and the commits are signed by the key of [`public_key`].
    Signed,
}

/// The key that signs commits, in base64: one line of the file that prepare-root.conf's `keypath=` names.
///
/// # Errors
/// When OpenSSL fails.
pub fn public_key() -> Result<String> {
    Ok(Signer::new(SIGNER)?.public)
}

/// Another key, which signs nothing.
///
/// # Errors
/// When OpenSSL fails.
pub fn other_public_key() -> Result<String> {
    Ok(Signer::new("other")?.public)
}

const SIGNER: &str = "commits";

/// A sysroot that is to be made.
#[derive(Clone, Debug)]
pub struct Sysroot {
    composefs: Composefs,
    filesystem: Filesystem,
    place: Place,
    bytes: u64,
    steps: Vec<Step>,
    /// Changes, each to the whole sysroot or to the deployment of this number.
    edits: Vec<(Option<usize>, Edit)>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Checksum of its commit.
    pub checksum: String,
    /// Its directory, relative to the sysroot: `ostree/deploy/probe/deploy/CHECKSUM.SERIAL`.
    pub directory: String,
    /// The boot link that leads to it: `/ostree/boot.N/probe/BOOTCSUM/INDEX`.
    pub link: String,
    /// All words that its boot entry puts on the kernel's command line, the one with the link among them.
    pub options: String,
    /// Name of its boot entry in `/boot/loader/entries`.
    pub entry: String,
    /// The fs-verity digest of its composefs image, in hexadecimal.
    pub composefs: Option<String>,
}

impl Deployment {
    /// The word that boots it.
    pub fn word(&self) -> String {
        format!("ostree={}", self.link)
    }

    /// What surefoot calls it.
    pub fn name(&self) -> String {
        let serial = self.directory.rsplit('.').next().unwrap_or_default();
        format!("{STATEROOT}-{}.{serial}", self.checksum.get(..12).unwrap_or_default())
    }
}

/// A sysroot.
#[derive(Clone, Debug)]
pub struct Image {
    /// The filesystem.
    pub path: PathBuf,
    /// Its deployments in the order in which they were made: the newest, which ostree boots first, comes last.
    pub deployments: Vec<Deployment>,
}

impl Default for Sysroot {
    fn default() -> Self {
        Self {
            composefs: Composefs::No,
            filesystem: Filesystem::Ext4,
            place: Place::Top,
            bytes: BYTES,
            steps: Vec::new(),
            edits: Vec::new(),
        }
    }
}

impl Sysroot {
    /// A sysroot on ext4 without a deployment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts it on another filesystem: XFS or btrfs.
    #[must_use]
    pub fn on(mut self, filesystem: Filesystem) -> Self {
        self.filesystem = filesystem;
        self
    }

    /// Puts it into a subvolume of a btrfs.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        (self.filesystem, self.place) = (Filesystem::Btrfs, place);
        self
    }

    /// Gives deployments a composefs image.
    #[must_use]
    pub fn composefs(mut self, composefs: Composefs) -> Self {
        self.composefs = composefs;
        self
    }

    /// Changes the filesystem's length; 128 MiB by default.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Commits to the branch, and deploys nothing: what `ostree admin upgrade` finds in the guest.
    #[must_use]
    pub fn commit(mut self, source: impl Into<Source>) -> Self {
        self.steps.push(Step::Commit(source.into()));
        self
    }

    /// Commits to the branch, and makes a deployment of it beside the earlier ones.
    #[must_use]
    pub fn deploy(self, source: impl Into<Source>) -> Self {
        let mut sysroot = self.commit(source);
        sysroot.steps.push(Step::Deploy);
        sysroot
    }

    /// Makes a change to the sysroot when everything is deployed.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push((None, edit));
        self
    }

    /// Makes a change in a deployment; `number` counts them from 0 in the order in which they were made.
    #[must_use]
    pub fn edit_in(mut self, number: usize, edit: Edit) -> Self {
        self.edits.push((Some(number), edit));
        self
    }

    fn key(&self) -> Result<Key> {
        let mut key = Key::default().text(RECIPE).text(self.filesystem.name()).text(&self.bytes.to_string());
        key = key.text(&run(command("ostree").arg("--version"))?).text(&format!("{:?}", self.composefs));
        if self.composefs == Composefs::Signed {
            key = key.text(&public_key()?);
        }
        if self.place != Place::Top {
            key = key.text(&format!("{:?}", self.place));
        }
        for step in &self.steps {
            key = match step {
                Step::Commit(source) => source.key(key.text("commit")),
                Step::Deploy => key.text("deploy"),
            };
        }
        let edits = self.edits.iter();
        let place = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
        Ok(edits.fold(key, |key, (number, edit)| edit.key(key.text(&place(*number)))))
    }

    /// Makes it, unless it was made before.
    ///
    /// # Errors
    /// Without root, and what the tools say.
    pub fn build(&self) -> Result<Image> {
        let folder = cache::cached("ostree", "sysroot", self.key()?, |folder| {
            fs::create_dir(folder)?;
            self.make(folder)
        })?;
        let deployments = fs::read(folder.join("deployments"))?;
        Ok(Image { path: folder.join("image"), deployments: serde_json::from_slice(&deployments)? })
    }

    fn make(&self, folder: &Path) -> Result<()> {
        ensure!(is_root()?, "a sysroot cannot be made: only root may give files to root");
        let scratch = tempfile::tempdir_in(folder)?;
        let top = scratch.path().join("sysroot");
        let deployments = self.lay_out(scratch.path(), &top)?;
        run(ostree(&top).args(["fsck", "--quiet"]).arg(format!("--repo={}/ostree/repo", top.display())))?;
        for (number, edit) in &self.edits {
            let edit = match number {
                None => edit.clone(),
                Some(number) => {
                    edit.clone().below(&deployments.get(*number).context("no deployment to change")?.directory)
                }
            };
            edit.apply(&top)?;
        }
        let immutable = deployments.iter().map(|deployment| deployment.directory.as_str()).collect();
        let directory = Directory { top: &top, bytes: self.bytes, label: SYSROOT, immutable, place: self.place };
        let image = folder.join("image");
        directory.image(self.filesystem, &image)?;
        if matches!(self.composefs, Composefs::Verity | Composefs::Signed) {
            let images = deployments.iter().map(|deployment| format!("{}/.ostree.cfs", deployment.directory));
            let images = images.filter(|image| top.join(image).exists());
            let paths: Vec<_> = images.chain(["ostree/repo/objects".to_owned()]).collect();
            fsverity::enable(&image, Algorithm::Sha256, &paths)?;
        }
        Ok(fs::write(folder.join("deployments"), serde_json::to_vec(&deployments)?)?)
    }

    /// Commits and deploys below `top`.
    fn lay_out(&self, scratch: &Path, top: &Path) -> Result<Vec<Deployment>> {
        fs::create_dir(top)?;
        run(ostree(top).args(["admin", "init-fs", "--modern"]).arg(top))?;
        run(ostree(top).args(["admin", "os-init", STATEROOT]))?;
        // What systemd-tmpfiles makes on the first boot of a real system.
        fs::create_dir(top.join("ostree/deploy").join(STATEROOT).join("var/home"))?;
        let (mut made, mut image) = (Vec::new(), None);
        for (time, step) in (FIRST_COMMIT..).zip(&self.steps) {
            match step {
                Step::Commit(source) => image = commit(scratch, top, source, time, self.composefs)?,
                Step::Deploy => {
                    run(ostree(top).args(["admin", "deploy", "--retain", &format!("--os={STATEROOT}"), BRANCH]))?;
                    let directory = entries(top)?.pop().context("ostree made no boot entry")?.directory;
                    if let Some(image) = &image {
                        fs::write(top.join(&directory).join(".ostree.cfs"), &image.image)?;
                    }
                    made.push((directory, image.as_ref().map(|image| image.digest.clone())));
                }
            }
        }
        let entries = entries(top)?;
        let find = |(directory, composefs)| {
            let found = entries.iter().find(|entry| entry.directory == directory).cloned();
            let found = found.with_context(|| format!("no boot entry leads to {directory}"))?;
            Ok(Deployment { composefs, ..found })
        };
        made.into_iter().map(find).collect()
    }
}

/// Part of every cache key: to be changed together with how sysroots are made.
const RECIPE: &str = "3";

/// The boot entries on a disk with a sysroot, after a machine has run from it: what its boot loader would now choose comes
/// last. This takes root.
///
/// # Errors
/// When there are none, or the sysroot cannot be mounted.
pub fn entries_on(disk: &Disk) -> Result<Vec<Deployment>> {
    let (start, length) = disk.extent(SYSROOT)?;
    // Whoever cut the power has left a journal that cannot be replayed here.
    let mounted = Mounted::new(&disk.path, &format!("ro,noload,offset={start},sizelimit={length}"))?;
    let entries = entries(mounted.path())?;
    mounted.unmount()?;
    Ok(entries)
}

impl Image {
    /// A partition that holds it.
    pub fn partition(&self) -> Partition {
        Partition::sysroot(&self.path)
    }
}

#[cfg(test)]
mod tests;
