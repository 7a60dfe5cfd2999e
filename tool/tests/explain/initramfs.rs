//! With an initramfs: its words, its modules.

use super::machine::Machine;

const DEP: &str = "kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-mod.ko\nkernel/drivers/md/dm-mod.ko:\n\
                   kernel/fs/erofs/erofs.ko:\nkernel/fs/overlayfs/overlay.ko:\n";
const BUILTIN: &str = "kernel/fs/ext4/ext4.ko\n";

fn explain(machine: &Machine, cmdline: &str, files: &[(&str, &str)]) -> String {
    machine.initramfs(files);
    let text = machine.explain(cmdline, &["--initramfs", "initramfs.img"]);
    text[text.find("--- stderr").unwrap()..].to_owned()
}

const BOOTS: &str = "--- stderr, exit code 0\n";

#[test]
fn every_module_of_the_plan_must_be_there() {
    let machine = Machine::new();
    let with = |dep: &str, builtin: &str| {
        let files = [("init", ""), ("lib/modules/6.1/modules.dep", dep), ("lib/modules/6.1/modules.builtin", builtin)];
        explain(&machine, "roothash=ROOTHASH", &files)
    };
    assert_eq!(with(DEP, BUILTIN), BOOTS);
    let missing = |module: &str| {
        format!(
            "the kernel module {module} is neither in this initramfs (/lib/modules/6.1) nor built into the kernel: pack it \
             with surefoot initramfs --module {module}\n"
        )
    };
    let fails = "--- stderr, exit code 1\nsurefoot: the machine would not boot: ";
    assert_eq!(with(&DEP.replace("erofs.ko", "other.ko"), BUILTIN), format!("{fails}{}", missing("erofs")));
    assert_eq!(with(DEP, ""), format!("{fails}the state device is at fault: {}", missing("ext4")));
}

#[test]
fn modules_for_another_kernel_beside_them_must_do_as_well() {
    let machine = Machine::new();
    let files = [
        ("init", ""),
        ("lib/modules/6.1/modules.dep", DEP),
        ("lib/modules/6.1/modules.builtin", BUILTIN),
        ("lib/modules/6.1-other/modules.dep", DEP),
    ];
    let text = explain(&machine, "roothash=ROOTHASH", &files);
    assert!(text.contains("ext4 is neither in this initramfs (/lib/modules/6.1-other) nor"), "{text}");
}

#[test]
fn its_words_come_before_those_of_the_command_line() {
    let machine = Machine::new();
    let modules = [("init", ""), ("lib/modules/6.1/modules.dep", DEP), ("lib/modules/6.1/modules.builtin", BUILTIN)];
    let with = |words: &str| {
        let files = [&modules[..], &[("etc/cmdline.d/10.conf", words)]].concat();
        explain(&machine, "surefoot.etc=ro", &files)
    };
    assert_eq!(with(&format!("roothash={}", machine.root_hash)), BOOTS);
    let bad = with("surefoot.var=maybe");
    assert!(
        bad.starts_with(
            "--- stderr, exit code 1\nsurefoot: the machine would not boot: surefoot.var=maybe in /etc/cmdline.d: "
        ),
        "{bad}"
    );
}

#[test]
fn modules_that_are_loaded_first_are_looked_for_as_well() {
    let machine = Machine::new();
    let files = [("init", ""), ("lib/modules/6.1/modules.dep", DEP), ("lib/modules/6.1/modules.builtin", BUILTIN)];
    let text = explain(&machine, "roothash=ROOTHASH rd.driver.pre=qla2xxx", &files);
    assert!(text.contains("would not boot: the kernel module qla2xxx is neither in"), "{text}");
}

#[test]
fn what_is_no_initramfs_is_said() {
    let machine = Machine::new();
    let fails = "--- stderr, exit code 1\nsurefoot: ";
    let no_init = explain(&machine, "roothash=ROOTHASH", &[("bin/sh", "")]);
    assert_eq!(
        no_init,
        format!("{fails}the machine would not boot: the initramfs has no /init that the kernel could start\n")
    );
    std::fs::write(machine.path("initramfs.img"), "text").unwrap();
    let text = machine.explain("", &["--initramfs", "initramfs.img"]);
    assert_eq!(
        text,
        format!(
            "{fails}cannot read initramfs initramfs.img: the part at byte 0 is neither a newc archive nor zstd, xz or gzip\n"
        )
    );
}
