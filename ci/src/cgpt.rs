//! The counters of A/B slots in a GPT's attribute bits, as Debian's cgpt (ChromeOS's own tool) writes and reads them.

use std::path::Path;

use anyhow::{Context, Result};

use crate::command::{command, run};

/// The counters of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Which slot comes first: 15 before 1; 0 never boots.
    pub priority: u8,
    /// How often it may still be tried.
    pub tries: u8,
    /// Whether it has come up well once.
    pub successful: bool,
}

impl Counters {
    /// A slot that has been marked good.
    pub fn good(priority: u8) -> Self {
        Self { priority, tries: 0, successful: true }
    }

    /// A slot that is to be tried.
    pub fn untried(priority: u8, tries: u8) -> Self {
        Self { priority, tries, successful: false }
    }
}

/// Sets the counters of a partition, which is counted from 1. Both tables must be whole.
pub fn set(disk: &Path, partition: usize, counters: Counters) -> Result<()> {
    let Counters { priority, tries, successful } = counters;
    let mut cgpt = command("cgpt");
    cgpt.args(["add", "-i", &partition.to_string()]);
    cgpt.args(["-P", &priority.to_string(), "-T", &tries.to_string(), "-S", if successful { "1" } else { "0" }]);
    run(cgpt.arg(disk)).map(drop)
}

/// The counters of a partition.
pub fn show(disk: &Path, partition: usize) -> Result<Counters> {
    let number = |flag| field(disk, partition, flag)?.parse().with_context(|| format!("cgpt show {flag}"));
    Ok(Counters { priority: number("-P")?, tries: number("-T")?, successful: number("-S")? == 1 })
}

/// The upper sixteen attribute bits of a partition, of which bit 0 is bit 48.
pub fn attributes(disk: &Path, partition: usize) -> Result<u16> {
    let text = field(disk, partition, "-A")?;
    let digits = text.trim_start_matches("0x");
    u16::from_str_radix(digits, 16).with_context(|| format!("cgpt show -A: {text}"))
}

/// A partition's label.
pub fn label(disk: &Path, partition: usize) -> Result<String> {
    field(disk, partition, "-l")
}

/// The parts of the table that are damaged, as cgpt calls them: `Pri GPT header` and the like.
///
/// # Errors
/// When neither copy of the table is valid.
pub fn damaged(disk: &Path) -> Result<Vec<String>> {
    let text = run(command("cgpt").arg("show").arg(disk))?;
    let parts = text.lines().filter_map(|line| line.split_once(" INVALID "));
    Ok(parts.map(|(_, part)| part.trim().to_owned()).collect())
}

fn field(disk: &Path, partition: usize, flag: &str) -> Result<String> {
    let text = run(command("cgpt").args(["show", "-i", &partition.to_string(), flag]).arg(disk))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::disk::{Disk, Partition, types};

    #[test]
    fn cgpt_reads_what_it_wrote_and_sees_damage() {
        let scratch = tempfile::tempdir().unwrap();
        let other = Partition::zeros("other", types::LINUX, 4096).attributes(1 << 63);
        let partitions = [Partition::zeros("root-a", types::ROOT, 4096), other];
        let disk = Disk::create(&scratch.path().join("disk"), 512, &partitions).unwrap().path;
        set(&disk, 2, Counters::untried(15, 3)).unwrap();
        assert_eq!(show(&disk, 2).unwrap(), Counters::untried(15, 3));
        assert_eq!(attributes(&disk, 2).unwrap(), 0x803f);
        assert_eq!(show(&disk, 1).unwrap(), Counters::default());
        set(&disk, 1, Counters::good(1)).unwrap();
        assert_eq!(attributes(&disk, 1).unwrap(), 0x0101);
        assert_eq!(label(&disk, 1).unwrap(), "root-a");
        assert!(damaged(&disk).unwrap().is_empty());

        File::options().write(true).open(&disk).unwrap().write_all_at(b"?", 512).unwrap();
        assert_eq!(damaged(&disk).unwrap(), ["Pri GPT header", "Pri GPT table"]);
    }
}
