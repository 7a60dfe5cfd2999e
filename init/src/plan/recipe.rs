//! The parts that a kind of deployment asks for, as steps.

use core::fmt;

use deployment::candidates::recipe::{Extent, MAX_ROOM};
use deployment::candidates::sysroot::kind_of;
use deployment::candidates::{Base, Look, Part, Place, Recipe, Refused, TreeSource, Trust};
use deployment::tree::{Below, Watched};
use heapless::Vec;
use overlay::layers::{UPPER, WORK};
use overlay::mount_options::MountFlags;
use sys::lending::{self, Lent};

use super::build::{Builder, ROOT};
use super::layer::{PRIVATE, PUBLIC, over};
use super::step::{Action, ComposefsSource, Device, LoopFile, Mount, Source, VerityDevice};
use crate::text::{self, Path, Reason, below};
use crate::{path, places, reason};

/// Most directories that a deployment provides itself.
const MAX_PROVIDED: usize = 8;

/// Where kinds look at something large; there is one plan at a time.
static ROOM: [lending::Place<[u8; MAX_ROOM]>; 1] = [const { lending::Place::new([0; MAX_ROOM]) }];

/// The directories that a deployment provides itself.
pub(super) type Provided = Vec<&'static str, MAX_PROVIDED>;

/// Adds the steps for the root of a deployment in a filesystem, at `root`, and gives what it provides.
#[inline(never)]
pub(super) fn root(
    builder: &mut Builder<'_, '_>,
    source: &TreeSource,
    look: &Look<'_>,
    root: &'static str,
) -> Result<Provided, Reason> {
    let kind = kind_of(builder.candidate).ok_or_else(|| reason!("its kind is unknown to this version"))?;
    let mut parts = Parts { builder, source, root, memory: None, provided: Provided::new(), room: None, refusal: None };
    let watched = Watched::new(look.tree);
    let tree = Below { tree: &watched, directory: &source.directory };
    let made = (kind.root)(source, &Look { tree: &tree, ..*look }, &mut parts);
    // What could not be read may be a part of it, or tell why there is none.
    if let Some(failure) = watched.into_failure() {
        return Err(reason!("cannot read /dev/{}: {failure}", source.device));
    }
    made.map(|()| parts.provided).map_err(|Refused| parts.refusal.unwrap_or_default())
}

/// Makes parts steps.
struct Parts<'p, 'b, 'a> {
    builder: &'p mut Builder<'b, 'a>,
    source: &'p TreeSource,
    root: &'static str,
    /// The directory in memory that is this deployment's, once there is one.
    memory: Option<Path>,
    provided: Provided,
    room: Option<Lent<[u8; MAX_ROOM]>>,
    refusal: Option<Reason>,
}

impl Recipe for Parts<'_, '_, '_> {
    fn add(&mut self, part: &Part<'_>) -> Result<(), Refused> {
        self.part(part).map_err(|why| {
            self.refusal = Some(why);
            Refused
        })
    }

    fn provides(&mut self, directory: &'static str) {
        // What does not fit gets a layer of its own.
        let _ = self.provided.push(directory);
    }

    fn room(&mut self) -> &mut [u8] {
        if self.room.is_none() {
            self.room = lending::lend(&ROOM);
        }
        // Where another plan has it there is none.
        self.room.as_mut().map_or(&mut [], |room| room.as_mut_slice())
    }

    #[inline(never)]
    fn refuse(&mut self, why: fmt::Arguments<'_>) -> Refused {
        self.refusal = Some(Reason::of(why));
        Refused
    }
}

impl<'a> Parts<'_, '_, 'a> {
    fn push(&mut self, action: Action<'a>) -> Result<(), Reason> {
        self.builder.push(action)
    }

    fn mount(&mut self, source: Source<'a>, target: Place<'_>, flags: MountFlags) -> Result<(), Reason> {
        let target = self.path(target)?;
        self.push(Action::Mount(Mount { source, target, flags }))
    }

    /// The path of the initramfs that a place is at.
    fn path(&mut self, Place { base, path }: Place<'_>) -> Result<Path, Reason> {
        let top = match base {
            Base::Sysroot if self.source.directory.is_empty() => sysroot(self.source.sysroot),
            Base::Sysroot => below(&sysroot(self.source.sysroot), &self.source.directory),
            Base::Root => text::path(self.root),
            Base::Run => text::path("/run"),
            Base::Memory => self.memory()?,
        };
        Ok(if path.is_empty() { top } else { below(&top, path) })
    }

    fn memory(&mut self) -> Result<Path, Reason> {
        if let Some(memory) = &self.memory {
            return Ok(memory.clone());
        }
        self.builder.memory()?;
        let memory = self.builder.memory_directory()?;
        self.memory = Some(memory.clone());
        Ok(memory)
    }

    /// The path of a directory that somebody else has written: that no link leads to it is checked first.
    fn checked(&mut self, place: Place<'_>) -> Result<Path, Reason> {
        let path = self.path(place)?;
        if matches!(place.base, Base::Sysroot | Base::Root) {
            self.push(Action::CheckSource { path: path.clone() })?;
        }
        Ok(path)
    }

    #[inline(never)]
    fn part(&mut self, part: &Part<'_>) -> Result<(), Reason> {
        match *part {
            Part::Subvolume { path, target, flags } => {
                let target = self.path(target)?;
                let device = Device::Block(self.source.device.clone());
                self.builder.subvolume(device, text::path(path), flags, &target)
            }
            Part::Bind { directory, target, flags } => {
                let directory = self.path(directory)?;
                self.mount(Source::Bind { directory }, target, flags)
            }
            Part::OptionalBind { directory, target, flags } => {
                let source = Source::Bind { directory: self.path(directory)? };
                let target = self.path(target)?;
                self.push(Action::MountIfThere(Mount { source, target, flags }))
            }
            Part::Overlay { lower, upper, work, target, flags } => {
                self.builder.load_module("overlay", true)?;
                let (lower, upper, work) = (self.checked(lower)?, self.path(upper)?, self.path(work)?);
                let target = self.path(target)?;
                over(self.builder, &lower, &target, upper, work, flags)
            }
            Part::Composefs { .. } => self.composefs(part),
            Part::Image { data, hash, root_hash, options, filesystem, target } => {
                self.builder.load_module("loop", true)?;
                self.loop_file(ROOT, data)?;
                self.loop_file("root-hash", hash)?;
                let verity = VerityDevice {
                    name: ROOT,
                    data: Device::Loop(ROOT),
                    hash: Device::Loop("root-hash"),
                    hash_offset: options.hash_offset,
                    root_hash,
                    ignore_zero_blocks: options.ignore_zero_blocks,
                    check_at_most_once: options.check_at_most_once,
                };
                let target = self.path(target)?;
                self.builder.verity(verity, filesystem, &self.builder.config.root, &target)
            }
            Part::PlainImage { data, filesystem, target } => {
                if self.builder.candidate.trust == Trust::Verified {
                    return Err(reason!("it was verified when it was found, and is not any more"));
                }
                self.builder.load_module("loop", true)?;
                self.loop_file(ROOT, data)?;
                let target = self.path(target)?;
                self.builder.filesystem(Device::Loop(ROOT), filesystem, &self.builder.config.root, true, &target)
            }
            Part::Tmpfs { target, mode } => self.mount(Source::Tmpfs { size: None, mode }, target, MountFlags::NONE),
            Part::Directory { place, mode } => {
                let path = self.path(place)?;
                self.builder.make_directory(path, mode)
            }
            Part::Link { destination, place } => {
                let path = self.path(place)?;
                self.push(Action::Link { destination, path })
            }
            Part::File { place, mode, content } => {
                let path = self.path(place)?;
                let content = Vec::from_slice(content).map_err(|_| reason!("{path} would be longer than MAX_FILE"))?;
                self.push(Action::WriteFile { path, mode, content })
            }
            Part::RecordDevice => {
                let device = Device::Block(self.source.device.clone());
                self.push(Action::RecordRootDevice { device })
            }
        }
    }
}

impl Parts<'_, '_, '_> {
    fn loop_file(&mut self, name: &'static str, Extent { file, offset, size }: Extent<'_>) -> Result<(), Reason> {
        let file = self.path(file)?;
        self.push(Action::AttachLoop(LoopFile { name, file, offset, size }))
    }

    /// A composefs; `part` is one.
    #[inline(never)]
    fn composefs(&mut self, part: &Part<'_>) -> Result<(), Reason> {
        let Part::Composefs { image, digest, objects, verity, source, writable, target, flags } = part else {
            return Ok(());
        };
        self.builder.load_module("erofs", true)?;
        self.builder.load_module("overlay", true)?;
        // Kernels before 6.12 mount an image from a loop device only.
        self.builder.load_module("loop", false)?;
        let writable = match writable {
            Some(place) => {
                let directory = self.path(*place)?;
                let (upper, work) = (below(&directory, UPPER), below(&directory, WORK));
                self.builder.make_directory(upper.clone(), PUBLIC)?;
                self.builder.make_directory(work.clone(), PRIVATE)?;
                Some((upper, work))
            }
            None => None,
        };
        let source = ComposefsSource {
            name: crate::text::clipped(format_args!("{source}")),
            image: self.path(*image)?,
            digest: Vec::from_slice(digest).map_err(|_| reason!("a digest is longer than MAX_DIGEST"))?,
            objects: self.path(*objects)?,
            verity: *verity,
            writable,
        };
        self.mount(Source::Composefs(source), *target, *flags)
    }
}

/// Where the filesystem with this number is looked into.
pub fn sysroot(number: u8) -> Path {
    path!("{}/{number}", places::SYSROOTS)
}
