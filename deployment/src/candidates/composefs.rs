//! Deployments whose root is a composefs of a repository `/composefs`, as composefs-rs makes them, and bootc with it. What
//! is mounted is what composefs-setup-root 0.9 mounts, or bootc's own copy of it where the two differ.
//!
//! **Which ones.** The command line names images by digest. Its list means one deployment, written in more than one form:
//! an image that the repository does not have is passed over if it has another one of the list. Where there is none, each
//! is a candidate, so that what is missing is told. One that is there and fails is a candidate that failed: it is told, and
//! `surefoot.on-failure=` says what follows. By default that is the next of the list, though composefs-setup-root gives up
//! then. Nothing is lost by it: the command line trusts that one as well, and whoever can make the first one fail can as
//! well remove it, which leads to the second one there too.
//!
//! **Who vouches.** The digest of the command line vouches for the image by fs-verity, and the image for each object. The
//! repository must be made for that (its metadata has fs-verity itself). With the mark `?` a repository without fs-verity
//! may do, and nothing is verified then. `?` asks for no less where fs-verity is there: such a deployment is verified as if
//! it had no mark. An image that nobody named is trusted in the same way if its digest is among the accepted root hashes:
//! the two are digests of texts of different length, and neither can be taken for the other. Any other image is not trusted,
//! whatever its own digest is.

use core::fmt;
use core::fmt::Write as _;

use boot_config::composefs::{ComposefsDigest, ComposefsError};
use boot_config::config::MAX_COMPOSEFS;
use boot_config::policy::{DeploymentChoice, Volatile};
use heapless::{String, Vec};
use overlay::MountFlags;
use verity::Digest;

use super::sysroot::{Finder, MAX_PLACE, Offer, SysrootKind, View};
use super::{Insecurity, Kind, Look, Part, Place, Recipe, Refused, TreeSource, Trust};
use crate::composefs::SetupRoot;
use crate::composefs::repository::{self, MAX_METADATA, METADATA, Metadata, OBJECTS};
use crate::tree::{Tree, TreeError};

mod state;
#[cfg(test)]
mod tests;

/// The word of this kind.
const WORD: &str = "composefs";
/// The repository.
const REPOSITORY: &str = "composefs";
/// The images of the repository, by digest.
const IMAGES: &str = "composefs/images";
/// What the deployments write, in directories that have the digest of the image as their name.
const STATE: &str = "state/deploy";
/// The settings, in the initramfs.
const SETTINGS: &str = "usr/lib/composefs/setup-root-conf.toml";
/// Most bytes of the settings.
const MAX_SETTINGS: usize = 4096;
/// Most images that are candidates without being named; there are as many deployments as have not been cleared away.
const MAX_UNNAMED: usize = 8;

/// The kind.
pub(super) const KIND: SysrootKind = SysrootKind { kind: Kind(WORD), view: View::Mounted, find, root };

/// A path on the physical root. That of an object or a directory of state has 160 bytes at the most.
type Path = String<MAX_PLACE, u8>;

fn path(text: fmt::Arguments<'_>) -> Path {
    let mut path = Path::new();
    // It fits, as told above.
    let _ = path.write_fmt(text);
    path
}

/// The images that the command line names, in its order.
type Named = Vec<ComposefsDigest, MAX_COMPOSEFS>;

#[inline(never)]
fn find(look: &Look<'_>, finder: &mut Finder<'_>) {
    let mut named = Named::new();
    match look.config.deployment {
        Some(DeploymentChoice::Named { kind: WORD, name }) => {
            let Ok(digest) = parse(name) else {
                // That it is none is told when it is tried, and it gets no further than that.
                let (trust, counters) = (Trust::Verified, None);
                let offer = Offer { name: format_args!("{WORD}-{name}"), place: name, trust, counters, named: true };
                return finder.offer(&offer);
            };
            // There is room for one.
            let _ = named.push(digest);
        }
        Some(DeploymentChoice::Named { .. }) => return,
        Some(DeploymentChoice::Auto) | None => named.clone_from(&look.config.composefs),
    }
    let said_to_be_here = !named.is_empty() && look.config.root.device.is_some();
    if !said_to_be_here && look.tree.status(REPOSITORY) == Err(TreeError::Missing) {
        if !named.is_empty() {
            finder.pass_over(&look.device.device, format_args!("it has no composefs repository (/{REPOSITORY})"));
        }
        return;
    }
    offer_named(look, finder, &named);
    if look.config.wants_all_of_kind() {
        offer_others(look, finder, &named);
    }
}

/// Reads `[?]DIGEST` or `[?]vVERSION-ALGORITHM-12:DIGEST`.
fn parse(name: &str) -> Result<ComposefsDigest, ComposefsError> {
    if name.contains(':') {
        ComposefsDigest::from_composefs_digest(name)
    } else {
        ComposefsDigest::from_composefs(name)
    }
}

fn offer_named(look: &Look<'_>, finder: &mut Finder<'_>, named: &Named) {
    let is_there = |image: &ComposefsDigest| link_status(look.tree, &image.digest()) != Err(TreeError::Missing);
    let any_is_there = named.iter().any(is_there);
    for (index, image) in named.iter().enumerate() {
        let digest = image.digest();
        if named.iter().take(index).any(|before| before.digest() == digest) {
            continue;
        }
        if any_is_there && !is_there(image) {
            let name = name(&digest);
            finder.pass_over(&name, format_args!("there is no {IMAGES}/{digest}, but another one that is named"));
            continue;
        }
        let verified = !image.verity_optional() || can_be_verified(look.tree, &digest);
        offer(finder, &digest, verified, true);
    }
}

/// An image that is not named: whether it is accepted, and when its state was made.
type Unnamed = (bool, u64, Digest);

/// Adds the images that are not named and for which there is state: those that are accepted first, and of these those whose
/// state was made last.
#[inline(never)]
fn offer_others(look: &Look<'_>, finder: &mut Finder<'_>, named: &Named) {
    let mut found = Vec::<Unnamed, MAX_UNNAMED>::new();
    let listed = look.tree.list(IMAGES, &mut |name| {
        if let Some(digest) = image_name(name)
            && !named.iter().any(|image| image.digest() == digest)
            && let Ok(status) = look.tree.status(&path(format_args!("{STATE}/{digest}")))
        {
            let accepted = look.config.accepted_hashes().any(|hash| hash == digest.into());
            add(&mut found, (accepted, status.modified, digest));
        }
        true
    });
    // A filesystem without that directory has no deployments of this kind.
    if let Err(why) = listed
        && why != TreeError::Missing
    {
        finder.pass_over(&look.device.device, format_args!("cannot read {IMAGES}: {why}"));
    }
    for (accepted, _, digest) in &found {
        offer(finder, digest, *accepted, false);
    }
}

/// Puts an image in its place: the newest first, and in the order of their names those that are as new.
fn add(found: &mut Vec<Unnamed, MAX_UNNAMED>, image: Unnamed) {
    let is_behind = |other: &Unnamed| (image.0, image.1, other.2.as_bytes()) > (other.0, other.1, image.2.as_bytes());
    let place = found.iter().position(is_behind).unwrap_or(found.len());
    if found.is_full() && place < found.len() {
        found.pop();
    }
    // One that comes behind all for which there is room is no candidate.
    let _ = found.insert(place, image);
}

/// The digest whose text is the name of an image.
fn image_name(name: &str) -> Option<Digest> {
    let digest = ComposefsDigest::from_composefs(name).ok()?.digest();
    // Neither a mark nor upper case is in such a name.
    repository::image_path(&digest).ends_with(name).then_some(digest)
}

fn offer(finder: &mut Finder<'_>, digest: &Digest, verified: bool, named: bool) {
    let (mark, trust) = if verified { ("", Trust::Verified) } else { ("?", Trust::Insecure(Insecurity::Root)) };
    let (name, place) = (name(digest), path(format_args!("{mark}{digest}")));
    let offer = Offer { name: format_args!("{name}"), place: &place, trust, counters: None, named };
    finder.offer_accepted(&offer);
}

/// What a deployment is called: 64 bits of its digest are enough to tell it from others.
fn name(digest: &Digest) -> String<32, u8> {
    let mut name = String::new();
    let mut before = "composefs-";
    for byte in digest.as_bytes().iter().take(8) {
        let _ = write!(name, "{before}{byte:02x}");
        before = "";
    }
    name
}

/// What the link of an image is, if anything is there.
fn link_status(tree: &dyn Tree, digest: &Digest) -> Result<(), TreeError> {
    tree.status(&path(format_args!("{REPOSITORY}/{}", repository::image_path(digest)))).map(|_| ())
}

/// Whether an image for which fs-verity is optional has it, in a repository that has it. One that is not there is not told to
/// have none: it is missing.
fn can_be_verified(tree: &dyn Tree, digest: &Digest) -> bool {
    let object = path(format_args!("{REPOSITORY}/{}", repository::object_path(digest)));
    match fs_verity(tree, &object) {
        Ok(true) => fs_verity(tree, &path(format_args!("{REPOSITORY}/{METADATA}"))) == Ok(true),
        Err(TreeError::Missing) => true,
        _ => false,
    }
}

/// Whether a file has fs-verity.
fn fs_verity(tree: &dyn Tree, path: &str) -> Result<bool, TreeError> {
    match tree.verity_digest(path, &mut [0; 64]) {
        Ok(_) => Ok(true),
        Err(TreeError::Unsupported) => Ok(false),
        Err(why) => Err(why),
    }
}

#[inline(never)]
fn root(source: &TreeSource, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    let volatile = look.config.volatile;
    if matches!(volatile, Volatile::Overlay | Volatile::Yes) {
        return Err(recipe.refuse(format_args!(
            "systemd.volatile={volatile} is not for a composefs: [root] transient = true in /{SETTINGS} of the initramfs \
             has all changes in memory"
        )));
    }
    let wanted = parse(&source.place).map_err(|why| recipe.refuse(format_args!("it is no composefs image: {why}")))?;
    let digest = wanted.digest();
    let settings = settings(look.initramfs, recipe)?;
    check_repository(look.tree, &digest, recipe)?;
    let image = image(look.tree, &digest, recipe)?;
    let verified = check_verity(look.tree, &wanted, &image, recipe)?;
    let state = path(format_args!("{STATE}/{digest}"));
    if !look.tree.has_directory(&state) {
        return Err(recipe.refuse(format_args!("/{state} is no directory: nothing was deployed with this image")));
    }
    let (before, flags) = if settings.root_transient {
        ("transient:composefs=", MountFlags::NONE)
    } else {
        ("composefs:", MountFlags::RDONLY)
    };
    let changes = Place::memory("root");
    if settings.root_transient {
        recipe.add(&Part::Directory { place: changes, mode: 0o700 })?;
    }
    recipe.add(&Part::Composefs {
        image: Place::sysroot(&image),
        digest: if verified { digest.as_bytes() } else { &[] },
        objects: Place::sysroot(&path(format_args!("{REPOSITORY}/{OBJECTS}"))),
        verity: verified,
        source: &path(format_args!("{before}{digest}")),
        writable: settings.root_transient.then_some(changes),
        target: Place::root(""),
        flags,
    })?;
    // bootc has it read-only, and makes it writable where it writes itself.
    recipe.add(&Part::OptionalBind {
        directory: Place::sysroot(""),
        target: Place::root("sysroot"),
        flags: MountFlags::RDONLY,
    })?;
    state::mounts(look, &state, settings, recipe)?;
    // Where it is not in the image it is in /var, as everywhere with composefs.
    recipe.provides("/home");
    recipe.add(&Part::RecordDevice)
}

/// Reads the settings; without the file all of them are the defaults.
#[inline(never)]
fn settings(initramfs: &dyn Tree, recipe: &mut dyn Recipe) -> Result<SetupRoot, Refused> {
    let mut buffer = [0; MAX_SETTINGS];
    match initramfs.read_text(SETTINGS, &mut buffer) {
        Ok(text) => {
            SetupRoot::parse(text).map_err(|why| recipe.refuse(format_args!("/{SETTINGS} of the initramfs: {why}")))
        }
        Err(TreeError::Missing) => Ok(SetupRoot::default()),
        Err(why) => Err(recipe.refuse(format_args!("cannot read /{SETTINGS} of the initramfs: {why}"))),
    }
}

/// Checks that the repository is one that can be read here, and that it has images with such digests.
#[inline(never)]
fn check_repository(tree: &dyn Tree, digest: &Digest, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    let file = path(format_args!("{REPOSITORY}/{METADATA}"));
    let mut buffer = [0; MAX_METADATA];
    let text = tree.read_text(&file, &mut buffer);
    let text = text.map_err(|why| recipe.refuse(format_args!("cannot read the repository's /{file}: {why}")))?;
    let Metadata { algorithm } =
        Metadata::parse(text).map_err(|why| recipe.refuse(format_args!("the repository's /{file} {why}")))?;
    if algorithm == digest.algorithm() {
        return Ok(());
    }
    let other = digest.algorithm();
    Err(recipe.refuse(format_args!("the repository has {algorithm} digests (/{file}), and this is one of {other}")))
}

/// The path of the image: the object that the link of its digest leads to.
#[inline(never)]
fn image(tree: &dyn Tree, digest: &Digest, recipe: &mut dyn Recipe) -> Result<Path, Refused> {
    let link = path(format_args!("{REPOSITORY}/{}", repository::image_path(digest)));
    let mut buffer = [0; MAX_PLACE];
    let text = tree.read_link(&link, &mut buffer);
    let text = text.map_err(|why| recipe.refuse(format_args!("cannot find the image /{link}: {why}")))?;
    match repository::image_object(digest, text) {
        Ok(object) => Ok(path(format_args!("{REPOSITORY}/{object}"))),
        Err(why) => Err(recipe.refuse(format_args!("/{link} {why}"))),
    }
}

/// Whether every byte has to be verified. Where it must be, the repository must be one that has fs-verity; whether the image
/// has, and the right one, is seen when it is mounted.
fn check_verity(
    tree: &dyn Tree,
    wanted: &ComposefsDigest,
    image: &str,
    recipe: &mut dyn Recipe,
) -> Result<bool, Refused> {
    let metadata = path(format_args!("{REPOSITORY}/{METADATA}"));
    let path = if wanted.verity_optional() { image } else { &metadata };
    match fs_verity(tree, path) {
        Ok(false) if !wanted.verity_optional() => Err(recipe.refuse(format_args!(
            "nothing verifies the repository: it was made without fs-verity (/{metadata} has none); a ? before the digest \
             would allow that"
        ))),
        Ok(has_verity) => Ok(has_verity),
        Err(why) => Err(recipe.refuse(format_args!("cannot read the fs-verity digest of /{path}: {why}"))),
    }
}
