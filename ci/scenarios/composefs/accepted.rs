//! Images that a list of accepted digests vouches for, and that the boot ledger ranks.

use anyhow::Result;
use surefoot_ci::composefs::{Composefs, State};
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::guest_tool;
use surefoot_ci::tree::Tree;
use surefoot_probe::{Outcome as Done, Report};

use super::boots::{VERSION, runs, top};
use super::{Machine, came_up, tree};
use crate::Scenario;
use crate::judge::{actions, mount, same, text};
use crate::slots::judge::{self, failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::rolled_back_by_command", rolled_back_by_command),
    ("composefs::newest_accepted_is_broken", newest_accepted_is_broken),
];

/// The words that let these images boot, and no others, by their rank.
pub(super) fn accept(machine: &Machine, numbers: &[usize]) -> String {
    let digests: Vec<_> = numbers.iter().map(|number| machine.digest(*number)).collect();
    format!("surefoot.deployment=auto surefoot.roothash={} {VERSION}", digests.join(","))
}

fn with_tool(version: &str) -> Result<Tree> {
    guest_tool::add(tree(version)?)
}

/// An update is found good, rolled back, and made the next one again, by the system itself. `/var` is one for both, as bootc
/// has it.
fn rolled_back_by_command(name: &str) -> Result<()> {
    const WRITE: &str = "probe.write=/var/kept:v";
    const READ: &str = "probe.read=/var/kept";
    let repository = Composefs::new(Algorithm::Sha256).state(State::Bootc);
    let machine = Machine::new(name, &repository.image(&with_tool("one")?).image(&with_tool("two")?))?;
    let commands = |boot: &str, words: &str, number: usize, commands: &[&str]| -> Result<Report> {
        let report = came_up(&machine.boot_keeping(boot, &format!("{words} {}", judge::runs(commands)))?)?;
        let version = ["one", "two"].get(number).copied().unwrap_or_default();
        runs(&report, &machine, number, version, "verified")?;
        mount(&report, &top(machine.digest(number)))?;
        same("what was meant", &fallback(&report)?, &None)?;
        judge::all_ran(&report, commands)?;
        Ok(report)
    };
    // The update is there and is the newer one, but not yet accepted: not even where what nothing verifies may boot.
    let old = format!("{} surefoot.verity=optional {WRITE}", accept(&machine, &[0]));
    let report = commands("old", &old, 0, &["/usr/bin/surefoot mark-good"])?;
    let why = (machine.deployment(1), "no accepted root hash vouches for it".to_owned());
    same("what was passed over", &passed_over(&report)?, &vec![why])?;
    let both = accept(&machine, &[0, 1]);
    let kept = |report: &Report| actions(report, &[(READ, text("v"))]);
    let read = format!("{both} {READ}");
    kept(&commands("update", &read, 1, &["/usr/bin/surefoot mark-good", "/usr/bin/surefoot rollback"])?)?;
    let next = format!("/usr/bin/surefoot set-next {}", machine.deployment(1));
    kept(&commands("back", &read, 0, &[&next])?)?;
    kept(&commands("again", &read, 1, &[])?)
}

fn newest_accepted_is_broken(name: &str) -> Result<()> {
    let repository = Composefs::new(Algorithm::Sha256).image(&tree("one")?).image(&tree("two")?.without("sbin/init"));
    let machine = Machine::new(name, &repository)?;
    let words = format!("{} probe.write=/var/kept:v probe.write=/usr/x:x", accept(&machine, &[0, 1]));
    let report = came_up(&machine.boot(&words)?)?;
    runs(&report, &machine, 0, "one", "verified")?;
    mount(&report, &top(machine.digest(0)))?;
    let why = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
               /etc/init, /bin/init, /bin/sh";
    let broken = (machine.deployment(1), why.to_owned());
    same("what failed", &failed(&report)?, &vec![broken.clone()])?;
    same("what was meant", &fallback(&report)?, &Some(broken))?;
    actions(&report, &[("probe.write=/var/kept:v", Done::Done), ("probe.write=/usr/x:x", Done::Failed(30))])
}
