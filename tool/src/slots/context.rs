//! Which disk a command works on, and what runs from it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use boot_config::spec::PartUuid;
use verity::RootHash;

use super::part::node;
use super::{Access, CommandLine, SlotDisk, number};
use crate::error::Error;
use crate::status::report::{self, BootReport, ReportedDeployment};

/// Which disk, for commands that work on slots.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DiskOptions {
    /// Work on this disk or disk image instead of the disk that the system runs from.
    #[arg(long, value_name = "PATH", help_heading = "Offline use")]
    pub(crate) disk: Option<PathBuf>,

    /// With --disk: take this slot for the running one.
    #[arg(long, value_name = "NAME", requires = "disk", help_heading = "Offline use")]
    pub(crate) running: Option<String>,

    /// The report of the boot [default: that of the running system].
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) report: Option<PathBuf>,

    /// The kernel's command line [default: that of the running system].
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) cmdline: Option<PathBuf>,
}

/// A disk, what runs from it, and how its slots are chosen.
#[derive(Debug)]
pub(crate) struct Context {
    /// The disk.
    pub(crate) disk: SlotDisk,
    /// The partition number of the slot that the system runs from, where that is known.
    pub(crate) running: Option<u32>,
    /// The root hash that it runs with.
    pub(crate) running_hash: Option<RootHash>,
    /// How slots are chosen.
    pub(crate) command_line: CommandLine,
}

impl DiskOptions {
    /// The report of the boot that brought up what runs from the disk; `None` where nothing does, or none is left.
    pub(crate) fn boot_report(&self) -> Option<BootReport> {
        if self.is_about_running_system() { self.read_report() } else { None }
    }

    /// Whether the disk is the one that the system runs from, and not another machine's.
    pub(crate) fn is_about_running_system(&self) -> bool {
        self.report.is_some() || self.disk.as_deref().is_none_or(|disk| self.is_running_disk(disk))
    }

    /// Where the report is.
    pub(crate) fn report_path(&self) -> &Path {
        self.report.as_deref().unwrap_or(Path::new(init::places::REPORT))
    }

    fn read_report(&self) -> Option<BootReport> {
        let text = std::fs::read_to_string(self.report_path()).ok()?;
        report::parse(&text).ok().map(report::Reading::into_report)
    }

    /// Whether the path leads to the disk that the system runs from.
    fn is_running_disk(&self, path: &Path) -> bool {
        self.read_report().is_some_and(|report| runs_from(&report, path))
    }

    /// How slots are chosen: by the running kernel's command line, unless the disk is another machine's.
    pub(crate) fn command_line(&self) -> CommandLine {
        match (&self.cmdline, &self.disk) {
            (Some(file), _) => CommandLine::of_file(file),
            (None, Some(disk)) if !self.is_running_disk(disk) => CommandLine::default(),
            _ => CommandLine::running(),
        }
    }

    /// Where the disk with the slots is: that of `--disk`, else the one that the system runs from, else the one of which
    /// slots were candidates. `None` if there were none.
    pub(crate) fn path(&self, report: Option<&BootReport>) -> Option<PathBuf> {
        let running = || Some(node(&report?.deployment.slot.as_ref()?.disk));
        let candidate = || {
            let is_slot =
                |found: &&ReportedDeployment| found.ledger.as_ref().is_some_and(|ledger| ledger.keeper == "table");
            disk_of(report?.deployments.iter().find(is_slot)?.device.as_deref()?)
        };
        self.disk.clone().or_else(running).or_else(candidate)
    }

    /// Opens the disk.
    pub(crate) fn open(&self, access: Access) -> Result<Context, Error> {
        let report = self.boot_report();
        let path = self.path(report.as_ref()).ok_or_else(no_slots)?;
        let context = self.open_with(report.as_ref(), &path, access)?;
        if let (Some(name), None) = (&self.running, context.running) {
            context.disk.find(name)?;
        }
        Ok(context)
    }

    /// Opens the disk at `path`, which the report is about. What `--running` names may be no slot.
    pub(crate) fn open_with(&self, report: Option<&BootReport>, path: &Path, access: Access) -> Result<Context, Error> {
        let disk = SlotDisk::open(path, access)?;
        let running = match &self.running {
            Some(name) => disk.find(name).map(number).ok(),
            None => report.and_then(|report| Some(report.deployment.slot.as_ref()?.partition)),
        };
        let hash = report.and_then(|report| report.deployment.root_hash.as_ref()?.parse().ok());
        let running_hash = if self.running.is_some() { None } else { hash };
        let context = Context { disk, running, running_hash, command_line: self.command_line() };
        context.check()?;
        Ok(context)
    }
}

impl Context {
    /// Checks that what runs is still where the boot found it.
    fn check(&self) -> Result<(), Error> {
        let Some(running) = self.running else { return Ok(()) };
        let changed = |why: &str| {
            let object = format!("partition {running} of {}", self.disk.path().display());
            Error::bad("cannot find the running deployment in", object, why)
                .advice("The partition table was changed since the system was booted: boot anew.")
        };
        let slot = self.disk.slot(running).ok_or_else(|| changed("it is no slot any more"))?;
        let found = slot.partition.as_ref().and_then(|partition| partition.uuid);
        let expected = self.running_hash.as_ref().and_then(RootHash::data_partition).map(PartUuid::Gpt);
        if expected.is_some() && found != expected {
            return Err(changed("its PARTUUID is not that of the running root hash"));
        }
        Ok(())
    }
}

/// Whether what was booted lies on the block device at this path: in a slot of it or, as a deployment in a filesystem, on it or
/// a partition of it.
fn runs_from(report: &BootReport, path: &Path) -> bool {
    let deployment = &report.deployment;
    let slot = deployment.slot.as_ref().map(|slot| node(&slot.disk));
    let device = deployment.device.as_deref();
    let running = [slot, device.map(node), device.and_then(disk_of)];
    let number = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.rdev()).filter(|rdev| *rdev != 0);
    let wanted = number(path);
    wanted.is_some() && running.iter().flatten().any(|running| number(running) == wanted)
}

/// The disk that the partition with this kernel name is on; `None` for what is no partition.
fn disk_of(partition: &str) -> Option<PathBuf> {
    let folder = Path::new("/sys/class/block").join(partition).canonicalize().ok()?;
    folder.join("partition").exists().then_some(())?;
    Some(node(folder.parent()?.file_name()?.to_str()?))
}

fn no_slots() -> Error {
    Error::bad("cannot find", "the slots of this system", "it runs from none, or was not started by surefoot")
        .advice("Another disk or a disk image is given by --disk.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_runs_from_the_disk_of_its_filesystem_too() {
        let report = include_str!("../status/tests/boot.json");
        let mut report = report::parse(report).unwrap().into_report();
        report.deployment.slot = None;
        let devices = std::fs::read_dir("/sys/class/block").unwrap();
        for name in devices.map(|device| device.unwrap().file_name().into_string().unwrap()) {
            // A container may show the kernel's devices without their nodes.
            if !node(&name).exists() {
                continue;
            }
            report.deployment.device = Some(name.clone());
            assert!(runs_from(&report, &node(&name)), "{name}");
            assert!(disk_of(&name).is_none_or(|disk| !disk.exists() || runs_from(&report, &disk)), "{name}");
            assert!(!runs_from(&report, Path::new("/dev/null")), "{name}");
        }
        report.deployment.device = None;
        assert!(!runs_from(&report, Path::new("/dev/null")));
    }
}
