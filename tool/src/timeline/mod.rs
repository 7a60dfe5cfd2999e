//! `surefoot timeline`: what the boot spent its time on.

mod chart;
mod spans;
mod table;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::output;
use crate::status::{self, report::BootReport};
use chart::Chart;
use spans::spans;
use table::Table;

/// Draws what PID 1 spent the boot on: the phases, the modules that it loaded, and the steps that set up the root.
///
/// The chart is an SVG image that needs nothing else. It goes to FILE, else to standard output; where that is a terminal, a
/// table is printed instead.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  surefoot timeline -o boot.svg")]
pub(crate) struct Args {
    /// Write the chart to FILE.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the same in JSON: a list, each element with its kind, name, beginning and duration in microseconds.
    #[arg(long, conflicts_with = "output")]
    json: bool,

    /// The report of the boot, as PID 1 has written it.
    #[arg(value_name = "REPORT", default_value = init::places::REPORT)]
    report: PathBuf,
}

/// Draws the chart, or prints the table.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let report = read(&args.report)?;
    let spans = spans(&report);
    if args.json {
        let text = serde_json::to_string(&spans).map_err(|why| Error::system("cannot print", "JSON", why))?;
        return output::print(text + "\n");
    }
    let chart = Chart { report: &report, spans: &spans };
    match &args.output {
        Some(file) => fs::write(file, chart.to_string()).map_err(|why| Error::file("cannot write", file, &why)),
        None if io::stdout().is_terminal() => output::print(Table(&spans)),
        None => output::print(chart),
    }
}

/// A report that has steps.
fn read(path: &Path) -> Result<BootReport, Error> {
    if path != Path::new(init::places::REPORT) {
        // Of a file that was named nothing is concluded for the running system.
        fs::metadata(path).map_err(|why| Error::file("cannot read", path, &why))?;
    }
    let report = status::read_report(path)?;
    if report.steps.is_empty() {
        let why = format!("it has no steps: {} {} did not measure any", report.agent.name, report.agent.version);
        return Err(Error::bad("cannot draw", path.display(), why)
            .advice("Build the initramfs anew with this version. surefoot status shows the milestones."));
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
