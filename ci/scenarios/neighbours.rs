//! What others have left on the state partition, or in a root that others have made: it steers nothing, hangs nothing, and
//! gains nothing by the boot.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use surefoot_ci::command::{command, run};
use surefoot_ci::disk::Partition;
use surefoot_ci::mounted::Mounted;
use surefoot_ci::tree::Tree;
use surefoot_probe::{Outcome, Report};

use crate::Scenario;
use crate::judge::{actions, boot_report, booted, mount, refused, text};
use crate::setup::{Layout, Setup};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("neighbours::traps_that_are_inert", traps_that_are_inert),
    ("neighbours::a_link_in_the_place_of_var", a_link_in_the_place_of_var),
    ("neighbours::a_root_with_a_link_to_hand_over_to", a_root_with_a_link_to_hand_over_to),
    ("neighbours::a_hundred_thousand_files", a_hundred_thousand_files),
];

/// Changes the state partition as whoever is root on it can.
fn on_the_state_partition(setup: &Setup, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (start, length) = setup.disk.extent("state")?;
    let mounted = Mounted::new(&setup.disk.path, &format!("offset={start},sizelimit={length}"))?;
    change(mounted.path())?;
    mounted.unmount()
}

/// A device node that anybody may open.
fn node(path: &Path, major: &str, minor: &str) -> Result<()> {
    run(command("mknod").args(["-m", "666"]).arg(path).args(["c", major, minor])).map(drop)
}

/// Pipes, device nodes, set-uid programs, whiteouts, a work directory that is none, and links where copies are made.
fn traps_that_are_inert(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.file("etc/passwd", "root", 0o644)).prepare(name)?;
    on_the_state_partition(&setup, |state| {
        let at = |path: &str| state.join(path);
        for folder in ["etc/upper", "etc/work/work/deep/er/still", "home/user", "surefoot"] {
            fs::create_dir_all(at(folder))?;
        }
        fs::write(at("etc/work/work/deep/er/still/file"), "")?;
        // A whiteout: whoever changes /etc may take a file away.
        node(&at("etc/upper/passwd"), "0", "0")?;
        node(&at("etc/upper/null"), "1", "3")?;
        node(&at("home/user/null"), "1", "3")?;
        run(command("mkfifo").arg(at("etc/upper/pipe")).arg(at("surefoot/boots")))?;
        fs::write(at("home/user/root"), "")?;
        fs::set_permissions(at("home/user/root"), fs::Permissions::from_mode(0o4755))?;
        // /var itself is missing: it is made anew, past these.
        symlink("/etc", at("var.partial"))?;
        Ok(symlink("/", at("home/user/everything"))?)
    })?;
    let words = "probe.read=/etc/null probe.read=/home/user/null probe.read=/run/surefoot/state/home/user/null \
        probe.stat=/etc/passwd probe.read=/etc/hostname probe.write=/etc/new:n probe.write=/var/new:n probe.list=/var";
    let outcome = setup.boot(words)?;
    let report = booted(&outcome)?;
    let upper = "upperdir=/run/surefoot/state/etc/upper,workdir=/run/surefoot/state/etc/work";
    let is_writable = report.outcome("probe.write=/etc/new:n") == Some(&Outcome::Done);
    ensure!(is_writable, "{:?}", boot_report(&report)?["degraded"]);
    mount(&report, &format!("/etc overlay overlay / rw,nosuid,nodev,relatime rw,lowerdir=/sysroot/etc,{upper}"))?;
    mount(&report, "/home ext4 /dev/vda3 /home rw,nosuid,nodev,relatime rw")?;
    mount(&report, "/run/surefoot/state ext4 /dev/vda3 / rw,nosuid,nodev,relatime rw")?;
    let denied = Outcome::Failed(13);
    actions(
        &report,
        &[
            ("probe.read=/etc/null", denied.clone()),
            ("probe.read=/home/user/null", denied.clone()),
            ("probe.read=/run/surefoot/state/home/user/null", denied),
            ("probe.stat=/etc/passwd", Outcome::Failed(2)),
            ("probe.read=/etc/hostname", text("from-the-image\n")),
            ("probe.write=/var/new:n", Outcome::Done),
            ("probe.list=/var", Outcome::Names(vec!["new".to_owned()])),
        ],
    )?;
    let line = "surefoot: this boot is missing in its history: No such device or address (ENXIO)";
    ensure!(outcome.console.contains(line), "the console should say \"{line}\"\n{}", outcome.tail());
    Ok(())
}

fn a_link_in_the_place_of_var(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    on_the_state_partition(&setup, |state| Ok(symlink("/", state.join("var"))?))?;
    let reason = "the state device is at fault: cannot make the directory /run/surefoot/state/var after /sysroot/var: \
        File exists (EEXIST)";
    refused(&setup.boot("")?, reason)
}

/// Followed from the initramfs, the link would have its /run moved over its /etc.
fn a_root_with_a_link_to_hand_over_to(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.without("run").symlink("run", "/etc")).prepare(name)?;
    refused(&setup.boot("")?, "cannot mount in the new root on /run: a symbolic link leads to it")
}

/// Bytes of a state partition with so many files.
const LARGE: u64 = 96 << 20;

/// No file of an upper directory is looked at: no more is read of the state partition than without them.
fn a_hundred_thousand_files(name: &str) -> Result<()> {
    let boot = |many: bool| -> Result<u64> {
        let scratch = tempfile::tempdir()?;
        let (top, image) = (scratch.path().join("top"), scratch.path().join("image"));
        fs::create_dir_all(top.join("etc/upper"))?;
        // Not all in one: mkfs.ext4 takes a time that grows with the square of a directory.
        for folder in 0..if many { 200 } else { 0 } {
            let folder = top.join(format!("etc/upper/{folder}"));
            fs::create_dir(&folder)?;
            (0..500).try_for_each(|number| fs::write(folder.join(number.to_string()), ""))?;
        }
        fs::File::create(&image)?.set_len(LARGE)?;
        let options = ["-q", "-F", "-N", "120000", "-E", "lazy_itable_init=0", "-d"];
        run(command("mkfs.ext4").args(options).args([&top, &image]))?;
        let state = Partition::state(&image);
        let setup = Layout::new().without_state().partition(state).prepare(name)?;
        let words = format!("probe.read={STATISTICS} probe.write=/etc/new:n probe.stat=/etc/199/499");
        let report = booted(&setup.boot(&words)?)?;
        actions(&report, &[("probe.write=/etc/new:n", Outcome::Done)])?;
        let is_there = matches!(report.outcome("probe.stat=/etc/199/499"), Some(Outcome::Entry(_)));
        ensure!(is_there == many, "{:?}", report.outcome("probe.stat=/etc/199/499"));
        sectors_read(&report)
    };
    let (few, many) = (boot(false)?, boot(true)?);
    println!("{name}: {many} sectors are read with the files, {few} without");
    // The inodes of so many files take 50,000.
    ensure!(many < few + 2000, "{many} sectors are read with the files, {few} without");
    Ok(())
}

/// What was read of the state partition and written to it (Documentation/block/stat.rst).
const STATISTICS: &str = "/sys/class/block/vda3/stat";

/// How many sectors of 512 bytes were read of the state partition by the time the real init ran.
fn sectors_read(report: &Report) -> Result<u64> {
    let Some(Outcome::Text(text)) = report.outcome(&format!("probe.read={STATISTICS}")) else {
        bail!("the kernel tells nothing of the state partition")
    };
    Ok(text.split_whitespace().nth(2).context("it has no third field")?.parse()?)
}
