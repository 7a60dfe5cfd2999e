//! Subvolumes of a btrfs: the snapshots that snapper keeps, and the subvolume that is mounted where no other is asked for.
//!
//! Snapshots lie in one folder, each at `N/snapshot` with `N/info.xml` beside it ([`crate::snapper`]). What is not part of
//! a snapshot lies in subvolumes beside it, which are mounted by themselves: `/var`, `/home`, `/.snapshots`, and `/etc` where
//! a snapshot has that as a subvolume of its own.

mod layout;
mod root;

use core::fmt;

use boot_config::Config;
use boot_config::policy::VerityPolicy;
use overlay::MountOptions;

use super::sysroot::{Finder, Offer, SysrootKind, View};
use super::{Insecurity, Kind, Look, Trust};
use crate::crc32::Crc32;
use crate::filesystem::FilesystemKind;
use crate::snapper::Snapshot;
use crate::tree::{Tree, TreeError};
use layout::{Unfit, join, read_only};

pub use layout::Path;

/// Subvolumes of a btrfs.
pub(super) const BTRFS: SysrootKind = SysrootKind { kind: Kind(NAME), view: View::Top, find, root: root::root };

/// How the kind is called, also in `surefoot.deployment=btrfs:SUBVOLUME`.
const NAME: &str = "btrfs";
/// Most snapshots of a filesystem that are looked at, the newest first.
const MAX_SNAPSHOTS: usize = 32;
/// The longest `info.xml` in bytes. Those that snapper writes have a few hundred.
const MAX_INFO: usize = 4096;
/// The longest path in bytes that the name of a deployment shows; a longer one is told by its checksum, for all of a name
/// is recorded in the boot ledger.
const MAX_SHOWN: usize = 40;
/// What is set on a snapshot as long as transactional-update(8) writes to it.
const UNFINISHED: &str = "transactional-update-in-progress";

#[inline(never)]
fn find(look: &Look<'_>, finder: &mut Finder<'_>) {
    if look.device.filesystem != Some(FilesystemKind::Btrfs) {
        return;
    }
    if let Some(path) = look.config.named(NAME) {
        return offer_named(look, finder, path.trim_matches('/'));
    }
    if look.config.wants_all_of_kind() {
        all(look, finder);
    }
}

/// Offers what `rootflags=` names, the default subvolume, and the snapshots, newest first.
fn all(look: &Look<'_>, finder: &mut Finder<'_>) {
    let [named, default] = [Meant::by_option(look.config), Some(Meant::Default)].map(|meant| {
        let meant = meant?;
        meant.path(look.tree).map_err(|why| finder.pass_over(meant.shown(), format_args!("{why}"))).ok()
    });
    let [named, default] = [named.as_deref(), default.as_deref()];
    // A sysroot has kinds of its own, which take the same option.
    if let Some(path) = named.filter(|path| read_only(look.tree, path) != Err(Unfit::Sysroot)) {
        offer_named(look, finder, path);
    }
    if let Some(path) = default.filter(|path| named != Some(*path)) {
        match read_only(look.tree, path) {
            Ok(_) => offer(finder, path, false),
            // Of a filesystem that holds no root it is the top.
            Err(Unfit::NoRoot) if path.is_empty() => {}
            Err(Unfit::Sysroot) => {}
            Err(why) => finder.pass_over(path, format_args!("{why}")),
        }
        if look.config.verity == VerityPolicy::Required {
            // It has been said for all of them why they are no candidates.
            return;
        }
    }
    let Some(folder) = layout::snapshots_beside(look.tree, default.or(named).unwrap_or_default()) else { return };
    let mut number = u32::MAX;
    for _ in 0..MAX_SNAPSHOTS {
        number = match next_below(look.tree, &folder, number) {
            Ok(Some(number)) => number,
            Ok(None) => return,
            Err(why) => return finder.pass_over(&folder, format_args!("cannot list the snapshots: {why}")),
        };
        let Ok(path) = join::<{ layout::MAX_PATH }>(format_args!("{folder}/{number}/snapshot")) else { continue };
        if [default, named].contains(&Some(path.as_str())) {
            continue;
        }
        match judge(look.tree, &folder, number, &path) {
            Ok(true) => offer(finder, &path, false),
            Ok(false) => {}
            Err(why) => {
                let name = join::<MAX_SHOWN>(format_args!("{}", Name(&path)));
                finder.pass_over(name.as_deref().unwrap_or(&path), format_args!("{why}"));
            }
        }
    }
}

/// The directory that a mount of the filesystem shows: of a btrfs, the subvolume that `rootflags=` names, else the default
/// one; of another filesystem its top. `None` if there is no such subvolume, which `note` is told of.
#[inline(never)]
pub(super) fn mounted(look: &Look<'_>, note: &mut dyn FnMut(&str, fmt::Arguments<'_>)) -> Option<Path> {
    if look.device.filesystem != Some(FilesystemKind::Btrfs) {
        return Some(Path::new());
    }
    let meant = Meant::by_option(look.config).unwrap_or(Meant::Default);
    let path = meant.path(look.tree).and_then(|path| layout::check_subvolume(look.tree, &path).map(|_| path));
    path.map_err(|why| note(meant.shown(), format_args!("{why}"))).ok()
}

/// How a subvolume is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant<'a> {
    /// By its path, without the slashes around it.
    Path(&'a str),
    /// By its number.
    Number(&'a str),
    /// It is the default.
    Default,
}

impl<'a> Meant<'a> {
    /// What `rootflags=` names; of a path and a number the path counts, and the last one.
    fn by_option(config: &Config<'a>) -> Option<Self> {
        let mut meant = None;
        for option in &MountOptions::parse(config.root.options.iter().copied()).ok()?.filesystem {
            match (option.name, option.value, meant) {
                ("subvol", Some(path), _) => meant = Some(Self::Path(path.trim_matches('/'))),
                (_, _, Some(Self::Path(_))) => {}
                // The top has this number, and none is taken for it.
                ("subvolid", Some("0"), _) => meant = Some(Self::Number("5")),
                ("subvolid", Some(number), _) => meant = Some(Self::Number(number)),
                _ => {}
            }
        }
        meant
    }

    /// Its path from the top, which need not lead to a subvolume.
    fn path(self, tree: &dyn Tree) -> Result<Path, Unfit> {
        let number = match self {
            Self::Path(path) => return join(format_args!("{path}")).map_err(Unfit::Unseen),
            Self::Number(number) => Some(number.parse().map_err(|_| Unfit::Unplaced(TreeError::Missing))?),
            Self::Default => None,
        };
        let mut buffer = [0; layout::MAX_PATH];
        let path = tree.subvolume(number, &mut buffer).map_err(Unfit::Unplaced)?;
        join(format_args!("{path}")).map_err(Unfit::Unseen)
    }

    const fn shown(self) -> &'a str {
        match self {
            Self::Path(path) => path,
            Self::Number(_) => "rootflags=subvolid=",
            Self::Default => "default subvolume",
        }
    }
}

/// The highest number of a snapshot that is lower than `limit`.
fn next_below(tree: &dyn Tree, folder: &str, limit: u32) -> Result<Option<u32>, TreeError> {
    let mut next = None;
    tree.list(folder, &mut |name| {
        next = next.max(layout::number(name).filter(|number| *number < limit));
        true
    })?;
    Ok(next)
}

/// Whether a snapshot may boot. `false` for a number that snapper has used and that means nothing any more.
///
/// Those before and after a change (`pre`, `post`) are whole roots as the single ones are.
#[inline(never)]
fn judge(tree: &dyn Tree, folder: &str, number: u32, path: &str) -> Result<bool, Unbootable> {
    let mut buffer = [0; MAX_INFO];
    let info: Path = join(format_args!("{folder}/{number}/info.xml")).map_err(Unbootable::Unread)?;
    let text = match tree.read_text(&info, &mut buffer) {
        Err(TreeError::Missing) if tree.status(path) == Err(TreeError::Missing) => return Ok(false),
        text => text.map_err(Unbootable::Unread)?,
    };
    let snapshot = Snapshot::parse(text, number).map_err(Unbootable::Info)?;
    if snapshot.userdata(UNFINISHED).is_some_and(|value| value.as_written() == "yes") {
        return Err(Unbootable::Unfinished);
    }
    read_only(tree, path).map(|_| true).map_err(Unbootable::Subvolume)
}

/// Why a snapshot is no candidate.
enum Unbootable {
    /// Its `info.xml` cannot be read.
    Unread(TreeError),
    /// It is not known for what it is.
    Info(crate::snapper::SnapshotError),
    /// An update of it was not finished.
    Unfinished,
    /// It is no root.
    Subvolume(Unfit),
}

impl fmt::Display for Unbootable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(why) => write!(f, "cannot read its info.xml: {why}"),
            Self::Info(why) => write!(f, "its info.xml {why}"),
            Self::Unfinished => write!(f, "its update was not finished ({UNFINISHED}=yes)"),
            Self::Subvolume(why) => why.fmt(f),
        }
    }
}

/// Offers what the command line names, so that it is reported when it turns out to be no root. It may be in the next
/// filesystem, if `root=` does not say which one it is in.
fn offer_named(look: &Look<'_>, finder: &mut Finder<'_>, path: &str) {
    match look.tree.status(path) {
        Err(why @ TreeError::Missing) if look.config.root.device.is_none() => {
            finder.pass_over(path, format_args!("{}", Unfit::Unseen(why)));
        }
        _ => offer(finder, path, true),
    }
}

fn offer(finder: &mut Finder<'_>, path: &str, named: bool) {
    let trust = Trust::Insecure(Insecurity::Root);
    finder.offer(&Offer { name: format_args!("{}", Name(path)), place: path, trust, counters: None, named });
}

/// The name of the deployment in a subvolume.
struct Name<'p>(&'p str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0;
        match layout::snapshot(path) {
            Some((_, number)) => write!(f, "snapshot-{number}"),
            None if path.is_empty() => f.write_str("subvolume-top"),
            None if path.len() <= MAX_SHOWN => write!(f, "subvolume-{path}"),
            None => {
                let mut checksum = Crc32::new();
                checksum.update(path.as_bytes());
                write!(f, "subvolume-{:08x}", checksum.finish())
            }
        }
    }
}

#[cfg(test)]
mod tests;
