//! `surefoot mark-good`, `mark-bad`, `set-next` and `rollback`: what the boot ledger is told.

use deployment::BlockDevice;
use deployment::discoverable::is_unfinished;
use deployment::ledger::{self, Entry};

use crate::error::Error;
use crate::output;
use crate::slots::{self, Access, Context, DiskOptions, State, attributes, label, name, number};

/// How often a deployment that has not proved itself is tried.
pub(crate) const TRIES: u8 = 3;

/// Says that a deployment has booted well: from now on it is what the machine falls back to.
///
/// Without NAME the running one is meant. Where the system runs from no slot, nothing is done.
#[derive(Debug, clap::Args)]
pub(crate) struct MarkGoodArgs {
    /// Label of the slot, or its partition number where two have that label [default: the running one].
    name: Option<String>,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Says that a deployment is not to be booted any more.
#[derive(Debug, clap::Args)]
pub(crate) struct MarkBadArgs {
    /// Label of the slot, or its partition number where two have that label.
    name: String,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Makes a deployment the one that is booted next.
#[derive(Debug, clap::Args)]
pub(crate) struct SetNextArgs {
    /// Label of the slot, or its partition number where two have that label.
    name: String,

    /// How often it may be tried, unless it has booted well already.
    #[arg(long, value_name = "N", default_value_t = TRIES, value_parser = clap::value_parser!(u8).range(1..=15))]
    tries: u8,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Makes the deployment that was good before this one the one that is booted next.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    disk: DiskOptions,
}

/// Marks a slot good.
pub(crate) fn mark_good(args: &MarkGoodArgs) -> Result<(), Error> {
    let report = args.disk.boot_report();
    let Some(path) = args.disk.path(report.as_ref()) else {
        // A unit that marks every boot good is not to fail where there is nothing to mark.
        return match report {
            Some(_) if args.name.is_none() => output::print("nothing to mark: the system runs from no slot\n"),
            _ => args.disk.open(Access::Write).map(drop),
        };
    };
    let mut context = args.disk.open_with(report.as_ref(), &path, Access::Write)?;
    let slot = match (&args.name, context.running) {
        (Some(wanted), _) => number(context.disk.find(wanted)?),
        (None, Some(running)) => running,
        (None, None) => {
            return Err(Error::usage("cannot mark", "the running slot", "it is not known with --disk")
                .advice("Name the slot, or give the running one by --running."));
        }
    };
    check_holds_something("cannot mark good", &context, slot)?;
    change(&mut context, |entries| ledger::mark_good(entries, slot))?;
    output::print(format!("{} is good: {}\n", called(&context, slot), standing(&context, slot)))
}

/// Marks a slot bad.
pub(crate) fn mark_bad(args: &MarkBadArgs) -> Result<(), Error> {
    let mut context = args.disk.open(Access::Write)?;
    let slot = number(context.disk.find(&args.name)?);
    change(&mut context, |entries| ledger::mark_bad(entries, slot))?;
    let next = next(&context).map_or_else(|| "no slot is left to boot".to_owned(), |next| format!("next is {next}"));
    output::print(format!("{} is bad and not booted any more; {next}\n", called(&context, slot)))
}

/// Makes a slot the next one.
pub(crate) fn set_next(args: &SetNextArgs) -> Result<(), Error> {
    let mut context = args.disk.open(Access::Write)?;
    let slot = number(context.disk.find(&args.name)?);
    make_next(&mut context, slot, args.tries)
}

/// Goes back to the slot that was good before.
pub(crate) fn rollback(args: &RollbackArgs) -> Result<(), Error> {
    let mut context = args.disk.open(Access::Write)?;
    if context.running.is_none() {
        return Err(Error::usage("cannot roll back", context.disk.path().display(), "the running slot is not known")
            .advice("Give it by --running, or name the slot to boot: surefoot set-next NAME."));
    }
    let usable = |slot: &&BlockDevice| check_usable(slot).is_ok() && context.command_line.accepts(slot) != Some(false);
    let entries: Vec<_> = context.disk.slots().filter(usable).filter_map(Entry::of).collect();
    let slot = ledger::previous_good(&entries, context.running).ok_or_else(|| {
        Error::bad("cannot roll back", context.disk.path().display(), "no other slot has ever been good")
    })?;
    make_next(&mut context, slot, TRIES)
}

fn make_next(context: &mut Context, slot: u32, tries: u8) -> Result<(), Error> {
    check_holds_something("cannot boot", context, slot)?;
    change(context, |entries| ledger::set_next(entries, slot, tries))?;
    warn_unless_accepted(context, slot);
    output::print(format!("{} is next: {}\n", called(context, slot), standing(context, slot)))
}

/// Writes down what `edit` makes of the ledger.
fn change(context: &mut Context, edit: impl FnOnce(&mut [Entry])) -> Result<(), Error> {
    let mut entries = context.disk.entries();
    edit(&mut entries);
    context.disk.write_entries(&entries)
}

/// Says that the boot would pass the slot over, if that is so.
pub(crate) fn warn_unless_accepted(context: &Context, slot: u32) {
    let Some(device) = context.disk.slot(slot) else { return };
    if context.command_line.accepts(device) != Some(false) {
        return;
    }
    let half = slots::uuid(device).map(|uuid| uuid.to_string());
    anstream::eprintln!(
        "surefoot: warning: the running command line does not accept {}: no root hash of surefoot.roothash= begins with \
         its PARTUUID {}; the boot would pass it over",
        name(device),
        half.unwrap_or_default()
    );
}

fn check_holds_something(doing: &str, context: &Context, slot: u32) -> Result<(), Error> {
    let Some(device) = context.disk.slot(slot) else { return Ok(()) };
    let advice = "surefoot stage writes an image to it.";
    check_usable(device).map_err(|why| Error::bad(doing, name(device), why).advice(advice))
}

/// Whether the slot can ever boot, or why not.
fn check_usable(slot: &BlockDevice) -> Result<(), &'static str> {
    match label(slot) {
        "_empty" => Err("its label says that it is empty"),
        label if is_unfinished(label) => Err("its label says that it holds an unfinished update"),
        _ if attributes(slot).no_auto() => Err("its partition is marked no-auto"),
        _ => Ok(()),
    }
}

/// What a slot is called: with its partition number, where the name alone does not tell.
fn called(context: &Context, slot: u32) -> String {
    let Some(device) = context.disk.slot(slot) else { return slot.to_string() };
    let alike = context.disk.slots().filter(|other| name(other) == name(device)).count();
    if alike > 1 { format!("{} (partition {slot})", name(device)) } else { name(device) }
}

/// What the ledger says of a slot: `priority 3, 2 tries left`.
fn standing(context: &Context, slot: u32) -> String {
    let entry = context.disk.slot(slot).and_then(Entry::of);
    entry.map(|entry| entry.to_string()).unwrap_or_default()
}

/// What the next boot takes.
fn next(context: &Context) -> Option<String> {
    let slots = slots::survey(&context.disk, &context.command_line, context.running);
    slots.into_iter().find(|slot| slot.next && slot.state != State::Bad).map(|slot| slot.name)
}
