//! Judges how a machine fared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use surefoot_ci::machine::{BOOT_FAILED, End, Outcome};
use surefoot_probe::{Mount, Outcome as Done, Report};

pub(crate) use surefoot_ci::machine::boot_report;

/// How it ends by default.
const NEXT: &str = "; rebooting in 10 seconds";

/// The report of a machine that booted and powered off, as the probe does.
pub(crate) fn booted(outcome: &Outcome) -> Result<Report> {
    let report = outcome.probe()?;
    ensure!(outcome.end == End::PoweredOff, "it should have powered off\n{}", outcome.tail());
    same("the real init's process id", &report.pid, &1)?;
    Ok(report)
}

/// Fails unless the boot failed, before any real init, with exactly this reason, and then rebooted.
pub(crate) fn refused(outcome: &Outcome, reason: &str) -> Result<()> {
    same(&format!("the reason\n{}", outcome.tail()), refusal(outcome)?.as_str(), reason)
}

/// As [`refused`], for reasons in which the kernel has its say: they begin like this, and contain these texts.
pub(crate) fn refused_with(outcome: &Outcome, start: &str, parts: &[&str]) -> Result<()> {
    let reason = refusal(outcome)?;
    let fits = reason.starts_with(start) && parts.iter().all(|part| reason.contains(part));
    ensure!(fits, "the reason:\n  found    {reason:?}\n  expected {start:?} and then {parts:?}");
    Ok(())
}

/// The reason of a boot that failed before any real init, and rebooted.
pub(crate) fn refusal(outcome: &Outcome) -> Result<String> {
    ensure!(outcome.report.is_empty(), "it should not have started the real init\n{}", outcome.tail());
    ensure!(outcome.end == End::Rebooted, "it should have rebooted\n{}", outcome.tail());
    let reasons: Vec<_> = outcome.console.lines().filter_map(|line| line.split_once(BOOT_FAILED)).collect();
    let [(_, reason)] = reasons[..] else { bail!("there should be one reason on the console\n{}", outcome.tail()) };
    let reason = reason.strip_suffix(NEXT);
    Ok(reason.with_context(|| format!("the reason should end in \"{NEXT}\"\n{}", outcome.tail()))?.to_owned())
}

/// Fails unless PID 1 has said exactly this line.
pub(crate) fn said(outcome: &Outcome, line: &str) -> Result<()> {
    let line = format!("surefoot: {line}");
    let found = outcome.console.lines().any(|console| console.split_once("] ").is_some_and(|(_, text)| text == line));
    ensure!(found, "the console should have the line \"{line}\"\n{}", outcome.tail());
    Ok(())
}

/// Fails unless two values are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, found: &T, expected: &T) -> Result<()> {
    ensure!(found == expected, "{what}:\n  found    {found:?}\n  expected {expected:?}");
    Ok(())
}

/// Fails unless the actions had these outcomes.
pub(crate) fn actions(report: &Report, expected: &[(&str, Done)]) -> Result<()> {
    for (word, outcome) in expected {
        let found = report.outcome(word).with_context(|| format!("the probe was not told {word}"))?;
        same(word, found, outcome)?;
    }
    Ok(())
}

/// A file's text as the probe reports it.
pub(crate) fn text(text: &str) -> Done {
    Done::Text(text.to_owned())
}

/// Fails unless the mounts, by target, are exactly these: see [`describe`].
pub(crate) fn mounts(report: &Report, expected: &[&str]) -> Result<()> {
    let mut found: Vec<_> = report.mounts.iter().map(describe).collect();
    found.sort();
    let mut expected: Vec<_> =
        expected.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    expected.sort();
    ensure!(
        found == expected,
        "the mounts:\n  found\n    {}\n  expected\n    {}",
        found.join("\n    "),
        expected.join("\n    ")
    );
    Ok(())
}

/// Fails unless what is mounted at `target`, on top, is exactly this: see [`describe`].
pub(crate) fn mount(report: &Report, expected: &str) -> Result<()> {
    let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
    let target = expected.split(' ').next().unwrap_or_default();
    let found = report.mount(target).with_context(|| format!("nothing is mounted at {target}"))?;
    same("the mount", &describe(found), &expected)
}

/// `TARGET TYPE SOURCE ROOT OPTIONS FILESYSTEM-OPTIONS[ PROPAGATION]`, without the options that nobody asked for and that
/// depend on the kernel or on the machine's memory: of devtmpfs `size` and `nr_inodes`, of tmpfs `inode64`, of overlay
/// `uuid=on` (from 6.6 on).
fn describe(mount: &Mount) -> String {
    let asked_for = |option: &&String| {
        let key = option.split('=').next().unwrap_or_default();
        !matches!(
            (mount.filesystem.as_str(), key),
            ("devtmpfs", "size" | "nr_inodes" | "inode64") | ("tmpfs", "inode64") | ("overlay", "uuid")
        )
    };
    let filesystem_options: Vec<_> = mount.filesystem_options.iter().filter(asked_for).map(String::as_str).collect();
    let Mount { target, filesystem, source, root, .. } = mount;
    let words = [target, filesystem, source, root, &mount.options.join(","), &filesystem_options.join(",")];
    let propagation = mount.propagation.iter().map(String::as_str);
    words.into_iter().map(String::as_str).chain(propagation).collect::<Vec<_>>().join(" ")
}

/// A map from pairs of texts.
pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
