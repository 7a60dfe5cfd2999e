//! Files that are built once, named by a digest of all that they are made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::paths;

/// Collects what a cached file is made from.
#[derive(Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds text, apart from what was added before.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes, apart from what was added before.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a file's content.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut digest = Sha256::new();
        std::io::copy(&mut file, &mut Write(&mut digest)).with_context(|| format!("read {}", path.display()))?;
        self.0.update(digest.finalize());
        Ok(self)
    }

    /// Sixteen hexadecimal digits.
    pub fn hex(self) -> String {
        let start = self.0.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        format!("{start:016x}")
    }
}

struct Write<'a>(&'a mut Sha256);

impl std::io::Write for Write<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The cached file `NAME-KEY` of `folder`; `build` makes it at the path it is given when it is not there yet.
///
/// Several threads and processes may ask for the same file: one builds, the others wait. When something is built, what
/// nobody has asked for in the last two days goes away.
pub fn cached(folder: &str, name: &str, key: Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = paths::cache().join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let name = format!("{name}-{}", key.hex());
    let path = folder.join(&name);
    let lock = File::create(folder.join(format!(".{name}.lock")))?;
    lock.lock()?;
    let missing = !path.exists();
    if missing {
        let partial = folder.join(format!(".{name}.partial"));
        if partial.exists() {
            remove(&partial)?;
        }
        build(&partial)?;
        fs::rename(&partial, &path).with_context(|| format!("rename to {}", path.display()))?;
    }
    // An unpacked package brings the date of its own making: it must not look like something forgotten.
    File::open(&path)?.set_modified(SystemTime::now())?;
    if missing {
        prune(&folder)?;
    }
    Ok(path)
}

/// Removes what was last asked for, and so last modified, too long ago.
fn prune(folder: &Path) -> Result<()> {
    const KEPT: Duration = Duration::from_hours(48);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What another thread is building gets its own name in between.
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.modified()?.elapsed().unwrap_or_default() > KEPT {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file or a folder.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_go_but_not_the_one_just_asked_for() -> Result<()> {
        let forgotten = cached("cache-test", "forgotten", Key::default(), |path| Ok(fs::write(path, "")?))?;
        File::open(&forgotten)?.set_modified(SystemTime::UNIX_EPOCH)?;
        let unpacked = cached("cache-test", "unpacked", Key::default().text("new"), |path| {
            fs::create_dir(path)?;
            Ok(File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?)
        })?;
        assert!(unpacked.is_dir() && !forgotten.exists());
        remove(&paths::cache().join("cache-test"))
    }
}
