//! Does what the command line asks of the probe.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use composefs_ioctls::fsverity::{EnableVerityError, fs_ioc_enable_verity};
use nix::mount::{MsFlags, mount, umount};
use signal_hook::consts::{SIGCHLD, SIGTERM};
use signal_hook::iterator::Signals;
use surefoot_probe::action::Hash;
use surefoot_probe::report::Ran;
use surefoot_probe::{Action, Outcome};

use crate::{digest, gather};

/// Performs one action.
pub(crate) fn perform(action: &Action) -> Outcome {
    let done = match action {
        Action::Write(path, text) => write(path, text).map(|()| Outcome::Done),
        Action::Read(path) => fs::read(path).map(|bytes| Outcome::Text(String::from_utf8_lossy(&bytes).into_owned())),
        Action::Hex(path) => fs::read(path).map(|bytes| Outcome::Text(format!("{bytes:02x?}"))),
        Action::List(path) => fs::read_dir(path).map(|_| Outcome::Names(gather::names(path))),
        Action::Digest(path) => digest::of(Path::new(path)).map(Outcome::Text),
        Action::Stat(path) => gather::entry(Path::new(path)).map(Outcome::Entry),
        Action::Remove(path) => fs::remove_file(path).map(|()| Outcome::Done),
        Action::Fill(path) => Ok(fill(path)),
        Action::Signals => signals(),
        Action::Mount(device, target, kind, write) => {
            let flags = if *write { MsFlags::empty() } else { MsFlags::MS_RDONLY };
            let mounted = mount(Some(device.as_str()), target.as_str(), Some(kind.as_str()), flags, None::<&str>);
            mounted.map(|()| Outcome::Done).map_err(io::Error::from)
        }
        Action::Unmount(path) => umount(path.as_str()).map(|()| Outcome::Done).map_err(io::Error::from),
        Action::Run(words) => run(words).map(Outcome::Ran),
        Action::EnableVerity(path, hash) => enable_verity(Path::new(path), *hash).map(|()| Outcome::Done),
    };
    done.unwrap_or_else(|why| Outcome::Failed(why.raw_os_error().unwrap_or(-1)))
}

fn write(path: &str, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Until nothing fits even when everything before is on the device: then what was set aside for it is free.
fn fill(path: &str) -> Outcome {
    let zeros = vec![0; 64 * 1024];
    let mut written = 0;
    let mut attempt = || -> io::Result<()> {
        let mut file = File::create(path)?;
        let mut before = None;
        loop {
            match file.write(&zeros) {
                Ok(count) => written += count as u64,
                Err(why) if before == Some(written) => return Err(why),
                Err(_) => {
                    before = Some(written);
                    file.sync_all()?;
                }
            }
        }
    };
    let error = attempt().err().and_then(|why| why.raw_os_error());
    Outcome::Filled(written, error.unwrap_or(-1))
}

/// Runs a program. The console tells when it begins.
fn run(words: &[String]) -> io::Result<Ran> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    println!("probe: running {}", words.join(" "));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// Enables fs-verity, with blocks of 4096 bytes, on a file or all files below a folder.
fn enable_verity(path: &Path, hash: Hash) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        let names = gather::names(path);
        return names.into_iter().try_for_each(|name| enable_verity(&path.join(name), hash));
    }
    if !kind.is_file() {
        return Ok(());
    }
    // As linux/fsverity.h numbers them.
    let algorithm = match hash {
        Hash::Sha256 => 1,
        Hash::Sha512 => 2,
    };
    fs_ioc_enable_verity(File::open(path)?, algorithm, 4096).map_err(|why| {
        eprintln!("probe: no fs-verity on {}: {why}", path.display());
        match why {
            EnableVerityError::Io(why) => why,
            other => io::Error::other(other),
        }
    })
}

/// Has a child send SIGTERM and then end, which sends SIGCHLD; waits until both have arrived.
///
/// A signal that was left blocked never arrives: the scenario's deadline then says so.
fn signals() -> io::Result<Outcome> {
    let mut signals = Signals::new([SIGTERM, SIGCHLD])?;
    let mut child = Command::new("/proc/self/exe").spawn()?;
    let mut arrived = std::collections::BTreeSet::new();
    for signal in signals.forever() {
        arrived.insert(signal);
        if arrived.len() == 2 {
            break;
        }
    }
    child.wait()?;
    Ok(Outcome::Signals(arrived.into_iter().collect()))
}

/// The child's part of [`signals`].
pub(crate) fn signal_parent() {
    let parent = nix::unistd::Pid::parent();
    if let Err(why) = nix::sys::signal::kill(parent, nix::sys::signal::SIGTERM) {
        eprintln!("probe: no SIGTERM to {parent}: {why}");
    }
}
