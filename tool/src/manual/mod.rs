//! `surefoot man` and `surefoot completions`: the manual and the shells' completion files, made from the command line's
//! one definition.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;
use crate::output;

/// Writes the man pages, one for each command.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write the pages to (made if missing).
    dir: PathBuf,
}

/// Prints the completion file for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  surefoot completions bash > /usr/share/bash-completion/completions/surefoot")]
pub(crate) struct CompletionsArgs {
    /// The shell that reads the file.
    shell: Shell,
}

/// Writes `surefoot.1`, `surefoot-COMMAND.1`, … to the folder.
pub(crate) fn man(args: &ManArgs) -> Result<(), Error> {
    fs::create_dir_all(&args.dir).map_err(|why| Error::file("cannot make folder", &args.dir, &why))?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &args.dir)
        .map_err(|why| Error::file("cannot write man pages to", &args.dir, &why))
}

/// Prints the completion file.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let mut file = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "surefoot", &mut file);
    output::print(String::from_utf8_lossy(&file))
}
