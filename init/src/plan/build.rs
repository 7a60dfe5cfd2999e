//! From a candidate and a place for its writable layers to the steps.

use boot_config::Config;
use boot_config::policy::{AccessMode, Corruption};
use deployment::FilesystemKind;
use deployment::candidates::{Candidate, CandidateName, Insecurity, Kind, RootSource, Trust, UsrSource, VeritySource};
use heapless::Vec;
use overlay::layers::RootLayer;
use overlay::mount_options::MountFlags;
use overlay::policy::{layers, root_layer};

use super::layer;
use super::select::{LayerDevice, StateChoice};
use super::step::{Action, Device, Mount, Scope, Source, Step, TypeName, VerityDevice};
use crate::text::{self, Path, Reason, below};
use crate::{places, reason};

/// Most steps of a plan: a root, a `/usr` and a layer for each directory that the command line can name, with two steps
/// of preparation each.
pub const MAX_STEPS: usize = 96;

/// Directories of a root that is made in memory, with their permissions.
const MEMORY_ROOT: [(&str, u32); 12] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// Links of a merged `/usr` (file-hierarchy(7)).
const USR_LINKS: [(&str, &str); 4] =
    [("usr/bin", "bin"), ("usr/lib", "lib"), ("usr/lib64", "lib64"), ("usr/sbin", "sbin")];

/// What is done to set a candidate up, in order.
///
/// The value is large, but only as much of it is touched as there are steps: make it where it is to stay, and pass it
/// by reference.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The candidate's name.
    pub deployment: CandidateName,
    /// How it was found.
    pub kind: Kind,
    /// Whether everything that is started is vouched for.
    pub trust: Trust,
    /// The steps.
    pub steps: Vec<Step<'a>, MAX_STEPS>,
}

impl<'a> Plan<'a> {
    /// A plan for nothing, without any steps.
    pub const fn new() -> Self {
        Self {
            deployment: CandidateName::new(),
            kind: Kind::Configured,
            trust: Trust::Insecure(Insecurity::Root),
            steps: Vec::new(),
        }
    }

    /// Makes it the plan that sets up `candidate`, with its writable layers on `state`. A fallback must have modules for the
    /// kernel that runs, which may have come with another deployment.
    pub fn make(
        &mut self,
        config: &Config<'a>,
        candidate: &Candidate,
        state: &StateChoice<'a>,
        devices: &[LayerDevice<'a>],
        fallback: bool,
    ) -> Result<(), Reason> {
        self.deployment.clone_from(&candidate.name);
        self.kind = candidate.kind;
        self.trust = candidate.trust;
        self.steps.clear();
        let steps = &mut self.steps;
        let mut builder = Builder { config, candidate, scope: Scope::Candidate, steps, memory_layers: None };
        builder.root()?;
        builder.usr()?;
        if fallback {
            builder.scope = Scope::Kernel;
            builder.push(Action::CheckModules)?;
            builder.scope = Scope::Candidate;
        }
        builder.layers(state, devices)?;
        builder.finish()
    }

    /// Whether its writable layers are on a device, so that what is written there is kept.
    pub fn has_state_device(&self) -> bool {
        self.mounts().any(|mount| mount.target == places::STATE && matches!(mount.source, Source::Filesystem { .. }))
    }

    /// The mounts that it makes, in order.
    pub fn mounts(&self) -> impl Iterator<Item = &Mount<'a>> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Mount(mount) => Some(mount),
            _ => None,
        })
    }
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A plan in the making.
pub(super) struct Builder<'b, 'a> {
    pub(super) config: &'b Config<'a>,
    candidate: &'b Candidate,
    /// Whom the steps that are added now are charged to.
    pub(super) scope: Scope,
    steps: &'b mut Vec<Step<'a>, MAX_STEPS>,
    /// How many layers are in memory; `None` as long as there is no tmpfs for them.
    pub(super) memory_layers: Option<usize>,
}

impl<'a> Builder<'_, 'a> {
    /// Adds a step.
    pub(super) fn push(&mut self, action: Action<'a>) -> Result<(), Reason> {
        self.steps
            .push(Step { action, scope: self.scope })
            .map_err(|_| reason!("cannot plan the boot: it takes more than {MAX_STEPS} steps (MAX_STEPS)"))
    }

    pub(super) fn make_directory(&mut self, path: Path, mode: u32) -> Result<(), Reason> {
        self.push(Action::MakeDirectory { path, mode })
    }

    /// Adds the step that makes a filesystem type or another module available.
    pub(super) fn load_module(&mut self, name: &str, required: bool) -> Result<(), Reason> {
        let name = TypeName::try_from(name).map_err(|_| reason!("no module has a name as long as {name}"))?;
        self.push(Action::LoadModule { name, required })
    }

    /// The root image, at `/sysroot` or where a root in memory takes its parts from.
    #[inline(never)]
    fn root(&mut self) -> Result<(), Reason> {
        let candidate = self.candidate;
        let layer = root_layer(self.config);
        let place = if layer == RootLayer::Plain { places::NEW_ROOT } else { places::IMAGE };
        if layer != RootLayer::Plain {
            self.make_directory(text::path(places::IMAGE), 0o755)?;
        }
        let device = match &candidate.root {
            RootSource::Verity(source) => Some(self.verity_mount("root", source, &self.config.root, place)?),
            RootSource::Plain(source) => {
                let device = Device::Block(source.device.clone());
                let read_only = self.config.root_mode == AccessMode::ReadOnly;
                self.filesystem(device.clone(), source.filesystem, &self.config.root, read_only, place)?;
                Some(device)
            }
            RootSource::Memory => None,
        };
        match layer {
            RootLayer::Plain => return Ok(()),
            RootLayer::TmpfsOverlay => layer::over_root(self)?,
            RootLayer::TmpfsWithUsr => self.memory_root(device.is_some())?,
        }
        device.map_or(Ok(()), |device| self.push(Action::RecordRootDevice { device }))
    }

    /// An empty root in memory, with the image's `/usr` in it.
    #[inline(never)]
    fn memory_root(&mut self, has_image: bool) -> Result<(), Reason> {
        let target = text::path(places::NEW_ROOT);
        let source = Source::Tmpfs { size: None, mode: 0o755 };
        self.push(Action::Mount(Mount { source, target, flags: MountFlags::NONE }))?;
        for (name, mode) in MEMORY_ROOT {
            self.make_directory(below(places::NEW_ROOT, name), mode)?;
        }
        self.make_directory(below(places::NEW_ROOT, "usr"), 0o755)?;
        for (destination, name) in USR_LINKS {
            self.push(Action::Link { destination, path: below(places::NEW_ROOT, name) })?;
        }
        if has_image && self.candidate.usr.is_none() {
            let source = Source::Bind { directory: below(places::IMAGE, "usr") };
            let target = below(places::NEW_ROOT, "usr");
            self.push(Action::Mount(Mount { source, target, flags: MountFlags::RDONLY }))?;
        }
        Ok(())
    }

    /// A `/usr` of its own.
    #[inline(never)]
    fn usr(&mut self) -> Result<(), Reason> {
        let place = below(places::NEW_ROOT, "usr");
        let candidate = self.candidate;
        match &candidate.usr {
            None => Ok(()),
            Some(UsrSource::Verity(source)) => self.verity_mount("usr", source, &self.config.usr, &place).map(|_| ()),
            Some(UsrSource::Plain(source)) => {
                let device = Device::Block(source.device.clone());
                self.filesystem(device, source.filesystem, &self.config.usr, true, &place)
            }
        }
    }

    /// A verity device with its mount.
    fn verity_mount(
        &mut self,
        name: &'static str,
        source: &VeritySource,
        filesystem: &boot_config::config::FilesystemConfig<'a>,
        place: &str,
    ) -> Result<Device, Reason> {
        self.load_module("dm-verity", true)?;
        self.load_module(
            &crate::text::clipped::<{ super::step::TYPE_CAPACITY }>(format_args!(
                "crypto-{}",
                source.root_hash.algorithm()
            )),
            false,
        )?;
        self.push(Action::ActivateVerity(VerityDevice {
            name,
            data: source.data.clone(),
            hash: source.hash.clone(),
            hash_offset: source.options.hash_offset,
            root_hash: source.root_hash,
            ignore_zero_blocks: source.options.ignore_zero_blocks,
            check_at_most_once: source.options.check_at_most_once,
        }))?;
        let device = Device::Verity(name);
        self.filesystem(device.clone(), source.filesystem, filesystem, true, place)?;
        Ok(device)
    }

    /// The mount of a filesystem on a device, of the type that the command line names or that its superblock tells.
    fn filesystem(
        &mut self,
        device: Device,
        found: Option<FilesystemKind>,
        named: &boot_config::config::FilesystemConfig<'a>,
        read_only: bool,
        place: &str,
    ) -> Result<(), Reason> {
        let kind = super::filesystem_type(&device, found, named.filesystem)?;
        let mode = if read_only { MountFlags::RDONLY } else { MountFlags::NONE };
        self.filesystem_of_type(device, Some(&kind), named, mode, place)
    }

    /// The writable directories.
    #[inline(never)]
    fn layers(&mut self, state: &StateChoice<'a>, devices: &[LayerDevice<'a>]) -> Result<(), Reason> {
        let layers = layers(self.config, &self.candidate.name).map_err(|error| reason!("{error}"))?;
        layer::add(self, &layers, state, devices)
    }

    /// The checks at the end, and what shall hold from the hand-over on.
    #[inline(never)]
    fn finish(&mut self) -> Result<(), Reason> {
        self.scope = Scope::Candidate;
        self.push(Action::CheckRoot { init: self.config.init })?;
        let candidate = self.candidate;
        let root = match &candidate.root {
            RootSource::Verity(source) => Some(("root", source)),
            RootSource::Plain(_) | RootSource::Memory => None,
        };
        let usr = match &candidate.usr {
            Some(UsrSource::Verity(source)) => Some(("usr", source)),
            Some(UsrSource::Plain(_)) | None => None,
        };
        for (name, source) in [root, usr].into_iter().flatten() {
            let reaction = source.options.corruption.unwrap_or(self.config.corruption);
            if reaction != Corruption::Eio {
                self.push(Action::SetCorruption { name, reaction })?;
            }
        }
        Ok(())
    }
}
