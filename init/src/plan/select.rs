//! Which deployments can boot with the devices that are there, and where their writable layers go.

use core::fmt::Write as _;

use boot_config::policy::StateDevice;
use boot_config::{Config, DeviceSpec};
use deployment::candidates::{self, CandidateError, Candidates, Keeper, Refusal, Sysroots};
use deployment::{Facts, Name, ledger};
use heapless::Vec;
use overlay::layers::{Layer, LayerKind, MAX_LAYERS, needs_state};
use overlay::policy::layers;

use super::step::TypeName;
use crate::text::Reason;
use crate::{SYSROOTS, reason};

/// Where the writable layers go.
#[derive(Clone, Debug, PartialEq)]
pub enum StateChoice<'a> {
    /// There are none.
    None,
    /// A device.
    Device {
        /// Its kernel name.
        name: Name,
        /// Its filesystem type.
        kind: TypeName,
        /// `surefoot.state=…:OPTIONS`.
        options: Option<&'a str>,
    },
    /// They are in memory, in the place of a device that cannot be used.
    Memory,
    /// There should be a device, and it is not there (yet); which.
    Missing(Reason),
    /// The device is there, but holds nothing that can be mounted; why. Waiting does not help.
    Unusable(Reason),
}

/// A device that is mounted on a directory of its own (`surefoot.var=mount:`, `surefoot.home=mount:`).
#[derive(Clone, Debug, PartialEq)]
pub struct LayerDevice<'a> {
    /// How the command line names it.
    pub spec: DeviceSpec<'a>,
    /// Its kernel name.
    pub name: Name,
    /// Its filesystem type.
    pub kind: TypeName,
}

/// What can be booted.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// The candidates, best first; none as long as devices are missing. Those in filesystems are not among them yet.
    pub candidates: Candidates,
    /// The filesystems to look into for more.
    pub sysroots: Sysroots,
    /// Where their layers go.
    pub state: StateChoice<'a>,
    /// The devices that are mounted on directories of their own.
    pub devices: Vec<LayerDevice<'a>, MAX_LAYERS>,
    /// Where the boot ledger is, if there is one.
    pub ledger: Option<Ledger>,
    /// Why there is no candidate, where filesystems were looked into and hold none.
    pub nothing_found: Option<Reason>,
    /// The devices that are lacking, as a text.
    lacking: Reason,
    /// Whether the state device is worth waiting for.
    waits_for_state: bool,
}

/// What stands for the name of a deployment that is not known yet.
const SOME_NAME: &str = "deployment";

/// The boot ledger of this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// What holds it.
    pub keeper: Keeper,
    /// How often in a row the machine has rebooted by itself because nothing could be booted.
    pub reboots: u8,
    /// The largest number that can be written down.
    pub most: u8,
}

impl Ledger {
    /// The disk whose partition table it is.
    fn disk(&self) -> Option<&str> {
        if let Keeper::Table(disk) = &self.keeper { Some(disk) } else { None }
    }
}

#[cfg(test)]
impl<'a> Selection<'a> {
    /// One that lacks nothing.
    pub(crate) fn of(candidates: Candidates, state: StateChoice<'a>, ledger: Option<Ledger>) -> Self {
        let (devices, sysroots) = (Vec::new(), Sysroots::new());
        let (lacking, nothing_found) = (Reason::default(), None);
        Self { candidates, sysroots, state, devices, ledger, nothing_found, lacking, waits_for_state: true }
    }
}

impl Selection<'_> {
    /// What is waited for; `None` where all is there.
    pub fn missing(&self) -> Option<Reason> {
        let mut text = self.lacking.clone();
        if self.waits_for_state
            && let StateChoice::Missing(state) = &self.state
        {
            let _ = write!(text, "{}{state}", if text.is_empty() { "" } else { ", " });
        }
        (!text.is_empty()).then_some(text)
    }

    /// Whether a candidate could boot, were it not for the state device.
    pub fn only_state_is_missing(&self) -> bool {
        self.lacking.is_empty() && matches!(self.state, StateChoice::Missing(_))
    }
}

/// Chooses among what `facts` tells of. An error means that waiting does not help.
#[inline(never)]
pub fn select<'a>(config: &Config<'a>, facts: &Facts) -> Result<Selection<'a>, Reason> {
    let mut lacking = Reason::new();
    if !SYSROOTS && config.wants_sysroots() && !config.wants_slots() {
        return Err(reason!("this surefoot-init was built without deployments in filesystems (the feature sysroots)"));
    }
    let mut sysroots = Sysroots::new();
    if SYSROOTS {
        match candidates::sysroots(config, facts) {
            Ok(found) => sysroots = found,
            Err(error) => lack(&mut lacking, &error)?,
        }
    }
    let mut candidates = Candidates::new();
    match candidates::candidates(config, facts) {
        Ok(found) => candidates = found,
        // Where deployments are looked for inside filesystems, a slot is not needed.
        Err(CandidateError::Missing(_) | CandidateError::NoSlot | CandidateError::Refused(Refusal::NoRoot))
            if SYSROOTS && !sysroots.is_empty() => {}
        Err(error) => lack(&mut lacking, &error)?,
    }
    if SYSROOTS && lacking.is_empty() && candidates.is_empty() && sysroots.is_empty() && config.wants_sysroots() {
        let _ = lacking.write_str("a filesystem with deployments (root=, or a root partition)");
    }
    let name = candidates.first().map_or(SOME_NAME, |candidate| candidate.name.as_str());
    let layers = layers(config, name, &[]).map_err(|error| reason!("{error}"))?;
    let ledger = if lacking.is_empty() { ledger(config, facts) } else { None };
    let root_disk = candidates.first().and_then(|candidate| candidate.disk(facts));
    let root_disk = root_disk.or_else(|| ledger.as_ref()?.disk());
    let mut devices = Vec::new();
    for layer in &layers {
        let Layer { kind: LayerKind::Device(spec), target, .. } = layer else { continue };
        match facts.find_near(spec, root_disk).map_err(|ambiguous| reason!("{ambiguous}"))? {
            Some(device) => {
                let kind = device.filesystem.as_ref().map(|filesystem| filesystem.kind);
                let kind = super::filesystem_type(&super::step::Device::Block(device.name.clone()), kind, None)?;
                // As many as there are layers fit.
                let _ = devices.push(LayerDevice { spec: *spec, name: device.name.clone(), kind });
            }
            None => {
                let _ = write!(lacking, "{}{spec} for {target}", if lacking.is_empty() { "" } else { ", " });
            }
        }
    }
    let sysroot = sysroots.first().filter(|_| SYSROOTS);
    let root_disk = root_disk.or_else(|| facts.device(&sysroot?.device).map(|device| device.disk_name().as_str()));
    let state = if needs_state(&layers) { state(config, facts, root_disk)? } else { StateChoice::None };
    // A deployment in a filesystem may well bring all that it needs.
    let waits_for_state = config.state.is_some() || sysroot.is_none();
    let nothing_found = None;
    Ok(Selection { candidates, sysroots, state, devices, ledger, nothing_found, lacking, waits_for_state })
}

/// Takes note of what may yet appear. An error means that waiting does not help.
#[inline(never)]
fn lack(lacking: &mut Reason, error: &CandidateError<'_>) -> Result<(), Reason> {
    let _ = match error {
        CandidateError::Missing(missing) => write!(lacking, "{missing}"),
        CandidateError::NoSlot => write!(lacking, "{error}"),
        _ => return Err(reason!("{error}")),
    };
    Ok(())
}

/// The ledger that is kept about the slots.
#[inline(never)]
fn ledger(config: &Config<'_>, facts: &Facts) -> Option<Ledger> {
    if !config.wants_slots() {
        return None;
    }
    let disk = candidates::slot_disk(config, facts).ok()??;
    let name = Name::try_from(disk).ok()?;
    Some(Ledger {
        keeper: Keeper::Table(name),
        reboots: ledger::reboots(facts, disk),
        most: ledger::most_reboots(facts, disk),
    })
}

#[inline(never)]
fn state<'a>(config: &Config<'a>, facts: &Facts, root_disk: Option<&str>) -> Result<StateChoice<'a>, Reason> {
    let found = candidates::state_device(config, facts, root_disk).map_err(|error| reason!("{error}"))?;
    let Some(device) = found else {
        return Ok(StateChoice::Missing(match &config.state {
            Some(StateDevice { device, .. }) => reason!("the state device {device}"),
            None => reason!("a state device (the /var partition of the boot disk, or PARTLABEL=state)"),
        }));
    };
    let named = config.state.and_then(|state| state.filesystem);
    let name = device.device;
    Ok(match super::filesystem_type(&super::step::Device::Block(name.clone()), device.filesystem, named) {
        Ok(kind) => {
            let options = config.state.and_then(|state| state.options);
            StateChoice::Device { name, kind, options }
        }
        // What is on it may be a filesystem for all that is known.
        Err(_) if let Some(why) = facts.device(&name).and_then(|device| device.read_error) => {
            StateChoice::Unusable(reason!("cannot read the state device /dev/{name}: {why}"))
        }
        Err(reason) => StateChoice::Unusable(reason),
    })
}
