//! The way of a boot, from the first instruction to the hand-over.

use core::convert::Infallible;
use core::panic::PanicInfo;
use core::time::Duration;

use boot_config::Config;
use boot_config::policy::{BreakStage, Deadline, Emergency, OnFailure, StateMissing};
use deployment::Facts;
use deployment::candidates::{Candidate, Keeper, MAX_SYSROOTS, Trust};
use deployment::ledger::Change;
use deployment::tree::Tree;
use sys::errno::Explained;
use sys::reserve::Reserve;
use sys::start::Words;
use sys::{file, process};

use crate::attempt::{Boot, try_all};
use crate::coldplug::Hotplug;
use crate::command_line;
use crate::early;
use crate::efi;
use crate::execute::{NewRoot, System};
use crate::failure;
use crate::handoff::hand_over;
use crate::history;
use crate::kernel::Kernel;
use crate::ledger;
use crate::load::Tree as Modules;
use crate::look::look_into_all;
use crate::mounted_tree::MountedTree;
use crate::mounting::takes_no_changes;
use crate::plan::{Plan, Selection, modules_in_any_case, out_of_time, select, sysroot};
use crate::probe;
use crate::report::{Booted, Report};
use crate::settings::Settings;
use crate::text::{Reason, refused};
use crate::watchdog::Watchdog;
use crate::{SYSROOTS, log, modprobe, places, reason};

/// Starts: as the first program of the machine, or as the one that the kernel asks for modules.
pub fn run(words: Words) -> ! {
    if process::id() != 1 {
        modprobe::run(&words);
    }
    let mounted = early::mount_kernel_filesystems();
    log::start();
    let result = mounted.and_then(|()| boot(&words));
    let why = match result {
        Ok(never) => match never {},
        Err(reason) => reason,
    };
    failure::conclude(format_args!("{why}"), failure::remembered())
}

/// Ends a boot in which this program itself is at fault.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    failure::conclude(format_args!("surefoot-init has a fault of its own: {info}"), failure::remembered())
}

static FACTS: Reserve<Facts> = Reserve::new(Facts::new());
static PLAN: Reserve<Plan<'static>> = Reserve::new(Plan::new());

#[inline(never)]
fn boot(words: &Words) -> Result<Infallible, Reason> {
    let started = sys::clock::since_boot();
    let settings = Settings::change();
    let mut report = Report::default();
    report.reached("start");
    let config = Config::parse(command_line::read()?).map_err(|error| reason!("{error}"))?;
    announce(&config);
    pause_at(BreakStage::Cmdline, &config);

    let tree = Modules::open();
    if let Some(mismatch) = tree.mismatch() {
        log::error!("{mismatch}; only what is built into the kernel will be found");
    }
    // Whoever looks around in a shell is no hang.
    let mut watchdog = Watchdog::new(config.watchdog.filter(|_| config.break_at.is_none()));
    let hotplug = Hotplug::start(&tree, &config, &mut watchdog)?;
    report.reached("drivers loaded");
    let (Some(facts), Some(plan)) = (FACTS.take(), PLAN.take()) else { return Err(reason!("the boot began twice")) };
    for module in modules_in_any_case(&config).iter().flatten() {
        // The drivers of what has been found meanwhile come first. Most of them ask their disks for partitions by
        // themselves, and there is time for what every plan needs; the plan itself insists on it.
        hotplug.settle(facts, &mut watchdog)?;
        let _ = tree.load(module, &config);
        watchdog.keep_alive();
    }
    facts.loader_partition = efi::loader_partition();
    let mut selection = Search {
        config: &config,
        tree: &tree,
        hotplug: &hotplug,
        watchdog: &mut watchdog,
        report: &mut report,
        started,
    }
    .run(facts)?;
    if watchdog.is_lacking() {
        report.degraded(reason!("there is no watchdog, though surefoot.watchdog= asks for one: a hang is not noticed"));
    }
    report.reached("devices found");
    pause_at(BreakStage::PreMount, &config);

    let kernel = Kernel::new(&tree, &config);
    let initramfs = MountedTree::open("/").map_err(|errno| refused("open", "/", errno))?;
    let mut attempts = Attempts {
        config: &config,
        facts,
        words,
        settings,
        kernel,
        watchdog,
        report,
        initramfs,
        sysroots: Default::default(),
    };
    look_into_all(&config, &mut selection, plan, &mut attempts);
    if SYSROOTS && !selection.sysroots.is_empty() {
        attempts.report.reached("deployments found");
    }
    try_all(&config, &selection, plan, &mut attempts)
}

/// This machine, with what is at hand while candidates are tried.
struct Attempts<'b, 'a> {
    config: &'b Config<'a>,
    facts: &'b Facts,
    words: &'b Words,
    settings: Settings,
    kernel: Kernel<'b>,
    watchdog: Watchdog,
    report: Report,
    initramfs: MountedTree,
    /// The filesystems that were looked into, by their numbers.
    sysroots: [Option<MountedTree>; MAX_SYSROOTS],
}

impl<'a> Boot<'a> for Attempts<'_, 'a> {
    type Started = Infallible;

    fn system(&mut self) -> &mut dyn System {
        &mut self.kernel
    }

    fn write_down(
        &mut self,
        keeper: &Keeper,
        candidate: Option<&Candidate>,
        all: &[Candidate],
        change: Change,
    ) -> Result<(), Reason> {
        ledger::write_down(keeper, candidate, all, change, &self.sysroots)
    }

    fn looking(&mut self, _: &Plan<'a>, _: u8) {
        self.watchdog.keep_alive();
    }

    fn looked(&mut self, number: u8) -> Result<(), Reason> {
        if let Some(tree) = self.sysroots.get_mut(usize::from(number)) {
            let opened = MountedTree::open(&sysroot(number));
            *tree = Some(opened.map_err(|errno| refused("look into", &sysroot(number), errno))?);
        }
        Ok(())
    }

    fn sysroot(&self, number: u8) -> Option<&dyn Tree> {
        let tree = self.sysroots.get(usize::from(number))?.as_ref()?;
        Some(tree)
    }

    fn initramfs(&self) -> &dyn Tree {
        &self.initramfs
    }

    fn passed_over(&mut self, what: &str, why: &Reason) {
        self.report.passed_over(what, why);
    }

    fn planned(&mut self, plan: &Plan<'a>) {
        self.watchdog.keep_alive();
        log::debug!("{} takes {} steps", plan.deployment, plan.steps.len());
    }

    fn degraded(&mut self, why: Reason) {
        self.report.degraded(why);
    }

    fn failed(&mut self, candidate: &Candidate, why: &Reason) {
        self.report.failed(&candidate.name, why);
    }

    fn has_shell(&self) -> bool {
        failure::shell_is_there()
    }

    fn then(&mut self, emergency: Emergency) {
        failure::remember(emergency);
    }

    fn start(
        &mut self,
        root: &NewRoot<'_, 'a>,
        candidate: &Candidate,
        all: &[Candidate],
    ) -> Result<Infallible, Reason> {
        pause_at(BreakStage::PrePivot, self.config);
        self.report.reached("root complete");
        if let Trust::Insecure(why) = root.plan().trust {
            self.report.insecure(reason!("{why}"));
        }
        for mount in root.plan().mounts().filter(|mount| takes_no_changes(mount).is_some()) {
            let target = mount.target.strip_prefix(places::NEW_ROOT).unwrap_or(&mount.target);
            self.report.degraded(reason!(
                "{target} takes no changes: the kernel cannot use the work directory of its overlay; is the state device \
                 full?"
            ));
        }
        self.report.chose(self.config, self.facts, candidate, all);
        if root.plan().has_state_device()
            && let Err(why) = history::remember(&self.report, &root.plan().deployment)
        {
            log::warn!("{why}");
        }
        self.report.reached("hand-over");
        let booted = Booted { root, candidate, all, begun: &self.kernel.begun, modules: &self.kernel.tree.loaded };
        self.report.write(&booted, &self.config.unknown)?;
        self.leave_sysroots();
        log::info!("starting {} of {}", root.init(), root.plan().deployment);
        self.settings.restore()?;
        drop(core::mem::take(&mut self.watchdog));
        Err(hand_over(root, self.words))
    }
}

impl Attempts<'_, '_> {
    /// Takes away the mounts that were made to look for deployments. What the root takes from them are mounts of their own.
    fn leave_sysroots(&mut self) {
        if !SYSROOTS {
            return;
        }
        for (number, tree) in (0..).zip(&mut self.sysroots) {
            if tree.take().is_none() {
                continue;
            }
            let place = sysroot(number);
            if let Err(errno) = sys::mount::unmount_lazily(&place).and_then(|()| file::remove_directory(&place)) {
                log::error!("{place} stays mounted: {}", Explained(errno));
            }
        }
        // It is there only if there was anything to look into.
        let _ = file::remove_directory(places::SYSROOTS);
    }
}

/// Says what is worth saying of the command line.
fn announce(config: &Config<'_>) {
    log::set_verbosity(config.verbosity);
    failure::remember(match config.on_failure {
        OnFailure::Stop(emergency) => emergency,
        OnFailure::Next => config.emergency,
    });
    log::info!("surefoot-init {}", env!("CARGO_PKG_VERSION"));
    for unknown in &config.unknown {
        log::warn!("{unknown}");
    }
}

/// Opens a shell if the command line asks for one here.
fn pause_at(stage: BreakStage, config: &Config<'_>) {
    if config.break_at != Some(stage) {
        return;
    }
    if failure::shell_is_there() {
        log::warn!("rd.break: the boot goes on when the shell ends");
        failure::open_shell();
    } else {
        log::error!("rd.break: no /bin/sh was packed into the initramfs; the boot goes on");
    }
}

/// The search for the devices that the configuration needs.
struct Search<'s, 'a> {
    config: &'s Config<'a>,
    tree: &'s Modules,
    hotplug: &'s Hotplug<'s>,
    watchdog: &'s mut Watchdog,
    report: &'s mut Report,
    /// When PID 1 started: the time that the kernel takes before does not count.
    started: Duration,
}

impl<'a> Search<'_, 'a> {
    /// Waits until all are there, or the deadline is over.
    fn run(self, facts: &mut Facts) -> Result<Selection<'a>, Reason> {
        let mut said = Reason::new();
        loop {
            // What is announced before the look is in the look; what is announced after it ends the wait.
            self.hotplug.settle(facts, self.watchdog)?;
            self.watchdog.keep_alive();
            probe::refresh(facts);
            if ledger::repair(self.config, facts) {
                continue;
            }
            let selection = select(self.config, facts)?;
            let Some(missing) = selection.missing() else { return Ok(selection) };
            match self.remaining() {
                Some(Duration::ZERO) => return self.out_of_time(selection, facts),
                limit => {
                    if said.is_empty() {
                        self.report.reached("waiting for devices");
                    }
                    if said != missing {
                        log::info!("waiting for {missing}");
                        said.clone_from(&missing);
                    }
                    let limits = [limit, self.watchdog.longest_sleep()];
                    self.hotplug.wait(limits.into_iter().flatten().min())?;
                }
            }
        }
    }

    /// The time that is left; `None` where there is no deadline.
    fn remaining(&self) -> Option<Duration> {
        match self.config.deadline {
            Deadline::Never => None,
            Deadline::Seconds(seconds) => {
                let passed = sys::clock::since_boot().saturating_sub(self.started);
                Some(Duration::from_secs(seconds.into()).saturating_sub(passed))
            }
        }
    }

    fn out_of_time(&self, selection: Selection<'a>, facts: &Facts) -> Result<Selection<'a>, Reason> {
        if selection.only_state_is_missing() && self.config.state_missing == StateMissing::Tmpfs {
            return Ok(selection);
        }
        let Deadline::Seconds(seconds) = self.config.deadline else { return Ok(selection) };
        let missing = selection.missing().unwrap_or_default();
        Err(out_of_time(&missing, seconds, self.tree.mismatch(), facts))
    }
}
