//! Places where tests make files, filesystem images and mounts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::string::String;

use linux_raw_sys::general::{__NR_unshare, CLONE_NEWNET, CLONE_NEWNS};

use crate::call::system_call;

/// A directory of one test, which is removed, with what is still mounted in it, when the test is over.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(std::format!("surefoot-sys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// For a test that mounts or makes devices, which fails without root: a test that is left out would pass.
    pub(crate) fn for_root(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test mounts or makes devices: run it as root");
        Self::new(name)
    }

    /// As [`Self::for_root`], with mounts of the test's own, which are gone with its thread (unshare(2)).
    pub(crate) fn for_mounts(name: &str) -> Self {
        let scratch = Self::for_root(name);
        unshare(CLONE_NEWNS);
        crate::mount::make_all_private().unwrap();
        scratch
    }

    /// The path of `name` in it.
    pub(crate) fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }

    /// Makes the directory `name` in it.
    pub(crate) fn folder(&self, name: &str) -> String {
        fs::create_dir_all(self.0.join(name)).unwrap();
        self.at(name)
    }

    /// Makes an image file of `size` bytes and has `program` make a filesystem in it.
    pub(crate) fn image(&self, name: &str, size: u64, program: &str, arguments: &[&str]) -> String {
        fs::File::create(self.0.join(name)).unwrap().set_len(size).unwrap();
        let path = self.at(name);
        run(program, &[arguments, &[&path]].concat());
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
        let inside =
            mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&self.at("")));
        for target in inside {
            let _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gives this thread a network of its own, for a test that fails without root.
pub(crate) fn enter_network() {
    assert!(rustix::process::geteuid().is_root(), "this test makes a network: run it as root");
    unshare(CLONE_NEWNET);
}

fn unshare(what: u32) {
    // SAFETY: unshare takes flags, no pointers, and changes this thread's own view of the machine alone.
    #[allow(unsafe_code)]
    unsafe {
        system_call(__NR_unshare, &[what as usize]).unwrap();
    }
}

/// Runs `program`, which must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
