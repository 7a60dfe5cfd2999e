//! Filesystems are mounted and looked into, for deployments that only a filesystem can tell of. This comes before any
//! candidate is tried, so that all of them are ranked in one list.

use boot_config::Config;
use deployment::candidates::{self, Candidate, DeviceSource, Keeper, Look};
use deployment::ledger::MAX_REBOOTS;
use deployment::ledger::file::LedgerFile;
use deployment::tree::Watched;

use crate::attempt::Boot;
use crate::execute::{carry_out, undo};
use crate::plan::{Ledger, Plan, Selection};
use crate::text::Reason;
use crate::{SYSROOTS, log, reason};

/// Adds the deployments that lie in the filesystems of the selection, with `plan` as the memory for the steps. Where there
/// is no candidate in the end, the selection keeps the reason as far as it is known.
#[inline(never)]
pub fn look_into_all<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &mut Selection<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
) {
    if !SYSROOTS {
        return;
    }
    let (mut why, mut note) = (None, None);
    for (number, device) in (0..).zip(selection.sysroots.clone()) {
        if let Err(reason) = look_into(config, selection, plan, boot, &device, number, &mut note) {
            boot.degraded(reason!("no deployment was looked for in /dev/{}: {reason}", device.device));
            why = Some(reason);
        }
    }
    if selection.candidates.iter().all(Candidate::is_barred) && !selection.sysroots.is_empty() {
        selection.nothing_found = why.or(note).or_else(|| Some(reason!("{NOTHING}")));
    }
}

/// What is said where no candidate is left to try.
const NOTHING: &str = "no deployment was found that may boot";

/// Looks into one filesystem. `first` is the first thing in all of them that is no candidate, with the reason.
fn look_into<'a, B: Boot<'a>>(
    config: &Config<'a>,
    selection: &mut Selection<'a>,
    plan: &mut Plan<'a>,
    boot: &mut B,
    device: &DeviceSource,
    number: u8,
    first: &mut Option<Reason>,
) -> Result<(), Reason> {
    plan.make_look(config, device, &selection.state, number)?;
    boot.looking(plan, number);
    carry_out(&plan.steps, boot.system()).map_err(|failed| with_leftover(failed.reason, failed.leftover))?;
    if let Err(reason) = boot.looked(number) {
        return Err(with_leftover(reason, undo(&plan.steps, boot.system()).err()));
    }
    let Some(tree) = boot.sysroot(number) else { return Ok(()) };
    let mut ledger = LedgerFile::default();
    let watched = Watched::new(tree);
    let found = ledger.read_in(&watched);
    let lost_copy = watched.into_failure();
    let watched = Watched::new(tree);
    let look = Look { config, tree: &watched, initramfs: boot.initramfs(), device };
    let mut notes = Notes::new();
    candidates::look_into(&look, number, &ledger, &mut selection.candidates, &mut |what, why| {
        log::info!("{what} does not boot: {why}");
        // More of them than there is room for are in the log.
        let _ = notes.push((crate::text::clipped(format_args!("{what}")), Reason::of(why)));
    });
    let failure = watched.into_failure();
    for (what, why) in &notes {
        boot.passed_over(what, why);
        first.get_or_insert_with(|| reason!("{NOTHING}; {what}: {why}"));
    }
    if let Some(failure) = failure {
        let why = reason!("not all of /dev/{} could be looked at: {failure}", device.device);
        first.get_or_insert_with(|| reason!("{NOTHING}; {why}"));
        boot.degraded(why);
    }
    // Without it nobody knows how often the machine has rebooted by itself: then it does not.
    let most = if found.is_ok() { MAX_REBOOTS } else { 0 };
    if selection.ledger.as_ref().is_none_or(|known| known.most == 0) {
        selection.ledger = Some(Ledger { keeper: Keeper::File(number), reboots: ledger.reboots(), most });
    }
    let unknown = "so that deployments count as unknown";
    match found {
        Ok(true) => {
            if let Some(failure) = lost_copy {
                boot.degraded(reason!("one copy of the boot ledger of /dev/{}: {failure}", device.device));
            }
        }
        Ok(false) => boot.degraded(reason!("the boot ledger of /dev/{} is damaged, {unknown}", device.device)),
        Err(why) => {
            boot.degraded(reason!("the boot ledger of /dev/{} cannot be read, {unknown}: {why}", device.device));
        }
    }
    Ok(())
}

/// A reason, with what is left of the steps before it.
fn with_leftover(reason: Reason, leftover: Option<Reason>) -> Reason {
    match leftover {
        Some(left) => reason!("{reason}; {left}"),
        None => reason,
    }
}

/// Most things that are reported as no candidates of one filesystem.
const MAX_NOTES: usize = 8;

type Notes = heapless::Vec<(heapless::String<64>, Reason), MAX_NOTES>;
