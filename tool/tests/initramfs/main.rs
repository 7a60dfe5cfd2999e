//! `surefoot initramfs` as its users meet it: the image judged by Debian's cpio and depmod, and every refusal by its text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use fixture::{Fixture, VERSION, assert_done, cpio, module, stderr};

/// `MODE LINKS UID GID SIZE… YEAR PATH` of each entry, as cpio lists it.
fn listing(archive: &[u8]) -> Vec<String> {
    let text = cpio(Path::new("/"), &["-i", "-t", "-v", "-n"], archive);
    let columns = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    columns.map(|columns| columns.join(" ")).collect()
}

#[test]
fn cpio_lists_exactly_what_boots() {
    let fixture = Fixture::new();
    let config = fixture.write("10-root.conf", b"root=LABEL=system\n");
    let shell = fixture.write("sh", b"#!");
    let image = fixture.text("image");
    let add = format!("{}:/bin/sh", shell.display());
    let arguments = ["--config", config.to_str().unwrap(), "--add", &add, "--compress", "none", "-o", &image];
    let output = fixture.build("tree", &arguments);
    assert_done(&output);
    let archive = fs::read(&image).unwrap();

    let folder = |path: &str| format!("drwxr-xr-x 2 0 0 0 Jan 1 1970 {path}");
    let modules = format!("lib/modules/{VERSION}");
    let mut expected: Vec<String> = [
        "bin",
        "dev",
        "etc",
        "etc/cmdline.d",
        "lib",
        "lib/firmware",
        "lib/firmware/qlogic",
        "lib/modules",
        "proc",
        "run",
        "sys",
        "sysroot",
    ]
    .map(folder)
    .into();
    expected.push("drwxrwxrwt 2 0 0 0 Jan 1 1970 tmp".into());
    expected.push("crw------- 1 0 0 5, 1 Jan 1 1970 dev/console".into());
    expected.push("-rwxr-xr-x 1 0 0 120 Jan 1 1970 init".into());
    expected.push("-rw-r--r-- 1 0 0 2 Jan 1 1970 bin/sh".into());
    expected.push("-rw-r--r-- 1 0 0 18 Jan 1 1970 etc/cmdline.d/10-root.conf".into());
    expected.push("-rw-r--r-- 1 0 0 8 Jan 1 1970 lib/firmware/qlogic/1040.bin".into());
    let (found, of_modules): (Vec<_>, Vec<_>) =
        listing(&archive).into_iter().partition(|line| !line.contains(&modules));
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected.iter().collect());

    let files = of_modules.iter().filter(|line| !line.starts_with('d')).filter_map(|line| line.split_once(&modules));
    let files: Vec<_> = files.map(|(_, path)| path).collect();
    let expected = [
        "/kernel/arch/x86/crypto/crc32c-intel.ko",
        "/kernel/drivers/block/virtio_blk.ko",
        "/kernel/drivers/md/dm-bufio.ko",
        "/kernel/drivers/md/dm-mod.ko",
        "/kernel/drivers/md/dm-verity.ko",
        "/kernel/drivers/scsi/qla1280.ko",
        "/kernel/drivers/scsi/scsi_mod.ko",
        "/kernel/drivers/scsi/sd_mod.ko",
        "/kernel/fs/overlayfs/overlay.ko",
        "/kernel/fs/xfs/xfs.ko",
        "/kernel/lib/libcrc32c.ko",
        "/kernel/lib/reed_solomon/reed_solomon.ko",
        "/modules.alias",
        "/modules.builtin",
        "/modules.dep",
        "/modules.softdep",
    ];
    assert_eq!(files, expected);
    assert_eq!(stderr(&output), "surefoot: note: firmware that is not on this machine: qlogic/none.bin\n");
}

#[test]
fn every_folder_comes_before_what_lies_in_it() {
    let fixture = Fixture::new();
    let image = fixture.text("image");
    assert_done(&fixture.build("tree", &["--compress", "none", "-o", &image]));
    let mut folders = BTreeSet::from([String::new()]);
    for line in listing(&fs::read(&image).unwrap()) {
        let path = line.rsplit(' ').next().unwrap().to_owned();
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        assert!(folders.contains(above), "{path}");
        folders.insert(path);
    }
}

/// The lines of an index file by their first word, without comments.
fn index(folder: &Path, name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(words);
    lines.fold(BTreeMap::new(), |mut all, mut line| {
        let key = line.remove(0);
        all.entry(key).or_default().extend(line);
        all
    })
}

#[test]
fn the_index_says_what_depmod_says() {
    let fixture = Fixture::new();
    let folder = fixture.unpacked(&[]).join("lib/modules").join(VERSION);
    let ours = ["modules.dep", "modules.alias", "modules.softdep"].map(|name| index(&folder, name));
    let depmod = Command::new("/usr/sbin/depmod").arg("-b").arg(fixture.path("unpacked")).arg(VERSION).output();
    assert_done(&depmod.expect("this test needs Debian's kmod"));
    let theirs = ["modules.dep", "modules.alias", "modules.softdep"].map(|name| index(&folder, name));
    assert_eq!(ours, theirs);
    let needed = &theirs[0]["kernel/drivers/md/dm-verity.ko:"];
    let expected =
        ["kernel/drivers/md/dm-bufio.ko", "kernel/drivers/md/dm-mod.ko", "kernel/lib/reed_solomon/reed_solomon.ko"];
    assert_eq!(needed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let fixture = Fixture::new();
    let kernel = format!("lib/modules/{VERSION}");
    // The same modules written in the opposite order, at another time, compressed, under a /usr, with an index of depmod's.
    let copy = format!("copy/usr/{kernel}");
    let walk = |folder: &str| {
        let mut files: Vec<_> = walkdir::WalkDir::new(fixture.path(folder)).into_iter().map(Result::unwrap).collect();
        files.retain(|entry| entry.file_type().is_file());
        files.into_iter().map(walkdir::DirEntry::into_path)
    };
    for (count, file) in walk(&format!("tree/{kernel}")).collect::<Vec<_>>().into_iter().rev().enumerate() {
        let path = file.strip_prefix(fixture.path(&format!("tree/{kernel}"))).unwrap().to_str().unwrap();
        let bytes = fs::read(&file).unwrap();
        let written = match count % 3 {
            0 if path.contains(".ko") => {
                fixture.write(&format!("{copy}/{path}.zst"), &zstd::encode_all(&bytes[..], 1).unwrap())
            }
            _ => fixture.write(&format!("{copy}/{path}"), &bytes),
        };
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 * count as u64);
        fs::File::options().write(true).open(written).unwrap().set_modified(time).unwrap();
    }
    fixture.write(&format!("{copy}/modules.dep"), b"an index that is not used\n");
    fixture.write("copy/lib/firmware/qlogic/1040.bin", b"firmware");

    for compression in ["zstd", "xz", "none"] {
        let images = ["tree", "copy"].map(|tree| {
            let image = fixture.text(&format!("{tree}.{compression}"));
            assert_done(&fixture.build(tree, &["--compress", compression, "-o", &image]));
            fs::read(image).unwrap()
        });
        assert!(images[0] == images[1], "{compression}");
    }
}

#[test]
fn compressed_images_hold_the_same_archive() {
    let fixture = Fixture::new();
    let image = |compression: &str| {
        let image = fixture.text(compression);
        assert_done(&fixture.build("tree", &["--compress", compression, "-o", &image]));
        image
    };
    let plain = fs::read(image("none")).unwrap();
    for (compression, unpack) in [("zstd", "zstd"), ("xz", "xz")] {
        let output =
            Command::new(unpack).args(["-d", "-c", "-q"]).stdin(fs::File::open(image(compression)).unwrap()).output();
        assert!(output.unwrap().stdout == plain, "{compression}");
    }
}

#[test]
fn a_list_writes_nothing() {
    let fixture = Fixture::new();
    let output = fixture.build("tree", &["--list", "--module", "scsi-debug"]);
    assert_done(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let without_sizes: Vec<_> =
        text.lines().map(|line| line.trim_start().split_once("  ").map_or(line, |(_, rest)| rest)).collect();
    let modules = [
        "crc32c_intel  (soft dependency of libcrc32c)",
        "dm_bufio  (needed by dm_verity)",
        "dm_mod  (needed by dm_bufio)",
        "dm_verity  (used by surefoot)",
        "libcrc32c  (needed by xfs)",
        "overlay  (used by surefoot)",
        "qla1280  (storage driver)",
        "reed_solomon  (needed by dm_verity)",
        "scsi_debug  (asked for)",
        "scsi_mod  (needed by scsi_debug)",
        "sd_mod  (goes with scsi_mod)",
        "virtio_blk  (storage driver)",
        "xfs  (file system)",
    ];
    assert_eq!(without_sizes[..modules.len()], modules);
    assert!(text.ends_with(&format!("13 modules for kernel {VERSION}\n")), "{text}");
}

#[test]
fn the_report_is_json() {
    let fixture = Fixture::new();
    let image = fixture.text("image");
    let output = fixture.build("tree", &["--json", "--module", "ext4", "-o", &image]);
    assert_done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kernel"], VERSION);
    assert_eq!(report["output"], image);
    assert_eq!(report["size"], fs::metadata(&image).unwrap().len());
    assert_eq!(report["modules"][0]["name"], "crc32c_intel");
    assert_eq!(report["missing_firmware"], serde_json::json!(["qlogic/none.bin"]));
    assert_eq!(report["notes"], serde_json::json!(["ext4 is built into the kernel and needs no module"]));
    let init = report["files"].as_array().unwrap().iter().find(|file| file["path"] == "/init").unwrap();
    assert_eq!(init["size"], 120);
}

#[test]
fn host_only_packs_what_this_machine_has() {
    let fixture = Fixture::new();
    fixture.write("machine/sys/devices/pci0000:00/0000:00:01.0/virtio0/modalias", b"virtio:d00000002v00001AF4\n");
    fixture.write("machine/etc/modprobe.d/site.conf", b"options virtio_blk num_request_queues=1\noptions xfs no=1\n");
    let machine = fixture.text("machine");
    let output = fixture.build("tree", &["--host-only", "--machine", &machine, "--list", "--json"]);
    assert_done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        report["modules"].as_array().unwrap().iter().map(|module| module["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dm_bufio", "dm_mod", "dm_verity", "overlay", "reed_solomon", "virtio_blk"]);
    let folder = fixture.unpacked(&["--host-only", "--machine", &machine]);
    let lines = fs::read_to_string(folder.join("etc/modprobe.conf")).unwrap();
    assert_eq!(lines, "options virtio_blk num_request_queues=1\n");
}

#[test]
fn modules_keep_their_bytes() {
    let fixture = Fixture::new();
    let mut signed = module("signed", &["depends="], VERSION);
    signed.extend(b"signature~Module signature appended~\n");
    let packed = zstd::encode_all(&signed[..], 1).unwrap();
    fixture.write(&format!("tree/lib/modules/{VERSION}/extra/signed.ko.zst"), &packed);
    let folder = fixture.unpacked(&["--module", "signed"]);
    assert!(fs::read(folder.join(format!("lib/modules/{VERSION}/extra/signed.ko"))).unwrap() == signed);
}
