//! The runs of plans with dm-verity, each kind of root in a guest of its own.
//!
//! surefoot boots the guest from a root without dm-verity, whose programs are those of this machine, and the probe starts
//! `calls-in-guest` there. That finds what it is to do on a disk ([`work`]), and what it prints comes back in the probe's
//! report.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use surefoot_probe::Outcome as Done;

use super::cases::{self, Case};
use super::{Depth, Progress, Totals, one};
use crate::batch;
use crate::command::{command, run as run_command};
use crate::drive::Drive;
use crate::filesystem::Filesystem;
use crate::guest_tool;
use crate::initramfs;
use crate::kernel::{self, Package};
use crate::tree::Tree;
use crate::vm::Vm;

const KERNEL: Package = Package::Cloud612;
/// What the plans need, and the runner: nobody loads modules in the guest once its root is there.
const MODULES: &str = "loop,dm-verity,sha256_generic,erofs,ext4,overlay";
/// The root of the guest changes nothing that is kept, and its state takes no device from the cases.
const WORDS: &str = "root=/dev/vda surefoot.verity=optional surefoot.etc=ro surefoot.var=ro surefoot.home=ro";
/// Programs of this machine that are used in the guest.
const LENT: [&str; 3] = ["cp", "strace", "timeout"];
/// Our own programs, in the guest.
const RUNNER: &str = "usr/bin/calls-in-guest";
const CARRY_OUT: &str = "usr/bin/carry-out";
/// The disk with the work, in the guest. Those of the case follow.
const WORK: &str = "/dev/vdb";
/// In the guest, where everything is in memory.
const SCRATCH: &str = "/run";
const CONSOLE: &str = "/dev/console";
const SECTOR: usize = 512;

/// What is to be done in a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Work {
    case: Case,
    depth: Depth,
}

/// Has the calls of each case with dm-verity whose name contains `filter` fail, all cases at once, in guests whose console
/// logs begin with `name`. The program `calls-in-guest` is beside `carry_out`.
///
/// # Errors
/// When the runs cannot be made at all, or take longer than `patience`. What came of them is for [`Totals::judge`].
pub fn run(
    name: &str,
    carry_out: &Path,
    depth: Depth,
    filter: &str,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<Totals> {
    let mut cases = cases::verified(&kernel::fetch(KERNEL)?.release)?;
    cases.retain(|case| case.name.contains(filter));
    if cases.is_empty() {
        return Ok(Totals::default());
    }
    let root = root(carry_out)?;
    let guests = batch::each((1..).zip(&cases), |(number, case)| {
        let work = Work { case: case.clone(), depth };
        let done = boot(&format!("{name}-{number}"), &root, work, patience).with_context(|| case.name.clone())?;
        progress(&case.name, &done);
        Ok(done)
    });
    let mut totals = Totals::default();
    guests.into_iter().try_for_each(|done| done.map(|done| totals.add(done)))?;
    Ok(totals)
}

/// The image of the guest's root.
fn root(carry_out: &Path) -> Result<PathBuf> {
    let mut tree = Tree::probe()?.moved("sbin", "usr/sbin").directory("usr/bin");
    for name in ["bin", "lib", "lib64", "sbin"] {
        tree = tree.symlink(name, &format!("usr/{name}"));
    }
    for name in LENT {
        let path = run_command(command("sh").args(["-c", &format!("command -v {name}")]))?;
        tree = guest_tool::add_program(tree, &format!("usr/bin/{name}"), Path::new(path.trim()))?;
    }
    let scratch = tempfile::tempdir()?;
    for path in [RUNNER, CARRY_OUT] {
        let name = Path::new(path).file_name().unwrap_or_default();
        // What debuggers want is by far the most of it.
        let stripped = scratch.path().join(name);
        run_command(command("strip").arg("-o").arg(&stripped).arg(carry_out.with_file_name(name)))?;
        tree = guest_tool::add_program(tree, path, &stripped)?;
    }
    Filesystem::Erofs.image(&tree)
}

fn boot(name: &str, root: &Path, mut work: Work, patience: Duration) -> Result<Totals> {
    let kernel = kernel::fetch(KERNEL)?;
    let initramfs = initramfs::build(&kernel, &["--module", "virtio_console", "--module", "sha256_generic"])?;
    let scratch = tempfile::tempdir()?;
    let (drives, mut text) = (drives(&mut work), serde_json::to_vec(&work)?);
    text.resize(text.len().next_multiple_of(SECTOR), b'\n');
    let file = scratch.path().join("work");
    fs::write(&file, text)?;
    let sector = SECTOR as u64;
    let vm = Vm::new(name, &kernel, &initramfs).append(WORDS).append(&format!("rd.driver.pre={MODULES}"));
    let vm = vm.append(&format!("probe.run=\"/{RUNNER} {WORK}\"")).timeout(patience);
    let vm = vm.drive(Drive::of_image(root, sector)).drive(Drive::of_image(&file, sector));
    let outcome = drives.into_iter().fold(vm, Vm::drive).run()?;
    let report = outcome.all_ran().with_context(|| outcome.tail())?;
    let [(_, Done::Ran(ran))] = &report.actions[..] else { bail!("one program was to be run: {:?}", report.actions) };
    let totals = serde_json::from_str::<Totals>(&ran.stdout).context("what was printed in the guest")?;
    ensure!(totals.to_mapper > 0, "no request to the device-mapper failed: {totals}");
    Ok(totals)
}

/// The disks of a case, which then has them where the guest does.
fn drives(work: &mut Work) -> Vec<Drive> {
    let node = |letter: char| PathBuf::from(format!("/dev/vd{letter}"));
    let disks = ('c'..='z').zip(&mut work.case.disks);
    disks
        .map(|(letter, disk)| Drive::of_image(&std::mem::replace(&mut disk.image, node(letter)), SECTOR as u64))
        .collect()
}

/// Does in the guest what is written on the disk `work`. The console tells how far it has come.
///
/// # Errors
/// When it cannot be read, or the runs cannot be made.
pub fn work(work: &Path) -> Result<Totals> {
    let text = fs::read_to_string(work).with_context(|| work.display().to_string())?;
    let Work { case, depth } = serde_json::from_str(&text)?;
    let console = File::options().write(true).open(CONSOLE).context(CONSOLE)?;
    let begins = |fault: &str| drop(writeln!(&console, "{fault}"));
    let scratch = tempfile::tempdir_in(SCRATCH)?;
    one(&Path::new("/").join(CARRY_OUT), &case, scratch.path(), depth, &begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{End, Said};

    #[test]
    fn what_is_to_be_done_and_what_came_of_it_pass_as_json() -> Result<()> {
        let mut work = Work { case: cases::verified("6.12")?.remove(0), depth: Depth::Sample(7) };
        let images: Vec<_> = work.case.disks.iter().map(|disk| disk.image.clone()).collect();
        assert_eq!(drives(&mut work).len(), images.len());
        let nodes: Vec<_> = work.case.disks.iter().map(|disk| disk.image.to_string_lossy().into_owned()).collect();
        assert_eq!(nodes, ["/dev/vdc", "/dev/vdd", "/dev/vde"]);
        let padded = serde_json::to_string(&work)? + "\n\n";
        assert_eq!(serde_json::from_str::<Work>(&padded)?, work);

        let said = Said { case: "a".to_owned(), fault: "b".to_owned(), what: "c".to_owned() };
        let totals = Totals { cases: 1, ends: [(End::FellBack, 2)].into(), wrong: vec![said], ..Totals::default() };
        assert_eq!(serde_json::from_str::<Totals>(&serde_json::to_string(&totals)?)?, totals);
        Ok(())
    }
}
