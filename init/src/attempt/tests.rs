//! What is tried, what is written down, and how a boot ends that comes to nothing.

use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use boot_config::Sources;
use deployment::candidates::{
    CandidateName, DeviceSource, Keeper, Kind, Order, Record, RootSource, Standing, Trust, VeritySource,
};
use deployment::gpt::Attributes;
use deployment::ledger::Entry;
use deployment::{FilesystemKind, Name};

use super::*;
use crate::plan::{Action, LoopFile, Mount, TypeName, VerityDevice};
use crate::text::Path;

const ROOT: &str = "surefoot.roothash=0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210";

/// A machine on which some things fail, and the record of what was asked of it.
#[derive(Default)]
struct Machine {
    log: Vec<String>,
    /// Data devices whose verity device cannot be made.
    corrupt: Vec<&'static str>,
    /// What fails or lacks besides: the `state` device, a `shell`, the `ledger`, the look for `modules`, the `undo`ing, the mount
    /// of a `sysroot`, a `look` at it.
    failing: &'static [&'static str],
    then: Option<Emergency>,
}

impl Machine {
    fn fails(&self, what: &str) -> bool {
        self.failing.contains(&what)
    }
}

impl Boot<'_> for Machine {
    type Started = String;

    fn system(&mut self) -> &mut dyn System {
        self
    }

    fn write_down(
        &mut self,
        keeper: &Keeper,
        _: Option<&Candidate>,
        _: &[Candidate],
        change: Change,
    ) -> Result<(), Reason> {
        self.log.push(format!("{keeper}: {change}"));
        if self.fails("ledger") { Err(reason!("read-only disk")) } else { Ok(()) }
    }

    fn looking(&mut self, _: &Plan<'_>, _: u8) {}

    fn looked(&mut self, _: u8) -> Result<(), Reason> {
        if self.fails("look") { Err(reason!("no handle")) } else { Ok(()) }
    }

    fn sysroot(&self, _: u8) -> Option<&dyn Tree> {
        None
    }

    fn initramfs(&self) -> &dyn Tree {
        unreachable!("nothing is looked into")
    }

    fn passed_over(&mut self, what: &str, why: &Reason) {
        self.log.push(format!("passed over {what}: {why}"));
    }

    fn planned(&mut self, plan: &Plan<'_>) {
        self.log.push(format!("set up {}", plan.deployment));
    }

    fn degraded(&mut self, why: Reason) {
        self.log.push(format!("degraded: {why}"));
    }

    fn failed(&mut self, candidate: &Candidate, why: &Reason) {
        self.log.push(format!("failed {}: {why}", candidate.name));
    }

    fn has_shell(&self) -> bool {
        !self.fails("shell")
    }

    fn then(&mut self, emergency: Emergency) {
        self.then = Some(emergency);
    }

    fn start(&mut self, root: &NewRoot<'_, '_>, _: &Candidate, _: &[Candidate]) -> Result<String, Reason> {
        Ok(root.plan().deployment.to_string())
    }
}

impl System for Machine {
    fn load_module(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn attach_loop(&mut self, _: &LoopFile) -> Result<(), Reason> {
        Ok(())
    }

    fn detach_loop(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn activate_verity(&mut self, device: &VerityDevice) -> Result<(), Reason> {
        if self.corrupt.iter().any(|corrupt| device.data.to_string() == format!("/dev/{corrupt}")) {
            Err(reason!("corrupt"))
        } else {
            Ok(())
        }
    }

    fn deactivate_verity(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        let what = if mount.target.starts_with(crate::places::SYSROOTS) { "sysroot" } else { "state" };
        let is_meant = what == "sysroot" || mount.target == crate::places::STATE;
        if is_meant && self.fails(what) { Err(reason!("{what}")) } else { Ok(()) }
    }

    fn unmount(&mut self, _: &str) -> Result<(), Reason> {
        if self.fails("undo") { Err(reason!("cannot unmount")) } else { Ok(()) }
    }

    fn check_root(&mut self, _: Option<&str>) -> Result<Path, Reason> {
        Ok(crate::path!("/sbin/init"))
    }

    fn perform(&mut self, action: &Action<'_>) -> Result<(), Reason> {
        if self.fails("modules") && *action == Action::CheckModules { Err(reason!("no modules")) } else { Ok(()) }
    }

    fn remove(&mut self, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn check_undone(&mut self) -> Result<(), Reason> {
        if self.fails("undo") { Err(reason!("a mount is left")) } else { Ok(()) }
    }
}

/// A slot: its name, which is that of its device too, its tries, whether it is good, and how it comes to be a candidate.
fn slot(name: &'static str, tries: u8, good: bool, standing: Standing) -> Candidate {
    let device = |name: &str| Name::try_from(name).unwrap();
    let number = u32::from(name.as_bytes()[0] - b'a' + 1);
    let attributes = Attributes(0).with_priority(1).with_tries(tries).with_successful(good);
    Candidate {
        name: CandidateName::try_from(name).unwrap(),
        kind: Kind::SLOT,
        root: RootSource::Verity(VeritySource {
            data: device(name),
            hash: device("tree"),
            root_hash: ROOT.split('=').next_back().unwrap().parse().unwrap(),
            options: boot_config::config::VerityOptions::default(),
            filesystem: Some(FilesystemKind::Erofs),
        }),
        usr: None,
        trust: Trust::Verified,
        record: Some(Record {
            keeper: Keeper::Table(device("vda")),
            entry: Entry { number, attributes },
            standing,
            counted: true,
        }),
        order: Order::default(),
    }
}

fn untested(name: &'static str, tries: u8) -> Candidate {
    slot(name, tries, false, Standing::Bootable)
}

fn good(name: &'static str) -> Candidate {
    slot(name, 0, true, Standing::Bootable)
}

fn last_good(name: &'static str) -> Candidate {
    slot(name, 0, false, Standing::LastGood)
}

/// The outcome of a boot with these words, slots and automatic reboots before it, and the record.
fn boot(words: &str, slots: Vec<Candidate>, reboots: u8, mut machine: Machine) -> (Result<String, String>, Machine) {
    let cmdline = format!("{ROOT} {words}");
    let config = Config::parse(Sources { cmdline: &cmdline, ..Sources::default() }).unwrap();
    let ledger = Ledger { keeper: Keeper::Table(Name::try_from("vda").unwrap()), reboots, most: 15 };
    let kind = TypeName::try_from("ext4").unwrap();
    let state = StateChoice::Device { name: Name::try_from("vdb").unwrap(), kind, options: None };
    let selection = Selection::of(slots.into_iter().collect(), state, Some(ledger));
    let mut plan = Box::new(Plan::new());
    let ended = try_all(&config, &selection, &mut plan, &mut machine).map_err(|why| why.to_string());
    (ended, machine)
}

#[test]
fn a_try_is_written_down_before_anything_is_set_up() {
    let (ended, machine) = boot("", vec![untested("b", 3), good("a")], 0, Machine::default());
    assert_eq!((ended.as_deref(), machine.then), (Ok("b"), None));
    assert_eq!(machine.log, ["vda: write down a try of partition 2", "set up b"]);
}

#[test]
fn what_the_ledger_bars_is_never_tried() {
    let barred = |name| slot(name, 0, false, Standing::Barred("its tries are spent"));
    let (ended, machine) =
        boot("", vec![good("a"), barred("b")], 0, Machine { corrupt: vec!["a"], ..Machine::default() });
    assert_eq!(ended.unwrap_err(), "corrupt");
    assert!(!machine.log.contains(&"set up b".to_string()), "{:?}", machine.log);
    assert_eq!(exhausted("surefoot.on-exhausted=last-good", vec![barred("b")], 3).1, Some(Emergency::Halt));
}

#[test]
fn a_good_slot_is_not_charged() {
    let (ended, machine) = boot("", vec![good("a"), untested("b", 3)], 0, Machine::default());
    assert_eq!((ended.as_deref(), machine.log), (Ok("a"), vec!["set up a".to_string()]));
}

#[test]
fn the_next_one_is_tried_in_the_same_boot() {
    let machine = Machine { corrupt: vec!["b"], ..Machine::default() };
    let (ended, machine) = boot("", vec![untested("b", 3), good("a")], 0, machine);
    assert_eq!(ended.as_deref(), Ok("a"));
    assert_eq!(machine.log, ["vda: write down a try of partition 2", "set up b", "failed b: corrupt", "set up a"]);
}

#[test]
fn what_is_not_undone_ends_the_boot() {
    let machine = Machine { corrupt: vec!["b"], failing: &["undo"], ..Machine::default() };
    let (ended, _) = boot("", vec![untested("b", 3), good("a")], 0, machine);
    assert_eq!(ended.unwrap_err(), "corrupt; nothing else can be tried: a mount is left");
}

#[test]
fn a_try_that_cannot_be_written_down_is_not_made() {
    let machine = Machine { failing: &["ledger"], ..Machine::default() };
    let (ended, machine) = boot("", vec![untested("b", 3), good("a")], 0, machine);
    assert_eq!(ended.as_deref(), Ok("a"));
    assert!(!machine.log.contains(&"set up b".to_string()), "{:?}", machine.log);
}

#[test]
fn a_fault_of_the_state_device_gives_the_try_back() {
    let machine = Machine { failing: &["state"], ..Machine::default() };
    let (ended, machine) = boot("", vec![untested("b", 3), good("a")], 0, machine);
    assert_eq!(ended.unwrap_err(), "the state device is at fault: state");
    assert_eq!(
        machine.log,
        [
            "vda: write down a try of partition 2",
            "set up b",
            "vda: give back the try of partition 2",
            "failed b: the state device is at fault: state"
        ],
        "the other one needs it as well"
    );
}

#[test]
fn a_fallback_without_modules_reboots_until_that_is_known_to_be_in_vain() {
    let machine = || Machine { corrupt: vec!["b"], failing: &["modules"], ..Machine::default() };
    let (ended, ended_machine) = boot("", vec![untested("b", 3), good("a")], 0, machine());
    assert_eq!(
        (ended.unwrap_err().as_str(), ended_machine.then),
        ("cannot fall back to a: no modules", Some(Emergency::Reboot))
    );
    assert_eq!(ended_machine.log.last().unwrap(), "vda: write down automatic reboot 1");
    let (ended, ended_machine) = boot("", vec![untested("b", 3), good("a")], 3, machine());
    assert_eq!(ended.as_deref(), Ok("a"));
    assert!(ended_machine.log.contains(&"degraded: cannot fall back to a: no modules".to_string()));
    // As the first choice it need not have any.
    let (ended, _) = boot("", vec![good("a")], 0, Machine { failing: &["modules"], ..Machine::default() });
    assert_eq!(ended.as_deref(), Ok("a"));
}

/// How a boot ends: what starts or why nothing does, what follows, and what the ledger is told of reboots.
fn exhausted(words: &str, slots: Vec<Candidate>, reboots: u8) -> (Result<String, String>, Option<Emergency>, String) {
    let machine = Machine { corrupt: vec!["a", "b"], ..Machine::default() };
    let (ended, machine) = boot(words, slots, reboots, machine);
    let counted: Vec<_> = machine.log.iter().filter(|line| line.contains("automatic reboot")).cloned().collect();
    (ended, machine.then, counted.join("; "))
}

#[test]
fn nothing_left_means_a_bounded_number_of_reboots() {
    let both = || vec![good("a"), untested("b", 1)];
    for (reboots, then, counted) in [
        (0, Emergency::Reboot, "vda: write down automatic reboot 1"),
        (2, Emergency::Reboot, "vda: write down automatic reboot 3"),
        (3, Emergency::Halt, ""),
        (15, Emergency::Halt, ""),
    ] {
        let (ended, followed, written) = exhausted("", both(), reboots);
        assert!(ended.unwrap_err().starts_with("corrupt"));
        assert_eq!((followed, written.as_str()), (Some(then), counted), "{reboots}");
    }
    let (_, followed, written) = exhausted("surefoot.on-exhausted=reboot:0", both(), 0);
    assert_eq!((followed, written.as_str()), (Some(Emergency::Halt), ""));
}

#[test]
fn what_was_good_once_is_there_in_the_end_or_at_once() {
    let slots = || vec![untested("b", 1), last_good("c")];
    assert_eq!(exhausted("", slots(), 0).1, Some(Emergency::Reboot));
    assert_eq!(exhausted("", slots(), 3).0.as_deref(), Ok("c"));
    let at_once = exhausted("surefoot.on-exhausted=last-good", slots(), 0);
    assert_eq!((at_once.0.as_deref(), at_once.2.as_str()), (Ok("c"), ""));
    // If it fails as well, reboots are bounded too.
    let fails = || vec![last_good("a")];
    let words = "surefoot.on-exhausted=last-good:1";
    assert_eq!(exhausted(words, fails(), 0).1, Some(Emergency::Reboot));
    assert_eq!(exhausted(words, fails(), 1).1, Some(Emergency::Halt));
}

#[test]
fn nothing_at_all_is_said_in_words() {
    let (ended, followed, _) = exhausted("surefoot.on-exhausted=poweroff", Vec::new(), 0);
    assert_eq!(ended.unwrap_err(), "no deployment of vda may boot: their tries are spent, or their priority is 0");
    assert_eq!(followed, Some(Emergency::Poweroff));
    for (word, emergency) in [("shell", Emergency::Shell), ("halt", Emergency::Halt)] {
        let words = format!("surefoot.on-exhausted={word}");
        assert_eq!(exhausted(&words, vec![last_good("c")], 9).1, Some(emergency));
    }
    assert_eq!(exhausted("rd.emergency=poweroff", Vec::new(), 0).1, Some(Emergency::Poweroff));
}

#[test]
fn without_a_shell_to_end_in_reboots_are_counted() {
    for (reboots, then) in [(0, Emergency::Reboot), (3, Emergency::Halt)] {
        let machine = Machine { failing: &["shell"], ..Machine::default() };
        let (_, machine) = boot("surefoot.on-exhausted=shell", Vec::new(), reboots, machine);
        assert_eq!(machine.then, Some(then));
    }
}

#[test]
fn a_reboot_that_cannot_be_counted_is_not_made() {
    let machine = Machine { corrupt: vec!["a"], failing: &["ledger"], ..Machine::default() };
    let (_, machine) = boot("", vec![good("a")], 0, machine);
    assert_eq!(machine.then, Some(Emergency::Halt));
}

#[test]
fn a_slot_that_may_boot_ends_the_row_of_reboots() {
    let (ended, machine) = boot("", vec![good("a")], 2, Machine::default());
    assert_eq!(
        (ended.as_deref(), machine.log.last().unwrap().as_str()),
        (Ok("a"), "vda: forget the automatic reboots")
    );
    let (ended, machine) = boot("", vec![last_good("a")], 3, Machine::default());
    assert_eq!((ended.as_deref(), machine.log.last().unwrap().as_str()), (Ok("a"), "set up a"));
}

#[test]
fn an_action_on_failure_leaves_the_others_untried() {
    let slots = || vec![untested("b", 3), good("c")];
    let (ended, _, _) = exhausted("surefoot.on-failure=poweroff", slots(), 0);
    assert_eq!(ended.unwrap_err(), "corrupt");
    // Reboots are counted, and when they were in vain the next one is tried after all.
    let (ended, followed, written) = exhausted("surefoot.on-failure=reboot", slots(), 0);
    assert_eq!((ended.unwrap_err().as_str(), followed), ("corrupt", Some(Emergency::Reboot)));
    assert_eq!(written, "vda: write down automatic reboot 1");
    assert_eq!(exhausted("surefoot.on-failure=reboot", slots(), 3).0.as_deref(), Ok("c"));
}

#[test]
fn what_a_look_that_fails_has_left_is_reported() {
    let config = Config::parse(Sources { cmdline: "root=/dev/vda surefoot.deployment=auto", ..Sources::default() });
    let config = config.unwrap();
    let reported = |failing| {
        let state = StateChoice::Memory;
        let mut selection = Selection::of(deployment::candidates::Candidates::new(), state, None);
        let device = Name::try_from("vda").unwrap();
        selection.sysroots.push(DeviceSource { device, filesystem: Some(FilesystemKind::Ext4) }).unwrap();
        let mut machine = Machine { failing, ..Machine::default() };
        crate::look::look_into_all(&config, &mut selection, &mut Box::new(Plan::new()), &mut machine);
        machine.log.join("\n")
    };
    let degraded = |why: &str| format!("degraded: no deployment was looked for in /dev/vda: {why}");
    assert_eq!(reported(&["sysroot"]), degraded("sysroot"));
    assert_eq!(reported(&["sysroot", "undo"]), degraded("sysroot; a mount is left"));
    assert_eq!(reported(&["look"]), degraded("no handle"));
    assert_eq!(reported(&["look", "undo"]), degraded("no handle; cannot unmount"));
}
