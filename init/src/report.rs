//! The report of this boot: `/run/surefoot/boot.json`, described in `docs/boot-json.md`.

use core::cell::Cell;
use core::fmt::{self, Write};

use boot_config::Config;
use boot_config::config::UnknownKey;
use deployment::Facts;
use deployment::candidates::{Candidate, Trust};
use heapless::{String, Vec};
use sys::file::{self, Access, AsFd, BorrowedFd, OwnedFd};

use crate::choice::{self, Choice};
use crate::execute::NewRoot;
use crate::json::Json;
use crate::load::Loaded;
use crate::plan::{Action, Options, Plan, Source};
use crate::text::{Reason, refused};
use crate::{SYSROOTS, log, places, reason};

/// Version of the report's schema: raised when a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u64 = 1;

/// Most entries of the timeline.
const MAX_EVENTS: usize = 32;
/// Most failed candidates that are kept; the console has had all of them.
const MAX_FAILURES: usize = 8;
/// Most notes of one kind.
const MAX_NOTES: usize = 8;
/// Longest name of a candidate.
const NAME_CAPACITY: usize = 64;

/// A candidate that did not boot.
#[derive(Debug)]
struct Failure {
    name: String<NAME_CAPACITY>,
    reason: Reason,
}

/// What a boot came to.
#[derive(Clone, Copy, Debug)]
pub struct Booted<'b, 'a> {
    /// The root that is handed over.
    pub root: &'b NewRoot<'b, 'a>,
    /// What it was made for.
    pub candidate: &'b Candidate,
    /// That and all other candidates, in their order, with those that the ledger bars.
    pub all: &'b [Candidate],
    /// When each step of its plan began, and when the last one was done, in microseconds since boot.
    pub begun: &'b [u64],
    /// The modules that were loaded: those before the first `None`.
    pub modules: &'b [Cell<Option<Loaded>>],
}

/// What is worth knowing of this boot, as it comes to light.
#[derive(Debug, Default)]
pub struct Report {
    timeline: Vec<(&'static str, u64), MAX_EVENTS>,
    failures: Vec<Failure, MAX_FAILURES>,
    passed_over: Vec<Failure, MAX_FAILURES>,
    degraded: Vec<Reason, MAX_NOTES>,
    insecure: Vec<Reason, MAX_NOTES>,
    pub(crate) choice: Choice,
}

impl Report {
    /// Notes that `event` has been reached just now.
    pub fn reached(&mut self, event: &'static str) {
        // More events than there is room for is a fault of ours that costs a line of the timeline.
        let _ = self.timeline.push((event, sys::clock::microseconds()));
    }

    /// Notes that a candidate failed.
    pub fn failed(&mut self, name: &str, reason: &Reason) {
        let name = crate::text::clipped(format_args!("{name}"));
        let _ = self.failures.push(Failure { name, reason: reason.clone() });
    }

    /// Notes that something that looks like a deployment does not boot.
    pub fn passed_over(&mut self, name: &str, reason: &Reason) {
        let name = crate::text::clipped(format_args!("{name}"));
        let _ = self.passed_over.push(Failure { name, reason: reason.clone() });
    }

    /// Notes, and says, that the machine comes up with less than was asked for.
    pub fn degraded(&mut self, reason: Reason) {
        log::warn!("DEGRADED: {reason}");
        let _ = self.degraded.push(reason);
    }

    /// Notes, and says, that the machine runs something that nothing vouches for.
    pub fn insecure(&mut self, reason: Reason) {
        log::warn!("INSECURE: {reason}");
        let _ = self.insecure.push(reason);
    }

    /// Writes the report and the deployment's name to `/run/surefoot`.
    #[inline(never)]
    pub fn write(&self, booted: &Booted<'_, '_>, unknown: &[UnknownKey<'_>]) -> Result<(), Reason> {
        let failed = |path: &str| reason!("cannot write {path}: the report of this boot is incomplete");
        file::create(places::DEPLOYMENT, booted.root.plan().deployment.as_bytes())
            .map_err(|errno| refused("write", places::DEPLOYMENT, errno))?;
        let out = FileWriter::create(places::REPORT).map_err(|_| failed(places::REPORT))?;
        let mut json = Json::new(out);
        self.document(&mut json, booted, unknown).map_err(|_| failed(places::REPORT))?;
        json.finish().flush().map_err(|_| failed(places::REPORT))
    }

    /// The candidates that did not boot.
    pub(crate) fn failures<W: Write>(&self, json: &mut Json<W>) -> fmt::Result {
        named_reasons(json, "failed", &self.failures)
    }

    /// Whether a candidate was tried and failed.
    pub(crate) fn has_failed(&self, candidate: &Candidate) -> bool {
        self.failures.iter().any(|failure| *failure.name == *candidate.name)
    }

    /// Notes which candidate boots, after those that failed.
    pub fn chose(&mut self, config: &Config<'_>, facts: &Facts, candidate: &Candidate, all: &[Candidate]) {
        let failure = self.failures.first().map(|failure| (&*failure.name, &*failure.reason));
        self.choice.made(config, facts, candidate, all, failure);
    }

    /// Writes the document alone.
    #[inline(never)]
    pub fn document<W: Write>(
        &self,
        json: &mut Json<W>,
        booted: &Booted<'_, '_>,
        unknown: &[UnknownKey<'_>],
    ) -> fmt::Result {
        let Booted { root, candidate, all, begun, modules } = booted;
        let plan = root.plan();
        json.element(|json| {
            json.number("schema", SCHEMA)?;
            json.object("agent", |json| {
                json.member("name", "surefoot")?;
                json.member("version", env!("CARGO_PKG_VERSION"))?;
                json.number("memory_peak_kib", memory_peak())
            })?;
            json.member("kernel", sys::process::kernel_release::<128>())?;
            json.object("deployment", |json| {
                deployment(json, plan)?;
                choice::place(json, candidate)?;
                self.choice.slot(json)?;
                choice::ledger(json, candidate, true)
            })?;
            self.choice.slots(json)?;
            json.array("deployments", |json| {
                all.iter().try_for_each(|one| {
                    let tried = one.name == candidate.name || self.has_failed(one);
                    json.element(|json| choice::row(json, one, tried))
                })
            })?;
            self.choice.fallback(json)?;
            json.member("init", root.init())?;
            self.failures(json)?;
            if SYSROOTS && !self.passed_over.is_empty() {
                named_reasons(json, "passed_over", &self.passed_over)?;
            }
            json.array("mounts", |json| mounts(json, plan))?;
            json.array("degraded", |json| self.degraded.iter().try_for_each(|reason| json.text(reason)))?;
            json.array("insecure", |json| self.insecure.iter().try_for_each(|reason| json.text(reason)))?;
            json.array("unknown_keys", |json| {
                unknown.iter().try_for_each(|key| {
                    json.element(|json| {
                        json.member("key", key.key)?;
                        key.nearest.map_or(Ok(()), |nearest| json.member("nearest", nearest))
                    })
                })
            })?;
            json.array("timeline", |json| {
                self.timeline.iter().try_for_each(|(event, time)| {
                    json.element(|json| {
                        json.member("event", event)?;
                        json.number("microseconds", *time)
                    })
                })
            })?;
            json.array("modules", |json| {
                modules
                    .iter()
                    .map_while(Cell::get)
                    .try_for_each(|module| span(json, "name", &module.name, module.began, module.ended))
            })?;
            json.array("steps", |json| {
                let times = begun.iter().zip(begun.iter().skip(1));
                plan.steps
                    .iter()
                    .zip(times)
                    .try_for_each(|(step, (began, ended))| span(json, "step", step, *began, *ended))
            })
        })
    }
}

/// An element for what lasted from one moment to another, each in microseconds since boot.
#[inline(never)]
fn span<W: Write>(json: &mut Json<W>, member: &str, what: &dyn fmt::Display, began: u64, ended: u64) -> fmt::Result {
    json.element(|json| {
        json.named(member, what)?;
        json.number("microseconds", began)?;
        json.number("took", ended.saturating_sub(began))
    })
}

fn named_reasons<W: Write>(json: &mut Json<W>, member: &str, list: &[Failure]) -> fmt::Result {
    json.array(member, |json| {
        list.iter().try_for_each(|Failure { name, reason }| {
            json.element(|json| {
                json.member("name", name)?;
                json.member("reason", reason)
            })
        })
    })
}

fn deployment<W: Write>(json: &mut Json<W>, plan: &Plan<'_>) -> fmt::Result {
    json.member("name", &plan.deployment)?;
    plan.kind.map_or(Ok(()), |kind| json.member("kind", kind))?;
    json.member("trust", if plan.trust == Trust::Verified { "verified" } else { "insecure" })?;
    let mut verity = |device: &crate::plan::VerityDevice| json.member(hash_name(device.name), device.root_hash);
    plan.steps.iter().try_for_each(|step| match &step.action {
        Action::ActivateVerity(device) => verity(device),
        _ => Ok(()),
    })?;
    if !SYSROOTS {
        return Ok(());
    }
    let composefs = plan.mounts().find_map(|mount| match &mount.source {
        Source::Composefs(source) if !source.digest.is_empty() => Some(Hex(&source.digest)),
        _ => None,
    });
    composefs.map_or(Ok(()), |digest| json.member("digest", digest))
}

/// Bytes as lowercase hexadecimal digits.
struct Hex<'b>(&'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hash_name(device: &str) -> &'static str {
    if device == "usr" { "usr_hash" } else { "root_hash" }
}

/// The mounts that were made, as the running system sees them.
fn mounts<W: Write>(json: &mut Json<W>, plan: &Plan<'_>) -> fmt::Result {
    let mut made = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Mount(mount) => Some(mount),
        Action::MountIfThere(mount) if file::exists(&mount.target) => Some(mount),
        _ => None,
    });
    made.try_for_each(|mount| {
        json.element(|json| {
            json.member("source", &mount.source)?;
            json.member("target", in_new_root(&mount.target))?;
            json.member("type", mount.source.kind())?;
            json.member("options", Options(mount))
        })
    })
}

/// A path under `/sysroot` as it will be called after the hand-over; others, under `/run`, keep their names.
fn in_new_root(path: &str) -> &str {
    match path.strip_prefix(places::NEW_ROOT) {
        Some("") => "/",
        Some(rest) => rest,
        None => path,
    }
}

/// The most memory that PID 1 has had resident, in KiB: `VmHWM` of proc_pid_status(5) or, if that is more, what it has
/// now by `/proc/self/smaps_rollup`. Kernels before 6.2 leave up to 64 pages of each kind out of the former.
fn memory_peak() -> u64 {
    let field = |path, name| {
        let mut text = String::<4096>::new();
        // What does not fit comes after the line that is looked for.
        let _ = file::append_text(path, &mut text);
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
    };
    field("/proc/self/status", "VmHWM:").max(field("/proc/self/smaps_rollup", "Rss:"))
}

/// A file that is written in few calls.
pub(crate) struct FileWriter {
    file: OwnedFd,
    buffer: String<1024>,
}

impl FileWriter {
    fn create(path: &str) -> Result<Self, sys::Errno> {
        Ok(Self::new(file::open(path, Access::Create)?))
    }

    /// Writes at the place where the open file is.
    pub(crate) fn new(file: OwnedFd) -> Self {
        Self { file, buffer: String::new() }
    }

    /// The file.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn flush(&mut self) -> fmt::Result {
        self.write_out()
    }

    fn write_out(&mut self) -> fmt::Result {
        let result = file::write_to(self.file.as_fd(), self.buffer.as_bytes()).map_err(|_| fmt::Error);
        self.buffer.clear();
        result
    }
}

impl Write for FileWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.buffer.len() + character.len_utf8() > self.buffer.capacity() {
                self.write_out()?;
            }
            self.buffer.push(character).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
