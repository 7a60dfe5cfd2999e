//! Deployments that lie in a filesystem, and the filesystems that are looked into.

use core::fmt;

use boot_config::policy::{DeploymentChoice, SLOT, VerityPolicy};
use boot_config::{Config, DeviceSpec};
use heapless::{String, Vec};

use super::error::{CandidateError, MissingDevice, Refusal, Role};
use super::recipe::{Recipe, Refused};
use super::{
    Candidate, Candidates, DeviceSource, Keeper, Kind, NOT_ACCEPTED, Order, Record, RootSource, Standing, Trust, btrfs,
    composefs, image, name, ostree, rank, record, slot, state_device,
};
use crate::discoverable::{PartitionType, is_unfinished};
use crate::facts::{BlockDevice, Facts, Name};
use crate::filesystem::FilesystemKind;
use crate::gpt::MAX_PRIORITY;
use crate::ledger::Entry;
use crate::ledger::file::{LedgerFile, recorded};
use crate::tree::{Below, Tree};

/// Most filesystems that are looked into: none where no kind of deployment lies in one.
pub const MAX_SYSROOTS: usize = if SYSROOT_KINDS.is_empty() { 0 } else { 8 };
/// The longest path of a deployment in its filesystem, in bytes.
pub const MAX_PLACE: usize = 200;

/// The filesystems that are looked into, in this order.
pub type Sysroots = Vec<DeviceSource, MAX_SYSROOTS>;

/// Where a deployment lies in a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeSource {
    /// The number of the filesystem among those that were looked into.
    pub sysroot: u8,
    /// Its device.
    pub device: Name,
    /// What kind of filesystem it is.
    pub filesystem: Option<FilesystemKind>,
    /// The directory there that its kind looks at, by its view; empty for all of the filesystem.
    pub directory: btrfs::Path,
    /// What its kind knows the deployment by: a path, or a digest.
    pub place: String<MAX_PLACE, u8>,
}

/// A kind of deployment that lies in a filesystem.
pub struct SysrootKind {
    /// How it is shown, and named in `surefoot.deployment=KIND:NAME`.
    pub kind: Kind,
    /// What it looks at.
    pub view: View,
    /// Adds the deployments of this kind, best first.
    pub find: fn(&Look<'_>, &mut Finder<'_>),
    /// Says what makes up the root of one of them.
    pub root: fn(&TreeSource, &Look<'_>, &mut dyn Recipe) -> Result<(), Refused>,
}

/// What of a filesystem a kind looks at. The two are the same but for btrfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it, from its top.
    Top,
    /// What a mount shows: the subvolume that `rootflags=` names, else the default one.
    Mounted,
}

/// Every kind, the preferred one first.
pub const SYSROOT_KINDS: &[SysrootKind] = if cfg!(feature = "sysroots") { ALL } else { &[] };

const ALL: &[SysrootKind] = &[
    ostree::OSTREE,
    composefs::KIND,
    btrfs::BTRFS,
    image::IMAGE,
    #[cfg(test)]
    super::example::FOLDER,
];

/// What a kind looks at.
pub struct Look<'l> {
    /// What is asked for.
    pub config: &'l Config<'l>,
    /// The filesystem; to a kind, its view of it.
    pub tree: &'l dyn Tree,
    /// The initramfs, which is trusted.
    pub initramfs: &'l dyn Tree,
    /// The device of the filesystem.
    pub device: &'l DeviceSource,
}

/// The words for all kinds of deployment that `surefoot.deployment=KIND:NAME` can name.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    core::iter::once(SLOT).chain(SYSROOT_KINDS.iter().map(|kind| kind.kind.0))
}

/// The kind that a candidate is of, if it lies in a filesystem.
pub fn kind_of(candidate: &Candidate) -> Option<&'static SysrootKind> {
    SYSROOT_KINDS.iter().find(|kind| kind.kind == candidate.kind)
}

/// The filesystems that deployments are looked for in: the one of `root=`; where it is not given, the root partitions
/// (Discoverable Partitions Specification) that are no slots, those of the boot disk first, and the state device.
///
/// [`CandidateError::Missing`] means that the one of `root=` is not there (yet).
#[inline(never)]
pub fn sysroots<'a>(config: &Config<'a>, facts: &Facts) -> Result<Sysroots, CandidateError<'a>> {
    let mut found = Sysroots::new();
    if SYSROOT_KINDS.is_empty() || !config.wants_sysroots() {
        return Ok(found);
    }
    if let Some(DeploymentChoice::Named { kind, .. }) = config.deployment
        && !kinds().any(|known| known == kind)
    {
        return Err(CandidateError::Refused(Refusal::UnknownKind(kind)));
    }
    let within = match config.disk {
        Some(spec) => match facts.find(&spec, None)? {
            Some(disk) => Some(disk.disk_name().as_str()),
            None => return Err(CandidateError::missing(MissingDevice { spec, role: Role::Disk })),
        },
        None => None,
    };
    if let Some(spec) = config.root.device {
        let device = facts.find(&spec, within)?;
        let device = device.ok_or(CandidateError::missing(MissingDevice { spec, role: Role::Root }))?;
        add(&mut found, device);
        return Ok(found);
    }
    let boot_disk = facts.boot_disk();
    for on_boot_disk in [true, false] {
        for device in facts.by_partition_type(within, PartitionType::Root.uuid()) {
            let is_first = boot_disk.is_some_and(|disk| device.disk_name() == disk);
            if is_first == on_boot_disk && may_hold_deployments(config, device) && is_the_one_meant(facts, device)? {
                add(&mut found, device);
            }
        }
    }
    if let Some(state) = state_device(config, facts, boot_disk)?
        && let Some(device) = facts.device(&state.device)
    {
        add(&mut found, device);
    }
    Ok(found)
}

fn add(found: &mut Sysroots, device: &BlockDevice) {
    if !found.iter().any(|known| known.device == device.name) {
        // Filesystems beyond that number are not looked into.
        let _ = found.push(DeviceSource::new(device));
    }
}

/// Whether the partition holds a filesystem that can be written, and is no slot.
fn may_hold_deployments(config: &Config<'_>, device: &BlockDevice) -> bool {
    let Some(partition) = &device.partition else { return false };
    device.filesystem.as_ref().is_some_and(|filesystem| filesystem.kind.may_hold_deployments())
        && !partition.attributes.no_auto()
        && !is_unfinished(&partition.label)
        && slot::accepted(config, partition).is_none()
}

/// Whether nothing else goes by the same filesystem UUID, or it is the one of the boot disk.
fn is_the_one_meant<'a>(facts: &Facts, device: &BlockDevice) -> Result<bool, CandidateError<'a>> {
    let Some(filesystem) = device.filesystem.as_ref().filter(|filesystem| !filesystem.uuid.is_empty()) else {
        return Ok(true);
    };
    match facts.find(&DeviceSpec::Uuid(&filesystem.uuid), None) {
        Ok(found) => Ok(found.is_some_and(|found| found.name == device.name)),
        Err(ambiguous) => Err(CandidateError::Twins(ambiguous.devices)),
    }
}

/// Adds the deployments of every kind that lie in a filesystem. `note` is told of each one that does not boot, and why.
#[inline(never)]
pub fn look_into(
    look: &Look<'_>,
    sysroot: u8,
    ledger: &LedgerFile,
    candidates: &mut Candidates,
    note: &mut dyn FnMut(&str, fmt::Arguments<'_>),
) {
    let mounted = btrfs::mounted(look, &mut |what, why| {
        // Where any may boot, the btrfs kind tells what is not there.
        let is_asked_for = |kind: &SysrootKind| kind.view == View::Mounted && look.config.named(kind.kind.0).is_some();
        if look.config.deployment.is_none() || SYSROOT_KINDS.iter().any(is_asked_for) {
            note(what, why);
        }
    });
    for (index, kind) in SYSROOT_KINDS.iter().enumerate() {
        let order = Order { kind: u8::try_from(index).unwrap_or(u8::MAX).saturating_add(2), sysroot, index: 0 };
        let directory = match kind.view {
            View::Top => "",
            View::Mounted => match &mounted {
                Some(directory) => directory,
                None => continue,
            },
        };
        look_for(kind, look, directory, order, ledger, candidates, note);
    }
    rank::sort(candidates);
}

/// Adds the deployments of one kind, which looks at a directory; `order` is that of the first one.
pub(super) fn look_for(
    kind: &SysrootKind,
    look: &Look<'_>,
    directory: &str,
    order: Order,
    ledger: &LedgerFile,
    candidates: &mut Candidates,
    note: &mut dyn FnMut(&str, fmt::Arguments<'_>),
) {
    let tree = Below { tree: look.tree, directory };
    let look = &Look { tree: &tree, ..*look };
    (kind.find)(look, &mut Finder { look, kind: kind.kind, directory, ledger, candidates, order, note });
}

/// A deployment that was found.
pub struct Offer<'o> {
    /// What it is called.
    pub name: fmt::Arguments<'o>,
    /// What its kind knows it by.
    pub place: &'o str,
    /// Whether every byte of it is verified.
    pub trust: Trust,
    /// The tries that its own file name counts, and whether it is good by that name; `None` where the name counts nothing.
    pub counters: Option<Counters>,
    /// Whether the command line names it: then it is the first choice, whatever the ledger says.
    pub named: bool,
}

/// What a file name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Tries that are left.
    pub left: u8,
}

impl Counters {
    /// What a name without counters says where others have some: it is good, and nothing is counted any more.
    pub const GOOD: Self = Self { left: u8::MAX };
}

/// Takes the deployments of one kind.
pub struct Finder<'f> {
    look: &'f Look<'f>,
    kind: Kind,
    directory: &'f str,
    ledger: &'f LedgerFile,
    candidates: &'f mut Candidates,
    order: Order,
    note: &'f mut dyn FnMut(&str, fmt::Arguments<'_>),
}

impl Finder<'_> {
    /// Adds a deployment, which comes behind all that were added before of this kind and filesystem.
    pub fn offer(&mut self, offer: &Offer<'_>) {
        self.add(offer, false);
    }

    /// Adds one of a kind that root hashes vouch for. Whoever says which ones may boot does not mean others, not even where what
    /// nothing verifies may: one that is neither verified nor named is only listed then ([`NOT_ACCEPTED`]).
    pub fn offer_accepted(&mut self, offer: &Offer<'_>) {
        let is_beside = || offer.trust != Trust::Verified && !offer.named;
        let barred = self.look.config.accepted_hashes().next().is_some() && is_beside();
        self.add(offer, barred);
    }

    #[inline(never)]
    fn add(&mut self, offer: &Offer<'_>, barred: bool) {
        let name = name::of_text(offer.name);
        if !barred && self.look.config.verity == VerityPolicy::Required && offer.trust != Trust::Verified {
            let why = "nothing verifies it: surefoot.verity=optional boots it insecurely";
            return (self.note)(&name, format_args!("{why}"));
        }
        let (Ok(place), Ok(directory)) = (String::try_from(offer.place), self.directory.try_into()) else {
            return (self.note)(&name, format_args!("its path is longer than MAX_PLACE allows, {MAX_PLACE} bytes"));
        };
        let record = self.record(&name, offer, barred);
        if let Standing::Barred(why) = record.standing {
            (self.note)(&name, format_args!("{why}"));
        }
        let DeviceSource { device, filesystem } = self.look.device;
        let (sysroot, device, filesystem) = (self.order.sysroot, device.clone(), *filesystem);
        let root = RootSource::Tree(TreeSource { sysroot, device, filesystem, directory, place });
        let order = if offer.named { Order { kind: 0, ..self.order } } else { self.order };
        let candidate =
            Candidate { name, kind: self.kind, root, usr: None, trust: offer.trust, record: Some(record), order };
        // What may not boot is not what its kind puts first.
        self.order.index = self.order.index.saturating_add((!barred).into());
        rank::offer(self.candidates, candidate);
    }

    /// Takes note that something is no candidate.
    pub fn pass_over(&mut self, what: &str, why: fmt::Arguments<'_>) {
        (self.note)(what, why);
    }

    fn record(&self, name: &str, offer: &Offer<'_>, barred: bool) -> Record {
        let (mut attributes, mut counted) = self.ledger.standing(name);
        // What its kind puts first is an update, if nobody has heard of it yet, or a rollback by the program that looks after
        // the deployments: it comes before all that is recorded, whatever is marked good meanwhile. What was marked bad stays bad.
        let is_news = || match self.ledger.find(name) {
            Some(known) => known.priority() > 0 && self.ledger.is_newly_first(self.kind.0, name),
            None => true,
        };
        let is_behind = || {
            self.ledger
                .records()
                .any(|(known, other)| other.priority() >= attributes.priority() && *known != *recorded(name))
        };
        if self.order.index == 0 && !barred && is_news() && is_behind() {
            attributes = attributes.with_priority(attributes.priority().max(self.ledger.news_priority()));
        }
        let mut keeper = Keeper::File(self.order.sysroot);
        if let Some(counters @ Counters { left }) = offer.counters {
            let good = counters == Counters::GOOD;
            (attributes, counted) = (attributes.with_successful(good).with_tries(left), true);
            keeper = Keeper::FileName(self.order.sysroot);
        }
        if offer.named {
            (attributes, counted) = (attributes.with_priority(MAX_PRIORITY), false);
        }
        let entry = Entry { number: 0, attributes };
        let standing = if barred { Err(NOT_ACCEPTED) } else { record::standing(attributes, counted) };
        let standing = standing.unwrap_or_else(Standing::Barred);
        Record { keeper, entry, standing, counted }
    }
}
