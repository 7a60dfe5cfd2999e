//! Candidates are tried in their order until one starts. What the boot ledger has to be told is written down before a
//! candidate is touched, and a boot in which none is left ends within bounds.

use boot_config::Config;
use boot_config::policy::{DEFAULT_REBOOTS, Emergency, OnExhausted, OnFailure, StateMissing};
use deployment::candidates::{Candidate, Keeper, Look, Record, RootSource};
use deployment::ledger::Change;
use deployment::tree::Tree;

use crate::execute::{Failed, NewRoot, System, execute};
use crate::plan::{Ledger, Plan, Scope, Selection, StateChoice, Unplanned, With};
use crate::text::Reason;
use crate::{SYSROOTS, log, reason};

/// Where candidates are tried: the machine itself, or the rehearsal of `surefoot explain`.
pub trait Boot<'a> {
    /// What comes of a root that was started. Nothing does in PID 1, which the real init replaces.
    type Started;

    /// What plans are carried out on.
    fn system(&mut self) -> &mut dyn System;
    /// Changes a boot ledger. `candidate` is the one of `all` candidates that the change is about, if it is about one.
    fn write_down(
        &mut self,
        keeper: &Keeper,
        candidate: Option<&Candidate>,
        all: &[Candidate],
        change: Change,
    ) -> Result<(), Reason>;
    /// Takes note of the plan by which the filesystem with this number is mounted to be looked into.
    fn looking(&mut self, plan: &Plan<'a>, number: u8);
    /// Opens it, now that it is mounted.
    fn looked(&mut self, number: u8) -> Result<(), Reason>;
    /// What can be seen of a filesystem that was mounted to be looked into; `None` where it was not.
    fn sysroot(&self, number: u8) -> Option<&dyn Tree>;
    /// What can be seen of the initramfs.
    fn initramfs(&self) -> &dyn Tree;
    /// Takes note that something in a filesystem is no candidate.
    fn passed_over(&mut self, what: &str, why: &Reason);
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
    /// Hands over to the init of the root that was made for `candidate`, one of `all` candidates.
    fn start(
        &mut self,
        root: &NewRoot<'_, 'a>,
        candidate: &Candidate,
        all: &[Candidate],
    ) -> Result<Self::Started, Reason>;
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

impl Fault {
    fn of(scope: Scope, reason: Reason) -> Self {
        match scope {
            Scope::Candidate => Self::Candidate(reason),
            Scope::State => Self::State(reason),
            Scope::Kernel => Self::Kernel(reason),
        }
    }
}

/// Tries all candidates, those in filesystems included, which [`crate::look::look_into_all`] has found; with `plan` as the
/// memory for the plan of each. An error is the reason why none could be started.
pub fn try_all<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &Selection<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
) -> Result<B::Started, Reason> {
    let reboots = selection.ledger.as_ref().map_or(0, |ledger| ledger.reboots);
    Trial { config, selection, plan, boot, reboots, why: None }.run()
}

/// The boot so far.
struct Trial<'t, 'a, B> {
    config: &'t Config<'a>,
    selection: &'t Selection<'a>,
    plan: &'t mut Plan<'a>,
    boot: &'t mut B,
    /// Automatic reboots in a row that are written down.
    reboots: u8,
    /// Why the last candidate failed: the next one is a fallback.
    why: Option<Reason>,
}

impl<'a, B: Boot<'a>> Trial<'_, 'a, B> {
    fn run(mut self) -> Result<B::Started, Reason> {
        if let Some(started) = self.each(false)? {
            return Ok(started);
        }
        let why = self.why.as_ref().or(self.selection.nothing_found.as_ref()).cloned();
        let nothing_left = || reason!("there is no deployment to boot");
        let Some(ledger) = &self.selection.ledger else { return Err(why.unwrap_or_else(nothing_left)) };
        let why = why.unwrap_or_else(|| {
            reason!("no deployment of {} may boot: their tries are spent, or their priority is 0", ledger.keeper)
        });
        log::error!("{why}; no deployment is left");
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

    /// Tries the candidates that may boot, or those that were good once. `None` where none of them starts. Where the state device
    /// is at fault, only those are tried that can do without it, and that ends the boot if none does: no deployment is to be
    /// blamed, so that none loses its tries, or is left for one that was good once.
    fn each(&mut self, last_good: bool) -> Result<Option<B::Started>, Reason> {
        let (selection, mut state_fault) = (self.selection, None);
        let is_meant = |candidate: &&Candidate| !candidate.is_barred() && candidate.is_last_good() == last_good;
        for candidate in selection.candidates.iter().filter(is_meant) {
            if state_fault.is_some() && self.needs_state(candidate) {
                continue;
            }
            log::info!("trying {}", candidate.name);
            let reason = match self.one(candidate) {
                Ok(started) => return Ok(Some(started)),
                Err(Fault::Boot(reason) | Fault::Kernel(reason)) => return Err(reason),
                Err(Fault::State(reason)) => {
                    state_fault.insert(reason!("the state device is at fault: {reason}")).clone()
                }
                Err(Fault::Candidate(reason)) => reason,
            };
            self.boot.failed(candidate, &reason);
            log::error!("{} does not boot: {reason}", candidate.name);
            if let OnFailure::Stop(emergency) = self.config.on_failure
                && (state_fault.is_some() || emergency != Emergency::Reboot || self.count_reboot(DEFAULT_REBOOTS))
            {
                return Err(reason);
            }
            self.why = Some(reason);
        }
        state_fault.map_or(Ok(None), Err)
    }

    /// Whether a candidate keeps something on the state device: one that brings its own `/etc` and `/var` need not.
    fn needs_state(&mut self, candidate: &Candidate) -> bool {
        let selection = self.selection;
        match self.plan(candidate, &selection.state, true) {
            Ok(()) => self.plan.steps.iter().any(|step| step.scope == Scope::State),
            Err(unplanned) => unplanned.scope == Scope::State,
        }
    }

    /// Tries one candidate, and has the ledger say so before anything of it is touched.
    fn one(&mut self, candidate: &Candidate) -> Result<B::Started, Fault> {
        let all = &self.selection.candidates;
        let charged = candidate.record.as_ref().filter(|record| record.is_charged());
        if let Some(Record { keeper, entry, .. }) = charged {
            self.boot
                .write_down(keeper, Some(candidate), all, Change::SpendTry(entry.number))
                .map_err(|why| Fault::Candidate(reason!("its try cannot be written down: {why}")))?;
        }
        let mut result = self.attempt(candidate, self.why.is_some());
        if let Err(Fault::Kernel(why)) = result {
            // Another kernel may come up with the next boot. Where that was in vain, no modules are better than no boot.
            let why = reason!("cannot fall back to {}: {why}", candidate.name);
            if self.count_reboot(DEFAULT_REBOOTS) {
                return Err(Fault::Kernel(why));
            }
            self.boot.degraded(why);
            result = self.attempt(candidate, false);
        }
        if let (Err(Fault::State(_)), Some(Record { keeper, entry, .. })) = (&result, charged)
            && let Err(why) = self.boot.write_down(keeper, Some(candidate), all, Change::RefundTry(entry.number))
        {
            log::error!("{} was not at fault, but has lost a try: {why}", candidate.name);
        }
        result
    }

    /// Sets a candidate up and hands over, with the writable layers in memory if the state device cannot be used and
    /// that is allowed.
    fn attempt(&mut self, candidate: &Candidate, fallback: bool) -> Result<B::Started, Fault> {
        let selection = self.selection;
        let fault = match self.set_up(candidate, &selection.state, fallback) {
            Err(Fault::State(reason)) => reason,
            ended => return ended,
        };
        if self.config.state_missing != StateMissing::Tmpfs {
            return Err(Fault::State(fault));
        }
        self.boot.degraded(reason!("changes are kept in memory and lost at power-off: {fault}"));
        self.set_up(candidate, &StateChoice::Memory, fallback)
    }

    fn set_up(&mut self, candidate: &Candidate, state: &StateChoice<'a>, fallback: bool) -> Result<B::Started, Fault> {
        self.plan(candidate, state, fallback).map_err(|Unplanned { scope, reason }| Fault::of(scope, reason))?;
        self.boot.planned(self.plan);
        let root = match execute(self.plan, self.boot.system()) {
            Ok(root) => root,
            Err(Failed { leftover: Some(left), reason, .. }) => {
                return Err(Fault::Boot(reason!("{reason}; nothing else can be tried: {left}")));
            }
            Err(Failed { scope, reason, .. }) => return Err(Fault::of(scope, reason)),
        };
        // A slot that the ledger lets boot ends the row of reboots. One that it does not must not: it may well fail.
        let Selection { candidates: all, ledger, .. } = self.selection;
        if let Some(Ledger { keeper, .. }) = ledger.as_ref().filter(|_| self.reboots > 0)
            && !candidate.is_last_good()
            && let Err(why) = self.boot.write_down(keeper, None, all, Change::Reboots(0))
        {
            log::error!("the count of automatic reboots stays as it is: {why}");
        }
        self.boot.start(&root, candidate, all).map_err(Fault::Boot)
    }

    /// Plans how a candidate is set up.
    fn plan(&mut self, candidate: &Candidate, state: &StateChoice<'a>, fallback: bool) -> Result<(), Unplanned> {
        let selection = self.selection;
        let look = match &candidate.root {
            RootSource::Tree(source) if SYSROOTS => {
                let device = selection.sysroots.get(usize::from(source.sysroot));
                device.zip(self.boot.sysroot(source.sysroot)).map(|(device, tree)| Look {
                    config: self.config,
                    tree,
                    initramfs: self.boot.initramfs(),
                    device,
                })
            }
            _ => None,
        };
        let with = With { look: look.as_ref(), state, devices: &selection.devices, fallback };
        self.plan.make(self.config, candidate, &with)
    }

    /// Writes down one more automatic reboot, and has it done. `false` where there have been `most` of them, or where
    /// that cannot be written down: then the machine must not reboot by itself, for it might do so for ever.
    fn count_reboot(&mut self, most: u8) -> bool {
        let Selection { candidates: all, ledger: Some(ledger), .. } = self.selection else { return true };
        let next = self.reboots.saturating_add(1);
        if next > most.min(ledger.most) {
            return false;
        }
        match self.boot.write_down(&ledger.keeper, None, all, Change::Reboots(next)) {
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

#[cfg(test)]
mod tests;
