//! What the words mean together, once all of them are read.

use crate::SYSROOTS;
use crate::config::{Config, VerityConfig};
use crate::draft::{Draft, VerityWords};
use crate::error::{Cause, ConfigError};
use crate::policy::{DeploymentChoice, SLOT, VerityPolicy};

/// The keys about one filesystem that may be verified.
struct Keys {
    device: &'static str,
    root_hash: &'static str,
    data: &'static str,
    hash: &'static str,
    options: &'static str,
}

const ROOT: Keys = Keys {
    device: "root",
    root_hash: "roothash",
    data: "systemd.verity_root_data",
    hash: "systemd.verity_root_hash",
    options: "systemd.verity_root_options",
};

const USR: Keys = Keys {
    device: "mount.usr",
    root_hash: "usrhash",
    data: "systemd.verity_usr_data",
    hash: "systemd.verity_usr_hash",
    options: "systemd.verity_usr_options",
};

const OTHER_DEVICE: &str = "a root hash verifies its own device; leave out one of the two";
const NAMES_NO_PARTITION: &str = "no PARTUUID follows from so short a hash";
const NAMED_ROOT: &str = "slots are found by their root hashes and labels; leave out one of the two";
/// How a boot entry of ostree's names the program that sets up the root, with the path of the deployment in front.
const OSTREE_PREPARE_ROOT: &str = "/ostree-prepare-root";
const TWO_KINDS: &str = "they name two deployments; leave out one, or give surefoot.deployment=auto to try both";
const NOT_VERIFIED_BY_HASH: &str =
    "no root hash vouches for the filesystem that holds the deployment; leave out one of the two";
const VERITY_OFF: &str = "surefoot.verity=off verifies nothing; leave out one of the two";

impl<'a> Draft<'a> {
    /// Puts the configuration together, or says which words rule each other out.
    pub(crate) fn finish(mut self) -> Result<Config<'a>, ConfigError<'a>> {
        self.config.root_verity = self.verity(&self.root, &ROOT)?;
        self.config.usr_verity = self.verity(&self.usr, &USR)?;
        self.check_usr_options()?;
        self.check_slots()?;
        self.check_sysroots()?;
        // What ostree writes for a tree without an initramfs: the program whose place this one takes.
        self.config.init = self.config.init.filter(|init| !init.ends_with(OSTREE_PREPARE_ROOT));
        Ok(self.config)
    }

    fn verity(&self, words: &VerityWords<'a>, keys: &Keys) -> Result<Option<VerityConfig<'a>>, ConfigError<'a>> {
        let Some(root_hash) = words.root_hash else {
            self.check_no_verity(words, keys)?;
            return Ok(None);
        };
        if !words.is_mapper {
            self.refuse_both(keys.root_hash, keys.device, OTHER_DEVICE)?;
        }
        if self.config.verity == VerityPolicy::Off {
            self.refuse_both(keys.root_hash, "surefoot.verity", VERITY_OFF)?;
        }
        if words.data.is_none() && root_hash.data_partition().is_none() {
            self.needs(keys.root_hash, keys.data, Some(NAMES_NO_PARTITION))?;
        }
        if words.hash.is_none() && root_hash.hash_partition().is_none() {
            self.needs(keys.root_hash, keys.hash, Some(NAMES_NO_PARTITION))?;
        }
        Ok(Some(VerityConfig { root_hash, data: words.data, hash: words.hash, options: words.options }))
    }

    /// Holds where nothing asks for verity.
    fn check_no_verity(&self, words: &VerityWords<'a>, keys: &Keys) -> Result<(), ConfigError<'a>> {
        if words.is_mapper {
            self.needs(keys.device, keys.root_hash, None)?;
        }
        [keys.data, keys.hash, keys.options].into_iter().try_for_each(|key| self.needs(key, keys.root_hash, None))
    }

    /// Slots are found by their root hashes or labels, not by device. Where deployments lie in a filesystem that `root=`
    /// names, the root hashes are those of image files and composefs images in it.
    fn check_slots(&self) -> Result<(), ConfigError<'a>> {
        if self.config.verity == VerityPolicy::Off {
            self.refuse_both("surefoot.roothash", "surefoot.verity", VERITY_OFF)?;
        }
        if !self.config.wants_sysroots() {
            self.refuse_both("surefoot.roothash", ROOT.device, NAMED_ROOT)?;
        }
        if !self.config.wants_slots() {
            return match self.config.deployment {
                Some(DeploymentChoice::Named { kind: SLOT, .. }) => {
                    self.refuse_both("surefoot.deployment", ROOT.device, NAMED_ROOT)
                }
                _ => Ok(()),
            };
        }
        let chooser = if self.config.root_hashes.is_some() { "surefoot.roothash" } else { "surefoot.deployment" };
        [ROOT.data, ROOT.hash].into_iter().try_for_each(|key| self.refuse_both(chooser, key, NAMED_ROOT))
    }

    /// A deployment in a filesystem is named once, and no root hash vouches for the filesystem.
    fn check_sysroots(&self) -> Result<(), ConfigError<'a>> {
        if !SYSROOTS || self.config.deployment.is_some() {
            return Ok(());
        }
        for key in ["composefs", "composefs.digest"] {
            self.refuse_both("ostree", key, TWO_KINDS)?;
        }
        ["ostree", "composefs", "composefs.digest"]
            .into_iter()
            .try_for_each(|key| self.refuse_both(key, ROOT.root_hash, NOT_VERIFIED_BY_HASH))
    }

    /// Options for a `/usr` that nothing names would silently be lost.
    fn check_usr_options(&self) -> Result<(), ConfigError<'a>> {
        if self.config.usr.device.is_some() || self.config.usr_verity.is_some() {
            return Ok(());
        }
        ["mount.usrfstype", "mount.usrflags"]
            .into_iter()
            .try_for_each(|key| self.needs(key, "mount.usr= or usrhash", None))
    }

    /// Fails if this key is given.
    fn needs(&self, key: &'static str, what: &'static str, why: Option<&'static str>) -> Result<(), ConfigError<'a>> {
        match self.setting(key) {
            Some(setting) => Err(ConfigError { setting, cause: Cause::Needs { what, why } }),
            None => Ok(()),
        }
    }

    /// Fails if both keys are given.
    fn refuse_both(&self, key: &'static str, other: &'static str, why: &'static str) -> Result<(), ConfigError<'a>> {
        match (self.setting(key), self.setting(other)) {
            (Some(setting), Some(other)) => Err(ConfigError { setting, cause: Cause::Contradiction { other, why } }),
            _ => Ok(()),
        }
    }
}
