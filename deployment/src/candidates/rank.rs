//! Which kinds of deployment are looked for, and in which order they come.

use boot_config::Config;

use super::{CandidateError, Candidates, configured, slot};
use crate::facts::Facts;

/// Adds the candidates of one kind, best first.
type Find = for<'a> fn(&Config<'a>, &Facts, &mut Candidates) -> Result<(), CandidateError<'a>>;

/// Every kind, the preferred one first.
const KINDS: [Find; 2] = [configured::find, slot::find];

/// The deployments that may boot with this configuration on these devices, best first.
///
/// [`CandidateError::Missing`] and [`CandidateError::NoSlot`] mean that more devices may still make it possible; any other
/// error that waiting does not help. No candidate at all, without an error, means that the boot ledger lets none boot.
pub fn candidates<'a>(config: &Config<'a>, facts: &Facts) -> Result<Candidates, CandidateError<'a>> {
    let mut candidates = Candidates::new();
    for find in KINDS {
        find(config, facts, &mut candidates)?;
    }
    Ok(candidates)
}
