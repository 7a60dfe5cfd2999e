//! Image files in the folder `images` of a filesystem: a root filesystem with its hash tree behind or beside it, or with
//! partitions (a Discoverable Disk Image).
//!
//! | what | what vouches for it |
//! |---|---|
//! | a disk with a root partition and its hash partition | an accepted root hash, whose halves are their PARTUUIDs |
//! | a filesystem, `NAME.verity` beside it | an accepted root hash, which is told by `NAME.roothash` beside it, or by the tree |
//! | a filesystem with the hash tree appended | the same |
//!
//! `NAME` is the image's name without `.raw`, or with it, and without counters of tries: whatever counts tries renames the
//! image alone. A folder that is called `X.v` holds versions of an image ([`crate::vpick`]).

mod content;

use core::cmp::Ordering;
use core::fmt::{self, Write};

use boot_config::config::VerityOptions;
use boot_config::policy::VerityPolicy;
use heapless::String;

use super::recipe::{Extent, Part, Place, Recipe, Refused};
use super::sysroot::{Counters, Finder, Offer, SysrootKind, View};
use super::{Insecurity, Kind, Look, TreeSource, Trust};
use crate::tree::{Tree, TreeError};
use crate::vpick::{ARCHITECTURE, FileName, MAX_PATH, Pattern, compare_versions, path_after_try};
use content::{Content, Range, Verity, content};

/// Image files.
pub(super) const IMAGE: SysrootKind = SysrootKind { kind: Kind(NAME), view: View::Top, find, root };

/// How the kind is called, also in `surefoot.deployment=image:PATH`.
const NAME: &str = "image";
/// Where images lie.
const FOLDER: &str = "images";
/// What the names of image files end in.
const SUFFIX: &str = ".raw";
/// Most images of a folder that are looked at, the best first.
const MAX_IMAGES: usize = 16;

/// Most tries that are told apart. A name may count more.
const MAX_TRIES: u8 = 15;

/// A path below the top of the filesystem.
type Path = String<MAX_PATH, u8>;

#[inline(never)]
fn find(look: &Look<'_>, finder: &mut Finder<'_>) {
    if let Some(path) = look.config.named(NAME) {
        let path = path.trim_matches('/');
        match Pattern::parse(path) {
            // The folder is pinned, and not one of its versions: their counters count.
            Some(versions) if look.tree.has_directory(versions.folder) => self::versions(look, finder, &versions),
            _ => image(look, finder, path, None, true),
        }
    } else if look.config.wants_all_of_kind() && look.tree.has_directory(FOLDER) {
        each(look, finder, FOLDER, &by_name, &mut |finder, name| {
            let Ok(path) = below(FOLDER, name) else { return };
            match Pattern::parse(&path) {
                Some(versions) if look.tree.has_directory(&path) => self::versions(look, finder, &versions),
                _ if name.ends_with(SUFFIX) => image(look, finder, &path, None, false),
                _ => {}
            }
        });
    }
}

/// Offers the versions of an image, the best one first. Where one of them has counters, those without are good: either they
/// had some, or they are as good as their maker says (systemd.v(7)). Where none has, the boot ledger counts.
fn versions(look: &Look<'_>, finder: &mut Finder<'_>, versions: &Pattern<'_>) {
    let order = |name: &str, other: &str| {
        let [name, other] = [name, other].map(|name| versions.image(name, ARCHITECTURE));
        name.zip(other).map(|(name, other)| name.compare(&other))
    };
    let mut otherwise = None;
    // A folder that cannot be listed is reported below.
    let _ = look.tree.list(versions.folder, &mut |name| {
        let counts = versions.image(name, ARCHITECTURE).is_some_and(|version| version.counters.is_some());
        otherwise = otherwise.or(counts.then_some(Counters::GOOD));
        otherwise.is_none()
    });
    each(look, finder, versions.folder, &order, &mut |finder, name| {
        let (Some(version), Ok(path)) = (versions.image(name, ARCHITECTURE), below(versions.folder, name)) else {
            return;
        };
        let left = version.counters.map(|counters| u8::try_from(counters.left).unwrap_or(MAX_TRIES).min(MAX_TRIES));
        image(look, finder, &path, left.map(|left| Counters { left }).or(otherwise), false);
    });
}

/// Newer versions first; every name has its place.
fn by_name(name: &str, other: &str) -> Option<Ordering> {
    let known = |name: &str| name.ends_with(SUFFIX) || Pattern::parse(name).is_some();
    let order = compare_versions(other, name).then_with(|| other.cmp(name));
    Some(order).filter(|_| known(name) && known(other))
}

/// Calls `found` with the names in a folder that have a place in `order`, the best one first.
///
/// There is no memory for all of them: for each one the folder is listed again.
#[inline(never)]
fn each(
    look: &Look<'_>,
    finder: &mut Finder<'_>,
    folder: &str,
    order: &dyn Fn(&str, &str) -> Option<Ordering>,
    found: &mut dyn FnMut(&mut Finder<'_>, &str),
) {
    let mut last: Option<FileName> = None;
    for _ in 0..MAX_IMAGES {
        let mut next: Option<FileName> = None;
        let listed = look.tree.list(folder, &mut |name| {
            let has_place = order(name, name).is_some();
            let is_left = last.as_ref().is_none_or(|last| order(last, name) == Some(Ordering::Less));
            let is_better = next.as_ref().is_none_or(|next| order(name, next) == Some(Ordering::Less));
            if has_place && is_left && is_better {
                next = FileName::try_from(name).ok().or_else(|| next.take());
            }
            true
        });
        if let Err(why) = listed {
            return finder.pass_over(folder, format_args!("cannot list the images: {why}"));
        }
        let Some(name) = next else { return };
        found(finder, &name);
        last = Some(name);
    }
}

/// Offers the image at a path, or says why it is none.
#[inline(never)]
fn image(look: &Look<'_>, finder: &mut Finder<'_>, path: &str, counters: Option<Counters>, named: bool) {
    let name = Stem::of(path).map_or_else(|| FileName::try_from(path).unwrap_or_default(), |stem| stem.name);
    let trust = match content(look.tree, path, look.config) {
        Ok(content) if content.verity.is_some() => Trust::Verified,
        Err(why) if !named || why.is_missing() && look.config.root.device.is_none() => {
            // What is named may be in the next filesystem.
            return finder.pass_over(&name, format_args!("{why}"));
        }
        // It is refused when it is tried, and that is reported. Nothing can come of it that is not verified, where it must be.
        Err(_) if look.config.verity == VerityPolicy::Required => Trust::Verified,
        Ok(_) | Err(_) => Trust::Insecure(Insecurity::Root),
    };
    let offer = Offer { name: format_args!("{name}"), place: path, trust, counters, named };
    finder.offer_accepted(&offer);
}

#[inline(never)]
fn root(source: &TreeSource, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    let path = current(look.tree, &source.place);
    let path = path.as_deref().unwrap_or(&source.place);
    let Content { data, filesystem, verity } = content(look.tree, path, look.config)
        .map_err(|why| recipe.refuse(format_args!("cannot boot the image {path}: {why}")))?;
    let (data, target) = (data.of(path), Place::root(""));
    let Some(Verity { root_hash, file, range }) = verity else {
        if look.config.verity == VerityPolicy::Required {
            return Err(recipe.refuse(format_args!("no accepted root hash vouches for the image {path}")));
        }
        return recipe.add(&Part::PlainImage { data, filesystem, target });
    };
    let hash = range.of(file.as_deref().unwrap_or(path));
    let options = look.config.root_verity.as_ref().map(|verity| verity.options).unwrap_or_default();
    let options = VerityOptions { hash_offset: 0, ..options };
    recipe.add(&Part::Image { data, hash, root_hash, options, filesystem, target })
}

impl Range {
    /// This part of a file of the filesystem.
    const fn of(self, path: &str) -> Extent<'_> {
        Extent { file: Place::sysroot(path), offset: self.offset, size: self.size }
    }
}

/// Where an image is that was renamed when its try was written down; `None` where it was not.
fn current(tree: &dyn Tree, place: &str) -> Option<Path> {
    let tried = path_after_try(place)?;
    (tree.status(place) == Err(TreeError::Missing) && tree.status(&tried).is_ok()).then_some(tried)
}

/// The path of what is called `name` in the directory `parent`.
fn below(parent: &str, name: &str) -> Result<Path, fmt::Error> {
    let mut path = Path::new();
    write!(path, "{parent}/{name}").map(|()| path)
}

/// What an image is called, whatever its name counts.
struct Stem<'p> {
    /// The directory that it lies in, with a slash behind it; empty for the top.
    directory: &'p str,
    /// Its name without `.raw` and without counters.
    name: FileName,
}

impl<'p> Stem<'p> {
    fn of(path: &'p str) -> Option<Self> {
        let start = path.rfind('/').map_or(0, |slash| slash.saturating_add(1));
        let (directory, file_name) = path.split_at_checked(start)?;
        let versions = Pattern::parse(directory);
        let version = versions.as_ref().and_then(|versions| versions.image(file_name, ARCHITECTURE));
        let name = match version {
            Some(version) => version.after_success().ok()?,
            None => FileName::try_from(file_name).ok()?,
        };
        let name = FileName::try_from(name.strip_suffix(SUFFIX).unwrap_or(&name)).ok()?;
        Some(Self { directory, name })
    }
}

/// The path of what belongs to an image by its name, with or without `.raw` in it.
fn sidecar(path: &str, with_raw: bool, suffix: &str) -> Option<Path> {
    let Stem { directory, name } = Stem::of(path)?;
    let mut beside = Path::new();
    write!(beside, "{directory}{name}{}{suffix}", if with_raw { SUFFIX } else { "" }).ok()?;
    Some(beside)
}

#[cfg(test)]
mod tests;
