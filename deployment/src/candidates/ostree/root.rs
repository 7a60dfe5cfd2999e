//! What makes up the root of a deployment, in the order in which ostree-prepare-root(1) makes it.
//!
//! Two things are left to the initramfs that ostree's own leaves to a generator of systemd, which asks `ostree=` on the
//! kernel's command line: `/var` and `/boot` are mounted here. That command line need not name the deployment that boots,
//! or any. Where it does, the generator (ostree 2022.7 to 2026.4) adds its units all the same, for `/run/ostree` is there
//! and `/run/ostree/initramfs-mount-var`, which would stop it, is not; systemd finds their mounts made. So the other units
//! of ostree are started as ever, and none mounts anything a second time.
//!
//! Mounts are private here, where ostree has `/var` a slave that is shared: systemd makes all of them shared.

use boot_config::policy::{AccessMode, EtcPolicy, VarPolicy, Volatile};
use core::fmt::{self, Write};
use heapless::{String, Vec};
use overlay::MountFlags;

use super::{Why, fstab, list, settings, signed, why};
use crate::candidates::recipe::{Part, Place, Recipe, Refused};
use crate::candidates::{Look, TreeSource};
use crate::ostree::booted::{BOOTED_PATH, Booted, BootedImage};
use crate::ostree::prepare_root::{Check, Enabled, Etc, PrepareRoot, TransientRoot};
use crate::ostree::target::MAX_PATH;
use crate::ostree::{Checksum, Deployment};
use crate::tree::{FileKind, TreeError};

/// Most bytes of the repository's own configuration; one that is longer is passed over.
pub(super) const MAX_REPOSITORY_CONFIG: usize = 2048;

/// A path in the directory of a deployment.
type Path = String<{ MAX_PATH + 24 }>;

/// The image of a deployment, in its directory.
const IMAGE: &str = ".ostree.cfs";
/// Where the changes of a transient `/etc` go, below `/run`. ostree's own has a random name since 2025, and says it in
/// [`BOOTED_PATH`] as is done here.
const TRANSIENT_ETC: &str = "ostree/transient-etc";
/// Where those of a transient root go.
const TRANSIENT_ROOT: &str = "ostree/.private/root";
/// Tells ostree-remount.service of 2022.7 that `/sysroot` stays read-only; later versions pay no heed to it.
const READ_ONLY_STAMP: &str = "ostree-sysroot-ro.stamp";

/// Says what makes up the root of the deployment at `source`.
#[inline(never)]
pub(super) fn root(source: &TreeSource, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Refused> {
    match all(&source.place, look, recipe) {
        Ok(()) => Ok(()),
        Err(Stop::Refused(refused)) => Err(refused),
        Err(Stop::Because(why)) => Err(recipe.refuse(format_args!("{why}"))),
    }
}

/// Why there is no root.
enum Stop {
    /// The recipe knows.
    Refused(Refused),
    Because(Why),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Why> for Stop {
    fn from(why: Why) -> Self {
        Self::Because(why)
    }
}

fn because(text: fmt::Arguments<'_>) -> Stop {
    Stop::Because(why(text))
}

fn all(place: &str, look: &Look<'_>, recipe: &mut dyn Recipe) -> Result<(), Stop> {
    let volatile = look.config.volatile;
    if matches!(volatile, Volatile::Overlay | Volatile::Yes) {
        let instead = "[root] transient=true in prepare-root.conf does that for ostree";
        return Err(because(format_args!("systemd.volatile={volatile} cannot be had with ostree: {instead}")));
    }
    // A place that begins like this is the value of `ostree=`, which led nowhere before.
    let directory = if place.starts_with('/') {
        list::resolve(look.tree, place)?.directory()
    } else {
        list::Path::try_from(place).unwrap_or_default()
    };
    let Ok(deployment) = Deployment::from_path(&directory) else {
        return Err(because(format_args!("no deployment of ostree is called {place}")));
    };
    let mut buffers = settings::BUFFERS;
    let settings = settings::read(look, &mut buffers)?;
    let image = has_image(look, &directory, &settings)?;
    let readonly = sysroot_readonly(look, &settings);
    let read_only_root = look.config.root_mode == AccessMode::ReadOnly;
    let mode = if read_only_root { MountFlags::RDONLY } else { MountFlags::NONE };
    let etc = settings.etc(readonly, image);
    Root { look, recipe, deployment, directory: &directory, settings, image, readonly, mode, etc }.all()
}

/// Whether the deployment is a composefs.
fn has_image(look: &Look<'_>, directory: &str, settings: &PrepareRoot<'_>) -> Result<bool, Stop> {
    if settings.composefs.enabled == Enabled::No {
        return Ok(false);
    }
    let path = inside(directory, IMAGE);
    match look.tree.status(&path).map(|status| status.kind) {
        Ok(FileKind::File) => Ok(true),
        Ok(_) => Err(because(format_args!("{path} is no file"))),
        Err(TreeError::Missing) if settings.composefs.enabled == Enabled::Maybe => {
            if settings.transient_root == TransientRoot::No {
                return Ok(false);
            }
            Err(because(format_args!("[root] transient needs composefs, and the deployment has no image {IMAGE}")))
        }
        Err(error) => Err(because(format_args!("the composefs image {path}: {error}"))),
    }
}

/// Whether `/sysroot` is read-only, by the initramfs or by the repository.
#[inline(never)]
fn sysroot_readonly(look: &Look<'_>, settings: &PrepareRoot<'_>) -> bool {
    let mut buffer = [0; MAX_REPOSITORY_CONFIG];
    settings.sysroot_readonly(look.tree.read_text("ostree/repo/config", &mut buffer).ok())
}

/// A path in the directory of a deployment.
fn inside(directory: &str, name: &str) -> Path {
    let mut path = Path::new();
    // There is room for every name that is asked for here.
    let _ = write!(path, "{directory}/{name}");
    path
}

/// A root in the making.
struct Root<'r> {
    look: &'r Look<'r>,
    recipe: &'r mut dyn Recipe,
    deployment: Deployment<'r>,
    directory: &'r str,
    settings: PrepareRoot<'r>,
    /// Whether it is a composefs.
    image: bool,
    /// Whether `/sysroot` is read-only, as ostree has it.
    readonly: bool,
    /// `ro` or `rw` of the command line.
    mode: MountFlags,
    etc: Etc,
}

impl Root<'_> {
    fn all(mut self) -> Result<(), Stop> {
        self.run_directories()?;
        if self.image {
            self.composefs()?;
        } else {
            self.bind(Place::sysroot(self.directory), "", self.mode)?;
        }
        self.boot()?;
        self.etc()?;
        self.usr()?;
        let readonly = if self.readonly { MountFlags::RDONLY } else { MountFlags::NONE };
        self.bind(Place::sysroot(""), "sysroot", self.mode | readonly)?;
        self.var()?;
        self.run_files()?;
        // `/home` is a link into `/var`.
        for directory in ["/etc", "/var", "/home"] {
            self.recipe.provides(directory);
        }
        Ok(())
    }

    fn bind(&mut self, directory: Place<'_>, target: &str, flags: MountFlags) -> Result<(), Refused> {
        self.recipe.add(&Part::Bind { directory, target: Place::root(target), flags })
    }

    fn directory(&mut self, path: &str, mode: u32) -> Result<(), Refused> {
        self.recipe.add(&Part::Directory { place: Place::run(path), mode })
    }

    /// Whether there is a directory, and no link to one, in that of the deployment.
    fn has_directory(&self, name: &str) -> bool {
        self.look.tree.has_directory(&inside(self.directory, name))
    }

    fn run_directories(&mut self) -> Result<(), Refused> {
        self.directory("ostree", 0o755)?;
        self.directory("ostree/.private", 0)?;
        if self.settings.transient_root != TransientRoot::No {
            self.directory(TRANSIENT_ROOT, 0o755)?;
        }
        if self.etc == Etc::Transient {
            self.directory(TRANSIENT_ETC, 0o700)?;
        }
        Ok(())
    }

    /// The image over the repository's objects.
    #[inline(never)]
    fn composefs(&mut self) -> Result<(), Stop> {
        let check = self.settings.composefs.check;
        let digest = match check {
            Check::Signature => {
                let checksum = self.deployment.checksum;
                Some(signed::digest(self.look, &self.settings, checksum, self.recipe.room())?)
            }
            Check::Nothing | Check::Verity => None,
        };
        let transient = self.settings.transient_root;
        let writable = transient == TransientRoot::Writable;
        self.recipe.add(&Part::Composefs {
            image: Place::sysroot(&inside(self.directory, IMAGE)),
            digest: digest.as_ref().map_or(&[], |Checksum(digest)| digest),
            objects: Place::sysroot("ostree/repo/objects"),
            verity: check != Check::Nothing,
            source: "composefs",
            writable: (transient != TransientRoot::No).then_some(Place::run(TRANSIENT_ROOT)),
            target: Place::root(""),
            flags: if writable { MountFlags::NONE } else { MountFlags::RDONLY },
        })?;
        self.recipe.add(&Part::RecordDevice)?;
        Ok(())
    }

    /// `/boot` of the sysroot, unless that is the mount point of another filesystem.
    fn boot(&mut self) -> Result<(), Refused> {
        let loader = self.look.tree.status("boot/loader");
        if loader.is_ok_and(|status| status.kind == FileKind::Link) && self.has_directory("boot") {
            self.bind(Place::sysroot("boot"), "boot", self.mode)?;
        }
        Ok(())
    }

    fn etc(&mut self) -> Result<(), Refused> {
        let forbidden = self.look.config.etc == Some(EtcPolicy::ReadOnly);
        let flags = if forbidden { MountFlags::RDONLY } else { MountFlags::NONE };
        match self.etc {
            Etc::Plain if !forbidden => Ok(()),
            Etc::Plain | Etc::Bind => self.bind(Place::sysroot(&inside(self.directory, "etc")), "etc", flags),
            Etc::Transient => self.recipe.add(&Part::Overlay {
                lower: Place::root("usr/etc"),
                upper: Place::run(&below(TRANSIENT_ETC, "upper")),
                work: Place::run(&below(TRANSIENT_ETC, "work")),
                target: Place::root("etc"),
                flags,
            }),
        }
    }

    /// `/usr`, with the changes of `ostree admin unlock --hotfix` over it, which no signature vouches for.
    fn usr(&mut self) -> Result<(), Stop> {
        let work = inside(self.directory, ".usr-ovl-work");
        let is_signed = self.image && self.settings.composefs.check == Check::Signature;
        if is_signed || self.look.tree.status(&work) == Err(TreeError::Missing) {
            if !self.image {
                self.bind(Place::root("usr"), "usr", MountFlags::RDONLY)?;
            }
            return Ok(());
        }
        for name in [".usr-ovl-work", ".usr-ovl-upper"] {
            if !self.has_directory(name) {
                let place = self.directory;
                return Err(because(format_args!("the hotfix of {place}: {name} is no directory")));
            }
        }
        let upper = inside(self.directory, ".usr-ovl-upper");
        self.recipe.add(&Part::Overlay {
            lower: Place::root("usr"),
            upper: Place::sysroot(&upper),
            work: Place::sysroot(&work),
            target: Place::root("usr"),
            flags: self.mode,
        })?;
        Ok(())
    }

    /// `/var` of the stateroot, unless the command line or fstab(5) has another one.
    fn var(&mut self) -> Result<(), Stop> {
        let config = self.look.config;
        let flags = match config.var {
            Some(VarPolicy::ReadOnly) => MountFlags::RDONLY,
            None if config.volatile != Volatile::State => MountFlags::NONE,
            _ => return Ok(()),
        };
        let etc = if self.etc == Etc::Transient { "usr/etc/fstab" } else { "etc/fstab" };
        if flags.is_empty() && fstab::mounts_var(self.look.tree, &inside(self.directory, etc)) {
            return Ok(());
        }
        let mut var = Path::new();
        let _ = write!(var, "{}", self.deployment.var());
        if !self.look.tree.has_directory(&var) {
            return Err(because(format_args!("{var}, which is /var of the deployment, is no directory")));
        }
        self.bind(Place::sysroot(&var), "var", flags)?;
        Ok(())
    }

    /// What the running system is told.
    #[inline(never)]
    fn run_files(&mut self) -> Result<(), Stop> {
        let status = self.look.tree.status(self.directory);
        let status = status.map_err(|error| because(format_args!("{}: {error}", self.directory)))?;
        let check = self.settings.composefs.check;
        let transient_etc = below("/run", TRANSIENT_ETC);
        let booted = Booted {
            device: status.device,
            inode: status.inode,
            transient_root: self.settings.transient_root,
            composefs: self.image.then_some(BootedImage {
                verity: check != Check::Nothing,
                signed: (check == Check::Signature).then_some(self.settings.keypath),
            }),
            sysroot_readonly: self.readonly,
            transient_etc: (self.etc == Etc::Transient).then_some(&transient_etc),
        };
        let mut content = Vec::new();
        booted.write(&mut content).map_err(|error| because(format_args!("{error}")))?;
        let place = Place::run(BOOTED_PATH.strip_prefix("/run/").unwrap_or_default());
        self.recipe.add(&Part::File { place, mode: 0o644, content: &content })?;
        if self.readonly {
            self.recipe.add(&Part::File { place: Place::run(READ_ONLY_STAMP), mode: 0o644, content: &[] })?;
        }
        Ok(())
    }
}

/// A path below one of the constants of this file.
fn below(directory: &str, name: &str) -> String<48> {
    let mut path = String::new();
    // There is room for every one.
    let _ = write!(path, "{directory}/{name}");
    path
}
