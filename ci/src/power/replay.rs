//! Power cuts by replay: a machine's writes are recorded, and its disk is made again as a cut at any of them leaves it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::disk::copy;
use crate::drive::Drive;
use crate::power::write_log::{self, Write, WriteLog};
use crate::power::{Keeper, Subject};
use crate::random::Random;
use crate::tamper::offline;

/// What became of all cuts of one record.
#[derive(Clone, Debug)]
pub struct Replayed {
    keeper: Keeper,
    /// Writes that were recorded, and flushes between them.
    writes: usize,
    flushes: usize,
    /// The states of the ledger between the flushes.
    states: usize,
    /// How many cuts left the ledger as it was before, as it was afterwards, or had none to change.
    before: u64,
    after: u64,
    between: u64,
}

impl Replayed {
    /// How many cuts there were.
    pub fn cuts(&self) -> u64 {
        self.before + self.after + self.between
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keeper, writes, flushes, states, before, after, between } = self;
        let cuts = self.cuts();
        write!(
            f,
            "{keeper}: {cuts} cuts of {writes} writes with {flushes} flushes and {states} states of the ledger: {before} left the \
             old one, {after} the new one, {between} came between changes"
        )
    }
}

/// The commands that the running system gives: each changes the ledger.
fn commands(subject: &Subject) -> Vec<String> {
    let [old, new] = &subject.names;
    [
        "mark-good",
        &format!("set-next {old}"),
        &format!("mark-bad {new}"),
        &format!("set-next {new} --tries 3"),
        "mark-good",
    ]
    .map(|words| format!("/usr/bin/surefoot {words}"))
    .to_vec()
}

/// Records a boot in which the ledger is written by PID 1 and by commands, and cuts it `count` times.
///
/// # Errors
/// When the ledger is neither the old nor the new one after a cut, or what would boot is not whole.
pub fn run_all(subject: &Subject, random: &mut Random, count: u64) -> Result<Replayed> {
    let scratch = tempfile::tempdir()?;
    let [base, log, cut] = ["base", "log", "cut"].map(|name| scratch.path().join(name));
    copy(&subject.disk.path, &base)?;
    record(subject, &log)?;
    let log = WriteLog::read(&log)?;
    let states = states(subject, &log, &base, &cut)?;
    let differing = 1 + states.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let mut replayed = Replayed {
        keeper: subject.keeper,
        writes: log.len(),
        flushes: log.epochs.len(),
        states: differing,
        before: 0,
        after: 0,
        between: 0,
    };
    // PID 1 writes a try down, and each command changes something.
    ensure!(differing > commands(subject).len(), "only {differing} states were seen: {states:#?}");

    // The disk is carried on from flush to flush, so the cuts come in that order.
    let mut cuts = BTreeMap::<usize, u64>::new();
    let changing: Vec<_> = (0..log.epochs.len()).filter(|epoch| states[*epoch] != states[*epoch + 1]).collect();
    for _ in 0..count {
        // Half of them where the ledger changes.
        let any = usize::try_from(random.below(log.epochs.len() as u64))?;
        let change = changing.get(usize::try_from(random.below(changing.len() as u64))?).copied().unwrap_or(any);
        *cuts.entry(if random.below(2) == 0 { any } else { change }).or_default() += 1;
    }
    // A filesystem relies on it that its blocks are written whole: the superblock of ext4 has no other copy that mount(8) takes.
    // A partition table and the ledger's own block make do with sectors.
    let is_ours = |write: &Write| !subject.disk.is_in_partition(write.at) || write.bytes.starts_with(b"SUREFOOT");
    let unit = |write: &Write| if is_ours(write) { 512 } else { 4096 };
    let durable = File::options().write(true).open(&base)?;
    for (number, epoch) in log.epochs.iter().enumerate() {
        for _ in 0..cuts.get(&number).copied().unwrap_or(0) {
            copy(&base, &cut)?;
            write_log::replay_part(&File::options().write(true).open(&cut)?, epoch, &unit, random)?;
            let (old, new) = (&states[number], &states[number + 1]);
            let found = judge(subject, &cut).with_context(|| format!("{}: cut in flush {number}", subject.keeper))?;
            ensure!(
                [old, new].contains(&&found),
                "{}: cut in flush {number}, the ledger is neither the old nor the new one:\n{found:#?}\n{old:#?}\n{new:#?}",
                subject.keeper
            );
            let count = match (old == new, found == *old) {
                (true, _) => &mut replayed.between,
                (false, true) => &mut replayed.before,
                (false, false) => &mut replayed.after,
            };
            *count += 1;
        }
        write_log::replay(&durable, epoch)?;
    }
    Ok(replayed)
}

/// The boot whose writes are recorded.
fn record(subject: &Subject, log: &Path) -> Result<()> {
    File::create(log)?;
    let mut vm = subject.vm("record", Drive::new(&subject.disk).log_writes(log));
    for command in commands(subject) {
        vm = vm.append(&format!("probe.run=\"{command}\""));
    }
    let outcome = vm.run()?;
    outcome.all_ran().map(drop).with_context(|| outcome.tail())
}

/// The ledger before the first flush, and after each.
fn states(subject: &Subject, log: &WriteLog, base: &Path, scratch: &Path) -> Result<Vec<Vec<String>>> {
    let whole = scratch.with_extension("whole");
    copy(base, &whole)?;
    let file = File::options().write(true).open(&whole)?;
    copy(&whole, scratch)?;
    let mut states = vec![judge(subject, scratch)?];
    for (number, epoch) in log.epochs.iter().enumerate() {
        write_log::replay(&file, epoch)?;
        copy(&whole, scratch)?;
        states.push(judge(subject, scratch).with_context(|| format!("{}: flush {number}", subject.keeper))?);
    }
    Ok(states)
}

/// The ledger on a disk, from which something whole must boot.
fn judge(subject: &Subject, disk: &Path) -> Result<Vec<String>> {
    let ledger = subject.ledger(disk)?;
    let (name, device) = subject.next(disk)?;
    ensure!(subject.names.contains(&name), "{name} would boot");
    if let Some((label, _, image)) = subject.slots.iter().find(|(_, node, _)| format!("/dev/{node}") == device) {
        let places = [subject.disk.extent(label)?.0, subject.disk.extent(&format!("{label}-verity"))?.0];
        let ending = offline::verify(disk, places, image)?;
        ensure!(ending == offline::Ending::Intact, "{label} would boot, and is not whole: {ending}");
    }
    Ok(ledger)
}
