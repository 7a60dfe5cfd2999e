//! The second way to be started: by the kernel, which wants a module (`/proc/sys/kernel/modprobe`).

use boot_config::Config;
use sys::file;
use sys::process;
use sys::start::Words;

use crate::command_line;
use crate::load::Tree;
use crate::text::Reason;
use crate::{log, reason};

/// What anyone is told who starts this program as anything but PID 1.
const REFUSAL: &str = concat!(
    "surefoot-init ",
    env!("CARGO_PKG_VERSION"),
    ": the kernel starts this program as the first one in an initramfs. Started in any other way it changes nothing. The \
     command is `surefoot`.\n"
);

/// Answers the kernel's request, or refuses to do anything.
pub fn run(words: &Words) -> ! {
    let Some(name) = request(words) else {
        process::say(REFUSAL);
        process::exit(2)
    };
    match load(name) {
        Ok(()) => process::exit(0),
        Err(reason) => {
            log::start();
            log::debug!("the kernel asked for {name}: {reason}");
            process::exit(1)
        }
    }
}

/// The module that the kernel asks for: it calls `/init -q -- NAME` while PID 1 of the initramfs is this very file. On a
/// machine that runs another init, or any other way, there is no request.
fn request(words: &Words) -> Option<&'static str> {
    let mut arguments = words.arguments().skip(1);
    let asks = arguments.next() == Some(c"-q") && arguments.next() == Some(c"--");
    let name = arguments.next().and_then(|name| name.to_str().ok())?;
    let same = |path| file::status_of(path).ok().map(|status| (status.device, status.inode));
    let first = same("/proc/1/exe")?;
    (asks && file::is_in_memory("/") && same("/proc/self/exe") == Some(first)).then_some(name)
}

fn load(name: &str) -> Result<(), Reason> {
    // PID 1 has said what is to be said of the command line: until here nothing is logged.
    let config = Config::parse(command_line::read()?).map_err(|error| reason!("{error}"))?;
    log::start();
    Tree::open().load(name, &config)
}
