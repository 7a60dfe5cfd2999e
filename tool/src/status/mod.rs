//! `surefoot status`: how the running system was booted, and what it would boot next.

pub(crate) mod history;
mod now;
pub(crate) mod report;
mod slots;
mod text;

use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::output;
use crate::slots::DiskOptions;
use now::Now;
use report::{BootReport, Reading, SCHEMA};

/// Shows what booted and why, how far it can be trusted, what failed before, and what the next boot takes.
///
/// Reads the report that surefoot's PID 1 has left in /run/surefoot/boot.json, the slots of the boot disk (as root), and
/// the history of the last boots.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print everything in JSON, once it has been checked: the report as it is, and "now", the slots and the history.
    #[arg(long)]
    json: bool,

    /// Print only the slots, one a line: name, partition, priority, tries, state, and "running", "next" or "-",
    /// separated by tabs.
    #[arg(long, conflicts_with = "json")]
    slots: bool,

    /// Print only the deployments of all kinds, one a line: name, kind, device, priority, tries, state, and "running",
    /// "next" or "-", separated by tabs.
    #[arg(long, conflicts_with_all = ["json", "slots"])]
    deployments: bool,

    #[command(flatten)]
    disk: DiskOptions,

    /// The history of the last boots [default: that of the running system].
    #[arg(long, value_name = "FILE", hide = true)]
    history: Option<PathBuf>,
}

/// Prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let text = if args.disk.is_about_running_system() { Some(read(args.disk.report_path())?) } else { None };
    let report = text.as_deref().map(|text| understood(text, args.disk.report_path())).transpose()?;
    let running = text.is_some().then_some(Path::new(history::FILE));
    let now = Now::read(&args.disk, report.as_ref(), args.history.as_deref().or(running))?;
    if args.slots {
        return output::print(slots::lines(&now.slots));
    }
    if args.deployments {
        return output::print(slots::deployment_lines(&now.all()));
    }
    if args.json {
        return output::print(with_now(text.as_deref(), &now)?);
    }
    if let Some(report) = &report {
        output::print(text::Summary { report, width: terminal_width() })?;
    }
    let table = slots::Table(&now).to_string();
    output::print(if report.is_some() { table.as_str() } else { table.trim_start() })
}

/// The report of a boot.
pub(crate) fn read_report(path: &Path) -> Result<BootReport, Error> {
    understood(&read(path)?, path)
}

/// The report in this text, with a note where it is newer than this program.
fn understood(text: &str, path: &Path) -> Result<BootReport, Error> {
    let reading = report::parse(text).map_err(|why| Error::bad("cannot use", path.display(), why))?;
    if let Reading::Newer(report) = &reading {
        anstream::eprintln!(
            "surefoot: note: this boot was reported in schema {}, this program knows up to {SCHEMA}: what is shown may be \
             incomplete",
            report.schema
        );
    }
    Ok(reading.into_report())
}

/// The report as it is, with one member more.
fn with_now(report: Option<&str>, now: &Now) -> Result<String, Error> {
    let now = serde_json::to_string(now).map_err(|why| Error::system("cannot print", "JSON", why))?;
    let none = format!("{{\"schema\":{SCHEMA}}}");
    let report = report.unwrap_or(&none).trim_end();
    let open = report.strip_suffix('}').unwrap_or(report);
    Ok(format!("{open},\"now\":{now}}}\n"))
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|why| match why.kind() {
        ErrorKind::NotFound => Error::bad("cannot show", "how this system booted", "it was not started by surefoot")
            .advice(format!("There is no {}, which surefoot's PID 1 writes.", path.display())),
        ErrorKind::InvalidData => Error::bad("cannot use", path.display(), "it is not UTF-8 text"),
        _ => Error::file("cannot read", path, &why),
    })
}

/// Columns of the terminal that standard output is; lines are cut there and nowhere else.
fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout))??;
    Some(usize::from(size.0.0))
}

#[cfg(test)]
pub(crate) mod tests;
