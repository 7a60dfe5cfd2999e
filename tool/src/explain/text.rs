//! The explanation for people.

use std::fmt;

use anstyle::{AnsiColor, Style};
use indicatif::BinaryBytes;

use super::explanation::{Attempt, Device, Explanation};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "devices", &table(&self.devices))?;
        section(f, "filesystems that are looked into for deployments", &self.looks)?;
        let candidates = self.candidates.iter().enumerate();
        let candidates: Vec<_> = candidates.map(|(index, candidate)| format!("{}. {candidate}", index + 1)).collect();
        section(f, "candidates", &candidates)?;
        section(f, "slots that cannot boot", &self.no_candidates)?;
        section(f, "passed over", &self.passed_over)?;
        section(f, "state", self.state.as_slice())?;
        for attempt in &self.attempts {
            write!(f, "{attempt}")?;
        }
        section(f, "boot ledger, afterwards", &self.afterwards)?;
        section(f, "not looked at", &self.not_checked)?;
        self.remarks(f)?;
        self.verdict(f)
    }
}

impl Explanation {
    fn remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unknown in &self.unknown_keys {
            writeln!(f, "{WARNING}unknown key, ignored:{WARNING:#} {unknown}")?;
        }
        for note in &self.notes {
            writeln!(f, "{WARNING}note{WARNING:#} {note}")?;
        }
        for why in &self.insecure {
            writeln!(f, "{BAD}INSECURE{BAD:#} {why}")?;
        }
        if let Some(wait) = &self.waits {
            let missing = &wait.missing;
            match (wait.seconds, self.error.is_some()) {
                (Some(seconds), true) => writeln!(f, "would wait {seconds} seconds for {missing}, then fail")?,
                (Some(seconds), false) => {
                    writeln!(f, "would wait {seconds} seconds for {missing}, then go on without")?;
                }
                (None, _) => writeln!(f, "would wait for ever for {missing}")?,
            }
        }
        for why in &self.degraded {
            writeln!(f, "{WARNING}DEGRADED{WARNING:#} {why}")?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, &self.init, self.attempts.last()) {
            (None, Some(init), Some(attempt)) => {
                writeln!(f, "{GOOD}would boot{GOOD:#} {} and start {init}", attempt.deployment)
            }
            (None, None, Some(attempt)) => {
                writeln!(f, "{GOOD}would boot{GOOD:#} {}, as far as was looked", attempt.deployment)
            }
            _ => {
                write!(f, "{BAD}would not boot{BAD:#}")?;
                self.then.map_or(Ok(()), |then| write!(f, ": {then}"))?;
                writeln!(f)
            }
        }
    }
}

/// A line for each device, in columns.
fn table(devices: &[Device]) -> Vec<String> {
    let widest = devices.iter().filter(|device| device.partition_uuid.is_some());
    let widest = widest.map(|device| device.label.chars().count()).max().unwrap_or(0);
    let line = |Device { name, size, content, label, partition_uuid }: &Device| {
        let size = BinaryBytes(*size).to_string();
        let content = content.unwrap_or("unknown content");
        let uuid = partition_uuid.as_ref().map(|uuid| format!("PARTUUID={uuid}")).unwrap_or_default();
        format!("{name:<6} {size:>10}  {content:<15}  {label:<widest$}  {uuid}")
    };
    devices.iter().map(line).collect()
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}plan for {}{HEADING:#}", self.deployment)?;
        for change in &self.ledger {
            writeln!(f, "   0. {change}")?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", index + 1)?;
        }
        for table in &self.verity {
            writeln!(f, "  {}: 0 {} verity {}", table.name, table.sectors, table.parameters)?;
        }
        self.error.as_ref().map_or(Ok(()), |error| writeln!(f, "  {BAD}fails{BAD:#}: {error}"))
    }
}

fn section(f: &mut fmt::Formatter<'_>, heading: &str, lines: &[impl fmt::Display]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "{HEADING}{heading}{HEADING:#}")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {}", line.to_string().trim_end()))
}
