//! The running kernel as the [`System`] that plans are carried out on.

use core::fmt::Write as _;

use boot_config::Config;
use boot_config::policy::Corruption;
use deployment::facts::DeviceNumber;
use heapless::{String, Vec};
use sys::Errno;
use sys::copy::Depth;
use sys::device_mapper::{Control, MAX_PARAMETERS, Target};
use sys::errno::Explained;
use sys::file::{self, AsFd};
use sys::kernel_log::{MAX_RECORD, Watch};
use sys::loop_device::{self, LoopDevice};
use verity::{OnCorruption, OnError, Table};

use crate::disk::Disk;
use crate::execute::System;
use crate::load::Tree;
use crate::plan::{Action, Device, LoopFile, MAX_STEPS, Mount, Source, VerityDevice};
use crate::text::{Path, Reason, below, refused};
use crate::verity_device::{Content, Prepared, prepare};
use crate::{SYSROOTS, log, mounting, new_root, path, places, reason};

/// Verity devices that one boot makes: root and usr.
const MAX_VERITY_DEVICES: usize = 2;
/// Loop devices that one boot makes: a root image and its hash tree.
const MAX_LOOPS: usize = 2;
/// The filesystems that the kernel has.
const FILESYSTEMS: &str = "/proc/filesystems";
/// Most messages of the kernel that are quoted for one failure.
const MAX_QUOTED: usize = 3;

/// The running kernel.
#[derive(Debug)]
pub struct Kernel<'a> {
    pub(crate) tree: &'a Tree,
    config: &'a Config<'a>,
    verity: Vec<Active, MAX_VERITY_DEVICES>,
    loops: Vec<(&'static str, LoopDevice), MAX_LOOPS>,
    /// When each step of the last plan began, and when the plan was carried out, in microseconds since boot.
    pub(crate) begun: [u64; MAX_STEPS + 1],
}

/// A verity device that is there.
#[derive(Debug)]
struct Active {
    name: &'static str,
    table: Table,
    number: DeviceNumber,
}

impl<'a> Kernel<'a> {
    /// The kernel, with the modules of the initramfs.
    pub fn new(tree: &'a Tree, config: &'a Config<'a>) -> Self {
        Self { tree, config, verity: Vec::new(), loops: Vec::new(), begun: [0; MAX_STEPS + 1] }
    }
}

impl System for Kernel<'_> {
    fn begins(&mut self, step: usize) {
        if let Some(begun) = self.begun.get_mut(step) {
            *begun = sys::clock::microseconds();
        }
    }

    fn load_module(&mut self, name: &str) -> Result<(), Reason> {
        let known = is_filesystem(name);
        if known == Ok(true) {
            return Ok(());
        }
        self.tree.load(name, self.config).map_err(|why| match known {
            Ok(_) => why,
            Err(errno) => reason!("{why}; {FILESYSTEMS}: {}", Explained(errno)),
        })
    }

    fn attach_loop(&mut self, file: &LoopFile) -> Result<(), Reason> {
        if !SYSROOTS {
            // There is no such step then.
            return Ok(());
        }
        let LoopFile { name, file, offset, size } = file;
        let backing = mounting::open_file(file).map_err(|why| reason!("cannot open the image {why}"))?;
        let options = loop_device::Options {
            offset: *offset,
            size_limit: *size,
            read_only: true,
            auto_clear: true,
            ..loop_device::Options::default()
        };
        let device = loop_device::attach(backing.as_fd(), options)
            .map_err(|errno| reason!("cannot make {file} a loop device: {}", Explained(errno)))?;
        self.loops.push((*name, device)).map_err(|_| reason!("MAX_LOOPS allows {MAX_LOOPS} loop devices"))
    }

    fn detach_loop(&mut self, name: &str) -> Result<(), Reason> {
        // Nothing else uses it any more, so that the kernel detaches the file when the handle is closed.
        if SYSROOTS {
            self.loops.retain(|(known, _)| *known != name);
        }
        Ok(())
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        let (data, hash) = (self.path_of(&device.data)?, self.path_of(&device.hash)?);
        let (data_disk, hash_disk) = (Disk::open(&data)?, Disk::open(&hash)?);
        let data = Content { reader: &data_disk, path: &data };
        let Prepared { uuid, table } = prepare(device, data, Content { reader: &hash_disk, path: &hash })?;
        let mut unique = String::<80>::new();
        write_unique_name(&mut unique, uuid, device.name).map_err(|_| full(device.name))?;

        let watch = Watch::start().ok();
        let failed = |what: &str, errno| {
            let said = quote(watch.as_ref());
            reason!("cannot make the verity device {}: {what}: {}{said}", device.name, Explained(errno))
        };
        let control = Control::open().map_err(|errno| failed("open /dev/mapper/control", errno))?;
        let number = control.create(device.name, &unique).map_err(|errno| failed("create it", errno))?;
        let number = DeviceNumber { major: number.major, minor: number.minor };
        let made = load(&control, device.name, &table)
            .map_err(|errno| failed("load its table", errno))
            .and_then(|()| control.resume(device.name).map_err(|errno| failed("resume it", errno)))
            .and_then(|()| show(device.name, number));
        if let Err(reason) = made {
            // One that stays behind is kept in mind, and found when it is checked that all is undone.
            if control.remove(device.name).is_err() {
                let _ = self.verity.push(Active { name: device.name, table, number });
            }
            hide(device.name, number);
            return Err(reason);
        }
        self.verity.push(Active { name: device.name, table, number }).map_err(|_| full(device.name))
    }

    fn deactivate_verity(&mut self, name: &str) -> Result<(), Reason> {
        let failed = |errno| refused("remove the verity device", name, errno);
        Control::open().map_err(failed)?.remove(name).map_err(failed)?;
        if let Some(at) = self.verity.iter().position(|active| active.name == name) {
            let active = self.verity.swap_remove(at);
            hide(name, active.number);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        let watch = Watch::start().ok();
        let device = match &mount.source {
            Source::Filesystem { device: device @ Device::Loop(_), .. } if SYSROOTS => Some(self.path_of(device)?),
            _ => None,
        };
        mounting::mount(mount, device.as_deref()).map_err(|why| {
            let said = quote(watch.as_ref());
            reason!("cannot mount {} {} on {}: {why}{said}", mount.source.kind(), mount.source, mount.target)
        })
    }

    fn mount_if_there(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        match file::is_there(&mount.target) {
            Ok(true) if SYSROOTS => self.mount(mount),
            Ok(_) => {
                log::debug!("there is no {}", mount.target);
                Ok(())
            }
            Err(errno) => Err(refused("look for", &mount.target, errno)),
        }
    }

    fn unmount(&mut self, target: &str) -> Result<(), Reason> {
        sys::mount::unmount(target).map_err(|errno| refused("unmount", target, errno))
    }

    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason> {
        let watch = Watch::start().ok();
        new_root::check(places::NEW_ROOT, init).map_err(|why| reason!("{why}{}", quote(watch.as_ref())))
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        match action {
            Action::MakeDirectory { path, mode } => {
                file::make_directory(path, *mode).map_err(|errno| refused("make the directory", path, errno))
            }
            Action::MakeDirectoryLike { model, path } => copy(model, path, Depth::AttributesOnly),
            Action::FillDirectory { source, target } => copy(source, target, Depth::Contents),
            Action::CheckDirectory { path } => new_root::check_directory(places::NEW_ROOT, path),
            Action::Link { destination, path } => file::link(destination, path)
                .map_err(|errno| reason!("cannot make the link {path} to {destination}: {}", Explained(errno))),
            Action::RecordRootDevice { device } => self.record_root_device(device),
            Action::SetCorruption { name, reaction } => self.set_corruption(name, *reaction),
            Action::CheckSource { path } if SYSROOTS => mounting::check_source(path),
            Action::WriteFile { path, mode, content } if SYSROOTS => {
                let written = file::create(path, content).and_then(|()| file::set_mode(path, *mode));
                written.map_err(|errno| {
                    // What is there by now is not to be told of the next candidate.
                    let _ = file::remove(path);
                    refused("write", path, errno)
                })
            }
            Action::CheckModules => new_root::check_modules(places::NEW_ROOT),
            // These have methods of their own.
            Action::LoadModule { .. }
            | Action::AttachLoop(_)
            | Action::ActivateVerity(_)
            | Action::Mount(_)
            | Action::MountIfThere(_)
            | Action::CheckRoot { .. }
            | Action::CheckSource { .. }
            | Action::WriteFile { .. } => Ok(()),
        }
    }

    fn remove(&mut self, path: &str) -> Result<(), Reason> {
        match file::remove(path) {
            // Two steps may have made it.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(refused("remove", path, errno)),
        }
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        if let Some(active) = self.verity.first() {
            return Err(reason!("the verity device {} is still there", active.name));
        }
        mounting::check_unmounted()
    }
}

impl Kernel<'_> {
    /// The node of a device.
    fn path_of(&self, device: &Device) -> Result<Path, Reason> {
        let name = match device {
            Device::Loop(name) if SYSROOTS => name,
            device => return Ok(path!("{device}")),
        };
        let found = self.loops.iter().find(|(known, _)| known == name);
        let (_, found) = found.ok_or_else(|| reason!("the {device} is not there"))?;
        Ok(path!("{}", loop_device::path(found.number)))
    }

    fn record_root_device(&self, device: &Device) -> Result<(), Reason> {
        let number = match device {
            Device::Verity(name) => self.verity.iter().find(|active| active.name == *name).map(|active| active.number),
            Device::Block(name) => Some(crate::probe::number(name)),
            Device::Loop(_) => None,
        };
        let number = number.ok_or_else(|| reason!("cannot record the root device: {device} is not there"))?;
        let link = places::VOLATILE_ROOT;
        file::make_directory("/run/systemd", 0o755)
            .and_then(|()| file::link(&path!("/dev/block/{number}"), link))
            .map_err(|errno| refused("make the link", link, errno))
    }

    /// Loads the device's table again, with the reaction in it. The kernel is asked whether it knows the reaction to
    /// read errors as well (Linux 6.12): without it a corrupted block can be passed off as an unreadable one.
    fn set_corruption(&self, name: &str, reaction: Corruption) -> Result<(), Reason> {
        let (on_corruption, on_error) = match reaction {
            Corruption::Reboot => (OnCorruption::Restart, OnError::Restart),
            Corruption::Panic => (OnCorruption::Panic, OnError::Panic),
            Corruption::Eio => return Ok(()),
        };
        let failed = |errno| reason!("cannot set what corruption of {name} leads to: {}", Explained(errno));
        let active = self.verity.iter().find(|active| active.name == name).ok_or_else(|| failed(Errno::NXIO))?;
        let control = Control::open().map_err(failed)?;
        let mut table = active.table.clone();
        table.options.corruption = on_corruption;
        table.options.on_error = on_error;
        let loaded = load(&control, name, &table).or_else(|errno| {
            if errno != Errno::INVAL {
                return Err(errno);
            }
            log::debug!("this kernel's dm-verity does not react to read errors");
            table.options.on_error = OnError::Eio;
            load(&control, name, &table)
        });
        loaded.and_then(|()| control.resume(name)).map_err(|errno| {
            // The table that is in force stays: without the reaction, so the candidate fails.
            let _ = control.clear(name);
            failed(errno)
        })
    }
}

fn load(control: &Control, name: &str, table: &Table) -> Result<(), Errno> {
    let mut parameters = String::<MAX_PARAMETERS>::new();
    write!(parameters, "{table}").map_err(|_| Errno::NAMETOOLONG)?;
    control.load(name, Target { kind: "verity", sectors: table.length_sectors(), parameters: &parameters })
}

/// Makes the device known: by name in `/dev/mapper`, and to udev, which would take a device-mapper device that it did
/// not see appear for an unfinished one (10-dm.rules).
fn show(name: &str, number: DeviceNumber) -> Result<(), Reason> {
    let failed =
        |what: &str, errno| reason!("cannot make the verity device {name} known: {what}: {}", Explained(errno));
    let link = below("/dev/mapper", name);
    file::link(&path!("../dm-{}", number.minor), &link).map_err(|errno| failed(&link, errno))?;
    for directory in ["/run/udev", "/run/udev/data"] {
        file::make_directory(directory, 0o755).map_err(|errno| failed(directory, errno))?;
    }
    let record = udev_record(number);
    file::create(&record, b"E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\n").map_err(|errno| failed(&record, errno))
}

/// Undoes what [`show`] does, as far as it was done.
fn hide(name: &str, number: DeviceNumber) {
    let _ = file::remove(&below("/dev/mapper", name));
    let _ = file::remove(&udev_record(number));
}

fn udev_record(number: DeviceNumber) -> Path {
    path!("/run/udev/data/b{number}")
}

/// The device-mapper UUID that cryptsetup gives a verity device: the superblock's without dashes, and the name.
fn write_unique_name<const N: usize>(text: &mut String<N>, uuid: verity::Uuid, name: &str) -> core::fmt::Result {
    text.write_str("CRYPT-VERITY-")?;
    uuid.0.iter().try_for_each(|byte| write!(text, "{byte:02x}"))?;
    write!(text, "-{name}")
}

fn full(name: &str) -> Reason {
    reason!("cannot make the verity device {name}: more than {MAX_VERITY_DEVICES} devices, or a name that is too long")
}

/// Whether the kernel has the filesystem already, built in or loaded.
fn is_filesystem(name: &str) -> Result<bool, Errno> {
    let mut text = String::<2048>::new();
    let read = file::append_text(FILESYSTEMS, &mut text);
    match (text.lines().any(|line| line.rsplit('\t').next() == Some(name)), read) {
        // More filesystems than fit are not a fault: then the module is loaded, or found to be there.
        (false, Err(errno)) if errno != Errno::FBIG => Err(errno),
        (is_known, _) => Ok(is_known),
    }
}

/// The directory `target`, which begins as a copy of `source` when it is first made.
fn copy(source: &str, target: &str, depth: Depth) -> Result<(), Reason> {
    if file::is_directory(target) {
        return Ok(());
    }
    sys::copy::directory(source, &path!("{target}.partial"), target, depth)
        .map_err(|errno| reason!("cannot make the directory {target} after {source}: {}", Explained(errno)))
}

/// What the kernel logged meanwhile, as a text to be put behind a reason.
fn quote(watch: Option<&Watch>) -> Reason {
    let mut said = Reason::new();
    let Some(watch) = watch else { return said };
    let mut buffer = [0; MAX_RECORD];
    for _ in 0..MAX_QUOTED {
        let Some(record) = watch.next_fault(&mut buffer) else { break };
        // One that does not fit is left out; the kernel's log has it.
        let _ = write!(said, "; kernel: {record}");
    }
    said
}

#[cfg(test)]
mod tests;
