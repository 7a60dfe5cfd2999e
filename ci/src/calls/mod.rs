//! Every system call that PID 1 makes while it sets a root up fails once, on a real kernel.
//!
//! The program `carry-out` sets a root up with PID 1's own code, in a mount namespace of its own and from image files on
//! loop devices. strace(1) makes one call of it fail with one error number. After each run the root was complete and the
//! same as without a fault, or another deployment was, or there is a reason; and in each case nothing is left: neither a
//! mount nor a device nor a file. This takes root.
//!
//! Plans without dm-verity are carried out on the kernel of this machine. The others need one with the device-mapper, which
//! this machine may lack, and names of its devices that nobody else uses: they are carried out in guests ([`guest`]).

mod cases;
pub mod guest;
pub mod report;
mod room;
mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::command::is_root;
use cases::Case;
use run::{Call, Runner};

/// The error numbers that calls fail with.
pub const ERRORS: [&str; 6] = ["EIO", "ENOMEM", "EBUSY", "ENOENT", "EINTR", "ENOSPC"];

/// Namespaces that are used at once: most of a run is a wait for the kernel to let go of mounts.
pub const LANES: usize = 6;

/// How often the calls are counted until they are as many as before.
const ATTEMPTS: usize = 5;

/// Which calls fail, and with which error numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// Every so many-th call, and each to the device-mapper, with one of them, in turns.
    Sample(usize),
    /// Each call with one of them, in turns.
    One,
    /// Each call with all of them, one after the other.
    All,
}

impl Depth {
    /// The calls that fail, each with its error numbers.
    fn of(self, calls: &[Call]) -> Vec<(&Call, &'static [&'static str])> {
        let step = if let Self::Sample(step) = self { step } else { 1 };
        let chosen = (0..).zip(calls).filter(|(place, call)| place % step == 0 || call.is_to_mapper);
        let with_errors = |(turn, (_, call))| {
            let turn = turn % ERRORS.len();
            (call, if self == Self::All { &ERRORS[..] } else { &ERRORS[turn..=turn] })
        };
        (0..).zip(chosen).map(with_errors).collect()
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum End {
    /// The root was complete, and the same as without a fault.
    Started,
    /// Another deployment was complete, and it was told why it was not the first choice.
    FellBack,
    /// Another root was complete, for the kernel said of something that it is not there.
    Believed,
    /// The root was complete with its layers in memory, as the command line has it where the state device fails; this is
    /// told.
    Degraded,
    /// There was a reason, and nothing was left.
    Failed,
    /// Something did not hold that must.
    Wrong,
}

/// A run in which something did not hold, or what was said in one that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Said {
    /// The case.
    pub case: String,
    /// The call, its number among those of its name, and the error.
    pub fault: String,
    /// The reason, or what is wrong.
    pub what: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.case, self.fault, self.what)
    }
}

/// What came of all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Kinds of roots.
    pub cases: usize,
    /// Calls that PID 1 makes for them.
    pub calls: usize,
    /// The runs in which a request to the device-mapper failed.
    pub to_mapper: usize,
    /// Runs by their end.
    pub ends: BTreeMap<End, usize>,
    /// What is wrong.
    pub wrong: Vec<Said>,
    /// The reasons of those that failed.
    pub reasons: Vec<Said>,
}

impl Totals {
    /// The runs.
    pub fn runs(&self) -> usize {
        self.ends.values().sum()
    }

    /// Adds what came of other runs.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.calls += other.calls;
        self.to_mapper += other.to_mapper;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self.reasons.extend(other.reasons);
    }

    /// Fails where anything is wrong, or where so little was done that this says nothing.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&self) -> Result<()> {
        let wrong: Vec<_> = self.wrong.iter().map(ToString::to_string).collect();
        ensure!(wrong.is_empty(), "{} of {} runs are wrong:\n{}", wrong.len(), self.runs(), wrong.join("\n"));
        let expected = self.cases > 0 && self.calls >= 50 * self.cases && self.runs() >= 15 * self.cases;
        ensure!(expected, "hardly anything was tried: {self}");
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |end| self.ends.get(&end).copied().unwrap_or_default();
        write!(
            f,
            "{} roots, {} calls, {} that failed, {} of them to the device-mapper: {} came up all the same, {} as another \
             deployment, {} without what the kernel said is not there, {} with layers in memory, {} failed with a reason and \
             nothing left, {} wrong",
            self.cases,
            self.calls,
            self.runs(),
            self.to_mapper,
            count(End::Started),
            count(End::FellBack),
            count(End::Believed),
            count(End::Degraded),
            count(End::Failed),
            count(End::Wrong)
        )
    }
}

/// What is told of the runs of each case, by its name.
pub type Progress<'p> = &'p (dyn Fn(&str, &Totals) + Sync);

/// Has the calls of each case without dm-verity whose name contains `filter` fail, in `lanes` namespaces at once; `program`
/// is `carry-out`.
///
/// # Errors
/// When the runs cannot be made at all. What came of them is for [`Totals::judge`].
pub fn run(program: &Path, depth: Depth, lanes: usize, filter: &str, progress: Progress<'_>) -> Result<Totals> {
    ensure!(is_root()?, "this mounts and makes devices: only root may");
    let mut cases = cases::unverified()?;
    cases.retain(|case| case.name.contains(filter));
    let (next, totals) = (AtomicUsize::new(0), Mutex::new(Totals::default()));
    let lane = || -> Result<()> {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scratch = tempfile::tempdir()?;
            // The namespace is that of one thread, and ends with it.
            let done = thread::scope(|scope| scope.spawn(|| one(program, case, scratch.path(), depth, &|_| ())).join());
            let done = done.unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
            let done = done.with_context(|| case.name.clone())?;
            progress(&case.name, &done);
            totals.lock().map_err(|_| anyhow!("a lane panicked"))?.add(done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a lane panicked"))))
    })?;
    totals.into_inner().map_err(|_| anyhow!("a lane panicked"))
}

/// Has the calls of one case fail, in a new room at the empty directory `scratch`, in which this thread stays. Each run is
/// told when it begins.
fn one(program: &Path, case: &Case, scratch: &Path, depth: Depth, begins: &dyn Fn(&str)) -> Result<Totals> {
    room::enter(scratch, program, case)?;
    let mut runner = Runner::new(case)?;
    let calls = runner.calls()?;
    let mut totals = Totals { cases: 1, calls: calls.len(), ..Totals::default() };
    for (call, errors) in depth.of(&calls) {
        for error in errors {
            let fault = format!("{call} with {error}");
            begins(&fault);
            let (end, what) = runner.fail(call, error)?;
            *totals.ends.entry(end).or_default() += 1;
            totals.to_mapper += usize::from(call.is_to_mapper);
            let said = |what| Said { case: case.name.clone(), fault, what };
            match end {
                End::Started => {}
                End::Failed | End::FellBack | End::Degraded | End::Believed => totals.reasons.push(said(what)),
                End::Wrong => totals.wrong.push(said(what)),
            }
        }
    }
    // Where others take a loop device in between, PID 1 asks for another one.
    for _ in 0..ATTEMPTS {
        if runner.calls()? == calls {
            return Ok(totals);
        }
    }
    bail!("the calls are not the same any more: the runs were not alike")
}
