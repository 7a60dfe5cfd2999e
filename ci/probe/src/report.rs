//! The one JSON document that the probe sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mountinfo::Mount;

/// Everything that the probe found when it was started, and the outcome of what it was told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `uname -r`.
    pub kernel: String,
    /// Its process id.
    pub pid: u32,
    /// Real and effective user id, as `/proc/self/status` prints them.
    pub uid: String,
    /// Its arguments, `argv[0]` first.
    pub argv: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub working_directory: String,
    /// Descriptor numbers open at its start, with what they point to.
    pub descriptors: BTreeMap<u32, String>,
    /// Blocked, ignored and caught signals at its start.
    pub signals: SignalMasks,
    /// Peak resident memory in KiB of this process over all programs it has executed: PID 1 of the initramfs included.
    pub peak_memory_kib: i64,
    /// Peak resident memory in KiB of the probe alone, at the same moment.
    pub own_memory_kib: i64,
    /// `/proc/cmdline`, without the newline.
    pub cmdline: String,
    /// `/proc/sys/kernel/modprobe`, `/proc/sys/kernel/printk_devkmsg` and `/sys/kernel/rcu_expedited`, each without the
    /// newline.
    pub kernel_settings: [String; 3],
    /// Modules in `/proc/modules` with their state (`Live`), sorted by name.
    pub modules: BTreeMap<String, String>,
    /// All mounts in the order of mountinfo.
    pub mounts: Vec<Mount>,
    /// The names in `/`, sorted.
    pub root_entries: Vec<String>,
    /// What lies below `/run` on that filesystem, by path.
    pub run: BTreeMap<String, Entry>,
    /// Device-mapper devices by their `dm-N`.
    pub device_mapper: BTreeMap<String, MappedDevice>,
    /// Names in `/sys/block`, sorted.
    pub block_devices: Vec<String>,
    /// Processes other than this one that are not kernel threads: their `comm` by process id.
    pub processes: BTreeMap<u32, String>,
    /// What became of each action, with the word that asked for it.
    pub actions: Vec<(String, Outcome)>,
}

/// Signal sets of `/proc/self/status`, in hexadecimal. Rust's runtime itself ignores SIGPIPE (0x1000) and catches
/// SIGSEGV and SIGBUS (0x440) for stack overflows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalMasks {
    /// `SigBlk`.
    pub blocked: String,
    /// `SigIgn`.
    pub ignored: String,
    /// `SigCgt`.
    pub caught: String,
}

/// One file below `/run`, or one that `probe.stat` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `file`, `directory`, `symlink`, or `other`.
    pub kind: String,
    /// Permission bits, setuid and sticky bits included.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Number of the device that it is on: `st_dev`.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// A small file's text or a symlink's target.
    pub content: Option<String>,
}

/// `/sys/block/dm-N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedDevice {
    /// `dm/name`.
    pub name: String,
    /// `dm/uuid`.
    pub uuid: String,
    /// `ro`: whether the device is read-only.
    pub read_only: bool,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written, removed or mounted.
    Done,
    /// A file's text.
    Text(String),
    /// Names in a directory.
    Names(Vec<String>),
    /// A file's metadata.
    Entry(Entry),
    /// How many bytes were written before which error number.
    Filled(u64, i32),
    /// Signals that arrived, sorted.
    Signals(Vec<i32>),
    /// How a program ended and what it said.
    Ran(Ran),
    /// The error number that the kernel gave.
    Failed(i32),
}

/// How a program ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error output.
    pub stderr: String,
}

impl Report {
    /// The topmost mount at `target`.
    pub fn mount(&self, target: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.target == target)
    }

    /// The outcome of the action that `word` asked for.
    pub fn outcome(&self, word: &str) -> Option<&Outcome> {
        self.actions.iter().find_map(|(asked, outcome)| (asked == word).then_some(outcome))
    }
}
