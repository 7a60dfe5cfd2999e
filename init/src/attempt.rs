//! Candidates are tried in their order until one starts. What the boot ledger has to be told is written down before a
//! candidate is touched, and a boot in which none is left ends within bounds.

use boot_config::Config;
use boot_config::policy::{DEFAULT_REBOOTS, Emergency, OnExhausted, OnFailure, StateMissing};
use deployment::candidates::{Candidate, Slot};
use deployment::ledger::Change;

use crate::execute::{Failed, NewRoot, System, execute};
use crate::plan::{Ledger, Plan, Scope, Selection, StateChoice};
use crate::text::Reason;
use crate::{log, reason};

/// Where candidates are tried: the machine itself, or the rehearsal of `surefoot explain`.
pub trait Boot<'a> {
    /// What comes of a root that was started. Nothing does in PID 1, which the real init replaces.
    type Started;

    /// What plans are carried out on.
    fn system(&mut self) -> &mut dyn System;
    /// Changes the boot ledger of a disk.
    fn write_down(&mut self, disk: &str, change: Change) -> Result<(), Reason>;
    /// Takes note of the plan that is carried out next.
    fn planned(&mut self, plan: &Plan<'a>);
    /// Takes note that the machine comes up with less than was asked for.
    fn degraded(&mut self, why: Reason);
    /// Takes note that a candidate failed.
    fn failed(&mut self, candidate: &Candidate, why: &Reason);
    /// Whether there is a shell to end in.
    fn has_shell(&self) -> bool;
    /// Takes note of what follows should the boot end in an error.
    fn then(&mut self, emergency: Emergency);
    /// Hands over to the root's init.
    fn start(&mut self, root: &NewRoot<'_, 'a>, candidate: &Candidate) -> Result<Self::Started, Reason>;
}

/// Why an attempt ended.
enum Fault {
    /// The candidate is at fault, and all of it is undone.
    Candidate(Reason),
    /// The state device is at fault, and all of the candidate is undone.
    State(Reason),
    /// The candidate has no modules for the kernel that runs, and all of it is undone.
    Kernel(Reason),
    /// The boot ends: the hand-over had begun, or not all of the candidate could be undone.
    Boot(Reason),
}

/// Tries the candidates, with `plan` as the memory for the plan of each. An error is the reason why none could be started.
pub fn try_all<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &Selection<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
) -> Result<B::Started, Reason> {
    let reboots = selection.ledger.as_ref().map_or(0, |ledger| ledger.reboots);
    Trial { config, selection, plan, boot, reboots, failed: false, why: None }.run()
}

/// The boot so far.
struct Trial<'t, 'a, B> {
    config: &'t Config<'a>,
    selection: &'t Selection<'a>,
    plan: &'t mut Plan<'a>,
    boot: &'t mut B,
    /// Automatic reboots in a row that are written down.
    reboots: u8,
    /// Whether a candidate has failed: the next one is a fallback.
    failed: bool,
    /// Why the last candidate failed.
    why: Option<Reason>,
}

impl<'a, B: Boot<'a>> Trial<'_, 'a, B> {
    fn run(mut self) -> Result<B::Started, Reason> {
        if let Some(started) = self.each(false)? {
            return Ok(started);
        }
        let nothing_left = || reason!("there is no deployment to boot");
        let Some(ledger) = &self.selection.ledger else { return Err(self.why.unwrap_or_else(nothing_left)) };
        let why = self.why.take().unwrap_or_else(|| {
            reason!("no slot of {} may boot: their tries are spent, or their priority is 0", ledger.disk)
        });
        log::error!("{why}; no slot is left");
        let (most, good_first) = match self.config.exhausted_policy() {
            OnExhausted::Reboot(most) => (most, false),
            OnExhausted::LastGood(most) => (most, true),
            // Without a shell the machine would reboot, and nobody would count.
            OnExhausted::Stop(Emergency::Shell) if !self.boot.has_shell() => (DEFAULT_REBOOTS, false),
            OnExhausted::Stop(emergency) => {
                self.boot.then(emergency);
                return Err(why);
            }
        };
        let can_reboot = self.reboots < most.min(ledger.most);
        if (good_first || !can_reboot)
            && let Some(started) = self.each(true)?
        {
            return Ok(started);
        }
        if can_reboot && self.count_reboot(most) {
            return Err(why);
        }
        self.boot.then(Emergency::Halt);
        Err(reason!("{why}; after {} automatic reboots nothing is left to try", self.reboots))
    }

    /// Tries the candidates that may boot, or those that were good once. `None` where none of them starts.
    fn each(&mut self, last_good: bool) -> Result<Option<B::Started>, Reason> {
        let selection = self.selection;
        for candidate in selection.candidates.iter().filter(|candidate| candidate.is_last_good() == last_good) {
            log::info!("trying {}", candidate.name);
            let reason = match self.one(candidate) {
                Ok(started) => return Ok(Some(started)),
                Err(Fault::Boot(reason) | Fault::Kernel(reason)) => return Err(reason),
                Err(Fault::State(reason)) => return Err(reason!("the state device is at fault: {reason}")),
                Err(Fault::Candidate(reason)) => reason,
            };
            self.boot.failed(candidate, &reason);
            log::error!("{} does not boot: {reason}", candidate.name);
            if let OnFailure::Stop(emergency) = self.config.on_failure
                && (emergency != Emergency::Reboot || self.count_reboot(DEFAULT_REBOOTS))
            {
                return Err(reason);
            }
            (self.failed, self.why) = (true, Some(reason));
        }
        Ok(None)
    }

    /// Tries one candidate, and has the ledger say so before anything of it is touched.
    fn one(&mut self, candidate: &Candidate) -> Result<B::Started, Fault> {
        let charged = candidate.slot.as_ref().filter(|slot| is_charged(slot));
        if let Some(slot) = charged {
            self.boot
                .write_down(&slot.disk, Change::SpendTry(slot.entry.number))
                .map_err(|why| Fault::Candidate(reason!("its try cannot be written down: {why}")))?;
        }
        let mut result = self.attempt(candidate, self.failed);
        if let Err(Fault::Kernel(why)) = result {
            // Another kernel may come up with the next boot. Where that was in vain, no modules are better than no boot.
            let why = reason!("cannot fall back to {}: {why}", candidate.name);
            if self.count_reboot(DEFAULT_REBOOTS) {
                return Err(Fault::Kernel(why));
            }
            self.boot.degraded(why);
            result = self.attempt(candidate, false);
        }
        if let (Err(Fault::State(_)), Some(slot)) = (&result, charged)
            && let Err(why) = self.boot.write_down(&slot.disk, Change::RefundTry(slot.entry.number))
        {
            log::error!("{} was not at fault, but has lost a try: {why}", candidate.name);
        }
        result
    }

    /// Sets a candidate up and hands over, with the writable layers in memory if the state device cannot be used and
    /// that is allowed.
    fn attempt(&mut self, candidate: &Candidate, fallback: bool) -> Result<B::Started, Fault> {
        let selection = self.selection;
        let fault = match &selection.state {
            StateChoice::Missing(which) => reason!("{which} did not appear in time"),
            StateChoice::Unusable(why) => why.clone(),
            state => match self.set_up(candidate, state, fallback) {
                Err(Fault::State(reason)) => reason,
                ended => return ended,
            },
        };
        if self.config.state_missing != StateMissing::Tmpfs {
            return Err(Fault::State(fault));
        }
        self.boot.degraded(reason!("changes are kept in memory and lost at power-off: {fault}"));
        self.set_up(candidate, &StateChoice::Memory, fallback)
    }

    fn set_up(&mut self, candidate: &Candidate, state: &StateChoice<'a>, fallback: bool) -> Result<B::Started, Fault> {
        let devices = &self.selection.devices;
        self.plan.make(self.config, candidate, state, devices, fallback).map_err(Fault::Candidate)?;
        self.boot.planned(self.plan);
        let root = match execute(self.plan, self.boot.system()) {
            Ok(root) => root,
            Err(Failed { leftover: Some(left), reason, .. }) => {
                return Err(Fault::Boot(reason!("{reason}; nothing else can be tried: {left}")));
            }
            Err(Failed { scope: Scope::Candidate, reason, .. }) => return Err(Fault::Candidate(reason)),
            Err(Failed { scope: Scope::State, reason, .. }) => return Err(Fault::State(reason)),
            Err(Failed { scope: Scope::Kernel, reason, .. }) => return Err(Fault::Kernel(reason)),
        };
        // A slot that the ledger lets boot ends the row of reboots. One that it does not must not: it may well fail.
        if let Some(Ledger { disk, .. }) = self.selection.ledger.as_ref().filter(|_| self.reboots > 0)
            && !candidate.is_last_good()
            && let Err(why) = self.boot.write_down(disk, Change::Reboots(0))
        {
            log::error!("the count of automatic reboots stays as it is: {why}");
        }
        self.boot.start(&root, candidate).map_err(Fault::Boot)
    }

    /// Writes down one more automatic reboot, and has it done. `false` where there have been `most` of them, or where
    /// that cannot be written down: then the machine must not reboot by itself, for it might do so for ever.
    fn count_reboot(&mut self, most: u8) -> bool {
        let Some(ledger) = &self.selection.ledger else { return true };
        let next = self.reboots.saturating_add(1);
        if next > most.min(ledger.most) {
            return false;
        }
        match self.boot.write_down(&ledger.disk, Change::Reboots(next)) {
            Ok(()) => {
                log::error!("automatic reboot {next} of {most}");
                self.boot.then(Emergency::Reboot);
                true
            }
            Err(why) => {
                log::error!("no automatic reboot, for it cannot be counted: {why}");
                false
            }
        }
    }
}

/// Whether trying the slot takes one of its tries.
fn is_charged(slot: &Slot) -> bool {
    let attributes = slot.entry.attributes;
    !attributes.successful() && attributes.tries() > 0
}

#[cfg(test)]
mod tests;
