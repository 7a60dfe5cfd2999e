//! Judges which slot came up.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use surefoot_ci::cgpt::Counters;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::slots::SlotMachine;
use surefoot_probe::report::Ran;
use surefoot_probe::{Outcome as Done, Report};

use crate::judge::{boot_report, same};

/// The report of a machine that came up in this slot, verified, and powered off.
pub(crate) fn in_slot(outcome: &Outcome, label: &str) -> Result<Report> {
    in_slot_until(outcome, label, End::PoweredOff)
}

/// The report of a machine that came up in this slot, verified, and then ended like this.
pub(crate) fn in_slot_until(outcome: &Outcome, label: &str, end: End) -> Result<Report> {
    let report = outcome.probe()?;
    let boot = boot_report(&report)?;
    same("the slot", text(&boot, "/deployment/name")?, label)?;
    same("the trust", text(&boot, "/deployment/trust")?, "verified")?;
    ensure!(outcome.end == end, "it should have ended {end:?}\n{}", outcome.tail());
    Ok(report)
}

/// A text of boot.json.
pub(crate) fn text<'a>(boot: &'a Value, pointer: &str) -> Result<&'a str> {
    boot.pointer(pointer).and_then(Value::as_str).with_context(|| format!("boot.json has no text {pointer}: {boot}"))
}

/// Names and reasons of the candidates that failed before in the same boot.
pub(crate) fn failed(report: &Report) -> Result<Vec<(String, String)>> {
    let boot = boot_report(report)?;
    named_reasons(boot.pointer("/failed").context("boot.json has no list /failed")?)
}

/// Names and reasons of what looks like a deployment and is no candidate.
pub(crate) fn passed_over(report: &Report) -> Result<Vec<(String, String)>> {
    boot_report(report)?.pointer("/passed_over").map_or(Ok(Vec::new()), named_reasons)
}

fn named_reasons(list: &Value) -> Result<Vec<(String, String)>> {
    let list = list.as_array().context("boot.json should have a list of names and reasons")?;
    list.iter().map(|one| Ok((text(one, "/name")?.to_owned(), text(one, "/reason")?.to_owned()))).collect()
}

/// Which slot was meant instead of the one that came up, and why it is not that one. `None` where this one was meant.
pub(crate) fn fallback(report: &Report) -> Result<Option<(String, String)>> {
    let boot = boot_report(report)?;
    if boot.get("fallback").is_none() {
        return Ok(None);
    }
    Ok(Some((text(&boot, "/fallback/from")?.to_owned(), text(&boot, "/fallback/reason")?.to_owned())))
}

/// Fails unless cgpt reads these counters.
pub(crate) fn counters(machine: &SlotMachine, label: &str, expected: Counters) -> Result<()> {
    same(&format!("the counters of {label}"), &machine.disk.counters(label)?, &expected)
}

/// The words that have the probe run these commands of the tool, which mounts filesystems below `/tmp`.
pub(crate) fn runs(commands: &[&str]) -> String {
    let runs: Vec<_> = commands.iter().map(|command| format!("probe.run=\"{command}\"")).collect();
    format!("surefoot.mount=/tmp:tmpfs {}", runs.join(" "))
}

/// Fails unless all of them were run, and went well.
pub(crate) fn all_ran(report: &Report, commands: &[&str]) -> Result<()> {
    commands.iter().try_for_each(|command| ran(report, command, 0).map(drop))
}

/// Fails unless the program ended with this code; gives what it said.
pub(crate) fn ran<'a>(report: &'a Report, line: &str, code: i32) -> Result<&'a Ran> {
    match report
        .outcome(&format!("probe.run={line}"))
        .with_context(|| format!("the probe was not told to run {line}"))?
    {
        Done::Ran(ran) => {
            ensure!(ran.code == Some(code), "{line} should have ended with code {code}: {ran:?}");
            Ok(ran)
        }
        other => anyhow::bail!("{line} could not be run: {other:?}"),
    }
}
