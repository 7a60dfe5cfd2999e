//! Sysroots with ostree deployments, made by Debian's `ostree`. This takes root: deployments belong to root.

mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
use crate::disk::{Disk, Partition, types};
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem};
use crate::mounted::Mounted;

pub use tree::{KERNEL_VERSION, Source, deployable};

/// The stateroot ("OS name") of all deployments.
pub const STATEROOT: &str = "probe";
/// The branch that deployments follow.
pub const BRANCH: &str = "probe/stable";
/// Label of the partition that holds a sysroot.
pub const LABEL: &str = "sysroot";
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

/// A sysroot that is to be made.
#[derive(Clone, Debug)]
pub struct Sysroot {
    filesystem: Filesystem,
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
    /// Name of its boot entry in `/boot/loader/entries`.
    pub entry: String,
}

impl Deployment {
    /// The word that boots it.
    pub fn word(&self) -> String {
        format!("ostree={}", self.link)
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
        Self { filesystem: Filesystem::Ext4, bytes: BYTES, steps: Vec::new(), edits: Vec::new() }
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
        key = key.text(&run(command("ostree").arg("--version"))?);
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
        let directory = Directory { top: &top, bytes: self.bytes, label: LABEL, immutable };
        directory.image(self.filesystem, &folder.join("image"))?;
        Ok(fs::write(folder.join("deployments"), serde_json::to_vec(&deployments)?)?)
    }

    /// Commits and deploys below `top`.
    fn lay_out(&self, scratch: &Path, top: &Path) -> Result<Vec<Deployment>> {
        fs::create_dir(top)?;
        run(ostree(top).args(["admin", "init-fs", "--modern"]).arg(top))?;
        run(ostree(top).args(["admin", "os-init", STATEROOT]))?;
        // What systemd-tmpfiles makes on the first boot of a real system.
        fs::create_dir(top.join("ostree/deploy").join(STATEROOT).join("var/home"))?;
        let mut directories = Vec::new();
        for (time, step) in (FIRST_COMMIT..).zip(&self.steps) {
            match step {
                Step::Commit(source) => commit(scratch, top, source, time)?,
                Step::Deploy => {
                    run(ostree(top).args(["admin", "deploy", "--retain", &format!("--os={STATEROOT}"), BRANCH]))?;
                    directories.push(entries(top)?.pop().context("ostree made no boot entry")?.directory);
                }
            }
        }
        let entries = entries(top)?;
        let find = |directory| {
            let found = entries.iter().find(|entry| entry.directory == directory).cloned();
            found.with_context(|| format!("no boot entry leads to {directory}"))
        };
        directories.into_iter().map(find).collect()
    }
}

/// Part of every cache key: to be changed together with how sysroots are made.
const RECIPE: &str = "1";

fn ostree(top: &Path) -> Command {
    let mut ostree = command("ostree");
    // Immutable files could not be changed or removed here; they become so in the image.
    ostree.env("OSTREE_SYSROOT", top).env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
    ostree
}

fn commit(scratch: &Path, top: &Path, source: &Source, time: u64) -> Result<()> {
    let folder = tempfile::tempdir_in(scratch)?;
    let mut ostree = ostree(top);
    ostree.arg(format!("--repo={}/ostree/repo", top.display())).args(["commit", "-b", BRANCH]);
    ostree.args(["--owner-uid=0", "--owner-gid=0", "--no-xattrs", "--tar-autocreate-parents"]);
    run(ostree.arg(format!("--timestamp=@{time}")).args(source.words(folder.path())?)).map(drop)
}

/// The boot entries of the Boot Loader Specification that ostree has written, the one with the highest version last.
fn entries(top: &Path) -> Result<Vec<Deployment>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(top.join("boot/loader/entries"))? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let version: u32 =
            value("version ").and_then(|text| text.parse().ok()).context("a version that is no number")?;
        let mut words = value("options ").unwrap_or_default().split(' ');
        let link = words.find_map(|word| word.strip_prefix("ostree=")).context("a boot entry without ostree=")?;
        let target = fs::canonicalize(top.join(link.trim_start_matches('/')))?;
        let directory = target.strip_prefix(top.canonicalize()?)?.to_string_lossy().into_owned();
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let checksum = name.split('.').next().unwrap_or_default().to_owned();
        let entry = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        entries.push((version, Deployment { checksum, directory, link: link.to_owned(), entry }));
    }
    entries.sort_by_key(|(version, _)| *version);
    Ok(entries.into_iter().map(|(_, deployment)| deployment).collect())
}

/// The boot entries on a disk with a sysroot, after a machine has run from it: what its boot loader would now choose comes
/// last. This takes root.
///
/// # Errors
/// When there are none, or the sysroot cannot be mounted.
pub fn entries_on(disk: &Disk) -> Result<Vec<Deployment>> {
    let (start, length) = disk.extent(LABEL)?;
    // Whoever cut the power has left a journal that cannot be replayed here.
    let mounted = Mounted::new(&disk.path, &format!("ro,noload,offset={start},sizelimit={length}"))?;
    let entries = entries(mounted.path())?;
    mounted.unmount()?;
    Ok(entries)
}

impl Image {
    /// A partition that holds it, as the Discoverable Partitions Specification has it for roots.
    pub fn partition(&self) -> Partition {
        Partition::new(LABEL, types::ROOT, &self.path)
    }
}

#[cfg(test)]
mod tests;
