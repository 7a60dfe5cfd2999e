//! The three sources of words, read into memory.

use boot_config::Sources;
use boot_config::cmdline::end_of;
use heapless::string::StringView;
use heapless::{String, Vec};
use sys::Errno;
use sys::file;
use sys::reserve::Reserve;

use crate::text::{Reason, below, refused};
use crate::{log, reason};

/// Bytes of `/proc/cmdline`. The kernel keeps 2,048 on x86-64 (`COMMAND_LINE_SIZE`), more elsewhere.
const CMDLINE_BYTES: usize = 8 * 1024;
/// Bytes of `/proc/bootconfig`; the kernel takes at most 32 KiB (`XBC_DATA_MAX`) and prints it with quotes.
const BOOTCONFIG_BYTES: usize = 48 * 1024;
/// Bytes of all drop-in files together.
const DROP_IN_BYTES: usize = 16 * 1024;
/// Most drop-in files, and the longest of their names.
const MAX_DROP_INS: usize = 32;
const DROP_IN_NAME_CAPACITY: usize = 64;

/// Where an initramfs keeps words of its own.
const DROP_IN_DIRECTORY: &str = "/etc/cmdline.d";

/// Length at which x86-64 cuts a command line, the closing NUL not counted (`COMMAND_LINE_SIZE`).
const KERNEL_LIMIT: usize = 2047;

/// Memory for the texts.
struct Texts {
    cmdline: String<CMDLINE_BYTES>,
    bootconfig: String<BOOTCONFIG_BYTES>,
    drop_ins: String<DROP_IN_BYTES>,
}

static TEXTS: Reserve<Texts> =
    Reserve::new(Texts { cmdline: String::new(), bootconfig: String::new(), drop_ins: String::new() });

/// Reads all sources, once. One that does not exist is empty; one that cannot be read whole is an error, for a key that
/// is lost may be the one that protects the boot.
pub fn read() -> Result<Sources<'static>, Reason> {
    TEXTS.take().ok_or_else(|| reason!("cannot read the command line: it was read before"))?.read()
}

impl Texts {
    #[inline(never)]
    fn read(&mut self) -> Result<Sources<'_>, Reason> {
        append("/proc/cmdline", &mut self.cmdline)?;
        append("/proc/bootconfig", &mut self.bootconfig)?;
        for name in &drop_in_names()? {
            append(&below(DROP_IN_DIRECTORY, name), &mut self.drop_ins)?;
            end(&mut self.drop_ins, name)?;
        }
        if self.cmdline.trim_end().len() >= KERNEL_LIMIT {
            log::warn!(
                "the command line fills the kernel's {KERNEL_LIMIT} bytes: words at its end may be cut off; move some \
                 to {DROP_IN_DIRECTORY}/*.conf in the initramfs"
            );
        }
        Ok(Sources { drop_ins: &self.drop_ins, bootconfig: &self.bootconfig, cmdline: &self.cmdline })
    }
}

/// Ends what the drop-in file `name` says. A quote that it leaves open ends there, too, and is unlikely to be meant.
fn end(text: &mut StringView, name: &str) -> Result<(), Reason> {
    let end = end_of(text);
    if end != "\n" {
        log::warn!("{DROP_IN_DIRECTORY}/{name}: a quote is opened, and not closed: it ends with the file");
    }
    text.push_str(end).map_err(|_| too_long(DROP_IN_DIRECTORY))
}

fn append(path: &str, text: &mut StringView) -> Result<(), Reason> {
    match file::append_text(path, text) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::FBIG) => Err(too_long(path)),
        Err(Errno::BADMSG) => Err(reason!("cannot read the command line: {path} is not UTF-8 text")),
        Err(errno) => Err(refused("read the command line from", path, errno)),
    }
}

fn too_long(path: &str) -> Reason {
    reason!("cannot read the command line: {path} holds more than surefoot keeps")
}

/// The names of the drop-in files, sorted.
fn drop_in_names() -> Result<Vec<String<DROP_IN_NAME_CAPACITY>, MAX_DROP_INS>, Reason> {
    let mut names = Vec::<String<DROP_IN_NAME_CAPACITY>, MAX_DROP_INS>::new();
    let mut overflow = false;
    let visited = file::visit_directory(DROP_IN_DIRECTORY, &mut |name| {
        if name.rsplit_once('.').is_some_and(|(_, ending)| ending == "conf") {
            overflow |= String::try_from(name).map_or(true, |name| {
                let place = names.iter().position(|other| *other > name).unwrap_or(names.len());
                names.insert(place, name).is_err()
            });
        }
        true
    });
    match visited {
        Ok(()) | Err(Errno::NOENT) if !overflow => {}
        Ok(()) | Err(Errno::NOENT) => {
            return Err(reason!(
                "cannot read {DROP_IN_DIRECTORY}: more than {MAX_DROP_INS} files, or a name longer than \
                 {DROP_IN_NAME_CAPACITY} bytes"
            ));
        }
        Err(errno) => return Err(refused("read", DROP_IN_DIRECTORY, errno)),
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::sync::Mutex;

    use ::log::{LevelFilter, Log, Metadata, Record};

    use super::*;

    /// What is logged while the tests run.
    struct Lines(Mutex<std::vec::Vec<std::string::String>>);

    static LINES: Lines = Lines(Mutex::new(std::vec::Vec::new()));

    impl Log for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    #[test]
    fn a_quote_that_a_drop_in_leaves_open_is_told() {
        ::log::set_logger(&LINES).unwrap();
        ::log::set_max_level(LevelFilter::Warn);
        let mut text = String::<64>::new();
        for (name, words) in [("10.conf", "a=\"b c\""), ("20.conf", "d=\"e"), ("30.conf", "f")] {
            text.push_str(words).unwrap();
            end(&mut text, name).unwrap();
        }
        assert_eq!(text, "a=\"b c\"\nd=\"e\"\nf\n");
        let lines = LINES.0.lock().unwrap();
        let told: std::vec::Vec<_> = lines.iter().filter(|line| line.starts_with(DROP_IN_DIRECTORY)).collect();
        assert_eq!(told, ["/etc/cmdline.d/20.conf: a quote is opened, and not closed: it ends with the file"]);
    }
}
