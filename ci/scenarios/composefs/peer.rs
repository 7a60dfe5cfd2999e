//! The same disk in the same kernel, set up by composefs-setup-root and by surefoot: every mount is compared.

use anyhow::{Context, Result};
use surefoot_ci::composefs::{Composefs, State, Version};
use surefoot_ci::drive::Drive;
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::kernel::Package;
use surefoot_ci::peers;
use surefoot_ci::tree::Tree;
use surefoot_probe::{Mount, Outcome as Done};

use super::{Machine, tree};
use crate::Scenario;
use crate::judge::{booted, same};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::peer_sha256", |name| compared(name, Algorithm::Sha256, Version::V1, true, "")),
    ("composefs::peer_sha512", |name| compared(name, Algorithm::Sha512, Version::V2, true, "")),
    ("composefs::peer_without_verity", |name| compared(name, Algorithm::Sha256, Version::V1, false, "")),
    ("composefs::peer_binds", |name| compared(name, Algorithm::Sha256, Version::V1, true, BINDS)),
];

const BINDS: &str = "[etc]\nmount = \"bind\"\n[var]\nmount = \"overlay\"\n";

/// Where the other program finds the physical root, and leaves the new one.
const SYSROOT: &str = "/mnt";

fn compared(name: &str, algorithm: Algorithm, version: Version, verity: bool, settings: &str) -> Result<()> {
    let repository = Composefs::new(algorithm).version(version).state(State::Empty).image(&tree("one")?);
    let repository = if verity { repository } else { repository.without_verity() };
    let machine = Machine::with(name, &repository, Package::Cloud612, settings)?;
    let word = machine.image.word(0, !verity)?;

    let policy = if verity { "" } else { "surefoot.verity=optional" };
    let ours = booted(&machine.boot(&format!("root=/dev/vda1 {word} {policy}"))?)?;
    let peer = run_peer(name, &machine, &word, settings)?;
    for target in ["/", "/etc", "/var", "/sysroot"] {
        let mut theirs = line(target, on_top(&peer, target.trim_end_matches('/')));
        if target == "/sysroot" {
            // That is left as it was; bootc has it read-only, and so has surefoot.
            theirs = theirs.replace(" rw,relatime ", " ro,relatime ");
        }
        same("the mount", &line(target, ours.mount(target)), &theirs)?;
    }
    Ok(())
}

/// The mounts after the other program has run in a guest that has a root of its own.
fn run_peer(name: &str, machine: &Machine, word: &str, settings: &str) -> Result<Vec<Mount>> {
    let program = std::fs::read(peers::composefs_setup_root()?)?;
    let command = format!("/usr/bin/setup-root --sysroot {SYSROOT} --config /etc/settings --cmdline {word}");
    let words = [
        format!("\"probe.mount=/dev/vdb1:{SYSROOT}:ext4:rw\""),
        format!("\"probe.run={command}\""),
        "\"probe.read=/proc/self/mountinfo\"".to_owned(),
    ];
    let root = Tree::probe()?.directory("mnt").directory("usr/bin").file("usr/bin/setup-root", program, 0o755);
    let root = root.file("etc/settings", settings, 0o644).file("etc/probe", words.join("\n"), 0o644);
    let setup = Layout::new().tree(root).prepare(&format!("{name}-peer"))?;
    let outcome = setup.vm().append("surefoot.mount=/tmp:tmpfs").drive(Drive::new(&machine.disk)).run()?;
    let report = booted(&outcome)?;
    let ran = report.actions.iter().find(|(word, _)| word.starts_with("probe.run=")).map(|(_, done)| done);
    let Some(Done::Ran(ran)) = ran else { anyhow::bail!("it did not run: {ran:?}") };
    anyhow::ensure!(ran.code == Some(0), "it failed: {ran:?}\n{}", outcome.tail());
    let Some(Done::Text(mounts)) = report.outcome("probe.read=/proc/self/mountinfo") else {
        anyhow::bail!("mountinfo was not read")
    };
    mounts.lines().map(|line| Mount::parse(line).with_context(|| line.to_owned())).collect()
}

/// The last mount at a target.
fn on_top<'m>(mounts: &'m [Mount], below: &str) -> Option<&'m Mount> {
    let target = format!("{SYSROOT}{below}");
    mounts.iter().rfind(|mount| mount.target == target)
}

/// What is mounted at `target`, but for the paths by which an overlay was told of its layers, and the disk's letter.
fn line(target: &str, mount: Option<&Mount>) -> String {
    let Some(mount) = mount else { return format!("{target} is no mount") };
    let source = mount.source.replace("/dev/vdb", "/dev/vda");
    let layer = |option: &str| {
        let (key, paths) = option.split_once('=').unwrap_or((option, ""));
        match key.trim_end_matches('+') {
            // Both may be one option.
            "lowerdir" if paths.contains("::") => "lowerdir,datadir".to_owned(),
            key @ ("lowerdir" | "datadir" | "upperdir" | "workdir") => key.to_owned(),
            _ => option.to_owned(),
        }
    };
    let options: Vec<_> = mount.filesystem_options.iter().map(|option| layer(option)).collect();
    let Mount { filesystem, root, .. } = mount;
    format!("{target} {filesystem} {source} {root} {} {}", mount.options.join(","), options.join(","))
}
