//! The one definition of the command line: parsing, `--help`, man pages and shell completions all come from it.

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};
use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::{explain, initramfs, ledger, manual, notice, stage, status, timeline, verity};

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new().underline());

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the thing asked about is bad: it does not verify, would not boot, lacks a module
  2  the command line was wrong
  3  the system refused: reading, writing or permission failed";

/// Builds and checks what surefoot boots: initramfs images, verity images, and the boots themselves.
#[derive(Debug, Parser)]
#[command(name = "surefoot", version, after_help = EXIT_CODES, styles = STYLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(explain::Args),
    Initramfs(initramfs::Args),
    Status(status::Args),
    Timeline(timeline::Args),
    MarkGood(ledger::MarkGoodArgs),
    MarkBad(ledger::MarkBadArgs),
    SetNext(ledger::SetNextArgs),
    Rollback(ledger::RollbackArgs),
    Stage(Box<stage::Args>),
    Notice(notice::Args),
    Verity(verity::Args),
    Man(manual::ManArgs),
    Completions(manual::CompletionsArgs),
}

impl Cli {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Explain(args) => explain::run(&args),
            Command::Initramfs(args) => initramfs::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Timeline(args) => timeline::run(&args),
            Command::MarkGood(args) => ledger::mark_good(&args),
            Command::MarkBad(args) => ledger::mark_bad(&args),
            Command::SetNext(args) => ledger::set_next(&args),
            Command::Rollback(args) => ledger::rollback(&args),
            Command::Stage(args) => stage::run(&args),
            Command::Notice(args) => notice::run(&args),
            Command::Verity(args) => verity::run(args),
            Command::Man(args) => manual::man(&args),
            Command::Completions(args) => manual::completions(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
