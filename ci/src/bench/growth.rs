//! How a boot grows with what a machine has.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::marker::{self, Marker};
use super::plot::{self, Curve};
use super::section::{Section, millions, ratio, thousands, used};
use super::subject::{Clock, Start, Subject, empty_state};
use crate::batch;
use crate::command::{command, run};
use crate::disk::{Disk, Partition, SYSROOT, types};
use crate::drive::Drive;
use crate::edit::Edit;
use crate::filesystem::{Directory, Filesystem, Place};
use crate::images::Images;
use crate::kernel::Package;
use crate::vm::Vm;

/// How often each machine is run, unless the environment variable `RUNS` says otherwise: the quickest run counts.
const RUNS: u64 = 3;

/// Bytes of the state partition with many files.
const STATE_BYTES: u64 = 512 << 20;

/// A machine with so many of something, or about as many: it says how many.
type Machine = fn(&Subject, &Path, usize) -> Result<(usize, Vm)>;

/// Something that a machine has more or less of.
struct Growth<'m> {
    what: &'static str,
    counts: &'static [usize],
    subject: &'m Subject,
    /// When the real init is started there as the first program.
    base: u64,
    machine: Machine,
}

/// The table, and a drawing of it (SVG).
///
/// # Errors
/// When the real init is not reached by one of the machines.
pub fn compare(subject: &Subject) -> Result<(Section, String)> {
    let runs = batch::count("RUNS", RUNS)?;
    // The usual kernel has fewer modules.
    let all_modules = &Subject::new(Package::Full612)?;
    let (base, base_of_all) = (subject.base(runs)?, all_modules.base(runs)?);
    let method = format!(
        "A machine as above with an initramfs for it, and more and more of one thing: the least of {runs} runs, counted in \
         instructions. *Each more* is what one more of them costs, beside the row before: files in the upper layer cost nothing \
         (flat), of all else each costs its share (linear). Memory is what is used when the real init starts, beyond that of the \
         first row. Where the disk is another one, this boot is the first that uses its state partition.\n\n\
         Modules are packed from kernel {}, which has more of them than the usual one; they are those of sound, networks, media, \
         graphics, sensors and USB, of which the machine has none: what is packed is unpacked, and deleted. Deployments are image \
         files, all of them one file under other names; the 16 best are looked into, the others only listed.\n\n\
         ![The time until the hand-over](growth.svg)",
        all_modules.kernel.release
    );
    let columns = ["what grows", "count", "instructions", "of the first", "each more", "memory"];
    let mut section = Section::new("Growth", method, &columns);
    let usual = |what, counts, machine| Growth { what, counts, subject, base, machine };
    let growths = [
        usual("partitions", &[3, 16, 64, 128], partitions),
        usual("block devices", &[1, 16, 64], devices),
        Growth { subject: all_modules, base: base_of_all, ..usual("modules packed", &[30, 100, 1000, 2000], modules) },
        usual("files in /etc's upper layer", &[1, 100, 10_000], files),
        usual("deployments", &[2, 10, 100, 1000], deployments),
    ];
    let mut curves = Vec::new();
    for growth in growths {
        curves.push(growth.measure(runs, &mut section)?);
    }
    let drawing = plot::draw("From the first program to the hand-over", "of the first figure", &curves);
    Ok((section, drawing))
}

impl Growth<'_> {
    /// Measures each of the machines, and adds its row.
    fn measure(&self, runs: u64, section: &mut Section) -> Result<Curve> {
        let Self { what, subject, base, .. } = self;
        let mut curve = Curve { name: (*what).to_owned(), points: Vec::new() };
        let (mut first, mut before) = (None, None);
        for &count in self.counts {
            let scratch = tempfile::tempdir()?;
            let told = || format!("{count} {what}");
            let (count, vm) = (self.machine)(subject, scratch.path(), count).with_context(told)?;
            let Marker { nanoseconds, free_kib } = marker::quickest(&vm, runs).with_context(told)?;
            let (count, time) = (u32::try_from(count)?, nanoseconds.saturating_sub(*base));
            let (first_time, first_free) = *first.get_or_insert((time, free_kib));
            let each = before.replace((count, time)).map(|(count_before, time_before): (u32, u64)| {
                let more = count.saturating_sub(count_before).max(1);
                time.saturating_sub(time_before) / u64::from(more)
            });
            section.push([
                (*what).to_owned(),
                count.to_string(),
                millions(time),
                ratio(time, first_time),
                each.map_or("-".to_owned(), thousands),
                used(first_free, free_kib),
            ]);
            let precise = |instructions: u64| u32::try_from(instructions / 1000).map(f64::from);
            curve.points.push((count.into(), precise(time)? / precise(first_time)?));
        }
        Ok(curve)
    }
}

fn counted(subject: &Subject, start: &Start, disk: Drive) -> Vm {
    subject.machine("growth", start, disk, Clock::Instructions)
}

/// The usual disk, with partitions of nothing behind the three that are needed.
fn partitions(subject: &Subject, scratch: &Path, count: usize) -> Result<(usize, Vm)> {
    let more = (3..count).map(|number| Partition::zeros(&format!("data-{number}"), types::LINUX, 1 << 20));
    let disk = subject.disk_with(&scratch.join("disk"), &empty_state()?, more)?;
    Ok((count, counted(subject, &subject.surefoot()?, Drive::new(&disk))))
}

/// The usual disk, and empty ones on a SCSI controller, whose drivers are packed in any case.
fn devices(subject: &Subject, _: &Path, count: usize) -> Result<(usize, Vm)> {
    let start = subject.surefoot_with(&["--module", "virtio_scsi", "--module", "sd_mod"])?;
    let mut vm = counted(subject, &start, subject.drive()).device("virtio-scsi-pci,id=many");
    for number in 1..count {
        vm = vm.backend(&format!("if=none,id=empty{number},driver=null-co,size=1048576,read-zeroes=on"));
        vm = vm.device(&format!("scsi-hd,bus=many.0,drive=empty{number}"));
    }
    Ok((count, vm))
}

/// Folders of modules for devices that the machine has none of, whatever their aliases tell.
const ELSEWHERE: [&str; 7] =
    ["/sound/pci/", "/sound/soc/", "/net/", "/drivers/media/", "/drivers/gpu/", "/drivers/iio/", "/drivers/usb/"];

/// More modules in the initramfs, none of which the machine needs: by their names.
fn modules(subject: &Subject, _: &Path, count: usize) -> Result<(usize, Vm)> {
    let mut files = subject.kernel.modules()?;
    files.retain(|file| ELSEWHERE.iter().any(|folder| file.to_string_lossy().contains(folder)));
    let mut names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()?.split('.').next()).collect();
    names.sort_unstable();
    let with = |named: usize| -> Result<(usize, Start)> {
        let words = names.iter().take(named).flat_map(|name| ["--module", *name]).collect::<Vec<_>>();
        let start = subject.surefoot_with(&words)?;
        let list = "zstd -dc -- \"$1\" | cpio --quiet -t | grep -c '[.]ko$'";
        Ok((run(command("sh").args(["-ec", list, "sh"]).arg(&start.initramfs))?.trim().parse()?, start))
    };
    // What the machine needs comes on top, and what those that are named need: so many fewer are named in proportion.
    let (least, _) = with(0)?;
    let wanted = count.saturating_sub(least);
    let (found, _) = with(wanted)?;
    let (found, start) = with(wanted * wanted / found.saturating_sub(least).max(1))?;
    Ok((found, counted(subject, &start, subject.drive()).memory_mib(2048)))
}

/// A state partition with files that were changed below /etc.
fn files(subject: &Subject, scratch: &Path, count: usize) -> Result<(usize, Vm)> {
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
    Ok((count, counted(subject, &subject.surefoot()?, Drive::new(&disk))))
}

/// A partition with image files, all of them the same one under other names, each with its hash tree behind it.
fn deployments(subject: &Subject, scratch: &Path, count: usize) -> Result<(usize, Vm)> {
    let first = "images/root_1.raw";
    let mut images = Images::new().appended(first, &subject.tree);
    for number in 2..=count {
        images = images.edit(Edit::Link(first.to_owned(), format!("images/root_{number}.raw")));
    }
    let files = images.build()?;
    let disk = Disk::create(&scratch.join("disk"), 512, &[files.partition(), Partition::state(&empty_state()?)])?;
    let start = subject.surefoot_with(&["--module", "loop"])?;
    let words = format!("root=PARTLABEL={SYSROOT} surefoot.deployment=auto {}", files.accept());
    Ok((count, counted(subject, &Start { words, ..start }, Drive::new(&disk))))
}
