//! A machine's disk, made by the tools that make real ones, and the command under test.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use uuid::Uuid;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Of each verified image: 128 blocks, the most that one block of hashes is enough for.
const IMAGE_SIZE: u64 = 128 * 4096;
/// Types of the Discoverable Partitions Specification, for x86-64: root and its hash tree, /usr and its hash tree, /var.
const TYPES: [&str; 5] = [
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
    "8484680c-9521-48c6-9c11-b0720656f69e",
    "77ff5f63-e7b6-4633-acf4-1565b864c0e6",
    "4d21b016-b534-45c2-a9fb-5c16e091fd2d",
];
const LABELS: [&str; 5] = ["root", "root-verity", "usr", "usr-verity", "var"];
const VAR_UUID: &str = "11111111-2222-3333-4444-555555555555";
const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub(crate) const SUREFOOT: &str = env!("CARGO_BIN_EXE_surefoot");

/// A folder with `disk.img`: a verified root, a verified /usr, and /var.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    pub(crate) root_hash: String,
    pub(crate) usr_hash: String,
}

/// The least that a root must hold to be started.
pub(crate) fn sound_root(root: &Path) {
    for folder in ["dev", "proc", "sys", "run", "etc", "var", "home", "srv", "usr/bin", "usr/lib", "sbin"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("usr/lib/os-release"), "ID=test\n").unwrap();
    fs::write(root.join("usr/bin/init"), "#!\n").unwrap();
    fs::set_permissions(root.join("usr/bin/init"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../usr/bin/init", root.join("sbin/init")).unwrap();
}

impl Machine {
    /// With a sound root.
    pub(crate) fn new() -> Self {
        Self::with_root(sound_root)
    }

    /// With a root that `fill` makes.
    pub(crate) fn with_root(fill: impl FnOnce(&Path)) -> Self {
        let mut machine = Self { dir: tempfile::tempdir().unwrap(), root_hash: String::new(), usr_hash: String::new() };
        fs::create_dir_all(machine.path("root-tree")).unwrap();
        fill(&machine.path("root-tree"));
        fs::create_dir_all(machine.path("usr-tree/lib")).unwrap();
        fs::write(machine.path("usr-tree/lib/os-release"), "ID=test\n").unwrap();
        fs::create_dir_all(machine.path("usr-tree/bin")).unwrap();
        machine.root_hash = machine.verified("root");
        machine.usr_hash = machine.verified("usr");
        File::create(machine.path("var")).unwrap().set_len(4 * MIB).unwrap();
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F"]).arg(machine.path("var")));
        machine.assemble(MIB);
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes `NAME` from `NAME-tree`, and `NAME-verity` from that; gives the root hash.
    fn verified(&self, name: &str) -> String {
        let (image, tree) = (self.path(name), self.path(&format!("{name}-tree")));
        run(Command::new("mkfs.erofs").args(["-T0", "--all-root", "-U", VAR_UUID]).args([&image, &tree]));
        // Of a fixed size, whatever this version of mkfs.erofs needs, and of several blocks.
        File::options().write(true).open(&image).unwrap().set_len(IMAGE_SIZE).unwrap();
        let hash = self.path(&format!("{name}-verity"));
        let root_hash = self.path(&format!("{name}.hash"));
        let mut command = Command::new(SUREFOOT);
        command.args(["verity", "format", "--uuid", VAR_UUID, "--salt", SALT]).arg("--root-hash-file").arg(&root_hash);
        run(command.args([&image, &hash]));
        fs::read_to_string(root_hash).unwrap().trim().to_owned()
    }

    /// Makes `disk.img` of the parts; the hash trees have partitions of `hash_size` bytes.
    pub(crate) fn assemble(&self, hash_size: u64) {
        let halves = |hash: &str| {
            let digits = [&hash[..32], &hash[32..]];
            digits.map(|half| Uuid::parse_str(half).unwrap())
        };
        let ([root, root_verity], [usr, usr_verity]) = (halves(&self.root_hash), halves(&self.usr_hash));
        let uuids = [root, root_verity, usr, usr_verity, Uuid::parse_str(VAR_UUID).unwrap()];
        let sizes = [MIB, hash_size, MIB, MIB, 4 * MIB];
        let mut disk =
            File::options().read(true).write(true).create(true).truncate(true).open(self.path("disk.img")).unwrap();
        disk.set_len(16 * MIB).unwrap();
        let mut table = gptman::GPT::new_from(&mut disk, SECTOR, [1; 16]).unwrap();
        let mut start = MIB;
        for (number, (((label, kind), uuid), size)) in (1..).zip(LABELS.iter().zip(TYPES).zip(uuids).zip(sizes)) {
            table[number] = gptman::GPTPartitionEntry {
                partition_type_guid: Uuid::parse_str(kind).unwrap().to_bytes_le(),
                unique_partition_guid: uuid.to_bytes_le(),
                starting_lba: start / SECTOR,
                ending_lba: (start + size) / SECTOR - 1,
                attribute_bits: 0,
                partition_name: (*label).into(),
            };
            let content = fs::read(self.path(label)).unwrap();
            disk.seek(SeekFrom::Start(start)).unwrap();
            disk.write_all(&content[..content.len().min(usize::try_from(size).unwrap())]).unwrap();
            start += size.next_multiple_of(MIB);
        }
        table.write_into(&mut disk).unwrap();
        gptman::GPT::write_protective_mbr_into(&mut disk, SECTOR).unwrap();
    }

    /// Flips one bit of `disk.img`, `offset` bytes into the partition with this number.
    pub(crate) fn flip(&self, number: u64, offset: u64) {
        let mut disk = fs::read(self.path("disk.img")).unwrap();
        disk[usize::try_from(number * MIB + offset).unwrap()] ^= 1;
        fs::write(self.path("disk.img"), disk).unwrap();
    }

    /// Writes the attribute bits of a partition of `disk.img`.
    pub(crate) fn attributes(&self, number: u32, bits: u64) {
        let mut disk = File::options().read(true).write(true).open(self.path("disk.img")).unwrap();
        let mut table = gptman::GPT::read_from(&mut disk, SECTOR).unwrap();
        table[number].attribute_bits = bits;
        table.write_into(&mut disk).unwrap();
    }

    /// Writes an archive of these files, not compressed, to `initramfs.img`.
    pub(crate) fn initramfs(&self, files: &[(&str, &str)]) {
        let mut archive = Vec::new();
        for (path, text) in files {
            let entry = cpio::newc::Builder::new(path).mode(0o100_755);
            let mut writer = entry.write(&mut archive, u32::try_from(text.len()).unwrap());
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        cpio::newc::trailer(&mut archive).unwrap();
        fs::write(self.path("initramfs.img"), archive).unwrap();
    }

    /// `surefoot explain`, in this folder. `ROOTHASH` and `USRHASH` stand for the hashes.
    pub(crate) fn command(&self, cmdline: &str, arguments: &[&str]) -> Command {
        let cmdline = cmdline.replace("ROOTHASH", &self.root_hash).replace("USRHASH", &self.usr_hash);
        let mut command = Command::new(SUREFOOT);
        command.current_dir(self.dir.path()).args(["explain", "--cmdline", &cmdline]).args(arguments);
        command
    }

    /// What it prints and exits with on `disk.img`, the hashes and what is derived from them replaced by names.
    pub(crate) fn explain(&self, cmdline: &str, arguments: &[&str]) -> String {
        self.outcome(self.command(cmdline, &[arguments, &["--disk", "disk.img"]].concat()))
    }

    /// What a command prints and exits with.
    pub(crate) fn outcome(&self, mut command: Command) -> String {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        let mut text = format!("{stdout}--- stderr, exit code {}\n{stderr}", status.code().unwrap());
        for (hash, name) in [(&self.root_hash, "ROOT"), (&self.usr_hash, "USR")] {
            text = text.replace(hash, &format!("{name}HASH"));
            for (half, end) in [(&hash[..32], "FIRST"), (&hash[32..], "LAST")] {
                text = text.replace(&Uuid::parse_str(half).unwrap().to_string(), &format!("{name}-{end}"));
            }
        }
        text
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
