//! `surefoot verity`: makes, checks and shows dm-verity hash trees, as veritysetup does.

mod dump;
mod format;
mod header;
mod options;
mod progress;
mod verify;

use std::fmt::Display;

use ::verity::image::ImageError;
use serde::Serialize;

use crate::error::Error;
use crate::output;

pub(crate) use format::{random_salt, random_uuid};

/// Makes, checks and shows dm-verity hash trees: same options, same bytes, same output fields as veritysetup.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Format(Box<format::Args>),
    Verify(Box<verify::Args>),
    Dump(dump::Args),
}

/// Does what was asked for.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    match args.command {
        Command::Format(args) => format::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Dump(args) => dump::run(&args),
    }
}

/// Prints a value in JSON or as text.
fn print<T: Display + Serialize>(json: bool, value: &T) -> Result<(), Error> {
    if json { print_json(value) } else { output::print(value) }
}

fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(value).map_err(|why| Error::system("cannot print", "JSON", why))?;
    output::print(json + "\n")
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Io { doing, path, offset: None, error } => Self::file(doing, &path, &error),
            ImageError::Io { doing, path, offset: Some(offset), error } => {
                Self::file(format!("{doing} byte {offset} of"), &path, &error)
            }
            ImageError::Superblock { path, error } => Self::bad("cannot use", path.display(), error).advice(
                "Where the superblock stands is said by --hash-offset; for a tree without one use --no-superblock.",
            ),
            ImageError::TooShort { path, what, needed, found } => Self::bad(
                "cannot use",
                path.display(),
                format_args!("it is too short: the {what} needs {needed} bytes, it has {found}"),
            ),
            ImageError::Overlap { path, data_end, hash_start } => Self::usage(
                "cannot use",
                path.display(),
                format_args!("the data ends at byte {data_end}, but the hash area starts at byte {hash_start}"),
            )
            .advice("Limit the data with --data-blocks, or move the hash area with --hash-offset."),
        }
    }
}
