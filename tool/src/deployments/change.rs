//! Changes of the ledgers, made on one list and written down wherever each deployment's ledger is.

use deployment::gpt::Attributes;
use deployment::ledger::Entry;
use deployment::ledger::file::LedgerError;
use deployment::vpick::{ARCHITECTURE, Image, Pattern};
use init::ledger::{change_file, rename};

use super::filesystem::{Filesystem, Volume};
use super::{Deployment, Home, Machine, boot_entry};
use crate::error::Error;
use crate::slots::Access;

/// What is written down of one deployment of a filesystem.
struct Written {
    deployment: Deployment,
    attributes: Attributes,
    is_target: bool,
}

/// How far a change reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It judges one deployment.
    One,
    /// It says which one comes first.
    Order,
}

impl Machine {
    /// The ledgers as one, each deployment by its place in the list.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |(number, (found, home)): (u32, &(Deployment, Home))| {
            // The bits of a partition that are no part of the ledger are kept.
            let attributes = match (home, &self.slots) {
                (Home::Slot(slot), Some(context)) => context.disk.slot(*slot).map(crate::slots::attributes),
                _ => None,
            };
            Entry { number, attributes: attributes.unwrap_or_else(|| found.standing.into()) }
        };
        (0..).zip(&self.deployments).map(entry).collect()
    }

    /// Writes down what `edit` makes of the ledgers, about the deployment at place `target` above all. Gives the place that
    /// it has afterwards.
    ///
    /// Where not all of a filesystem could be looked at, what was not seen may be what comes first, or what would make way for
    /// a record: then nothing is written there but a judgement of one, and that as its own record alone. A machine whose good
    /// update cannot be marked would fall back from it in the end.
    pub(crate) fn change(
        &mut self,
        target: usize,
        reach: Reach,
        edit: impl FnOnce(&mut [Entry], u32),
    ) -> Result<usize, Error> {
        let before = self.entries();
        let mut after = before.clone();
        edit(&mut after, u32::try_from(target).unwrap_or(u32::MAX));
        let mut concerned = Vec::new();
        for (number, filesystem) in self.filesystems.iter().enumerate() {
            let mut all = self.concerned(&Home::Filesystem(number), target, &before, &after);
            let untold = filesystem.untold();
            let is_whole = untold.is_none();
            match untold {
                Some(why) if reach == Reach::Order && !all.is_empty() => {
                    return Err(Error::system("cannot change", filesystem.volume.shown(), why));
                }
                Some(_) => all.retain(|written| written.is_target),
                None => {}
            }
            concerned.push((all, is_whole));
        }
        // A filesystem that is mounted read-only here could not be written.
        let volumes: Vec<_> = self.filesystems.drain(..).map(|filesystem| filesystem.volume).collect();
        let mut changed = self.deployments.get(target).cloned();
        for (volume, (all, is_whole)) in volumes.iter().zip(concerned).filter(|(_, (all, _))| !all.is_empty()) {
            if let (Some(place), Some((changed, _))) = (write(volume, &all, is_whole)?, &mut changed) {
                changed.place = Some(place);
            }
        }
        self.write_slots(target, &before, &after)?;
        if let Some((changed, _)) = &changed {
            self.sought.retain(|sought| !sought.is_same(changed));
            self.sought.push(changed.clone());
        }
        self.list_again(&volumes)?;
        let is_it = |(found, home): &(Deployment, Home)| {
            changed.as_ref().is_some_and(|(old, place)| place == home && found.is_same(old))
        };
        Ok(self.deployments.iter().position(is_it).unwrap_or(target))
    }

    fn write_slots(&mut self, target: usize, before: &[Entry], after: &[Entry]) -> Result<(), Error> {
        let Some(context) = &mut self.slots else { return Ok(()) };
        let slots = self.deployments.iter().zip(before.iter().zip(after)).enumerate();
        let slots = slots.filter_map(|(index, ((_, home), (old, new)))| match home {
            Home::Slot(number) => Some((Entry { number: *number, ..*new }, old != new || index == target)),
            Home::Filesystem(_) => None,
        });
        let (entries, changed): (Vec<_>, Vec<_>) = slots.unzip();
        if changed.contains(&true) { context.disk.write_entries(&entries) } else { Ok(()) }
    }

    /// What may be written down in a filesystem: of every deployment there. Nothing where nothing changes.
    fn concerned(&self, home: &Home, target: usize, before: &[Entry], after: &[Entry]) -> Vec<Written> {
        let mut changed = false;
        let mut all = Vec::new();
        for (index, ((deployment, found), (old, new))) in
            self.deployments.iter().zip(before.iter().zip(after)).enumerate()
        {
            if found == home {
                changed |= old != new || index == target;
                let (attributes, is_target) = (new.attributes, index == target);
                all.push(Written { deployment: deployment.clone(), attributes, is_target });
            }
        }
        if changed { all } else { Vec::new() }
    }

    /// Reads everything anew.
    fn list_again(&mut self, volumes: &[Volume]) -> Result<(), Error> {
        let running = self.running().map(|index| self.deployments[index].0.clone());
        self.filesystems =
            volumes.iter().map(|volume| Filesystem::open(volume, Access::Read)).collect::<Result<_, _>>()?;
        self.list();
        // It was told before the change.
        self.refused.clear();
        if let Some(running) = running {
            self.deployments.iter_mut().for_each(|(found, _)| found.running = found.is_same(&running));
        }
        Ok(())
    }
}

/// Writes the ledger of a filesystem, of which `all` is all that there is, or not. Gives the place that the one that is changed
/// above all has got by that.
fn write(volume: &Volume, all: &[Written], is_whole: bool) -> Result<Option<String>, Error> {
    let filesystem = Filesystem::open(volume, Access::Write)?;
    let failed = |why| Error::system("cannot change", volume.shown(), why);
    record(&filesystem, all, is_whole).map_err(failed)?;
    let target = all.iter().find(|written| written.is_target);
    target.map_or(Ok(None), |written| name(&filesystem, written)).map_err(failed)
}

/// Writes down what is known of all, so that only one that comes later is new, and that somebody has looked after the machine:
/// the row of reboots ends. One that the command line does not take is new once it does.
fn record(filesystem: &Filesystem, all: &[Written], is_whole: bool) -> Result<(), String> {
    let names: Vec<_> = all.iter().map(|written| written.deployment.name.as_str()).collect();
    let is_kept = |name: &str| !is_whole || names.iter().any(|known| deployment::ledger::file::recorded(known) == name);
    let changed = change_file(&filesystem.tree, &mut |ledger| {
        ledger.set_reboots(0);
        let is_taken = |found: &Deployment| found.accepted != Some(false);
        for Written { deployment, attributes, is_target } in all {
            if *is_target || is_taken(deployment) || ledger.find(&deployment.name).is_some() {
                ledger.set(&deployment.name, *attributes, &is_kept)?;
            }
        }
        if !is_whole {
            return Ok(());
        }
        let firsts =
            all.iter().map(|written| &written.deployment).filter(|found| found.index == Some(0) && is_taken(found));
        ledger.set_firsts(firsts.map(|deployment| (deployment.kind.as_str(), deployment.name.as_str())));
        Ok::<_, LedgerError>(())
    });
    changed.map_err(|why| why.to_string())
}

/// Has the name of a deployment's own file, or of its boot entry, say the same, if that counts tries. Gives the new path of
/// its file.
fn name(filesystem: &Filesystem, Written { deployment, attributes, .. }: &Written) -> Result<Option<String>, String> {
    let Some(place) = deployment.place.as_deref() else { return Ok(None) };
    // The ledger has it by now, and that is what PID 1 goes by.
    if let Err(why) = boot_entry::tell(&filesystem.tree, &deployment.directory, place, *attributes) {
        Error::system("cannot tell the boot entry of", &deployment.name, why).warn();
    }
    let Some((folder, file)) = place.rsplit_once('/') else { return Ok(None) };
    let Some(image) = Pattern::parse(folder).and_then(|pattern| pattern.image(file, ARCHITECTURE)) else {
        return Ok(None);
    };
    let Some(new) = renamed(&image, *attributes)?.filter(|new| new != file) else { return Ok(None) };
    let new = format!("{folder}/{new}");
    rename(&filesystem.tree, place, &new).map_err(|why| why.to_string())?;
    Ok(Some(new))
}

/// What the file is to be called; `None` where its name counts nothing.
fn renamed(image: &Image<'_>, attributes: Attributes) -> Result<Option<String>, String> {
    if image.counters.is_none() {
        return Ok(None);
    }
    let name = if attributes.successful() {
        image.after_success()
    } else if attributes.priority() == 0 {
        image.after_failure()
    } else {
        image.with_tries(attributes.tries().into())
    };
    name.map(|name| Some(name.to_string())).map_err(|why| why.to_string())
}
