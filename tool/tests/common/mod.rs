//! What several tests of the program use.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a loop device may take to go after the process that attached it.
const DETACHED_WITHIN: Duration = Duration::from_secs(20);

/// Waits until no loop device is attached to a file in this folder: the kernel takes the mounts of a process that has ended
/// away in its own time, and the loop devices with them.
pub fn wait_until_detached(folder: &Path) {
    let end = Instant::now() + DETACHED_WITHIN;
    while is_attached(folder) {
        assert!(Instant::now() < end, "a loop device is left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_attached(folder: &Path) -> bool {
    let mut devices = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path().join("loop/backing_file"));
    devices.any(|device| fs::read_to_string(device).is_ok_and(|file| Path::new(file.trim()).starts_with(folder)))
}
