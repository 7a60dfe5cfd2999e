//! The words of the notice.

use std::fmt::Write;

use deployment::candidates::Kind;

use crate::output::printable;
use crate::status::history::Boot;
use crate::status::report::{BootReport, Fallback};
use crate::utc::Utc;

/// What is to be said about a boot that was at this time, in seconds since 1970; empty when there is nothing.
pub(super) fn notice(report: &BootReport, boots: &[Boot], time: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(fallback) = &report.fallback {
        let _ = fell_back(&mut text, fallback, report, boots, time);
    }
    for why in &report.insecure {
        let _ = writeln!(text, "INSECURE: {}", printable(why));
    }
    for why in &report.degraded {
        let _ = writeln!(text, "DEGRADED: {}", printable(why));
    }
    if !text.is_empty() {
        text.push_str("surefoot status tells more.\n");
    }
    text
}

fn fell_back(
    text: &mut String,
    fallback: &Fallback,
    report: &BootReport,
    boots: &[Boot],
    time: u64,
) -> std::fmt::Result {
    let reason = printable(&fallback.reason);
    let runs = printable(&report.deployment.name);
    let Some(from) = fallback.from.as_deref() else {
        writeln!(text, "FALLBACK: {runs} runs, because {reason} (boot of {}).", Utc(time))?;
        let (update, other) = if is_slot(report, &report.deployment.name) {
            ("Write an update that works (surefoot stage IMAGE)", "slot")
        } else {
            ("Install an update that works", "deployment")
        };
        return writeln!(text, "{update}, or boot another {other} (surefoot set-next NAME).");
    };
    let shown = printable(from);
    writeln!(text, "FALLBACK: {runs} runs instead of {shown} (boot of {}).", Utc(time))?;
    writeln!(text, "{shown} failed: {reason}")?;
    if let Some(last) = boots.iter().rev().find(|boot| boot.deployment == from) {
        writeln!(text, "{shown} was last started at {}.", Utc(last.time))?;
    }
    let update =
        if is_slot(report, from) { "Write another update (surefoot stage IMAGE)" } else { "Install another update" };
    writeln!(text, "{update}, or try this one again (surefoot set-next {shown}).")
}

/// Whether the deployment of this name is a slot, which surefoot itself can write.
fn is_slot(report: &BootReport, name: &str) -> bool {
    let listed = report.deployments.iter().find(|found| found.name == name);
    listed.map_or(report.slots.iter().any(|slot| slot.name == name), |found| found.kind == Kind::SLOT.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::report::{self, ReportedDeployment};

    const REPORT: &str = include_str!("../../tests/slots/fallback.json");
    const TIME: u64 = 1_795_399_500;

    fn report() -> BootReport {
        report::parse(REPORT).unwrap().into_report()
    }

    #[test]
    fn a_fallback_says_what_failed_why_when_and_what_to_do() {
        let boot = r#"{"time":1795399449,"deployment":"root-b"}"#;
        let boots = [serde_json::from_str(boot).unwrap()];
        let expected = "FALLBACK: root-a runs instead of root-b (boot of 2026-11-23 02:05:00 UTC).\n\
                        root-b failed: cannot mount /: no filesystem\n\
                        root-b was last started at 2026-11-23 02:04:09 UTC.\n\
                        Write another update (surefoot stage IMAGE), or try this one again (surefoot set-next root-b).\n\
                        surefoot status tells more.\n";
        assert_eq!(notice(&report(), &boots, TIME), expected);
    }

    #[test]
    fn what_is_no_slot_is_updated_by_others() {
        let found = |name: &str| ReportedDeployment {
            name: name.to_owned(),
            kind: "ostree".to_owned(),
            device: Some("vda2".to_owned()),
            place: Some("ostree/deploy".to_owned()),
            ledger: None,
        };
        let deployments = vec![found("root-a"), found("root-b")];
        let report = BootReport { deployments, slots: Vec::new(), ..report() };
        let text = notice(&report, &[], TIME);
        assert!(
            text.contains("\nInstall another update, or try this one again (surefoot set-next root-b).\n"),
            "{text}"
        );
        let fallback = Fallback { from: None, reason: "no deployment is left".to_owned() };
        let text = notice(&BootReport { fallback: Some(fallback), ..report }, &[], TIME);
        let expected = "\nInstall an update that works, or boot another deployment (surefoot set-next NAME).\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn where_nothing_was_left_there_is_no_name() {
        let fallback = Fallback { from: None, reason: "no slot is left".to_owned() };
        let text = notice(&BootReport { fallback: Some(fallback), ..report() }, &[], TIME);
        assert!(text.starts_with("FALLBACK: root-a runs, because no slot is left (boot of 2026-"), "{text}");
    }

    #[test]
    fn what_is_degraded_or_insecure_is_said_and_nothing_else() {
        let good = BootReport { fallback: None, ..report() };
        assert_eq!(notice(&good, &[], TIME), "");
        let bad = BootReport { degraded: vec!["less\u{1b}[2J".into()], insecure: vec!["unverified".into()], ..good };
        let expected = "INSECURE: unverified\nDEGRADED: less\u{fffd}[2J\nsurefoot status tells more.\n";
        assert_eq!(notice(&bad, &[], TIME), expected);
    }
}
