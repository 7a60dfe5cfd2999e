//! What the running kernel's command line says about slots.

use std::path::Path;

use boot_config::policy::VerityPolicy;
use boot_config::{Config, Sources};
use deployment::BlockDevice;
use verity::RootHash;

/// What stands for a command line that is not known: any slot may boot.
const ANY: &str = "surefoot.verity=off";

/// The same where any deployment may boot.
const ANY_KIND: &str = "surefoot.deployment=auto surefoot.verity=off";

/// The words of the running kernel, as far as they can still be read: those of drop-in files were in the initramfs.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandLine {
    bootconfig: String,
    cmdline: String,
}

impl CommandLine {
    /// That of the running kernel.
    pub(crate) fn running() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self { bootconfig: read("/proc/bootconfig"), cmdline: read("/proc/cmdline") }
    }

    /// That of a file.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self { bootconfig: String::new(), cmdline: std::fs::read_to_string(path).unwrap_or_default() }
    }

    /// The configuration of the boot or, where it is not known, one that takes anything.
    pub(crate) fn parsed_or_any(&self) -> Option<Config<'_>> {
        let known = (!self.cmdline.trim().is_empty()).then(|| self.parse()).flatten();
        known.or_else(|| Config::parse(Sources { cmdline: ANY_KIND, ..Sources::default() }).ok())
    }

    fn parse(&self) -> Option<Config<'_>> {
        let sources = Sources { drop_ins: "", bootconfig: &self.bootconfig, cmdline: &self.cmdline };
        Config::parse(sources).ok()
    }

    /// The configuration of a boot that chooses from slots; `None` where these words make no such boot.
    pub(crate) fn config(&self) -> Option<Config<'_>> {
        self.parse().filter(Config::wants_slots)
    }

    /// That configuration or, where it is not known, one that takes any slot.
    pub(crate) fn config_or_any(&self) -> Option<Config<'_>> {
        let any = || Config::parse(Sources { cmdline: ANY, ..Sources::default() }).ok();
        self.config().or_else(any)
    }

    /// The root hashes that may boot; `None` where no list of them is known.
    pub(crate) fn accepted(&self) -> Option<Vec<RootHash>> {
        let config = self.config()?;
        (config.verity == VerityPolicy::Required).then(|| config.accepted_hashes().collect())
    }

    /// Whether slots boot without dm-verity.
    pub(crate) fn is_insecure(&self) -> bool {
        self.config().is_some_and(|config| config.verity != VerityPolicy::Required)
    }

    /// Whether the slot's root hash is accepted; `None` where no list is known.
    pub(crate) fn accepts(&self, slot: &BlockDevice) -> Option<bool> {
        let accepted = self.accepted()?;
        let uuid = slot.partition.as_ref().and_then(|partition| partition.uuid);
        Some(accepted.iter().any(|hash| hash.data_partition().map(boot_config::spec::PartUuid::Gpt) == uuid))
    }
}
