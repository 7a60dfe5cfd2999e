//! What makes up the root of a subvolume.

use boot_config::policy::{AccessMode, Volatile};
use overlay::MountFlags;

use super::layout::{self, Path, SNAPSHOTS, below, is_writable, join, snapshots_beside};
use crate::candidates::recipe::{Part, Place, Recipe, Refused};
use crate::candidates::{Look, TreeSource};

/// The flags of what holds data only.
const DATA: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The subvolume, and what belongs to it that is not part of it.
#[inline(never)]
pub(super) fn root(source: &TreeSource, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    let path = source.place.as_str();
    let marked = layout::read_only(look.tree, path)
        .map_err(|why| recipe.refuse(format_args!("cannot boot the subvolume /{path}: {why}")))?;
    let read_only = marked || look.config.root_mode == AccessMode::ReadOnly;
    let flags = if read_only { MountFlags::RDONLY } else { MountFlags::NONE };
    let shown = if path.is_empty() { "/" } else { path };
    recipe.add(&Part::Subvolume { path: shown, target: Place::root(""), flags })?;
    if matches!(look.config.volatile, Volatile::Overlay | Volatile::Yes) {
        // All of the root is kept in memory then, and nothing is mounted in it that no key asks for.
        return Ok(());
    }
    let folder = snapshots_beside(look.tree, path);
    let mut parts = Parts { look, path, read_only, folder, recipe };
    let config = look.config;
    let var = parts.beside("var");
    if config.var.is_none() && config.volatile != Volatile::State {
        parts.directory("var", "/var", var.as_deref(), MountFlags::NONE)?;
    }
    if config.home.is_none() {
        let home = parts.beside("home");
        parts.directory("home", "/home", home.as_deref(), DATA)?;
    }
    if config.etc.is_none() {
        parts.etc(var.as_deref())?;
    }
    parts.snapshots()
}

/// The parts of a root that is a subvolume.
struct Parts<'s> {
    look: &'s Look<'s>,
    path: &'s str,
    /// Whether it is mounted so that nothing can be written.
    read_only: bool,
    /// The folder of snapshots that belongs to it.
    folder: Option<Path>,
    recipe: &'s mut dyn Recipe,
}

impl Parts<'_> {
    /// The writable subvolume that is the directory `name` of every snapshot: in the root itself, where it is a nested one;
    /// else beside the snapshots; else where the layouts of distributions have it.
    fn beside(&self, name: &str) -> Option<Path> {
        let folder = self.folder.as_deref().unwrap_or_default();
        let base = folder.rsplit_once('/').map_or("", |(base, _)| base);
        let places = [
            below(self.path, name),
            below(base, name),
            join(format_args!("@/{name}")),
            join(format_args!("@{name}")),
            below("", name),
        ];
        places.into_iter().flatten().find(|place| is_writable(self.look.tree, place))
    }

    /// Mounts a subvolume on a directory of the root. Without one the root's own serves if it can be written.
    fn directory(
        &mut self,
        name: &str,
        provided: &'static str,
        subvolume: Option<&str>,
        flags: MountFlags,
    ) -> Result<(), Refused> {
        let is_there = below(self.path, name).is_ok_and(|own| self.look.tree.has_directory(&own));
        match subvolume.filter(|_| is_there) {
            Some(path) => self.recipe.add(&Part::Subvolume { path, target: Place::root(name), flags })?,
            None if self.read_only => return Ok(()),
            None => {}
        }
        self.recipe.provides(provided);
        Ok(())
    }

    /// `/etc`, which snapshots may have as a subvolume of their own (transactional-update 5).
    fn etc(&mut self, var: Option<&str>) -> Result<(), Refused> {
        let own = below(self.path, "etc").ok().filter(|own| is_writable(self.look.tree, own));
        if own.is_none() && self.read_only {
            self.refuse_layers(var)?;
        }
        self.directory("etc", "/etc", own.as_deref(), DATA)
    }

    /// Refuses a root whose `/etc` is a pile of layers in `/var/lib/overlay` (transactional-update up to 4): what was
    /// configured would be missing.
    fn refuse_layers(&mut self, var: Option<&str>) -> Result<(), Refused> {
        let Some((var, (_, number))) = var.zip(layout::snapshot(self.path)) else { return Ok(()) };
        let layers = join::<{ layout::MAX_PATH }>(format_args!("{var}/lib/overlay/{number}/etc"));
        if !layers.is_ok_and(|layers| self.look.tree.has_directory(&layers)) {
            return Ok(());
        }
        Err(self.recipe.refuse(format_args!(
            "the changes to its /etc are layers in /var/lib/overlay/{number}, which are not read; \
             surefoot.etc=overlay goes without them"
        )))
    }

    /// `/.snapshots`, where snapper wants to see and to write all of them.
    fn snapshots(&mut self) -> Result<(), Refused> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let tree = self.look.tree;
        let own = below(self.path, SNAPSHOTS).ok().filter(|own| tree.has_directory(own));
        let is_subvolume = tree.is_read_only_subvolume(folder).is_ok();
        match own {
            Some(own) if is_subvolume && (self.read_only || own != *folder) => self.recipe.add(&Part::Subvolume {
                path: folder,
                target: Place::root(SNAPSHOTS),
                flags: MountFlags::NONE,
            }),
            _ => Ok(()),
        }
    }
}
