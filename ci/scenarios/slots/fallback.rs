//! A slot that cannot be set up: it is undone, and the next one comes up in the same boot.

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use surefoot_ci::cgpt::Counters;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::slots::machine::{image, tree};
use surefoot_ci::slots::{Image, Slot, SlotMachine};
use surefoot_probe::Outcome as Done;

use crate::Scenario;
use crate::judge::same;
use crate::slots::judge::{counters, failed, fallback, in_slot, in_slot_until, ran};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::corrupted_data", corrupted_data),
    ("slots::corrupted_hash_tree", corrupted_hash_tree),
    ("slots::no_init", no_init),
    ("slots::corrupted_after_the_hand_over", corrupted_after_the_hand_over),
    ("slots::no_modules_for_the_kernel", no_modules_for_the_kernel),
    ("slots::history_of_the_boots", history_of_the_boots),
    ("slots::fault_of_the_shared_state", fault_of_the_shared_state),
];

const STATUS: &str = "/usr/bin/surefoot status";

/// A machine with a good slot `root-a` and `root-b`, which comes first and has two tries.
fn good_and_untried(name: &str, a: &Image, b: &Image) -> Result<SlotMachine> {
    let slots = [Slot::new("root-a", a, Counters::good(1)), Slot::new("root-b", b, Counters::untried(2, 2))];
    SlotMachine::new(name, &slots)
}

/// The reason why `root-b` failed, when `root-a` came up instead in the same boot with nothing left of it.
fn fell_back(machine: &SlotMachine, outcome: &Outcome) -> Result<String> {
    let report = in_slot(outcome, "root-a")?;
    counters(machine, "root-b", Counters::untried(2, 1))?;
    counters(machine, "root-a", Counters::good(1))?;
    same("the device-mapper devices", &report.device_mapper.len(), &1)?;
    let mut targets: Vec<_> = report.mounts.iter().map(|mount| mount.target.as_str()).collect();
    targets.sort_unstable();
    let once = targets.windows(2).all(|pair| pair[0] != pair[1]);
    ensure!(once, "a mount of the failed slot has been left: {targets:?}");
    let failed = failed(&report)?;
    let [(name, reason)] = &failed[..] else { bail!("one slot should have failed: {failed:?}") };
    same("the slot that failed", name.as_str(), "root-b")?;
    same("what was meant", &fallback(&report)?, &Some((name.clone(), reason.clone())))?;
    let said = &ran(&report, STATUS, 0)?.stdout;
    ensure!(said.contains("root-b") && said.contains(reason), "status does not say why:\n{said}\nit was: {reason}");
    Ok(reason.clone())
}

/// The filesystem's superblock differs from what the hash tree vouches for.
fn corrupted_data(name: &str) -> Result<()> {
    let machine = good_and_untried(name, &image("1", &[])?, &image("2", &[])?)?;
    // In erofs's superblock at 1024, bytes 24 to 35 are the creation time: any value would do.
    machine.disk.disk.flip_bit("root-b", 1024 + 24)?;
    let reason = fell_back(&machine, &machine.boot("1", &format!("probe.run=\"{STATUS}\""))?)?;
    ensure!(reason.contains("data block 0 is corrupted"), "the reason should be the corruption: {reason}");
    Ok(())
}

/// The topmost hash block is not the one that the root hash is the digest of.
fn corrupted_hash_tree(name: &str) -> Result<()> {
    let machine = good_and_untried(name, &image("1", &[])?, &image("2", &[])?)?;
    machine.disk.disk.flip_bit("root-b-verity", 4096)?;
    let reason = fell_back(&machine, &machine.boot("1", &format!("probe.run=\"{STATUS}\""))?)?;
    ensure!(reason.contains("/dev/vda4"), "the reason should name the device: {reason}");
    Ok(())
}

/// Found out last, when all is mounted: everything is undone.
fn no_init(name: &str) -> Result<()> {
    let broken = Image::of(&tree("2", &[])?.without("sbin/init"))?;
    let machine = good_and_untried(name, &image("1", &[])?, &broken)?;
    let reason = fell_back(&machine, &machine.boot("1", &format!("probe.run=\"{STATUS}\""))?)?;
    ensure!(reason.contains("init"), "the reason should name the init: {reason}");
    Ok(())
}

/// Corruption that only the running system meets restarts the machine; the try is spent, and the other slot is next.
fn corrupted_after_the_hand_over(name: &str) -> Result<()> {
    const MARK: &[u8] = b"read only once the system runs. ";
    let marked = tree("2", &["probe.read=/usr/marked"])?.file("usr/marked", MARK.repeat(512), 0o644);
    let machine = good_and_untried(name, &image("1", &[])?, &Image::of(&marked)?)?;
    machine.disk.set_counters("root-b", Counters::untried(2, 1))?;
    let place = machine.disk.disk.find("root-b", MARK)?;
    machine.disk.disk.flip_bit("root-b", place + 8192)?;
    let outcome = machine.boot("corrupted", "")?;
    ensure!(outcome.end == End::Rebooted && outcome.report.is_empty(), "it should restart\n{}", outcome.tail());
    ensure!(outcome.console.contains("is corrupted"), "the kernel should tell of the corruption\n{}", outcome.tail());
    counters(&machine, "root-b", Counters::untried(2, 0))?;
    let report = in_slot(&machine.boot("after", "")?, "root-a")?;
    same("what failed", &failed(&report)?, &Vec::new())
}

/// The kernel that runs came with the slot that failed: a root without its modules would come up half. A reboot lets the
/// boot loader choose another kernel, and ends, for the try is spent.
fn no_modules_for_the_kernel(name: &str) -> Result<()> {
    let a = Image::of(&tree("1", &[])?.without("lib/modules"))?;
    let machine = good_and_untried(name, &a, &image("2", &[])?)?;
    machine.disk.set_counters("root-b", Counters::untried(2, 1))?;
    machine.disk.disk.flip_bit("root-b", 1024)?;
    let outcome = machine.boot("1", "")?;
    ensure!(outcome.end == End::Rebooted && outcome.report.is_empty(), "it should reboot\n{}", outcome.tail());
    counters(&machine, "root-b", Counters::untried(2, 0))?;
    // Nothing fails any more, so the only root there is may boot.
    in_slot_until(&machine.boot("2", "")?, "root-a", End::PoweredOff).map(drop)
}

/// No slot is to blame for the partition that all of them share.
fn fault_of_the_shared_state(name: &str) -> Result<()> {
    let machine = good_and_untried(name, &image("1", &[])?, &image("2", &[])?)?;
    let state = machine.disk.disk.read("state")?;
    machine.disk.disk.overwrite("state", 0, &vec![0; 1 << 20])?;
    let outcome = machine.boot("broken", "")?;
    ensure!(outcome.end == End::Rebooted && outcome.report.is_empty(), "it should reboot\n{}", outcome.tail());
    counters(&machine, "root-b", Counters::untried(2, 2))?;
    counters(&machine, "root-a", Counters::good(1))?;
    machine.disk.disk.overwrite("state", 0, &state)?;
    in_slot(&machine.boot("repaired", "")?, "root-b")?;
    counters(&machine, "root-b", Counters::untried(2, 1))
}

/// Every boot that comes up adds a line on the state device, which the next ones find.
fn history_of_the_boots(name: &str) -> Result<()> {
    const HISTORY: &str = "/run/surefoot/state/surefoot/boots";
    let machine = good_and_untried(name, &image("1", &[])?, &image("2", &[])?)?;
    in_slot(&machine.boot("1", "")?, "root-b")?;
    machine.disk.disk.flip_bit("root-b", 1024 + 24)?;
    let report = in_slot(&machine.boot("2", &format!("probe.read={HISTORY}"))?, "root-a")?;
    let Some(Done::Text(history)) = report.outcome(&format!("probe.read={HISTORY}")) else {
        bail!("there is no history: {:?}", report.actions);
    };
    let lines: Vec<Value> = history.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let names: Vec<_> = lines.iter().filter_map(|line| line.get("deployment")?.as_str()).collect();
    same("the deployments", &names[..], &["root-b", "root-a"])?;
    let failed: Vec<_> = lines.iter().filter_map(|line| line.pointer("/failed/0/name")?.as_str()).collect();
    same("what failed before", &failed[..], &["root-b"])
}
