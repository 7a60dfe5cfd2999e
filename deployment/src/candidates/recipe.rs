//! What makes up the root of a deployment that lies in a filesystem: the parts that its kind asks for, in order. The plan
//! makes each of them a step.

use core::fmt;

use boot_config::config::VerityOptions;
use overlay::MountFlags;
use verity::RootHash;

use crate::filesystem::FilesystemKind;

/// Takes down the parts of a root, in the order in which they are set up.
pub trait Recipe {
    /// Adds a part.
    fn add(&mut self, part: &Part<'_>) -> Result<(), Refused>;

    /// Says that a directory of the root is the deployment's own, so that it needs no other layer unless a key of the
    /// command line asks for one.
    fn provides(&mut self, directory: &'static str);

    /// Room for one large thing that is looked at while the root is put together: [`MAX_ROOM`] bytes, as the last one left
    /// them. Only what is used costs memory, where the stack would keep it.
    fn room(&mut self) -> &mut [u8];

    /// Takes down why there can be no such root.
    fn refuse(&mut self, why: fmt::Arguments<'_>) -> Refused;
}

/// There can be no such root; the recipe knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// At the top of the filesystem that holds the deployment. No symbolic link is followed there.
    Sysroot,
    /// At the new root.
    Root,
    /// At `/run`, which the real init finds as it is left.
    Run,
    /// In a directory in memory that is this deployment's alone.
    Memory,
}

/// A path, relative to its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'p> {
    /// Where it begins.
    pub base: Base,
    /// The path, without a leading slash; empty for the base itself.
    pub path: &'p str,
}

impl<'p> Place<'p> {
    /// In the filesystem that holds the deployment.
    pub const fn sysroot(path: &'p str) -> Self {
        Self { base: Base::Sysroot, path }
    }

    /// In the new root.
    pub const fn root(path: &'p str) -> Self {
        Self { base: Base::Root, path }
    }

    /// Below `/run`.
    pub const fn run(path: &'p str) -> Self {
        Self { base: Base::Run, path }
    }

    /// In memory.
    pub const fn memory(path: &'p str) -> Self {
        Self { base: Base::Memory, path }
    }
}

/// A part of a root.
#[derive(Clone, Copy, Debug)]
pub enum Part<'p> {
    /// A subvolume of the btrfs that holds the deployment, mounted by itself, with the options of `rootflags=`.
    Subvolume {
        /// Its path, from the top of the filesystem.
        path: &'p str,
        /// Where.
        target: Place<'p>,
        /// The mount's flags.
        flags: MountFlags,
    },
    /// A directory that is seen elsewhere too, without what is mounted in it.
    Bind {
        /// The directory.
        directory: Place<'p>,
        /// Where else.
        target: Place<'p>,
        /// That mount's flags.
        flags: MountFlags,
    },
    /// As [`Part::Bind`], unless the root has no such target: then it does without.
    OptionalBind {
        /// The directory.
        directory: Place<'p>,
        /// Where else.
        target: Place<'p>,
        /// That mount's flags.
        flags: MountFlags,
    },
    /// A writable layer over a directory.
    Overlay {
        /// The directory.
        lower: Place<'p>,
        /// What takes the changes; made like the directory if it is missing.
        upper: Place<'p>,
        /// Overlayfs's own directory beside it; made if it is missing.
        work: Place<'p>,
        /// Where both are seen together.
        target: Place<'p>,
        /// That mount's flags.
        flags: MountFlags,
    },
    /// A composefs: an EROFS image of names, over a folder of objects that hold the content of files.
    Composefs {
        /// The image.
        image: Place<'p>,
        /// The fs-verity digest that the image must have, in bytes; empty where it need not have one.
        digest: &'p [u8],
        /// The folder of objects.
        objects: Place<'p>,
        /// Whether every object must have the fs-verity digest that the image names (`verity=require`).
        verity: bool,
        /// What the mount table shows as the source.
        source: &'p str,
        /// What takes changes (`upper` and `work` in it).
        writable: Option<Place<'p>>,
        /// Where.
        target: Place<'p>,
        /// The mount's flags.
        flags: MountFlags,
    },
    /// A filesystem in a file, verified by dm-verity.
    Image {
        /// Where the filesystem is.
        data: Extent<'p>,
        /// Where its hash tree is, with the superblock in front.
        hash: Extent<'p>,
        /// What vouches for both.
        root_hash: RootHash,
        /// How it is activated.
        options: VerityOptions,
        /// What kind of filesystem it seems to be.
        filesystem: Option<FilesystemKind>,
        /// Where it is mounted, read-only.
        target: Place<'p>,
    },
    /// A filesystem in a file that nothing verifies.
    PlainImage {
        /// Where the filesystem is.
        data: Extent<'p>,
        /// What kind of filesystem it seems to be.
        filesystem: Option<FilesystemKind>,
        /// Where it is mounted, read-only.
        target: Place<'p>,
    },
    /// A tmpfs.
    Tmpfs {
        /// Where.
        target: Place<'p>,
        /// Permission bits of its top.
        mode: u32,
    },
    /// A directory; one that exists is fine.
    Directory {
        /// Where.
        place: Place<'p>,
        /// Permission bits of a new one.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        destination: &'static str,
        /// Where it is.
        place: Place<'p>,
    },
    /// A small file.
    File {
        /// Where.
        place: Place<'p>,
        /// Permission bits.
        mode: u32,
        /// What is in it, [`MAX_FILE`] bytes at the most.
        content: &'p [u8],
    },
    /// The real init is told which device `/` comes from, where `/` itself does not show it.
    RecordDevice,
}

/// Bytes of a recipe's room.
pub const MAX_ROOM: usize = 1 << 20;

/// Most bytes of a [`Part::File`].
pub const MAX_FILE: usize = 384;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent<'p> {
    /// The file.
    pub file: Place<'p>,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

#[cfg(test)]
pub(crate) mod recorder;
