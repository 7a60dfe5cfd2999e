//! Candidates are tried in their order until one starts.

use boot_config::Config;
use boot_config::policy::{OnFailure, StateMissing};
use deployment::candidates::Candidate;

use crate::execute::{Failed, NewRoot, System, execute};
use crate::plan::{Plan, Scope, Selection, StateChoice};
use crate::text::Reason;
use crate::{log, reason};

/// Where candidates are tried: the machine itself, or the rehearsal of `surefoot explain`.
pub trait Boot<'a> {
    /// What comes of a root that was started. Nothing does in PID 1, which the real init replaces.
    type Started;

    /// What plans are carried out on.
    fn system(&mut self) -> &mut dyn System;
    /// Takes note of the plan that is carried out next.
    fn planned(&mut self, plan: &Plan<'a>);
    /// Takes note that the machine comes up with less than was asked for.
    fn degraded(&mut self, why: Reason);
    /// Takes note that a candidate failed.
    fn failed(&mut self, candidate: &Candidate, why: &Reason);
    /// Hands over to the root's init.
    fn start(&mut self, root: &NewRoot<'_, 'a>) -> Result<Self::Started, Reason>;
}

/// Why an attempt ended.
enum Fault {
    /// The candidate is at fault, and all of it is undone.
    Candidate(Reason),
    /// The state device is at fault, and all of the candidate is undone.
    State(Reason),
    /// The hand-over had begun.
    HandOver(Reason),
}

/// Tries the candidates, with `plan` as the memory for the plan of each. An error is the reason why none could be started.
pub fn try_all<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &Selection<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
) -> Result<B::Started, Reason> {
    let mut candidates = selection.candidates.iter().peekable();
    while let Some(candidate) = candidates.next() {
        log::info!("trying {}", candidate.name);
        let reason = match attempt(config, selection, candidate, plan, boot) {
            Ok(started) => return Ok(started),
            Err(Fault::HandOver(reason)) => return Err(reason),
            Err(Fault::State(reason)) => return Err(reason!("the state device is at fault: {reason}")),
            Err(Fault::Candidate(reason)) => reason,
        };
        boot.failed(candidate, &reason);
        if config.on_failure != OnFailure::Next || candidates.peek().is_none() {
            return Err(reason);
        }
        log::error!("{} does not boot: {reason}; trying the next one", candidate.name);
    }
    Err(reason!("there is no deployment to boot"))
}

fn attempt<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &Selection<'a>,
    candidate: &Candidate,
    plan: &mut Plan<'a>,
    boot: &mut B,
) -> Result<B::Started, Fault> {
    let fault = match &selection.state {
        StateChoice::Missing(which) => reason!("{which} did not appear in time"),
        StateChoice::Unusable(why) => why.clone(),
        state => match set_up(config, selection, candidate, state, plan, boot) {
            Err(Fault::State(reason)) => reason,
            ended => return ended,
        },
    };
    if config.state_missing != StateMissing::Tmpfs {
        return Err(Fault::State(fault));
    }
    boot.degraded(reason!("changes are kept in memory and lost at power-off: {fault}"));
    set_up(config, selection, candidate, &StateChoice::Memory, plan, boot)
}

fn set_up<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &Selection<'a>,
    candidate: &Candidate,
    state: &StateChoice<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
) -> Result<B::Started, Fault> {
    plan.make(config, candidate, state, &selection.devices).map_err(Fault::Candidate)?;
    boot.planned(plan);
    match execute(plan, boot.system()) {
        Ok(root) => boot.start(&root).map_err(Fault::HandOver),
        Err(Failed { scope: Scope::Candidate, reason, .. }) => Err(Fault::Candidate(reason)),
        Err(Failed { scope: Scope::State, reason, .. }) => Err(Fault::State(reason)),
    }
}
