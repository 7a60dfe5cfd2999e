//! Which deployment this boot came to, among which others, and whether it is the one that was meant.

use core::fmt::{self, Write};

use boot_config::Config;
use deployment::candidates::{self, Candidate, Keeper, Record, RootSource, SPENT};
use deployment::gpt::Attributes;
use deployment::ledger::{self, Change, Entry};
use deployment::{Facts, Name};
use heapless::{String, Vec};

use crate::json::Json;
use crate::text::{Reason, clipped};
use crate::{SYSROOTS, log, reason};

/// Longest label that is reported.
const LABEL_CAPACITY: usize = 64;

/// The choice of this boot, and the slots that it was among. Empty where there are none.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    disk: Name,
    slots: Vec<Row, { ledger::MAX_SLOTS }>,
    /// The number of the slot that boots.
    chosen: Option<u32>,
    /// What is written down from now on about what boots.
    attributes: Option<Attributes>,
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
    /// Takes note that `candidate`, one of `all`, is what this boot came to after the `failure` of another one.
    #[inline(never)]
    pub(crate) fn made(
        &mut self,
        config: &Config<'_>,
        facts: &Facts,
        candidate: &Candidate,
        all: &[Candidate],
        failure: Option<(&str, &str)>,
    ) {
        self.attributes = candidate.record.as_ref().map(|record| written(record, true));
        let keeper = all.iter().find_map(|candidate| match &candidate.record.as_ref()?.keeper {
            Keeper::Table(disk) => Some(disk),
            Keeper::File(_) | Keeper::FileName(_) => None,
        });
        if let Some(disk) = keeper {
            self.disk.clone_from(disk);
            self.slots_of(config, facts, candidate);
        }
        self.fallback = match failure {
            Some((name, why)) => {
                Some(Fallback { from: Some(clipped(format_args!("{name}"))), reason: reason!("{why}") })
            }
            None if candidate.is_last_good() => Some(Fallback {
                from: None,
                reason: reason!("no deployment is left that may boot, and this one was good once"),
            }),
            None => self.spent(candidate, all),
        };
        if let Some(Fallback { from, reason }) = &self.fallback {
            let from = from.as_deref().unwrap_or("what was meant");
            log::warn!("FALLBACK: {} runs instead of {from}: {reason}", candidate.name);
        }
    }

    fn slots_of(&mut self, config: &Config<'_>, facts: &Facts, candidate: &Candidate) {
        let in_table = candidate.record.as_ref().filter(|record| matches!(record.keeper, Keeper::Table(_)));
        self.chosen = in_table.map(|record| record.entry.number);
        for device in ledger::slots(facts, &self.disk) {
            let (Some(partition), Some(mut entry)) = (&device.partition, Entry::of(device)) else { continue };
            let why = candidates::judge(config, facts, device).err();
            if let Some(attributes) = self.attributes.filter(|_| Some(entry.number) == self.chosen) {
                entry.attributes = attributes;
            }
            let label = clipped(format_args!("{}", partition.label));
            // A disk with more slots than that is reported in part.
            let _ = self.slots.push(Row { label, entry, why });
        }
    }

    /// What would have come first, had it not used up its tries.
    fn spent(&self, candidate: &Candidate, all: &[Candidate]) -> Option<Fallback> {
        let reason = || reason!("{SPENT}: it was tried, and never marked good");
        if let Some(first) = all.iter().find(|other| other.was_first_choice_before(candidate)) {
            return Some(Fallback { from: Some(clipped(format_args!("{}", first.name))), reason: reason() });
        }
        let chosen = candidate.record.as_ref()?.entry.attributes;
        let is_spent = |row: &&Row| {
            let attributes = row.entry.attributes;
            let better =
                attributes.priority() > chosen.priority() && !attributes.successful() && attributes.tries() == 0;
            better && row.why.is_some() && !deployment::discoverable::is_unfinished(&row.label)
        };
        let row = self.slots.iter().filter(is_spent).max_by_key(|row| row.entry.attributes.priority())?;
        Some(Fallback { from: Some(row.label.clone()), reason: reason() })
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

    /// The tries that what boots has left and whether it is good, as members.
    pub(crate) fn standing<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        let Some(attributes) = self.attributes else { return Ok(()) };
        json.number("tries_left", attributes.tries().into())?;
        json.boolean("successful", attributes.successful())
    }

    fn row(&self) -> Option<&Row> {
        self.slots.iter().find(|row| Some(row.entry.number) == self.chosen)
    }
}

/// What is written down of a candidate from now on: a try that this boot cost is counted.
fn written(record: &Record, tried: bool) -> Attributes {
    let Entry { number, attributes } = record.entry;
    if tried && record.is_charged() { Change::SpendTry(number).apply(number, 0, attributes) } else { attributes }
}

/// The device that holds a candidate, and where it lies in the filesystem there, as members.
pub(crate) fn place<W: Write>(json: &mut Json<W>, candidate: &Candidate) -> fmt::Result {
    candidate.device().map_or(Ok(()), |device| json.member("device", device))?;
    match &candidate.root {
        RootSource::Tree(source) if SYSROOTS => json.member("place", &source.place),
        _ => Ok(()),
    }
}

/// What the boot ledger says of a candidate, as a member; nothing where it keeps none about it.
pub(crate) fn ledger<W: Write>(json: &mut Json<W>, candidate: &Candidate, tried: bool) -> fmt::Result {
    let Some(record) = &candidate.record else { return Ok(()) };
    json.object("ledger", |json| {
        json.member(
            "keeper",
            match record.keeper {
                Keeper::Table(_) => "table",
                Keeper::FileName(_) if SYSROOTS => "name",
                Keeper::File(_) | Keeper::FileName(_) => "file",
            },
        )?;
        standing(json, written(record, tried))?;
        json.boolean("counted", record.counted)
    })
}

/// A candidate, as the members of one of all deployments.
pub(crate) fn row<W: Write>(json: &mut Json<W>, candidate: &Candidate, tried: bool) -> fmt::Result {
    json.member("name", &candidate.name)?;
    json.member("kind", candidate.kind)?;
    place(json, candidate)?;
    ledger(json, candidate, tried)
}

fn numbers<W: Write>(json: &mut Json<W>, entry: &Entry) -> fmt::Result {
    json.number("partition", entry.number.into())?;
    standing(json, entry.attributes)
}

fn standing<W: Write>(json: &mut Json<W>, attributes: Attributes) -> fmt::Result {
    json.number("priority", attributes.priority().into())?;
    json.number("tries_left", attributes.tries().into())?;
    json.boolean("successful", attributes.successful())?;
    json.boolean("once_good", attributes.once_good())
}

#[cfg(test)]
mod tests;
