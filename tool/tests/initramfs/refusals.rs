//! What `surefoot initramfs` refuses, with which words and exit code, and that it leaves nothing behind.

use std::fs;
use std::process::Command;

use crate::fixture::{Fixture, VERSION, module, program, stderr, surefoot};

/// Builds with these arguments and asserts that it is refused in these words.
fn refused(fixture: &Fixture, arguments: &[&str], code: i32, text: &str) {
    let output = fixture.build("tree", arguments);
    assert_eq!(stderr(&output).replace(&fixture.text(""), "…/"), text);
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
}

#[test]
fn modules_that_are_not_there_are_named() {
    let fixture = Fixture::new();
    let text = format!(
        "surefoot: cannot pack dm-verty, nothing-like-it: kernel {VERSION} has no such module\n  Most like it: dm_verity\n"
    );
    refused(&fixture, &["--list", "--module", "dm-verty,nothing-like-it", "sd_mod"], 1, &text);
}

#[test]
fn a_module_for_another_kernel_is_refused() {
    let fixture = Fixture::new();
    fixture.write(&format!("tree/lib/modules/{VERSION}/extra/old.ko"), &module("old", &["depends="], "5.10.0"));
    let text = format!(
        "surefoot: cannot use kernel module …/tree/lib/modules/{VERSION}/extra/old.ko: it is for kernel 5.10.0, its \
         folder is for {VERSION}\n  Name the folder of modules after the kernel's version.\n"
    );
    refused(&fixture, &["--list"], 1, &text);
}

#[test]
fn a_broken_module_is_named() {
    let fixture = Fixture::new();
    fixture.write(&format!("tree/lib/modules/{VERSION}/extra/text.ko"), b"text");
    let output = fixture.build("tree", &["--list"]);
    let text = stderr(&output);
    assert!(text.contains(&format!("cannot read kernel module {}", fixture.text("tree"))), "{text}");
    assert!(text.contains("extra/text.ko: not an ELF file: "), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_kernel_that_is_not_there_is_refused() {
    let fixture = Fixture::new();
    let output =
        surefoot(&["initramfs", "--kernel", "0.0.1-none", "--init", &fixture.text("pid1"), "--list"]).output().unwrap();
    let text = stderr(&output);
    let expected = "surefoot: found no kernel 0.0.1-none: no such folder, and no /lib/modules/0.0.1-none or /usr/lib/modules/0.0.1-none\n";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn pid1_must_run_alone() {
    let fixture = Fixture::new();
    fixture.write("pid1", &program(Some("/lib64/ld-linux-x86-64.so.2\0")));
    let text = "surefoot: cannot use as PID 1 …/pid1: it is linked dynamically, and the image holds no libraries\n  \
                Build it with: cargo build --release\n";
    refused(&fixture, &["--list"], 1, text);
    fs::remove_file(fixture.path("pid1")).unwrap();
    refused(&fixture, &["--list"], 3, "surefoot: cannot read PID 1 …/pid1: No such file or directory\n");
}

#[test]
fn pid1_is_looked_for_beside_the_tool_and_in_its_install_path() {
    let fixture = Fixture::new();
    // Copied by another process: a program that this one has open for writing, as would a child that a test beside this
    // one has just forked, cannot be run.
    let tool = fixture.path("usr/bin/surefoot");
    fs::create_dir_all(fixture.path("usr/bin")).unwrap();
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_surefoot")).arg(&tool).status().unwrap().success());
    let list =
        || Command::new(&tool).args(["initramfs", "--kernel", &fixture.text("tree"), "--list"]).output().unwrap();
    let output = list();
    assert_eq!(
        stderr(&output).replace(&fixture.text(""), "…/"),
        "surefoot: cannot find PID 1 surefoot-init: no …/usr/bin/surefoot-init or …/usr/bin/../lib/surefoot/surefoot-init\n  \
         Build it with `cargo build --release`, or name it: --init FILE\n"
    );
    assert_eq!(output.status.code(), Some(1));
    for (place, size) in [("usr/lib/surefoot/surefoot-init", 121), ("usr/bin/surefoot-init", 122)] {
        let mut elf = program(None);
        elf.resize(size, 0);
        fixture.write(place, &elf);
        let text = String::from_utf8(list().stdout).unwrap();
        assert!(text.contains(&format!("{size}  /init\n")), "{text}");
    }
}

#[test]
fn words_that_would_fail_the_boot_are_refused() {
    let fixture = Fixture::new();
    let bad = fixture.write("bad.conf", b"surefoot.verity=maybe\n");
    let output = fixture.build("tree", &["--list", "--config", bad.to_str().unwrap()]);
    let text = stderr(&output);
    assert!(
        text.starts_with("surefoot: cannot pack configuration bad.conf: surefoot.verity=maybe in /etc/cmdline.d: "),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
    let ignored = fixture.write("bad.txt", b"quiet\n");
    let text = "surefoot: cannot pack configuration …/bad.txt: its name does not end in .conf\n  \
                PID 1 reads /etc/cmdline.d/*.conf in the order of the names.\n";
    refused(&fixture, &["--list", "--config", ignored.to_str().unwrap()], 2, text);
}

#[test]
fn additions_must_make_sense() {
    let fixture = Fixture::new();
    refused(
        &fixture,
        &["--list", "--add", "/bin/sh"],
        2,
        "surefoot: cannot read --add /bin/sh: it is not SRC:DST with an absolute path DST\n",
    );
    let init = format!("{}:/init", fixture.write("other", b"other").display());
    let text = "surefoot: cannot pack to /init: the image has something else there already\n";
    refused(&fixture, &["--list", "--add", &init], 2, text);
    let missing = format!("{}:/x", fixture.text("missing"));
    let text = "surefoot: cannot read …/missing: No such file or directory\n";
    refused(&fixture, &["--list", "--add", &missing], 3, text);
}

#[test]
fn a_failed_build_leaves_the_old_image_alone() {
    let fixture = Fixture::new();
    let image = fixture.write("out/image", b"the old image");
    refused(
        &fixture,
        &["-o", &fixture.text("nowhere/image")],
        3,
        "surefoot: cannot write …/nowhere/image: No such file or directory\n",
    );
    refused(
        &fixture,
        &["-o", &fixture.text("out")],
        2,
        "surefoot: cannot write …/out: it is there and is not a regular file\n",
    );
    let output = fixture.build("tree", &["--module", "none-such", "-o", image.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(&image).unwrap(), b"the old image");
    let left: Vec<_> = fs::read_dir(fixture.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["image"]);
}

#[test]
fn an_image_needs_a_name() {
    let output = Fixture::new().build("tree", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--output <FILE>"), "{}", stderr(&output));
}
