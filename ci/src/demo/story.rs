//! The demonstration machine with two slots: it is updated, reboots, and either stays or comes back. The story is told
//! by a unit in the guest (`surefoot-demo-story`), boot after boot.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::debian::Version;
use super::{boot_files, image, rauc, report_lines, step};
use crate::cache::{self, Key};
use crate::cgpt::{self, Counters};
use crate::command::{command, run};
use crate::disk::{self, Disk, Partition, types};
use crate::drive::Drive;
use crate::filesystem;
use crate::kernel::Kernel;
use crate::machine::{End, Outcome};
use crate::paths;
use crate::slots::{self, Image};
use crate::vm::Vm;

/// What happens to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// `surefoot stage` with an update that cannot boot; the machine comes back.
    Rollback,
    /// RAUC installs an update, which boots and stays.
    RaucUpdate,
    /// RAUC installs an update that cannot boot; the machine comes back.
    RaucBroken,
}

impl Story {
    /// What the unit in the guest calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::RaucUpdate => "rauc-update",
            Self::RaucBroken => "rauc-broken",
        }
    }

    fn version(self) -> Version {
        match self {
            Self::RaucUpdate => Version::Two,
            Self::Rollback | Self::RaucBroken => Version::Broken,
        }
    }

    /// How often the kernel panics between the first boot and the last: as often as the update may be tried.
    fn panics(self) -> usize {
        match self {
            Self::Rollback => 2,
            Self::RaucUpdate => 0,
            Self::RaucBroken => 3,
        }
    }
}

/// How one boot of a story ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The kernel panicked.
    Panicked,
    /// The system came up. These are the lines of its report: "ok WHAT", "| TEXT", at last "reboot" or "done".
    Up(Vec<String>),
}

/// Bytes of each slot's root partition: an update may be larger than what it replaces.
const ROOT_BYTES: u64 = 176 << 20;
/// Bytes of each slot's hash partition.
const HASH_BYTES: u64 = 4 << 20;
const STATE_BYTES: u64 = 128 << 20;
/// More boots than any story has.
const MOST_BOOTS: usize = 8;

/// The machine at the beginning of a story: the first version in slot `root-a`, nothing in the other slot, and a second
/// disk with the update.
#[derive(Debug)]
pub struct Stage {
    story: Story,
    kernel: Kernel,
    initramfs: PathBuf,
    images: [Image; 2],
    medium: PathBuf,
}

impl Stage {
    /// Downloads and builds what is not there yet.
    ///
    /// # Errors
    /// When a part of it cannot be made.
    pub fn build(story: Story) -> Result<Self> {
        let (kernel, initramfs) = boot_files(&[])?;
        let first = image(&kernel, Version::One)?;
        let update = image(&kernel, story.version())?;
        step("disk with the update");
        let medium = medium(story, &update)?;
        Ok(Self { story, kernel, initramfs, images: [first, update], medium })
    }

    /// Writes the machine's disk to `path`.
    fn disk(&self, path: &std::path::Path) -> Result<()> {
        step("disk with two slots");
        let [first, _] = &self.images;
        let (data, hash) = disk::derived_uuids(&first.tree.root_hash);
        let partitions = [
            Partition::new("root-a", types::ROOT, &first.data).uuid(&data).at_least(ROOT_BYTES),
            Partition::new("root-a-verity", types::ROOT_VERITY, &first.tree.image).uuid(&hash).at_least(HASH_BYTES),
            Partition::zeros(slots::EMPTY, types::ROOT, ROOT_BYTES),
            Partition::zeros("root-b-verity", types::ROOT_VERITY, HASH_BYTES),
            Partition::state(&filesystem::empty_ext4(STATE_BYTES)?),
        ];
        Disk::create(path, 512, &partitions)?;
        cgpt::set(path, 1, Counters::untried(1, 3))
    }

    fn vm(&self, name: &str, disk: &std::path::Path) -> Vm {
        let vm = Vm::new(name, &self.kernel, &self.initramfs).memory_mib(1024).processors(2);
        let vm = vm.append(&slots::accept(&self.images)).append(&format!("surefoot-demo.story={}", self.story.name()));
        vm.drive(Drive::of_image(disk, 512).keep_writes()).drive(Drive::of_image(&self.medium, 512).read_only())
    }

    /// Hands the terminal to the machine until that ends; it reboots by itself. Each time the story begins anew.
    ///
    /// # Errors
    /// When QEMU cannot be started: otherwise this does not return.
    pub fn interact(&self) -> Result<()> {
        let disk = paths::cache().join("demo").join("story.img");
        self.disk(&disk)?;
        step("starting the machine; Ctrl-A X ends it, Ctrl-A C is QEMU's own prompt");
        let mut qemu = self.vm("story", &disk).reboots().qemu();
        qemu.args(["-serial", "mon:stdio"]).stdin(std::process::Stdio::inherit());
        Err(qemu.exec()).context("qemu-system-x86_64 cannot be run")
    }

    /// Boots the machine until the story has come to its end, and fails unless all that the guest checked held.
    /// `console` gets each line that the machine prints.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn play(&self, name: &str, console: fn(&str)) -> Result<Vec<Boot>> {
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = scratch.path().join("disk");
        self.disk(&disk)?;
        let mut boots = Vec::new();
        while boots.len() < MOST_BOOTS {
            step(&format!("boot {}", boots.len() + 1));
            let vm = self.vm(&format!("{name}-{}", boots.len() + 1), &disk).append("surefoot-demo.unattended");
            let (boot, ended) = judge(&vm.console(console).timeout(Duration::from_mins(10)).run()?)?;
            boots.push(boot);
            if ended {
                let panics = boots.iter().filter(|boot| **boot == Boot::Panicked).count();
                let expected = self.story.panics();
                ensure!(
                    boots.len() == expected + 2,
                    "it took {} boots instead of {}: {boots:#?}",
                    boots.len(),
                    expected + 2
                );
                ensure!(panics == expected, "the kernel panicked {panics} times instead of {expected}: {boots:#?}");
                return Ok(boots);
            }
        }
        bail!("the story has not come to its end after {MOST_BOOTS} boots: {boots:#?}")
    }
}

/// What one boot came to, and whether it was the last one.
fn judge(outcome: &Outcome) -> Result<(Boot, bool)> {
    let lines = report_lines(outcome)?;
    let last = lines.last().map(String::as_str);
    match (outcome.end, last) {
        (End::PoweredOff, Some("done")) => Ok((Boot::Up(lines), true)),
        (End::Rebooted, Some("reboot")) => Ok((Boot::Up(lines), false)),
        (End::Rebooted, None) if outcome.console.contains("Kernel panic") => Ok((Boot::Panicked, false)),
        _ => bail!("a boot of the story did not end as it should; its report: {lines:#?}\n{}", outcome.tail()),
    }
}

/// An erofs, without a partition table, with what the update is installed from.
fn medium(story: Story, update: &Image) -> Result<PathBuf> {
    let version = story.version().name();
    let bundle = match story {
        Story::Rollback => None,
        Story::RaucUpdate | Story::RaucBroken => Some(rauc::bundle(update, version)?),
    };
    let key = Key::default().text(&update.tree.root_hash);
    let key = bundle.iter().fold(key, |key, bundle| key.text(&bundle.to_string_lossy()));
    cache::cached("demo", &format!("update-{version}-medium"), key, |medium| {
        let scratch = TempDir::new_in(paths::cache())?;
        match &bundle {
            Some(bundle) => rauc::put(bundle, &scratch.path().join("update.raucb"))?,
            None => rauc::lay_out(update, scratch.path(), "update").map(drop)?,
        }
        run(command("mkfs.erofs").args(["--quiet", "-T0", "--all-root"]).args([medium, scratch.path()]))?;
        let length = fs::metadata(medium)?.len().next_multiple_of(4096);
        Ok(fs::File::options().write(true).open(medium)?.set_len(length)?)
    })
}
