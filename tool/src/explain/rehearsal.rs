//! A boot without a machine: the attempts of PID 1, carried out on disk images as far as they can be read.

use boot_config::policy::Emergency;
use deployment::ReadAt;
use deployment::candidates::{Candidate, Keeper, Trust};
use deployment::ledger::Change;
use deployment::tree::{FileKind, Tree, TreeError};
use init::attempt::Boot;
use init::execute::{NewRoot, System};
use init::plan::{Action, Device, LoopFile, Mount, Plan, Source, VerityDevice};
use init::reason;
use init::text::{Path, Reason};
use init::verity_device::{Content, prepare};

use super::explanation::{Attempt, Explanation, Look, PassedOver, VerityTable};
use super::initramfs::KernelModules;
use super::inside::{self, Inside};
use super::sysroots::{Sysroots, in_sysroot};
use crate::disk_image::Disks;
use crate::tree::PackedTree;

/// How more can be told.
const LOOK_INSIDE: &str = "--look-inside, as root";
/// The init of a root that was not looked into.
const UNKNOWN_INIT: &str = "/sbin/init";

/// What a rehearsal works on, and what it has brought to light.
pub(crate) struct Rehearsal<'r> {
    /// The machine's disks.
    pub(crate) disks: &'r Disks,
    /// The modules of the initramfs, for each kernel that there are modules for; empty when no initramfs is at hand.
    pub(crate) modules: &'r [KernelModules],
    /// Where roots are mounted to look into them, where that is asked for.
    pub(crate) inside: Option<Inside<'r>>,
    /// The filesystems that are looked into for deployments.
    pub(crate) sysroots: Sysroots,
    /// What is packed into the initramfs.
    pub(crate) initramfs: PackedTree<'r>,
    /// What came to light.
    pub(crate) explanation: &'r mut Explanation,
    /// Whether the initramfs has a shell, as far as is known.
    pub(crate) has_shell: bool,
    /// What the boot ledger has been told since the last plan.
    pub(crate) ledger: Vec<String>,
    /// The first candidate of which it cannot be told whether it boots.
    pub(crate) unknown: Option<Unknown>,
    /// What follows when the boot ends in an error, where it is not what the command line says in any case.
    pub(crate) then: Option<Emergency>,
}

/// A candidate that may well boot: what decides about it cannot be seen from here.
pub(crate) struct Unknown {
    pub(crate) name: String,
    pub(crate) why: String,
}

impl Rehearsal<'_> {
    /// Whether a failure says nothing of the boot: only a mounted filesystem tells fs-verity digests, and only a kernel that
    /// has fs-verity.
    fn cannot_be_told(&self) -> bool {
        match self.sysroots.untold() {
            Some(TreeError::Unknown) => true,
            Some(TreeError::Unsupported) => self.inside.is_some() && !inside::has_fs_verity(),
            _ => false,
        }
    }

    /// The attempt that is under way; it has been planned before anything else happens.
    fn attempt(&mut self) -> Option<&mut Attempt> {
        self.explanation.attempts.last_mut()
    }
}

impl<'a> Boot<'a> for Rehearsal<'_> {
    type Started = ();

    fn system(&mut self) -> &mut dyn System {
        self
    }

    fn write_down(
        &mut self,
        keeper: &Keeper,
        candidate: Option<&Candidate>,
        _: &[Candidate],
        change: Change,
    ) -> Result<(), Reason> {
        let about = match (keeper, candidate) {
            (Keeper::File(_) | Keeper::FileName(_), Some(candidate)) => candidate.name.to_string(),
            _ => keeper.to_string(),
        };
        self.ledger.push(format!("{about}: {change}"));
        Ok(())
    }

    fn looking(&mut self, plan: &Plan<'a>, number: u8) {
        let steps = plan.steps.iter().map(ToString::to_string).collect();
        let (device, filesystem) = plan
            .mounts()
            .last()
            .map(|mount| (mount.source.to_string(), mount.source.kind().to_owned()))
            .unwrap_or_default();
        self.explanation.looks.push(Look { number, device, filesystem, seen: false, steps });
    }

    fn looked(&mut self, number: u8) -> Result<(), Reason> {
        if let Some(inside) = &self.inside {
            let place = inside.path(&init::plan::sysroot(number));
            self.sysroots.open(number.into(), &place.to_string_lossy());
        }
        let seen = self.sysroots.tree(number.into()).is_some();
        if let Some(look) = self.explanation.looks.last_mut() {
            look.seen = seen;
        }
        Ok(())
    }

    fn sysroot(&self, number: u8) -> Option<&dyn Tree> {
        self.sysroots.tree(number.into())
    }

    fn initramfs(&self) -> &dyn Tree {
        &self.initramfs
    }

    fn passed_over(&mut self, what: &str, why: &Reason) {
        self.explanation.passed_over.push(PassedOver { what: what.to_owned(), why: why.to_string() });
    }

    fn planned(&mut self, plan: &Plan<'a>) {
        self.sysroots.go_on();
        let ledger = std::mem::take(&mut self.ledger);
        self.explanation.attempts.push(Attempt { ledger, ..Attempt::new(plan) });
    }

    fn degraded(&mut self, why: Reason) {
        // Without an attempt under way it is known beforehand that the state device cannot be used.
        if let Some(attempt) = self.attempt() {
            attempt.error.get_or_insert_with(|| why.to_string());
        }
        self.explanation.degraded.push(why.to_string());
    }

    fn failed(&mut self, candidate: &Candidate, why: &Reason) {
        if self.unknown.is_none() && self.cannot_be_told() {
            self.unknown = Some(Unknown { name: candidate.name.to_string(), why: why.to_string() });
        }
        if let Some(attempt) = self.attempt() {
            attempt.error = Some(why.to_string());
        }
    }

    fn has_shell(&self) -> bool {
        self.has_shell
    }

    fn then(&mut self, emergency: Emergency) {
        self.then = Some(emergency);
    }

    fn start(&mut self, root: &NewRoot<'_, 'a>, _: &Candidate, _: &[Candidate]) -> Result<(), Reason> {
        if let Trust::Insecure(why) = root.plan().trust {
            self.explanation.insecure.push(why.to_string());
        }
        let looked = self.inside.as_ref().is_some_and(Inside::has_root);
        self.explanation.init = looked.then(|| root.init().to_owned());
        Ok(())
    }
}

impl System for Rehearsal<'_> {
    fn load_module(&mut self, name: &str) -> Result<(), Reason> {
        self.modules.iter().try_for_each(|kernel| kernel.check(name))
    }

    fn attach_loop(&mut self, file: &LoopFile) -> Result<(), Reason> {
        self.sysroots.attach(file)
    }

    fn detach_loop(&mut self, name: &str) -> Result<(), Reason> {
        self.sysroots.detach(name);
        Ok(())
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        let table = {
            let content = |part: &Device| {
                self.content(part).ok_or_else(|| reason!("cannot verify {}: {part} is not there", device.name))
            };
            let (data_path, hash_path) = (self.node(&device.data), self.node(&device.hash));
            let (data, hash) = (content(&device.data)?, content(&device.hash)?);
            let data = Content { reader: &*data, path: &data_path };
            prepare(device, data, Content { reader: &*hash, path: &hash_path })?.table
        };
        let (sectors, parameters) = (table.length_sectors(), table.to_string());
        if let Some(attempt) = self.attempt() {
            attempt.verity.push(VerityTable { name: device.name, sectors, parameters });
        }
        if let Some(inside) = &mut self.inside {
            inside.verity_is_on(device);
        }
        Ok(())
    }

    fn deactivate_verity(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        self.check_source(&mount.source).map_err(|why| {
            reason!("cannot mount {} {} on {}: {why}", mount.source.kind(), mount.source, mount.target)
        })?;
        if let Some(inside) = &mut self.inside {
            return inside.mount(mount, &self.sysroots);
        }
        match in_sysroot(&mount.target) {
            Some((number, "")) => self.read_without_mounting(mount, number),
            _ => Ok(()),
        }
    }

    fn unmount(&mut self, target: &str) -> Result<(), Reason> {
        if let Some(inside) = &mut self.inside {
            inside.unmount(target);
        }
        Ok(())
    }

    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason> {
        match &self.inside {
            Some(inside) if inside.has_root() => inside.check_root(init),
            _ => Ok(init::path!("{}", init.unwrap_or(UNKNOWN_INIT))),
        }
    }

    fn remove(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        Ok(())
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        match action {
            Action::MakeDirectory { path, .. } | Action::MakeDirectoryLike { path, .. } => self.sysroots.make(path),
            Action::FillDirectory { target, .. } => self.sysroots.make(target),
            Action::CheckSource { path } => self.sysroots.check(path, FileKind::Directory)?,
            _ => {}
        }
        self.inside.as_ref().map_or(Ok(()), |inside| inside.perform(action))
    }
}

impl Rehearsal<'_> {
    /// The content of a device.
    fn content(&self, device: &Device) -> Option<Box<dyn ReadAt + '_>> {
        match device {
            Device::Block(name) => Some(Box::new(self.disks.content(name)?)),
            Device::Loop(name) => Some(Box::new(self.sysroots.content(name)?)),
            Device::Verity(_) => None,
        }
    }

    /// The path of a device's node, as the kernel is told of it.
    fn node(&self, device: &Device) -> String {
        let of_loop = match device {
            Device::Loop(name) => self.sysroots.loop_node(name),
            Device::Block(_) | Device::Verity(_) => None,
        };
        of_loop.unwrap_or_else(|| device.to_string())
    }

    /// Checks what a mount shows of a filesystem that was looked into.
    fn check_source(&self, source: &Source<'_>) -> Result<(), Reason> {
        match source {
            Source::Bind { directory } => self.sysroots.check(directory, FileKind::Directory),
            Source::Composefs(source) => {
                self.sysroots.check(&source.image, FileKind::File)?;
                self.sysroots.check(&source.objects, FileKind::Directory)
            }
            Source::Filesystem { .. } | Source::Tmpfs { .. } | Source::Overlay { .. } => Ok(()),
        }
    }

    /// Reads a filesystem in which deployments are looked for.
    fn read_without_mounting(&mut self, mount: &Mount<'_>, number: usize) -> Result<(), Reason> {
        let Source::Filesystem { device: device @ Device::Block(name), kind, .. } = &mount.source else {
            return Ok(());
        };
        let Some(content) = self.disks.content(name) else { return Ok(()) };
        let failed = |why| reason!("cannot mount {kind} {device} on {}: {why}", mount.target);
        if !self.sysroots.read(number, kind, content).map_err(failed)? {
            let what = format!("the deployments in the {kind} on {device}, which can be read only when it is mounted");
            self.explanation.not_checked.push(format!("{what} ({LOOK_INSIDE})").into());
        }
        Ok(())
    }
}
