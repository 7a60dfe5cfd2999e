//! The last boots, as PID 1 has written them down on the state device. Nothing vouches for them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::report::{Failure, Fallback};
use crate::notice::replace;

/// How many boots are kept.
pub(crate) const KEPT: usize = 100;
/// Where they are in the running system.
pub(crate) const FILE: &str = "/run/surefoot/state/surefoot/boots";
/// How much of the file is read, from its end: more than so many boots take, in bytes.
const MOST_READ: u64 = 1 << 20;

/// What PID 1 begins a line with.
const BEGINNING: &str = "{\"time\":";

/// One boot that reached the hand-over.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Boot {
    /// When, in seconds since 1970, by the machine's own clock.
    pub(crate) time: u64,
    /// What was booted.
    pub(crate) deployment: String,
    /// Release of the kernel.
    #[serde(default)]
    pub(crate) kernel: String,
    /// How often its slot could still be tried, that boot not counted; null where it was in no slot.
    #[serde(default)]
    pub(crate) tries_left: Option<u8>,
    /// Whether its slot had booted well before; null where it was in no slot.
    #[serde(default)]
    pub(crate) successful: Option<bool>,
    /// Why something else was booted than what was meant; null where it was what was meant.
    #[serde(default)]
    pub(crate) fallback: Option<Fallback>,
    /// The candidates that were tried before and failed.
    #[serde(default)]
    pub(crate) failed: Vec<Failure>,
}

/// The boots that a history tells of, the oldest first, [`KEPT`] at most. What is no boot is passed over, and of a
/// history that cannot be read there is none.
pub(crate) fn read(path: &Path) -> Vec<Boot> {
    lines(path).unwrap_or_default().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The last lines of the file that tell of a boot.
pub(crate) fn lines(path: &Path) -> io::Result<Vec<String>> {
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MOST_READ);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MOST_READ).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut last: Vec<_> = text.lines().rev().filter_map(boot_of).take(KEPT).map(str::to_owned).collect();
    last.reverse();
    Ok(last)
}

/// The part of a line that tells of a boot: all of it, or what was written behind a line that was cut off.
fn boot_of(line: &str) -> Option<&str> {
    let behind = || line.rfind(BEGINNING).and_then(|start| line.get(start..));
    [Some(line), behind()].into_iter().flatten().find(|text| serde_json::from_str::<Boot>(text).is_ok())
}

/// Leaves the last [`KEPT`] boots in the file, if it has more lines than that.
pub(crate) fn trim(path: &Path) -> io::Result<()> {
    let mut file = match open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut start = Vec::new();
    file.by_ref().take(MOST_READ).read_to_end(&mut start)?;
    let found = start.split(|byte| *byte == b'\n').skip(1).count();
    if found <= KEPT {
        return Ok(());
    }
    let text: String = lines(path)?.into_iter().map(|line| line + "\n").collect();
    replace(path, text.as_bytes(), 0o600)
}

/// Opens a regular file: no link is followed, its folder's neither, and nothing is waited for.
fn open(path: &Path) -> io::Result<File> {
    if path.parent().is_some_and(Path::is_symlink) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":1795399449,"deployment":"root-a","kernel":"6.12","tries_left":0,"successful":true,"fallback":{"from":"root-b","reason":"bad"},"failed":[{"name":"root-b","reason":"bad"}]}"#;

    fn history(content: impl AsRef<[u8]>) -> Vec<Boot> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read(file.path())
    }

    #[test]
    fn every_field_is_read() {
        let boots = history(format!("{LINE}\n"));
        assert_eq!(serde_json::to_value(&boots[0]).unwrap(), serde_json::from_str::<serde_json::Value>(LINE).unwrap());
    }

    #[test]
    fn what_is_no_boot_is_passed_over() {
        let cut = &LINE[..LINE.len() - 3];
        let boots = history(format!("garbage\n{LINE}\n{{}}\n\u{0}\n[1]\n{LINE}\n{cut}"));
        assert_eq!(boots.len(), 2);
        assert_eq!(history(format!("{cut}{LINE}\n{LINE}")), boots, "a line behind one that was cut off");
        assert_eq!(history(b"\xff\xfe\n").len(), 0);
        assert_eq!(history(r#"{"time":1,"deployment":"old"}"#).len(), 1);
        assert_eq!(history("[".repeat(1 << 20)).len(), 0);
    }

    #[test]
    fn of_many_boots_the_last_ones_are_read() {
        let many: String = (0..5000).map(|time| LINE.replace("1795399449", &time.to_string()) + "\n").collect();
        let boots = history(many);
        assert_eq!((boots.len(), boots[0].time, boots[99].time), (100, 4900, 4999));
    }

    #[test]
    fn only_a_long_history_is_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boots");
        trim(&path).unwrap();
        let line = |time: u64| LINE.replace("1795399449", &time.to_string()) + "\n";
        let short: String = (0..100).map(line).collect();
        std::fs::write(&path, &short).unwrap();
        trim(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), short);
        std::fs::write(&path, format!("garbage\n{short}{}", line(100))).unwrap();
        trim(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), (1..101).map(line).collect::<String>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(folder.path().join("file"), format!("{LINE}\n")).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        // What would be trimmed, if it were reached by its own folder.
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        let outside = folder.path().join("outside/boots");
        std::fs::write(&outside, format!("{LINE}\n").repeat(200)).unwrap();
        std::os::unix::fs::symlink("outside", folder.path().join("surefoot")).unwrap();
        let inside = folder.path().join("surefoot/boots");
        for path in [folder.path(), &pipe, &link, &inside, Path::new("/dev/zero"), Path::new("/nowhere")] {
            assert_eq!(read(path), [], "{}", path.display());
        }
        for path in [&pipe, &link, &inside] {
            assert!(trim(path).is_err(), "{}", path.display());
        }
        assert_eq!(read(&outside).len(), KEPT);
        assert_eq!(std::fs::read_to_string(&outside).unwrap().lines().count(), 200);
    }
}
