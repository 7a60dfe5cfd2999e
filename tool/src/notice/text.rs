//! The words of the notice.

use std::fmt::Write;

use crate::output::printable;
use crate::status::history::Boot;
use crate::status::report::{BootReport, Fallback};
use crate::utc::Utc;

/// What is to be said about a boot that was at this time, in seconds since 1970; empty when there is nothing.
pub(super) fn notice(report: &BootReport, boots: &[Boot], time: u64) -> String {
    let mut text = String::new();
    let name = printable(&report.deployment.name);
    // Writing to a String cannot fail.
    if let Some(fallback) = &report.fallback {
        let _ = fell_back(&mut text, fallback, &name, boots, time);
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

fn fell_back(text: &mut String, fallback: &Fallback, runs: &str, boots: &[Boot], time: u64) -> std::fmt::Result {
    let reason = printable(&fallback.reason);
    let Some(from) = fallback.from.as_deref() else {
        writeln!(text, "FALLBACK: {runs} runs, because {reason} (boot of {}).", Utc(time))?;
        return writeln!(
            text,
            "Write an update that works (surefoot stage IMAGE), or boot another slot (surefoot set-next NAME)."
        );
    };
    let shown = printable(from);
    writeln!(text, "FALLBACK: {runs} runs instead of {shown} (boot of {}).", Utc(time))?;
    writeln!(text, "{shown} failed: {reason}")?;
    if let Some(last) = boots.iter().rev().find(|boot| boot.deployment == from) {
        writeln!(text, "{shown} was last started at {}.", Utc(last.time))?;
    }
    writeln!(text, "Write another update (surefoot stage IMAGE), or try this one again (surefoot set-next {shown}).")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::report;

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
