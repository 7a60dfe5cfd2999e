//! What lasted from when to when, by a boot's report.

use serde::Serialize;

use crate::status::report::{BootReport, LoadedModule, Milestone, TimedStep};

/// What was done in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A part of the boot, from one milestone to the next.
    Phase,
    /// Something was waited for.
    Wait,
    /// A kernel module was loaded.
    Module,
    /// A block device was made: dm-verity, or a loop device.
    Device,
    /// Something was mounted.
    Mount,
    /// Another step of the plan: a directory, a link, a check, a record, or the modules that something needs.
    Step,
}

impl Kind {
    /// All kinds, in the order of the chart's legend.
    pub(crate) const ALL: [Self; 6] = [Self::Phase, Self::Wait, Self::Module, Self::Device, Self::Mount, Self::Step];

    /// Its name, one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Wait => "wait",
            Self::Module => "module",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Step => "step",
        }
    }

    /// The kind of a step, by the words that PID 1 has for it.
    fn of_step(step: &str) -> Self {
        match step.split(' ').next() {
            Some("activate" | "attach") => Self::Device,
            Some("mount") => Self::Mount,
            _ => Self::Step,
        }
    }
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Span {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// What was done.
    pub(crate) name: String,
    /// When it began, in microseconds since the kernel started.
    pub(crate) microseconds: u64,
    /// How long it took, in microseconds.
    pub(crate) took: u64,
}

impl Span {
    /// When it was over.
    pub(crate) fn end(&self) -> u64 {
        self.microseconds.saturating_add(self.took)
    }

    /// The name without its details, which come after a comma or in parentheses: all but those of what holds from the
    /// hand-over on.
    pub(crate) fn short_name(&self) -> &str {
        if self.name.starts_with("from ") {
            return &self.name;
        }
        let details = [", ", " ("].iter().filter_map(|mark| self.name.find(mark)).min();
        details.and_then(|at| self.name.get(..at)).unwrap_or(&self.name)
    }
}

/// All spans of a boot, in the order in which they began; what is part of another one comes after it.
pub(crate) fn spans(report: &BootReport) -> Vec<Span> {
    let modules = report.modules.iter().map(|LoadedModule { name, microseconds, took }| Span {
        kind: Kind::Module,
        name: name.clone(),
        microseconds: *microseconds,
        took: *took,
    });
    let steps = report.steps.iter().map(|TimedStep { step, microseconds, took }| Span {
        kind: Kind::of_step(step),
        name: step.clone(),
        microseconds: *microseconds,
        took: *took,
    });
    let mut all: Vec<_> = phases(&report.timeline).chain(steps).chain(modules).collect();
    all.sort_by_key(|span| (span.microseconds, std::cmp::Reverse(span.took)));
    all
}

/// What lies between the milestones, and the hand-over as a moment, for what comes after it is not in the report.
fn phases(timeline: &[Milestone]) -> impl Iterator<Item = Span> {
    let between = timeline.windows(2).filter_map(|pair| {
        let [from, to] = pair else { return None };
        let (kind, name) = phase(&from.event, &to.event);
        Some(Span {
            kind,
            name: name.to_owned(),
            microseconds: from.microseconds,
            took: to.microseconds.saturating_sub(from.microseconds),
        })
    });
    let last = timeline.last().filter(|last| last.event == "hand-over").map(|last| Span {
        kind: Kind::Phase,
        name: last.event.clone(),
        microseconds: last.microseconds,
        took: 0,
    });
    between.chain(last)
}

/// What is done from one milestone to the next. One that is not known here gives what comes before it its name.
fn phase<'a>(from: &str, to: &'a str) -> (Kind, &'a str) {
    match (from, to) {
        (_, "drivers loaded") => (Kind::Phase, "load the drivers of devices"),
        ("waiting for devices", "devices found") => (Kind::Wait, "wait for devices"),
        (_, "waiting for devices" | "devices found") => (Kind::Phase, "look for devices"),
        (_, "deployments found") => (Kind::Phase, "look for deployments in filesystems"),
        (_, "root complete") => (Kind::Phase, "set up the root"),
        (_, "hand-over") => (Kind::Phase, "write the boot down"),
        (_, other) => (Kind::Phase, other),
    }
}
