//! One deployment, of whatever kind, and where it stands.

use deployment::Candidate;
use deployment::candidates::{Keeper, RootSource};
use deployment::gpt::Attributes;
use deployment::ledger::file::LedgerFile;
use serde::Serialize;

use crate::output::printable;
use crate::slots::{Slot, State};
use crate::status::report::{self, ReportedDeployment, Standing};

/// A deployment as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Deployment {
    /// What it is called.
    pub(crate) name: String,
    /// How it is found: `slot`, `ostree`, `composefs`, `btrfs`, `image`.
    pub(crate) kind: String,
    /// Kernel name of the block device that holds it.
    pub(crate) device: String,
    /// Where it lies in the filesystem there; null where it is the filesystem.
    pub(crate) place: Option<String>,
    /// The directory of the filesystem that the place is in; empty where that is its top.
    #[serde(skip)]
    pub(super) directory: String,
    /// What keeps its ledger: `table`, `file` or `name`.
    pub(crate) keeper: String,
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// Whether tries are counted: not before any deployment there was marked good.
    pub(crate) counted: bool,
    /// `good`, `untested`, `spent`, `bad` or `empty`.
    pub(crate) state: State,
    /// Whether the running command line takes it for verified, by its root hash or its digest; null where that does not ask
    /// for it or is not known, and for ostree, of which the initramfs tells.
    pub(crate) accepted: Option<bool>,
    /// Whether the system runs from it.
    pub(crate) running: bool,
    /// Whether the next boot takes it, if nothing is changed and it does not fail.
    pub(crate) next: bool,
    /// Where its kind puts it in its filesystem, among those that the command line takes, from 0; `None` where that is not
    /// known.
    #[serde(skip)]
    pub(super) index: Option<u32>,
}

/// How the ledgers' keepers are called.
fn keeper_name(keeper: &Keeper) -> &'static str {
    match keeper {
        Keeper::Table(_) => "table",
        Keeper::File(_) => "file",
        Keeper::FileName(_) => "name",
    }
}

impl Deployment {
    /// A slot of the disk with this kernel name.
    pub(crate) fn of_slot(slot: &Slot, device: &str) -> Self {
        Self {
            name: slot.name.clone(),
            kind: deployment::candidates::Kind::SLOT.0.to_owned(),
            device: device.to_owned(),
            place: None,
            directory: String::new(),
            keeper: "table".to_owned(),
            standing: slot.standing,
            counted: true,
            state: slot.state,
            accepted: slot.accepted,
            running: slot.running,
            next: slot.next,
            index: None,
        }
    }

    /// One in a filesystem, which has this ledger.
    pub(super) fn of_candidate(candidate: &Candidate, ledger: &LedgerFile) -> Option<Self> {
        let RootSource::Tree(source) = &candidate.root else { return None };
        let record = candidate.record.as_ref()?;
        let mut attributes = record.entry.attributes;
        let is_named = candidate.order.kind == 0;
        if is_named {
            // Its priority is not the one that is written down.
            let recorded = ledger.find(&candidate.name).map(Attributes::priority);
            let unknown = || ledger.highest_priority().max(1);
            attributes = attributes.with_priority(recorded.unwrap_or_else(unknown));
        }
        Some(Self {
            name: candidate.name.to_string(),
            kind: candidate.kind.to_string(),
            device: source.device.to_string(),
            place: Some(source.place.to_string()),
            directory: source.directory.to_string(),
            keeper: keeper_name(&record.keeper).to_owned(),
            standing: attributes.into(),
            counted: record.counted || is_named && ledger.is_in_use(),
            state: State::of("", attributes),
            accepted: None,
            running: false,
            next: false,
            index: (!is_named).then_some(candidate.order.index),
        })
    }

    /// One as PID 1 left it; `None` for what no ledger is kept about.
    pub(super) fn of_report(reported: &ReportedDeployment) -> Option<Self> {
        let ledger = reported.ledger.as_ref()?;
        Some(Self {
            name: reported.name.clone(),
            kind: reported.kind.clone(),
            device: reported.device.clone().unwrap_or_default(),
            place: reported.place.clone(),
            directory: String::new(),
            keeper: ledger.keeper.clone(),
            standing: ledger.standing,
            counted: ledger.counted,
            state: State::of("", ledger.standing.into()),
            accepted: None,
            running: false,
            next: false,
            index: None,
        })
    }

    /// The one that was booted, if it lies in a filesystem and a ledger is kept about it.
    pub(super) fn of_running(
        report::Deployment { name, kind, device, place, ledger, .. }: &report::Deployment,
    ) -> Option<Self> {
        place.as_ref()?;
        let (name, kind, device) = (name.clone(), kind.clone(), device.clone());
        Self::of_report(&ReportedDeployment { name, kind, device, place: place.clone(), ledger: ledger.clone() })
    }

    /// What it is called, for people.
    pub(crate) fn shown(&self) -> String {
        printable(&self.name)
    }

    /// Whether it is the same one, wherever its file has gone.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.kind, &self.device) == (&other.name, &other.kind, &other.device)
    }

    /// Whether `wanted` names it: by its name, or by that between its kind and its device (`KIND:NAME@DEVICE`), or one of
    /// them.
    pub(super) fn is_called(&self, wanted: &str) -> bool {
        let is_named = |wanted: &str| {
            let after_kind = wanted.strip_prefix(self.kind.as_str()).and_then(|rest| rest.strip_prefix(':'));
            wanted == self.name || after_kind == Some(self.name.as_str())
        };
        let before_device = wanted.strip_suffix(self.device.as_str()).and_then(|rest| rest.strip_suffix('@'));
        is_named(wanted) || before_device.is_some_and(is_named)
    }
}
