//! Where each slot stands.

use std::cmp::Reverse;
use std::fmt;

use boot_config::Config;
use deployment::candidates::{self, judge};
use deployment::discoverable::is_unfinished;
use deployment::gpt::Attributes;
use deployment::{BlockDevice, Facts};
use serde::{Deserialize, Serialize};

use crate::status::report::Standing;

use super::{CommandLine, SlotDisk, attributes, label, name, number};

/// What the ledger says of a slot, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It has booted well.
    Good,
    /// It has yet to prove itself, and may be tried.
    Untested,
    /// It has been tried as often as it may be, and has not proved itself.
    Spent,
    /// It does not boot: its priority is 0, or it is marked no-auto.
    Bad,
    /// It holds nothing that may boot: its label says that it is empty or unfinished.
    Empty,
}

impl State {
    /// Of a slot with this label and these attributes.
    pub(crate) fn of(label: &str, attributes: Attributes) -> Self {
        if is_unfinished(label) {
            Self::Empty
        } else if attributes.priority() == 0 || attributes.no_auto() {
            Self::Bad
        } else if attributes.successful() {
            Self::Good
        } else if attributes.tries() > 0 {
            Self::Untested
        } else {
            Self::Spent
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Untested => "untested",
            Self::Spent => "spent",
            Self::Bad => "bad",
            Self::Empty => "empty",
        })
    }
}

/// A slot as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Slot {
    /// Its label; where it has none, its partition number.
    pub(crate) name: String,
    /// The number of its partition.
    pub(crate) partition: u32,
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// `good`, `untested`, `spent`, `bad` or `empty`.
    pub(crate) state: State,
    /// Whether the running command line accepts its root hash; null where no list of root hashes is known.
    pub(crate) accepted: Option<bool>,
    /// Whether the system runs from it.
    pub(crate) running: bool,
    /// Whether the next boot takes it, if nothing is changed and it does not fail.
    pub(crate) next: bool,
}

/// Where all slots of the disk stand, by partition number.
pub(crate) fn survey(disk: &SlotDisk, command_line: &CommandLine, running: Option<u32>) -> Vec<Slot> {
    let config = command_line.config_or_any();
    let next = config.and_then(|config| next(&config, disk.facts(), disk.slots()));
    let slot = |slot: &BlockDevice| {
        let (number, attributes) = (number(slot), attributes(slot));
        Slot {
            name: name(slot),
            partition: number,
            standing: attributes.into(),
            state: State::of(label(slot), attributes),
            accepted: command_line.accepts(slot),
            running: running == Some(number),
            next: next == Some(number),
        }
    };
    disk.slots().map(slot).collect()
}

/// The number of the slot that a boot with this configuration takes first.
fn next<'f>(config: &Config<'_>, facts: &Facts, slots: impl Iterator<Item = &'f BlockDevice>) -> Option<u32> {
    let bootable = slots.filter(|slot| judge(config, facts, slot) == Ok(candidates::Standing::Bootable));
    bootable.min_by_key(|slot| (Reverse(attributes(slot).priority()), number(slot))).map(number)
}
