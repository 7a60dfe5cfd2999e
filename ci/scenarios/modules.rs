//! Drivers: the ones that are missing, the ones for another kernel, and what the command line says of them.

use anyhow::{Result, ensure};
use surefoot_ci::drive::{Bus, Drive};
use surefoot_ci::kernel::{self, Package};
use surefoot_ci::size::describe_machine;
use surefoot_ci::vm::Vm;
use surefoot_probe::Outcome;

use crate::Scenario;
use crate::judge::{actions, booted, refused, same, text};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("modules::host_only", host_only),
    ("modules::missing_from_the_initramfs", missing_from_the_initramfs),
    ("modules::of_another_kernel", of_another_kernel),
    ("modules::parameter", parameter),
    ("modules::blacklisted", blacklisted),
    ("modules::preloaded", preloaded),
];

/// virtio's PCI devices and the virtio devices on them: a disk and a serial port.
const VIRTIO_DISK: [&str; 2] = ["pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00", "virtio:d00000002v00001AF4"];
const VIRTIO_PORT: [&str; 2] = ["pci:v00001AF4d00001003sv00001AF4sd00000003bc07sc80i00", "virtio:d00000003v00001AF4"];

fn host_only(name: &str) -> Result<()> {
    let machine = tempfile::tempdir()?;
    let aliases: Vec<_> = VIRTIO_DISK.into_iter().chain(VIRTIO_PORT).collect();
    describe_machine(machine.path(), &aliases, &["erofs", "ext4", "overlay"])?;
    for (number, package) in [Package::Cloud61, Package::Cloud612].into_iter().enumerate() {
        let options = ["--host-only", "--machine", &machine.path().to_string_lossy()].map(str::to_owned);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let setup = Layout::new().kernel(package).initramfs(&options).prepare(&format!("{name}-{number}"))?;
        let report = booted(&setup.boot("")?)?;
        same("an AHCI driver", &report.modules.contains_key("ahci"), &false)?;
    }
    Ok(())
}

/// The disk's driver is not there: what was waited for is named, and that nothing was seen.
fn missing_from_the_initramfs(name: &str) -> Result<()> {
    let machine = tempfile::tempdir()?;
    describe_machine(machine.path(), &VIRTIO_PORT, &["erofs", "ext4"])?;
    let folder = machine.path().to_string_lossy().into_owned();
    let setup = Layout::new().initramfs(&["--host-only", "--machine", &folder]).prepare(name)?;
    let reason = format!("{} did not appear within 2 seconds; no block device was seen", wanted(&setup.root_hash));
    refused(&setup.boot("rd.timeout=2")?, &reason)
}

fn wanted(root_hash: &str) -> String {
    let (data, hash) = surefoot_ci::disk::derived_uuids(root_hash);
    format!(
        "PARTUUID={data} (data of the root), PARTUUID={hash} (hash tree of the root), \
         a state device (the /var partition of the boot disk, or PARTLABEL=state)"
    )
}

fn of_another_kernel(name: &str) -> Result<()> {
    let setup = Layout::new().kernel(Package::Cloud61).prepare(name)?;
    let other = kernel::fetch(Package::Cloud612)?;
    let vm = Vm::new(name, &other, &setup.initramfs).append(&setup.roothash()).append("rd.timeout=2");
    let mismatch = format!(
        "the modules in this initramfs are for kernel {}, the running kernel is {}",
        setup.kernel.release, other.release
    );
    let reason =
        format!("{} did not appear within 2 seconds: {mismatch}; no block device was seen", wanted(&setup.root_hash));
    refused(&vm.drive(Drive::new(&setup.disk)).run()?, &reason)
}

fn parameter(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let parameter = "probe.read=/sys/module/virtio_blk/parameters/queue_depth";
    let report = booted(&setup.boot(&format!("virtio-blk.queue_depth=16 {parameter}"))?)?;
    actions(&report, &[(parameter, text("16\n"))])
}

fn blacklisted(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.boot("rd.driver.blacklist=ahci,libahci")?)?;
    same("ahci", &report.modules.contains_key("ahci"), &false)?;
    let report = booted(&setup.boot("")?)?;
    same("ahci, not blacklisted", &report.modules.contains_key("ahci"), &true)
}

/// A module that no device asks for.
fn preloaded(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).append("rd.driver.pre=loop probe.list=/sys/block");
    let report = booted(&vm.drive(Drive::new(&setup.disk).on(Bus::Nvme)).run()?)?;
    ensure!(report.modules.contains_key("loop"), "loop is not among the modules {:?}", report.modules.keys());
    let names = matches!(report.outcome("probe.list=/sys/block"), Some(Outcome::Names(names)) if names.contains(&"loop0".to_owned()));
    same("loop0", &names, &true)
}
