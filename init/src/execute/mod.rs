//! Carries a plan out, and undoes it where a step fails.

use core::fmt;

use crate::plan::{Action, LoopFile, Mount, Plan, Scope, Step, VerityDevice};
use crate::text::{Path, Reason};
use crate::{SYSROOTS, log, places, reason};

/// The one door to the kernel: what a plan can ask of it. Every method can be called again after it failed.
pub trait System {
    /// Takes note that the step with this number, from 0, of the plan that is carried out begins; the number after the last
    /// one's, that the plan is carried out.
    fn begins(&mut self, _step: usize) {}
    /// Makes a kernel module available.
    fn load_module(&mut self, name: &str) -> Result<(), Reason>;
    /// Makes a part of a file a block device.
    fn attach_loop(&mut self, file: &LoopFile) -> Result<(), Reason>;
    /// Gives a file's block device back.
    fn detach_loop(&mut self, name: &str) -> Result<(), Reason>;
    /// Makes a dm-verity device.
    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason>;
    /// Removes a dm-verity device.
    fn deactivate_verity(&mut self, name: &str) -> Result<(), Reason>;
    /// Mounts something.
    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason>;
    /// Mounts something, unless its target is not there.
    fn mount_if_there(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        self.mount(mount)
    }
    /// Unmounts what is at `target`.
    fn unmount(&mut self, target: &str) -> Result<(), Reason>;
    /// Checks that the new root is an operating system, and gives the program to start in it.
    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason>;
    /// Does what needs no undoing: directories, links and records.
    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason>;
    /// Removes a file or link that a plan made; one that is not there is fine.
    fn remove(&mut self, path: &str) -> Result<(), Reason>;
    /// Checks that nothing is left of what plans make: neither a mount nor a device.
    fn check_undone(&mut self) -> Result<(), Reason>;
}

/// A root that is complete under `/sysroot`. Only [`execute`] makes one, and only it can be handed over.
#[derive(Debug)]
pub struct NewRoot<'p, 'a> {
    plan: &'p Plan<'a>,
    init: Path,
}

impl<'p, 'a> NewRoot<'p, 'a> {
    /// The plan that made it.
    pub fn plan(&self) -> &'p Plan<'a> {
        self.plan
    }

    /// The program to start in it.
    pub fn init(&self) -> &str {
        &self.init
    }
}

/// A step that failed. All steps before it are undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Number of the step, from 0.
    pub step: usize,
    /// Whom it speaks against.
    pub scope: Scope,
    /// What failed, on what, and why.
    pub reason: Reason,
    /// What is left of the steps before it, where they could not be undone: then nothing else may be tried.
    pub leftover: Option<Reason>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Carries out `plan` step by step. Where one fails, everything that was made is undone in reverse order.
pub fn execute<'p, 'a>(plan: &'p Plan<'a>, system: &mut dyn System) -> Result<NewRoot<'p, 'a>, Failed> {
    let init = carry_out(&plan.steps, system)?;
    // Every plan checks its root; one that does not is a fault of ours, and must not boot.
    let unchecked = || Failed {
        step: plan.steps.len(),
        scope: Scope::Candidate,
        reason: reason!("the plan for {} does not check its root", plan.deployment),
        leftover: Some(reason!("it is still set up")),
    };
    init.map(|init| NewRoot { plan, init }).ok_or_else(unchecked)
}

/// Carries out `steps`, and gives the init of a root that they check.
pub fn carry_out(steps: &[Step<'_>], system: &mut dyn System) -> Result<Option<Path>, Failed> {
    let mut init = None;
    for (number, step) in steps.iter().enumerate() {
        log::debug!("step {}: {step}", number + 1);
        system.begins(number);
        if let Err(reason) = perform(&step.action, system, &mut init) {
            let undone = undo(steps.get(..number).unwrap_or_default(), system);
            let leftover = system.check_undone().and(undone).err();
            return Err(Failed { step: number, scope: step.scope, reason, leftover });
        }
    }
    system.begins(steps.len());
    Ok(init)
}

/// Undoes all of a plan that was carried out.
pub fn dismantle(root: &NewRoot<'_, '_>, system: &mut dyn System) {
    // What fails here is logged, and nothing depends on it.
    let _ = undo(&root.plan.steps, system);
}

fn perform(action: &Action<'_>, system: &mut dyn System, init: &mut Option<Path>) -> Result<(), Reason> {
    match action {
        Action::LoadModule { name, required } => match system.load_module(name) {
            Err(reason) if !required => {
                log::debug!("{reason}");
                Ok(())
            }
            result => result,
        },
        Action::AttachLoop(file) if SYSROOTS => system.attach_loop(file),
        Action::ActivateVerity(device) => system.activate_verity(device),
        Action::Mount(mount) => system.mount(mount),
        Action::MountIfThere(mount) if SYSROOTS => system.mount_if_there(mount),
        Action::CheckRoot { init: wanted } => {
            *init = Some(system.check_root(*wanted)?);
            Ok(())
        }
        _ => system.perform(action),
    }
}

/// Undoes `steps`, the last one first. What cannot be undone is said, and the rest goes on: a mount that is left behind
/// keeps its device, and both are named. The first of them is the error.
pub(crate) fn undo(steps: &[Step<'_>], system: &mut dyn System) -> Result<(), Reason> {
    let mut undone = Ok(());
    for step in steps.iter().rev() {
        let result = match &step.action {
            Action::AttachLoop(file) if SYSROOTS => system.detach_loop(file.name),
            Action::ActivateVerity(device) => system.deactivate_verity(device.name),
            Action::Mount(mount) => system.unmount(&mount.target),
            Action::MountIfThere(mount) if SYSROOTS => {
                // It may not have been there. The check at the end knows whether it still is.
                let _ = system.unmount(&mount.target);
                Ok(())
            }
            // What the next candidate does not say of itself must not be said of it.
            Action::WriteFile { path, .. } if SYSROOTS => system.remove(path),
            Action::RecordRootDevice { .. } => system.remove(places::VOLATILE_ROOT),
            // Modules stay: the next candidate is likely to want them. Directories under /run and on the state device
            // are made again by whoever comes next.
            _ => Ok(()),
        };
        if let Err(reason) = result {
            log::error!("cannot undo \"{step}\": {reason}");
            undone = undone.and(Err(reason));
        }
    }
    undone
}

#[cfg(test)]
mod tests;
