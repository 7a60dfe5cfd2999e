//! The first moments: the kernel's own filesystems, and the console.

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
