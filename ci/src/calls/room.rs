//! A root directory for one thread and what it starts, in which PID 1's places are free: all that it mounts is seen in there
//! alone, and gone with the thread.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};

use super::cases::Case;
use crate::disk;

/// The program in there.
pub(super) const PROGRAM: &str = "/carry-out";
/// What this machine lends.
const LENT: [&str; 3] = ["dev", "sys", "usr"];
/// Folders that are the room's own.
const OWN: [&str; 6] = ["images", "proc", "run", "sysroot", "tmp", "old"];
const LINKS: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Where the image of a disk of the case is in there.
pub(super) fn image(number: usize) -> String {
    format!("/images/{number}")
}

/// Moves this thread into a new room, made at the empty directory `top`, with the images of a case.
pub(super) fn enter(top: &Path, program: &Path, case: &Case) -> Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("room"), top, Some("tmpfs"), MsFlags::empty(), none)?;
    for name in LENT.iter().chain(&OWN) {
        fs::create_dir(top.join(name))?;
    }
    for name in LENT {
        mount(Some(&Path::new("/").join(name)), &top.join(name), none, MsFlags::MS_BIND, none)?;
    }
    mount(Some("proc"), &top.join("proc"), Some("proc"), MsFlags::empty(), none)?;
    for name in LINKS {
        symlink(format!("usr/{name}"), top.join(name))?;
    }
    for (path, content) in &case.files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().context("a file needs a name")?)?;
        fs::write(path, content)?;
    }
    fs::copy(program, top.join(&PROGRAM[1..])).with_context(|| program.display().to_string())?;
    for (number, from) in case.disks.iter().enumerate() {
        let copy = top.join(&image(number)[1..]);
        disk::copy(&from.image, &copy)?;
    }
    pivot_root(top, &top.join("old"))?;
    chdir("/")?;
    umount2("/old", MntFlags::MNT_DETACH)?;
    Ok(fs::remove_dir("/old")?)
}
