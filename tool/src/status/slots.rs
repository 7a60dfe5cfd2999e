//! The slots and the last boots, for people and for scripts.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};

use super::history::Boot;
use super::now::{Now, Source};
use super::report::Standing;
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
        let Some(disk) = &now.disk else { return Ok(()) };
        write!(f, "\n{HEADING}slots of {}{HEADING:#}", disk.display())?;
        if now.slots_from == Some(Source::Boot) {
            f.write_str(" as the boot left them")?;
            now.refused.as_ref().map_or(Ok(()), |why| write!(f, " ({})", why.to_string().replace("\n  ", "; ")))?;
        }
        writeln!(f)?;
        let width = now.slots.iter().map(|slot| printable(&slot.name).chars().count()).max().unwrap_or(0);
        for slot in &now.slots {
            let colour = colour(slot);
            let name = printable(&slot.name);
            let line = format!("{:<7}  {}", role(slot), standing(slot));
            writeln!(f, "  {name:<width$}  {colour}{line}{colour:#}, priority {}", slot.standing.priority)?;
        }
        Ok(())
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
        let role = if *running {
            "running"
        } else if *next {
            "next"
        } else {
            "-"
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}\t{partition}\t{priority}\t{tries_left}\t{state}\t{role}");
    }
    text
}

/// What names the slot on a command line, in one word: its partition number where its name does not.
fn handle(slot: &Slot, slots: &[Slot]) -> String {
    let alike = slots.iter().filter(|other| other.name == slot.name).count();
    let is_word = !slot.name.starts_with('-') && !slot.name.chars().any(|c| c.is_control() || c.is_whitespace());
    if alike == 1 && is_word { slot.name.clone() } else { slot.partition.to_string() }
}

fn role(slot: &Slot) -> &'static str {
    match (slot.running, slot.next) {
        (true, _) => "running",
        (false, true) => "next",
        (false, false) => "",
    }
}

fn standing(slot: &Slot) -> String {
    let mut text = match slot.state {
        State::Good => "good".to_owned(),
        State::Untested => tries(slot.standing.tries_left),
        State::Spent => "spent: tried, and never marked good".to_owned(),
        State::Bad if slot.standing.priority > 0 => "marked no-auto".to_owned(),
        State::Bad if slot.standing.once_good => "bad, was good once".to_owned(),
        State::Bad => "bad".to_owned(),
        State::Empty => "empty".to_owned(),
    };
    if slot.accepted == Some(false) && slot.state != State::Empty {
        text.push_str(", root hash not accepted");
    }
    text
}

fn tries(left: u8) -> String {
    if left == 1 { "1 try left".to_owned() } else { format!("{left} tries left") }
}

fn colour(slot: &Slot) -> Style {
    match slot.state {
        State::Good if slot.accepted != Some(false) => GOOD,
        State::Spent | State::Bad => BAD,
        State::Empty => Style::new(),
        _ => WARNING,
    }
}
