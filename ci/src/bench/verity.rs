//! `surefoot verity format` and `verify` beside veritysetup, on random data that is in the page cache.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, copy};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::section::Section;
use crate::command::{command, run, timed};
use crate::paths;

/// The size of the data, in bytes.
const SIZE: u32 = 1 << 30;
/// Sizes for which the memory is measured, in bytes: the smallest is what the others are held to.
const SIZES: [u32; 3] = [64 << 20, 256 << 20, SIZE];
const BLOCK_SIZE: u32 = 4096;
/// How often each program runs; the fastest run counts.
const RUNS: usize = 5;

const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UUID: &str = "5afe0b07-0000-4000-8000-000000000003";

/// One thing that was measured. Ours and theirs have the same unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured, with the unit.
    pub name: String,
    /// What surefoot needs.
    pub ours: f64,
    /// What it is compared with.
    pub theirs: f64,
    /// The most that ours may be, in parts of theirs; `None` where nothing is promised.
    pub bound: Option<f64>,
}

impl Row {
    /// Ours in parts of theirs.
    pub fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }

    /// Whether the promise is kept.
    pub fn is_within_bound(&self) -> bool {
        self.bound.is_none_or(|bound| self.ratio() <= bound)
    }
}

/// The table of all that [`measure`] gives. What is not within its bound says so.
///
/// # Errors
/// Those of [`measure`].
pub fn compare() -> Result<Section> {
    let method = format!(
        "Random data in the page cache, the same salt, the fastest of {RUNS} runs by turns. Both make the same bytes, which is \
         checked in each round. What stands beside surefoot's figure is named behind the semicolon."
    );
    let mut section = Section::new("Hash trees", method, &["surefoot", "figure", "beside", "ratio", "at most"]);
    for row in measure()? {
        let mark = if row.is_within_bound() { "" } else { " (not reached)" };
        let bound = row.bound.map_or_else(|| "-".to_owned(), |bound| format!("{bound:.2} ×{mark}"));
        let figure = |value: f64| if value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") };
        section.push([row.name.clone(), figure(row.ours), figure(row.theirs), format!("{:.2} ×", row.ratio()), bound]);
    }
    Ok(section)
}

/// Measures all of it: the time on two processors and on one, that of OpenSSL's SHA-256 alone beside the latter, and the
/// memory. The data takes a gibibyte of the folder for temporary files.
///
/// # Errors
/// When a program fails, or the two do not make the same bytes.
pub fn measure() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let bench = Bench::new(folder.path())?;
    let mut rows = Vec::new();
    for (name, processors, bound) in [("two processors", "0,1", 0.45), ("one processor", "0", 0.80)] {
        for (work, [ours, theirs]) in WORKS.into_iter().zip(bench.times(processors)?) {
            rows.push(Row { name: format!("{work} 1 GiB, {name}, s; veritysetup"), ours, theirs, bound: Some(bound) });
        }
    }
    if let Some(Row { ours, .. }) = rows.last().cloned() {
        let name = "verify 1 GiB, one processor, s; OpenSSL's SHA-256 alone".to_owned();
        rows.push(Row { name, ours, theirs: openssl()?, bound: None });
    }
    let [small, larger @ ..] = SIZES;
    let theirs = bench.memory(small)?;
    for size in larger {
        let name = format!("memory for {} MiB, KiB; that for {} MiB", size >> 20, small >> 20);
        rows.push(Row { name, ours: bench.memory(size)?, theirs, bound: Some(1.10) });
    }
    Ok(rows)
}

/// What both programs do.
const WORKS: [&str; 2] = ["format", "verify"];

/// The programs, and where their files are.
struct Bench {
    programs: [PathBuf; 2],
    folder: PathBuf,
}

impl Bench {
    fn new(folder: &Path) -> Result<Self> {
        let mut random = File::open("/dev/urandom").context("open /dev/urandom")?.take(SIZE.into());
        copy(&mut random, &mut File::create(folder.join("data"))?).context("make random data")?;
        Ok(Self { programs: [paths::program("surefoot")?, "veritysetup".into()], folder: folder.to_owned() })
    }

    /// How many seconds each program takes for each work. They take turns, so that what else the machine does falls on
    /// both.
    fn times(&self, processors: &str) -> Result<[[f64; 2]; 2]> {
        let mut fastest = [[f64::INFINITY; 2]; 2];
        for _ in 0..RUNS {
            for (work, fastest) in WORKS.into_iter().zip(&mut fastest) {
                for (program, fastest) in self.programs.iter().zip(fastest) {
                    let taken = timed(command("taskset").args(["-c", processors]).args(self.words(program, work)))?;
                    *fastest = fastest.min(taken.as_secs_f64());
                }
            }
            for name in ["hash", "root-hash"] {
                let [ours, theirs] = self.programs.each_ref().map(|program| fs::read(self.file(program, name)));
                ensure!(ours? == theirs?, "surefoot and veritysetup make different bytes: {name}");
            }
        }
        Ok(fastest)
    }

    /// The most memory that surefoot has while it formats the front of the data, in KiB.
    fn memory(&self, size: u32) -> Result<f64> {
        let report = self.folder.join("memory");
        let words = self.words(&self.programs[0], "format");
        let blocks = format!("--data-blocks={}", size / BLOCK_SIZE);
        run(command("time").args(["--format=%M", "--output"]).arg(&report).args(words).arg(blocks))?;
        let text = fs::read_to_string(report)?;
        text.trim().parse().with_context(|| format!("time says {text:?}"))
    }

    /// A program and its arguments.
    fn words(&self, program: &Path, work: &str) -> Vec<OsString> {
        let mut words = vec![program.into()];
        // veritysetup has no command of that name before its own.
        words.extend((program == self.programs[0]).then(|| "verity".into()));
        words.extend([work.into(), self.folder.join("data").into(), self.file(program, "hash").into()]);
        words.extend(["--root-hash-file".into(), self.file(program, "root-hash").into()]);
        if work == "format" {
            words.extend(["--salt", SALT, "--uuid", UUID].map(OsString::from));
        }
        words
    }

    /// Each program has its own files.
    fn file(&self, program: &Path, name: &str) -> PathBuf {
        self.folder.join(program.file_name().unwrap_or_default()).with_extension(name)
    }
}

/// How many seconds OpenSSL's SHA-256 alone takes for the data, on one processor and without reading anything.
fn openssl() -> Result<f64> {
    let speed = ["openssl", "speed", "-seconds", "3", "-bytes", "4096", "sha256"];
    let said = run(command("taskset").args(["-c", "0"]).args(speed))?;
    let rate = rate(&said).with_context(|| format!("openssl speed says no speed: {said}"))?;
    Ok(f64::from(SIZE) / rate)
}

/// The bytes a second of the line `sha256 1538335.59k` of `openssl speed`.
fn rate(said: &str) -> Option<f64> {
    let thousands = said.lines().find_map(|line| line.strip_prefix("sha256 "))?.trim().strip_suffix('k')?;
    Some(thousands.parse::<f64>().ok()? * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_of_openssl_is_read() {
        let said = "version: 3.0.19\ntype           4096 bytes\nsha256         1538335.59k\n";
        assert!(rate(said).is_some_and(|rate| (rate - 1_538_335_590.0).abs() < 1.0));
        assert_eq!(rate("version: 3.0.19\n"), None);
    }

    #[test]
    fn bounds_hold_up_to_their_value() {
        let row = |ours, bound| Row { name: String::new(), ours, theirs: 2.0, bound };
        assert!(row(0.9, Some(0.45)).is_within_bound());
        assert!(!row(1.0, Some(0.45)).is_within_bound());
        assert!(row(9.0, None).is_within_bound());
    }
}
