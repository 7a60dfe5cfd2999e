//! The deployments of a sysroot, by its boot links, and which of them is the best.

use core::cell::Cell;
use core::cmp::Reverse;
use core::fmt::{self, Write};

use heapless::{String, Vec};

use super::{Why, why};
use crate::ostree::bls::{self, BootEntry};
use crate::ostree::target::{self, BootLink, MAX_OS_NAME, MAX_PATH};
use crate::ostree::{Checksum, Deployment};
use crate::tree::{Tree, TreeError};

/// Most deployments of one sysroot.
pub(super) const MAX_DEPLOYMENTS: usize = 16;
/// Most names that are looked at in the directories of boot links and boot entries: a sysroot may hold any number of them,
/// and a boot has to go on.
pub(super) const MAX_NAMES: usize = 256;
/// Most bytes of a boot entry.
pub(super) const MAX_ENTRY: usize = 4096;
/// The longest text of a link that ostree writes, and then some.
const MAX_LINK: usize = 256;
/// Most bytes of a stateroot's name that the name of a deployment shows.
const SHOWN: usize = 30;

/// A path that ostree writes.
pub(super) type Path = String<MAX_PATH>;
/// Is told of what is passed over, and why.
type Note<'n> = &'n mut dyn FnMut(&str, fmt::Arguments<'_>);

/// A filesystem whose directories are gone through.
struct Walk<'w> {
    tree: &'w dyn Tree,
    /// How many names may still be looked at.
    left: Cell<usize>,
}

/// A deployment that a boot link leads to.
#[derive(Clone, Debug)]
pub(super) struct Found {
    os: String<MAX_OS_NAME, u8>,
    checksum: Checksum,
    serial: u32,
    /// Counts the deployments that share its kernel, the newest first.
    boot_serial: u32,
    /// When its directory last changed: as a rule that is when it was deployed.
    modified: u64,
    entry: Option<Entry>,
}

/// What its boot entry says.
#[derive(Clone, Copy, Debug)]
struct Entry {
    version: Option<u32>,
    is_bad: bool,
}

impl Found {
    fn deployment(&self) -> Deployment<'_> {
        Deployment { os: &self.os, checksum: self.checksum, serial: self.serial }
    }

    /// The path of its directory.
    pub(super) fn directory(&self) -> Path {
        path(format_args!("{}", self.deployment())).unwrap_or_default()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.deployment() == other.deployment()
    }

    /// Whether its boot entry has no tries left.
    pub(super) fn is_bad(&self) -> bool {
        self.entry.is_some_and(|entry| entry.is_bad)
    }

    /// Where it comes: the smallest is the first. What has a boot entry comes in the order of its version, which the boot
    /// loader goes by; what has none, behind that, by its boot link. Deployments with different kernels are told apart
    /// by their age then.
    fn rank(&self) -> impl Ord + use<> {
        let version = self.entry.and_then(|entry| entry.version);
        (self.is_bad(), self.entry.is_none(), Reverse(version), self.boot_serial, Reverse(self.modified))
    }
}

impl fmt::Display for Found {
    /// Writes its name: `OS-CHECKSUM.SERIAL`, of which the checksum is cut short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let os = self.os.get(..SHOWN).unwrap_or(&self.os);
        write!(f, "{os}-")?;
        self.checksum.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ".{}", self.serial)
    }
}

/// The deployments of a sysroot, best first.
#[derive(Debug)]
pub(super) struct List(Vec<Found, MAX_DEPLOYMENTS>);

impl List {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The deployments, best first.
    pub(super) fn best_first(&self) -> impl Iterator<Item = &Found> {
        self.0.iter()
    }

    /// Adds all that the boot links in force lead to. These are the ones that `/boot/loader` names; where that cannot be
    /// told, for `/boot` may be another filesystem, all that there are: ostree removes the others before long.
    #[inline(never)]
    pub(super) fn fill(&mut self, tree: &dyn Tree, note: Note<'_>) {
        let walk = Walk { tree, left: Cell::new(MAX_NAMES) };
        let mut buffer = [0; MAX_LINK];
        let in_force = tree.read_link("boot/loader", &mut buffer).ok().and_then(bls::loader_version);
        let in_force = in_force.filter(|version| matches!(boot_directory(tree, *version), Ok(Some(_))));
        for version in [0, 1].into_iter().filter(|version| in_force.is_none_or(|in_force| in_force == *version)) {
            match boot_directory(tree, version) {
                Ok(Some(sub_version)) => self.boot_links(&walk, version, sub_version, note),
                Ok(None) => {}
                Err(why) => note(boot_link(version), format_args!("{why}")),
            }
        }
        if let Some(version) = in_force {
            self.entries(&walk, version, note);
        }
        self.sort();
    }

    /// Adds what the links below `ostree/boot.V.M` lead to.
    fn boot_links(&mut self, walk: &Walk<'_>, version: u8, sub_version: u8, note: Note<'_>) {
        let top = path(format_args!("ostree/boot.{version}.{sub_version}")).unwrap_or_default();
        walk.each(&top, note, &mut |os_path, note| {
            walk.each(os_path, note, &mut |kernel_path, note| {
                walk.each(kernel_path, note, &mut |link_path, note| {
                    let rest = link_path.get(top.len()..).unwrap_or_default();
                    let asked = path(format_args!("/ostree/boot.{version}{rest}")).unwrap_or_default();
                    let link = BootLink::parse(&asked).map_err(|error| why(format_args!("{error}")));
                    match link.and_then(|link| leads_to(walk.tree, &link, sub_version)) {
                        Ok(found) => self.add(found, note),
                        Err(why) => note(link_path, format_args!("{why}")),
                    }
                });
            });
        });
    }

    fn add(&mut self, found: Found, note: Note<'_>) {
        if self.0.iter().any(|known| known.is_same(&found)) {
            return;
        }
        if let Err(found) = self.0.push(found) {
            let why = format_args!("MAX_DEPLOYMENTS allows {MAX_DEPLOYMENTS} deployments of one sysroot");
            note(&found.directory(), why);
        }
    }

    /// Takes the versions and the boot counters from the boot entries.
    fn entries(&mut self, walk: &Walk<'_>, version: u8, note: Note<'_>) {
        let folder = path(format_args!("boot/loader.{version}/entries")).unwrap_or_default();
        if walk.tree.status(&folder) == Err(TreeError::Missing) {
            return;
        }
        walk.each(&folder, note, &mut |entry_path, note| {
            if let Err(why) = self.entry(walk.tree, entry_path) {
                note(entry_path, format_args!("{why}"));
            }
        });
    }

    #[inline(never)]
    fn entry(&mut self, tree: &dyn Tree, entry_path: &str) -> Result<(), Why> {
        let name = entry_path.rsplit('/').next().unwrap_or_default();
        // Entries of others are none of ostree's business.
        if BootEntry::parse(name, "").is_none() {
            return Ok(());
        }
        let mut buffer = [0; MAX_ENTRY];
        let text = tree.read_text(entry_path, &mut buffer);
        let text = text.map_err(|error| why(format_args!("the boot entry cannot be read: {error}")))?;
        let Some(entry) = BootEntry::parse(name, text) else { return Ok(()) };
        let Some(asked) = entry.ostree() else { return Ok(()) };
        let found = resolve(tree, asked)?;
        if let Some(known) = self.0.iter_mut().find(|known| known.is_same(&found)) {
            known.entry = Some(Entry { version: entry.version, is_bad: entry.is_bad() });
        }
        Ok(())
    }

    fn sort(&mut self) {
        for place in 0..self.0.len() {
            let rest = self.0.get(place..).unwrap_or_default();
            // Of two that are alike in all else the order is that of their paths, so that it is always the same.
            let best = rest.iter().enumerate().min_by(|(_, one), (_, other)| {
                one.rank()
                    .cmp(&other.rank())
                    .then_with(|| (&one.os, one.checksum.0).cmp(&(&other.os, other.checksum.0)))
            });
            if let Some((offset, _)) = best {
                self.0.swap(place, place.saturating_add(offset));
            }
        }
    }
}

/// The deployment that a boot link leads to, by the value of `ostree=`.
#[inline(never)]
pub(super) fn resolve(tree: &dyn Tree, asked: &str) -> Result<Found, Why> {
    let link = BootLink::parse(asked).map_err(|error| why(format_args!("{error}")))?;
    let version = link.boot_version;
    match boot_directory(tree, version)? {
        Some(sub_version) => leads_to(tree, &link, sub_version),
        None => Err(why(format_args!("ostree={asked}: the sysroot has no link ostree/boot.{version}"))),
    }
}

/// The path of the link of a boot version, which is 0 or 1.
fn boot_link(version: u8) -> &'static str {
    if version == 0 { "ostree/boot.0" } else { "ostree/boot.1" }
}

/// The M of `ostree/boot.V.M`, to which `ostree/boot.V` leads; `None` where there is no such link.
fn boot_directory(tree: &dyn Tree, version: u8) -> Result<Option<u8>, Why> {
    let link = boot_link(version);
    let mut buffer = [0; MAX_LINK];
    match tree.read_link(link, &mut buffer) {
        Ok(text) => match target::sub_version(version, text) {
            Ok(sub_version) => Ok(Some(sub_version)),
            Err(error) => Err(why(format_args!("{error}"))),
        },
        Err(TreeError::Missing) => Ok(None),
        Err(error) => Err(why(format_args!("the link {link} cannot be read: {error}"))),
    }
}

/// The deployment that a boot link below `ostree/boot.V.M` leads to.
#[inline(never)]
fn leads_to(tree: &dyn Tree, link: &BootLink<'_>, sub_version: u8) -> Result<Found, Why> {
    let place = path(format_args!("{}", link.resolved(sub_version))).unwrap_or_default();
    let mut buffer = [0; MAX_LINK];
    let text = tree.read_link(&place, &mut buffer);
    let text = text.map_err(|error| why(format_args!("the boot link {place} cannot be read: {error}")))?;
    let deployment = link.deployment(text).map_err(|error| why(format_args!("{place}: {error}")))?;
    let directory = path(format_args!("{deployment}")).unwrap_or_default();
    let missing = |error: TreeError| why(format_args!("{place} leads to {directory}: {error}"));
    let status = tree.status(&directory).map_err(missing)?;
    if status.kind != crate::tree::FileKind::Directory {
        return Err(missing(TreeError::WrongKind));
    }
    Ok(Found {
        // The name was found to be short enough.
        os: String::try_from(deployment.os).unwrap_or_default(),
        checksum: deployment.checksum,
        serial: deployment.serial,
        boot_serial: link.serial,
        modified: status.modified,
        entry: None,
    })
}

impl Walk<'_> {
    /// Calls `visit` with the path of everything that is in a directory, in any order.
    fn each(&self, directory: &str, note: Note<'_>, visit: &mut dyn FnMut(&str, Note<'_>)) {
        let listed = self.tree.list(directory, &mut |name| {
            let Some(left) = self.left.get().checked_sub(1) else {
                note(directory, format_args!("MAX_NAMES allows {MAX_NAMES} names of boot links and boot entries"));
                return false;
            };
            self.left.set(left);
            match path(format_args!("{directory}/{name}")) {
                Some(path) => visit(&path, note),
                None => note(directory, format_args!("a name in it is longer than any that ostree writes")),
            }
            true
        });
        if let Err(error) = listed {
            note(directory, format_args!("{error}"));
        }
    }
}

/// A path; `None` where it is longer than any that ostree writes.
fn path(text: fmt::Arguments<'_>) -> Option<Path> {
    let mut path = Path::new();
    path.write_fmt(text).ok().map(|()| path)
}
