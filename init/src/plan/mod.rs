//! From a configuration and the machine's devices to the steps of a boot. Pure: what `surefoot explain` prints is what
//! PID 1 does.

mod build;
mod layer;
mod recipe;
mod select;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod timeout;

use boot_config::Config;
use deployment::FilesystemKind;

pub use build::{MAX_STEPS, Plan, Unplanned, With};
pub use recipe::sysroot;
pub use select::{LayerDevice, Ledger, Selection, StateChoice, select};
pub use step::{
    Action, ComposefsSource, Device, LoopFile, Mount, Options, Scope, Source, Step, TypeName, VerityDevice,
};
pub use timeout::out_of_time;

use crate::reason;
use crate::text::Reason;

/// What comes before the drivers of devices where a hash tree is asked for: the quickest SHA-256, by which nearly all of them
/// are. A kernel that checks the signatures of modules by the same digest (`crypto/asymmetric_keys/pkcs7_verify.c`) loads all
/// others in less time then.
pub fn module_before_drivers(config: &Config<'_>) -> Option<&'static str> {
    is_verified(config).then_some("crypto-sha256")
}

/// Modules that most plans need: PID 1 loads them while disks are being found. A plan names what it needs itself.
#[inline(never)]
pub fn modules_in_any_case<'a>(config: &Config<'a>) -> [Option<&'a str>; 5] {
    let verified = is_verified(config).then_some("dm-verity");
    let state = config.state.and_then(|state| state.filesystem);
    [verified, Some("overlay"), config.root.filesystem, config.usr.filesystem, state]
}

/// Whether the configuration asks for a hash tree.
#[inline(never)]
fn is_verified(config: &Config<'_>) -> bool {
    config.accepted_hashes().next().is_some() || config.usr_verity.is_some()
}

/// The type to mount a device as: the one that is named, else the one that was found on it.
fn filesystem_type(device: &Device, found: Option<FilesystemKind>, named: Option<&str>) -> Result<TypeName, Reason> {
    let kind = match (named, found) {
        (Some(named), _) => named,
        (None, Some(found)) => found
            .kernel_name()
            .ok_or_else(|| reason!("cannot mount {device}: it holds {}, which is no filesystem", found.name()))?,
        (None, None) => {
            return Err(reason!(
                "cannot mount {device}: no filesystem that surefoot knows is on it, and none is named (rootfstype=, \
                 mount.usrfstype=, or the second part of surefoot.state=)"
            ));
        }
    };
    TypeName::try_from(kind).map_err(|_| reason!("cannot mount {device}: {kind} is no filesystem type"))
}
