//! Image files with their version in the name, as systemd-vpick(1) picks them (systemd.v(7)).
//!
//! A folder `NAME.raw.v` or `X.v` holds files called `NAME_VERSION[_ARCHITECTURE][+LEFT[-DONE]].raw`. A [`Pattern`] says
//! which files of a folder are meant, an [`Image`] is one of them. Whoever tries an image renames it first:
//! [`Image::after_try`].

mod version;

use core::cmp::Ordering;
use core::fmt::{self, Write};

use heapless::String;

pub use version::compare as compare_versions;

/// The longest name of a file in bytes (Linux' `NAME_MAX`).
pub const MAX_FILE_NAME: usize = 255;
/// A name for a file.
pub type FileName = String<MAX_FILE_NAME, u8>;

/// This machine's architecture, as file names spell it.
#[cfg(not(target_arch = "aarch64"))]
pub const ARCHITECTURE: &str = "x86-64";
/// This machine's architecture, as file names spell it.
#[cfg(target_arch = "aarch64")]
pub const ARCHITECTURE: &str = "arm64";

/// All architectures that a name can end with (`ConditionArchitecture=` in systemd.unit(5)).
const ARCHITECTURES: &str = " x86 x86-64 ppc ppc-le ppc64 ppc64-le ia64 parisc parisc64 s390 s390x sparc sparc64 mips \
                             mips-le mips64 mips64-le alpha arm arm-be arm64 arm64-be sh sh64 m68k tilegx cris arc arc-be \
                             riscv32 riscv64 loongarch64 ";

/// The suffix of the images.
const SUFFIX: &str = ".raw";
/// The suffix of a folder of versions.
const FOLDER_SUFFIX: &str = ".v";
/// What stands for version, architecture and counters where a path names a file in such a folder.
const WILDCARD: &str = "___";

/// Which files of a folder are versions of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'p> {
    /// The folder, without a slash at its end.
    pub folder: &'p str,
    name: &'p str,
    suffix: &'p str,
}

impl<'p> Pattern<'p> {
    /// Reads a path that ends in a folder `NAME.raw.v` or `NAME.v`, or in `X.v/NAME___.raw`. `None` for one that names
    /// no versions.
    pub fn parse(path: &'p str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
        let (folder, name, suffix) = if let Some(name) = last.strip_suffix(FOLDER_SUFFIX) {
            (path, name.strip_suffix(SUFFIX).unwrap_or(name), SUFFIX)
        } else {
            let place = last.as_bytes().windows(WILDCARD.len()).rposition(|found| found == WILDCARD.as_bytes())?;
            let (name, rest) = last.split_at_checked(place)?;
            let suffix = rest.strip_prefix(WILDCARD)?;
            let folder = parent.trim_end_matches('/');
            let is_folder = folder.rsplit('/').next().is_some_and(|last| last.ends_with(FOLDER_SUFFIX));
            (Some(folder).filter(|_| is_folder)?, name, suffix)
        };
        (!name.is_empty()).then_some(Self { folder, name, suffix })
    }

    /// The image that the file of the folder with this name is; `None` if it is none for this `architecture`.
    pub fn image<'f>(&self, file_name: &'f str, architecture: &str) -> Option<Image<'f>> {
        let start = self.name.len().checked_add(1)?;
        let end = file_name.len().checked_sub(self.suffix.len())?;
        let middle = file_name.get(start..end)?;
        let named = file_name.strip_prefix(self.name)?.starts_with('_') && file_name.ends_with(self.suffix);
        if !named || file_name.len() > MAX_FILE_NAME {
            return None;
        }
        let (middle, counters) = split_counters(middle);
        let (stem, suffix) = (file_name.get(..start.checked_add(middle.len())?)?, file_name.get(end..)?);
        // A last word that is no architecture belongs to nothing, and says nothing about where the image runs.
        let (version, word) = middle.rsplit_once('_').map_or((middle, None), |(version, word)| (version, Some(word)));
        let native = word == Some(architecture);
        let foreign = !native && word.is_some_and(is_architecture);
        (!foreign && is_version(version)).then_some(Image { file_name, version, counters, stem, suffix, native })
    }
}

/// Whether `word` is one of the [`ARCHITECTURES`].
fn is_architecture(word: &str) -> bool {
    !word.is_empty() && ARCHITECTURES.split(' ').any(|known| known == word)
}

/// Whether `text` has only characters that versions have in file names.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".,_-+~^".contains(&byte))
}

/// How often an image may still be tried, and how often it has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The tries that are left. With none the image is bad.
    pub left: u32,
    /// The tries that have been.
    pub done: u32,
    left_width: usize,
    /// Zero where the number of tries done does not stand in the name.
    done_width: usize,
}

/// Takes `+LEFT` or `+LEFT-DONE` off the end. What is no such number stays where it is.
fn split_counters(text: &str) -> (&str, Option<Counters>) {
    let parse = |text: &str| {
        let (rest, counters) = text.rsplit_once('+')?;
        let (left, done) = counters.split_once('-').map_or((counters, None), |(left, done)| (left, Some(done)));
        let done_width = done.map_or(0, str::len);
        let counters =
            Counters { left: number(left)?, done: number(done.unwrap_or("0"))?, left_width: left.len(), done_width };
        Some((rest.len(), counters))
    };
    parse(text).map_or((text, None), |(length, counters)| (text.get(..length).unwrap_or(text), Some(counters)))
}

/// A number of digits only.
fn number(text: &str) -> Option<u32> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok())
}

/// A file that is a version of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'f> {
    /// The file's name.
    pub file_name: &'f str,
    /// The version.
    pub version: &'f str,
    /// The counters of an image that has not been found good yet, or was found bad.
    pub counters: Option<Counters>,
    /// The name up to the counters.
    stem: &'f str,
    /// The name after them.
    suffix: &'f str,
    /// Whether the name says that the image is for this machine.
    native: bool,
}

impl Image<'_> {
    /// Whether the image has no try left.
    pub fn is_bad(&self) -> bool {
        self.counters.is_some_and(|counters| counters.left == 0)
    }

    /// The order in which images are to be tried, the best one first: those with tries left, the highest version, those
    /// that name the architecture, more tries left (most: no counters), fewer tries done.
    pub fn compare(&self, other: &Self) -> Ordering {
        let left = |image: &Self| image.counters.map_or(u32::MAX, |counters| counters.left);
        let done = |image: &Self| image.counters.map_or(u32::MAX, |counters| counters.done);
        let order = self.is_bad().cmp(&other.is_bad());
        order
            .then_with(|| compare_versions(other.version, self.version))
            .then_with(|| other.native.cmp(&self.native))
            .then_with(|| left(other).cmp(&left(self)))
            .then_with(|| done(self).cmp(&done(other)))
            .then_with(|| other.file_name.cmp(self.file_name))
    }

    /// Its name once it is being tried: one try fewer left, one more done, each with as many digits as before. An image
    /// without counters and one without a try left keep their names.
    pub fn after_try(&self) -> Result<FileName, NameTooLong> {
        let Some(mut counters) = self.counters.filter(|counters| counters.left > 0) else {
            return self.with_counters(self.counters);
        };
        counters.left = counters.left.saturating_sub(1);
        counters.done_width = counters.done_width.max(1);
        // A number with a further digit would be another place in the name: it is capped (Boot Loader Specification).
        let most = u32::try_from(counters.done_width).ok().and_then(|width| 10_u32.checked_pow(width)).unwrap_or(0);
        counters.done = counters.done.saturating_add(1).min(most.wrapping_sub(1));
        self.with_counters(Some(counters))
    }

    /// Its name once it has been found good: without counters.
    pub fn after_success(&self) -> Result<FileName, NameTooLong> {
        self.with_counters(None)
    }

    /// Its name once it has been found bad: no try left, and as many done as before.
    pub fn after_failure(&self) -> Result<FileName, NameTooLong> {
        let none = Counters { left: 0, done: 0, left_width: 1, done_width: 0 };
        self.with_counters(Some(self.counters.map_or(none, |counters| Counters { left: 0, ..counters })))
    }

    /// Its name once it may be tried this often, with as many tries done as before. An image without counters keeps its
    /// name.
    pub fn with_tries(&self, left: u32) -> Result<FileName, NameTooLong> {
        self.with_counters(self.counters.map(|counters| Counters { left, ..counters }))
    }

    #[inline(never)]
    fn with_counters(&self, counters: Option<Counters>) -> Result<FileName, NameTooLong> {
        let mut name = FileName::new();
        let mut write = || {
            name.write_str(self.stem)?;
            if let Some(Counters { left, done, left_width, done_width }) = counters {
                write!(name, "+{left:0left_width$}")?;
                if done_width > 0 {
                    write!(name, "-{done:0done_width$}")?;
                }
            }
            name.write_str(self.suffix)
        };
        let written = write();
        written.map(|()| name).map_err(|_| NameTooLong)
    }
}

/// The longest path of an image in its filesystem, in bytes.
pub const MAX_PATH: usize = 255;

/// The path of an image once it is being tried; `None` where it has no tries to count, or is in no folder of versions.
pub fn path_after_try(path: &str) -> Option<String<MAX_PATH, u8>> {
    let (folder, name) = path.rsplit_once('/')?;
    let image = Pattern::parse(folder)?.image(name, ARCHITECTURE)?;
    image.counters.filter(|counters| counters.left > 0)?;
    let mut path = String::new();
    write!(path, "{folder}/{}", image.after_try().ok()?).ok()?;
    Some(path)
}

/// A name with counters would have more than [`MAX_FILE_NAME`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong;

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with counters its name would have more than {MAX_FILE_NAME} bytes (MAX_FILE_NAME)")
    }
}

impl core::error::Error for NameTooLong {}

#[cfg(test)]
mod tests;
