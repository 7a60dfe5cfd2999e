//! Looks at everything a real init is handed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};
use surefoot_probe::report::{Entry, MappedDevice, SignalMasks};
use surefoot_probe::{Mount, Report};

/// Files of `/run` that are at most this long are reported with their text.
const SMALL_FILE: u64 = 64 * 1024;

/// The report, its actions still empty.
pub(crate) fn report() -> Report {
    let peak_memory_kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    let status = text("/proc/self/status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    Report {
        kernel: text("/proc/sys/kernel/osrelease"),
        pid: std::process::id(),
        uid: field("Uid"),
        argv: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        environment: std::env::vars_os()
            .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect(),
        working_directory: link("/proc/self/cwd"),
        descriptors: descriptors(),
        signals: SignalMasks { blocked: field("SigBlk"), ignored: field("SigIgn"), caught: field("SigCgt") },
        peak_memory_kib,
        own_memory_kib: field("VmHWM").trim_end_matches(" kB").parse().unwrap_or(0),
        cmdline: text("/proc/cmdline"),
        kernel_settings: [
            text("/proc/sys/kernel/modprobe"),
            text("/proc/sys/kernel/printk_devkmsg"),
            text("/sys/kernel/rcu_expedited"),
        ],
        modules: modules(),
        mounts: text("/proc/self/mountinfo").lines().filter_map(Mount::parse).collect(),
        root_entries: names("/"),
        run: run(),
        device_mapper: device_mapper(),
        block_devices: names("/sys/block"),
        processes: processes(),
        actions: Vec::new(),
    }
}

/// A file's text without the newline at its end; empty when it cannot be read.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()
}

fn link(path: impl AsRef<Path>) -> String {
    fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The sorted names in a directory; empty when it cannot be read.
pub(crate) fn names(path: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn descriptors() -> BTreeMap<u32, String> {
    let numbers = names("/proc/self/fd").into_iter().filter_map(|name| name.parse().ok());
    // The descriptor of the directory itself is gone by now.
    numbers.map(|fd: u32| (fd, link(format!("/proc/self/fd/{fd}")))).filter(|(_, target)| !target.is_empty()).collect()
}

fn modules() -> BTreeMap<String, String> {
    let lines = text("/proc/modules");
    let parts = lines.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.nth(3)?.to_owned()))
    });
    parts.collect()
}

/// What `path` itself is, without following a symlink.
pub(crate) fn entry(path: &Path) -> std::io::Result<Entry> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let (kind, content) = if kind.is_symlink() {
        ("symlink", Some(link(path)))
    } else if kind.is_dir() {
        ("directory", None)
    } else if kind.is_file() {
        ("file", (metadata.len() <= SMALL_FILE).then(|| text(path)))
    } else {
        ("other", None)
    };
    Ok(Entry {
        kind: kind.to_owned(),
        mode: metadata.permissions().mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.len(),
        device: metadata.dev(),
        inode: metadata.ino(),
        content,
    })
}

/// All that lies below `/run`, without what is mounted there.
fn run() -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let device = fs::metadata("/run").map_or(0, |metadata| metadata.dev());
    let mut pending = vec![Path::new("/run").to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(entry) = entry(&path) else { continue };
        let same = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.dev() == device);
        if same && entry.kind == "directory" {
            pending.extend(names(&path).into_iter().map(|name| path.join(name)));
        }
        found.insert(path.to_string_lossy().into_owned(), entry);
    }
    found
}

fn device_mapper() -> BTreeMap<String, MappedDevice> {
    let devices = names("/sys/block").into_iter().filter(|name| name.starts_with("dm-"));
    let describe = |device: String| {
        let at = |file: &str| text(format!("/sys/block/{device}/{file}"));
        (device.clone(), MappedDevice { name: at("dm/name"), uuid: at("dm/uuid"), read_only: at("ro") == "1" })
    };
    devices.map(describe).collect()
}

/// Programs that run beside this one. Kernel threads have no executable.
fn processes() -> BTreeMap<u32, String> {
    let numbers = names("/proc").into_iter().filter_map(|name| name.parse().ok());
    let programs = numbers.filter(|&pid: &u32| pid != 1 && !link(format!("/proc/{pid}/exe")).is_empty());
    programs.map(|pid| (pid, text(format!("/proc/{pid}/comm")))).collect()
}
