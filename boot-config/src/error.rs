//! What can be wrong with a configuration.

use core::fmt::{self, Write};

use verity::RootHashError;

use crate::SYSROOTS;
use crate::composefs::ComposefsError;
use crate::spec::SpecError;

/// Where a word was read, lowest precedence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `/etc/cmdline.d/*.conf` in the initramfs.
    DropIns,
    /// `/proc/bootconfig`.
    Bootconfig,
    /// `/proc/cmdline`.
    Cmdline,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DropIns => "/etc/cmdline.d",
            Self::Bootconfig => "/proc/bootconfig",
            Self::Cmdline => "/proc/cmdline",
        })
    }
}

/// A key as somebody set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The key.
    pub key: &'a str,
    /// Its value, if it has one.
    pub value: Option<&'a str>,
    /// Where it stands.
    pub source: Source,
}

impl fmt::Display for Setting<'_> {
    /// Writes `KEY=VALUE` on one line, control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(self.key))?;
        self.value.map_or(Ok(()), |value| write!(f, "={}", OneLine(value)))
    }
}

/// Why the machine cannot boot with this configuration. The text is one line that leaves out what happens next, which
/// only the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError<'a> {
    /// What is wrong.
    pub setting: Setting<'a>,
    /// Why.
    pub cause: Cause<'a>,
}

/// Why a setting is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// The value has no meaning for this key.
    BadValue {
        /// Why not.
        why: Why,
        /// What the key may have for a value.
        allowed: &'static str,
    },
    /// The key, or its directory, stands twice in one source, though only once makes sense.
    Repeated {
        /// The value that came first.
        earlier: Option<&'a str>,
    },
    /// Two settings rule each other out.
    Contradiction {
        /// The other one.
        other: Setting<'a>,
        /// What each of them asks for, or how to resolve it.
        why: &'static str,
    },
    /// The setting means nothing without another one.
    Needs {
        /// The key that is missing.
        what: &'static str,
        /// Why it is needed, where that is not plain.
        why: Option<&'static str>,
    },
    /// There is no room for one more.
    TooMany {
        /// The name of the constant that limits it.
        constant: &'static str,
        /// The constant's value.
        limit: usize,
    },
    /// A `--` in a drop-in file: it would hide the words of the files after it.
    DashesInDropIn,
}

/// Why a value has no meaning for its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It names no device.
    Device(SpecError),
    /// It is no root hash.
    RootHash(RootHashError),
    /// It is no composefs image.
    Composefs(ComposefsError),
    /// Any other reason.
    Text(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => error.fmt(f),
            Self::RootHash(error) => error.fmt(f),
            Self::Composefs(error) if SYSROOTS => error.fmt(f),
            // Nothing is read as one then.
            Self::Composefs(_) => Ok(()),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ConfigError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { key, source, .. } = self.setting;
        write!(f, "{} in {source}: ", self.setting)?;
        match self.cause {
            // The root hash's own error lists what is allowed.
            Cause::BadValue { why: Why::RootHash(why), .. } => write!(f, "{why}"),
            Cause::BadValue { why, allowed } => write!(f, "{why}; allowed: {allowed}"),
            Cause::Repeated { earlier } => {
                let earlier = Setting { key, value: earlier, source };
                write!(f, "given twice, before as {earlier}; once is allowed")
            }
            Cause::Contradiction { other, why } => write!(f, "contradicts {other} in {}; {why}", other.source),
            Cause::Needs { what, why } => {
                write!(f, "needs {what}=, which is not given")?;
                why.map_or(Ok(()), |why| write!(f, "; {why}"))
            }
            Cause::TooMany { constant, limit } => write!(f, "too many of them; {constant} allows {limit}"),
            Cause::DashesInDropIn => f.write_str("would hide all later words; only /proc/cmdline may have it"),
        }
    }
}

impl core::error::Error for ConfigError<'_> {}

/// A text with its control characters escaped.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if c.is_control() { c.escape_default().fmt(f) } else { f.write_char(c) })
    }
}
