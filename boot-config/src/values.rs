//! How the values of keys are read.

use verity::RootHash;

use crate::composefs::ComposefsDigest;
use crate::config::VerityOptions;
use crate::error::Why;
use crate::policy::{
    BreakStage, Corruption, DEFAULT_REBOOTS, Deadline, DeploymentChoice, DirectoryMount, DirectoryPolicy, Emergency,
    EtcPolicy, HomePolicy, MAX_REBOOTS, OnExhausted, OnFailure, StateDevice, StateMissing, VarPolicy, Verbosity,
    VerityPolicy, Volatile,
};
use crate::spec::{DeviceSpec, RootHashes};

/// A value read, or why it has no meaning.
pub(crate) type Read<T> = Result<T, Why>;

const NO_WORD: Why = Why::Text("not a value of this key");
const NO_SIZE: Why = Why::Text("a tmpfs size is digits, with k, m, g or % after them");

/// The value of a key that cannot do without one.
pub(crate) fn required(value: Option<&str>) -> Read<&str> {
    value.filter(|value| !value.is_empty()).ok_or(Why::Text("a value is missing"))
}

/// Holds where a key that takes no value has none.
pub(crate) fn none(value: Option<&str>) -> Read<()> {
    value.map_or(Ok(()), |_| Err(Why::Text("this key takes no value")))
}

/// The meaning of a word that is one of a few.
fn word<T: Copy>(value: Option<&str>, words: &[(&str, T)]) -> Read<T> {
    let value = required(value)?;
    words.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning).ok_or(NO_WORD)
}

/// systemd's booleans.
pub(crate) fn boolean(value: &str) -> Read<bool> {
    match value {
        "1" | "yes" | "true" | "on" | "y" | "t" => Ok(true),
        "0" | "no" | "false" | "off" | "n" | "f" => Ok(false),
        _ => Err(NO_WORD),
    }
}

pub(crate) fn device(value: Option<&str>) -> Read<DeviceSpec<'_>> {
    DeviceSpec::parse(required(value)?).map_err(Why::Device)
}

pub(crate) fn root_hash(value: Option<&str>) -> Read<RootHash> {
    required(value)?.parse().map_err(Why::RootHash)
}

/// A filesystem's type; `auto` stands for none.
pub(crate) fn filesystem(value: Option<&str>) -> Read<Option<&str>> {
    let name = required(value)?;
    let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if valid { Ok(Some(name).filter(|name| *name != "auto")) } else { Err(Why::Text("not the name of one filesystem")) }
}

pub(crate) fn program(value: Option<&str>) -> Read<&str> {
    let path = required(value)?;
    if path.starts_with('/') { Ok(path) } else { Err(Why::Text("not an absolute path")) }
}

/// A number of decimal digits alone, if it fits.
fn digits(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn number(text: &str) -> Read<u32> {
    let number = digits(text).and_then(|number| u32::try_from(number).ok());
    number.ok_or(Why::Text("not a whole number from 0 to 4294967295"))
}

pub(crate) fn deadline(value: Option<&str>) -> Read<Deadline> {
    let text = required(value)?;
    Ok(match number(text.strip_suffix('s').unwrap_or(text))? {
        0 => Deadline::Never,
        seconds => Deadline::Seconds(seconds),
    })
}

/// A bare `rootwait` waits for ever.
pub(crate) fn root_wait(value: Option<&str>) -> Read<Deadline> {
    if value.is_none() { Ok(Deadline::Never) } else { deadline(value) }
}

/// The kernel's own threshold: below 5 it shows no notices, from 7 on all but debug messages.
pub(crate) fn log_level(value: Option<&str>) -> Read<Verbosity> {
    Ok(match number(required(value)?)? {
        0..=4 => Verbosity::Quiet,
        5..=6 => Verbosity::Normal,
        7.. => Verbosity::Debug,
    })
}

pub(crate) fn volatile(value: Option<&str>) -> Read<Volatile> {
    match value {
        Some("state") => Ok(Volatile::State),
        Some("overlay") => Ok(Volatile::Overlay),
        None => Ok(Volatile::Yes),
        Some(value) => Ok(if boolean(value)? { Volatile::Yes } else { Volatile::No }),
    }
}

/// dracut's stages, each as the nearest of ours that comes no later.
pub(crate) fn break_stage(value: Option<&str>) -> Read<BreakStage> {
    match value {
        Some("cmdline") => Ok(BreakStage::Cmdline),
        Some("pre-udev" | "pre-trigger" | "initqueue" | "pre-mount") => Ok(BreakStage::PreMount),
        Some("mount" | "pre-pivot" | "cleanup") | None => Ok(BreakStage::PrePivot),
        Some(_) => Err(NO_WORD),
    }
}

pub(crate) fn emergency(value: Option<&str>) -> Read<Emergency> {
    word(
        value,
        &[
            ("reboot", Emergency::Reboot),
            ("poweroff", Emergency::Poweroff),
            ("halt", Emergency::Halt),
            ("shell", Emergency::Shell),
        ],
    )
}

pub(crate) fn on_failure(value: Option<&str>) -> Read<OnFailure> {
    if value == Some("next") { Ok(OnFailure::Next) } else { emergency(value).map(OnFailure::Stop) }
}

pub(crate) fn root_hashes(value: Option<&str>) -> Read<RootHashes<'_>> {
    RootHashes::parse(required(value)?).map_err(Why::RootHash)
}

pub(crate) fn deployment(value: Option<&str>) -> Read<DeploymentChoice<'_>> {
    match directory_word(required(value)?) {
        ("auto", None) => Ok(DeploymentChoice::Auto),
        (kind, Some(name)) if !kind.is_empty() && !name.is_empty() => Ok(DeploymentChoice::Named { kind, name }),
        _ => Err(NO_WORD),
    }
}

pub(crate) fn composefs(value: Option<&str>) -> Read<ComposefsDigest> {
    ComposefsDigest::from_composefs(required(value)?).map_err(Why::Composefs)
}

pub(crate) fn composefs_digest(value: Option<&str>) -> Read<ComposefsDigest> {
    ComposefsDigest::from_composefs_digest(required(value)?).map_err(Why::Composefs)
}

pub(crate) fn on_exhausted(value: Option<&str>) -> Read<OnExhausted> {
    let most = |most: Option<&str>| match most.map(number) {
        None => Ok(DEFAULT_REBOOTS),
        Some(Ok(most)) if most <= MAX_REBOOTS.into() => Ok(u8::try_from(most).unwrap_or(MAX_REBOOTS)),
        Some(_) => Err(Why::Text("the number of automatic reboots is not 0 to 15")),
    };
    match directory_word(required(value)?) {
        ("reboot", rest) => most(rest).map(OnExhausted::Reboot),
        ("last-good", rest) => most(rest).map(OnExhausted::LastGood),
        _ => emergency(value).map(OnExhausted::Stop),
    }
}

/// Seconds, or `off`. The kernel keeps a watchdog's time in 16 bits of most drivers.
pub(crate) fn watchdog(value: Option<&str>) -> Read<Option<u32>> {
    match required(value)? {
        "off" => Ok(None),
        seconds => match number(seconds)? {
            seconds @ 1..=65535 => Ok(Some(seconds)),
            _ => Err(Why::Text("not 1 to 65535 seconds")),
        },
    }
}

pub(crate) fn verity_policy(value: Option<&str>) -> Read<VerityPolicy> {
    use VerityPolicy::{Off, Optional, Required};
    word(value, &[("required", Required), ("optional", Optional), ("off", Off)])
}

pub(crate) fn corruption(value: Option<&str>) -> Read<Corruption> {
    use Corruption::{Eio, Panic, Reboot};
    word(value, &[("reboot", Reboot), ("panic", Panic), ("eio", Eio)])
}

pub(crate) fn state_missing(value: Option<&str>) -> Read<StateMissing> {
    word(value, &[("fail", StateMissing::Fail), ("tmpfs", StateMissing::Tmpfs)])
}

pub(crate) fn etc(value: Option<&str>) -> Read<EtcPolicy> {
    use EtcPolicy::{Bind, Overlay, OverlayPerDeployment, ReadOnly, Tmpfs};
    word(
        value,
        &[
            ("overlay", Overlay),
            ("overlay:per-deployment", OverlayPerDeployment),
            ("bind", Bind),
            ("tmpfs", Tmpfs),
            ("ro", ReadOnly),
        ],
    )
}

pub(crate) fn var(value: Option<&str>) -> Read<VarPolicy<'_>> {
    Ok(match directory_word(required(value)?) {
        ("bind", None) => VarPolicy::Bind,
        ("mount", spec) => VarPolicy::Mount(device(spec)?),
        ("tmpfs", options) => VarPolicy::Tmpfs(tmpfs_size(options)?),
        ("ro", None) => VarPolicy::ReadOnly,
        _ => return Err(NO_WORD),
    })
}

pub(crate) fn home(value: Option<&str>) -> Read<HomePolicy<'_>> {
    Ok(match directory_word(required(value)?) {
        ("bind", None) => HomePolicy::Bind,
        ("mount", spec) => HomePolicy::Mount(device(spec)?),
        ("overlay", None) => HomePolicy::Overlay,
        ("tmpfs", options) => HomePolicy::Tmpfs(tmpfs_size(options)?),
        ("ro", None) => HomePolicy::ReadOnly,
        _ => return Err(NO_WORD),
    })
}

/// `WHERE:overlay`, `WHERE:bind` or `WHERE:tmpfs[:size=…]`.
pub(crate) fn directory_mount(value: Option<&str>) -> Read<DirectoryMount<'_>> {
    let (path, rest) = required(value)?.split_once(':').ok_or(NO_WORD)?;
    let policy = match directory_word(rest) {
        ("overlay", None) => DirectoryPolicy::Overlay,
        ("bind", None) => DirectoryPolicy::Bind,
        ("tmpfs", options) => DirectoryPolicy::Tmpfs(tmpfs_size(options)?),
        _ => return Err(NO_WORD),
    };
    Ok(DirectoryMount { path: directory(path)?, policy })
}

/// The name of a policy and what follows its colon.
fn directory_word(value: &str) -> (&str, Option<&str>) {
    value.split_once(':').map_or((value, None), |(name, rest)| (name, Some(rest)))
}

/// What follows the `:` of `tmpfs:size=…`, without the `size=`.
fn tmpfs_size(options: Option<&str>) -> Read<Option<&str>> {
    let Some(options) = options else { return Ok(None) };
    let size = options.strip_prefix("size=").ok_or(NO_SIZE)?;
    number(size.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G', '%']).unwrap_or(size)).map_err(|_| NO_SIZE)?;
    Ok(Some(size))
}

/// An absolute path that `surefoot.mount=` may make writable.
fn directory(path: &str) -> Read<&str> {
    let parts = path.strip_prefix('/').ok_or(Why::Text("the directory is not an absolute path"))?;
    if parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Why::Text("the directory is /, ends in a slash, or has an empty part, `.` or `..` in it"));
    }
    let (first, below) = parts.split_once('/').map_or((parts, false), |(first, _)| (first, true));
    match first {
        "etc" | "var" | "home" if !below => Err(Why::Text("this directory has a key of its own, surefoot.NAME=")),
        "usr" if !below => Err(Why::Text("/usr as a whole stays read-only")),
        "dev" | "proc" | "sys" | "run" => Err(Why::Text("/dev, /proc, /sys and /run are always mounted afresh")),
        _ => Ok(path),
    }
}

/// `DEVICE[:FSTYPE[:OPTIONS]]`; an empty part is one not given.
pub(crate) fn state(value: Option<&str>) -> Read<StateDevice<'_>> {
    let mut parts = required(value)?.splitn(3, ':');
    let device = device(parts.next())?;
    let filesystem = match parts.next() {
        None | Some("") => None,
        name => filesystem(name)?,
    };
    Ok(StateDevice { device, filesystem, options: parts.next().filter(|options| !options.is_empty()) })
}

/// `systemd.verity_root_options=` and `systemd.verity_usr_options=`.
pub(crate) fn verity_options(value: Option<&str>) -> Read<VerityOptions> {
    let mut options = VerityOptions::default();
    for option in required(value)?.split(',') {
        match option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value))) {
            ("restart-on-corruption", None) => set_corruption(&mut options, Corruption::Reboot)?,
            ("panic-on-corruption", None) => set_corruption(&mut options, Corruption::Panic)?,
            ("ignore-corruption", None) => return Err(Why::Text("nothing unverified may boot")),
            ("ignore-zero-blocks", None) => options.ignore_zero_blocks = true,
            ("check-at-most-once", None) => options.check_at_most_once = true,
            ("hash-offset", Some(bytes)) => options.hash_offset = hash_offset(bytes)?,
            ("superblock", Some(value)) if boolean(value)? => {}
            _ => return Err(Why::Text("an option here is not one that surefoot honours")),
        }
    }
    Ok(options)
}

fn set_corruption(options: &mut VerityOptions, corruption: Corruption) -> Read<()> {
    match options.corruption.replace(corruption) {
        Some(earlier) if earlier != corruption => Err(Why::Text("two reactions to corruption")),
        _ => Ok(()),
    }
}

/// The superblock's place, in bytes from the start of the hash device.
fn hash_offset(text: &str) -> Read<u64> {
    let offset = digits(text).filter(|offset| offset.is_multiple_of(512));
    offset.ok_or(Why::Text("hash-offset is not a number of bytes that 512 divides"))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// Checks that each text is read and written again as it was.
    fn come_back<'a, T: ToString>(read: impl Fn(Option<&'a str>) -> Read<T>, texts: &[&'a str]) {
        for text in texts {
            assert_eq!(read(Some(text)).map(|value| value.to_string()).as_deref(), Ok(*text));
        }
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        come_back(deployment, &["auto", "slot:root a:1"]);
        come_back(on_exhausted, &["reboot:0", "reboot:15", "last-good:3", "shell", "poweroff", "halt"]);
        come_back(volatile, &["no", "state", "overlay", "yes"]);
        come_back(etc, &["overlay", "overlay:per-deployment", "bind", "tmpfs", "ro"]);
        come_back(var, &["bind", "mount:PARTLABEL=a:b", "tmpfs", "tmpfs:size=50%", "ro"]);
        come_back(home, &["bind", "mount:/dev/sda1", "overlay", "tmpfs", "tmpfs:size=1g", "ro"]);
        come_back(directory_mount, &["/srv:overlay", "/usr/local:bind", "/tmp:tmpfs", "/a b/c:tmpfs:size=0"]);
    }
}
