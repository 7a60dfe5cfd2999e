//! A device that does not come: how long it is waited for, and what is said then.

use anyhow::{Context, Result, ensure};
use surefoot_ci::disk::derived_uuids;
use surefoot_ci::drive::Drive;
use surefoot_ci::machine::BOOT_FAILED;

use crate::Scenario;
use crate::judge::{refused, said};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[("deadline::expires", expires), ("deadline::rootwait", rootwait)];

/// The hash partition is on no disk; the others are listed.
fn expires(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let (data, _) = derived_uuids(&setup.root_hash);
    let missing = "PARTLABEL=no-such (hash tree of the root)";
    let words = format!(
        "{} systemd.verity_root_data=PARTUUID={data} systemd.verity_root_hash=PARTLABEL=no-such rd.timeout=3",
        setup.roothash()
    );
    let outcome = setup.bare().append(&words).drive(Drive::new(&setup.disk)).run()?;
    said(&outcome, &format!("waiting for {missing}"))?;
    let seen = "block devices seen: vda vda1 (root) vda2 (root-verity) vda3 (state)";
    refused(&outcome, &format!("{missing} did not appear within 3 seconds; {seen}"))?;
    let waited = time_of(&outcome.console, BOOT_FAILED)? - time_of(&outcome.console, "Run /init as init")?;
    ensure!((3.0..5.0).contains(&waited), "it should have waited three seconds, not {waited}");
    Ok(())
}

/// The kernel's timestamp of the first line with this text, in seconds.
fn time_of(console: &str, text: &str) -> Result<f64> {
    let line = console.lines().find(|line| line.contains(text));
    let line = line.with_context(|| format!("no line with {text}"))?;
    Ok(line.trim_start_matches('[').split(']').next().unwrap_or_default().trim().parse()?)
}

fn rootwait(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let words = "surefoot.verity=optional root=/dev/sdz9 rootwait=1";
    let outcome = setup.bare().append(words).drive(Drive::new(&setup.disk)).run()?;
    let seen = "block devices seen: vda vda1 (root) vda2 (root-verity) vda3 (state)";
    refused(&outcome, &format!("/dev/sdz9 (the root) did not appear within 1 seconds; {seen}"))
}
