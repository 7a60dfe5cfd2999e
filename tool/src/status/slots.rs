//! The slots and the last boots, for people and for scripts.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};

use super::history::Boot;
use super::now::{Now, Source};
use super::report::Standing;
use crate::deployments::Deployment;
use crate::output::printable;
use crate::slots::{Slot, State};
use crate::utc::Utc;

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// How many of the last boots people are shown.
const SHOWN: usize = 10;

/// The slots as a table, and the last boots.
pub(crate) struct Table<'n>(pub(crate) &'n Now);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slots(f)?;
        self.history(f)
    }
}

impl Table<'_> {
    fn slots(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(now) = self;
        if let Some(source) = now.deployments_from {
            write!(f, "\n{HEADING}deployments{HEADING:#}")?;
            self.source(f, source)?;
            let rows: Vec<_> = now.deployments.iter().map(Row::of_deployment).collect();
            return table(f, &rows);
        }
        let Some(disk) = &now.disk else { return Ok(()) };
        write!(f, "\n{HEADING}slots of {}{HEADING:#}", disk.display())?;
        self.source(f, now.slots_from.unwrap_or(Source::Boot))?;
        let rows: Vec<_> = now.slots.iter().map(Row::of_slot).collect();
        table(f, &rows)
    }

    /// The end of a heading: where what stands below it comes from.
    fn source(&self, f: &mut fmt::Formatter<'_>, source: Source) -> fmt::Result {
        if source == Source::Boot {
            f.write_str(" as the boot left them")?;
            let refused = self.0.refused.as_ref();
            refused.map_or(Ok(()), |why| write!(f, " ({})", why.to_string().replace("\n  ", "; ")))?;
        }
        writeln!(f)
    }

    fn history(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boots = &self.0.history;
        if boots.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{HEADING}last boots{HEADING:#} (by the machine's clock)")?;
        for boot in boots.iter().skip(boots.len().saturating_sub(SHOWN)) {
            write!(f, "  {}  {}", Utc(boot.time), printable(&boot.deployment))?;
            what_came(f, boot)?;
        }
        Ok(())
    }
}

/// What else there is to say about a boot.
fn what_came(f: &mut fmt::Formatter<'_>, boot: &Boot) -> fmt::Result {
    if boot.successful == Some(false) {
        write!(f, ", {}", tries(boot.tries_left.unwrap_or(0)))?;
    }
    if let Some(fallback) = &boot.fallback {
        let from = printable(fallback.from.as_deref().unwrap_or("what was meant"));
        write!(f, ", {WARNING}instead of {from}{WARNING:#}: {}", printable(&fallback.reason))?;
    }
    writeln!(f)
}

/// One line for each slot: name, partition, priority, tries, state, and whether it runs or is next, with tabs between.
pub(crate) fn lines(slots: &[Slot]) -> String {
    let mut text = String::new();
    for slot in slots {
        let Slot { partition, standing: Standing { priority, tries_left, .. }, state, running, next, .. } = slot;
        let name = handle(slot, slots);
        let role = role(*running, *next);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}\t{partition}\t{priority}\t{tries_left}\t{state}\t{role}");
    }
    text
}

/// One line for each deployment: name, kind, device, priority, tries, state, and whether it runs or is next, with tabs
/// between.
pub(crate) fn deployment_lines(all: &[Deployment]) -> String {
    let mut text = String::new();
    for found in all {
        let Deployment { kind, device, standing: Standing { priority, tries_left, .. }, state, .. } = found;
        let (name, role) = (found.shown(), role(found.running, found.next));
        let _ = writeln!(text, "{name}\t{kind}\t{device}\t{priority}\t{tries_left}\t{state}\t{role}");
    }
    text
}

fn role(running: bool, next: bool) -> &'static str {
    match (running, next) {
        (true, _) => "running",
        (false, true) => "next",
        (false, false) => "-",
    }
}

/// What names the slot on a command line, in one word: its partition number where its name does not.
fn handle(slot: &Slot, slots: &[Slot]) -> String {
    let alike = slots.iter().filter(|other| other.name == slot.name).count();
    let is_word = !slot.name.starts_with('-') && !slot.name.chars().any(|c| c.is_control() || c.is_whitespace());
    if alike == 1 && is_word { slot.name.clone() } else { slot.partition.to_string() }
}

const HASH_NOT_ACCEPTED: &str = "root hash not accepted";

/// Whether it is a root hash that vouches for deployments of this kind.
fn has_root_hash(kind: &str) -> bool {
    matches!(kind, "slot" | "image")
}

/// A line of the table.
struct Row {
    name: String,
    /// What stands behind the name: the kind, where there are several.
    kind: String,
    running: bool,
    next: bool,
    state: State,
    standing: Standing,
    counted: bool,
    accepted: Option<bool>,
    /// What is said where it is not accepted.
    not_accepted: &'static str,
}

impl Row {
    fn of_slot(slot: &Slot) -> Self {
        Self {
            name: printable(&slot.name),
            kind: String::new(),
            running: slot.running,
            next: slot.next,
            state: slot.state,
            standing: slot.standing,
            counted: true,
            accepted: slot.accepted,
            not_accepted: HASH_NOT_ACCEPTED,
        }
    }

    fn of_deployment(found: &Deployment) -> Self {
        Self {
            name: found.shown(),
            kind: format!("{} on {}", found.kind, found.device),
            running: found.running,
            next: found.next,
            state: found.state,
            standing: found.standing,
            counted: found.counted,
            accepted: found.accepted,
            not_accepted: if has_root_hash(&found.kind) { HASH_NOT_ACCEPTED } else { "nothing verifies it" },
        }
    }

    fn role(&self) -> &'static str {
        match (self.running, self.next) {
            (true, _) => "running",
            (false, true) => "next",
            (false, false) => "",
        }
    }

    fn words(&self) -> String {
        let mut text = match self.state {
            State::Good => "good".to_owned(),
            State::Untested | State::Spent if !self.counted => "tries not counted".to_owned(),
            State::Untested => tries(self.standing.tries_left),
            State::Spent => "spent: tried, and never marked good".to_owned(),
            State::Bad if self.standing.priority > 0 => "marked no-auto".to_owned(),
            State::Bad if self.standing.once_good => "bad, was good once".to_owned(),
            State::Bad => "bad".to_owned(),
            State::Empty => "empty".to_owned(),
        };
        if self.accepted == Some(false) && self.state != State::Empty {
            text.push_str(", ");
            text.push_str(self.not_accepted);
        }
        text
    }

    fn colour(&self) -> Style {
        match self.state {
            State::Good if self.accepted != Some(false) => GOOD,
            State::Spent | State::Bad => BAD,
            State::Empty => Style::new(),
            _ => WARNING,
        }
    }
}

fn table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let widest = |text: fn(&Row) -> &str| rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
    let (name, kind) = (widest(|row| &row.name), widest(|row| &row.kind));
    for row in rows {
        write!(f, "  {:<name$}  ", row.name)?;
        if kind > 0 {
            write!(f, "{:<kind$}  ", row.kind)?;
        }
        let (colour, line) = (row.colour(), format!("{:<7}  {}", row.role(), row.words()));
        writeln!(f, "{colour}{line}{colour:#}, priority {}", row.standing.priority)?;
    }
    Ok(())
}

fn tries(left: u8) -> String {
    if left == 1 { "1 try left".to_owned() } else { format!("{left} tries left") }
}
