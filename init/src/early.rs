//! The first moments: the kernel's own filesystems, the console, and the kernel's way to ask for modules.

use sys::errno::Explained;
use sys::file;
use sys::mount::{self, Attributes, Message};
use sys::process;

use crate::places;
use crate::reason;
use crate::text::{Reason, refused};

const NO_SUID: Attributes = Attributes::NO_SUID;
const NO_DEVICES: Attributes = Attributes::NO_DEVICES;
const NO_EXECUTION: Attributes = Attributes::NO_EXECUTION;

/// The kernel's filesystems that PID 1 mounts and hands over: type, place, options, attributes. `/run` is as the real
/// init expects it (one tmpfs, `mode=0755,nosuid,nodev,strictatime`).
const KERNEL_FILESYSTEMS: [(&str, &str, &str, Attributes); 4] = [
    ("devtmpfs", "/dev", "mode=0755", NO_SUID),
    ("proc", "/proc", "", NO_SUID.with(NO_DEVICES).with(NO_EXECUTION)),
    ("sysfs", "/sys", "", NO_SUID.with(NO_DEVICES).with(NO_EXECUTION)),
    ("tmpfs", "/run", "mode=0755", NO_SUID.with(NO_DEVICES).with(Attributes::STRICT_ACCESS_TIME)),
];

/// Who the kernel asks for modules; another one's words are put back before the hand-over.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";

/// Longest path that the kernel keeps there (`KMOD_PATH_LEN`).
const MODPROBE_CAPACITY: usize = 256;

/// Mounts `/dev`, `/proc`, `/sys` and `/run`.
pub fn mount_kernel_filesystems() -> Result<(), Reason> {
    for (kind, target, options, attributes) in KERNEL_FILESYSTEMS {
        // A mount point that is missing shows in the mount's own error.
        let _ = file::make_directory(target, 0o755);
        let mut options = options.split(',').filter(|option| !option.is_empty());
        mount::filesystem(kind, kind, &mut options, attributes, target, &mut Message::new())
            .map_err(|error| reason!("cannot mount {kind} on {target}: {}: {}", error.call, Explained(error.errno)))?;
    }
    // With no /dev/console in the initramfs the kernel starts PID 1 without open files; without a console at all the
    // lines still reach the kernel's log.
    let _ = process::use_console();
    for directory in [places::NEW_ROOT, places::RUN] {
        file::make_directory(directory, 0o755).map_err(|errno| refused("make the directory", directory, errno))?;
    }
    Ok(())
}

/// What the kernel called for modules before, to be put back.
#[derive(Debug)]
pub struct Modprobe(heapless::String<MODPROBE_CAPACITY>);

impl Modprobe {
    /// Makes the kernel call this binary, `/init`, when it wants a module. `None` where the kernel has no modules.
    pub fn take_over() -> Option<Self> {
        let mut buffer = [0; MODPROBE_CAPACITY];
        let before = file::read_text(MODPROBE, &mut buffer).ok()?;
        let before = heapless::String::try_from(before).ok()?;
        file::write(MODPROBE, b"/init\n").ok()?;
        Some(Self(before))
    }

    /// Puts back what was there.
    pub fn restore(&self) -> Result<(), Reason> {
        file::write(MODPROBE, self.0.as_bytes())
            .map_err(|errno| reason!("cannot restore {MODPROBE} to {}: {}", self.0, Explained(errno)))
    }
}
