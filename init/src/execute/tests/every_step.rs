//! Every step of every golden plan fails once, and everything that can be undone cannot be undone once.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use boot_config::policy::{Emergency, StateMissing};
use deployment::candidates::{Candidate, CandidateName, Keeper, Look};
use deployment::ledger::Change;
use deployment::tree::Tree;

use super::*;
use crate::attempt::{Boot, try_all};
use crate::plan::tests::{Golden, golden_set};
use crate::plan::{Device, LoopFile, Plan, Source, With};

/// Something that a plan has made and that does not go away by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    Loop(String),
    Verity(String),
    /// Where, and the device that is mounted there.
    Mount(String, String),
    File(String),
}

impl Made {
    /// Whether it cannot go away as long as `other` is there.
    fn is_held_by(&self, other: &Self, devices: &[(String, String)]) -> bool {
        match (self, other) {
            (Self::Mount(target, _), Self::Mount(inner, _)) => inner.starts_with(&format!("{target}/")),
            (Self::Verity(name), Self::Mount(_, device)) => *device == Device::Verity(leak(name)).to_string(),
            (Self::Loop(name), Self::Mount(_, device)) => *device == Device::Loop(leak(name)).to_string(),
            (Self::Loop(name), Self::Verity(user)) => devices.iter().any(|(of, on)| of == user && on == name),
            _ => false,
        }
    }
}

/// Names of devices are constants of the program.
fn leak(name: &str) -> &'static str {
    Box::leak(name.to_string().into_boxed_str())
}

/// A kernel of which only what plans make is known.
#[derive(Default)]
struct Model {
    /// What is there, in the order in which it was made.
    there: Vec<Made>,
    /// Verity devices, with the loop devices that each is on.
    devices: Vec<(String, String)>,
    /// All that was ever made, and all that was ever undone.
    made: Vec<Made>,
    undone: Vec<Made>,
    /// How many steps were asked for, and which of them fail.
    steps: usize,
    refused: Vec<usize>,
    /// What cannot be undone.
    stuck: Option<Made>,
    /// Whether the directories of mounts that want one are missing.
    lacks_directories: bool,
}

impl Model {
    fn refusing(step: usize) -> Self {
        Self { refused: Vec::from([step]), ..Self::default() }
    }

    fn step(&mut self, what: &dyn fmt::Display, made: Option<Made>) -> Result<(), Reason> {
        self.steps += 1;
        if self.refused.contains(&(self.steps - 1)) {
            return Err(reason!("refused: {what}"));
        }
        self.made.extend(made.clone());
        self.there.extend(made);
        Ok(())
    }

    fn undo(&mut self, is_meant: impl Fn(&Made) -> bool) -> Result<(), Reason> {
        let at = self.there.iter().rposition(is_meant).ok_or_else(|| reason!("it is not there"))?;
        let made = self.there[at].clone();
        let is_held = self.there[at + 1..].iter().any(|other| made.is_held_by(other, &self.devices));
        if self.stuck.as_ref() == Some(&made) || is_held {
            return Err(reason!("{made:?} is stuck"));
        }
        assert!(self.stuck.is_some() || at + 1 == self.there.len(), "{made:?} is not the last one: {:?}", self.there);
        self.there.remove(at);
        self.undone.push(made);
        Ok(())
    }
}

impl System for Model {
    fn load_module(&mut self, name: &str) -> Result<(), Reason> {
        self.step(&name, None)
    }

    fn attach_loop(&mut self, file: &LoopFile) -> Result<(), Reason> {
        self.step(file, Some(Made::Loop(file.name.to_string())))
    }

    fn detach_loop(&mut self, name: &str) -> Result<(), Reason> {
        self.undo(|made| *made == Made::Loop(name.to_string()))
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        for on in [&device.data, &device.hash] {
            if let Device::Loop(on) = on {
                assert!(self.there.contains(&Made::Loop((*on).to_string())), "{device}");
                self.devices.push((device.name.to_string(), (*on).to_string()));
            }
        }
        self.step(device, Some(Made::Verity(device.name.to_string())))
    }

    fn deactivate_verity(&mut self, name: &str) -> Result<(), Reason> {
        self.undo(|made| *made == Made::Verity(name.to_string()))
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        let device = match &mount.source {
            Source::Filesystem { device, .. } => device.to_string(),
            _ => String::new(),
        };
        self.step(mount, Some(Made::Mount(mount.target.to_string(), device)))
    }

    fn mount_if_there(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        if self.lacks_directories { self.step(mount, None) } else { self.mount(mount) }
    }

    fn unmount(&mut self, target: &str) -> Result<(), Reason> {
        self.undo(|made| matches!(made, Made::Mount(at, _) if at == target))
    }

    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason> {
        self.step(&"check", None)?;
        Ok(crate::path!("{}", init.unwrap_or("/sbin/init")))
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        let made = match action {
            Action::WriteFile { path, .. } => Some(Made::File(path.to_string())),
            Action::RecordRootDevice { .. } => Some(Made::File(places::VOLATILE_ROOT.to_string())),
            // It goes away with the root that it is in.
            Action::Link { path, .. } => {
                assert!(path.starts_with(places::NEW_ROOT) || path.starts_with(places::MEMORY), "{action}");
                None
            }
            _ => None,
        };
        self.step(action, made)
    }

    fn remove(&mut self, path: &str) -> Result<(), Reason> {
        self.undo(|made| *made == Made::File(path.to_string()))
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        let is_seen = |made: &&Made| matches!(made, Made::Verity(_) | Made::Mount(..));
        match self.there.iter().find(is_seen) {
            Some(made) => Err(reason!("{made:?} is still there")),
            None => Ok(()),
        }
    }
}

/// Visits the plan of each candidate of the golden set, those by which filesystems are looked into included, with what
/// it is made of.
fn each_plan(visit: &mut dyn FnMut(&Plan<'_>, &Golden<'_, '_>, Option<&Candidate>)) {
    golden_set(&mut |golden| {
        let Golden { config, look, selection } = golden;
        let mut plan = Box::new(Plan::new());
        if let Some(look) = look {
            plan.make_look(config, look.device, &selection.state, 0).unwrap();
            visit(&plan, golden, None);
        }
        let with = With { look: *look, state: &selection.state, devices: &selection.devices, fallback: false };
        for candidate in &selection.candidates {
            // Some of the golden set are there to be refused.
            if plan.make(config, candidate, &with).is_ok() {
                visit(&plan, golden, Some(candidate));
            }
        }
    });
}

fn is_wish(step: &Step<'_>) -> bool {
    matches!(step.action, Action::LoadModule { required: false, .. })
}

/// Whether a plan has mounts that may have nothing to be mounted on: then both is tried.
fn both_ways(plan: &Plan<'_>) -> &'static [bool] {
    let has_wishes = plan.steps.iter().any(|step| matches!(step.action, Action::MountIfThere(_)));
    if has_wishes { &[false, true] } else { &[false] }
}

#[test]
fn what_was_done_is_undone_in_reverse_and_nothing_is_left() {
    let (mut plans, mut pairs, mut wishes, mut undone) = (0, 0, 0, 0);
    each_plan(&mut |plan, _, _| {
        plans += 1;
        for (number, step) in plan.steps.iter().enumerate() {
            for &lacks_directories in both_ways(plan) {
                let mut model = Model { lacks_directories, ..Model::refusing(number) };
                pairs += 1;
                if is_wish(step) {
                    carry_out(&plan.steps, &mut model).unwrap();
                    assert_eq!((model.steps, &model.undone), (plan.steps.len(), &Vec::new()), "{step}");
                    undo(&plan.steps, &mut model).unwrap();
                    wishes += 1;
                } else {
                    let failed = carry_out(&plan.steps, &mut model).unwrap_err();
                    assert_eq!((failed.step, failed.scope, model.steps), (number, step.scope, number + 1), "{step}");
                    assert!(failed.reason.starts_with("refused: "), "{}", failed.reason);
                    assert_eq!(failed.leftover, None, "{step}");
                }
                model.made.reverse();
                assert_eq!((&model.undone, &model.there), (&model.made, &Vec::new()), "{step}");
                undone += model.undone.len();
            }
        }
    });
    let counted = format!("{plans} plans, {pairs} steps that fail ({wishes} of them wishes), {undone} things undone");
    insta::assert_snapshot!(counted);
}

#[test]
fn what_cannot_be_undone_is_told_and_all_else_is_undone() {
    let mut pairs = 0;
    each_plan(&mut |plan, _, _| {
        for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| !is_wish(step)) {
            let mut whole = Model::default();
            carry_out(&plan.steps[..number], &mut whole).unwrap();
            for (at, stuck) in whole.made.iter().enumerate() {
                let mut model = Model { stuck: Some(stuck.clone()), ..Model::refusing(number) };
                let failed = carry_out(&plan.steps, &mut model).unwrap_err();
                assert!(failed.leftover.is_some(), "{step}: {stuck:?} is left, and nobody says so");
                let mut stay = Vec::from([stuck.clone()]);
                for made in whole.made[..at].iter().rev() {
                    if stay.iter().any(|held| made.is_held_by(held, &whole.devices)) {
                        stay.push(made.clone());
                    }
                }
                stay.sort();
                model.there.sort();
                assert_eq!(model.there, stay, "{step}: what is left where {stuck:?} is stuck");
                pairs += 1;
            }
        }
    });
    let counted = format!("{pairs} things that cannot be undone");
    insta::assert_snapshot!(counted);
}

/// A machine whose plans are carried out on a [`Model`].
struct Machine<'m> {
    model: Model,
    look: Option<&'m Look<'m>>,
    planned: Vec<String>,
    failed: Vec<String>,
    degraded: usize,
}

impl Boot<'_> for Machine<'_> {
    type Started = String;

    fn system(&mut self) -> &mut dyn System {
        &mut self.model
    }

    fn write_down(&mut self, _: &Keeper, _: Option<&Candidate>, _: &[Candidate], _: Change) -> Result<(), Reason> {
        Ok(())
    }

    fn looking(&mut self, _: &Plan<'_>, _: u8) {}

    fn looked(&mut self, _: u8) -> Result<(), Reason> {
        Ok(())
    }

    fn sysroot(&self, _: u8) -> Option<&dyn Tree> {
        self.look.map(|look| look.tree)
    }

    fn initramfs(&self) -> &dyn Tree {
        self.look.unwrap().initramfs
    }

    fn passed_over(&mut self, _: &str, _: &Reason) {}

    fn planned(&mut self, plan: &Plan<'_>) {
        assert_eq!(self.model.there, Vec::new(), "something is left of the one before");
        self.planned.push(plan.deployment.to_string());
    }

    fn degraded(&mut self, _: Reason) {
        self.degraded += 1;
    }

    fn failed(&mut self, candidate: &Candidate, why: &Reason) {
        self.failed.push(format!("{}: {why}", candidate.name));
    }

    fn has_shell(&self) -> bool {
        false
    }

    fn then(&mut self, _: Emergency) {}

    fn start(&mut self, root: &NewRoot<'_, '_>, _: &Candidate, _: &[Candidate]) -> Result<String, Reason> {
        dismantle(root, &mut self.model);
        assert_eq!(self.model.there, Vec::new(), "something is left of {}", root.plan().deployment);
        Ok(root.plan().deployment.to_string())
    }
}

/// What starts where these steps of all that are carried out fail: of a candidate and, behind it, a second one like it.
fn boot<'g>(
    golden: &Golden<'g, '_>,
    candidate: &Candidate,
    missing: StateMissing,
    model: Model,
) -> (Result<String, Reason>, Machine<'g>) {
    let mut config = golden.config.clone();
    config.state_missing = missing;
    let spare = Candidate { name: CandidateName::try_from("spare").unwrap(), ..candidate.clone() };
    let look = golden.look;
    let mut selection = golden.selection.clone();
    selection.candidates = [candidate.clone(), spare].into_iter().collect();
    selection.ledger = None;
    let mut machine = Machine { model, look, planned: Vec::new(), failed: Vec::new(), degraded: 0 };
    let ended = try_all(&config, &selection, &mut Box::new(Plan::new()), &mut machine);
    (ended, machine)
}

#[test]
fn what_follows_is_what_the_scope_of_the_step_says() {
    let (mut next, mut ended, mut degraded, mut kernel, mut stuck_boots) = (0, 0, 0, 0, 0);
    each_plan(&mut |plan, golden, candidate| {
        let Some(candidate) = candidate else { return };
        let name = candidate.name.as_str();
        for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| !is_wish(step)) {
            let (started, machine) = boot(golden, candidate, StateMissing::Fail, Model::refusing(number));
            match step.scope {
                Scope::Candidate => {
                    assert_eq!(started.as_deref(), Ok("spare"), "{step}");
                    assert_eq!(machine.planned, [name, "spare"]);
                    next += 1;
                }
                Scope::State => {
                    let why = started.unwrap_err();
                    assert!(why.starts_with("the state device is at fault: refused: "), "{why}");
                    assert_eq!(machine.planned, [name], "{step}");
                    let (started, machine) = boot(golden, candidate, StateMissing::Tmpfs, Model::refusing(number));
                    assert_eq!((started.as_deref(), machine.degraded), (Ok(name), 1), "{step}");
                    assert_eq!(machine.planned, [name, name]);
                    ended += 1;
                    degraded += 1;
                }
                Scope::Kernel => panic!("{step}: there is nothing before it"),
            }
            assert_eq!(machine.failed.len(), 1, "{step}");
            assert!(machine.failed[0].starts_with(&format!("{name}: ")) && machine.failed[0].contains("refused: "));

            // The last thing that was made cannot be undone: then nothing else is tried.
            let mut whole = Model::default();
            carry_out(&plan.steps[..number], &mut whole).unwrap();
            let Some(last) = whole.made.last().cloned() else { continue };
            let model = Model { stuck: Some(last), ..Model::refusing(number) };
            let (started, machine) = boot(golden, candidate, StateMissing::Tmpfs, model);
            let why = started.unwrap_err();
            assert!(why.starts_with("refused: ") && why.contains("; nothing else can be tried: "), "{step}: {why}");
            assert_eq!(machine.planned, [name]);
            stuck_boots += 1;
        }
        // The second one has a step more than the first one: the look for modules.
        let first = plan.steps.iter().position(|step| !is_wish(step) && step.scope == Scope::Candidate).unwrap();
        let refused = |second| Model { refused: Vec::from([first, first + 1 + second]), ..Model::default() };
        let outcomes =
            (0..=plan.steps.len()).map(|second| boot(golden, candidate, StateMissing::Fail, refused(second)).0);
        let in_vain = |ended: &Result<String, Reason>| matches!(ended, Err(why) if why.starts_with("cannot fall back to spare: refused: "));
        kernel += outcomes.filter(in_vain).count();
    });
    let counted = format!(
        "{next} steps after whose failure the next candidate starts, {ended} after which the boot ends for the state \
         device, {degraded} of these with the layers in memory if that is asked for, {kernel} fallbacks without modules, \
         {stuck_boots} boots that end because something could not be undone"
    );
    insta::assert_snapshot!(counted);
}
