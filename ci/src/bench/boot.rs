//! The boot table: ways from the kernel to the real init.

use std::fs;

use anyhow::{Context, Result};

use super::peers::{For, Peers};
use super::section::{Section, kib, millions, milliseconds, ratio, used};
use super::subject::{Clock, HASH, ROOT, Start, Subject};
use crate::accelerator;
use crate::batch;
use crate::initramfs;

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
            Self::Surefoot => "surefoot, for this machine",
            Self::SurefootDefault => "surefoot, for all machines",
            Self::Busybox => "busybox and veritysetup",
            Self::Dracut => "dracut and systemd, for this machine, root alone",
            Self::InitramfsTools => "initramfs-tools, for all machines, unverified root alone",
        }
    }
}

/// How often each machine is run, unless the environment variable `RUNS` says otherwise: the quickest run counts.
const RUNS: u64 = 7;

/// The boot table: all ways beside the floor.
///
/// # Errors
/// When the real init is not reached by one of them.
pub fn compare(subject: &Subject, peers: &Peers) -> Result<Section> {
    let runs = batch::count("RUNS", RUNS)?;
    let method = format!(
        "The time from the start of a real init that is the kernel's first program to that of the same program behind the \
         hand-over, on kernel {} in QEMU, from one disk: an erofs with its hash tree, and a state partition that an earlier \
         boot has filled. The least of {runs} runs on one processor whose time is the number of instructions (`-icount \
         shift=0,sleep=off`), where one that waits does not sleep (`idle=poll`), and of as many on two processors by the \
         clock{}. What is made by hand (`ci/bench`) knows its modules and devices by heart; its initramfs is compressed as \
         surefoot's is. dracut and initramfs-tools set up the root alone, dracut with the least of its \
         modules and with no drivers but those of this machine.\n\n\
         Memory is what is used beyond what the first program alone has: *before*, when the initramfs is unpacked and nothing \
         of it has run yet, and *after*, when the real init starts, with the drivers and mounts that it finds. The difference, and \
         what those take, has been freed; the floor leaves its initramfs where it is.",
        subject.kernel.release,
        match accelerator::name() {
            "tcg" => {
                " (emulated by turns in one thread, where it costs time as well that each piece of a program is translated when it \
                 runs first, and that memory which held such a piece is used anew)"
            }
            _ => "",
        }
    );
    let columns = [
        "way",
        "instructions",
        "of the floor",
        "two processors",
        "of the floor",
        "initramfs",
        "memory before",
        "memory after",
    ];
    let mut section = Section::new("Boot", method, &columns);
    let base = subject.measure(Way::None, peers, runs)?;
    let mut floor = None;
    for way in Way::COMPARED {
        let found = subject.measure(way, peers, runs)?;
        let [counted, wall] = [0, 1].map(|clock: usize| found.times[clock].saturating_sub(base.times[clock]));
        let (floor_counted, floor_wall) = *floor.get_or_insert((counted, wall));
        section.push([
            way.name().to_owned(),
            millions(counted),
            ratio(counted, floor_counted),
            milliseconds(wall),
            ratio(wall, floor_wall),
            kib(found.initramfs_bytes),
            used(base.free_kib.after, found.free_kib.before),
            used(base.free_kib.after, found.free_kib.after),
        ]);
    }
    Ok(section)
}

/// The quickest runs of one way.
struct Quickest {
    /// Nanoseconds from the kernel's start on: counted, and by the clock.
    times: [u64; 2],
    free_kib: Free,
    initramfs_bytes: u64,
}

/// Memory that is free, in KiB.
struct Free {
    /// When the initramfs is unpacked.
    before: u64,
    /// When the real init starts.
    after: u64,
}

impl Subject {
    fn measure(&self, way: Way, peers: &Peers, runs: u64) -> Result<Quickest> {
        let start = self.start(way, peers).context(way.name())?;
        let run = |clock| self.quickest(&format!("bench-{way:?}"), &start, clock, runs).context(way.name());
        let (counted, wall) = (run(Clock::Instructions)?, run(Clock::Wall)?);
        let before = self.before(&format!("bench-{way:?}"), &start).context(way.name())?;
        Ok(Quickest {
            times: [counted.nanoseconds, wall.nanoseconds],
            free_kib: Free { before: before.free_kib, after: counted.free_kib },
            initramfs_bytes: fs::metadata(&start.initramfs)?.len(),
        })
    }

    /// Makes the initramfs of one way.
    ///
    /// # Errors
    /// What the tools say.
    pub fn start(&self, way: Way, peers: &Peers) -> Result<Start> {
        let archive = self.path(&format!("{way:?}.img"));
        let (initramfs, words) = match way {
            Way::None => return self.nothing(),
            Way::Floor => (self.pack("floor", |top| self.floor(true, top))?, String::new()),
            Way::FloorRoot => (self.pack("floor-root", |top| self.floor(false, top))?, String::new()),
            Way::Surefoot => return self.surefoot(),
            Way::SurefootDefault => (initramfs::build(&self.kernel, &[])?, self.roothash()),
            Way::Busybox => (self.pack("busybox", |top| self.busybox(top, peers))?, String::new()),
            Way::Dracut => {
                peers.dracut(For::ThisMachine, &archive)?;
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
}
