//! Sets a root up with PID 1's own code on the kernel of this machine, and takes it down again: what `calls` lets fail, one
//! system call at a time. Only between two looks at files that are not there ([`BEGIN`] and [`END`]) it does what PID 1 does.
//!
//! `carry-out WORDS DEVICE…`: the words of a kernel command line, and the block devices that the machine is to have.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use boot_config::policy::Emergency;
use boot_config::{Config, Sources};
use deployment::Facts;
use deployment::candidates::{Candidate, Keeper, MAX_SYSROOTS};
use deployment::facts::{DeviceNumber, Disk, DiskIdentity};
use deployment::ledger::Change;
use deployment::read::{ReadAt, ReadError};
use deployment::tree::Tree;
use init::attempt::{Boot, try_all};
use init::execute::{NewRoot, System, dismantle};
use init::kernel::Kernel;
use init::load::Tree as Modules;
use init::look::look_into_all;
use init::mounted_tree::MountedTree;
use init::plan::{Plan, select, sysroot};
use init::text::{Reason, refused};
use surefoot_ci::calls::report::{BEGIN, END, Report, mounts};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let cmdline = words.next().context("a command line is wanted")?;
    let mut facts = Box::new(Facts::new());
    for name in words {
        facts.insert(look_at(&name)?).map_err(|_| anyhow!("too many devices"))?;
    }
    let config = Config::parse(Sources { cmdline: &cmdline, ..Sources::default() }).map_err(|why| anyhow!("{why}"))?;
    let mut selection = select(&config, &facts).map_err(|why| anyhow!("{}", &*why))?;
    if let Some(missing) = selection.missing() {
        anyhow::bail!("{} is missing", &*missing);
    }
    let modules = Modules::open();
    let initramfs = MountedTree::open("/").map_err(|errno| anyhow!("open /: {errno}"))?;
    let kernel = Kernel::new(&modules, &config);
    let mut machine = Machine { kernel, initramfs, sysroots: Default::default(), report: Report::default() };
    let mut plan = Box::new(Plan::new());

    mark(BEGIN);
    look_into_all(&config, &mut selection, &mut plan, &mut machine);
    let ended = try_all(&config, &selection, &mut plan, &mut machine);
    mark(END);

    machine.leave_sysroots();
    let Machine { mut report, .. } = machine;
    report.reason = ended.err().map(|why| why.to_string());
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn mark(path: &str) {
    let _ = fs::metadata(path);
}

/// What PID 1 would find out about a disk.
fn look_at(name: &str) -> Result<deployment::BlockDevice> {
    let attribute = |key: &str| fs::read_to_string(Path::new("/sys/class/block").join(name).join(key));
    let number = attribute("dev")?;
    let (major, minor) = number.trim().split_once(':').context("a device number")?;
    let number = DeviceNumber { major: major.parse()?, minor: minor.parse()? };
    let size = attribute("size")?.trim().parse::<u64>()? * 512;
    let reader = Device(File::open(Path::new("/dev").join(name))?, size);
    let identity = DiskIdentity { name, number, sector_size: 512, read_only: false };
    Ok(Disk::probe(&reader, &identity).device().clone())
}

/// An open disk, and its size.
struct Device(File, u64);

impl ReadAt for Device {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.0.read_exact_at(buffer, offset).map_err(|why| ReadError::Device(why.raw_os_error().unwrap_or_default()))
    }

    fn size(&self) -> u64 {
        self.1
    }
}

/// This machine, as PID 1 has it while candidates are tried.
struct Machine<'m> {
    kernel: Kernel<'m>,
    initramfs: MountedTree,
    sysroots: [Option<MountedTree>; MAX_SYSROOTS],
    report: Report,
}

impl Machine<'_> {
    fn leave_sysroots(&mut self) {
        for (number, tree) in (0..).zip(&mut self.sysroots) {
            if tree.take().is_some() {
                let _ = sys::mount::unmount(&sysroot(number));
            }
        }
    }
}

impl<'a> Boot<'a> for Machine<'_> {
    type Started = ();

    fn system(&mut self) -> &mut dyn System {
        &mut self.kernel
    }

    fn write_down(&mut self, _: &Keeper, _: Option<&Candidate>, _: &[Candidate], _: Change) -> Result<(), Reason> {
        Ok(())
    }

    fn looking(&mut self, _: &Plan<'a>, _: u8) {}

    fn looked(&mut self, number: u8) -> Result<(), Reason> {
        let opened = MountedTree::open(&sysroot(number));
        let opened = opened.map_err(|errno| refused("look into", &sysroot(number), errno))?;
        self.sysroots[usize::from(number)] = Some(opened);
        Ok(())
    }

    fn sysroot(&self, number: u8) -> Option<&dyn Tree> {
        let tree = self.sysroots.get(usize::from(number))?.as_ref()?;
        Some(tree)
    }

    fn initramfs(&self) -> &dyn Tree {
        &self.initramfs
    }

    fn passed_over(&mut self, what: &str, why: &Reason) {
        self.report.said.push(format!("{what}: {}", &**why));
    }

    fn planned(&mut self, _: &Plan<'a>) {}

    fn degraded(&mut self, why: Reason) {
        self.report.said.push(why.to_string());
    }

    fn failed(&mut self, candidate: &Candidate, why: &Reason) {
        self.report.said.push(format!("{}: {}", candidate.name, &**why));
    }

    fn has_shell(&self) -> bool {
        false
    }

    fn then(&mut self, _: Emergency) {}

    fn start(&mut self, root: &NewRoot<'_, 'a>, _: &Candidate, _: &[Candidate]) -> Result<(), Reason> {
        mark(END);
        self.report.started = Some(root.plan().deployment.to_string());
        self.report.mounts = mounts().unwrap_or_default();
        dismantle(root, &mut self.kernel);
        Ok(())
    }
}
