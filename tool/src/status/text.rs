//! The report for people.

use std::borrow::Cow;
use std::fmt;

use anstyle::{AnsiColor, Style};
use deployment::gpt::MAX_PRIORITY;

use super::report::{BootReport, Deployment, Mount};
use crate::output::printable;

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// A report as text, in lines of at most `width` columns where there is a limit.
pub(crate) struct Summary<'r> {
    pub(crate) report: &'r BootReport,
    pub(crate) width: Option<usize>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        self.headline(f)?;
        self.flags(f)?;
        self.choice(f)?;
        if !report.failed.is_empty() {
            writeln!(f, "\n{HEADING}failed before{HEADING:#}")?;
            for failure in &report.failed {
                writeln!(f, "  {BAD}{}{BAD:#}: {}", failure.name, failure.reason)?;
            }
        }
        if !report.passed_over.is_empty() {
            writeln!(f, "\n{HEADING}passed over{HEADING:#}")?;
            for other in &report.passed_over {
                writeln!(f, "  {}: {}", printable(&other.name), printable(&other.reason))?;
            }
        }
        self.mounts(f)?;
        self.timeline(f)
    }
}

impl Summary<'_> {
    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BootReport { agent, deployment: Deployment { name, trust, .. }, .. } = self.report;
        let colour = if trust == "verified" { GOOD } else { BAD };
        writeln!(
            f,
            "{HEADING}{name}{HEADING:#} was booted by {} {}: {colour}{trust}{colour:#}",
            agent.name, agent.version
        )
    }

    fn flags(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fallback) = &self.report.fallback {
            let from = fallback.from.as_deref().unwrap_or("what was meant");
            let (from, reason) = (printable(from), printable(&fallback.reason));
            writeln!(f, "{WARNING}FALLBACK{WARNING:#}    it runs instead of {from}: {reason}")?;
        }
        for why in &self.report.insecure {
            writeln!(f, "{BAD}INSECURE{BAD:#}    {why}")?;
        }
        for why in &self.report.degraded {
            writeln!(f, "{WARNING}DEGRADED{WARNING:#}    {why}")?;
        }
        for unknown in &self.report.unknown_keys {
            write!(f, "{WARNING}ignored{WARNING:#}     unknown key {}", unknown.key)?;
            let nearest = unknown.nearest.as_ref();
            nearest.map_or(Ok(()), |nearest| write!(f, "; the nearest valid one is {nearest}"))?;
            writeln!(f)?;
        }
        Ok(())
    }

    fn choice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BootReport { kernel, deployment, init, .. } = self.report;
        let Deployment { root_hash, usr_hash, digest, device, place, .. } = deployment;
        writeln!(f, "chosen      {}", why_chosen(deployment))?;
        if let (Some(place), Some(device)) = (place, device) {
            writeln!(f, "lies in     {} of /dev/{device}", printable(place))?;
        }
        for (role, hash) in [("root hash", root_hash), ("/usr hash", usr_hash), ("digest", digest)] {
            hash.as_ref().map_or(Ok(()), |hash| writeln!(f, "{role:<12}{hash}"))?;
        }
        writeln!(f, "kernel      {kernel}")?;
        writeln!(f, "init        {init}")
    }

    fn mounts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounts = &self.report.mounts;
        if mounts.is_empty() {
            return Ok(());
        }
        let widest =
            |text: fn(&Mount) -> &str| mounts.iter().map(|mount| text(mount).chars().count()).max().unwrap_or(0);
        let (target, source, kind) = (widest(|m| &m.target), widest(|m| &m.source), widest(|m| &m.kind));
        writeln!(f, "\n{HEADING}mounts{HEADING:#}")?;
        for mount in mounts {
            let line = format!(
                "  {:<target$}  {:<source$}  {:<kind$}  {}",
                mount.target, mount.source, mount.kind, mount.options
            );
            writeln!(f, "{}", cut(&line, self.width))?;
        }
        Ok(())
    }

    fn timeline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeline = &self.report.timeline;
        if timeline.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{HEADING}timeline{HEADING:#} (seconds since the kernel started, and from the line above)")?;
        let mut before = 0;
        for (index, milestone) in timeline.iter().enumerate() {
            let now = milestone.microseconds;
            write!(f, "  {:>9}", Seconds(now))?;
            if index == 0 {
                write!(f, "{:11}", "")?;
            } else {
                write!(f, "  {:>9}", format!("+{}", Seconds(now.saturating_sub(before))))?;
            }
            writeln!(f, "  {}", milestone.event)?;
            before = now;
        }
        Ok(())
    }
}

/// Why it was chosen, by its kind and by what the ledger says of it.
fn why_chosen(deployment: &Deployment) -> Cow<'_, str> {
    let is_named =
        deployment.ledger.as_ref().is_some_and(|ledger| !ledger.counted && ledger.standing.priority == MAX_PRIORITY);
    match deployment.kind.as_str() {
        "configured" => "the command line names it".into(),
        "slot" => "it is the best slot that boots".into(),
        kind if is_named => format!("the command line names it, a deployment of the kind {kind}").into(),
        kind => format!("it is the best deployment that boots, of the kind {kind}").into(),
    }
}

/// The line as far as it fits, with `…` where it is cut.
fn cut(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if line.chars().count() > width => {
            line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => line.to_owned(),
    }
}

/// Microseconds as seconds with three digits behind the point.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 / 1000;
        f.pad(&format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000))
    }
}
