//! `roothash=` alone boots, and everything that the real init is handed is as the contract says.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use surefoot_ci::kernel::Package;
use surefoot_probe::report::MappedDevice;
use surefoot_probe::{Outcome, Report};

use crate::Scenario;
use crate::judge::{actions, boot_report, booted, map, mounts, same, text};
use crate::setup::{Layout, Setup};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("boot::kernel_6_1", |name| roothash_alone(name, Package::Cloud61)),
    ("boot::kernel_6_12", |name| roothash_alone(name, Package::Cloud612)),
];

/// The mounts of the usual layout.
pub(crate) const MOUNTS: [&str; 9] = [
    "/     erofs    /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround",
    "/dev  devtmpfs devtmpfs / rw,nosuid,relatime rw,mode=755",
    "/proc proc     proc  / rw,nosuid,nodev,noexec,relatime rw",
    "/run  tmpfs    tmpfs / rw,nosuid,nodev rw,mode=755",
    "/sys  sysfs    sysfs / rw,nosuid,nodev,noexec,relatime rw",
    "/run/surefoot/state ext4 /dev/vda3 / rw,nosuid,nodev,relatime rw",
    "/etc  overlay  overlay / rw,nosuid,nodev,relatime rw,lowerdir=/sysroot/etc,upperdir=/run/surefoot/state/etc/upper,workdir=/run/surefoot/state/etc/work",
    "/home ext4     /dev/vda3 /home rw,nosuid,nodev,relatime rw",
    "/var  ext4     /dev/vda3 /var rw,relatime rw",
];

fn roothash_alone(name: &str, package: Package) -> Result<()> {
    let setup = Layout::new().kernel(package).prepare(name)?;
    let words = "plain word key=value dotted.key=x probe.signals probe.write=/etc/new:text probe.read=/etc/new \
        probe.write=/var/new:v probe.write=/home/new:h probe.write=/usr/new:u probe.read=/etc/hostname \
        probe.stat=/etc/shadow -- after dashes";
    let report = booted(&setup.boot(words)?)?;
    same("the kernel", &report.kernel, &setup.kernel.release)?;
    mounts(&report, &MOUNTS)?;
    program(&report, &setup.root_hash)?;
    machine(&report, &setup)?;
    records(&report, &setup)?;
    timeline(&boot_report(&report)?)?;
    actions(
        &report,
        &[
            ("probe.signals", Outcome::Signals(vec![15, 17])),
            ("probe.write=/etc/new:text", Outcome::Done),
            ("probe.read=/etc/new", text("text")),
            ("probe.write=/var/new:v", Outcome::Done),
            ("probe.write=/home/new:h", Outcome::Done),
            ("probe.write=/usr/new:u", Outcome::Failed(30)),
            ("probe.read=/etc/hostname", text("from-the-image\n")),
        ],
    )
}

/// What a program is given: words, environment, descriptors, signals.
fn program(report: &Report, root_hash: &str) -> Result<()> {
    let argv: Vec<_> = report.argv.iter().map(String::as_str).collect();
    same("argv", &argv[..], &["/sbin/init", "plain", "word", "after", "dashes"])?;
    // As the kernel hands them to PID 1: words without a dot that are not the kernel's own are variables.
    let environment = map(&[("HOME", "/"), ("TERM", "linux"), ("key", "value"), ("roothash", root_hash)]);
    same("the environment", &report.environment, &environment)?;
    same("the working directory", report.working_directory.as_str(), "/")?;
    same("the user", report.uid.as_str(), "0\t0\t0\t0")?;
    let descriptors: Vec<_> = report.descriptors.iter().map(|(number, path)| (*number, path.as_str())).collect();
    same("descriptors", &descriptors[..], &[(0, "/dev/console"), (1, "/dev/console"), (2, "/dev/console")])?;
    same("blocked signals", report.signals.blocked.as_str(), "0000000000000000")?;
    same("ignored signals", report.signals.ignored.as_str(), "0000000000001000")?;
    same("caught signals", report.signals.caught.as_str(), "0000000000000440")?;
    same("other processes", &report.processes, &std::collections::BTreeMap::new())
}

/// What the kernel shows of the machine.
fn machine(report: &Report, setup: &Setup) -> Result<()> {
    let entries: Vec<_> = report.root_entries.iter().map(String::as_str).collect();
    let expected = ["dev", "etc", "home", "proc", "run", "sbin", "sys", "sysroot", "tmp", "usr", "var"];
    same("the names in /", &entries[..], &expected)?;
    let settings = report.kernel_settings.each_ref().map(String::as_str);
    same("the kernel's settings", &settings, &["/sbin/modprobe", "ratelimit", "0"])?;
    let pending: Vec<_> = report.modules.iter().filter(|(_, state)| *state != "Live").collect();
    same("modules that are not ready", &pending[..], &[])?;
    let device = report.device_mapper.get("dm-0").context("there is no dm-0")?;
    let expected = MappedDevice {
        name: "root".to_owned(),
        uuid: "CRYPT-VERITY-5afe0b07000040008000000000000002-root".to_owned(),
        read_only: true,
    };
    same("dm-0", device, &expected)?;
    same("device-mapper devices", &report.device_mapper.len(), &1)?;
    anyhow::ensure!(report.cmdline.contains(&setup.roothash()), "the command line is {}", report.cmdline);
    Ok(())
}

/// What surefoot leaves below `/run`.
fn records(report: &Report, setup: &Setup) -> Result<()> {
    let name = report.run.get("/run/surefoot/deployment").context("there is no /run/surefoot/deployment")?;
    let json = boot_report(report)?;
    same(
        "the deployment's name",
        &name.content.as_deref(),
        &json.pointer("/deployment/name").and_then(|name| name.as_str()),
    )?;
    let field = |pointer: &str| json.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    same("the root hash", &field("/deployment/root_hash"), &setup.root_hash)?;
    same("the trust", field("/deployment/trust").as_str(), "verified")?;
    same("the kernel", &field("/kernel"), &setup.kernel.release)?;
    for list in ["/failed", "/degraded", "/insecure", "/unknown_keys"] {
        let items = json.pointer(list).and_then(|list| list.as_array());
        same(list, &items.map(Vec::len), &Some(0))?;
    }
    let udev = report.run.keys().find(|path| path.starts_with("/run/udev/data/b"));
    let udev = udev.and_then(|path| report.run.get(path)).context("there is no record for udev of dm-0")?;
    let lines: Vec<_> = udev.content.as_deref().unwrap_or_default().lines().collect();
    anyhow::ensure!(lines.contains(&"E:DM_UDEV_PRIMARY_SOURCE_FLAG=1"), "the record for udev is {lines:?}");
    Ok(())
}

/// What PID 1 tells of where the time went: everything is there, in its order, and before the hand-over.
fn timeline(json: &Value) -> Result<()> {
    let times = |list: &str| -> Vec<u64> {
        let list = json.get(list).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|entry| entry.get("microseconds").and_then(Value::as_u64)).collect()
    };
    let ended = times("timeline").last().copied().unwrap_or(0);
    for list in ["timeline", "modules", "steps"] {
        let times = times(list);
        let rising = times.is_sorted() && times.first() > Some(&0) && times.last() <= Some(&ended);
        ensure!(rising, "the times of {list} until {ended} are {times:?}");
    }
    let names = |list: &str, member: &str| -> Vec<String> {
        let list = json.get(list).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|entry| entry.get(member).and_then(Value::as_str)).map(str::to_owned).collect()
    };
    let (modules, steps) = (names("modules", "name"), names("steps", "step"));
    for module in ["virtio_blk", "dm-verity", "erofs"] {
        ensure!(modules.iter().any(|name| name == module), "{module} is not among the modules {modules:?}");
    }
    for step in ["activate /dev/mapper/root: verity, ", "mount erofs /dev/mapper/root on /sysroot ", "check /sysroot: "]
    {
        ensure!(steps.iter().any(|name| name.starts_with(step)), "no step is \"{step}…\": {steps:?}");
    }
    same("the last milestone", &names("timeline", "event").last().map(String::as_str), &Some("hand-over"))
}
