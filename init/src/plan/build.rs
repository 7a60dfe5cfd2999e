//! From a candidate and a place for its writable layers to the steps.

use boot_config::Config;
use boot_config::config::FilesystemConfig;
use boot_config::policy::{AccessMode, Corruption};
use deployment::FilesystemKind;
use deployment::candidates::{
    Candidate, CandidateName, DeviceSource, Insecurity, Kind, Look, RootSource, Trust, UsrSource, VeritySource,
};
use heapless::Vec;
use overlay::layers::RootLayer;
use overlay::mount_options::MountFlags;
use overlay::policy::{layers, root_layer};

use super::layer;
use super::recipe::{self, Provided};
use super::select::{LayerDevice, StateChoice};
use super::step::{Action, Device, Mount, Scope, Source, Step, TypeName, VerityDevice};
use crate::text::{self, Path, Reason, below};
use crate::{SYSROOTS, places, reason};

/// Most steps of a plan: a root, a `/usr` and a layer for each directory that the command line can name, with two steps
/// of preparation each.
pub const MAX_STEPS: usize = 96;

/// What the verity device of the root is called.
pub(super) const ROOT: &str = "root";
/// What that of `/usr` is called.
const USR: &str = "usr";

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
    /// How it was found; `None` in a plan that sets up nothing, all of whose bytes are zero.
    pub kind: Option<Kind>,
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
            kind: None,
            trust: Trust::Insecure(Insecurity::Root),
            steps: Vec::new(),
        }
    }

    /// Makes it the plan that sets up a candidate. An error says whom it speaks against.
    pub fn make(&mut self, config: &Config<'a>, candidate: &Candidate, with: &With<'_, 'a>) -> Result<(), Unplanned> {
        self.deployment.clone_from(&candidate.name);
        self.kind = Some(candidate.kind);
        self.trust = candidate.trust;
        self.steps.clear();
        let steps = &mut self.steps;
        let mut builder = Builder { config, candidate, scope: Scope::Candidate, steps, memory_layers: None };
        builder.all(with).map_err(|reason| Unplanned { scope: builder.scope, reason })
    }

    /// Makes it the plan that mounts a filesystem in which deployments are looked for.
    pub fn make_look(
        &mut self,
        config: &Config<'a>,
        source: &DeviceSource,
        state: &StateChoice<'a>,
        number: u8,
    ) -> Result<(), Reason> {
        self.steps.clear();
        self.deployment = CandidateName::new();
        // Nothing of a candidate plays a part here.
        let nothing = Candidate::nothing();
        let steps = &mut self.steps;
        let mut builder = Builder { config, candidate: &nothing, scope: Scope::Candidate, steps, memory_layers: None };
        builder.look(source, state, number)
    }

    /// Whether its writable layers are on a device, so that what is written there is kept.
    pub fn has_state_device(&self) -> bool {
        self.mounts().any(|mount| mount.target == places::STATE && matches!(mount.source, Source::Filesystem { .. }))
    }

    /// The mounts that it makes, in order, but for those that want a target which may not be there.
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

/// What a candidate is set up with.
pub struct With<'w, 'a> {
    /// The filesystem that holds it, where it lies in one.
    pub look: Option<&'w Look<'w>>,
    /// Where its writable layers go.
    pub state: &'w StateChoice<'a>,
    /// The devices that are mounted on directories of their own.
    pub devices: &'w [LayerDevice<'a>],
    /// Whether something else was meant: then it must have modules for the kernel that runs, which may have come with
    /// another deployment.
    pub fallback: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Unplanned {
    /// Whom it speaks against.
    pub scope: Scope,
    /// What is wrong.
    pub reason: Reason,
}

/// A plan in the making.
pub(super) struct Builder<'b, 'a> {
    pub(super) config: &'b Config<'a>,
    pub(super) candidate: &'b Candidate,
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

    #[inline(never)]
    fn all(&mut self, with: &With<'_, 'a>) -> Result<(), Reason> {
        let provided = self.root(with.look)?;
        self.usr()?;
        if with.fallback {
            self.scope = Scope::Kernel;
            self.push(Action::CheckModules)?;
            self.scope = Scope::Candidate;
        }
        let layers = layers(self.config, &self.candidate.name, if SYSROOTS { &provided } else { &[] })
            .map_err(|error| reason!("{error}"))?;
        layer::add(self, &layers, with.state, with.devices)?;
        self.finish()
    }

    /// A filesystem in which deployments are looked for. Nothing in it is started, so that no flag of the mount is needed
    /// by what lies there; the parts of a root are mounts of their own. Those take the filesystem with the options that it
    /// has by then, so they are given here.
    fn look(&mut self, source: &DeviceSource, state: &StateChoice<'a>, number: u8) -> Result<(), Reason> {
        let place = recipe::sysroot(number);
        for directory in [text::path(places::SYSROOTS), place.clone()] {
            self.make_directory(directory, layer::PRIVATE)?;
        }
        let device = Device::Block(source.device.clone());
        if source.filesystem == Some(FilesystemKind::Btrfs) {
            self.load_module("btrfs", true)?;
            return self.subvolume(device, text::path("/"), layer::STATE_FLAGS, &place);
        }
        if let StateChoice::Device { name, kind, options } = state
            && *name == source.device
        {
            let named = layer::state_config(*options)?;
            return self.filesystem_of_type(device, Some(kind), &named, layer::STATE_FLAGS, &place);
        }
        let (unnamed, root) = (FilesystemConfig::default(), &self.config.root);
        let named = if root.device.is_some() { root } else { &unnamed };
        let kind = super::filesystem_type(&device, source.filesystem, named.filesystem)?;
        self.filesystem_of_type(device, Some(&kind), named, layer::STATE_FLAGS, &place)
    }

    /// The root image, at `/sysroot` or where a root in memory takes its parts from. Gives the directories that a deployment
    /// brings itself.
    #[inline(never)]
    fn root(&mut self, look: Option<&Look<'_>>) -> Result<Provided, Reason> {
        let mut provided = Provided::new();
        let candidate = self.candidate;
        let layer = root_layer(self.config);
        let place = if layer == RootLayer::Plain { places::NEW_ROOT } else { places::IMAGE };
        if layer != RootLayer::Plain {
            self.make_directory(text::path(places::IMAGE), 0o755)?;
        }
        let device = match &candidate.root {
            RootSource::Verity(source) => Some(self.verity_mount(ROOT, source, &self.config.root, place)?),
            RootSource::Plain(source) => {
                let device = Device::Block(source.device.clone());
                let read_only = self.config.root_mode == AccessMode::ReadOnly;
                self.filesystem(device.clone(), source.filesystem, &self.config.root, read_only, place)?;
                Some(device)
            }
            RootSource::Tree(source) if SYSROOTS => {
                let look = look.ok_or_else(|| reason!("the filesystem that holds it was not looked into"))?;
                provided = recipe::root(self, source, look, place)?;
                Some(Device::Block(source.device.clone()))
            }
            RootSource::Memory | RootSource::Tree(_) => None,
        };
        match layer {
            RootLayer::Plain => return Ok(provided),
            RootLayer::TmpfsOverlay => layer::over_root(self)?,
            RootLayer::TmpfsWithUsr => self.memory_root(device.is_some())?,
        }
        device.map_or(Ok(()), |device| self.push(Action::RecordRootDevice { device }))?;
        Ok(provided)
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
            Some(UsrSource::Verity(source)) => self.verity_mount(USR, source, &self.config.usr, &place).map(|_| ()),
            Some(UsrSource::Plain(source)) => {
                let device = Device::Block(source.device.clone());
                self.filesystem(device, source.filesystem, &self.config.usr, true, &place)
            }
        }
    }

    /// A verity device on two partitions, with its mount.
    fn verity_mount(
        &mut self,
        name: &'static str,
        source: &VeritySource,
        filesystem: &FilesystemConfig<'a>,
        place: &str,
    ) -> Result<Device, Reason> {
        let device = VerityDevice {
            name,
            data: Device::Block(source.data.clone()),
            hash: Device::Block(source.hash.clone()),
            hash_offset: source.options.hash_offset,
            root_hash: source.root_hash,
            ignore_zero_blocks: source.options.ignore_zero_blocks,
            check_at_most_once: source.options.check_at_most_once,
        };
        self.verity(device, source.filesystem, filesystem, place)?;
        Ok(Device::Verity(name))
    }

    /// A verity device with its mount.
    #[inline(never)]
    pub(super) fn verity(
        &mut self,
        device: VerityDevice,
        found: Option<FilesystemKind>,
        filesystem: &FilesystemConfig<'a>,
        place: &str,
    ) -> Result<(), Reason> {
        let name = device.name;
        self.load_module("dm-verity", true)?;
        self.load_module(
            &crate::text::clipped::<{ super::step::TYPE_CAPACITY }>(format_args!(
                "crypto-{}",
                device.root_hash.algorithm()
            )),
            false,
        )?;
        self.push(Action::ActivateVerity(device))?;
        self.filesystem(Device::Verity(name), found, filesystem, true, place)
    }

    /// The mount of a filesystem on a device, of the type that the command line names or that its superblock tells.
    pub(super) fn filesystem(
        &mut self,
        device: Device,
        found: Option<FilesystemKind>,
        named: &FilesystemConfig<'a>,
        read_only: bool,
        place: &str,
    ) -> Result<(), Reason> {
        let kind = super::filesystem_type(&device, found, named.filesystem)?;
        let mode = if read_only { MountFlags::RDONLY } else { MountFlags::NONE };
        self.filesystem_of_type(device, Some(&kind), named, mode, place)
    }

    /// The checks at the end, and what shall hold from the hand-over on.
    #[inline(never)]
    fn finish(&mut self) -> Result<(), Reason> {
        self.scope = Scope::Candidate;
        self.push(Action::CheckRoot { init: self.config.init })?;
        let config = self.config;
        let reaction = |name| {
            let options = if name == USR { &config.usr_verity } else { &config.root_verity };
            options.as_ref().and_then(|verity| verity.options.corruption).unwrap_or(config.corruption)
        };
        for name in [ROOT, USR] {
            let is_made = self
                .steps
                .iter()
                .any(|step| matches!(&step.action, Action::ActivateVerity(device) if device.name == name));
            let reaction = reaction(name);
            if is_made && reaction != Corruption::Eio {
                self.push(Action::SetCorruption { name, reaction })?;
            }
        }
        Ok(())
    }
}
