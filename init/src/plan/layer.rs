//! The steps that make directories of the new root writable.

use boot_config::config::FilesystemConfig;
use deployment::FilesystemKind;
use overlay::layers::{Layer, LayerKind, UPPER, Upper, WORK, needs_state};
use overlay::mount_options::{MountFlags, MountOptions};
use overlay::options::OverlayOptions;

use super::build::Builder;
use super::select::{LayerDevice, StateChoice};
use super::step::{Action, Device, Mount, Scope, Source};
use crate::text::{self, Path, Reason, below};
use crate::{path, places, reason};

/// The flags of the state device's own mount. What a directory of it needs beyond them, its own mount says.
pub(super) const STATE_FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
/// Permissions of a directory or tmpfs whose layers nobody but root looks into.
pub(super) const PRIVATE: u32 = 0o700;
/// Permissions of an upper directory's neighbour, which overlayfs uses alone.
const WORK_MODE: u32 = 0o700;
/// Permissions of any other directory.
pub(super) const PUBLIC: u32 = 0o755;

/// Adds the steps for `layers`, in their order.
#[inline(never)]
pub(super) fn add<'a>(
    builder: &mut Builder<'_, 'a>,
    layers: &[Layer<'a>],
    state: &StateChoice<'a>,
    devices: &[LayerDevice<'a>],
) -> Result<(), Reason> {
    if needs_state(layers) {
        state_device(builder, state)?;
    }
    let in_memory = |layer: &Layer<'_>| matches!(layer.kind, LayerKind::Overlay(Upper::Memory));
    if layers.iter().any(in_memory) {
        builder.memory()?;
    }
    if layers.iter().any(|layer| matches!(layer.kind, LayerKind::Overlay(_))) {
        builder.scope = Scope::Candidate;
        builder.load_module("overlay", true)?;
    }
    for layer in layers {
        builder.scope = Scope::Candidate;
        builder.push(Action::CheckDirectory { path: text::path(layer.target.as_str()) })?;
        let target = path!("{}{}", places::NEW_ROOT, layer.target);
        match &layer.kind {
            LayerKind::Overlay(upper) => {
                let directory = match upper {
                    Upper::State(path) => {
                        builder.scope = Scope::State;
                        state_directory(builder, path.as_str(), PRIVATE)?
                    }
                    Upper::Memory => builder.memory_directory()?,
                };
                let (upper, work) = (below(&directory, UPPER), below(&directory, WORK));
                over(builder, &target, &target, upper, work, layer.flags)?;
            }
            LayerKind::Bind { source, copy_from_root } => {
                builder.scope = Scope::State;
                let directory = bind_source(builder, source.as_str(), &target, *copy_from_root)?;
                builder.push(Action::Mount(Mount {
                    source: Source::Bind { directory },
                    target,
                    flags: layer.flags,
                }))?;
            }
            LayerKind::Tmpfs { size, mode } => {
                let source = Source::Tmpfs { size: *size, mode: u32::from(*mode) };
                builder.push(Action::Mount(Mount { source, target, flags: layer.flags }))?;
            }
            LayerKind::Device(device) => {
                builder.scope = Scope::State;
                let found = devices.iter().find(|found| found.spec == *device);
                let found = found.ok_or_else(|| reason!("{device} for {} is not there", layer.target))?;
                let unnamed = FilesystemConfig::default();
                let kind = Some(found.kind.as_str());
                builder.filesystem_of_type(Device::Block(found.name.clone()), kind, &unnamed, layer.flags, &target)?;
            }
        }
    }
    Ok(())
}

/// A tmpfs over the whole root (`systemd.volatile=overlay`).
pub(super) fn over_root(builder: &mut Builder<'_, '_>) -> Result<(), Reason> {
    builder.load_module("overlay", true)?;
    builder.memory()?;
    let directory = builder.memory_directory()?;
    let (upper, work) = (below(&directory, UPPER), below(&directory, WORK));
    over(builder, places::IMAGE, places::NEW_ROOT, upper, work, MountFlags::NONE)
}

/// An overlay on `target` with these upper and work directories.
pub(super) fn over(
    builder: &mut Builder<'_, '_>,
    lower: &str,
    target: &str,
    upper: Path,
    work: Path,
    flags: MountFlags,
) -> Result<(), Reason> {
    let options = OverlayOptions::new(lower, &upper, &work)
        .map_err(|error| reason!("cannot lay a writable directory over {lower}: {error}"))?;
    // The top of an overlay shows the owner and permissions of its upper directory.
    builder.push(Action::MakeDirectoryLike { model: text::path(lower), path: upper })?;
    builder.make_directory(work, WORK_MODE)?;
    builder.push(Action::Mount(Mount { source: Source::Overlay { options }, target: text::path(target), flags }))
}

/// The mount that holds the state directories.
#[inline(never)]
fn state_device<'a>(builder: &mut Builder<'_, 'a>, state: &StateChoice<'a>) -> Result<(), Reason> {
    builder.make_directory(text::path(places::STATE), PUBLIC)?;
    if *state != StateChoice::Memory {
        builder.scope = Scope::State;
    }
    match state {
        StateChoice::Device { name, kind, options } => {
            let named = state_config(*options)?;
            let device = Device::Block(name.clone());
            builder.filesystem_of_type(device, Some(kind), &named, STATE_FLAGS, places::STATE)
        }
        StateChoice::Memory => {
            let source = Source::Tmpfs { size: None, mode: PUBLIC };
            builder.push(Action::Mount(Mount { source, target: text::path(places::STATE), flags: STATE_FLAGS }))
        }
        StateChoice::Missing(which) => Err(reason!("{which} did not appear in time")),
        StateChoice::Unusable(why) => Err(why.clone()),
        StateChoice::None => Err(reason!("no state device was looked for, though the layers need one")),
    }
}

/// How the state device is mounted.
pub(super) fn state_config(options: Option<&str>) -> Result<FilesystemConfig<'_>, Reason> {
    let mut named = FilesystemConfig::default();
    if let Some(options) = options {
        named.options.push(options).map_err(|_| reason!("the state device's options do not fit"))?;
    }
    Ok(named)
}

/// A directory of the state device, with the directories that it lies in; the last one gets `mode`.
fn state_directory(builder: &mut Builder<'_, '_>, relative: &str, mode: u32) -> Result<Path, Reason> {
    let whole = below(places::STATE, relative);
    parents(builder, relative)?;
    builder.make_directory(whole.clone(), mode)?;
    Ok(whole)
}

/// The directories that a directory of the state device lies in, one step each, so that none of them can be a link.
fn parents(builder: &mut Builder<'_, '_>, relative: &str) -> Result<(), Reason> {
    for (end, _) in relative.match_indices('/') {
        let parent = relative.get(..end).unwrap_or_default();
        builder.make_directory(below(places::STATE, parent), PUBLIC)?;
    }
    Ok(())
}

fn bind_source(
    builder: &mut Builder<'_, '_>,
    relative: &str,
    target: &str,
    copy_from_root: bool,
) -> Result<Path, Reason> {
    let directory = below(places::STATE, relative);
    parents(builder, relative)?;
    builder.push(if copy_from_root {
        Action::FillDirectory { source: text::path(target), target: directory.clone() }
    } else {
        Action::MakeDirectoryLike { model: text::path(target), path: directory.clone() }
    })?;
    Ok(directory)
}

fn mount_options<'a>(device: &Device, named: &FilesystemConfig<'a>) -> Result<MountOptions<'a>, Reason> {
    MountOptions::parse(named.options.iter().copied())
        .map_err(|error| reason!("cannot mount {device} with the options that are given: {error}"))
}

impl<'a> Builder<'_, 'a> {
    /// The tmpfs that holds layers in memory; planned once.
    pub(super) fn memory(&mut self) -> Result<(), Reason> {
        if self.memory_layers.is_some() {
            return Ok(());
        }
        self.memory_layers = Some(0);
        self.make_directory(text::path(places::MEMORY), PRIVATE)?;
        let source = Source::Tmpfs { size: None, mode: PRIVATE };
        self.push(Action::Mount(Mount { source, target: text::path(places::MEMORY), flags: STATE_FLAGS }))
    }

    /// A new directory for one layer in memory.
    pub(super) fn memory_directory(&mut self) -> Result<Path, Reason> {
        let number = self.memory_layers.map_or(1, |made| made.saturating_add(1));
        self.memory_layers = Some(number);
        let directory = path!("{}/{number}", places::MEMORY);
        self.make_directory(directory.clone(), PRIVATE)?;
        Ok(directory)
    }

    /// The mount of a filesystem whose type is known.
    pub(super) fn filesystem_of_type(
        &mut self,
        device: Device,
        kind: Option<&str>,
        named: &FilesystemConfig<'a>,
        flags: MountFlags,
        place: &str,
    ) -> Result<(), Reason> {
        let kind = super::filesystem_type(&device, None, kind)?;
        self.load_module(&kind, true)?;
        let options = mount_options(&device, named)?;
        let flags = options.set.union(flags);
        let source = Source::Filesystem { device, kind, options, subvolume: None };
        self.push(Action::Mount(Mount { source, target: text::path(place), flags }))
    }

    /// A subvolume of a btrfs that is mounted by itself. It is not for `rootflags=` to choose another one.
    pub(super) fn subvolume(
        &mut self,
        device: Device,
        subvolume: Path,
        flags: MountFlags,
        place: &str,
    ) -> Result<(), Reason> {
        let mut options = mount_options(&device, &self.config.root)?;
        options.filesystem.retain(|option| !matches!(option.name, "subvol" | "subvolid"));
        let flags = options.set.union(flags);
        let kind = super::filesystem_type(&device, Some(FilesystemKind::Btrfs), None)?;
        let source = Source::Filesystem { device, kind, options, subvolume: Some(subvolume) };
        self.push(Action::Mount(Mount { source, target: text::path(place), flags }))
    }
}
