//! `surefoot mark-good`, `mark-bad`, `set-next` and `rollback`: what the boot ledger is told.

use deployment::BlockDevice;
use deployment::discoverable::is_unfinished;
use deployment::ledger::{self, Entry};

use crate::deployments::{Home, Machine, Reach};
use crate::error::Error;
use crate::output::{self, printable};
use crate::slots::{self, Access, Context, DiskOptions, State, attributes, label, name};
use crate::status::report::BootReport;

/// What is said of a system about which no ledger is kept.
const NOTHING_TO_MARK: &str = "nothing to mark: no boot ledger is kept about what runs";

/// How often a deployment that has not proved itself is tried.
pub(crate) const TRIES: u8 = 3;

/// Says that a deployment has booted well: from now on it is what the machine falls back to.
///
/// Without NAME the running one is meant. Where no ledger is kept about it, nothing is done.
#[derive(Debug, clap::Args)]
pub(crate) struct MarkGoodArgs {
    /// Name of the deployment or, where several have that, KIND:NAME, NAME@DEVICE or KIND:NAME@DEVICE; for a slot its
    /// label or partition number [default: the running one].
    name: Option<String>,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Says that a deployment is not to be booted any more.
#[derive(Debug, clap::Args)]
pub(crate) struct MarkBadArgs {
    /// Name of the deployment or, where several have that, KIND:NAME, NAME@DEVICE or KIND:NAME@DEVICE; for a slot its
    /// label or partition number.
    name: String,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Makes a deployment the one that is booted next.
#[derive(Debug, clap::Args)]
pub(crate) struct SetNextArgs {
    /// Name of the deployment or, where several have that, KIND:NAME, NAME@DEVICE or KIND:NAME@DEVICE; for a slot its
    /// label or partition number.
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

/// Marks a deployment good.
pub(crate) fn mark_good(args: &MarkGoodArgs) -> Result<(), Error> {
    let report = args.disk.boot_report();
    let Some(mut machine) = Machine::open(&args.disk, report.as_ref(), Access::Write)? else {
        // A unit that marks every boot good is not to fail where there is nothing to mark.
        return match report {
            Some(report) if args.name.is_none() => nothing_to_mark(&report),
            _ => Err(nothing()),
        };
    };
    let target = match (&args.name, machine.running()) {
        (Some(wanted), _) => find(&mut machine, wanted)?,
        (None, Some(running)) => running,
        (None, None) => {
            let Some(report) = report.filter(|_| args.disk.disk.is_none()) else {
                return Err(Error::usage("cannot mark", "the running deployment", "it is not known with --disk")
                    .advice("Name the deployment, or give the running one by --running."));
            };
            return machine.refused.drain(..).next().map_or_else(|| nothing_to_mark(&report), Err);
        }
    };
    machine.refused.drain(..).for_each(|why| why.warn());
    check_holds_something("cannot mark good", &machine, target)?;
    let target = machine.change(target, Reach::One, ledger::mark_good)?;
    output::print(format!("{} is good: {}\n", called(&machine, target), standing(&machine, target)))
}

/// Says that no ledger is kept about what runs. Where one is, the running deployment should have been found.
fn nothing_to_mark(report: &BootReport) -> Result<(), Error> {
    let running = &report.deployment;
    if running.ledger.is_none() {
        return output::print(format!("{NOTHING_TO_MARK}\n"));
    }
    let place = running.device.as_ref().map_or_else(String::new, |device| format!(" on /dev/{device}"));
    let object = format!("the running deployment {}{place}", printable(&running.name));
    Err(Error::bad("cannot mark", object, "it was booted from there, and is not found there any more")
        .advice("surefoot status tells what there is."))
}

/// Marks a deployment bad.
pub(crate) fn mark_bad(args: &MarkBadArgs) -> Result<(), Error> {
    let mut machine = open(&args.disk)?;
    let target = find(&mut machine, &args.name)?;
    let target = machine.change(target, Reach::One, ledger::mark_bad)?;
    let none = if machine.has_others() { "no deployment is left to boot" } else { "no slot is left to boot" };
    let next = next(&machine).map_or_else(|| none.to_owned(), |next| format!("next is {next}"));
    output::print(format!("{} is bad and not booted any more; {next}\n", called(&machine, target)))
}

/// Makes a deployment the next one.
pub(crate) fn set_next(args: &SetNextArgs) -> Result<(), Error> {
    let mut machine = open(&args.disk)?;
    let target = find(&mut machine, &args.name)?;
    make_next(&mut machine, target, args.tries)
}

/// Goes back to the deployment that was good before.
pub(crate) fn rollback(args: &RollbackArgs) -> Result<(), Error> {
    let mut machine = open(&args.disk)?;
    let Some(running) = machine.running() else {
        machine.refused.drain(..).next().map_or(Ok(()), Err)?;
        let what =
            if machine.has_others() { "the running deployment is not known" } else { "the running slot is not known" };
        return Err(Error::usage("cannot roll back", machine.place(), what)
            .advice("Give it by --running, or name the slot to boot: surefoot set-next NAME."));
    };
    machine.refused.drain(..).for_each(|why| why.warn());
    let usable = |entry: &Entry| {
        let found = usize::try_from(entry.number).ok().and_then(|index| machine.deployments.get(index));
        found.is_some_and(|(found, home)| {
            found.accepted != Some(false) && slot(&machine, home).is_none_or(|slot| check_usable(slot).is_ok())
        })
    };
    let entries: Vec<_> = machine.entries().into_iter().filter(usable).collect();
    let target = ledger::previous_good(&entries, u32::try_from(running).ok());
    let target = target.and_then(|target| usize::try_from(target).ok()).ok_or_else(|| {
        let what = if machine.has_others() { "deployment" } else { "slot" };
        Error::bad("cannot roll back", machine.place(), format!("no other {what} has ever been good"))
    })?;
    make_next(&mut machine, target, TRIES)
}

fn make_next(machine: &mut Machine, target: usize, tries: u8) -> Result<(), Error> {
    check_holds_something("cannot boot", machine, target)?;
    let target = machine.change(target, Reach::Order, |entries, number| ledger::set_next(entries, number, tries))?;
    match (&machine.slots, machine.deployments.get(target)) {
        (Some(context), Some((_, Home::Slot(number)))) => warn_unless_accepted(context, *number),
        (_, Some((found, _))) if found.accepted == Some(false) => anstream::eprintln!(
            "surefoot: warning: the running command line does not accept {}: no root hash or digest in it vouches for \
             this one; the boot would pass it over",
            found.shown()
        ),
        _ => warn_unless_chosen(machine, target),
    }
    output::print(format!("{} is next: {}\n", called(machine, target), standing(machine, target)))
}

/// The machine that a command works on.
fn open(options: &DiskOptions) -> Result<Machine, Error> {
    let report = options.boot_report();
    Machine::open(options, report.as_ref(), Access::Write)?.ok_or_else(nothing)
}

/// The deployment that is called so. What could not be looked into is said: it may be there, and it is not changed.
fn find(machine: &mut Machine, wanted: &str) -> Result<usize, Error> {
    match machine.find(wanted) {
        Err(_) if !machine.has_others() && !machine.refused.is_empty() => Err(machine.refused.remove(0)),
        found => {
            machine.refused.drain(..).for_each(|why| why.warn());
            found
        }
    }
}

fn nothing() -> Error {
    Error::bad(
        "cannot find",
        "the deployments of this system",
        "no ledger is kept about them, or it was not started by surefoot",
    )
    .advice("Another disk or a disk image is given by --disk.")
}

/// Says that the command line names another one, if that is so.
fn warn_unless_chosen(machine: &Machine, target: usize) {
    let next = machine.deployments.iter().find(|(found, _)| found.next);
    if let (Some((next, _)), Some((found, Home::Filesystem(_)))) = (next, machine.deployments.get(target))
        && !found.next
    {
        anstream::eprintln!(
            "surefoot: warning: the running command line names {}, which is booted before {}, whatever the ledger says; \
             surefoot.deployment=auto without a name leaves the choice to the ledger",
            next.shown(),
            found.shown()
        );
    }
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

fn check_holds_something(doing: &str, machine: &Machine, target: usize) -> Result<(), Error> {
    let found = machine.deployments.get(target);
    let Some(device) = found.and_then(|(_, home)| slot(machine, home)) else { return Ok(()) };
    let advice = "surefoot stage writes an image to it.";
    check_usable(device).map_err(|why| Error::bad(doing, name(device), why).advice(advice))
}

/// The partition of a deployment that is a slot.
fn slot<'m>(machine: &'m Machine, home: &Home) -> Option<&'m BlockDevice> {
    match home {
        Home::Slot(number) => machine.slots.as_ref()?.disk.slot(*number),
        Home::Filesystem(_) => None,
    }
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

/// What a deployment is called: with its partition number, or with its kind and device, where the name alone does not tell.
fn called(machine: &Machine, target: usize) -> String {
    let Some((found, home)) = machine.deployments.get(target) else { return String::new() };
    let alike = machine.deployments.iter().filter(|(other, _)| other.name == found.name).count();
    match home {
        _ if alike <= 1 => found.shown(),
        Home::Slot(number) => format!("{} (partition {number})", found.shown()),
        Home::Filesystem(_) => format!("{} ({} on {})", found.shown(), found.kind, found.device),
    }
}

/// What the ledger says of a deployment: `priority 3, 2 tries left`.
fn standing(machine: &Machine, target: usize) -> String {
    machine.entries().get(target).map(Entry::to_string).unwrap_or_default()
}

/// What the next boot takes.
fn next(machine: &Machine) -> Option<String> {
    let next = machine.deployments.iter().find(|(found, _)| found.next && found.state != State::Bad);
    next.map(|(found, _)| found.name.clone())
}
