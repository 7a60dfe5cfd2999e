//! Which kinds of deployment are looked for, and in which order they come.

use boot_config::Config;

use super::{Candidate, CandidateError, Candidates, Keeper, Order, Record, configured, slot};
use crate::facts::Facts;
use crate::gpt::{Attributes, MAX_PRIORITY};

/// Adds the candidates of one kind.
type Find = for<'a> fn(&Config<'a>, &Facts, &mut Candidates) -> Result<(), CandidateError<'a>>;

/// The kinds that partitions alone tell of.
const KINDS: [Find; 2] = [configured::find, slot::find];

/// The deployments on these devices that may boot with this configuration, best first, as far as partitions alone tell of
/// them. Those that lie in filesystems are added by [`super::look_into`].
///
/// [`CandidateError::Missing`] and [`CandidateError::NoSlot`] mean that more devices may still make it possible; any other
/// error that waiting does not help. No candidate at all, without an error, means that the boot ledger lets none boot.
pub fn candidates<'a>(config: &Config<'a>, facts: &Facts) -> Result<Candidates, CandidateError<'a>> {
    let mut candidates = Candidates::new();
    for find in KINDS {
        find(config, facts, &mut candidates)?;
    }
    sort(&mut candidates);
    Ok(candidates)
}

/// Where a candidate comes: the smallest is the first. What decides are, most important first, whether it is barred, last
/// good or unproven, its priority and its order. To fall back on, a good one comes before one that is yet to be proven.
#[inline(never)]
fn rank(candidate: &Candidate, fallback: bool) -> u64 {
    let unproven = fallback && !attributes(candidate).successful();
    let standing =
        u64::from(candidate.is_barred()) << 2 | u64::from(candidate.is_last_good()) << 1 | u64::from(unproven);
    standing << 56 | preference(candidate)
}

/// What would decide if every candidate could boot: seven bytes.
fn preference(candidate: &Candidate) -> u64 {
    let Order { kind, sysroot, index } = candidate.order;
    let [.., b, c, d] = index.to_be_bytes();
    let passed_by = u8::from(is_passed_by(candidate));
    u64::from_be_bytes([0, !attributes(candidate).priority(), passed_by, kind, sysroot, b, c, d])
}

/// Whether it is yet to be proven, and older than what its kind has put first since: of equal priority a good one comes before
/// it. In a partition table and in names of files the order is that of ChromeOS and of vpick.
fn is_passed_by(candidate: &Candidate) -> bool {
    let Some(Record { keeper: Keeper::File(_), entry, counted, .. }) = &candidate.record else { return false };
    *counted && candidate.order.index > 0 && !entry.attributes.successful()
}

fn attributes(candidate: &Candidate) -> Attributes {
    // What the command line names needs no ledger: where others may be tried as well, it is the first choice.
    let named = Attributes::default().with_priority(MAX_PRIORITY).with_successful(true);
    candidate.record.as_ref().map_or(named, |record| record.entry.attributes)
}

/// Whether a candidate would come before another one, if both could boot.
pub(super) fn is_preferred(candidate: &Candidate, other: &Candidate) -> bool {
    preference(candidate) < preference(other)
}

/// Puts the candidates in the order in which they are tried: the best one first, then what the machine falls back to.
#[inline(never)]
pub fn sort(candidates: &mut Candidates) {
    let mut rest = candidates.as_mut_slice();
    let mut fallback = false;
    while let Some((first, behind)) = rest.split_first_mut() {
        let best = behind.iter_mut().min_by_key(|candidate| rank(candidate, fallback));
        if let Some(best) = best.filter(|best| rank(best, fallback) < rank(first, fallback)) {
            core::mem::swap(first, best);
        }
        (rest, fallback) = (behind, true);
    }
}

/// Adds a candidate. Where there is no room the one that would be tried last makes way.
#[inline(never)]
pub fn offer(candidates: &mut Candidates, candidate: Candidate) {
    if !candidates.is_full() {
        // There is room.
        let _ = candidates.push(candidate);
        return;
    }
    sort(candidates);
    let first = candidates.first().is_none_or(|first| rank(&candidate, false) < rank(first, false));
    let Some(last) = candidates.last_mut() else { return };
    if first || rank(&candidate, true) < rank(last, true) {
        *last = candidate;
    }
}
