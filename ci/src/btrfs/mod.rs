//! A root on btrfs with snapshots as openSUSE MicroOS has it, made by Debian's `snapper`. This takes root.
//!
//! ```text
//! @                               subvolume, holds the others
//! @/.snapshots                    mounted at /.snapshots
//! @/.snapshots/N/info.xml         what snapper knows of snapshot N
//! @/.snapshots/N/snapshot         a whole root; one of them is the default subvolume of the filesystem
//! @/var, @/home, @/root           mounted by name
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
use crate::disk::{Partition, SYSROOT};
use crate::edit::Edit;
use crate::mounted::Mounted;
use crate::tree::Tree;

/// Bytes of a filesystem with trees of a few megabytes.
const BYTES: u64 = 256 << 20;
/// What a root mounts from beside its snapshot, by the path.
const BESIDE: [&str; 4] = [".snapshots", "home", "root", "var"];

/// How a rollback is made (snapper(8), `--ambit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ambit {
    Transactional,
    Classic,
}

#[derive(Clone, Debug)]
enum Step {
    /// A tar archive, if there is one, and a tree over it.
    Snapshot(Option<PathBuf>, Tree),
    Rollback(Ambit, usize),
    /// In a snapshot.
    Edit(usize, Edit),
}

/// A filesystem with snapshots that is to be made.
#[derive(Clone, Debug)]
pub struct Snapshots {
    bytes: u64,
    steps: Vec<Step>,
    etc_subvolumes: bool,
    writable: bool,
    edits: Vec<Edit>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { bytes: BYTES, steps: Vec::new(), etc_subvolumes: false, writable: false, edits: Vec::new() }
    }
}

impl Snapshots {
    /// A filesystem without a snapshot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the filesystem's length; 256 MiB by default.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Adds a snapshot with the content of a tree and makes it the default, as transactional-update does: it begins as a copy
    /// of the one before. Snapshots are numbered from 1.
    #[must_use]
    pub fn snapshot(mut self, tree: &Tree) -> Self {
        self.steps.push(Step::Snapshot(None, rooted(tree)));
        self
    }

    /// The same with the content of a tar archive, and a tree whose files replace some of that.
    #[must_use]
    pub fn snapshot_of(mut self, archive: &Path, over: &Tree) -> Self {
        self.steps.push(Step::Snapshot(Some(archive.to_owned()), rooted(over)));
        self
    }

    /// Makes an earlier snapshot the default by `snapper rollback NUMBER`, as on a transactional system.
    #[must_use]
    pub fn rollback(mut self, number: usize) -> Self {
        self.steps.push(Step::Rollback(Ambit::Transactional, number));
        self
    }

    /// The same as on a system with a writable root: snapper adds two snapshots, a read-only one of what was the default,
    /// and a writable copy of the snapshot, which becomes the default.
    #[must_use]
    pub fn rollback_to_copy(mut self, number: usize) -> Self {
        self.steps.push(Step::Rollback(Ambit::Classic, number));
        self
    }

    /// Makes the `/etc` of each snapshot a writable subvolume in it.
    #[must_use]
    pub fn etc_subvolumes(mut self) -> Self {
        self.etc_subvolumes = true;
        self
    }

    /// Leaves snapshots writable; they are read-only otherwise.
    #[must_use]
    pub fn writable(mut self) -> Self {
        self.writable = true;
        self
    }

    /// Makes a change in a snapshot that is there by now.
    #[must_use]
    pub fn edit_in(mut self, number: usize, edit: Edit) -> Self {
        self.steps.push(Step::Edit(number, edit));
        self
    }

    /// Makes a change relative to `@` when everything else is done. Snapshots are read-only then.
    #[must_use]
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Makes it, unless it was made before.
    ///
    /// # Errors
    /// Without root, and what the tools say.
    pub fn build(&self) -> Result<Image> {
        let sort = format!("{} {} {}", self.bytes, self.etc_subvolumes, self.writable);
        let mut key = Key::default().text(RECIPE).text(&sort);
        key = key.text(&run(command("snapper").arg("--version"))?);
        for step in &self.steps {
            key = match step {
                // Archives have a key in their names.
                Step::Snapshot(archive, tree) => tree.key(key.text(&format!("snapshot {archive:?}"))),
                Step::Rollback(ambit, number) => key.text(&format!("{ambit:?} {number}")),
                Step::Edit(number, edit) => edit.key(key.text(&number.to_string())),
            };
        }
        let key = self.edits.iter().fold(key, |key, edit| edit.key(key));
        // No two filesystems that are mounted at once may share a UUID.
        let uuid = format!("5afe0b07-0000-4000-b000-0000{:.8}", key.clone().hex());
        let path = cache::cached("btrfs", "snapshots", key, |image| self.make(image, &uuid))?;
        Ok(Image { path, uuid })
    }

    fn make(&self, image: &Path, uuid: &str) -> Result<()> {
        ensure!(is_root()?, "snapshots cannot be made: only root may mount");
        fs::File::create(image)?.set_len(self.bytes)?;
        run(command("mkfs.btrfs").args(["-q", "-U", uuid, "-L", SYSROOT]).arg(image))?;
        let whole = Mounted::new(image, "")?;
        run(btrfs("subvolume", &["create"]).arg(whole.path().join("@")))?;
        whole.unmount()?;
        let mounted = Mounted::new(image, "subvol=@")?;
        self.lay_out(mounted.path())?;
        mounted.unmount()
    }

    /// Makes everything below `top`, where `@` is mounted.
    fn lay_out(&self, top: &Path) -> Result<()> {
        for name in BESIDE {
            run(btrfs("subvolume", &["create"]).arg(top.join(name)))?;
        }
        // What snapper has to find to work here; the snapshots have it of their own.
        configuration(Tree::default().directory("etc")).below("etc").write_new(&top.join("etc"))?;
        let mut last = 0;
        for step in &self.steps {
            match step {
                Step::Snapshot(archive, tree) => {
                    last = self.add(top, archive.as_deref(), tree, last)?;
                }
                Step::Rollback(ambit, number) => {
                    let ambit = if *ambit == Ambit::Classic { "classic" } else { "transactional" };
                    run(snapper(top).args(["--ambit", ambit, "rollback", &number.to_string()]))?;
                }
                Step::Edit(number, edit) => {
                    let snapshot = snapshot(top, *number);
                    let read_only = run(btrfs("property", &["get", "-ts"]).arg(&snapshot).arg("ro"))?;
                    set_read_only(&snapshot, false)?;
                    edit.apply(&snapshot)?;
                    set_read_only(&snapshot, read_only.trim() == "ro=true")?;
                }
            }
        }
        // Nothing but subvolumes is left in @.
        Edit::remove("etc").apply(top)?;
        self.edits.iter().try_for_each(|edit| edit.apply(top))
    }

    /// Adds a snapshot as a copy of `from`, or an empty one where that is 0, and gives it the content of a tree over that of
    /// an archive.
    fn add(&self, top: &Path, archive: Option<&Path>, tree: &Tree, from: usize) -> Result<usize> {
        let from_number = from.to_string();
        let words: &[&str] = if from == 0 { &[] } else { &["--from", &from_number] };
        let description = if from == 0 { "first root filesystem".to_owned() } else { format!("update of #{from}") };
        let mut create = snapper(top);
        create.args(["create", "--print-number", "--read-write", "--cleanup-algorithm", "number"]).args(words);
        let number: usize =
            run(create.args(["--userdata", "important=yes", "--description", &description]))?.trim().parse()?;
        let snapshot = snapshot(top, number);
        for entry in fs::read_dir(&snapshot)? {
            let path = entry?.path();
            run(command("rm").args(["--recursive", "--force"]).arg(path))?;
        }
        if self.etc_subvolumes {
            run(btrfs("subvolume", &["create"]).arg(snapshot.join("etc")))?;
        }
        if let Some(archive) = archive {
            run(command("tar").args(["--extract", "--numeric-owner", "--file"]).arg(archive).arg("-C").arg(&snapshot))?;
        }
        let over = tempfile::tempdir()?;
        tree.write(over.path())?;
        run(command("cp").args(["--archive", "--no-target-directory"]).args([over.path(), &snapshot]))?;
        set_read_only(&snapshot, !self.writable)?;
        let id = run(btrfs("inspect-internal", &["rootid"]).arg(&snapshot))?;
        run(btrfs("subvolume", &["set-default", id.trim()]).arg(top))?;
        Ok(number)
    }
}

/// Part of every cache key: to be changed together with how snapshots are made.
const RECIPE: &str = "3";

/// A filesystem with snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The filesystem.
    pub path: PathBuf,
    /// Its UUID.
    pub uuid: String,
}

impl Image {
    /// A partition that holds it.
    pub fn partition(&self) -> Partition {
        Partition::sysroot(&self.path)
    }
}

/// A snapshot's path below the filesystem's top, as `rootflags=subvol=` takes it.
pub fn subvolume(number: usize) -> String {
    format!("@/.snapshots/{number}/snapshot")
}

/// A tree as the root of such a system: with an `/etc/fstab`, snapper's configuration, and directories that get mounts.
fn rooted(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    for name in BESIDE.iter().filter(|name| !tree.contains(name)).collect::<Vec<_>>() {
        tree = tree.directory(name);
    }
    // None for the root: "ro" there has systemd-remount-fs(8) make the whole filesystem read-only, all subvolumes of it.
    let mut table = String::new();
    for name in BESIDE {
        let _ = writeln!(table, "LABEL={SYSROOT} /{name} btrfs subvol=/@/{name} 0 0");
    }
    let tree = if tree.contains("etc") { tree } else { tree.directory("etc") };
    let tree = if tree.contains("etc/fstab") { tree } else { tree.file("etc/fstab", table, 0o644) };
    configuration(tree)
}

/// Adds what snapper reads: the list of configurations, where Debian has it, and the one of the root.
fn configuration(tree: Tree) -> Tree {
    tree.directory("etc/default")
        .file("etc/default/snapper", "SNAPPER_CONFIGS=\"root\"\n", 0o644)
        .directory("etc/snapper")
        .directory("etc/snapper/configs")
        .file("etc/snapper/configs/root", "SUBVOLUME=\"/\"\nFSTYPE=\"btrfs\"\n", 0o640)
}

fn snapshot(top: &Path, number: usize) -> PathBuf {
    top.join(format!(".snapshots/{number}/snapshot"))
}

fn set_read_only(subvolume: &Path, read_only: bool) -> Result<()> {
    let value = if read_only { "true" } else { "false" };
    run(btrfs("property", &["set", "-f", "-ts"]).arg(subvolume).args(["ro", value])).map(drop)
}

fn btrfs(group: &str, words: &[&str]) -> Command {
    let mut btrfs = command("btrfs");
    btrfs.arg(group).args(words);
    btrfs
}

/// snapper, about the system whose root is mounted at `top`.
fn snapper(top: &Path) -> Command {
    let mut snapper = command("snapper");
    snapper.args(["--no-dbus", "--root"]).arg(top);
    snapper
}

#[cfg(test)]
mod tests;
