//! A small kernel tree of modules that are ELF files with a `.modinfo` section, and programs to pack as PID 1.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use object::write::{Object, StandardSegment, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use tempfile::TempDir;

/// Version of the fixture's kernel.
pub(crate) const VERSION: &str = "6.12.9-fixture";

/// Path below `kernel/` and `.modinfo` of each module; dependencies, soft ones too, as real modules have them.
const MODULES: [(&str, &[&str]); 14] = [
    ("drivers/md/dm-mod", &["alias=devname:mapper/control", "alias=char-major-10-236", "depends="]),
    ("drivers/md/dm-bufio", &["depends=dm-mod"]),
    ("drivers/md/dm-verity", &["depends=dm-mod,reed_solomon,dm-bufio"]),
    ("lib/reed_solomon/reed_solomon", &["depends="]),
    ("fs/overlayfs/overlay", &["alias=fs-overlay", "depends="]),
    ("fs/xfs/xfs", &["alias=fs-xfs", "depends=libcrc32c"]),
    ("lib/libcrc32c", &["softdep=pre: crc32c", "depends="]),
    ("arch/x86/crypto/crc32c-intel", &["alias=crc32c", "alias=crypto-crc32c", "depends="]),
    ("drivers/block/virtio_blk", &["alias=virtio:d00000002v*", "depends="]),
    ("drivers/scsi/scsi_mod", &["depends="]),
    ("drivers/scsi/sd_mod", &["alias=scsi:t-0x00*", "depends=scsi_mod"]),
    (
        "drivers/scsi/qla1280",
        &[
            "alias=pci:v00001077d00001016sv*sd*bc*sc*i*",
            "depends=scsi_mod",
            "firmware=qlogic/1040.bin",
            "firmware=qlogic/none.bin",
        ],
    ),
    ("drivers/scsi/scsi_debug", &["depends=scsi_mod"]),
    ("drivers/net/dummy-net", &["alias=pci:v00001AF4d00001000sv*sd*bc*sc*i*", "depends="]),
];

/// A kernel tree, a PID 1, and a place for images.
pub(crate) struct Fixture {
    dir: TempDir,
}

impl Fixture {
    /// The tree as `dpkg -x` leaves it: without any index.
    pub(crate) fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fixture.write(&format!("tree/lib/modules/{VERSION}/modules.order"), b"");
        fixture.write(&format!("tree/lib/modules/{VERSION}/modules.builtin"), b"kernel/fs/ext4/ext4.ko\n");
        fixture.write(&format!("tree/lib/modules/{VERSION}/modules.builtin.modinfo"), b"ext4.alias=fs-ext4\0");
        for (path, info) in MODULES {
            fixture.write(
                &format!("tree/lib/modules/{VERSION}/kernel/{path}.ko"),
                &module(path.rsplit('/').next().unwrap(), info, VERSION),
            );
        }
        fixture.write("tree/lib/firmware/qlogic/1040.bin", b"firmware");
        fixture.write("pid1", &program(None));
        fixture
    }

    /// A path below the fixture's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `surefoot initramfs` on a tree of this fixture, with its PID 1.
    pub(crate) fn build(&self, tree: &str, arguments: &[&str]) -> Output {
        let mut command = surefoot(&["initramfs", "--kernel", &self.text(tree), "--init", &self.text("pid1")]);
        command.args(arguments).output().unwrap()
    }

    /// Builds an image that is not compressed and unpacks it with Debian's cpio; gives the folder.
    pub(crate) fn unpacked(&self, arguments: &[&str]) -> PathBuf {
        let image = self.text("unpacked.img");
        assert_done(&self.build("tree", &[arguments, &["--compress", "none", "-o", &image]].concat()));
        let folder = self.path("unpacked");
        fs::create_dir_all(&folder).unwrap();
        // Not the device node: making one takes a privilege that a test should not need.
        cpio(&folder, &["-i", "-d", "--nonmatching", "dev/console"], &fs::read(image).unwrap());
        folder
    }
}

/// The command under test.
pub(crate) fn surefoot(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
    command.args(arguments);
    command
}

/// Fails unless the command said that all is done.
pub(crate) fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// What the command wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs Debian's cpio with an archive on its standard input; gives its standard output.
pub(crate) fn cpio(folder: &Path, arguments: &[&str], archive: &[u8]) -> String {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(archive).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = Command::new("cpio").args(arguments).arg("--quiet").current_dir(folder).stdin(input).output();
    let output = output.expect("this test needs Debian's cpio");
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A kernel module that says this about itself. depmod does not look at `depends=` but at symbols: the module exports one
/// that is named after it, and uses those of its dependencies.
pub(crate) fn module(name: &str, info: &[&str], version: &str) -> Vec<u8> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let segment = elf.segment_name(StandardSegment::Data).to_vec();
    let modinfo = elf.add_section(segment.clone(), b".modinfo".to_vec(), SectionKind::ReadOnlyData);
    let vermagic = format!("vermagic={version} SMP preempt mod_unload modversions ");
    for text in info.iter().copied().chain([vermagic.as_str()]) {
        elf.append_section_data(modinfo, format!("{text}\0").as_bytes(), 1);
    }
    let exported = elf.add_section(segment, b"__ksymtab_strings".to_vec(), SectionKind::ReadOnlyString);
    elf.append_section_data(exported, &[&symbol(name)[..], b"\0"].concat(), 1);
    let depends = info.iter().filter_map(|text| text.strip_prefix("depends=")).flat_map(|names| names.split(','));
    for needed in depends.filter(|name| !name.is_empty()) {
        elf.add_symbol(Symbol {
            name: symbol(needed),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        });
    }
    elf.write().unwrap()
}

/// The symbol that the module of this name exports.
fn symbol(module: &str) -> Vec<u8> {
    format!("{}_start", module.replace('-', "_")).into_bytes()
}

/// The header of an x86-64 program, with an interpreter if one is named (ELF-64 Object File Format, version 1.5).
pub(crate) fn program(interpreter: Option<&str>) -> Vec<u8> {
    let text = interpreter.unwrap_or_default().as_bytes();
    let kind: u32 = if interpreter.is_some() { 3 } else { 1 };
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2u16, 62].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend(1u32.to_le_bytes());
    elf.extend([0u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 1, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend([kind, 4].iter().flat_map(|word| word.to_le_bytes()));
    let size = text.len() as u64;
    elf.extend([120u64, 0, 0, size, size, 1].iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(text);
    elf
}
