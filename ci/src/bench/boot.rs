//! The machine that all rows of the boot table start: one kernel, one disk, the marker as real init.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::marker::{self, Marker};
use super::peers::Peers;
use super::section::{Section, kib, milliseconds, ratio};
use crate::batch;
use crate::command::{command, run};
use crate::disk::{self, Disk, Partition};
use crate::drive::Drive;
use crate::filesystem::{Filesystem, empty_ext4};
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::paths;
use crate::size::describe_virtio_machine;
use crate::tree::Tree;
use crate::verity::{self, HashTree};
use crate::vm::Vm;

/// Modules of [`Package::Cloud61`] that the root takes, in an order in which they can be loaded. virtio_blk brings the disk
/// before its time is over; ext4 is a part of that kernel.
const MODULES: [&str; 14] = [
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio",
    "virtio_pci",
    "virtio_blk",
    "reed_solomon",
    "dm-mod",
    "dm-bufio",
    "dm-verity",
    "sha256-ssse3",
    "libcrc32c",
    "erofs",
    "overlay",
];

/// What follows MODULES for the root alone.
const LAYERS_ALONE: &str = "overlay";

/// Bytes of the state partition.
const STATE_BYTES: u64 = 32 << 20;

/// Names of the disk's partitions in the guest.
const ROOT: &str = "/dev/vda1";
const HASH: &str = "/dev/vda2";
const STATE: &str = "/dev/vda3";

/// What brings the machine from the kernel to the real init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing: the real init is the kernel's first program.
    None,
    /// `ci/bench/floor.c`, the root alone.
    FloorRoot,
    /// The same with state, `/etc`, `/var` and `/home`.
    Floor,
    /// surefoot with an initramfs for this machine (`--host-only`).
    Surefoot,
    /// surefoot with its default initramfs, for all machines.
    SurefootDefault,
    /// `ci/bench/busybox.sh`.
    Busybox,
    /// dracut with systemd, the root alone.
    Dracut,
    /// Debian's initramfs-tools, the root alone and unverified.
    InitramfsTools,
}

impl Way {
    /// All that are compared, the one that they are compared with first.
    pub const COMPARED: [Self; 7] = [
        Self::Floor,
        Self::FloorRoot,
        Self::Surefoot,
        Self::SurefootDefault,
        Self::Busybox,
        Self::InitramfsTools,
        Self::Dracut,
    ];

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::FloorRoot => "floor in C, root alone",
            Self::Floor => "floor in C, the same mounts",
            Self::Surefoot => "surefoot, --host-only",
            Self::SurefootDefault => "surefoot, for all machines",
            Self::Busybox => "busybox and veritysetup",
            Self::Dracut => "dracut and systemd, root alone",
            Self::InitramfsTools => "initramfs-tools, unverified root alone",
        }
    }
}

/// How the time of a machine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By instructions, on one processor.
    Instructions,
    /// As everyone's, on two processors.
    Wall,
}

/// What is started.
#[derive(Debug)]
pub struct Subject {
    /// The kernel.
    pub kernel: Kernel,
    disk: Disk,
    hash_tree: HashTree,
    sectors: u64,
    scratch: tempfile::TempDir,
}

/// An initramfs, and the words that it wants.
#[derive(Clone, Debug)]
pub struct Start {
    /// The initramfs.
    pub initramfs: PathBuf,
    words: String,
}

/// How often each machine is run, unless the environment variable `RUNS` says otherwise: the quickest run counts.
const RUNS: u64 = 7;

/// The boot table: all ways beside the floor.
///
/// # Errors
/// When the real init is not reached by one of them.
pub fn compare(subject: &Subject, peers: &Peers) -> Result<Section> {
    let runs = usize::try_from(batch::count("RUNS", RUNS)?)?;
    let method = format!(
        "The time from the start of a real init that is the kernel's first program to that of the same program behind the \
         hand-over, on kernel {} in QEMU, from one disk: an erofs with its hash tree, and a state partition that an earlier \
         boot has filled. The least of {runs} runs on one processor whose time is the number of instructions (`-icount \
         shift=0,sleep=off`), and of as many on two processors by the clock. A processor that waits does not sleep \
         (`idle=poll`). Memory is what is used then beyond what the first program alone has. What is made by hand \
         (`ci/bench`) knows its modules and devices by heart; its initramfs is compressed as surefoot's is. dracut and \
         initramfs-tools set up the root alone.",
        subject.kernel.release
    );
    let columns = ["way", "instructions", "of the floor", "two processors", "of the floor", "initramfs", "memory used"];
    let mut section = Section::new("Boot", method, &columns);
    let base = subject.quickest(Way::None, peers, runs)?;
    let mut floor = None;
    for way in Way::COMPARED {
        let found = subject.quickest(way, peers, runs)?;
        let [counted, wall] = [0, 1].map(|clock: usize| found.times[clock].saturating_sub(base.times[clock]));
        let (floor_counted, floor_wall) = *floor.get_or_insert((counted, wall));
        section.push([
            way.name().to_owned(),
            milliseconds(counted),
            ratio(counted, floor_counted),
            milliseconds(wall),
            ratio(wall, floor_wall),
            kib(found.initramfs_bytes),
            kib(base.free_kib.saturating_sub(found.free_kib) * 1024),
        ]);
    }
    Ok(section)
}

/// The quickest runs of one way.
struct Quickest {
    /// Nanoseconds from the kernel's start on: counted, and by the clock.
    times: [u64; 2],
    free_kib: u64,
    initramfs_bytes: u64,
}

impl Subject {
    fn quickest(&self, way: Way, peers: &Peers, runs: usize) -> Result<Quickest> {
        let start = self.start(way, peers).context(way.name())?;
        let run = |clock| -> Result<Marker> {
            let markers = (0..runs).map(|_| self.run(&format!("bench-{way:?}"), &start, clock));
            let markers: Vec<_> = markers.collect::<Result<_>>().context(way.name())?;
            markers.into_iter().min().context("no run")
        };
        let (counted, wall) = (run(Clock::Instructions)?, run(Clock::Wall)?);
        Ok(Quickest {
            times: [counted.nanoseconds, wall.nanoseconds],
            free_kib: counted.free_kib,
            initramfs_bytes: fs::metadata(&start.initramfs)?.len(),
        })
    }

    /// The instructions from the first program's start to the real init's, in the quickest of so many boots.
    ///
    /// # Errors
    /// When the real init is not reached.
    pub fn instructions(&self, runs: usize) -> Result<u64> {
        let least = |start: &Start| {
            let times = (0..runs).map(|_| Ok(self.run("instructions", start, Clock::Instructions)?.nanoseconds));
            times.collect::<Result<Vec<_>>>()?.into_iter().min().context("no run")
        };
        let boot = least(&self.surefoot()?)?;
        Ok(boot.saturating_sub(least(&self.nothing()?)?))
    }

    /// Makes the disk: an erofs with its hash tree, and an empty state partition.
    ///
    /// # Errors
    /// What the tools say.
    pub fn new() -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let marker = marker::compile("marker.c", scratch.path().join("marker"), &[])?;
        let mut tree = Tree::default();
        for name in ["dev", "etc", "home", "proc", "run", "sbin", "sys", "sysroot", "tmp", "usr", "usr/lib", "var"] {
            tree = tree.directory(name);
        }
        let root = Filesystem::Erofs.image(
            &tree
                .file("sbin/init", fs::read(&marker)?, 0o755)
                .file("etc/hostname", "measured\n", 0o644)
                .file("usr/lib/os-release", "ID=measured\n", 0o644)
                .symlink("etc/os-release", "../usr/lib/os-release"),
        )?;
        let hash_tree = verity::format(&root, &[])?;
        let mut partitions = disk::verity_pair(&root, &hash_tree);
        partitions.push(Partition::state(&empty_ext4(STATE_BYTES)?));
        let disk = Disk::create(&scratch.path().join("disk"), 512, &partitions)?;
        let sectors = fs::metadata(&root)?.len() / 512;
        let subject = Self { kernel: kernel::fetch(Package::Cloud61)?, disk, hash_tree, sectors, scratch };
        subject.live_through_first_boot()?;
        Ok(subject)
    }

    /// A state partition is filled once. What is measured is each boot after that.
    fn live_through_first_boot(&self) -> Result<()> {
        let start = self.surefoot()?;
        let vm = self.machine("bench-first-boot", &start).drive(Drive::new(&self.disk).keep_writes());
        marker::follow(&vm).map(drop)
    }

    /// Makes the initramfs of one way.
    ///
    /// # Errors
    /// What the tools say.
    pub fn start(&self, way: Way, peers: &Peers) -> Result<Start> {
        let archive = self.scratch.path().join(format!("{way:?}.img"));
        let (initramfs, words) = match way {
            Way::None => return self.nothing(),
            Way::FloorRoot | Way::Floor => (self.pack(way, &archive, |top| self.floor(way, top))?, String::new()),
            Way::Surefoot => return self.surefoot(),
            Way::SurefootDefault => (initramfs::build(&self.kernel, &[])?, self.roothash()),
            Way::Busybox => (self.pack(way, &archive, |top| self.busybox(top, peers))?, String::new()),
            Way::Dracut => {
                peers.dracut(&archive)?;
                let verity = format!("systemd.verity_root_data={ROOT} systemd.verity_root_hash={HASH}");
                let words = format!("{} {verity} root=/dev/mapper/root rootfstype=erofs ro", self.roothash());
                (archive, words)
            }
            Way::InitramfsTools => {
                peers.initramfs_tools(&archive)?;
                (archive, format!("root={ROOT} rootfstype=erofs ro"))
            }
        };
        Ok(Start { initramfs, words })
    }

    /// Runs the machine once.
    ///
    /// # Errors
    /// When the real init is not reached.
    pub fn run(&self, name: &str, start: &Start, clock: Clock) -> Result<Marker> {
        let vm = self.machine(name, start).drive(Drive::new(&self.disk));
        marker::follow(&if clock == Clock::Instructions { vm.counted() } else { vm.processors(2) })
    }

    /// A processor that has nothing to do looks for work instead of sleeping: a machine whose time is counted would wake up
    /// at the next tick of its timer, however early the disk answers.
    fn machine(&self, name: &str, start: &Start) -> Vm {
        Vm::new(name, &self.kernel, &start.initramfs).append("quiet idle=poll").append(&start.words)
    }

    fn roothash(&self) -> String {
        format!("roothash={}", self.hash_tree.root_hash)
    }

    fn nothing(&self) -> Result<Start> {
        let archive = self.scratch.path().join("nothing.img");
        let copy = |top: &Path| Ok(fs::copy(self.marker(), top.join("init")).map(drop)?);
        Ok(Start { initramfs: self.pack(Way::None, &archive, copy)?, words: String::new() })
    }

    fn surefoot(&self) -> Result<Start> {
        let machine = self.scratch.path().join("machine");
        describe_virtio_machine(&machine)?;
        let initramfs = initramfs::build(&self.kernel, &["--host-only", "--machine", &machine.to_string_lossy()])?;
        Ok(Start { initramfs, words: self.roothash() })
    }

    fn marker(&self) -> PathBuf {
        self.scratch.path().join("marker")
    }

    /// An archive of what `fill` puts into an empty folder, compressed as surefoot compresses its own.
    fn pack(&self, way: Way, archive: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let top = self.scratch.path().join(format!("{way:?}"));
        for name in ["", "dev", "proc", "sys", "run", "sysroot"] {
            fs::create_dir(top.join(name))?;
        }
        fill(&top)?;
        let script = "cd \"$1\" && find . | cpio --quiet -o -H newc | zstd -q -19 -o \"$2\"";
        run(command("sh").args(["-ec", script, "sh"]).args([&top, archive]))?;
        Ok(archive.to_owned())
    }

    /// Copies modules into an initramfs, and gives their places there.
    fn modules(&self, top: &Path, names: &[&str]) -> Result<Vec<String>> {
        let tree = run(command("find").arg(&self.kernel.tree).args(["-name", "*.ko"]))?;
        names
            .iter()
            .map(|name| {
                let file = format!("{name}.ko");
                let from = tree
                    .lines()
                    .find(|line| line.ends_with(&format!("/{file}")))
                    .with_context(|| format!("the kernel has no {file}"))?;
                fs::copy(from, top.join(&file))?;
                Ok(format!("/{file}"))
            })
            .collect()
    }

    fn floor(&self, way: Way, top: &Path) -> Result<()> {
        let layers = way == Way::Floor;
        let names: Vec<_> = MODULES.into_iter().filter(|name| layers || *name != LAYERS_ALONE).collect();
        let modules = self.modules(top, &names)?;
        let fixed = top.with_extension("fixed");
        fs::create_dir(&fixed)?;
        let mut header = String::new();
        let quoted: Vec<_> = modules.iter().map(|module| format!("\"{module}\"")).collect();
        writeln!(header, "#define MODULES {}", quoted.join(", "))?;
        writeln!(header, "#define SECTORS {}", self.sectors)?;
        writeln!(header, "#define TABLE \"{}\"", self.table()?)?;
        writeln!(header, "#define STATE \"{STATE}\"")?;
        if layers {
            writeln!(header, "#define LAYERS")?;
        }
        fs::write(fixed.join("fixed.h"), header)?;
        marker::compile("floor.c", top.join("init"), &[format!("-I{}", fixed.display())]).map(drop)
    }

    /// The parameters of the verity target: Documentation/admin-guide/device-mapper/verity.rst.
    fn table(&self) -> Result<String> {
        let dump = run(command("veritysetup").arg("dump").arg(&self.hash_tree.image))?;
        let field = |name: &str| {
            let line = dump.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).with_context(|| format!("veritysetup dump tells no {name}"))
        };
        ensure!(field("Hash block size:")? == "4096", "another block size");
        let (blocks, salt) = (field("Data blocks:")?, field("Salt:")?);
        Ok(format!("1 {ROOT} {HASH} 4096 4096 {blocks} 1 sha256 {} {salt}", self.hash_tree.root_hash))
    }

    fn busybox(&self, top: &Path, peers: &Peers) -> Result<()> {
        let modules = self.modules(top, &MODULES)?;
        let words = format!(
            "MODULES='{}' ROOT={ROOT} HASH={HASH} STATE={STATE} ROOT_HASH={}\n",
            modules.join(" "),
            self.hash_tree.root_hash
        );
        fs::write(top.join("fixed.sh"), words)?;
        fs::copy(paths::workspace().join("ci/bench/busybox.sh"), top.join("init"))?;
        peers.busybox(top)
    }
}
