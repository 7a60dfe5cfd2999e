//! `surefoot status`: how the running system was booted.

pub(crate) mod report;
mod text;

use std::io::{ErrorKind, IsTerminal};
use std::path::PathBuf;

use crate::error::Error;
use crate::output;
use report::{Reading, SCHEMA};

/// Shows what booted and why, how far it can be trusted, and what failed before.
///
/// Reads the report that surefoot's PID 1 has left in /run/surefoot/boot.json.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the report as it is, in JSON, once it has been checked.
    #[arg(long)]
    json: bool,

    /// The report to read.
    #[arg(long, value_name = "FILE", default_value = init::places::REPORT, hide = true)]
    report: PathBuf,
}

/// Prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let text = read(args)?;
    let reading = report::parse(&text).map_err(|why| Error::bad("cannot use", args.report.display(), why))?;
    let report = match reading {
        Reading::Whole(report) => report,
        Reading::Newer(report) => {
            anstream::eprintln!(
                "surefoot: note: this boot was reported in schema {}, this program knows up to {SCHEMA}: what is shown \
                 may be incomplete",
                report.schema
            );
            report
        }
    };
    if args.json {
        return output::print(text.trim_end().to_owned() + "\n");
    }
    output::print(text::Summary { report: &report, width: terminal_width() })
}

fn read(args: &Args) -> Result<String, Error> {
    std::fs::read_to_string(&args.report).map_err(|why| match why.kind() {
        ErrorKind::NotFound => Error::bad("cannot show", "how this system booted", "it was not started by surefoot")
            .advice(format!("There is no {}, which surefoot's PID 1 writes.", args.report.display())),
        ErrorKind::InvalidData => Error::bad("cannot use", args.report.display(), "it is not UTF-8 text"),
        _ => Error::file("cannot read", &args.report, &why),
    })
}

/// Columns of the terminal that standard output is; lines are cut there and nowhere else.
fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout))??;
    Some(usize::from(size.0.0))
}

#[cfg(test)]
mod tests;
