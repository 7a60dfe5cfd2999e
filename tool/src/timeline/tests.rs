use insta::assert_snapshot;

use super::chart::Chart;
use super::spans::{Kind, Span, spans};
use super::table::Table;
use super::*;
use crate::status::report::{Milestone, Reading, TimedStep, parse};
use crate::status::tests::written_by_pid1;

/// A report as a virtual machine has left it.
const CAPTURED: &str = include_str!("tests/boot.json");

fn report(text: &str) -> BootReport {
    parse(text).map(Reading::into_report).unwrap()
}

fn captured() -> BootReport {
    report(CAPTURED)
}

fn drawn(report: &BootReport) -> String {
    Chart { report, spans: &spans(report) }.to_string()
}

/// A boot with these steps alone, each of which took 1 ms.
fn with_steps(steps: &[&str]) -> BootReport {
    let timed =
        |(number, step): (u64, &&str)| TimedStep { step: (*step).to_owned(), microseconds: 1000 * number, took: 1000 };
    let steps = (0..).zip(steps).map(timed).collect();
    BootReport { steps, modules: Vec::new(), timeline: Vec::new(), ..captured() }
}

#[test]
fn a_boot_is_drawn() {
    assert_snapshot!(drawn(&captured()));
}

#[test]
fn a_boot_is_a_table() {
    assert_snapshot!(anstream::adapter::strip_str(&Table(&spans(&captured())).to_string()).to_string());
}

/// The words are those of PID 1's own code.
#[test]
fn every_step_has_its_kind() {
    let report = report(&written_by_pid1());
    let kind_of = |words: &str| spans(&report).iter().find(|span| span.name.starts_with(words)).map(|span| span.kind);
    for (words, kind) in [
        ("load module ", Kind::Step),
        ("activate /dev/mapper/root", Kind::Device),
        ("mount erofs ", Kind::Mount),
        ("make directory ", Kind::Step),
        ("check /sysroot", Kind::Step),
        ("dm-verity", Kind::Module),
    ] {
        assert_eq!(kind_of(words), Some(kind), "{words}");
    }
    assert_eq!(spans(&with_steps(&["attach loop device root: /x, 1 bytes"]))[0].kind, Kind::Device);
}

#[test]
fn phases_are_between_milestones() {
    let milestone = |(event, microseconds): (&str, u64)| Milestone { event: event.to_owned(), microseconds };
    let timeline = [
        ("start", 10),
        ("drivers loaded", 20),
        ("waiting for devices", 25),
        ("devices found", 45),
        ("deployments found", 50),
        ("root complete", 70),
        ("of a later version", 71),
        ("hand-over", 73),
    ];
    let boot = BootReport { timeline: timeline.map(milestone).to_vec(), ..with_steps(&[]) };
    let found: Vec<_> = spans(&boot).into_iter().map(|Span { kind, name, took, .. }| (kind, name, took)).collect();
    let expected = [
        (Kind::Phase, "load the drivers of devices", 10),
        (Kind::Phase, "look for devices", 5),
        (Kind::Wait, "wait for devices", 20),
        (Kind::Phase, "look for deployments in filesystems", 5),
        (Kind::Phase, "set up the root", 20),
        (Kind::Phase, "of a later version", 1),
        (Kind::Phase, "write the boot down", 2),
        (Kind::Phase, "hand-over", 0),
    ];
    assert_eq!(found, expected.map(|(kind, name, took)| (kind, name.to_owned(), took)));
}

#[test]
fn names_are_escaped_and_cut() {
    let long = "x".repeat(60);
    let svg = drawn(&with_steps(&["mount <a> & \"b\"\u{1b}[2J (ro)", &long]));
    assert!(
        svg.contains("<title>mount: mount &lt;a&gt; &amp; &quot;b&quot;\u{fffd}[2J (ro), 1.000 ms</title>"),
        "{svg}"
    );
    assert!(svg.contains(">mount &lt;a&gt; &amp; &quot;b&quot;\u{fffd}[2J</text>"), "{svg}");
    assert!(svg.contains(&format!(">{}…</text>", "x".repeat(51))), "{svg}");
    assert!(!svg.contains('\x1b'), "{svg}");
}

/// Whatever times are in a report, there is a chart, with few lines.
#[test]
fn odd_times_are_drawn() {
    for (microseconds, took) in [(0, 0), (u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (7, 1)] {
        let mut boot = with_steps(&["mount a on b"]);
        boot.steps[0].microseconds = microseconds;
        boot.steps[0].took = took;
        let lines = drawn(&boot).matches("class=\"grid\"").count();
        assert!((1..=11).contains(&lines), "{microseconds} {took}: {lines}");
    }
}
