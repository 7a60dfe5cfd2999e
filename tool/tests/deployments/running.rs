//! The running system: its report says which filesystem the deployment is in, and that may be mounted somewhere.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::machine::{Machine, copy_program, images, ostree, run};

const FIRST: &str = "debian-010101010101.0";
const SECOND: &str = "debian-020202020202.0";

/// A system that runs from the second deployment of a filesystem on a block device.
struct Running {
    machine: Machine,
    device: String,
    mounted: Option<PathBuf>,
}

impl Running {
    fn new(machine: Machine, mount_options: Option<&str>) -> Self {
        let image = machine.image_path();
        let attached = Command::new("/usr/sbin/losetup").args(["--find", "--show"]).arg(image).output().unwrap();
        let device = String::from_utf8(attached.stdout).unwrap().trim().to_owned();
        let mut running = Self { machine, device, mounted: None };
        if let Some(options) = mount_options {
            let place = running.machine.path("mounted");
            fs::create_dir(&place).unwrap();
            run(Command::new("mount").args(["-o", options, &running.device]).arg(&place));
            running.mounted = Some(place);
        }
        running.report();
        running
    }

    fn report(&self) {
        let name = self.device.strip_prefix("/dev/").unwrap();
        let mut report: Value = serde_json::from_str(include_str!("../../src/status/tests/boot.json")).unwrap();
        let ledger = json!({"keeper": "file", "priority": 1, "tries_left": 3, "successful": false, "once_good": false,
                            "counted": false});
        let place = |digit: &str| format!("ostree/deploy/debian/deploy/{digit}.0");
        let found = |name_of: &str, digit: &str| json!({"name": name_of, "kind": "ostree", "device": name, "place": place(digit), "ledger": ledger});
        report["deployment"] = found(SECOND, "02");
        report["deployment"]["trust"] = "insecure".into();
        report["deployments"] = json!([found(SECOND, "02"), found(FIRST, "01")]);
        fs::write(self.machine.path("report"), report.to_string()).unwrap();
        fs::write(self.machine.path("cmdline"), "surefoot.deployment=auto surefoot.verity=optional").unwrap();
    }

    fn report_edited(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.machine.path("report");
        let mut report = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut report);
        fs::write(path, report.to_string()).unwrap();
    }

    /// Boots with a list of root hashes that no deployment is on.
    fn bar_all(&self) {
        let words = format!("surefoot.deployment=auto surefoot.verity=optional surefoot.roothash={}", "01".repeat(32));
        fs::write(self.machine.path("cmdline"), words).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        command.args(words).arg("--report").arg(self.machine.path("report"));
        command.arg("--cmdline").arg(self.machine.path("cmdline"));
        command
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        text.replace(&self.device, "/dev/DEVICE").replace(self.device.strip_prefix("/dev/").unwrap(), "DEVICE")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(place) = &self.mounted {
            run(Command::new("umount").arg(place));
        }
        run(Command::new("/usr/sbin/losetup").args(["--detach", &self.device]));
    }
}

#[test]
fn it_does_not_matter_whether_the_filesystem_is_mounted() {
    for options in [None, Some("rw")] {
        for machine in [Machine::ext4(|top| ostree(top, &[1, 2])), Machine::btrfs(|top| ostree(top, &[1, 2]))] {
            let running = Running::new(machine, options);
            assert_eq!(running.run(&["mark-good"]), format!("{SECOND} is good: priority 1, good\n"), "{options:?}");
            running.run(&["mark-good", FIRST]);
            assert_eq!(running.run(&["rollback"]), format!("{FIRST} is next: priority 2, good\n"));
            let expected =
                format!("{FIRST}\tostree\tDEVICE\t2\t0\tgood\tnext\n{SECOND}\tostree\tDEVICE\t1\t0\tgood\trunning\n");
            assert_eq!(running.run(&["status", "--deployments"]), expected);
            let status = running.run(&["status"]);
            assert!(
                status.contains(
                    "\nchosen      it is the best deployment that boots, of the kind ostree\n\
                     lies in     ostree/deploy/debian/deploy/02.0 of /dev/DEVICE\n"
                ),
                "{status}"
            );
            if let Some(place) = &running.mounted {
                assert_eq!(fs::metadata(place.join("surefoot/ledger")).unwrap().len(), 8192);
            }
        }
    }
}

#[test]
fn a_filesystem_that_is_mounted_read_only_is_read_and_not_changed() {
    let running = Running::new(Machine::ext4(|top| ostree(top, &[1, 2])), Some("ro"));
    let lines = running.run(&["status", "--deployments"]);
    assert!(lines.starts_with(&format!("{SECOND}\tostree\tDEVICE\t1\t3\tuntested\trunning\n")), "{lines}");
    let expected = "surefoot: cannot mount /dev/DEVICE: it is mounted read-only elsewhere, so that it cannot be written\n  \
                    Remount it: mount -o remount,rw WHERE.\n";
    assert_eq!(running.run(&["mark-good"]), expected);
}

/// More deployments than a boot has candidates, of which the running one has spent its last try.
#[test]
fn the_running_one_is_found_among_many() {
    let machine = Machine::ext4(|top| {
        ostree(top, &(10..26).collect::<Vec<_>>());
        images(top, &["1+0-3", "2+3-0"]);
    });
    let running = Running::new(machine, None);
    running.report_edited(|report| {
        let ledger = json!({"keeper": "name", "priority": 1, "tries_left": 0, "successful": false, "once_good": false,
                            "counted": true});
        report["deployment"]["name"] = "app_1".into();
        report["deployment"]["kind"] = "image".into();
        report["deployment"]["place"] = "images/app.raw.v/app_1+1-2.raw".into();
        report["deployment"]["ledger"] = ledger;
    });
    let lines = running.run(&["status", "--deployments"]);
    assert!(lines.lines().any(|line| line.starts_with("app_1\timage\t") && line.ends_with("\trunning")), "{lines}");
    assert_eq!(running.run(&["mark-good"]), "app_1 is good: priority 1, good\n");
    assert_eq!(running.machine.names("images/app.raw.v"), ["app_1.raw", "app_2+3-0.raw"]);
}

#[test]
fn a_filesystem_that_is_gone_does_not_keep_the_others_from_being_changed() {
    let running = Running::new(Machine::ext4(|top| ostree(top, &[1, 2])), None);
    running.report_edited(|report| {
        let mut gone = report["deployments"][1].clone();
        gone["device"] = "gone1".into();
        report["deployments"].as_array_mut().unwrap().push(gone);
    });
    let warning = "surefoot: warning: cannot read disk image /dev/gone1: No such file or directory\n";
    assert_eq!(running.run(&["mark-good"]), format!("{SECOND} is good: priority 1, good\n{warning}"));
    assert_eq!(running.run(&["set-next", FIRST]), format!("{FIRST} is next: priority 2, 3 tries left\n{warning}"));
    let lines = running.run(&["status", "--deployments"]);
    assert!(lines.contains(&format!("{FIRST}\tostree\tDEVICE\t2\t3\tuntested\tnext\n")), "{lines}");
    assert!(lines.ends_with(warning), "{lines}");
}

#[test]
fn what_nothing_vouches_for_is_not_next_where_it_must_be_verified() {
    let running = Running::new(Machine::ext4(|top| images(top, &["1", "2"])), None);
    let words = format!("surefoot.deployment=auto surefoot.roothash={}", "01".repeat(32));
    fs::write(running.machine.path("cmdline"), words).unwrap();
    let said = running.run(&["set-next", "app_2"]);
    let expected = "app_2 is next: priority 2, 3 tries left\n\
                    surefoot: warning: the running command line does not accept app_2: no root hash or digest in it vouches \
                    for this one; the boot would pass it over\n";
    assert_eq!(said, expected);
    let status = running.run(&["status"]);
    let expected = "  app_2  image on DEVICE           tries not counted, root hash not accepted, priority 2\n";
    assert!(status.contains(expected), "{status}");
    let lines = running.run(&["status", "--deployments"]);
    assert!(!lines.contains("\tnext\n"), "{lines}");
}

#[test]
fn what_is_not_on_the_list_of_root_hashes_is_not_gone_back_to() {
    let running = Running::new(Machine::ext4(|top| images(top, &["1", "2"])), None);
    running.report_edited(|report| {
        report["deployment"]["name"] = "app_1".into();
        report["deployment"]["kind"] = "image".into();
        report["deployment"]["place"] = "images/app.raw.v/app_1.raw".into();
    });
    running.run(&["mark-good", "app_2"]);
    running.run(&["mark-good"]);
    assert_eq!(running.run(&["rollback"]), "app_2 is next: priority 3, good\n");
    running.bar_all();
    let back = running.run(&["rollback"]);
    assert!(back.ends_with(": no other deployment has ever been good\n"), "{back}");
}

#[test]
fn what_comes_onto_the_list_of_root_hashes_is_an_update() {
    let running = Running::new(Machine::ext4(|top| images(top, &["1", "2"])), None);
    running.bar_all();
    running.run(&["mark-good", "app_1"]);
    running.run(&["set-next", "app_1"]);
    fs::write(running.machine.path("cmdline"), "surefoot.deployment=auto surefoot.verity=optional").unwrap();
    let lines = running.run(&["status", "--deployments"]);
    assert!(lines.contains("app_2\timage\tDEVICE\t3\t3\tuntested\tnext\n"), "{lines}");
}

#[test]
fn what_is_verified_is_next_among_many_that_are_not() {
    let hash = tempfile::NamedTempFile::new().unwrap();
    let machine = Machine::ext4(|top| {
        let versions: Vec<_> = (1..=16).map(|version| version.to_string()).collect();
        images(top, &versions.iter().map(String::as_str).collect::<Vec<_>>());
        let (image, tree) = (top.join("images/a.raw"), top.join("images/a.verity"));
        fs::copy(top.join("images/app.raw.v/app_1.raw"), &image).unwrap();
        let mut format = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        run(format.args(["verity", "format"]).args([&image, &tree]).arg("--root-hash-file").arg(hash.path()));
    });
    let running = Running::new(machine, None);
    let hash = fs::read_to_string(hash.path()).unwrap();
    let words = format!("surefoot.deployment=auto surefoot.roothash={}", hash.trim());
    fs::write(running.machine.path("cmdline"), words).unwrap();
    let lines = running.run(&["status", "--deployments"]);
    assert!(lines.contains("a\timage\tDEVICE\t1\t3\tuntested\tnext\n"), "{lines}");
    assert_eq!(lines.lines().count(), 16, "{lines}");
}

#[test]
fn slots_that_cannot_be_read_are_said() {
    let running = Running::new(Machine::ext4(|top| ostree(top, &[1, 2])), None);
    let disk = running.machine.path("slots.img");
    let attach = || {
        let output = Command::new("/usr/sbin/losetup").args(["--find", "--show"]).arg(&disk).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    // A protective MBR, and no table behind it.
    let mut damaged = vec![0; 1 << 20];
    damaged[446 + 4] = 0xee;
    damaged[446 + 8] = 1;
    damaged[446 + 12..446 + 16].fill(0xff);
    damaged[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (content, is_said) in [(vec![0; 1 << 20], false), (damaged, true)] {
        fs::write(&disk, content).unwrap();
        let device = attach();
        running.report_edited(|report| {
            let disk = device.strip_prefix("/dev/").unwrap();
            report["deployment"]["slot"] = json!({"disk": disk, "partition": 1, "priority": 1, "tries_left": 0,
                                                  "successful": true, "once_good": true});
        });
        let said = running.run(&["mark-good"]);
        run(Command::new("/usr/sbin/losetup").args(["--detach", &device]));
        let warning =
            format!("surefoot: warning: cannot use {device}: both copies of its partition table are damaged\n");
        let expected = format!("{SECOND} is good: priority 1, good\n{}", if is_said { &warning } else { "" });
        assert_eq!(said, expected);
    }
}

#[test]
fn a_running_one_that_is_gone_is_no_reason_to_do_nothing() {
    let running = Running::new(Machine::ext4(|top| ostree(top, &[1, 2])), None);
    running.report_edited(|report| report["deployment"]["name"] = "debian-030303030303.0".into());
    let expected = "surefoot: cannot mark the running deployment debian-030303030303.0 on /dev/DEVICE: it was booted from \
                    there, and is not found there any more\n  surefoot status tells what there is.\n";
    assert_eq!(running.run(&["mark-good"]), expected);
}

#[test]
fn what_several_commands_change_at_once_is_all_kept() {
    let versions = [1, 2, 3, 4, 5, 6];
    let running = Running::new(Machine::ext4(|top| ostree(top, &versions)), Some("rw"));
    let name = |version: u8| format!("debian-{}.0", format!("{version:02x}").repeat(6));
    let start = |version| {
        let (out, err) = (Stdio::null(), Stdio::null());
        running.command(&["mark-good", &name(version)]).stdout(out).stderr(err).spawn().unwrap()
    };
    let commands = versions.map(start);
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    let lines = running.run(&["status", "--deployments"]);
    assert_eq!(lines.matches("\tgood\t").count(), versions.len(), "{lines}");
}

#[test]
fn who_is_not_root_sees_what_the_boot_has_left() {
    use std::os::unix::process::CommandExt;
    let running = Running::new(Machine::ext4(|top| ostree(top, &[1, 2])), None);
    running.report_edited(|report| {
        let mut other = report["deployments"][0].clone();
        other["device"] = "other1".into();
        report["deployments"].as_array_mut().unwrap().push(other);
    });
    let program = running.machine.path("surefoot");
    copy_program(&program);
    fs::set_permissions(program.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    let report = running.machine.path("report");
    let output = command.args(["status", "--report"]).arg(report).uid(65534).gid(65534).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("\ndeployments as the boot left them ("), "{shown}");
    // The best one comes first, and is the running one as well.
    for (name, device, role) in [(SECOND, "loop", "running"), (FIRST, "loop", "tries"), (SECOND, "other1", "tries")] {
        let line = shown.lines().find(|line| line.contains(&format!("  {name}  ostree on {device}")));
        let words: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(words.get(4), Some(&role), "{shown}");
    }
}
