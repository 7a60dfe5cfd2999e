//! Loading of kernel modules from the initramfs.

use core::cell::Cell;
use core::ffi::CStr;
use core::fmt::Write as _;

use boot_config::Config;
use heapless::String;
use sys::Errno;
use sys::errno::Explained;
use sys::file::{self, Access, AsFd};
use sys::mapping;

use crate::modules::name::InSysfs;
use crate::modules::{Module, ModuleIndex, Order};
use crate::text::{Path, Reason, below};
use crate::{log, path, reason};

/// Longest parameter text of one module.
const PARAMETERS_CAPACITY: usize = 512;
/// Most modules of which it is kept when they were loaded.
pub const MAX_LOADED: usize = 96;
/// How deep soft dependencies are followed: they can form circles.
const MAX_SOFT_DEPTH: u8 = 4;

/// Where the administrator's `options` and `blacklist` lines lie in the initramfs: one file, made by the builder.
const MODPROBE_FILE: &str = "/etc/modprobe.conf";

/// A module that was loaded, with the time since boot in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Its name, as its file has it.
    pub name: &'static str,
    /// When the kernel was asked to load it.
    pub began: u64,
    /// When the kernel had done so.
    pub ended: u64,
}

/// The modules of the initramfs for the running kernel.
#[derive(Debug)]
pub struct Tree {
    directory: Path,
    index: ModuleIndex<'static>,
    /// The modules that were loaded, in their order, as far as there is room for them.
    pub(crate) loaded: [Cell<Option<Loaded>>; MAX_LOADED],
    /// The kernel version that the initramfs has modules for, where it is not the running one.
    foreign: Option<String<128>>,
}

impl Tree {
    /// Opens `/lib/modules/RELEASE`. Texts that are missing are empty.
    pub fn open() -> Self {
        let release = sys::process::kernel_release::<128>();
        let directory = path!("/lib/modules/{release}");
        let text = |name: &str| mapping::text_of_file(&below(&directory, name));
        let dep = text("modules.dep");
        let mut foreign = None;
        if dep.is_err() {
            // Without any modules at all the folder does not exist, which is fine for a kernel that needs none.
            let _ = file::visit_directory("/lib/modules", &mut |name| {
                foreign = String::try_from(name).ok();
                foreign.is_none()
            });
        }
        let index = ModuleIndex {
            dep: dep.unwrap_or_default(),
            alias: text("modules.alias").unwrap_or_default(),
            softdep: text("modules.softdep").unwrap_or_default(),
            builtin: text("modules.builtin").unwrap_or_default(),
            modprobe: mapping::text_of_file(MODPROBE_FILE).unwrap_or_default(),
        };
        Self { index, loaded: [const { Cell::new(None) }; MAX_LOADED], foreign, directory }
    }

    /// Why modules may be missing: the initramfs was made for another kernel.
    pub fn mismatch(&self) -> Option<Reason> {
        let foreign = self.foreign.as_ref()?;
        let release = sys::process::kernel_release::<128>();
        Some(reason!("the modules in this initramfs are for kernel {foreign}, the running kernel is {release}"))
    }

    /// Loads what `name`, a module's name or alias, stands for, with all that it depends on.
    pub fn load(&self, name: &str, config: &Config<'_>) -> Result<(), Reason> {
        let index = &self.index;
        let mut found = false;
        for module in index.resolve(name) {
            found = true;
            self.load_with_dependencies(&module, config, MAX_SOFT_DEPTH)?;
        }
        // Without `modules.builtin` in the initramfs, the kernel's own list tells of most that is built in.
        if found || index.is_builtin(name) || file::exists(&path!("/sys/module/{}", InSysfs(name))) {
            return Ok(());
        }
        match self.mismatch() {
            Some(mismatch) => Err(reason!("the kernel module {name} is not there: {mismatch}")),
            None => Err(crate::modules::missing(name, &self.directory)),
        }
    }

    /// Whether any device on this bus may have a driver here. A PC has more devices on the bus of its firmware than on all
    /// others, whose aliases tell of it or of a device tree (drivers/acpi/device_sysfs.c); few drivers have such ones.
    pub fn may_drive_devices_on(&self, bus: &str) -> bool {
        bus != "acpi" || ["acpi:", "of:"].iter().any(|start| self.index.has_alias_like(start))
    }

    /// Loads every module that can drive the device with this alias (`modalias` in sysfs), except blacklisted ones and
    /// those that do not lie in a folder of this name.
    #[inline(never)]
    pub fn load_for_device(&self, alias: &str, config: &Config<'_>, folder: Option<&str>) {
        for name in self.index.by_alias(alias) {
            if self.is_blacklisted(name, config) {
                log::debug!("module {name} for {alias} is blacklisted");
                continue;
            }
            let Some(module) = self.index.find(name) else { continue };
            if folder.is_some() && module.path.rsplit('/').nth(1) != folder {
                continue;
            }
            if let Err(reason) = self.load_with_dependencies(&module, config, MAX_SOFT_DEPTH) {
                log::warn!("a device may be missing: {reason}");
            }
        }
    }

    fn is_blacklisted(&self, name: &str, config: &Config<'_>) -> bool {
        self.index.is_blacklisted(name)
            || config.blacklisted_modules.iter().any(|listed| crate::modules::name::same(listed, name))
    }

    fn load_with_dependencies(&self, module: &Module<'static>, config: &Config<'_>, depth: u8) -> Result<(), Reason> {
        if is_loaded(module.name) {
            return Ok(());
        }
        self.load_soft(module.name, Order::Before, config, depth);
        for path in module.dependencies() {
            self.load_file(path, config)?;
        }
        self.load_file(module.path, config)?;
        self.load_soft(module.name, Order::After, config, depth);
        Ok(())
    }

    /// Loads soft dependencies. They are wishes: one that cannot be had is no error.
    fn load_soft(&self, module: &str, order: Order, config: &Config<'_>, depth: u8) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for wish in self.index.softdeps(module, order) {
            for module in self.index.resolve(wish) {
                if let Err(reason) = self.load_with_dependencies(&module, config, depth) {
                    log::debug!("soft dependency {wish}: {reason}");
                }
            }
        }
    }

    fn load_file(&self, relative: &'static str, config: &Config<'_>) -> Result<(), Reason> {
        let Some(name) = crate::modules::name::of_path(relative) else { return Ok(()) };
        if is_loaded(name) {
            return Ok(());
        }
        let failed = |errno| {
            let hint = if errno == Errno::NOEXEC { " (it is built for another kernel)" } else { "" };
            reason!(
                "cannot load the kernel module {name} from {}/{relative}: {}{hint}",
                self.directory,
                Explained(errno)
            )
        };
        let file = file::open(&below(&self.directory, relative), Access::Read).map_err(failed)?;
        let parameters = self.parameters(name, config)?;
        let parameters = CStr::from_bytes_until_nul(parameters.as_bytes()).map_err(|_| failed(Errno::INVAL))?;
        let began = sys::clock::microseconds();
        match sys::module::load(file.as_fd(), parameters, compression(relative).is_some()) {
            Ok(()) => {
                log::debug!("loaded module {name}");
                if let Some(free) = self.loaded.iter().find(|loaded| loaded.get().is_none()) {
                    free.set(Some(Loaded { name, began, ended: sys::clock::microseconds() }));
                }
                Ok(())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOEXEC) if compression(relative).is_some() => Err(reason!(
                "cannot load the kernel module {name}: {relative} is compressed in a way that this kernel does not \
                 read; pack it uncompressed, as surefoot initramfs does"
            )),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// The module's parameters, from `options` lines and from the command line, with a closing NUL.
    fn parameters(&self, name: &str, config: &Config<'_>) -> Result<String<PARAMETERS_CAPACITY>, Reason> {
        let mut text = String::new();
        let written = self
            .index
            .options(name)
            .try_for_each(|words| write!(text, "{words} "))
            .and_then(|()| config.module_parameters(name).try_for_each(|word| write!(text, "{word} ")))
            .and_then(|()| text.write_char('\0'));
        written.map_err(|_| reason!("the parameters of module {name} are longer than {PARAMETERS_CAPACITY} bytes"))?;
        Ok(text)
    }
}

/// The ending of a compressed module file.
fn compression(path: &str) -> Option<&str> {
    [".xz", ".zst", ".gz"].into_iter().find(|ending| path.ends_with(ending))
}

/// Whether the kernel has the module: finit_module(2) would decompress and read it whole before saying so.
fn is_loaded(name: &str) -> bool {
    file::exists(&path!("/sys/module/{}/initstate", InSysfs(name)))
}
