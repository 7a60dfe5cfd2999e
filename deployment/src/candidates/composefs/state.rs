//! What a composefs deployment has as `/etc` and `/var`: directories of its state, or overlays over those of the image.

use boot_config::policy::Volatile;
use heapless::String;
use overlay::MountFlags;

use super::{Path, path};
use crate::candidates::sysroot::MAX_PLACE;
use crate::candidates::{Look, Part, Place, Recipe, Refused};
use crate::composefs::{Mount, SetupRoot};
use crate::tree::{FileKind, Tree, TreeError};

/// Most symbolic links on the way to a directory of state. bootc makes one.
const MAX_LINKS: u8 = 8;

/// Adds the mounts of `/etc` and `/var`, unless a key of the command line asks for others.
pub(super) fn mounts(
    look: &Look<'_>,
    state: &str,
    settings: SetupRoot,
    recipe: &mut dyn Recipe,
) -> Result<(), Refused> {
    if look.config.etc.is_none() {
        recipe.provides("/etc");
        mount(look.tree, state, "etc", settings.etc, recipe)?;
    }
    // With systemd.volatile=state it is in memory, whatever the settings say.
    if look.config.var.is_none() && look.config.volatile != Volatile::State {
        recipe.provides("/var");
        mount(look.tree, state, "var", settings.var.or(Some(Mount::Bind)), recipe)?;
    }
    Ok(())
}

/// Adds one mount; `None` is for the state to decide.
#[inline(never)]
fn mount(
    tree: &dyn Tree,
    state: &str,
    name: &'static str,
    mount: Option<Mount>,
    recipe: &mut dyn Recipe,
) -> Result<(), Refused> {
    let target = Place::root(name);
    let flags = MountFlags::NONE;
    let (upper, work);
    let (upper, work) = match mount {
        Some(Mount::None) => return Ok(()),
        Some(Mount::Transient) => {
            recipe.add(&Part::Directory { place: Place::memory(name), mode: 0o700 })?;
            (upper, work) = (path(format_args!("{name}/upper")), path(format_args!("{name}/work")));
            (Place::memory(&upper), Place::memory(&work))
        }
        None | Some(Mount::Bind | Mount::Overlay) => {
            let directory = path(format_args!("{state}/{name}"));
            let directory = resolve(tree, &directory).map_err(|why| match why {
                TreeError::Link => recipe.refuse(format_args!(
                    "a symbolic link on the way to /{directory} is absolute or leads out of the filesystem, or there are \
                     more than {MAX_LINKS}"
                )),
                why => recipe.refuse(format_args!("cannot find the directory /{directory}: {why}")),
            })?;
            if mount == Some(Mount::Bind) || mount.is_none() && is_filled(tree, &directory) {
                let directory = Place::sysroot(&directory);
                return recipe.add(&Part::Bind { directory, target, flags });
            }
            (upper, work) = (path(format_args!("{directory}/upper")), path(format_args!("{directory}/work")));
            for path in [&upper, &work] {
                match tree.status(path) {
                    Ok(status) if status.kind == FileKind::Directory => {}
                    Err(TreeError::Missing) => {}
                    _ => return Err(recipe.refuse(format_args!("/{path} is no directory"))),
                }
            }
            (Place::sysroot(&upper), Place::sysroot(&work))
        }
    };
    recipe.add(&Part::Overlay { lower: target, upper, work, target, flags })
}

/// Whether a directory holds what is to be seen itself, as bootc's installer fills it, whose default is a bind mount. The
/// default of composefs-setup-root is an overlay, whose directories are then alone in it.
fn is_filled(tree: &dyn Tree, directory: &str) -> bool {
    let mut filled = false;
    let listed = tree.list(directory, &mut |name| {
        filled = !name.starts_with("upper") && !name.starts_with("work");
        !filled
    });
    listed.is_ok() && filled
}

/// Follows the symbolic links on the way to a directory, none of which may lead out of the physical root or be absolute,
/// which would mean the initramfs for composefs-setup-root. bootc has one directory `var` for all deployments, with a link to
/// it in the state of each.
fn resolve(tree: &dyn Tree, directory: &str) -> Result<Path, TreeError> {
    const TOO_LONG: TreeError = TreeError::TooLong(MAX_PLACE);
    let mut rest = Path::try_from(directory).map_err(|_| TOO_LONG)?;
    let mut found = Path::new();
    let mut links = 0;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('/').unwrap_or((&rest, ""));
        let parent = found.len();
        match name {
            "" | "." => {}
            ".." if found.is_empty() => return Err(TreeError::Link),
            ".." => found.truncate(found.rfind('/').unwrap_or(0)),
            _ => {
                let separator = if found.is_empty() { "" } else { "/" };
                found.push_str(separator).and_then(|()| found.push_str(name)).map_err(|_| TOO_LONG)?;
            }
        }
        let mut next: Path = String::new();
        match tree.status(&found)?.kind {
            FileKind::Directory => {}
            FileKind::Link if links < MAX_LINKS => {
                links = links.saturating_add(1);
                let mut buffer = [0; MAX_PLACE];
                let text = tree.read_link(&found, &mut buffer)?;
                if text.starts_with('/') {
                    return Err(TreeError::Link);
                }
                next.push_str(text).and_then(|()| next.push('/')).map_err(|_| TOO_LONG)?;
                found.truncate(parent);
            }
            FileKind::Link => return Err(TreeError::Link),
            FileKind::File | FileKind::Other => return Err(TreeError::WrongKind),
        }
        next.push_str(behind).map_err(|_| TOO_LONG)?;
        rest = next;
    }
    Ok(found)
}
