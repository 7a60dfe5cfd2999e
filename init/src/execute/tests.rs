//! Every step fails once: what was done before it is undone, in reverse, and nothing else.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use boot_config::{Config, Sources};
use deployment::candidates::{Candidate, CandidateName, Kind, Order, RootSource, Trust, VeritySource};
use deployment::{FilesystemKind, Name};

use super::*;
use crate::plan::{LoopFile, Plan, StateChoice, TypeName, With};

mod every_step;

/// A kernel that writes down what it is asked for, and refuses one request.
#[derive(Default)]
struct Recorder {
    /// The steps that were said to begin.
    begun: Vec<usize>,
    done: Vec<String>,
    undone: Vec<String>,
    refused: Option<usize>,
    /// Whether undoing fails as well.
    stuck: bool,
}

impl Recorder {
    fn request(&mut self, what: String) -> Result<(), Reason> {
        if self.refused == Some(self.done.len()) {
            return Err(reason!("refused: {what}"));
        }
        self.done.push(what);
        Ok(())
    }

    fn undo(&mut self, what: String) -> Result<(), Reason> {
        self.undone.push(what);
        if self.stuck { Err(reason!("stuck")) } else { Ok(()) }
    }
}

impl System for Recorder {
    fn begins(&mut self, step: usize) {
        self.begun.push(step);
    }

    fn load_module(&mut self, name: &str) -> Result<(), Reason> {
        self.request(format!("module {name}"))
    }

    fn attach_loop(&mut self, file: &LoopFile) -> Result<(), Reason> {
        self.request(format!("loop {}", file.name))
    }

    fn detach_loop(&mut self, name: &str) -> Result<(), Reason> {
        self.undo(format!("loop {name}"))
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        self.request(format!("verity {}", device.name))
    }

    fn deactivate_verity(&mut self, name: &str) -> Result<(), Reason> {
        self.undo(format!("verity {name}"))
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        self.request(format!("mount {}", mount.target))
    }

    fn unmount(&mut self, target: &str) -> Result<(), Reason> {
        self.undo(format!("mount {target}"))
    }

    fn check_root(&mut self, init: Option<&str>) -> Result<Path, Reason> {
        self.request("check".to_string())?;
        Ok(crate::path!("{}", init.unwrap_or("/sbin/init")))
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        self.request(action.to_string())
    }

    fn remove(&mut self, path: &str) -> Result<(), Reason> {
        self.undo(format!("remove {path}"))
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        if self.stuck { Err(reason!("stuck")) } else { Ok(()) }
    }
}

fn candidate() -> Candidate {
    let name = |name: &str| Name::try_from(name).unwrap();
    Candidate {
        name: CandidateName::try_from("demo").unwrap(),
        kind: Kind::CONFIGURED,
        root: RootSource::Verity(VeritySource {
            data: name("vda1"),
            hash: name("vda2"),
            root_hash: "0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210".parse().unwrap(),
            options: boot_config::config::VerityOptions::default(),
            filesystem: Some(FilesystemKind::Erofs),
        }),
        usr: None,
        trust: Trust::Verified,
        record: None,
        order: Order::default(),
    }
}

/// The plan of a usual boot: a verified root, a state device, `/etc`, `/var` and `/home`.
fn usual(cmdline: &str, run: impl FnOnce(&Plan<'_>)) {
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap();
    let state = StateChoice::Device {
        name: Name::try_from("vda3").unwrap(),
        kind: TypeName::try_from("ext4").unwrap(),
        options: None,
    };
    let candidate = candidate();
    let mut plan = Plan::new();
    let with = With { look: None, state: &state, devices: &[], fallback: false };
    plan.make(&config, &candidate, &with).unwrap();
    run(&plan);
}

const MOUNTS: [&str; 5] =
    ["mount /sysroot", "mount /run/surefoot/state", "mount /sysroot/etc", "mount /sysroot/var", "mount /sysroot/home"];

#[test]
fn all_steps_are_carried_out_in_order() {
    usual("init=/bin/special", |plan| {
        let mut system = Recorder::default();
        let root = execute(plan, &mut system).unwrap();
        assert_eq!(root.init(), "/bin/special");
        assert_eq!(system.done.len(), plan.steps.len());
        assert_eq!(system.begun, (0..=plan.steps.len()).collect::<Vec<_>>());
        let mounts: Vec<_> = system.done.iter().filter(|done| done.starts_with("mount ")).collect();
        assert_eq!(mounts, MOUNTS);
        assert!(system.undone.is_empty());
    });
}

#[test]
fn whichever_step_fails_all_before_it_is_undone_in_reverse() {
    usual("", |plan| {
        for refused in 0..plan.steps.len() {
            let step = plan.steps.get(refused).unwrap();
            let mut system = Recorder { refused: Some(refused), ..Recorder::default() };
            let result = execute(plan, &mut system);
            if matches!(step.action, Action::LoadModule { required: false, .. }) {
                // The recorder goes on refusing the same number, so the next step is the one that fails.
                assert_eq!(result.unwrap_err().step, refused + 1);
                continue;
            }
            let failed = result.unwrap_err();
            assert_eq!((failed.step, failed.scope), (refused, step.scope), "{step}");
            assert_eq!(system.begun, (0..=refused).collect::<Vec<_>>(), "{step}");
            assert!(failed.reason.starts_with("refused: "), "{}", failed.reason);
            let is_undone = |what: &&String| what.starts_with("mount ") || what.starts_with("verity ");
            let expected: Vec<_> = system.done.iter().rev().filter(is_undone).cloned().collect();
            assert_eq!(system.undone, expected, "{step}");
        }
    });
}

#[test]
fn what_was_told_of_a_candidate_is_not_told_of_the_next_one() {
    usual("systemd.volatile=overlay", |plan| {
        let mut plan = plan.clone();
        let path = crate::path!("/run/told");
        let told = Action::WriteFile { path, mode: 0o644, content: heapless::Vec::new() };
        plan.steps.insert(0, Step { action: told, scope: Scope::Candidate }).unwrap();
        let mut system = Recorder { refused: Some(plan.steps.len() - 1), ..Recorder::default() };
        execute(&plan, &mut system).unwrap_err();
        let removed: Vec<_> = system.undone.iter().filter(|what| what.starts_with("remove ")).collect();
        assert_eq!(removed, ["remove /run/systemd/volatile-root", "remove /run/told"]);
    });
}

#[test]
fn a_mount_that_may_not_be_there_is_undone_like_any_other() {
    usual("", |plan| {
        let mut plan = plan.clone();
        let source = crate::plan::Source::Bind { directory: crate::path!("/elsewhere") };
        let mount = Mount { source, target: crate::path!("/sysroot/there"), flags: overlay::MountFlags::NONE };
        plan.steps.insert(0, Step { action: Action::MountIfThere(mount), scope: Scope::Candidate }).unwrap();
        let mut system = Recorder { refused: Some(2), ..Recorder::default() };
        execute(&plan, &mut system).unwrap_err();
        assert_eq!(system.done.first().map(String::as_str), Some("mount /sysroot/there"));
        assert_eq!(system.undone.last().map(String::as_str), Some("mount /sysroot/there"));
    });
}

#[test]
fn what_cannot_be_undone_does_not_stop_the_rest() {
    usual("", |plan| {
        let last = plan.steps.len() - 1;
        let mut system = Recorder { refused: Some(last), stuck: true, ..Recorder::default() };
        let failed = execute(plan, &mut system).unwrap_err();
        assert_eq!(failed.leftover.as_deref(), Some("stuck"));
        assert_eq!(system.undone.last().unwrap(), "verity root");
        assert_eq!(system.undone.len(), MOUNTS.len() + 1);
    });
}

#[test]
fn a_fault_of_the_state_device_is_not_charged_to_the_candidate() {
    usual("", |plan| {
        let scope_of = |text: &str| plan.steps.iter().find(|step| step.to_string().contains(text)).unwrap().scope;
        assert_eq!(scope_of("mount ext4 /dev/vda3"), Scope::State);
        assert_eq!(scope_of("copy of /sysroot/var"), Scope::State);
        assert_eq!(scope_of("mount erofs"), Scope::Candidate);
        assert_eq!(scope_of("check /sysroot"), Scope::Candidate);
        assert_eq!(scope_of("corrupted block"), Scope::Candidate);
    });
}

#[test]
fn a_plan_that_does_not_check_its_root_cannot_be_handed_over() {
    usual("", |plan| {
        let mut unchecked = plan.clone();
        unchecked.steps.retain(|step| !matches!(step.action, Action::CheckRoot { .. }));
        let failed = execute(&unchecked, &mut Recorder::default()).unwrap_err();
        assert_eq!(&*failed.reason, "the plan for demo does not check its root");
    });
}

#[test]
fn nothing_is_left_of_a_root_that_is_dismantled() {
    usual("", |plan| {
        let mut system = Recorder::default();
        let root = execute(plan, &mut system).unwrap();
        dismantle(&root, &mut system);
        let expected = ["mount /sysroot/home", "mount /sysroot/var", "mount /sysroot/etc", "mount /run/surefoot/state"];
        let expected: Vec<_> = expected.into_iter().chain(["mount /sysroot", "verity root"]).collect();
        assert_eq!(system.undone, expected);
        assert_eq!(vec![root.plan().deployment.as_str()], ["demo"]);
    });
}
