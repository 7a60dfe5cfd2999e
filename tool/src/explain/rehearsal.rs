//! A boot without a machine: the attempts of PID 1, carried out on disk images as far as they can be read.

use boot_config::policy::Emergency;
use deployment::candidates::{Candidate, Keeper, Trust};
use deployment::ledger::Change;
use deployment::tree::Tree;
use init::attempt::Boot;
use init::execute::{NewRoot, System};
use init::plan::{Action, LoopFile, Mount, Plan, VerityDevice};
use init::reason;
use init::text::{Path, Reason};
use init::verity_device::{Content, prepare};

use super::explanation::{Attempt, Explanation, Look, PassedOver, VerityTable};
use super::initramfs::KernelModules;
use super::inside::Inside;
use super::nothing::Nothing;
use crate::disk_image::Disks;

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
    /// What came to light.
    pub(crate) explanation: &'r mut Explanation,
    /// Whether the initramfs has a shell, as far as is known.
    pub(crate) has_shell: bool,
    /// What the boot ledger has been told since the last plan.
    pub(crate) ledger: Vec<String>,
    /// What follows when the boot ends in an error, where it is not what the command line says in any case.
    pub(crate) then: Option<Emergency>,
}

impl Rehearsal<'_> {
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

    fn write_down(&mut self, keeper: &Keeper, candidate: Option<&Candidate>, change: Change) -> Result<(), Reason> {
        let about = match (keeper, candidate) {
            (Keeper::File(_) | Keeper::FileName(_), Some(candidate)) => candidate.name.to_string(),
            _ => keeper.to_string(),
        };
        self.ledger.push(format!("{about}: {change}"));
        Ok(())
    }

    fn looking(&mut self, plan: &Plan<'a>, number: u8) {
        let steps = plan.steps.iter().map(ToString::to_string).collect();
        self.explanation.looks.push(Look { number, steps });
    }

    fn looked(&mut self, _: u8) {}

    fn sysroot(&self, _: u8) -> Option<&dyn Tree> {
        None
    }

    fn initramfs(&self) -> &dyn Tree {
        &Nothing
    }

    fn passed_over(&mut self, what: &str, why: &Reason) {
        self.explanation.passed_over.push(PassedOver { what: what.to_owned(), why: why.to_string() });
    }

    fn planned(&mut self, plan: &Plan<'a>) {
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

    fn failed(&mut self, _: &Candidate, why: &Reason) {
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

    fn start(&mut self, root: &NewRoot<'_, 'a>, _: &Candidate) -> Result<(), Reason> {
        if let Trust::Insecure(why) = root.plan().trust {
            self.explanation.insecure.push(why.to_string());
        }
        self.explanation.init = self.inside.is_some().then(|| root.init().to_owned());
        Ok(())
    }
}

impl System for Rehearsal<'_> {
    fn load_module(&mut self, name: &str) -> Result<(), Reason> {
        self.modules.iter().try_for_each(|kernel| kernel.check(name))
    }

    fn attach_loop(&mut self, _: &LoopFile) -> Result<(), Reason> {
        Ok(())
    }

    fn detach_loop(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        let content = |path: &str| {
            let content = self.disks.content(path.strip_prefix("/dev/").unwrap_or(path));
            content.ok_or_else(|| reason!("cannot verify {}: {path} is not there", device.name))
        };
        let (data_path, hash_path) = (device.data.to_string(), device.hash.to_string());
        let (data, hash) = (content(&data_path)?, content(&hash_path)?);
        let data = Content { reader: &data, path: &data_path };
        let prepared = prepare(device, data, Content { reader: &hash, path: &hash_path })?;
        let (sectors, parameters) = (prepared.table.length_sectors(), prepared.table.to_string());
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
        self.inside.as_mut().map_or(Ok(()), |inside| inside.mount(mount))
    }

    fn unmount(&mut self, target: &str) -> Result<(), Reason> {
        if let Some(inside) = &mut self.inside {
            inside.unmount(target);
        }
        Ok(())
    }

    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason> {
        match &self.inside {
            Some(inside) => inside.check_root(init),
            None => Ok(init::path!("{}", init.unwrap_or(UNKNOWN_INIT))),
        }
    }

    fn remove(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        Ok(())
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        self.inside.as_ref().map_or(Ok(()), |inside| inside.perform(action))
    }
}
