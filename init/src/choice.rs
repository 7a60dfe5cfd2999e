//! Which slot this boot came to, among which others, and whether it is the one that was meant.

use core::fmt::{self, Write};

use boot_config::Config;
use deployment::candidates::{self, Candidate, Keeper};
use deployment::gpt::Attributes;
use deployment::ledger::{self, Change, Entry};
use deployment::{Facts, Name};
use heapless::{String, Vec};

use crate::json::Json;
use crate::text::{Reason, clipped};
use crate::{log, reason};

/// Longest label that is reported.
const LABEL_CAPACITY: usize = 64;

/// The slots of this boot. Empty where there are none.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    disk: Name,
    slots: Vec<Row, { ledger::MAX_SLOTS }>,
    /// The number of the slot that boots.
    chosen: Option<u32>,
    fallback: Option<Fallback>,
}

/// One slot as it is written down from now on.
#[derive(Debug)]
struct Row {
    label: String<LABEL_CAPACITY>,
    entry: Entry,
    /// Why it cannot boot.
    why: Option<&'static str>,
}

/// Why something else boots than the first choice.
#[derive(Debug)]
struct Fallback {
    /// What was meant, where it is known.
    from: Option<String<LABEL_CAPACITY>>,
    reason: Reason,
}

impl Choice {
    /// Takes note that `candidate` is what this boot came to.
    #[inline(never)]
    pub(crate) fn made(
        &mut self,
        config: &Config<'_>,
        facts: &Facts,
        candidate: &Candidate,
        failure: Option<(&str, &str)>,
    ) {
        let Some(record) = &candidate.record else { return };
        let number = record.entry.number;
        if let Keeper::Table(disk) = &record.keeper {
            self.disk.clone_from(disk);
            self.chosen = Some(number);
        }
        for (index, device) in ledger::slots(facts, &self.disk).enumerate() {
            let (Some(partition), Some(mut entry)) = (&device.partition, Entry::of(device)) else { continue };
            let why = candidates::judge(config, facts, device).err();
            if entry.number == number {
                entry.attributes = Change::SpendTry(entry.number).apply(entry.number, index, entry.attributes);
            }
            let label = clipped(format_args!("{}", partition.label));
            // A disk with more slots than that is reported in part.
            let _ = self.slots.push(Row { label, entry, why });
        }
        self.fallback = match failure {
            Some((name, why)) => {
                Some(Fallback { from: Some(clipped(format_args!("{name}"))), reason: reason!("{why}") })
            }
            None if candidate.is_last_good() => Some(Fallback {
                from: None,
                reason: reason!("no slot is left that may boot, and this one was good once"),
            }),
            None => self.spent(record.entry.attributes),
        };
        if let Some(Fallback { from, reason }) = &self.fallback {
            let from = from.as_deref().unwrap_or("what was meant");
            log::warn!("FALLBACK: {} runs instead of {from}: {reason}", candidate.name);
        }
    }

    /// A slot that would have come first, had it not used up its tries.
    fn spent(&self, chosen: Attributes) -> Option<Fallback> {
        let is_spent = |row: &&Row| {
            let attributes = row.entry.attributes;
            let better =
                attributes.priority() > chosen.priority() && !attributes.successful() && attributes.tries() == 0;
            better && row.why.is_some() && !deployment::discoverable::is_unfinished(&row.label)
        };
        let row = self.slots.iter().filter(is_spent).max_by_key(|row| row.entry.attributes.priority())?;
        let reason = reason!("its tries are spent: it was started, and never marked good");
        Some(Fallback { from: Some(row.label.clone()), reason })
    }

    /// The slot that boots, as a member of the deployment.
    pub(crate) fn slot<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        let Some(row) = self.row() else { return Ok(()) };
        json.object("slot", |json| {
            json.member("disk", &self.disk)?;
            numbers(json, &row.entry)
        })
    }

    /// All slots, where there are any.
    pub(crate) fn slots<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        if self.slots.is_empty() {
            return Ok(());
        }
        json.array("slots", |json| {
            self.slots.iter().try_for_each(|row| {
                json.element(|json| {
                    json.member("name", &row.label)?;
                    numbers(json, &row.entry)?;
                    row.why.map_or(Ok(()), |why| json.member("cannot_boot", why))
                })
            })
        })
    }

    /// Why something else boots than the first choice; nothing where it is the first choice.
    pub(crate) fn fallback<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        let Some(Fallback { from, reason }) = &self.fallback else { return Ok(()) };
        json.object("fallback", |json| {
            from.as_ref().map_or(Ok(()), |from| json.member("from", from))?;
            json.member("reason", reason)
        })
    }

    /// The tries that the slot has left and whether it is good, as members.
    pub(crate) fn standing<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        let Some(row) = self.row() else { return Ok(()) };
        json.number("tries_left", row.entry.attributes.tries().into())?;
        json.boolean("successful", row.entry.attributes.successful())
    }

    fn row(&self) -> Option<&Row> {
        self.slots.iter().find(|row| Some(row.entry.number) == self.chosen)
    }
}

fn numbers<W: Write>(json: &mut Json<W>, entry: &Entry) -> fmt::Result {
    let attributes = entry.attributes;
    json.number("partition", entry.number.into())?;
    json.number("priority", attributes.priority().into())?;
    json.number("tries_left", attributes.tries().into())?;
    json.boolean("successful", attributes.successful())?;
    json.boolean("once_good", attributes.once_good())
}
