//! What a deployment writes, and what is left of it.

use anyhow::Result;
use surefoot_ci::composefs::{Composefs, State};
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::kernel::Package;
use surefoot_probe::Outcome as Done;

use super::{Machine, came_up, tree};
use crate::Scenario;
use crate::judge::{actions, mount, refused, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::state_of_bootc", state_of_bootc),
    ("composefs::state_of_each", state_of_each),
    ("composefs::state_of_surefoot", state_of_surefoot),
    ("composefs::transient_root", transient_root),
    ("composefs::settings", settings),
    ("composefs::volatile", volatile),
];

fn two(state: State) -> Result<Composefs> {
    Ok(Composefs::new(Algorithm::Sha256).state(state).image(&tree("one")?).image(&tree("two")?))
}

const WRITE: &str = "probe.write=/etc/kept:e probe.write=/var/kept:v";
const READ: &str = "probe.read=/etc/kept probe.read=/var/kept probe.read=/etc/hostname";

fn read(machine: &Machine, boot: &str, number: usize, words: &str, expected: [Done; 2]) -> Result<()> {
    let words = format!("{} {READ} {words}", machine.image.word(number, false)?);
    let report = came_up(&machine.boot_keeping(boot, &words)?)?;
    let [etc, var] = expected;
    let hostname = text("from-the-image\n");
    actions(
        &report,
        &[("probe.read=/etc/kept", etc), ("probe.read=/var/kept", var), ("probe.read=/etc/hostname", hostname)],
    )
}

const MISSING: Done = Done::Failed(2);

/// `/var` is one for all deployments, `/etc` a directory of each, which bootc fills.
fn state_of_bootc(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two(State::Bootc)?)?;
    let report = came_up(&machine.boot_keeping("first", &format!("{} {WRITE}", machine.image.word(0, false)?))?)?;
    mount(&report, "/var ext4 /dev/vda1 /state/os/default/var rw,relatime rw")?;
    mount(&report, &format!("/etc ext4 /dev/vda1 /state/deploy/{}/etc rw,relatime rw", machine.digest(0)))?;
    read(&machine, "again", 0, "", [text("e"), text("v")])?;
    read(&machine, "update", 1, "", [MISSING, text("v")])
}

fn state_of_each(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two(State::Empty)?)?;
    came_up(&machine.boot_keeping("first", &format!("{} {WRITE}", machine.image.word(0, false)?))?)?;
    read(&machine, "again", 0, "", [text("e"), text("v")])?;
    read(&machine, "update", 1, "", [MISSING, MISSING])
}

/// With the keys of the command line both are kept over an update.
fn state_of_surefoot(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two(State::Bootc)?)?;
    let keys = "surefoot.etc=overlay surefoot.var=bind";
    came_up(&machine.boot_keeping("first", &format!("{} {keys} {WRITE}", machine.image.word(0, false)?))?)?;
    read(&machine, "again", 0, keys, [text("e"), text("v")])?;
    read(&machine, "update", 1, keys, [text("e"), text("v")])
}

fn one() -> Result<Composefs> {
    Ok(Composefs::new(Algorithm::Sha512).image(&tree("one")?))
}

fn transient_root(name: &str) -> Result<()> {
    let machine = Machine::with(name, &one()?, Package::Cloud612, "[root]\ntransient = true\n")?;
    let words = machine.image.word(0, false)?;
    let write =
        format!("{words} probe.write=/usr/lib/version:new probe.write=/new:n probe.read=/usr/lib/version {WRITE}");
    let report = came_up(&machine.boot_keeping("first", &write)?)?;
    actions(
        &report,
        &[
            ("probe.write=/usr/lib/version:new", Done::Done),
            ("probe.write=/new:n", Done::Done),
            ("probe.read=/usr/lib/version", text("new")),
        ],
    )?;
    let memory = "/run/surefoot/memory/1/root";
    mount(
        &report,
        &format!(
            "/ overlay transient:composefs={} / rw,relatime rw,lowerdir+=/proc/self/fd/N,datadir+=/proc/self/fd/N,\
             upperdir={memory}/upper,workdir={memory}/work,redirect_dir=on,metacopy=on,verity=require",
            machine.digest(0)
        ),
    )?;
    let read = format!("{words} probe.stat=/new probe.read=/etc/kept probe.read=/var/kept");
    let report = came_up(&machine.boot_keeping("again", &read)?)?;
    actions(
        &report,
        &[("probe.stat=/new", MISSING), ("probe.read=/etc/kept", text("e")), ("probe.read=/var/kept", text("v"))],
    )
}

fn settings(name: &str) -> Result<()> {
    let settings = "[etc]\ntransient = true\n[var]\nmount = \"none\"\n";
    let machine = Machine::with(name, &one()?, Package::Cloud612, settings)?;
    let words = machine.image.word(0, false)?;
    let report = came_up(&machine.boot_keeping("first", &format!("{words} {WRITE}"))?)?;
    actions(&report, &[("probe.write=/etc/kept:e", Done::Done), ("probe.write=/var/kept:v", Done::Failed(30))])?;
    read(&machine, "again", 0, "", [MISSING, MISSING])?;
    let machine = Machine::with(name, &one()?, Package::Cloud612, "[etc]\nmount = \"bound\"\n")?;
    let why = "/usr/lib/composefs/setup-root-conf.toml of the initramfs: line 2 has mount, which is \"none\", \"bind\", \
               \"overlay\" or \"transient\"";
    refused(&machine.boot(&words)?, why)
}

fn volatile(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?)?;
    let words = machine.image.word(0, false)?;
    let report = came_up(&machine.boot(&format!("{words} systemd.volatile=state"))?)?;
    mount(&report, "/var tmpfs tmpfs / rw,relatime rw,mode=755")?;
    let why = "systemd.volatile=overlay is not for a composefs: [root] transient = true in \
               /usr/lib/composefs/setup-root-conf.toml of the initramfs has all changes in memory";
    refused(&machine.boot(&format!("{words} systemd.volatile=overlay"))?, why)
}
