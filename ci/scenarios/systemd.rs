//! A real distribution under systemd.

use anyhow::Result;
use surefoot_ci::demo::Demo;

use crate::Scenario;
use crate::judge::same;

pub(crate) const SCENARIOS: &[Scenario] = &[("systemd::debian_has_no_failed_unit", debian)];

/// The demonstration machine's own checks, run by a unit in it: the same that `make boot` runs without a terminal.
fn debian(name: &str) -> Result<()> {
    let lines = Demo::build()?.check(name, |_| ())?;
    let expected = [
        "ok no unit has failed",
        "ok / is the verity device",
        "ok systemd sees /dev/mapper/root",
        "ok /etc takes writes",
        "ok /var takes writes",
        "ok /home takes writes",
        "ok /usr refuses writes",
        "ok machine-id is set",
        "ok surefoot status",
        "ok surefoot status --json",
        "done",
    ];
    let checks: Vec<_> = lines.iter().map(String::as_str).filter(|line| !line.starts_with("| ")).collect();
    same("the checks", &checks[..], &expected)
}
