//! What the slots are like now, and what the last boots came to.

use std::path::{Path, PathBuf};

use deployment::gpt::Attributes;
use serde::Serialize;

use super::history::{self, Boot};
use super::report::{BootReport, ReportedSlot};
use crate::deployments::{self, Deployment, Home, Machine};
use crate::error::Error;
use crate::slots::{self, Access, DiskOptions, Slot, State};

/// Where the slots were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// From the disk, just now.
    Disk,
    /// From the report: they are as PID 1 left them.
    Boot,
}

/// The slots and the last boots.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Now {
    /// The disk that has the slots: its path; null where there are none.
    pub(crate) disk: Option<PathBuf>,
    /// `disk`: the slots were read from it just now. `boot`: they are as PID 1 left them. Null where there are none.
    pub(crate) slots_from: Option<Source>,
    /// The slots, by partition number.
    pub(crate) slots: Vec<Slot>,
    /// `disk`: the deployments were read from their filesystems and from the disk just now. `boot`: they are as PID 1 left
    /// them. Null where there are none but slots.
    pub(crate) deployments_from: Option<Source>,
    /// All deployments, the slots among them; empty where there are none but slots.
    pub(crate) deployments: Vec<Deployment>,
    /// The last boots, the oldest first; at most 100.
    pub(crate) history: Vec<Boot>,
    /// Why the slots could not be read from the disk.
    #[serde(skip)]
    pub(crate) refused: Option<Error>,
}

impl Now {
    /// Reads the slots and the other deployments from the disk or, where that is refused, takes them from the report. A
    /// disk that was asked for by name must be readable.
    pub(crate) fn read(
        options: &DiskOptions,
        report: Option<&BootReport>,
        boots: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut now = Self {
            disk: options.path(report),
            slots_from: None,
            slots: Vec::new(),
            deployments_from: None,
            deployments: Vec::new(),
            history: boots.map(history::read).unwrap_or_default(),
            refused: None,
        };
        match Machine::open(options, report, Access::Read) {
            Ok(Some(machine)) => now.take(machine, report),
            Ok(None) => {}
            Err(why) if options.disk.is_some() => return Err(why),
            Err(why) => {
                now.slots = report.map(reported).unwrap_or_default();
                now.slots_from = now.disk.is_some().then_some(Source::Boot);
                now.take_reported(report);
                now.refused = Some(why);
            }
        }
        Ok(now)
    }

    /// All deployments, also where there are none but slots.
    pub(crate) fn all(&self) -> Vec<Deployment> {
        if self.deployments.is_empty() {
            self.slots.iter().map(|slot| Deployment::of_slot(slot, "-")).collect()
        } else {
            self.deployments.clone()
        }
    }

    fn take(&mut self, machine: Machine, report: Option<&BootReport>) {
        if let Some(context) = &machine.slots {
            self.slots = slots::survey(&context.disk, &context.command_line, context.running);
            self.slots_from = Some(Source::Disk);
        } else {
            self.disk = None;
        }
        if machine.has_others() {
            let next =
                |number| machine.deployments.iter().any(|(found, home)| found.next && *home == Home::Slot(number));
            self.slots.iter_mut().for_each(|slot| slot.next = next(slot.partition));
            self.deployments_from = Some(Source::Disk);
            self.deployments = machine.deployments.into_iter().map(|(found, _)| found).collect();
        } else if !machine.refused.is_empty() {
            self.take_reported(report);
        }
        let mut refused = machine.refused.into_iter();
        if self.deployments_from == Some(Source::Boot) {
            self.refused = refused.next();
        }
        refused.for_each(|why| why.warn());
    }

    fn take_reported(&mut self, report: Option<&BootReport>) {
        let all = report.map(deployments::reported).unwrap_or_default();
        if all.iter().any(|found| found.place.is_some()) {
            self.deployments_from = Some(Source::Boot);
            self.deployments = all;
        }
    }
}

/// The slots as PID 1 left them.
fn reported(report: &BootReport) -> Vec<Slot> {
    let running = report.deployment.slot.as_ref().map(|slot| slot.partition);
    let attributes = |slot: &ReportedSlot| Attributes::from(slot.standing);
    let bootable = report.slots.iter().filter(|slot| slot.cannot_boot.is_none() && attributes(slot).may_boot());
    let next = bootable.min_by_key(|slot| (std::cmp::Reverse(slot.standing.priority), slot.partition));
    let next = next.map(|slot| slot.partition);
    let slot = |slot: &ReportedSlot| Slot {
        name: if slot.name.is_empty() { slot.partition.to_string() } else { slot.name.clone() },
        partition: slot.partition,
        standing: slot.standing,
        state: State::of(&slot.name, attributes(slot)),
        accepted: None,
        running: running == Some(slot.partition),
        next: next == Some(slot.partition),
    };
    report.slots.iter().map(slot).collect()
}
