//! Which program becomes the real init, and roots that have none.

use anyhow::Result;
use surefoot_ci::drive::Drive;
use surefoot_ci::tree::Tree;

use crate::Scenario;
use crate::judge::{booted, refused, same};
use crate::setup::{Layout, Setup};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("handoff::init_of_the_command_line", init_of_the_command_line),
    ("handoff::init_elsewhere", init_elsewhere),
    ("handoff::init_missing", init_missing),
    ("handoff::init_not_executable", init_not_executable),
    ("handoff::init_dangling", init_dangling),
    ("handoff::init_is_a_directory", init_is_a_directory),
    ("handoff::init_by_a_link_that_climbs", init_by_a_link_that_climbs),
    ("handoff::init_by_an_absolute_link", init_by_an_absolute_link),
    ("handoff::no_init_at_all", no_init_at_all),
    ("handoff::no_os_release", no_os_release),
    ("handoff::no_mount_point", no_mount_point),
    ("handoff::reboot_by_the_init", reboot_by_the_init),
];

fn argv(setup: &Setup, words: &str, expected: &[&str]) -> Result<()> {
    let report = booted(&setup.boot(words)?)?;
    let argv: Vec<_> = report.argv.iter().map(String::as_str).collect();
    same("argv", &argv[..], expected)
}

fn init_of_the_command_line(name: &str) -> Result<()> {
    let tree = Tree::probe()?.renamed("sbin/init", "usr/lib/probe");
    argv(&Layout::new().tree(tree).prepare(name)?, "init=/usr/lib/probe one -- two", &["/usr/lib/probe", "one", "two"])
}

/// Without `init=`, the kernel's own list is gone through.
fn init_elsewhere(name: &str) -> Result<()> {
    let tree = Tree::probe()?.directory("bin").renamed("sbin/init", "bin/init");
    argv(&Layout::new().tree(tree).prepare(name)?, "", &["/bin/init"])
}

fn init_missing(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let why = "No such file or directory (ENOENT)";
    refused(&setup.boot("init=/sbin/other")?, &format!("cannot start init=/sbin/other in the new root: {why}"))
}

fn init_not_executable(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.file("sbin/other", "#!/sbin/init\n", 0o644)).prepare(name)?;
    let why = "it is not executable (mode 0644)";
    refused(&setup.boot("init=/sbin/other")?, &format!("cannot start init=/sbin/other in the new root: {why}"))
}

fn init_dangling(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.symlink("sbin/other", "../lib/nowhere")).prepare(name)?;
    let why = "it is a link to ../lib/nowhere, which leads nowhere in the new root: No such file or directory (ENOENT)";
    refused(&setup.boot("init=/sbin/other")?, &format!("cannot start init=/sbin/other in the new root: {why}"))
}

fn init_is_a_directory(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let why = "it is not a regular file";
    refused(&setup.boot("init=/usr/lib")?, &format!("cannot start init=/usr/lib in the new root: {why}"))
}

/// Out of the root there is nothing: `/init`, which the initramfs has, must not be found.
fn init_by_a_link_that_climbs(name: &str) -> Result<()> {
    let tree = Tree::probe()?.symlink("sbin/other", "../../../../../init");
    let setup = Layout::new().tree(tree).prepare(name)?;
    let why =
        "it is a link to ../../../../../init, which leads nowhere in the new root: No such file or directory (ENOENT)";
    refused(&setup.boot("init=/sbin/other")?, &format!("cannot start init=/sbin/other in the new root: {why}"))
}

/// An absolute link means a path of the new root, although `/` is still the initramfs when it is followed.
fn init_by_an_absolute_link(name: &str) -> Result<()> {
    let tree = Tree::probe()?.renamed("sbin/init", "usr/lib/probe").symlink("sbin/init", "/usr/lib/probe");
    argv(&Layout::new().tree(tree).prepare(name)?, "", &["/sbin/init"])
}

fn no_init_at_all(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.without("sbin/init")).prepare(name)?;
    let reason = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); \
        nor /etc/init, /bin/init, /bin/sh";
    refused(&setup.boot("")?, reason)
}

fn no_os_release(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.without("usr/lib/os-release")).prepare(name)?;
    let reason = "the new root is no operating system: it has neither /etc/os-release nor /usr/lib/os-release \
        (os-release(5))";
    refused(&setup.boot("")?, reason)
}

fn no_mount_point(name: &str) -> Result<()> {
    let setup = Layout::new().tree(Tree::probe()?.without("proc")).prepare(name)?;
    refused(&setup.boot("")?, "cannot mount in the new root on /proc: No such file or directory (ENOENT)")
}

/// What the harness calls a reboot is one.
fn reboot_by_the_init(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).append("probe.then=reboot").drive(Drive::new(&setup.disk));
    let outcome = vm.run()?;
    same("process id", &outcome.probe()?.pid, &1)?;
    same("the end", &outcome.end, &surefoot_ci::machine::End::Rebooted)
}
