//! The same disk in the same kernel, set up by composefs-setup-root and by surefoot: all mounts of the new root are compared.
//! What differs is listed by name, and each scenario names what it needs.

use anyhow::{Context, Result, ensure};
use surefoot_ci::composefs::{Composefs, State, Version};
use surefoot_ci::drive::Drive;
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::kernel::Package;
use surefoot_ci::setup_root;
use surefoot_ci::tree::Tree;
use surefoot_probe::{Mount, Outcome as Done};

use super::{Machine, tree, unnumbered};
use crate::Scenario;
use crate::judge::{actions, booted, same, text};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::peer_sha256", |name| compared(name, Algorithm::Sha256, Version::V1, true, "", &[PATHS])),
    ("composefs::peer_sha512", |name| compared(name, Algorithm::Sha512, Version::V2, true, "", &[PATHS])),
    ("composefs::peer_without_verity", |name| compared(name, Algorithm::Sha256, Version::V1, false, "", &[PATHS])),
    ("composefs::peer_binds", |name| usual(name, BINDS, &[PATHS])),
    ("composefs::peer_transient", |name| usual(name, TRANSIENT, &[MEMORY])),
    ("composefs::peer_transient_root", |name| usual(name, TRANSIENT_ROOT, &[PATHS, ONE_ROOT])),
    ("composefs::peer_none", |name| usual(name, NONE, &[])),
];

const BINDS: &str = "[etc]\nmount = \"bind\"\n[var]\nmount = \"overlay\"\n";
const TRANSIENT: &str = "[etc]\ntransient = true\n[var]\nmount = \"transient\"\n";
const TRANSIENT_ROOT: &str = "[root]\ntransient = true\n";
const NONE: &str = "[etc]\nmount = \"none\"\n[var]\nmount = \"none\"\n";

/// Where the other program finds the physical root, and leaves the new one.
const SYSROOT: &str = "/mnt";

/// Something that surefoot does in another way: its name, and how the mounts of the other program become those of surefoot.
type Difference = (&'static str, fn(&mut Vec<String>, digest: &str));

/// The other program mounts over the physical root and leaves it there, as it says itself; surefoot unmounts it.
const UNDERNEATH: Difference = ("the physical root underneath", |lines, _| {
    lines.retain(|line| line != "/ ext4 /dev/vda1 / rw,relatime rw");
});

/// The other program leaves it as it was mounted; bootc has it read-only.
const READ_ONLY: Difference = ("a read-only /sysroot", |lines, _| {
    each(lines, "/sysroot ", |line| line.replace(" rw,relatime ", " ro,relatime "));
});

/// The other program tells the image and the objects as one text, for kernels before 6.7.
const LAYERS: Difference = ("the layers of the composefs", |lines, _| {
    let (text, files) =
        ("lowerdir=/proc/self/fd/N::/proc/self/fd/N", "lowerdir+=/proc/self/fd/N,datadir+=/proc/self/fd/N");
    each(lines, "/ overlay composefs:", |line| line.replace(text, files));
});

/// What the other program tells of the layers of `/etc` or `/var`.
const OPEN_FILES: &str = "lowerdir=/proc/self/fd/N,upperdir=/proc/self/fd/N,workdir=/proc/self/fd/N";

/// The other program names open files, which are told by what is written there ([`overlaid`]); surefoot names paths.
const PATHS: Difference = ("the paths of overlays", |lines, digest| {
    for name in ["etc", "var"] {
        let state = format!("SYSROOT/state/deploy/{digest}/{name}");
        let paths = format!("lowerdir=/sysroot/{name},upperdir={state}/upper,workdir={state}/work");
        each(lines, &format!("/{name} overlay overlay "), |line| line.replace(OPEN_FILES, &paths));
    }
});

/// The other program has a tmpfs without a name for each; surefoot has one for all that is in memory.
const MEMORY: Difference = ("one tmpfs for all", |lines, _| {
    for name in ["etc", "var"] {
        let memory = format!("/run/surefoot/memory/1/{name}");
        let paths = format!("lowerdir=/sysroot/{name},upperdir={memory}/upper,workdir={memory}/work");
        each(lines, &format!("/{name} overlay transient "), |line| {
            line.replace(" transient ", " overlay ").replace(OPEN_FILES, &paths)
        });
    }
    lines.push(MEMORY_MOUNT.to_owned());
});

const MEMORY_MOUNT: &str = "/run/surefoot/memory tmpfs tmpfs / rw,nosuid,nodev,relatime rw,mode=700,inode64";

/// The other program mounts a second overlay over the composefs, and all else below that one, where it is covered: `/etc` and
/// `/var` are then not those of the state. bootc has its changes in the same overlay, and so has surefoot.
const ONE_ROOT: Difference = ("one overlay for a transient root", |lines, digest| {
    let second = format!("/ overlay transient / rw,relatime rw,{OPEN_FILES},uuid=on");
    let before = lines.len();
    lines.retain(|line| *line != second);
    if lines.len() == before {
        return;
    }
    let memory = "/run/surefoot/memory/1/root";
    each(lines, "/ overlay composefs:", |line| {
        line.replace(
            &format!("composefs:{digest} / ro,relatime ro"),
            &format!("transient:composefs={digest} / rw,relatime rw"),
        )
        .replace(
            ",redirect_dir=on,",
            &format!(",upperdir={memory}/upper,workdir={memory}/work,redirect_dir=on,uuid=on,"),
        )
    });
    lines.push(MEMORY_MOUNT.to_owned());
});

/// Changes the lines that begin like this.
fn each(lines: &mut [String], start: &str, change: impl Fn(&str) -> String) {
    for line in lines.iter_mut().filter(|line| line.starts_with(start)) {
        *line = change(line);
    }
}

fn usual(name: &str, settings: &str, more: &[Difference]) -> Result<()> {
    compared(name, Algorithm::Sha256, Version::V1, true, settings, more)
}

/// Compares what the two make of a repository, which differs in these points and those that are always there.
fn compared(
    name: &str,
    algorithm: Algorithm,
    version: Version,
    verity: bool,
    settings: &str,
    more: &[Difference],
) -> Result<()> {
    let repository = Composefs::new(algorithm).version(version).state(State::Empty).image(&tree("one")?);
    let repository = if verity { repository } else { repository.without_verity() };
    let machine = Machine::with(name, &repository, Package::Cloud612, settings)?;
    let word = machine.image.word(0, !verity)?;

    let policy = if verity { "" } else { "surefoot.verity=optional" };
    let ours = booted(&machine.boot(&format!("root=/dev/vda1 {word} {policy}"))?)?;
    // What the kernel gives is where it is with any boot, and the other program does not touch it.
    let is_given = |mount: &&Mount| ["/dev", "/proc", "/run", "/sys"].contains(&mount.target.as_str());
    let ours = lines(ours.mounts.iter().filter(|mount| !is_given(mount)), "/run/surefoot/sysroot/0", "");

    let peer = run_peer(name, &machine, &word, settings)?;
    let is_below = |mount: &&Mount| mount.target == SYSROOT || mount.target.starts_with(&format!("{SYSROOT}/"));
    let mut theirs = lines(peer.iter().filter(is_below), SYSROOT, SYSROOT);
    for (difference, apply) in [UNDERNEATH, READ_ONLY, LAYERS].iter().chain(more) {
        let before = theirs.clone();
        apply(&mut theirs, machine.digest(0));
        ensure!(theirs != before, "{difference} is no difference any more:\n{before:#?}");
    }
    theirs.sort();
    same("the mounts", &ours, &theirs)
}

/// Those of `/etc` and `/var` that are overlays over a directory of the state, and are seen.
fn overlaid(settings: &str) -> &'static [&'static str] {
    match settings {
        BINDS => &["var"],
        TRANSIENT | TRANSIENT_ROOT | NONE => &[],
        _ => &["etc"],
    }
}

/// The mounts after the other program has run in a guest that has a root of its own.
fn run_peer(name: &str, machine: &Machine, word: &str, settings: &str) -> Result<Vec<Mount>> {
    let program = std::fs::read(setup_root::program()?)?;
    let command = format!("/usr/bin/setup-root --sysroot {SYSROOT} --config /etc/settings --cmdline {word}");
    let mut words = vec![
        format!("probe.mount=/dev/vdb1:{SYSROOT}:ext4:rw"),
        format!("probe.run={command}"),
        "probe.read=/proc/self/mountinfo".to_owned(),
    ];
    let state = format!("{SYSROOT}/sysroot/state/deploy/{}", machine.digest(0));
    let mut written = Vec::new();
    for directory in overlaid(settings) {
        words.push(format!("probe.write={SYSROOT}/{directory}/new:n"));
        written.push(format!("probe.read={state}/{directory}/upper/new"));
    }
    words.extend_from_slice(&written);
    let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let root = Tree::probe()?.directory("mnt").directory("usr/bin").file("usr/bin/setup-root", program, 0o755);
    let root = root.file("etc/settings", settings, 0o644).file("etc/probe", words.join("\n"), 0o644);
    let setup = Layout::new().tree(root).prepare(&format!("{name}-peer"))?;
    let outcome = setup.vm().append("surefoot.mount=/tmp:tmpfs").drive(Drive::new(&machine.disk)).run()?;
    let report = booted(&outcome)?;
    let ran = report.actions.iter().find(|(word, _)| word.starts_with("probe.run=")).map(|(_, done)| done);
    let Some(Done::Ran(ran)) = ran else { anyhow::bail!("it did not run: {ran:?}") };
    ensure!(ran.code == Some(0), "it failed: {ran:?}\n{}", outcome.tail());
    written.iter().try_for_each(|word| actions(&report, &[(word.as_str(), text("n"))]))?;
    let Some(Done::Text(mounts)) = report.outcome("probe.read=/proc/self/mountinfo") else {
        anyhow::bail!("mountinfo was not read")
    };
    mounts.lines().map(|line| Mount::parse(line).with_context(|| line.to_owned())).collect()
}

/// What is mounted, but for where the roots are, the numbers of open files, and the disk's letter.
fn lines<'m>(mounts: impl Iterator<Item = &'m Mount>, sysroot: &str, top: &str) -> Vec<String> {
    let line = |mount: &Mount| {
        let Mount { filesystem, root, .. } = mount;
        let target = mount.target.strip_prefix(top).filter(|below| !below.is_empty()).unwrap_or("/");
        let (source, options) = (mount.source.replace("/dev/vdb", "/dev/vda"), mount.options.join(","));
        let filesystem_options = mount.filesystem_options.join(",").replace(sysroot, "SYSROOT");
        format!("{target} {filesystem} {source} {root} {options} {}", unnumbered(&filesystem_options))
    };
    let mut lines: Vec<_> = mounts.map(line).collect();
    lines.sort();
    lines
}
