//! How a deployment is mounted: `prepare-root.conf`, and the word of the command line that overrides it.
//!
//! Keys, values and defaults are those of ostree-prepare-root(1) and of ostree's src/libotcore/otcore-prepare-root.c.

use core::fmt;

use super::key_file::{self, BadLine};

/// Where the initramfs holds the files, in the order in which [`PrepareRoot::parse`] wants them.
pub const CONFIG_PATHS: [&str; 2] = ["/usr/lib/ostree/prepare-root.conf", "/etc/ostree/prepare-root.conf"];
/// The default of `[composefs] keypath`.
pub const DEFAULT_KEYPATH: &str = "/etc/ostree/initramfs-root-binding.key";
/// The key of the command line whose value overrides `[composefs] enabled`.
pub const COMPOSEFS_WORD: &str = "ostree.prepare-root.composefs";

const BOOLEANS: &str = "true, 1, false or 0";
const COMPOSEFS_VALUES: &str = "yes, no, maybe, signed or verity";

/// Whether composefs is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// Never: the deployment's directory becomes `/` by a bind mount.
    No,
    /// Where the deployment has an image; only "there is no image" may lead to the bind mount.
    Maybe,
    /// Always.
    Yes,
}

/// What is checked of a composefs image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    Nothing,
    /// fs-verity digests of all objects that the image names (`verity=require`).
    Verity,
    /// Those, and the digest of the image itself, which a signed commit names.
    Signature,
}

/// `[composefs] enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composefs {
    /// Whether it is used.
    pub enabled: Enabled,
    /// What is checked where it is used.
    pub check: Check,
}

/// `[root] transient` and `transient-ro`: an upper layer over the root that the next boot does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransientRoot {
    /// There is none.
    No,
    /// The root can be written to.
    Writable,
    /// It can not, until somebody remounts it in a mount namespace.
    ReadOnly,
}

/// What becomes of `/etc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Etc {
    /// It is not mounted: the deployment's own directory, as writable as the root.
    Plain,
    /// A writable bind mount of the deployment's own directory.
    Bind,
    /// An overlay over `usr/etc` that the next boot does not have.
    Transient,
}

/// The configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareRoot<'a> {
    /// `[sysroot] readonly`, where it is set. See [`PrepareRoot::sysroot_readonly`].
    pub readonly: Option<bool>,
    /// `[etc] transient`. See [`PrepareRoot::etc`].
    pub transient_etc: bool,
    /// `[root] transient` and `transient-ro`; needs composefs in use, which the caller checks where it is
    /// [`Enabled::Maybe`].
    pub transient_root: TransientRoot,
    /// `[composefs] enabled`, overridden by the command line.
    pub composefs: Composefs,
    /// `[composefs] keypath`: the file of the initramfs that holds the public keys.
    pub keypath: &'a str,
}

/// A file that was found, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigFile<'a> {
    /// Its path, for messages.
    pub path: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// The values of one file as they stand there.
#[derive(Clone, Copy, Default)]
struct Values<'a> {
    readonly: Option<&'a str>,
    transient_etc: Option<&'a str>,
    transient_root: Option<&'a str>,
    transient_root_ro: Option<&'a str>,
    composefs: Option<&'a str>,
    keypath: Option<&'a str>,
}

impl<'a> PrepareRoot<'a> {
    /// Reads the `files` that exist, in the order of [`CONFIG_PATHS`], and the value of [`COMPOSEFS_WORD`].
    ///
    /// As in ostree, a later file stands in the place of an earlier one, all of it: the keys that it leaves out have their
    /// defaults. An earlier file that cannot be read is an error all the same.
    pub fn parse(files: &[ConfigFile<'a>], composefs_word: Option<&'a str>) -> Result<Self, PrepareRootError<'a>> {
        let mut values = Values::default();
        let mut path = "";
        for file in files {
            path = file.path;
            values = Values::read(file.text).map_err(|bad| PrepareRootError::Line {
                path,
                number: bad.number,
                line: bad.line,
            })?;
        }
        let configured = values.config(path)?;
        let config = composefs_word.map_or(Ok(configured), |word| configured.overridden(word))?;
        if config.transient_root != TransientRoot::No && config.composefs.enabled == Enabled::No {
            return Err(PrepareRootError::TransientWithoutComposefs);
        }
        Ok(config)
    }

    fn overridden(self, word: &'a str) -> Result<Self, PrepareRootError<'a>> {
        let composefs = Composefs::parse(word).ok_or(PrepareRootError::Word { value: word })?;
        // A word without a check of its own keeps fs-verity where the files ask for it, but not the signature.
        let check = match (composefs.check, self.composefs.check) {
            (Check::Nothing, Check::Verity | Check::Signature) => Check::Verity,
            (check, _) => check,
        };
        Ok(Self { composefs: Composefs { check, ..composefs }, ..self })
    }

    /// Whether the physical root is read-only at `/sysroot`. `repository` is the text of the sysroot's
    /// `ostree/repo/config`, where it could be read: it is asked where neither the files nor composefs say so. Nothing
    /// that it may hold is an error.
    pub fn sysroot_readonly(&self, repository: Option<&str>) -> bool {
        let composefs = self.composefs.enabled == Enabled::Yes;
        let readonly = self.readonly.unwrap_or(composefs);
        readonly || (!composefs && repository.is_some_and(configured_readonly))
    }

    /// What becomes of `/etc`, where `/sysroot` is read-only or not, and composefs is in use or not: `[etc] transient` is
    /// left out of account for a plain root that can be written to.
    pub fn etc(&self, sysroot_readonly: bool, composefs: bool) -> Etc {
        match (sysroot_readonly || composefs, self.transient_etc) {
            (false, _) => Etc::Plain,
            (true, false) => Etc::Bind,
            (true, true) => Etc::Transient,
        }
    }
}

/// `[sysroot] readonly` of the repository's configuration.
fn configured_readonly(text: &str) -> bool {
    let value = Values::read(text).ok().and_then(|values| values.readonly);
    value.and_then(boolean) == Some(true)
}

impl<'a> Values<'a> {
    #[inline(never)]
    fn read(text: &'a str) -> Result<Self, BadLine<'a>> {
        let mut values = Self::default();
        key_file::read(text, |entry| {
            let value = match (entry.group, entry.key) {
                ("sysroot", "readonly") => &mut values.readonly,
                ("etc", "transient") => &mut values.transient_etc,
                ("root", "transient") => &mut values.transient_root,
                ("root", "transient-ro") => &mut values.transient_root_ro,
                ("composefs", "enabled") => &mut values.composefs,
                ("composefs", "keypath") => &mut values.keypath,
                _ => return,
            };
            *value = Some(entry.value);
        })?;
        Ok(values)
    }

    fn config(self, path: &'a str) -> Result<PrepareRoot<'a>, PrepareRootError<'a>> {
        let read = |key, value: Option<&'a str>| match value {
            None => Ok(None),
            Some(value) => {
                boolean(value).map(Some).ok_or(PrepareRootError::Value { path, key, value, allowed: BOOLEANS })
            }
        };
        let transient = read("[root] transient", self.transient_root)?.unwrap_or(false);
        let transient_ro = read("[root] transient-ro", self.transient_root_ro)?.unwrap_or(false);
        let composefs = self.composefs.unwrap_or("no");
        Ok(PrepareRoot {
            readonly: read("[sysroot] readonly", self.readonly)?,
            transient_etc: read("[etc] transient", self.transient_etc)?.unwrap_or(false),
            transient_root: match (transient, transient_ro) {
                (true, true) => return Err(PrepareRootError::BothTransient { path }),
                (true, false) => TransientRoot::Writable,
                (false, true) => TransientRoot::ReadOnly,
                (false, false) => TransientRoot::No,
            },
            composefs: Composefs::parse(composefs).ok_or(PrepareRootError::Value {
                path,
                key: "[composefs] enabled",
                value: composefs,
                allowed: COMPOSEFS_VALUES,
            })?,
            keypath: self.keypath.unwrap_or(DEFAULT_KEYPATH),
        })
    }
}

impl Composefs {
    /// Reads `signed`, `verity`, or one of ostree's three states; `verity` on the command line too, as the manual has
    /// it, though ostree 2026.4 itself takes it in the file only.
    fn parse(value: &str) -> Option<Self> {
        let (enabled, check) = match value {
            "signed" => (Enabled::Yes, Check::Signature),
            "verity" => (Enabled::Yes, Check::Verity),
            _ => match value.trim_matches(key_file::is_space) {
                "maybe" => (Enabled::Maybe, Check::Nothing),
                "yes" | "true" | "1" => (Enabled::Yes, Check::Nothing),
                "no" | "false" | "0" => (Enabled::No, Check::Nothing),
                _ => return None,
            },
        };
        Some(Self { enabled, check })
    }
}

/// g_key_file_get_boolean().
fn boolean(value: &str) -> Option<bool> {
    match value.trim_end_matches(key_file::is_space) {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Why there is no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrepareRootError<'a> {
    /// A line is neither a group, nor a key with a value, nor a comment.
    Line {
        /// The file.
        path: &'a str,
        /// The number of the line, from 1.
        number: usize,
        /// The line.
        line: &'a str,
    },
    /// A key has a value that means nothing.
    Value {
        /// The file.
        path: &'a str,
        /// The group and the key.
        key: &'static str,
        /// The value.
        value: &'a str,
        /// What it may be.
        allowed: &'static str,
    },
    /// [`COMPOSEFS_WORD`] has a value that means nothing.
    Word {
        /// The value.
        value: &'a str,
    },
    /// `[root] transient` and `transient-ro` are both set.
    BothTransient {
        /// The file.
        path: &'a str,
    },
    /// A transient root is asked for, but composefs, on which it is laid, is not.
    TransientWithoutComposefs,
}

impl fmt::Display for PrepareRootError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { path, number, line } => {
                let line = line.as_bytes().escape_ascii();
                write!(f, "{path}, line {number}: \"{line}\" is neither [group] nor key=value in a group")
            }
            Self::Value { path, key, value, allowed } => {
                write!(f, "{path}: {key}={}: it may be {allowed}", value.as_bytes().escape_ascii())
            }
            Self::Word { value } => {
                write!(f, "{COMPOSEFS_WORD}={}: it may be {COMPOSEFS_VALUES}", value.as_bytes().escape_ascii())
            }
            Self::BothTransient { path } => write!(f, "{path}: [root] transient and transient-ro rule each other out"),
            Self::TransientWithoutComposefs => f.write_str("[root] transient needs [composefs] enabled"),
        }
    }
}

impl core::error::Error for PrepareRootError<'_> {}

#[cfg(test)]
mod tests;
