//! All deployments of a machine in one list, whatever kind they are and whatever keeps their ledger.

mod boot_entry;
mod change;
mod filesystem;
mod found;
mod volumes;

use std::cmp::Reverse;

use boot_config::Config;
use boot_config::policy::{DeploymentChoice, VerityPolicy};
use deployment::Candidate;
use deployment::candidates::{self, Candidates, Kind, Look, RootSource, Standing, Trust, rank};
use deployment::vpick::path_after_try;
use init::mounted_tree::MountedTree;

use crate::error::Error;
use crate::mounts;
use crate::slots::{self, Access, CommandLine, Context, DiskOptions, Medium, SlotDisk};
use crate::status::report::{self, BootReport};
use filesystem::Filesystem;

pub(crate) use change::Reach;
pub(crate) use found::Deployment;

/// The kind of deployment that has boot entries, and what verifies it in the initramfs.
const OSTREE: &str = "ostree";

/// Where a deployment's ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the partition table, by the number of its partition.
    Slot(u32),
    /// In the filesystem with this number among those that are mounted.
    Filesystem(usize),
}

/// The deployments of a machine.
pub(crate) struct Machine {
    /// The disk with the slots, if there is one.
    pub(crate) slots: Option<Context>,
    filesystems: Vec<Filesystem>,
    /// The slots by number, then those in filesystems, in the order in which they are found.
    pub(crate) deployments: Vec<(Deployment, Home)>,
    /// The ones that must be found, even where there are more than a list holds.
    sought: Vec<Deployment>,
    command_line: CommandLine,
    /// Why filesystems were not looked into, or not all of them, and slots not read, if that would have been worth something.
    pub(crate) refused: Vec<Error>,
    /// What keeps others from changing the ledgers. They go when everything is unmounted.
    _locks: Vec<Medium>,
}

impl Machine {
    /// Finds all of them: those of the disk that was asked for, else those that the report of the boot tells of. `None`
    /// where there is nothing to look for.
    pub(crate) fn open(
        options: &DiskOptions,
        report: Option<&BootReport>,
        access: Access,
    ) -> Result<Option<Self>, Error> {
        let (volumes, mut refused) = volumes::find(options, report);
        let command_line = options.command_line();
        let slots = match options.path(report) {
            Some(path) => match options.open_with(report, &path, access) {
                // A disk may well hold no slots, but something else.
                Ok(context) => Some(context),
                Err(why) if volumes.is_empty() => return Err(why),
                Err(_) if SlotDisk::has_none(&path) => None,
                Err(why) => {
                    refused.push(why);
                    None
                }
            },
            None => None,
        };
        if slots.is_none() && volumes.is_empty() {
            return refused.into_iter().next().map_or(Ok(None), Err);
        }
        // What is read from here on is what is changed.
        let locks = if access == Access::Read { Vec::new() } else { lock(&volumes, slots.as_ref())? };
        let mut machine = Self {
            slots,
            filesystems: Vec::new(),
            deployments: Vec::new(),
            sought: report.and_then(|report| Deployment::of_running(&report.deployment)).into_iter().collect(),
            command_line,
            refused,
            _locks: locks,
        };
        if !volumes.is_empty() {
            machine.mount(&volumes)?;
        }
        machine.list();
        machine.find_running(options, report)?;
        Ok(Some(machine))
    }

    /// Mounts the filesystems. Where all of them are refused there are only slots; without any it is an error.
    fn mount(&mut self, volumes: &[filesystem::Volume]) -> Result<(), Error> {
        let shown: Vec<_> = volumes.iter().map(filesystem::Volume::shown).collect();
        let entered = mounts::enter_namespace("cannot look for deployments in", &shown.join(", "));
        if let Err(why) = entered {
            self.refused.push(why.advice("Run it as root."));
        } else {
            for volume in volumes {
                match Filesystem::open(volume, Access::Read) {
                    Ok(filesystem) => {
                        filesystem.ledger_fault.iter().for_each(Error::warn);
                        self.filesystems.push(filesystem);
                    }
                    Err(why) => self.refused.push(why),
                }
            }
        }
        if self.slots.is_some() || !self.filesystems.is_empty() {
            return Ok(());
        }
        self.refused.drain(..).next().map_or(Ok(()), Err)
    }

    /// Lists them anew.
    fn list(&mut self) {
        let mut all = Vec::new();
        if let Some(context) = &self.slots {
            for slot in slots::survey(&context.disk, &context.command_line, context.running) {
                let device =
                    context.disk.slot(slot.partition).map(|device| device.name.to_string()).unwrap_or_default();
                all.push((Deployment::of_slot(&slot, &device), Home::Slot(slot.partition)));
            }
        }
        let candidates = self.candidates(true);
        all.extend(candidates.iter().filter_map(|candidate| self.in_filesystem(candidate)));
        let is_listed = |sought: &Deployment| all.iter().any(|(found, _)| found.is_same(sought));
        let missing: Vec<_> = self.sought.iter().filter(|sought| !is_listed(sought)).collect();
        all.extend(missing.into_iter().filter_map(|sought| self.look_for(sought)));
        // A partition in which deployments lie is none itself, unless a ledger is kept about it.
        let holds: Vec<_> =
            all.iter().filter(|(found, _)| found.place.is_some()).map(|(found, _)| found.device.clone()).collect();
        all.retain(|(found, _)| {
            found.place.is_some() || found.standing != report::Standing::default() || !holds.contains(&found.device)
        });
        self.deployments = all;
        if !self.filesystems.is_empty() {
            self.find_next();
        }
        for filesystem in &self.filesystems {
            if let Some(why) = filesystem.untold() {
                self.refused.push(Error::system("cannot tell all deployments of", filesystem.volume.shown(), why));
            }
        }
    }

    /// The candidates in the filesystems, by the code of PID 1. With `all`, those that the command line does not choose from
    /// as well, and as far as there is room those that it does not accept. Whether ostree's are verified depends on what is
    /// in the initramfs, which is not there any more: they are taken in any case.
    fn candidates(&self, all: bool) -> Candidates {
        let mut found = Candidates::new();
        let Some(mut config) = self.command_line.parsed_or_any() else { return found };
        if all {
            config.deployment = Some(DeploymentChoice::Auto);
        } else if config.wants_slots()
            && let Some(context) = &self.slots
        {
            found = candidates::candidates(&config, context.disk.facts()).unwrap_or_default();
        }
        self.look(&config, &mut found);
        if config.verity == VerityPolicy::Required {
            config.verity = VerityPolicy::Optional;
            let mut others = Candidates::new();
            self.look(&config, &mut others);
            for other in others {
                let is_same = |known: &Candidate| {
                    (&known.name, known.kind, known.device()) == (&other.name, other.kind, other.device())
                };
                if found.iter().any(is_same) {
                    continue;
                }
                if other.kind.0 == OSTREE {
                    rank::offer(&mut found, other);
                } else if all {
                    // Where there is no room it is left out.
                    let _ = found.push(other);
                }
            }
            rank::sort(&mut found);
        }
        found
    }

    /// Adds the candidates in the filesystems.
    fn look(&self, config: &Config<'_>, found: &mut Candidates) {
        for number in 0..self.filesystems.len() {
            self.look_into(config, number, found);
        }
    }

    fn look_into(&self, config: &Config<'_>, number: usize, found: &mut Candidates) {
        // What the initramfs says is in the running system, too, as a rule.
        let (Some(filesystem), Ok(initramfs)) = (self.filesystems.get(number), MountedTree::open("/")) else { return };
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        filesystem.look(|tree| {
            let look = Look { config, tree, initramfs: &initramfs, device: &filesystem.volume.device };
            candidates::look_into(&look, number, &filesystem.ledger, found, &mut |_, _| {});
        });
    }

    /// Looks for one deployment in particular, as a command line would name it: by its place or, where a kind has another
    /// word for it, by its name.
    fn look_for(&self, sought: &Deployment) -> Option<(Deployment, Home)> {
        let number = self.filesystems.iter().position(|filesystem| filesystem.is_on(&sought.device))?;
        let filesystem = self.filesystems.get(number)?;
        let place = sought.place.as_deref()?;
        // The boot may have counted a try in the name of its file.
        let tried = path_after_try(place).filter(|tried| filesystem.look(|tree| tree.status(tried)).is_ok());
        let place = tried.as_deref().unwrap_or(place);
        let mut config = self.command_line.parsed_or_any()?;
        // With root= a kind takes it that what is named is there.
        config.root.device = None;
        if config.verity == VerityPolicy::Required {
            config.verity = VerityPolicy::Optional;
        }
        [place, &sought.name].into_iter().find_map(|name| {
            config.deployment = Some(DeploymentChoice::Named { kind: &sought.kind, name });
            let mut found = Candidates::new();
            self.look_into(&config, number, &mut found);
            let found = found.iter().filter_map(|candidate| self.in_filesystem(candidate));
            found.into_iter().find(|(found, _)| found.is_same(sought) && found.place.as_deref() == Some(place))
        })
    }

    /// The candidate as it is listed, if it lies in a filesystem.
    fn in_filesystem(&self, candidate: &Candidate) -> Option<(Deployment, Home)> {
        let RootSource::Tree(source) = &candidate.root else { return None };
        let number = usize::from(source.sysroot);
        let found = Deployment::of_candidate(candidate, &self.filesystems.get(number)?.ledger)?;
        Some((Deployment { accepted: self.accepts(candidate), ..found }, Home::Filesystem(number)))
    }

    /// Whether the command line takes a candidate for verified, where it asks for that or has a list of root hashes. What
    /// verifies ostree's is in the initramfs.
    fn accepts(&self, candidate: &Candidate) -> Option<bool> {
        if candidate.is_not_accepted() {
            return Some(false);
        }
        let config = self.command_line.parsed_or_any()?;
        let is_asked = config.verity == VerityPolicy::Required && candidate.kind.0 != OSTREE;
        is_asked.then_some(candidate.trust == Trust::Verified)
    }

    /// Tells which one the next boot takes: the first one by the order of PID 1.
    fn find_next(&mut self) {
        let candidates = self.candidates(false);
        let bootable = |candidate: &&Candidate| {
            candidate.record.as_ref().is_none_or(|record| record.standing == Standing::Bootable)
                && self.accepts(candidate) != Some(false)
        };
        let first = candidates.iter().find(bootable);
        for (found, _) in &mut self.deployments {
            found.next = first.is_some_and(|first| {
                first.kind.0 == found.kind
                    && match &first.root {
                        RootSource::Tree(source) => *first.name == *found.name && *source.device == *found.device,
                        _ => first.device().is_some_and(|device| **device == *found.device),
                    }
            });
        }
    }

    /// Tells which one runs: the one that `--running` names, else the one of the report.
    fn find_running(&mut self, options: &DiskOptions, report: Option<&BootReport>) -> Result<(), Error> {
        if let Some(name) = &options.running {
            let running = self.find(name)?;
            for (index, (found, _)) in self.deployments.iter_mut().enumerate() {
                found.running = index == running;
            }
        } else if let Some(deployment) = report.map(|report| &report.deployment)
            && deployment.kind != Kind::SLOT.0
        {
            for (found, _) in &mut self.deployments {
                let device = deployment.device.as_deref();
                found.running =
                    found.name == deployment.name && found.kind == deployment.kind && device == Some(&found.device);
            }
        }
        Ok(())
    }

    /// The place of the running deployment in the list.
    pub(crate) fn running(&self) -> Option<usize> {
        self.deployments.iter().position(|(found, _)| found.running)
    }

    /// The place of the deployment that is called `wanted`: its name, alone or as KIND:NAME@DEVICE, or what else names a slot.
    pub(crate) fn find(&self, wanted: &str) -> Result<usize, Error> {
        let mut called = (0..).zip(&self.deployments).filter(|(_, (found, _))| found.is_called(wanted));
        match (called.next(), called.next()) {
            (Some((index, _)), None) => return Ok(index),
            (Some((_, (first, Home::Filesystem(_)))), Some((_, (second, _))))
            | (Some((_, (first, _))), Some((_, (second, Home::Filesystem(_))))) => {
                let why = format!("that is a deployment of {} and one of {}", first.device, second.device);
                let advice = if first.kind == second.kind {
                    format!("Give its device as well, as in NAME@{}.", first.device)
                } else {
                    "Give its kind as well, as in slot:NAME or ostree:NAME.".to_owned()
                };
                return Err(Error::usage("cannot find deployment", wanted, why).advice(advice));
            }
            _ => {}
        }
        let slot = self.slots.as_ref().map(|context| context.disk.find(wanted).map(slots::number));
        match slot {
            Some(Ok(number)) => self.slot(number).ok_or_else(|| self.unknown(wanted)),
            Some(Err(why)) if self.filesystems.is_empty() => Err(why),
            _ => Err(self.unknown(wanted)),
        }
    }

    fn slot(&self, number: u32) -> Option<usize> {
        self.deployments.iter().position(|(_, home)| *home == Home::Slot(number))
    }

    fn unknown(&self, wanted: &str) -> Error {
        let names: Vec<_> = self.deployments.iter().map(|(found, _)| found.shown()).collect();
        let error = Error::usage("cannot find deployment", wanted, "there is none of that name");
        if names.is_empty() { error } else { error.advice(format!("There are: {}.", names.join(", "))) }
    }

    /// What people call the place where the deployments are.
    pub(crate) fn place(&self) -> String {
        let disk = self.slots.iter().map(|context| context.disk.path().display().to_string());
        let volumes = self.filesystems.iter().map(|filesystem| filesystem.volume.shown());
        disk.chain(volumes).collect::<Vec<_>>().join(", ")
    }

    /// Whether there are any but slots.
    pub(crate) fn has_others(&self) -> bool {
        self.deployments.iter().any(|(found, _)| found.place.is_some())
    }
}

/// Waits until no other command changes the ledgers of these filesystems. The disk with the slots is locked already.
fn lock(volumes: &[filesystem::Volume], slots: Option<&Context>) -> Result<Vec<Medium>, Error> {
    let mut paths: Vec<_> = volumes.iter().map(filesystem::Volume::path).collect();
    paths.retain(|path| slots.is_none_or(|context| context.disk.path() != *path));
    // Everybody takes them in this order, so that no two wait for each other.
    paths.sort();
    paths.dedup();
    let lock = |path| Medium::open(path, Access::Read).and_then(|medium| medium.lock().map(|()| medium));
    paths.into_iter().map(lock).collect()
}

/// The deployments as PID 1 left them: what can be told without root.
pub(crate) fn reported(report: &BootReport) -> Vec<Deployment> {
    let mut all: Vec<_> = report.deployments.iter().filter_map(Deployment::of_report).collect();
    for found in &mut all {
        let running = &report.deployment;
        found.running = found.name == running.name
            && found.kind == running.kind
            && running.device.as_deref().unwrap_or_default() == found.device;
    }
    let barred = |found: &Deployment| found.counted && !deployment::gpt::Attributes::from(found.standing).may_boot();
    // The first one of the same priority is the better one.
    if let Some(next) =
        all.iter_mut().filter(|found| !barred(found)).min_by_key(|found| Reverse(found.standing.priority))
    {
        next.next = true;
    }
    all
}
