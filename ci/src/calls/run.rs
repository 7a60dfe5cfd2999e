//! One run of `carry-out` after the other, and what must be true after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, umount2};
use sys::Errno;
use sys::device_mapper::Control;
use sys::file::AsFd;
use sys::loop_device::{self, LoopDevice, Options};

use super::End;
use super::cases::Case;
use super::report::{BEGIN, END, Report, mounts, without_numbers};
use super::room::{self, PROGRAM};
use crate::command::command;

/// Calls that are the test program's own: memory, threads, and its end. A handle that was not closed goes with the program.
const OWN: [&str; 14] = [
    "brk",
    "close",
    "execve",
    "exit",
    "exit_group",
    "futex",
    "getrandom",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "rt_sigaction",
    "rt_sigprocmask",
];

/// How long a run may last: one takes a fraction of a second.
const PATIENCE: &str = "30s";
/// How long the kernel may take to give a loop device back when nobody uses it any more.
const GRACE: Duration = Duration::from_secs(10);

const TRACE: &str = "/tmp/trace";
/// Where nodes and links of the device-mapper are; it need not be there.
const MAPPER: &str = "/dev/mapper";
/// How strace(1) names the requests of ioctl(2) that go to the device-mapper.
const MAPPER_REQUEST: &str = " DM_";
/// Names of the devices that PID 1 makes there.
const MAPPED: [&str; 2] = ["root", "usr"];

/// One call of PID 1: the `number`-th of its name since the program began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    name: String,
    number: usize,
    /// Its place among those of PID 1, from 1.
    place: usize,
    /// Whether it is a request to the device-mapper.
    pub(super) is_to_mapper: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({} {})", self.place, self.name, self.number)
    }
}

/// What is there that a run could leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Traces {
    mounts: Vec<String>,
    files: BTreeSet<PathBuf>,
    devices: BTreeSet<String>,
}

/// Runs the program for one case.
pub(super) struct Runner<'c> {
    case: &'c Case,
    disks: Vec<LoopDevice>,
    before: Traces,
    /// What comes up without a fault.
    usual: Report,
}

impl<'c> Runner<'c> {
    pub(super) fn new(case: &'c Case) -> Result<Self> {
        let disks = (0..case.disks.len()).map(attach).collect::<Result<_>>()?;
        let before = Traces { mounts: Vec::new(), files: BTreeSet::new(), devices: BTreeSet::new() };
        let mut runner = Self { case, disks, before, usual: Report::default() };
        runner.renew()?;
        runner.before = runner.traces()?;
        let (usual, _) = runner.run(&[])?;
        runner.usual = usual.map_err(anyhow::Error::msg).context("without a fault")?;
        ensure!(runner.usual.started.is_some(), "it does not come up without a fault: {:?}", runner.usual);
        ensure!(runner.left()?.is_empty(), "without a fault something is left: {:?}", runner.left()?);
        Ok(runner)
    }

    /// The calls that PID 1 makes.
    pub(super) fn calls(&mut self) -> Result<Vec<Call>> {
        let (report, trace) = self.run(&[])?;
        let report = report.map_err(anyhow::Error::msg)?;
        ensure!(report == self.usual, "two runs differ without a fault: {report:?} and {:?}", self.usual);
        calls_of(&trace)
    }

    /// Has one call fail. The text is the reason, or what is wrong.
    pub(super) fn fail(&mut self, call: &Call, error: &str) -> Result<(End, String)> {
        let Call { name, number, .. } = call;
        // With a filter, which wants `-f`, strace stops the program at these calls alone.
        let traced = ["-f", "--seccomp-bpf", "-e", &format!("trace={name}")];
        let injected = ["-e", &format!("inject={name}:error={error}:when={number}")];
        let words = [&traced[..], &injected].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (report, trace) = self.run(&words)?;
        ensure!(trace.contains("(INJECTED)"), "{call} was not made to fail:\n{trace}");
        let mut left = self.left()?;
        let report = match report {
            Ok(report) => report,
            Err(why) => {
                self.clean_up()?;
                left.insert(0, why);
                return Ok((End::Wrong, left.join("; ")));
            }
        };
        let reason = report.reason.clone().unwrap_or_default();
        let said = format!("{reason} {}", report.said.join("; "));
        let (mut end, mut what) = (End::Failed, said.clone());
        if report.started.is_some() {
            let differ = |one: &Report, other: &Report| {
                let lines = one.mounts.iter().filter(|line| !other.mounts.contains(line));
                lines.cloned().collect::<Vec<_>>().join(", ")
            };
            let (more, less) = (differ(&report, &self.usual), differ(&self.usual, &report));
            what = format!("another root, with {more}; without {less}; it said: {said}");
            let is_usual = report.started == self.usual.started;
            end = match error {
                _ if report.mounts == self.usual.mounts && is_usual => End::Started,
                // Why it was not the first choice is told.
                _ if report.mounts == self.usual.mounts && says_why(&said) => End::FellBack,
                // What is in memory in the place of something that failed is told.
                _ if !report.said.is_empty() && self.case.words.contains("state.missing=tmpfs") => End::Degraded,
                // What the kernel says is not there is not there.
                "ENOENT" => End::Believed,
                _ => End::Wrong,
            };
        } else if !(says_why(&reason) || error == "ENOENT") || reason.contains("nothing else can be tried") {
            end = End::Wrong;
        }
        if end == End::Wrong {
            left.push("it should not have ended so".to_owned());
        }
        if !left.is_empty() {
            self.clean_up()?;
            left.push(what);
            return Ok((End::Wrong, left.join("; ")));
        }
        Ok((end, what))
    }

    /// Runs it with these words of strace. Gives what it reported, or how it ended without a report; and the trace.
    fn run(&mut self, words: &[String]) -> Result<(Result<Report, String>, String)> {
        self.renew()?;
        let mut traced = command("timeout");
        traced.args(["--signal=KILL", PATIENCE, "strace", "-qq", "-e", "signal=none", "-o", TRACE]).args(words);
        let names: Vec<_> = self.disks.iter().map(|disk| format!("loop{}", disk.number)).collect();
        let mut cmdline = self.case.words.clone();
        for (number, name) in names.iter().enumerate() {
            cmdline = cmdline.replace(&format!("{{{number}}}"), name);
        }
        let output = traced.arg(PROGRAM).arg(cmdline).args(&names).output().context("strace")?;
        let trace = fs::read_to_string(TRACE).unwrap_or_default();
        let text = String::from_utf8_lossy(&output.stdout);
        let Ok(mut report) = serde_json::from_str::<Report>(&text) else {
            let said = String::from_utf8_lossy(&output.stderr);
            let how = format!("it ended {} (signal {:?}): {text}{said}", output.status, output.status.signal());
            return Ok((Err(how), trace));
        };
        for line in &mut report.mounts {
            for (number, name) in names.iter().enumerate() {
                *line = line.replace(&format!("/dev/{name} "), &format!("disk {number} "));
            }
            *line = without_numbers(line, "/dev/loop");
            // The kernel shows this of an overlay alone whose upper directory is used for the first time (`ovl_init_uuid_xattr`).
            *line = line.replace(",uuid=on", "");
        }
        report.mounts.retain(|line| !self.before.mounts.contains(line));
        Ok((Ok(report), trace))
    }

    /// Makes everything as it was before the first run.
    fn renew(&mut self) -> Result<()> {
        for entry in fs::read_dir("/run")? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }?;
        }
        fs::create_dir("/run/surefoot")?;
        for number in 0..self.disks.len() {
            let disk = &self.case.disks[number];
            if disk.renewed {
                let (image, copy) = (room::image(number), room::image(number) + ".run");
                if Path::new(&copy).exists() {
                    fs::remove_file(&copy)?;
                }
                fs::copy(&image, &copy)?;
                self.disks[number] = attach_file(&copy)?;
            }
        }
        Ok(())
    }

    fn traces(&self) -> Result<Traces> {
        let mut files = BTreeSet::new();
        gather(Path::new("/run"), &mut files)?;
        gather(Path::new("/sysroot"), &mut files)?;
        if Path::new(MAPPER).exists() {
            gather(Path::new(MAPPER), &mut files)?;
        }
        let mut devices = BTreeSet::new();
        for entry in fs::read_dir("/sys/block")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let backing = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
            let inner = backing.trim().rsplit('/').next().unwrap_or_default().to_owned();
            if name.starts_with("dm-") || self.case.inner.contains(&inner) {
                devices.insert(format!("{name} {inner}"));
            }
        }
        // A device without a table is not in sysfs.
        let mapped = mapped()?.into_iter().map(|(name, _)| format!("device-mapper {name}"));
        devices.extend(mapped);
        Ok(Traces { mounts: mounts()?, files, devices })
    }

    /// What a run has left behind.
    fn left(&self) -> Result<Vec<String>> {
        let start = Instant::now();
        loop {
            let traces = self.traces()?;
            if traces == self.before {
                return Ok(Vec::new());
            }
            if start.elapsed() > GRACE || traces.devices == self.before.devices {
                let mounts = traces.mounts.iter().filter(|line| !self.before.mounts.contains(line));
                let files = traces.files.difference(&self.before.files).map(|path| path.display().to_string());
                let devices = traces.devices.difference(&self.before.devices).cloned();
                let all = mounts.cloned().chain(files).chain(devices);
                return Ok(all.map(|what| format!("left: {what}")).collect());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes away what a run has left behind.
    fn clean_up(&self) -> Result<()> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
        let targets: Vec<_> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        for target in
            targets.iter().rev().filter(|target| target.starts_with("/run/") || target.starts_with("/sysroot"))
        {
            umount2(*target, MntFlags::MNT_DETACH).with_context(|| (*target).to_owned())?;
        }
        for (name, control) in mapped()? {
            control.remove(name).with_context(|| format!("remove the device {name}"))?;
        }
        let files = self.traces()?.files;
        for file in files.difference(&self.before.files).filter(|file| file.starts_with(MAPPER)) {
            fs::remove_file(file)?;
        }
        Ok(())
    }
}

/// The calls that PID 1 makes, by a trace of all calls.
fn calls_of(trace: &str) -> Result<Vec<Call>> {
    let (mut counts, mut calls, mut is_pid1) = (BTreeMap::<&str, usize>::new(), Vec::new(), false);
    for line in trace.lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let number = counts.entry(name).or_default();
        *number += 1;
        if arguments.contains(END) {
            return Ok(calls);
        }
        if is_pid1 && !OWN.contains(&name) {
            let is_to_mapper = name == "ioctl" && arguments.contains(MAPPER_REQUEST);
            calls.push(Call { name: name.to_owned(), number: *number, place: calls.len() + 1, is_to_mapper });
        }
        is_pid1 |= arguments.contains(BEGIN);
    }
    bail!("the trace has no end:\n{trace}")
}

/// Whether a reason says of what it speaks, and why. Of what is not there at all there need not be more to say.
fn says_why(reason: &str) -> bool {
    reason.contains(": ")
}

/// The devices of [`MAPPED`] that are there, each with where it can be removed.
fn mapped() -> Result<Vec<(&'static str, Control)>> {
    let mut there = Vec::new();
    for name in MAPPED {
        let control = match Control::open() {
            // Not every kernel has a device-mapper, even where there is its node.
            Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => return Ok(Vec::new()),
            control => control.context("open the device-mapper")?,
        };
        if control.status(name) != Err(Errno::NXIO) {
            there.push((name, control));
        }
    }
    Ok(there)
}

fn attach(number: usize) -> Result<LoopDevice> {
    attach_file(&room::image(number))
}

fn attach_file(path: &str) -> Result<LoopDevice> {
    let file = fs::File::options().read(true).write(true).open(path)?;
    loop_device::attach(file.as_fd(), Options { auto_clear: true, ..Options::default() })
        .with_context(|| format!("attach {path}"))
}

/// All that is no directory below `folder`.
fn gather(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Depth, ERRORS};

    const SAMPLE: &str = r#"ioctl(1, TCGETS, 0x7ffe) = -1 ENOTTY (Inappropriate ioctl for device)
statx(AT_FDCWD, "/surefoot-begin", 0, STATX_ALL, 0x7ffe) = -1 ENOENT (No such file or directory)
openat(AT_FDCWD, "/dev/mapper/control", O_RDONLY|O_CLOEXEC) = 3
ioctl(3, DM_VERSION, [{version=[4, 0, 0], data_size=2400, flags=0}]) = 0
close(3) = 0
ioctl(4, LOOP_CTL_GET_FREE) = 2
statx(AT_FDCWD, "/surefoot-end", 0, STATX_ALL, 0x7ffe) = -1 ENOENT (No such file or directory)
openat(AT_FDCWD, "/dev/null", O_RDONLY) = 3
"#;

    #[test]
    fn the_calls_of_pid1_are_counted_from_the_start_of_the_program() {
        let call =
            |name: &str, number, place, is_to_mapper| Call { name: name.to_owned(), number, place, is_to_mapper };
        let expected = [call("openat", 1, 1, false), call("ioctl", 2, 2, true), call("ioctl", 3, 3, false)];
        assert_eq!(calls_of(SAMPLE).unwrap(), expected);
        assert!(calls_of("openat(AT_FDCWD) = 3\n").is_err());
    }

    #[test]
    fn a_sample_has_every_request_to_the_device_mapper() {
        let calls = calls_of(SAMPLE).unwrap();
        let of =
            |depth: Depth| depth.of(&calls).into_iter().map(|(call, errors)| (call.place, errors)).collect::<Vec<_>>();
        assert_eq!(of(Depth::Sample(3)), [(1, &ERRORS[..1]), (2, &ERRORS[1..2])]);
        assert_eq!(of(Depth::One), [(1, &ERRORS[..1]), (2, &ERRORS[1..2]), (3, &ERRORS[2..3])]);
        assert_eq!(of(Depth::All), [(1, &ERRORS[..]), (2, &ERRORS[..]), (3, &ERRORS[..])]);
    }
}
