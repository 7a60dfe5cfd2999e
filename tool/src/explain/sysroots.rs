//! The filesystems that are looked into for deployments, as far as they can be seen.

use std::cell::Cell;

use deployment::candidates::MAX_SYSROOTS;
use deployment::tree::{FileKind, Status, Tree, TreeError};
use deployment::{ReadAt, ReadError};
use init::mounted_tree::MountedTree;
use init::places;
use init::plan::LoopFile;
use init::reason;
use init::text::Reason;
use nix::errno::Errno;

use crate::disk_image::Content;
use crate::tree::Ext4Tree;

/// Filesystems that are read without mounting them.
const READABLE: [&str; 3] = ["ext2", "ext3", "ext4"];

/// The filesystems, by their numbers.
#[derive(Default)]
pub(super) struct Sysroots {
    trees: [Option<Asked>; MAX_SYSROOTS],
    /// What steps have made in them.
    made: Vec<String>,
    /// The files that are loop devices.
    loops: Vec<LoopFile>,
}

/// The number of the filesystem that a path of the initramfs is in, and the path there.
pub(super) fn in_sysroot(path: &str) -> Option<(usize, &str)> {
    let inside = path.strip_prefix(places::SYSROOTS)?.strip_prefix('/')?;
    let (number, rest) = inside.split_once('/').unwrap_or((inside, ""));
    number.parse().ok().map(|number| (number, rest))
}

impl Sysroots {
    /// Reads a filesystem of this type without mounting it. `false`: this type can only be mounted.
    pub(super) fn read(&mut self, number: usize, kind: &str, content: Content) -> Result<bool, String> {
        if !READABLE.contains(&kind) {
            return Ok(false);
        }
        let tree = Ext4Tree::open(content)?;
        self.keep(number, Box::new(tree));
        Ok(true)
    }

    /// Opens the directory that a filesystem is mounted on.
    pub(super) fn open(&mut self, number: usize, directory: &str) {
        if let Ok(tree) = MountedTree::open(directory) {
            self.keep(number, Box::new(tree));
        }
    }

    fn keep(&mut self, number: usize, tree: Box<dyn Tree>) {
        if let Some(place) = self.trees.get_mut(number) {
            *place = Some(Asked { tree, untold: Cell::new(None) });
        }
    }

    /// What can be seen of one.
    pub(super) fn tree(&self, number: usize) -> Option<&dyn Tree> {
        Some(self.trees.get(number)?.as_ref()?)
    }

    /// Why the last thing that a filesystem was asked was not told, if fs-verity is the reason.
    pub(super) fn untold(&self) -> Option<TreeError> {
        self.trees.iter().flatten().find_map(|asked| asked.untold.get())
    }

    /// Forgets about what was not told: nothing failed by it.
    pub(super) fn go_on(&self) {
        self.trees.iter().flatten().for_each(|asked| asked.untold.set(None));
    }

    /// Takes note that a step makes something.
    pub(super) fn make(&mut self, path: &str) {
        if in_sysroot(path).is_some() {
            self.made.push(path.to_owned());
        }
    }

    /// Checks that there is something of this kind at a path, and that no link leads there, as PID 1 would find. Elsewhere
    /// than in a filesystem that was looked into nothing can be told.
    pub(super) fn check(&self, path: &str, wanted: FileKind) -> Result<(), Reason> {
        let Some((tree, inside)) = in_sysroot(path).and_then(|(number, inside)| Some((self.tree(number)?, inside)))
        else {
            return Ok(());
        };
        let is_below = |made: &String| {
            path.strip_prefix(made.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.made.iter().any(is_below) {
            return Ok(());
        }
        match tree.status(inside).map(|status| status.kind) {
            Ok(found) if found == wanted => Ok(()),
            Ok(FileKind::Link) => Err(reason!("{path}: {}", TreeError::Link)),
            Ok(_) => Err(reason!("{path}: {}", TreeError::WrongKind)),
            Err(why) => Err(reason!("{path}: {why}")),
        }
    }

    /// Takes note of a loop device.
    pub(super) fn attach(&mut self, file: &LoopFile) -> Result<(), Reason> {
        self.check(&file.file, FileKind::File).map_err(|why| reason!("cannot open the image {why}"))?;
        self.loops.push(file.clone());
        Ok(())
    }

    /// Forgets a loop device.
    pub(super) fn detach(&mut self, name: &str) {
        self.loops.retain(|file| file.name != name);
    }

    /// The file that a loop device shows.
    pub(super) fn loop_file(&self, name: &str) -> Option<&LoopFile> {
        self.loops.iter().find(|file| file.name == name)
    }

    /// The node that a loop device would have on a machine without others.
    pub(super) fn loop_node(&self, name: &str) -> Option<String> {
        self.loops.iter().position(|file| file.name == name).map(|number| format!("/dev/loop{number}"))
    }

    /// The content of a loop device.
    pub(super) fn content(&self, name: &str) -> Option<FileContent<'_>> {
        let LoopFile { file, offset, size, .. } = self.loop_file(name)?;
        let (number, path) = in_sysroot(file)?;
        Some(FileContent { tree: self.tree(number)?, path, offset: *offset, size: *size })
    }
}

/// A filesystem that takes note where it cannot tell an fs-verity digest, or read a file that has fs-verity, until it is asked
/// something else.
struct Asked {
    tree: Box<dyn Tree>,
    untold: Cell<Option<TreeError>>,
}

impl Asked {
    fn ask(&self) -> &dyn Tree {
        self.untold.set(None);
        &*self.tree
    }
}

impl Tree for Asked {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        let read = self.ask().read(path, buffer);
        // Without fs-verity a kernel does not open a file that has it.
        self.untold.set(read.err().filter(|why| *why == TreeError::Unsupported));
        read
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        self.ask().read_exact_at(path, offset, buffer)
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.ask().read_link(path, buffer)
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        self.ask().list(path, visit)
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        self.ask().status(path)
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        let told = self.ask().verity_digest(path, digest);
        self.untold.set(told.err());
        told
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.ask().subvolume(number, buffer)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.ask().is_read_only_subvolume(path)
    }
}

/// A part of a file.
pub(super) struct FileContent<'t> {
    tree: &'t dyn Tree,
    path: &'t str,
    offset: u64,
    size: u64,
}

impl ReadAt for FileContent<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        let start = end.and_then(|_| self.offset.checked_add(offset)).ok_or(ReadError::OutOfRange)?;
        self.tree.read_exact_at(self.path, start, buffer).map_err(|why| match why {
            TreeError::Failed(errno) => ReadError::Device(errno),
            _ => ReadError::Device(Errno::EIO as i32),
        })
    }

    fn size(&self) -> u64 {
        self.size
    }
}
