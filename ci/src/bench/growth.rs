//! How a boot grows with what a machine has.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::marker::{self, Marker};
use super::plot::{self, Curve};
use super::section::{Section, kib, milliseconds, ratio};
use super::subject::{Clock, Start, Subject, empty_state};
use crate::batch;
use crate::disk::{Disk, Partition, SYSROOT, types};
use crate::drive::Drive;
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem, Place};
use crate::images::Images;
use crate::paths;
use crate::vm::Vm;

/// How often each machine is run, unless the environment variable `RUNS` says otherwise: the quickest run counts.
const RUNS: u64 = 3;

/// Bytes of the state partition with many files.
const STATE_BYTES: u64 = 512 << 20;

/// A machine with so many of something.
type Machine<'m> = dyn Fn(&Path, usize) -> Result<Vm> + 'm;

/// Something that a machine has more or less of.
struct Growth<'m> {
    what: &'static str,
    counts: &'static [usize],
    machine: &'m Machine<'m>,
}

/// The table, and the drawing `docs/growth.svg` beside it.
///
/// # Errors
/// When the real init is not reached by one of the machines.
pub fn compare(subject: &Subject) -> Result<Section> {
    let runs = batch::count("RUNS", RUNS)?;
    let method = format!(
        "A machine as above with an initramfs for it, and more and more of one thing: the least of {runs} runs, counted in \
         instructions. Memory is what is used at the hand-over beyond what the first of each has. Where the disk is another \
         one, this boot is the first that uses its state partition. Of the modules so many are named, and what they need comes \
         on top.\n\n\
         ![The time until the hand-over](growth.svg)"
    );
    let columns = ["what grows", "count", "instructions", "of the first", "memory"];
    let mut section = Section::new("Growth", method, &columns);
    let base = subject.base(runs)?;
    let growths = [
        Growth {
            what: "partitions",
            counts: &[3, 16, 64, 128],
            machine: &|scratch, count| partitions(subject, scratch, count),
        },
        Growth { what: "block devices", counts: &[1, 16, 64], machine: &|_, count| devices(subject, count) },
        Growth { what: "modules packed", counts: &[20, 100, 1000], machine: &|_, count| modules(subject, count) },
        Growth {
            what: "files in /etc's upper layer",
            counts: &[1, 100, 10_000],
            machine: &|scratch, count| files(subject, scratch, count),
        },
        Growth {
            what: "deployments",
            counts: &[2, 10, 100, 1000],
            machine: &|scratch, count| deployments(subject, scratch, count),
        },
    ];
    let mut curves = Vec::new();
    for Growth { what, counts, machine } in growths {
        let mut curve = Curve { name: what.to_owned(), points: Vec::new() };
        let mut first = None;
        for &count in counts {
            let scratch = tempfile::tempdir()?;
            let vm = machine(scratch.path(), count).with_context(|| format!("{count} {what}"))?;
            let least = marker::quickest(&vm, runs).with_context(|| format!("{count} {what}"))?;
            let Marker { nanoseconds, free_kib } = least;
            let time = nanoseconds.saturating_sub(base);
            let (first_time, first_free) = *first.get_or_insert((time, free_kib));
            let used = first_free.saturating_sub(free_kib);
            section.push([
                what.to_owned(),
                count.to_string(),
                milliseconds(time),
                ratio(time, first_time),
                kib(used * 1024),
            ]);
            let precise = |number: u64| u32::try_from(number).map_or(f64::INFINITY, f64::from);
            curve.points.push((precise(count as u64), precise(time / 1000) / 1000.0));
        }
        curves.push(curve);
    }
    let drawing = plot::draw("From the first program to the hand-over", "million instructions", &curves);
    fs::write(paths::workspace().join("docs/growth.svg"), drawing)?;
    Ok(section)
}

fn counted(subject: &Subject, start: &Start, disk: Drive) -> Vm {
    subject.machine("growth", start, disk, Clock::Instructions)
}

/// The usual disk, with partitions of nothing behind the three that are needed.
fn partitions(subject: &Subject, scratch: &Path, count: usize) -> Result<Vm> {
    let more = (3..count).map(|number| Partition::zeros(&format!("data-{number}"), types::LINUX, 1 << 20));
    let disk = subject.disk_with(&scratch.join("disk"), &empty_state()?, more)?;
    Ok(counted(subject, &subject.surefoot()?, Drive::new(&disk)))
}

/// The usual disk, and empty ones on a SCSI controller, whose drivers are packed in any case.
fn devices(subject: &Subject, count: usize) -> Result<Vm> {
    let start = subject.surefoot_with(&["--module", "virtio_scsi", "--module", "sd_mod"])?;
    let mut vm = counted(subject, &start, subject.drive()).device("virtio-scsi-pci,id=many");
    for number in 1..count {
        vm = vm.backend(&format!("if=none,id=empty{number},driver=null-co,size=1048576,read-zeroes=on"));
        vm = vm.device(&format!("scsi-hd,bus=many.0,drive=empty{number}"));
    }
    Ok(vm)
}

/// More modules in the initramfs, none of which the machine needs: as they come in the kernel's folder.
fn modules(subject: &Subject, count: usize) -> Result<Vm> {
    let files = subject.kernel.modules()?;
    let mut names: Vec<_> = files.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
    names.sort_unstable();
    // What the machine needs by itself is there without being named.
    let more = names.iter().take(count.saturating_sub(20)).flat_map(|name| ["--module", *name]).collect::<Vec<_>>();
    let start = subject.surefoot_with(&more)?;
    Ok(counted(subject, &start, subject.drive()).memory_mib(1024))
}

/// A state partition with files that were changed below /etc.
fn files(subject: &Subject, scratch: &Path, count: usize) -> Result<Vm> {
    let top = scratch.join("state");
    let upper = top.join("etc/upper");
    for folder in ["etc/upper", "etc/work", "var", "home"] {
        fs::create_dir_all(top.join(folder))?;
    }
    for number in 0..count {
        fs::write(upper.join(format!("file-{number:05}")), "changed\n")?;
    }
    let image = scratch.join("state.img");
    let directory =
        Directory { top: &top, bytes: STATE_BYTES, label: "state", immutable: Vec::new(), place: Place::Top };
    directory.image(Filesystem::Ext4, &image)?;
    let disk = subject.disk_with(&scratch.join("disk"), &image, [])?;
    Ok(counted(subject, &subject.surefoot()?, Drive::new(&disk)))
}

/// A partition with image files, all of them the same one under other names, each with its hash tree behind it.
fn deployments(subject: &Subject, scratch: &Path, count: usize) -> Result<Vm> {
    let first = "images/root_1.raw";
    let mut images = Images::new().appended(first, &subject.tree);
    for number in 2..=count {
        images = images.edit(Edit::Link(first.to_owned(), format!("images/root_{number}.raw")));
    }
    let files = images.build()?;
    let disk = Disk::create(&scratch.join("disk"), 512, &[files.partition(), Partition::state(&empty_state()?)])?;
    let start = subject.surefoot_with(&["--module", "loop"])?;
    let words = format!("root=PARTLABEL={SYSROOT} surefoot.deployment=auto {}", files.accept());
    Ok(counted(subject, &Start { words, ..start }, Drive::new(&disk)))
}
