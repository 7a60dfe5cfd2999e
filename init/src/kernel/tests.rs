//! What hostile hands can lay in the way of a plan, on the state device and in the new root: the very steps of a plan are
//! carried out by this kernel, in a root and with mounts of the test's own. This takes root and a kernel with overlayfs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path as StdPath;
use std::string::{String as Text, ToString as _};
use std::sync::mpsc;
use std::time::Duration;
use std::vec::Vec as List;
use std::{format, thread};

use boot_config::Sources;
use deployment::Candidate;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod};
use sys::mount::{Attributes, Message, Submounts};

use super::*;
use crate::execute::carry_out;
use crate::plan::{Plan, StateChoice, Step, With};

/// Longer than any plan takes here: what takes longer waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(20);

/// What is laid in the way.
#[derive(Clone, Copy, Debug)]
enum Trap {
    Link(&'static str),
    Pipe,
    Device,
    Socket,
    File,
    Directory(u32),
}

const TRAPS: [Trap; 10] = [
    Trap::Link("/outside"),
    Trap::Link("../../../../../../outside"),
    Trap::Link("/"),
    Trap::Link("nowhere"),
    Trap::Link("."),
    Trap::Pipe,
    Trap::Device,
    Trap::Socket,
    Trap::File,
    Trap::Directory(0),
];

impl Trap {
    /// Puts it at a path, in the place of what is there; directories on the way are made.
    fn put(self, path: &StdPath) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
        let node = |kind, number| mknod(path, kind, Mode::from_bits_truncate(0o666), number).unwrap();
        match self {
            Self::Link(destination) => symlink(destination, path).unwrap(),
            Self::Pipe => node(SFlag::S_IFIFO, 0),
            // /dev/full
            Self::Device => node(SFlag::S_IFCHR, nix::sys::stat::makedev(1, 7)),
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::File => fs::write(path, "x").unwrap(),
            Self::Directory(mode) => {
                fs::create_dir(path).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(destination) => write!(f, "a link to {destination}"),
            Self::Directory(mode) => write!(f, "a directory of mode {mode:04o}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Runs something in a root of its own, with these directories and a state device in memory; fails if it takes too long.
fn in_a_root<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let top = tempfile::tempdir().unwrap();
    let place = top.path().to_str().unwrap().to_string();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Mounts, root and working directory are this thread's own from here on.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        sys::mount::make_all_private().unwrap();
        tmpfs(&place, Attributes::NONE);
        for name in [
            "proc",
            "run",
            "outside",
            "sysroot/etc",
            "sysroot/home",
            "sysroot/opt",
            "sysroot/srv/a/b",
            "sysroot/var/lib",
        ] {
            fs::create_dir_all(format!("{place}/{name}")).unwrap();
        }
        let proc = file::open_directory("/proc").unwrap();
        sys::mount::bind_handle(proc.as_fd(), &format!("{place}/proc"), Attributes::NONE, Submounts::Include).unwrap();
        std::os::unix::fs::chroot(&place).unwrap();
        std::env::set_current_dir("/").unwrap();
        for (path, content) in
            [("outside/kept", "kept"), ("sysroot/etc/hostname", "image"), ("sysroot/var/shipped", "s")]
        {
            fs::write(format!("/{path}"), content).unwrap();
        }
        fs::create_dir_all(places::STATE).unwrap();
        tmpfs(places::STATE, Attributes::NO_SUID.with(Attributes::NO_DEVICES));
        // Who waits for it has given up, or takes it.
        let _ = sender.send(body());
    });
    receiver.recv_timeout(LIMIT).expect("it panicked, or it waits for something that does not come")
}

fn tmpfs(target: &str, attributes: Attributes) {
    sys::mount::filesystem("tmpfs", "tmpfs", &mut core::iter::empty(), attributes, target, &mut Message::new())
        .unwrap();
}

/// The steps that lay writable directories over the root, for these words, from the one on that follows the state
/// device's own mount.
fn steps<'a>(config: &Config<'a>) -> List<Step<'a>> {
    let nothing = Candidate::nothing();
    let mut plan = std::boxed::Box::new(Plan::new());
    let with = With { look: None, state: &StateChoice::Memory, devices: &[], fallback: false };
    plan.make(config, &nothing, &with).unwrap();
    let is_state = |step: &Step<'_>| matches!(&step.action, Action::Mount(mount) if mount.target == places::STATE);
    let is_end = |step: &Step<'_>| matches!(step.action, Action::CheckRoot { .. });
    let layers = plan.steps.iter().skip_while(|step| !is_state(step)).skip(1).take_while(|step| !is_end(step));
    layers.filter(|step| !matches!(step.action, Action::LoadModule { .. })).cloned().collect()
}

/// Carries the steps for these words out: nothing, or why one failed.
fn lay(words: &str) -> Result<(), Text> {
    let config = Config::parse(Sources { cmdline: words, ..Sources::default() }).unwrap();
    let tree = Tree::open();
    let mut kernel = Kernel::new(&tree, &config);
    carry_out(&steps(&config), &mut kernel).map(|_| ()).map_err(|failed| failed.reason.to_string())
}

/// Everything that no plan has any business with, by path: what is in `/` but below `/run` and the directories of the root
/// that are to become writable.
fn outside() -> BTreeMap<Text, Text> {
    fn add(folder: &StdPath, all: &mut BTreeMap<Text, Text>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.to_str().unwrap().to_string();
            if name == "/proc" || name == places::STATE || name.starts_with("/sysroot/") {
                all.insert(name, "there".into());
            } else if kind.is_dir() {
                all.insert(name, format!("{:o}", entry.metadata().unwrap().permissions().mode()));
                add(&path, all);
            } else {
                all.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    add(StdPath::new("/"), &mut all);
    all
}

/// Where something is mounted in this root, but for what the test itself has mounted.
fn mounted() -> List<Text> {
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let targets = table.lines().filter_map(|line| line.split(' ').nth(1));
    targets
        .filter(|target| !target.starts_with("/proc") && *target != places::STATE && *target != "/")
        .map(Text::from)
        .collect()
}

const WORDS: &str = "surefoot.etc=overlay surefoot.var=bind surefoot.home=bind surefoot.mount=/srv:overlay surefoot.mount=/opt:bind \
     surefoot.mount=/srv/a/b:tmpfs surefoot.mount=/var/lib:overlay";

/// Where that mounts, sorted.
const TARGETS: [&str; 7] = [
    "/sysroot/etc",
    "/sysroot/home",
    "/sysroot/opt",
    "/sysroot/srv",
    "/sysroot/srv/a/b",
    "/sysroot/var",
    "/sysroot/var/lib",
];

/// Lays each trap at each of these places, and carries the plan out. Gives how it ended, with the traps that it ended so for.
fn with_traps_at(places: &'static [&'static str]) -> Text {
    assert!(nix::unistd::geteuid().is_root(), "this test mounts: run it as root");
    let mut said = Text::new();
    for place in places {
        let mut endings = BTreeMap::<Text, List<Text>>::new();
        for trap in TRAPS {
            let ended = in_a_root(move || {
                trap.put(StdPath::new(place));
                let before = outside();
                let ended = lay(WORDS);
                assert_eq!(outside(), before, "{trap} at {place}");
                let mut mounted = mounted();
                mounted.sort();
                assert_eq!(mounted, if ended.is_ok() { &TARGETS[..] } else { &[] }, "{trap} at {place}");
                if ended.is_ok() {
                    // What is written goes where it is to go.
                    fs::write("/sysroot/etc/new", "n").unwrap();
                    fs::write("/sysroot/var/lib/new", "n").unwrap();
                    assert_eq!(outside(), before, "{trap} at {place}");
                }
                ended
            });
            let ended = ended.map_or_else(|why| why, |()| "boots".into());
            endings.entry(ended).or_default().push(trap.to_string());
        }
        for (ended, traps) in endings {
            writeln!(said, "{place}: {}\n    {ended}", traps.join(", ")).unwrap();
        }
    }
    said
}

/// Every component of every path that the plan has on the state device.
#[test]
fn whatever_lies_on_the_state_device_nothing_is_mounted_or_written_elsewhere() {
    insta::assert_snapshot!(with_traps_at(&[
        "/run/surefoot/state/etc",
        "/run/surefoot/state/etc/upper",
        "/run/surefoot/state/etc/upper.partial",
        "/run/surefoot/state/etc/work",
        "/run/surefoot/state/var",
        "/run/surefoot/state/var.partial",
        "/run/surefoot/state/var/lib",
        "/run/surefoot/state/home",
        "/run/surefoot/state/overlays",
        "/run/surefoot/state/overlays/srv",
        "/run/surefoot/state/overlays/srv/upper",
        "/run/surefoot/state/overlays/srv/upper/a",
        "/run/surefoot/state/overlays/srv/work",
        "/run/surefoot/state/binds",
        "/run/surefoot/state/binds/opt",
    ]));
}

/// Every component of every path that the plan has in the new root.
#[test]
fn whatever_lies_in_the_new_root_nothing_is_mounted_or_written_elsewhere() {
    insta::assert_snapshot!(with_traps_at(&[
        "/sysroot/etc",
        "/sysroot/opt",
        "/sysroot/srv",
        "/sysroot/srv/a",
        "/sysroot/srv/a/b",
        "/sysroot/var",
        "/sysroot/var/lib",
    ]));
}

/// The parts of a root, of which no step of their own checks where they go.
#[test]
fn no_mount_follows_a_link_to_its_target() {
    for (link, target) in [("/sysroot/boot", "/sysroot/boot/grub"), ("/sysroot/usr", "/sysroot/usr")] {
        let why = in_a_root(move || {
            fs::create_dir("/outside/grub").unwrap();
            symlink("/outside", link).unwrap();
            let before = outside();
            let config = Config::parse(Sources::default()).unwrap();
            let tree = Tree::open();
            let source = Source::Tmpfs { size: None, mode: 0o755 };
            let flags = overlay::mount_options::MountFlags::NONE;
            let mount = Mount { source, target: path!("{target}"), flags };
            let why = Kernel::new(&tree, &config).mount(&mount).unwrap_err().to_string();
            assert_eq!((outside(), mounted()), (before, List::new()), "{target}");
            why
        });
        let expected = format!("cannot mount tmpfs tmpfs on {target}: {target}: a symbolic link leads to it");
        assert_eq!(why, expected);
    }
}

/// The hand-over moves the kernel's filesystems there from the initramfs, whose root a link would be followed from.
#[test]
fn what_the_hand_over_mounts_on_is_no_trap() {
    let mut said = Text::new();
    for (place, trap) in ["dev", "proc", "sys", "run"].into_iter().flat_map(|place| TRAPS.map(|trap| (place, trap))) {
        let ended = in_a_root(move || {
            for name in ["dev", "proc", "sys", "run", "usr/lib", "sbin"] {
                fs::create_dir_all(format!("/sysroot/{name}")).unwrap();
            }
            fs::write("/sysroot/usr/lib/os-release", "ID=x").unwrap();
            fs::write("/sysroot/sbin/init", "x").unwrap();
            fs::set_permissions("/sysroot/sbin/init", fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(new_root::check(places::NEW_ROOT, None).as_deref(), Ok("/sbin/init"));
            trap.put(&StdPath::new(places::NEW_ROOT).join(place));
            new_root::check(places::NEW_ROOT, None).map_or_else(|why| why.to_string(), |_| "boots".into())
        });
        if place == "dev" {
            writeln!(said, "{trap}: {ended}").unwrap();
        }
        assert_eq!(ended == "boots", matches!(trap, Trap::Directory(_)), "{trap} at {place}: {ended}");
    }
    insta::assert_snapshot!(said);
}

/// The kernel removes what lies there, but no more than two levels of it; then it makes the overlay read-only.
#[test]
fn a_deep_work_directory_is_cleared() {
    let is_writable = in_a_root(|| {
        let work = StdPath::new(places::STATE).join("etc/work");
        fs::create_dir_all(work.join("work/a/b/c/d")).unwrap();
        fs::write(work.join("work/a/b/c/d/file"), "x").unwrap();
        symlink("/outside", work.join("work/a/b/link")).unwrap();
        Trap::Pipe.put(&work.join("work/a/b/pipe"));
        let before = outside();
        lay("surefoot.etc=overlay surefoot.var=ro surefoot.home=ro").unwrap();
        assert_eq!(outside(), before);
        fs::write("/sysroot/etc/new", "n").is_ok()
    });
    assert!(is_writable);
}
