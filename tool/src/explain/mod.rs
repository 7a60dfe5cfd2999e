//! `surefoot explain`: what PID 1 would do with a command line and the machine's disks.

mod explanation;
mod initramfs;
mod inside;
mod rehearsal;
mod segments;
mod sysroots;
mod text;
mod words;

use std::path::PathBuf;

use boot_config::Config;
use boot_config::policy::{Deadline, Emergency, OnFailure, StateMissing};
use init::attempt::try_all;
use init::look::look_into_all;
use init::plan::{Plan, Selection, StateChoice, out_of_time, select};

use crate::disk_image::{Disks, Reading};
use crate::error::Error;
use crate::output;
use crate::tree::PackedTree;
use explanation::{Candidate, Explanation, Look, UnknownKey, Wait};
use initramfs::{Initramfs, KernelModules};
use inside::Inside;
use rehearsal::{Rehearsal, Unknown};
use sysroots::Sysroots;
use words::Words;

#[cfg(test)]
pub(crate) use segments::unpack;
pub(crate) use segments::{Node, Nodes};

const EXAMPLES: &str = "\
Examples:
  surefoot explain --cmdline \"roothash=$(cat root.hash) quiet\" --disk disk.img
  surefoot explain --cmdline /proc/cmdline --initramfs /boot/initrd.img --disk /dev/vda
  surefoot explain --initramfs initramfs.img --look-inside --disk disk.img --disk data.img

Nothing is changed anywhere. The plan is made by the code of PID 1 itself, and what fails, fails in its words.";

const NOT_INSIDE: &str = "whether the root holds an init, os-release(5) and the directories that are mounted on \
                          (--look-inside, as root)";
const NOT_ALL_BLOCKS: &str = "blocks below the top of the hash tree (surefoot verity verify checks them all)";
const NOT_INITRAMFS: &str = "the words that the initramfs brings along, and whether it has the modules (--initramfs)";
const NOT_DRIVERS: &str = "whether the initramfs has the drivers of the machine's own disks";
const NOT_STATE: &str = "whether the state device can be mounted and written";
const NOT_FIRMWARE: &str = "which disk the firmware starts from: its devices come before others of the same name";
const NOT_BOOTCONFIG: &str = "the bootconfig that is appended to the initramfs, which the kernel reads where it can";

/// Shows what PID 1 would do: the candidates in their order, where changes would be kept, and the plan, step by step.
///
/// Exits with 1 and the boot's own error if the boot would fail, and if the command line has keys that surefoot does not
/// know. The images are read as the machine's virtio disks: vda, vdb, … in the order given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The kernel's command line; a value that begins with /, ./ or ../ is a file that holds it.
    #[arg(long, value_name = "STR|FILE", default_value = "", hide_default_value = true)]
    cmdline: String,

    /// The initramfs: its words are added, and it must have the modules that the plan loads.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,

    /// Raw images of the machine's disks, or block devices.
    #[arg(long, value_name = "IMAGE", required = true, num_args = 1..)]
    disk: Vec<PathBuf>,

    /// Size of the disks' logical sectors [default: as their partition tables tell, else 512].
    #[arg(long, value_name = "BYTES", value_parser = ["512", "4096"])]
    sector_size: Option<String>,

    /// Attach the images, mount the root read-only, and check what only a look inside can tell; needs root.
    #[arg(long)]
    look_inside: bool,

    /// Print everything in JSON.
    #[arg(long)]
    json: bool,
}

/// Explains the boot; fails if it would.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if args.look_inside {
        inside::enter_namespace()?;
    }
    let initramfs = args.initramfs.as_deref().map(Initramfs::open).transpose()?;
    let words = Words::read(&args.cmdline, initramfs.as_ref())?;
    let sector_size = args.sector_size.as_deref().and_then(|size| size.parse().ok());
    let disks = Disks::open(&args.disk, Reading { sector_size, backup_table: words.reads_backup_table() })?;
    let inside = if args.look_inside { Some(Inside::new(&disks)?) } else { None };

    let explanation = explain(&words, initramfs.as_ref(), &disks, inside)?;
    if args.json {
        let json = serde_json::to_string_pretty(&explanation);
        output::print(json.map_err(|why| Error::system("cannot print", "JSON", why))? + "\n")?;
    } else {
        output::print(&explanation)?;
    }
    verdict(&explanation)
}

fn verdict(explanation: &Explanation) -> Result<(), Error> {
    if let Some(error) = &explanation.error {
        return Err(Error::bad("the machine would not", "boot", error));
    }
    if explanation.unknown_keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = explanation.unknown_keys.iter().map(ToString::to_string).collect();
    Err(Error::bad("the machine would boot, but", "ignore a part of the command line", keys.join(", ")))
}

/// Everything that can be told; an error means that the system refused, not that the boot would fail.
fn explain(
    words: &Words,
    initramfs: Option<&Initramfs>,
    disks: &Disks,
    inside: Option<Inside<'_>>,
) -> Result<Explanation, Error> {
    let mut explanation = Explanation { devices: explanation::devices(disks), ..Explanation::default() };
    if let Some((size, limit)) = words.cut_at() {
        let note = format!("the command line has {size} bytes; an x86-64 kernel cuts it after {limit}");
        explanation.notes.push(note);
    }
    let modules = initramfs.map(Initramfs::modules).unwrap_or_default();
    not_checked(&mut explanation, initramfs, disks, inside.is_some());
    let outcome = match Config::parse(words.sources()) {
        Ok(config) => {
            explanation.then = Some(what_follows(&config, initramfs));
            boot(&config, initramfs, &modules, disks, inside, &mut explanation)?
        }
        Err(error) => {
            explanation.then = Some("the machine reboots");
            Err(error.to_string())
        }
    };
    match outcome {
        Ok(()) => {
            explanation.boots = true;
            explanation.then = None;
        }
        Err(error) => {
            if let Some(attempt) = explanation.attempts.last_mut() {
                attempt.error.get_or_insert_with(|| error.clone());
            }
            explanation.error = Some(error);
        }
    }
    if explanation.attempts.iter().any(|attempt| !attempt.verity.is_empty()) {
        explanation.not_checked.push(NOT_ALL_BLOCKS.into());
    }
    Ok(explanation)
}

fn not_checked(explanation: &mut Explanation, initramfs: Option<&Initramfs>, disks: &Disks, inside: bool) {
    let several_disks = disks.facts().devices().iter().filter(|device| device.disk.is_none()).count() > 1;
    let applies = [
        (!inside, NOT_INSIDE),
        (initramfs.is_none(), NOT_INITRAMFS),
        (initramfs.is_some_and(|initramfs| initramfs.has_bootconfig), NOT_BOOTCONFIG),
        (several_disks, NOT_FIRMWARE),
        (true, NOT_DRIVERS),
    ];
    explanation.not_checked.extend(applies.into_iter().filter_map(|(applies, text)| applies.then_some(text.into())));
}

/// The boot itself, in the order of PID 1's `boot`. The inner error is the boot's.
fn boot<'r>(
    config: &Config<'_>,
    initramfs: Option<&Initramfs>,
    modules: &'r [KernelModules],
    disks: &'r Disks,
    inside: Option<Inside<'r>>,
    explanation: &'r mut Explanation,
) -> Result<Result<(), String>, Error> {
    let unknown = config.unknown.iter();
    explanation.unknown_keys =
        unknown.map(|unknown| UnknownKey { key: unknown.key.to_owned(), nearest: unknown.nearest }).collect();
    if initramfs.is_some_and(|initramfs| !initramfs.has_init()) {
        return Ok(Err("the initramfs has no /init that the kernel could start".to_owned()));
    }
    let loaded = modules
        .iter()
        .try_for_each(|kernel| config.preloaded_modules.iter().try_for_each(|module| kernel.check(module)));
    let selection = loaded.and_then(|()| select(config, disks.facts()));
    let mut selection = match selection {
        Ok(selection) => selection,
        Err(reason) => return Ok(Err(reason.to_string())),
    };
    explanation.candidates = bootable(&selection);
    explanation.no_candidates = explanation::no_candidates(config, disks.facts());
    explanation.state = Some(explanation::state(&selection.state));
    if matches!(selection.state, StateChoice::Device { .. }) {
        explanation.not_checked.push(NOT_STATE.into());
    }
    if let Err(why) = wait(config, &selection, disks, explanation) {
        return Ok(Err(why));
    }
    let has_shell = initramfs.is_none_or(Initramfs::has_shell);
    let ledger = explanation::repairs(config, disks.facts());
    let empty = Nodes::new();
    let packed = PackedTree(initramfs.map_or(&empty, Initramfs::nodes));
    let sysroots = Sysroots::default();
    let mut rehearsal = Rehearsal {
        disks,
        modules,
        inside,
        sysroots,
        initramfs: packed,
        explanation,
        has_shell,
        ledger,
        unknown: None,
        then: None,
    };
    let mut plan = Plan::new();
    look_into_all(config, &mut selection, &mut plan, &mut rehearsal);
    rehearsal.explanation.candidates = bootable(&selection);
    if rehearsal.explanation.candidates.is_empty()
        && let Some(look) = rehearsal.explanation.looks.iter().find(|look| !look.seen)
        && rehearsal.explanation.degraded.is_empty()
    {
        return Err(cannot_tell(look));
    }
    let result = try_all(config, &selection, &mut plan, &mut rehearsal).map_err(|reason| reason.to_string());
    if let Some(unknown) = rehearsal.unknown {
        return Err(cannot_tell_whether(&unknown, rehearsal.inside.is_some()));
    }
    rehearsal.explanation.afterwards = std::mem::take(&mut rehearsal.ledger);
    if let Some(emergency) = rehearsal.then {
        rehearsal.explanation.then = Some(words_of(emergency, initramfs));
    }
    let Some(mut inside) = rehearsal.inside else { return Ok(result) };
    rehearsal.explanation.not_checked.extend(inside.not_checked.map(Into::into));
    inside.refused.take().map_or(Ok(result), Err)
}

/// The candidates that the ledger lets boot, in their order.
fn bootable(selection: &Selection<'_>) -> Vec<Candidate> {
    selection.candidates.iter().filter(|candidate| !candidate.is_barred()).map(Candidate::new).collect()
}

/// Nothing is known of the only filesystem that may hold a deployment.
fn cannot_tell(look: &Look) -> Error {
    let why =
        format!("deployments are looked for in its {}, which can be read only when it is mounted", look.filesystem);
    Error::usage("cannot tell what would boot from", &look.device, why)
        .advice("Run it as root with --look-inside: it is mounted read-only, where nothing else sees it.")
}

/// Of a candidate that comes before all others nothing is known.
fn cannot_tell_whether(unknown: &Unknown, looked_inside: bool) -> Error {
    Error::usage("cannot tell whether the machine would boot", &unknown.name, &unknown.why).advice(if looked_inside {
        "Run it on a machine whose kernel has fs-verity."
    } else {
        "Run it as root with --look-inside: the filesystem is mounted read-only, where nothing else sees it."
    })
}

/// Notes what is missing; an error means that PID 1 would not go on without it.
fn wait(
    config: &Config<'_>,
    selection: &Selection<'_>,
    disks: &Disks,
    explanation: &mut Explanation,
) -> Result<(), String> {
    let Some(missing) = selection.missing() else { return Ok(()) };
    let seconds = match config.deadline {
        Deadline::Seconds(seconds) => Some(seconds),
        Deadline::Never => None,
    };
    explanation.waits = Some(Wait { missing: missing.to_string(), seconds });
    let goes_on = selection.only_state_is_missing() && config.state_missing == StateMissing::Tmpfs;
    match seconds {
        Some(_) if goes_on => Ok(()),
        Some(seconds) => Err(out_of_time(&missing, seconds, None, disks.facts()).to_string()),
        None => Err(format!("it waits for {missing} for ever (rootwait, or a deadline of 0)")),
    }
}

/// What PID 1 does after a boot that failed.
fn what_follows(config: &Config<'_>, initramfs: Option<&Initramfs>) -> &'static str {
    let emergency = match config.on_failure {
        OnFailure::Stop(emergency) => emergency,
        OnFailure::Next => config.emergency,
    };
    words_of(emergency, initramfs)
}

fn words_of(emergency: Emergency, initramfs: Option<&Initramfs>) -> &'static str {
    match emergency {
        Emergency::Reboot => "the machine reboots",
        Emergency::Poweroff => "the machine powers off",
        Emergency::Halt => "the machine halts",
        Emergency::Shell if initramfs.is_some_and(|initramfs| !initramfs.has_shell()) => {
            "the machine reboots, for the initramfs has no /bin/sh"
        }
        Emergency::Shell => "a shell starts, if the initramfs has one; else the machine reboots",
    }
}
