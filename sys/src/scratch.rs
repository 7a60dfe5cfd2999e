//! Places where tests make files, filesystem images and mounts.

use std::fs;
use std::path::PathBuf;
use std::string::String;

/// A directory of one test, which is removed, with what is still mounted in it, when the test is over.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(std::format!("surefoot-sys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// For a test that mounts or makes devices: `None`, said aloud, where the tests do not run as root.
    pub(crate) fn for_root(name: &str) -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self::new(name));
        }
        std::eprintln!("{name}: not tested, for only root may");
        None
    }

    /// The path of `name` in it.
    pub(crate) fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let inside =
            mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&self.at("")));
        for target in inside {
            let _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}
