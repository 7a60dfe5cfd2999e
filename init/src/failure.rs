//! How a boot that cannot go on ends: one line that says so, time to read it, and the action that was asked for.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;

use boot_config::policy::Emergency;
use sys::errno::Explained;
use sys::process::{self, Ending};

use crate::log;

/// How long the last message stays on the screen before the machine restarts or goes off.
const VISIBLE: Duration = Duration::from_secs(10);

/// How long PID 1 waits between tries to end a machine that will not.
const RETRY: Duration = Duration::from_mins(1);

/// The shell that `rd.shell` and `rd.break` start, where it was packed into the initramfs.
pub const SHELL: &core::ffi::CStr = c"/bin/sh";

/// What the command line asked for, for a panic that comes from anywhere.
static EMERGENCY: AtomicU8 = AtomicU8::new(0);

/// Keeps what the command line asked for.
pub fn remember(emergency: Emergency) {
    let number = match emergency {
        Emergency::Reboot => 0,
        Emergency::Poweroff => 1,
        Emergency::Halt => 2,
        Emergency::Shell => 3,
    };
    EMERGENCY.store(number, Ordering::Relaxed);
}

/// What the command line asked for; a reboot until it is known.
pub fn remembered() -> Emergency {
    match EMERGENCY.load(Ordering::Relaxed) {
        1 => Emergency::Poweroff,
        2 => Emergency::Halt,
        3 => Emergency::Shell,
        _ => Emergency::Reboot,
    }
}

/// Says `why` the boot failed and what happens now, lets it be read, and ends the machine.
pub fn conclude(why: fmt::Arguments<'_>, emergency: Emergency) -> ! {
    let with_shell = emergency == Emergency::Shell && shell_is_there();
    let (next, ending) = match emergency {
        Emergency::Shell if with_shell => ("starting the shell, the machine reboots when it ends", Ending::Reboot),
        Emergency::Shell => ("no /bin/sh was packed into the initramfs, rebooting", Ending::Reboot),
        Emergency::Reboot => ("rebooting", Ending::Reboot),
        Emergency::Poweroff => ("powering off", Ending::Poweroff),
        Emergency::Halt => ("halting", Ending::Halt),
    };
    if with_shell || emergency == Emergency::Halt {
        log::error!("boot failed: {why}; {next}");
    } else {
        log::error!("boot failed: {why}; {next} in {} seconds", VISIBLE.as_secs());
        process::pause(VISIBLE);
    }
    if with_shell {
        open_shell();
    }
    process_end(ending)
}

/// Whether the initramfs holds a shell.
pub fn shell_is_there() -> bool {
    SHELL.to_str().is_ok_and(sys::file::exists)
}

/// Starts the shell and waits until it ends.
pub fn open_shell() {
    let environment = [c"PATH=/bin:/sbin:/usr/bin:/usr/sbin", c"HOME=/", c"TERM=linux"];
    if let Err(errno) = process::run(SHELL, &[SHELL], &environment) {
        log::error!("cannot start /bin/sh: {}", Explained(errno));
    }
}

/// Ends the machine; where the kernel refuses, says so and tries again.
fn process_end(ending: Ending) -> ! {
    loop {
        let errno = process::end_machine(ending);
        log::error!("the kernel does not end the machine: {}; trying again in a minute", Explained(errno));
        process::pause(RETRY);
    }
}
