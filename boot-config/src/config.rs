//! The configuration of one boot: every key of the command line, typed.

use core::fmt;

use heapless::Vec;
use verity::RootHash;

use crate::SYSROOTS;
use crate::bootconfig;
use crate::cmdline;
use crate::composefs::ComposefsDigest;
use crate::draft::Draft;
use crate::error::{Cause, ConfigError, Setting, Source};
use crate::policy::{
    AccessMode, BreakStage, Corruption, Deadline, DeploymentChoice, DirectoryMount, Emergency, EtcPolicy, HomePolicy,
    OnExhausted, OnFailure, SLOT, StateDevice, StateMissing, VarPolicy, Verbosity, VerityPolicy, Volatile,
};
use crate::spec::{DeviceSpec, RootHashes};

/// Most `rootflags=`, `mount.usrflags=` or verity options that are kept.
pub const MAX_OPTIONS: usize = 16;
/// Most `composefs=` and `composefs.digest=` images.
pub const MAX_COMPOSEFS: usize = if SYSROOTS { 4 } else { 0 };
/// Most `surefoot.mount=` directories.
pub const MAX_DIRECTORIES: usize = 16;
/// Most modules named by `rd.driver.pre=`.
pub const MAX_PRELOADED_MODULES: usize = 32;
/// Most modules named by `rd.driver.blacklist=` and `module_blacklist=`.
pub const MAX_BLACKLISTED_MODULES: usize = 64;
/// Most unknown `surefoot.` keys that are reported.
pub const MAX_UNKNOWN_KEYS: usize = 16;

/// The texts that the words come from, lowest precedence first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources<'a> {
    /// `/etc/cmdline.d/*.conf` of the initramfs, sorted by name and joined by newlines.
    pub drop_ins: &'a str,
    /// `/proc/bootconfig`.
    pub bootconfig: &'a str,
    /// `/proc/cmdline`.
    pub cmdline: &'a str,
}

/// A filesystem that the command line names outright.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemConfig<'a> {
    /// `root=` or `mount.usr=`.
    pub device: Option<DeviceSpec<'a>>,
    /// `rootfstype=` or `mount.usrfstype=`; probed when `None`.
    pub filesystem: Option<&'a str>,
    /// `rootflags=` or `mount.usrflags=`: each word's text, in order; to be joined by commas.
    pub options: Vec<&'a str, MAX_OPTIONS>,
}

/// A verity device that the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerityConfig<'a> {
    /// `roothash=` or `usrhash=`.
    pub root_hash: RootHash,
    /// `systemd.verity_root_data=`; the PARTUUID of the hash's first 128 bits when `None`.
    pub data: Option<DeviceSpec<'a>>,
    /// `systemd.verity_root_hash=`; the PARTUUID of the hash's last 128 bits when `None`.
    pub hash: Option<DeviceSpec<'a>>,
    /// `systemd.verity_root_options=`.
    pub options: VerityOptions,
}

/// The options of `systemd.verity_root_options=` and `systemd.verity_usr_options=` that surefoot honours
/// (systemd's veritytab(5)). Any other option is an error: an option that asks for more checks must not be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerityOptions {
    /// `ignore-corruption`, `restart-on-corruption`, `panic-on-corruption`: overrides `surefoot.corruption=`.
    /// `ignore-corruption` itself is refused, for nothing unverified may boot.
    pub corruption: Option<Corruption>,
    /// `ignore-zero-blocks`.
    pub ignore_zero_blocks: bool,
    /// `check-at-most-once`.
    pub check_at_most_once: bool,
    /// `superblock=no` is refused; `hash-offset=BYTES` of the superblock on the hash device.
    pub hash_offset: u64,
}

/// A `surefoot.` key that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKey<'a> {
    /// The key as it stands on the command line.
    pub key: &'a str,
    /// The valid key that looks most like it, if one is near.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for UnknownKey<'_> {
    /// Writes what becomes of the key, as a remark for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown key {} ignored", self.key)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, "; the nearest valid one is {nearest}"))
    }
}

/// Everything that the command line says about this boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config<'a> {
    /// `root=`, `rootfstype=`, `rootflags=`.
    pub root: FilesystemConfig<'a>,
    /// `ro`, `rw`: the mode of a root without verity.
    pub root_mode: AccessMode,
    /// `roothash=` and what belongs to it.
    pub root_verity: Option<VerityConfig<'a>>,
    /// `mount.usr=`, `mount.usrfstype=`, `mount.usrflags=`.
    pub usr: FilesystemConfig<'a>,
    /// `usrhash=` and what belongs to it.
    pub usr_verity: Option<VerityConfig<'a>>,
    /// `surefoot.deployment=`; `None` where the key is not given.
    pub deployment: Option<DeploymentChoice<'a>>,
    /// `ostree=`: the path of a boot link below the sysroot, as ostree writes it.
    pub ostree: Option<&'a str>,
    /// `ostree.prepare-root.composefs=`: overrides `[composefs] enabled` of prepare-root.conf.
    pub ostree_composefs: Option<&'a str>,
    /// `composefs=` and `composefs.digest=`, in the order in which they are tried.
    pub composefs: Vec<ComposefsDigest, MAX_COMPOSEFS>,
    /// `surefoot.roothash=`: the root hashes that may boot, besides that of `roothash=`.
    pub root_hashes: Option<RootHashes<'a>>,
    /// `surefoot.disk=`: the one disk that is searched.
    pub disk: Option<DeviceSpec<'a>>,
    /// `rd.timeout=`, `rootwait`, `rootdelay=`.
    pub deadline: Deadline,
    /// `init=`: the program to start in the new root.
    pub init: Option<&'a str>,
    /// `surefoot.verity=`.
    pub verity: VerityPolicy,
    /// `surefoot.corruption=`.
    pub corruption: Corruption,
    /// `systemd.volatile=`.
    pub volatile: Volatile,
    /// `surefoot.etc=`; `None` where the key is not given, which means the default.
    pub etc: Option<EtcPolicy>,
    /// `surefoot.var=`; `None` where the key is not given, which means the default.
    pub var: Option<VarPolicy<'a>>,
    /// `surefoot.home=`; `None` where the key is not given, which means the default.
    pub home: Option<HomePolicy<'a>>,
    /// `surefoot.mount=`, in the order given.
    pub directories: Vec<DirectoryMount<'a>, MAX_DIRECTORIES>,
    /// `surefoot.state=`; `None` means the DPS `/var` partition of the boot disk, else PARTLABEL=state.
    pub state: Option<StateDevice<'a>>,
    /// `surefoot.state.missing=`.
    pub state_missing: StateMissing,
    /// `surefoot.on-failure=`.
    pub on_failure: OnFailure,
    /// `surefoot.on-exhausted=`; `None` where the key is not given, which means the action of `emergency`.
    pub on_exhausted: Option<OnExhausted>,
    /// `surefoot.watchdog=`: seconds without a sign of life from PID 1 after which the machine is reset.
    pub watchdog: Option<u32>,
    /// `rd.emergency=`, `rd.shell`.
    pub emergency: Emergency,
    /// `rd.break[=stage]`.
    pub break_at: Option<BreakStage>,
    /// `rd.driver.pre=`: modules to load before any other.
    pub preloaded_modules: Vec<&'a str, MAX_PRELOADED_MODULES>,
    /// `rd.driver.blacklist=`, `module_blacklist=`: modules never to load for a device.
    pub blacklisted_modules: Vec<&'a str, MAX_BLACKLISTED_MODULES>,
    /// `quiet`, `debug`, `loglevel=`.
    pub verbosity: Verbosity,
    /// `surefoot.` keys that this version does not know.
    pub unknown: Vec<UnknownKey<'a>, MAX_UNKNOWN_KEYS>,
    /// The texts that all this was read from, where [`Config::module_parameters`] looks.
    pub(crate) sources: Sources<'a>,
}

impl<'a> Config<'a> {
    /// Reads the words of all sources.
    ///
    /// Of a key that stands in several sources the word of the highest precedence counts, unless the key collects
    /// (`rootflags=`, `surefoot.mount=`, lists of modules). Within a source the last word counts for a key that is
    /// shared with the kernel, while a `surefoot.` key that stands twice is an error. Keys of other programs are
    /// ignored; a `surefoot.` key that this version does not know goes to [`Config::unknown`].
    ///
    /// Every word of a known key must be good, even one that a later source replaces. Words of different sources that
    /// rule each other out are an error like those of one source.
    #[inline(never)]
    pub fn parse(sources: Sources<'a>) -> Result<Self, ConfigError<'a>> {
        let mut draft = Draft::new();
        draft.config.sources = sources;
        let mut drop_ins = cmdline::Words::new(sources.drop_ins);
        drop_ins.by_ref().try_for_each(|word| draft.take(word, Source::DropIns))?;
        if drop_ins.init_arguments().is_some() {
            let setting = Setting { key: "--", value: None, source: Source::DropIns };
            return Err(ConfigError { setting, cause: Cause::DashesInDropIn });
        }
        bootconfig::Words::new(sources.bootconfig).try_for_each(|word| draft.take(word, Source::Bootconfig))?;
        cmdline::Words::new(sources.cmdline).try_for_each(|word| draft.take(word, Source::Cmdline))?;
        draft.finish()
    }

    /// Whether slots are looked for: where nothing names a root outright, and root hashes that may boot are listed, a
    /// slot or any deployment is to be chosen, or no root hash is wanted.
    pub fn wants_slots(&self) -> bool {
        let chosen = match self.deployment {
            Some(DeploymentChoice::Auto) => true,
            Some(DeploymentChoice::Named { kind, .. }) => kind == SLOT,
            None if self.names_deployment() => false,
            None => {
                let unverified = self.verity == VerityPolicy::Off && self.usr.device.is_none();
                self.root_hashes.is_some() || unverified && self.root_verity.is_none()
            }
        };
        self.root.device.is_none() && chosen
    }

    /// Whether deployments are looked for inside filesystems: where one of them is named, or any may be chosen.
    pub fn wants_sysroots(&self) -> bool {
        match self.deployment {
            Some(DeploymentChoice::Auto) => true,
            Some(DeploymentChoice::Named { kind, .. }) => kind != SLOT,
            None => self.names_deployment(),
        }
    }

    /// What `surefoot.deployment=` names, if it is a deployment of this kind.
    pub fn named(&self, wanted: &str) -> Option<&'a str> {
        match self.deployment {
            Some(DeploymentChoice::Named { kind, name }) if kind == wanted => Some(name),
            _ => None,
        }
    }

    /// Whether deployments of this kind are candidates, and not only one that another key names.
    pub fn wants_all_of_kind(&self) -> bool {
        self.deployment == Some(DeploymentChoice::Auto)
    }

    /// Whether a word of another program's names a deployment inside a filesystem.
    fn names_deployment(&self) -> bool {
        SYSROOTS && (self.ostree.is_some() || !self.composefs.is_empty())
    }

    /// The root hashes that may boot: those of `surefoot.roothash=`, and that of `roothash=`.
    pub fn accepted_hashes(&self) -> impl Iterator<Item = RootHash> + use<'a> {
        let mut listed = self.root_hashes.unwrap_or_default().iter();
        let mut single = self.root_verity.as_ref().map(|verity| verity.root_hash);
        core::iter::from_fn(move || listed.next().or_else(|| single.take()))
    }

    /// What follows when no deployment is left.
    pub fn exhausted_policy(&self) -> OnExhausted {
        self.on_exhausted.unwrap_or_else(|| self.emergency.into())
    }

    /// What becomes of `/etc`.
    pub fn etc_policy(&self) -> EtcPolicy {
        self.etc.unwrap_or_default()
    }

    /// What becomes of `/var`.
    pub fn var_policy(&self) -> VarPolicy<'a> {
        self.var.unwrap_or_default()
    }

    /// What becomes of `/home`.
    pub fn home_policy(&self) -> HomePolicy<'a> {
        self.home.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
