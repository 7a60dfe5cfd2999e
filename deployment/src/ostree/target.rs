//! Which deployment the command line means: `ostree=`, and the links that it leads through.
//!
//! ```text
//! ostree=/ostree/boot.1/OS/BOOTCSUM/0          a boot link
//! /ostree/boot.1 -> boot.1.0                   swapped when the boot entries change without a new kernel
//! /ostree/boot.1.0/OS/BOOTCSUM/0 -> ../../../deploy/OS/deploy/CSUM.0
//! ```
//!
//! The grammar is that of ostree's src/libostree/ostree-sysroot.c and of the deployment page of its manual. ostree's own
//! initramfs program resolves whatever the text leads to; here a link out of the place that it must lead to is an error.

use core::fmt;

use super::object::Checksum;

/// The longest name of a stateroot, in bytes.
pub const MAX_OS_NAME: usize = 64;
/// The length of the longest path that is written here, in bytes: that of a deployment,
/// `ostree/deploy/OS/deploy/CSUM.SERIAL`, or of a boot link, `ostree/boot.V.M/OS/BOOTCSUM/SERIAL`.
pub const MAX_PATH: usize = 22 + MAX_OS_NAME + 64 + 11;

/// How much of a text an error shows, in bytes.
const SHOWN: usize = 200;

/// The value of `ostree=`: the link of one boot entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootLink<'a> {
    /// Which of the two sets of boot entries it belongs to: 0 or 1.
    pub boot_version: u8,
    /// The stateroot.
    pub os: &'a str,
    /// The digest of kernel and initramfs together, by which their directory under `/boot/ostree` is named.
    pub boot_checksum: Checksum,
    /// Counts the deployments that share this kernel.
    pub serial: u32,
    /// The whole text: an absolute path within the sysroot.
    pub path: &'a str,
}

impl<'a> BootLink<'a> {
    /// Reads `/ostree/boot.[01]/OS/BOOTCSUM/SERIAL`.
    pub fn parse(path: &'a str) -> Result<Self, TargetError<'a>> {
        Self::read(path).map_err(|why| TargetError { subject: Subject::BootLink, text: path, why })
    }

    fn read(path: &'a str) -> Result<Self, Why> {
        let mut parts = path.strip_prefix("/ostree/boot.").ok_or(Why::Shape)?.split('/');
        let mut part = || parts.next().ok_or(Why::Shape);
        let (version, os, boot_checksum, serial) = (part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(Why::Shape);
        }
        Ok(Self {
            boot_version: version_digit(version).ok_or(Why::BootVersion)?,
            os: os_name(os)?,
            boot_checksum: boot_checksum.parse().map_err(|_| Why::Checksum)?,
            serial: number(serial).ok_or(Why::Serial)?,
            path,
        })
    }

    /// Reads `text`, to which the link `ostree/boot.V` of the sysroot leads: `boot.V.M`. Gives M, which is 0 or 1.
    pub fn sub_version<'t>(&self, text: &'t str) -> Result<u8, TargetError<'t>> {
        sub_version(self.boot_version, text)
    }

    /// The path of this link without a link on the way, for the M that [`BootLink::sub_version`] gave.
    pub fn resolved(self, sub_version: u8) -> ResolvedBootLink<'a> {
        ResolvedBootLink { link: self, sub_version }
    }

    /// Reads `text`, to which this link leads: a deployment of the same stateroot.
    pub fn deployment<'t>(&self, text: &'t str) -> Result<Deployment<'t>, TargetError<'t>> {
        let deployment = Deployment::from_link(text)?;
        if deployment.os == self.os {
            Ok(deployment)
        } else {
            Err(TargetError { subject: Subject::Deployment, text, why: Why::OtherOs })
        }
    }
}

/// Reads `text`, to which the link `ostree/boot.V` of the sysroot leads, for the V that is `boot_version`: `boot.V.M`. Gives
/// M, which is 0 or 1.
pub fn sub_version(boot_version: u8, text: &str) -> Result<u8, TargetError<'_>> {
    let version = text.strip_prefix("boot.").and_then(|rest| rest.split_once('.'));
    let sub_version = version
        .filter(|(version, _)| version_digit(version) == Some(boot_version))
        .and_then(|(_, sub_version)| version_digit(sub_version));
    sub_version.ok_or(TargetError { subject: Subject::BootDirectory, text, why: Why::Shape })
}

/// A [`BootLink`] where it lies on the disk; its [`Display`](fmt::Display) is the path from the root of the sysroot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedBootLink<'a> {
    link: BootLink<'a>,
    sub_version: u8,
}

impl fmt::Display for ResolvedBootLink<'_> {
    /// Writes `ostree/boot.V.M/OS/BOOTCSUM/SERIAL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BootLink { boot_version, os, boot_checksum, serial, .. } = self.link;
        write!(f, "ostree/boot.{boot_version}.{}/{os}/{boot_checksum}/{serial}", self.sub_version)
    }
}

/// One deployed tree. Its [`Display`](fmt::Display) is the path of its directory from the root of the sysroot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment<'a> {
    /// The stateroot.
    pub os: &'a str,
    /// The commit that was deployed.
    pub checksum: Checksum,
    /// Counts the deployments of this commit.
    pub serial: u32,
}

impl<'a> Deployment<'a> {
    /// Reads the text of a boot link: `../../../deploy/OS/deploy/CSUM.SERIAL`.
    pub fn from_link(text: &'a str) -> Result<Self, TargetError<'a>> {
        Self::read(text, "../../../deploy/").map_err(|why| TargetError { subject: Subject::Deployment, text, why })
    }

    /// Reads the path of a deployment's directory, as its [`Display`](fmt::Display) writes it.
    pub fn from_path(path: &'a str) -> Result<Self, TargetError<'a>> {
        Self::read(path, "ostree/deploy/").map_err(|why| TargetError { subject: Subject::Directory, text: path, why })
    }

    fn read(text: &'a str, before: &str) -> Result<Self, Why> {
        let rest = text.strip_prefix(before).ok_or(Why::Shape)?;
        let (os, rest) = rest.split_once('/').ok_or(Why::Shape)?;
        let name = rest.strip_prefix("deploy/").ok_or(Why::Shape)?;
        let (checksum, serial) = name.split_once('.').ok_or(Why::Shape)?;
        Ok(Self {
            os: os_name(os)?,
            checksum: checksum.parse().map_err(|_| Why::Checksum)?,
            serial: number(serial).ok_or(Why::Serial)?,
        })
    }

    /// The directory that is `/var` of every deployment of the stateroot, as a path from the root of the sysroot.
    pub fn var(&self) -> impl fmt::Display + use<'a> {
        let os = self.os;
        fmt::from_fn(move |f| write!(f, "ostree/deploy/{os}/var"))
    }
}

impl fmt::Display for Deployment<'_> {
    /// Writes `ostree/deploy/OS/deploy/CSUM.SERIAL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, checksum, serial } = self;
        write!(f, "ostree/deploy/{os}/deploy/{checksum}.{serial}")
    }
}

/// The digit of a boot version, or of the version below it.
fn version_digit(text: &str) -> Option<u8> {
    match text {
        "0" => Some(0),
        "1" => Some(1),
        _ => None,
    }
}

/// A decimal number as printf's `%d` writes it: no sign, no zeros in front, no more than ostree's `int` holds.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|number| i32::try_from(*number).is_ok())?;
    plain.then_some(number)
}

/// Checks the name of a stateroot: one part of a path, in characters that need no quoting in a log, a unit or a list.
fn os_name(name: &str) -> Result<&str, Why> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'~' | b'@');
    if name.is_empty() {
        Err(Why::EmptyName)
    } else if name.len() > MAX_OS_NAME {
        Err(Why::LongName)
    } else if matches!(name, "." | "..") {
        Err(Why::DotName)
    } else if !name.bytes().all(allowed) {
        Err(Why::NameCharacter)
    } else {
        Ok(name)
    }
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The value of `ostree=`.
    BootLink,
    /// The text of the link `ostree/boot.V`.
    BootDirectory,
    /// The text of a boot link.
    Deployment,
    /// The path of a deployment.
    Directory,
}

/// Why a text leads to no deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has not the form that ostree writes.
    Shape,
    /// The boot version is neither 0 nor 1.
    BootVersion,
    /// The name of the stateroot is empty.
    EmptyName,
    /// The name of the stateroot has more than [`MAX_OS_NAME`] bytes.
    LongName,
    /// The name of the stateroot is `.` or `..`.
    DotName,
    /// The name of the stateroot has a character that ostree's users do not give it.
    NameCharacter,
    /// What should be a checksum is none.
    Checksum,
    /// The serial number is none that ostree could have written.
    Serial,
    /// The deployment belongs to another stateroot than the link.
    OtherOs,
}

/// Why a text leads to no deployment, with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetError<'a> {
    /// What it is.
    pub subject: Subject,
    /// The text.
    pub text: &'a str,
    /// What is wrong with it.
    pub why: Why,
}

impl fmt::Display for TargetError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, form) = match self.subject {
            Subject::BootLink => ("ostree=", "/ostree/boot.[01]/OS/CHECKSUM/SERIAL"),
            Subject::BootDirectory => ("the link of the boot version leads to ", "boot.[01].[01] of the same version"),
            Subject::Deployment => ("the boot link leads to ", "../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
            Subject::Directory => ("", "ostree/deploy/OS/deploy/CHECKSUM.SERIAL"),
        };
        let text = self.text.as_bytes();
        write!(f, "{before}{}: ", text.get(..SHOWN).unwrap_or(text).escape_ascii())?;
        f.write_str(match self.why {
            Why::Shape => return write!(f, "ostree writes {form}"),
            Why::BootVersion => "the boot version is 0 or 1",
            Why::EmptyName => "the name of the stateroot is empty",
            Why::LongName => return write!(f, "the name of the stateroot has more than {MAX_OS_NAME} bytes"),
            Why::DotName => "the stateroot cannot be a directory itself",
            Why::NameCharacter => "the name of a stateroot is made of letters, digits and -_.+~@",
            Why::Checksum => "a checksum is 64 hexadecimal digits in lower case",
            Why::Serial => "the serial number is no plain decimal number",
            Why::OtherOs => "that is a deployment of another stateroot",
        })
    }
}

impl core::error::Error for TargetError<'_> {}

#[cfg(test)]
mod tests;
