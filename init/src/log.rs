//! The one logger: everything goes to the kernel's log, and what matters to the console as well.

use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, Ordering};

use boot_config::policy::Verbosity;
use log::{Level, LevelFilter, Log, Metadata, Record};
use sys::file::{self, Access, AsFd};

use crate::text::clipped;

/// Longest line: the kernel cuts a record of `/dev/kmsg` at about a thousand bytes (`LOG_LINE_MAX`).
const LINE_CAPACITY: usize = 900;

struct KernelLog;

/// Whether warnings must be written to the console by us, for the kernel holds them back under `quiet`.
static QUIET: AtomicBool = AtomicBool::new(false);

/// One line of the log. The macros of the crate `log` repeat the check of the level, the module's name and the place in
/// the source at every line; the kernel's log has none of them, so the macros of this module share this function.
#[cold]
#[inline(never)]
pub fn line(level: Level, arguments: fmt::Arguments<'_>) {
    ::log::log!(level, "{arguments}");
}

macro_rules! error {
    ($($part:tt)*) => { $crate::log::line(::log::Level::Error, ::core::format_args!($($part)*)) };
}
// A macro of the name `warn` would be confused with the attribute.
macro_rules! warning {
    ($($part:tt)*) => { $crate::log::line(::log::Level::Warn, ::core::format_args!($($part)*)) };
}
macro_rules! info {
    ($($part:tt)*) => { $crate::log::line(::log::Level::Info, ::core::format_args!($($part)*)) };
}
macro_rules! debug {
    ($($part:tt)*) => { $crate::log::line(::log::Level::Debug, ::core::format_args!($($part)*)) };
}
pub(crate) use {debug, error, info, warning as warn};

/// Starts logging. Before this, and where `/dev/kmsg` cannot be written, lines are lost.
pub fn start() {
    // Only a second logger could make this fail, and there is none.
    let _ = ::log::set_logger(&KernelLog);
    ::log::set_max_level(LevelFilter::Debug);
}

/// What the command line says about the console.
pub fn set_verbosity(verbosity: Verbosity) {
    QUIET.store(verbosity == Verbosity::Quiet, Ordering::Relaxed);
}

impl Log for KernelLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Severities of syslog(2); the facility (daemon, 3) tells our lines from the kernel's own.
        let severity = match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        let line = clipped::<LINE_CAPACITY>(format_args!("<{}>surefoot: {}\n", 3 * 8 + severity, record.args()));
        // In the middle of the hand-over `/dev` is in the new root already.
        if let Some(kmsg) =
            ["/dev/kmsg", "/sysroot/dev/kmsg"].iter().find_map(|path| file::open(path, Access::Write).ok())
        {
            let _ = file::write_to(kmsg.as_fd(), line.as_bytes());
        }
        if record.level() <= Level::Warn && held_back(severity) {
            write_to_console(record);
        }
    }

    fn flush(&self) {}
}

/// Whether the kernel keeps a line of this severity off the console (`/proc/sys/kernel/printk`, first number).
fn held_back(severity: u32) -> bool {
    let mut buffer = [0; 64];
    let text = file::read_text("/proc/sys/kernel/printk", &mut buffer).unwrap_or_default();
    let level = text.split_ascii_whitespace().next().and_then(|number| number.parse::<u32>().ok());
    level.map_or(QUIET.load(Ordering::Relaxed), |level| severity >= level)
}

fn write_to_console(record: &Record<'_>) {
    let mut line = clipped::<LINE_CAPACITY>(format_args!("surefoot: {}", record.args()));
    let _ = line.write_str("\r\n");
    if let Ok(console) = file::open("/dev/console", Access::Write) {
        let _ = file::write_to(console.as_fd(), line.as_bytes());
    }
}
