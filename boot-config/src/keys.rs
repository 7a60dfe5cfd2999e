//! The one declaration of every key: its name, its values, its meaning and how it is read.

use crate::SYSROOTS;
use crate::draft::{Draft, Refusal, filesystem_device, flag, push_modules, push_options, rescue_shell, set, verbosity};
use crate::error::{Source, Why};
use crate::policy::{AccessMode, Verbosity};
use crate::spec::DEVICE_FORMS;
use crate::values;

/// A key that this version knows.
pub struct Key {
    /// The key as it stands before the `=`.
    pub name: &'static str,
    /// What it may have for a value; the default comes first where there is one.
    pub values: &'static str,
    /// What it does, in one line: the text of the reference, `docs/command-line.md`.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare it with the reference"))]
    pub(crate) meaning: Meaning,
    pub(crate) repeat: Repeat,
    pub(crate) read: ReadWord,
}

/// How a word changes the draft.
type ReadWord = for<'a> fn(&mut Draft<'a>, Option<&'a str>, Source) -> Result<(), Refusal<'a>>;

/// A text of the reference. Programs have no use for it, so only tests keep it.
#[cfg(test)]
type Meaning = &'static str;
#[cfg(not(test))]
type Meaning = ();

#[cfg(test)]
const fn reference(text: &'static str) -> Meaning {
    text
}
#[cfg(not(test))]
const fn reference(_: &'static str) -> Meaning {}

/// What it means when a key stands more than once. Between sources the one of higher precedence always wins, unless
/// the key collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The last one counts, as the kernel and systemd have it.
    LastWins,
    /// Twice in one source is an error.
    Never,
    /// Each one counts.
    Collects,
}

use Repeat::{Collects, LastWins, Never};

const VERITY_OPTIONS: &str = "list of restart-on-corruption, panic-on-corruption, ignore-zero-blocks, \
                              check-at-most-once, hash-offset=BYTES, superblock=yes";
const ROOT_HASH: &str = "40, 64 or 128 hexadecimal digits";
const MODULES: &str = "MODULE[,MODULE…]";
/// What a key may have for a value whose use is refused.
const NOTHING: &str = "nothing";

/// Reads the words for deployments in filesystems where those cannot be booted: to ignore them would boot something else.
fn refuse<'a>(_: &mut Draft<'a>, _: Option<&'a str>, _: Source) -> Result<(), Refusal<'a>> {
    Err(Why::Text("this surefoot-init was built without deployments in filesystems (the feature sysroots)").into())
}

/// Every key, in the order of the documentation: first those shared with the kernel, systemd and dracut, then our own.
pub const KEYS: &[Key] = &[
    Key {
        name: "root",
        values: DEVICE_FORMS,
        meaning: reference("the device of the root filesystem; with roothash= only /dev/mapper/root"),
        repeat: LastWins,
        read: |draft, value, _| filesystem_device(&mut draft.config.root.device, &mut draft.root, value),
    },
    Key {
        name: "rootfstype",
        values: "auto, or the name of one filesystem",
        meaning: reference("the root's filesystem type"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.root.filesystem, values::filesystem(value)),
    },
    Key {
        name: "rootflags",
        values: "OPTION[,OPTION…]",
        meaning: reference("the root's mount options; several words are joined"),
        repeat: Collects,
        read: |draft, value, _| push_options(&mut draft.config.root.options, value),
    },
    Key {
        name: "ro",
        values: "no value",
        meaning: reference("mount the root read-only (the default)"),
        repeat: LastWins,
        read: |draft, value, _| flag(&mut draft.config.root_mode, value, AccessMode::ReadOnly),
    },
    Key {
        name: "rw",
        values: "no value",
        meaning: reference("mount a root without verity writable"),
        repeat: LastWins,
        read: |draft, value, _| flag(&mut draft.config.root_mode, value, AccessMode::ReadWrite),
    },
    Key {
        name: "rootwait",
        values: "no value (wait for ever), or seconds",
        meaning: reference("how long to wait for devices; the last of rootwait, rootdelay= and rd.timeout= counts"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.deadline, values::root_wait(value)),
    },
    Key {
        name: "rootdelay",
        values: "seconds; 0 waits for ever",
        meaning: reference("how long to wait for devices"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.deadline, values::deadline(value)),
    },
    Key {
        name: "rd.timeout",
        values: "30, or other seconds; 0 waits for ever",
        meaning: reference("how long to wait for devices, from the start of PID 1"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.deadline, values::deadline(value)),
    },
    Key {
        name: "init",
        values: "absolute path of a program",
        meaning: reference("the program to start in the new root; else /sbin/init, /etc/init, /bin/init or /bin/sh"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.init, values::program(value).map(Some)),
    },
    Key {
        name: "roothash",
        values: ROOT_HASH,
        meaning: reference("the root hash of the verity root, which makes the root read-only"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.root.root_hash, values::root_hash(value).map(Some)),
    },
    Key {
        name: "systemd.verity_root_data",
        values: DEVICE_FORMS,
        meaning: reference(
            "the root's data device; else the partition whose PARTUUID is the root hash's first 128 bits",
        ),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.root.data, values::device(value).map(Some)),
    },
    Key {
        name: "systemd.verity_root_hash",
        values: DEVICE_FORMS,
        meaning: reference(
            "the root's hash device; else the partition whose PARTUUID is the root hash's last 128 bits",
        ),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.root.hash, values::device(value).map(Some)),
    },
    Key {
        name: "systemd.verity_root_options",
        values: VERITY_OPTIONS,
        meaning: reference("how the root is verified"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.root.options, values::verity_options(value)),
    },
    Key {
        name: "usrhash",
        values: ROOT_HASH,
        meaning: reference("the root hash of a verity /usr of its own"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.usr.root_hash, values::root_hash(value).map(Some)),
    },
    Key {
        name: "systemd.verity_usr_data",
        values: DEVICE_FORMS,
        meaning: reference("the data device of /usr; else the partition whose PARTUUID is the hash's first 128 bits"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.usr.data, values::device(value).map(Some)),
    },
    Key {
        name: "systemd.verity_usr_hash",
        values: DEVICE_FORMS,
        meaning: reference("the hash device of /usr; else the partition whose PARTUUID is the hash's last 128 bits"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.usr.hash, values::device(value).map(Some)),
    },
    Key {
        name: "systemd.verity_usr_options",
        values: VERITY_OPTIONS,
        meaning: reference("how /usr is verified"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.usr.options, values::verity_options(value)),
    },
    Key {
        name: "mount.usr",
        values: DEVICE_FORMS,
        meaning: reference("the device of a /usr of its own; with usrhash= only /dev/mapper/usr"),
        repeat: LastWins,
        read: |draft, value, _| filesystem_device(&mut draft.config.usr.device, &mut draft.usr, value),
    },
    Key {
        name: "mount.usrfstype",
        values: "auto, or the name of one filesystem",
        meaning: reference("the filesystem type of /usr"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.usr.filesystem, values::filesystem(value)),
    },
    Key {
        name: "mount.usrflags",
        values: "OPTION[,OPTION…]",
        meaning: reference("the mount options of /usr; several words are joined"),
        repeat: Collects,
        read: |draft, value, _| push_options(&mut draft.config.usr.options, value),
    },
    Key {
        name: "ostree",
        values: if SYSROOTS { "path of a boot link, as ostree writes it" } else { NOTHING },
        meaning: reference("the ostree deployment to boot from the filesystem of root="),
        repeat: LastWins,
        read: if SYSROOTS {
            |draft, value, _| set(&mut draft.config.ostree, values::required(value).map(Some))
        } else {
            refuse
        },
    },
    Key {
        name: "ostree.prepare-root.composefs",
        values: if SYSROOTS { "yes, no, maybe, signed, verity (also other booleans)" } else { NOTHING },
        meaning: reference("whether the ostree deployment is a composefs; else as prepare-root.conf says"),
        repeat: LastWins,
        read: if SYSROOTS {
            |draft, value, _| set(&mut draft.config.ostree_composefs, values::required(value).map(Some))
        } else {
            refuse
        },
    },
    Key {
        name: "composefs",
        values: if SYSROOTS { "[?]HEX, of 64 or 128 hexadecimal digits" } else { NOTHING },
        meaning: reference("the composefs image to boot from the filesystem of root=; with ? it need not be verified"),
        repeat: Collects,
        read: if SYSROOTS { |draft, value, _| draft.add_composefs(values::composefs(value)) } else { refuse },
    },
    Key {
        name: "composefs.digest",
        values: if SYSROOTS { "[?]VERSION-ALGORITHM-BLOCK:HEX, such as v1-sha512-12:HEX" } else { NOTHING },
        meaning: reference("the same, with the form of the image; may be repeated: the first that is there boots"),
        repeat: Collects,
        read: if SYSROOTS { |draft, value, _| draft.add_composefs(values::composefs_digest(value)) } else { refuse },
    },
    Key {
        name: "systemd.volatile",
        values: "no, state, overlay, yes (also as no value or another boolean)",
        meaning: reference(
            "state: /var in memory; overlay: all changes in memory; yes: a root in memory with the image's /usr",
        ),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.volatile, values::volatile(value)),
    },
    Key {
        name: "rd.break",
        values: "no value (as pre-pivot), cmdline, pre-udev, pre-trigger, initqueue, pre-mount, mount, pre-pivot, cleanup",
        meaning: reference("interrupt the boot with the initramfs's shell at this stage"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.break_at, values::break_stage(value).map(Some)),
    },
    Key {
        name: "rd.shell",
        values: "no, yes, no value (as yes)",
        meaning: reference(
            "start the initramfs's shell when the boot fails; the last of rd.shell and rd.emergency= counts",
        ),
        repeat: LastWins,
        read: |draft, value, _| rescue_shell(&mut draft.config.emergency, value),
    },
    Key {
        name: "rd.emergency",
        values: "reboot, poweroff, halt, shell",
        meaning: reference("what follows when the boot fails for good"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.emergency, values::emergency(value)),
    },
    Key {
        name: "rd.driver.pre",
        values: MODULES,
        meaning: reference("kernel modules to load before any other; several words are joined"),
        repeat: Collects,
        read: |draft, value, _| push_modules(&mut draft.config.preloaded_modules, value, "MAX_PRELOADED_MODULES"),
    },
    Key {
        name: "rd.driver.blacklist",
        values: MODULES,
        meaning: reference("kernel modules never to load for a device; several words are joined"),
        repeat: Collects,
        read: |draft, value, _| push_modules(&mut draft.config.blacklisted_modules, value, "MAX_BLACKLISTED_MODULES"),
    },
    Key {
        name: "module_blacklist",
        values: MODULES,
        meaning: reference("the same; the kernel itself refuses these modules too"),
        repeat: Collects,
        read: |draft, value, _| push_modules(&mut draft.config.blacklisted_modules, value, "MAX_BLACKLISTED_MODULES"),
    },
    Key {
        name: "quiet",
        values: "no value",
        meaning: reference("show warnings and errors only; the last of quiet, debug and loglevel= counts"),
        repeat: LastWins,
        read: |draft, value, _| {
            verbosity(&mut draft.config.verbosity, value, Verbosity::Quiet);
            Ok(())
        },
    },
    Key {
        name: "debug",
        values: "no value",
        meaning: reference("show every step on the console"),
        repeat: LastWins,
        read: |draft, value, _| {
            verbosity(&mut draft.config.verbosity, value, Verbosity::Debug);
            Ok(())
        },
    },
    Key {
        name: "loglevel",
        values: "0 to 4 (as quiet), 5 or 6 (the milestones), 7 and more (as debug)",
        meaning: reference("what reaches the console; the kernel's log has everything in any case"),
        repeat: LastWins,
        read: |draft, value, _| set(&mut draft.config.verbosity, values::log_level(value)),
    },
    Key {
        name: "surefoot.deployment",
        values: "auto, slot:LABEL, ostree:NAME, composefs:DIGEST, btrfs:SUBVOLUME, image:PATH",
        meaning: reference(
            "what may boot: all that is found, by rank, or one deployment, whatever the ledger says of it",
        ),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.deployment, values::deployment(value).map(Some)),
    },
    Key {
        name: "surefoot.roothash",
        values: "HASH[,HASH…], each 40, 64 or 128 hexadecimal digits",
        meaning: reference(
            "the root hashes that may boot: every slot, image file or composefs image that has one of them is a candidate",
        ),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.root_hashes, values::root_hashes(value).map(Some)),
    },
    Key {
        name: "surefoot.verity",
        values: "required, optional, off",
        meaning: reference(
            "whether a root or /usr without dm-verity may boot; optional and off are reported as insecure",
        ),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.verity, values::verity_policy(value)),
    },
    Key {
        name: "surefoot.corruption",
        values: "reboot, panic, eio",
        meaning: reference("what dm-verity does on a corrupted block once the system runs"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.corruption, values::corruption(value)),
    },
    Key {
        name: "surefoot.etc",
        values: "overlay, overlay:per-deployment, bind, tmpfs, ro",
        meaning: reference("what /etc becomes"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.etc, values::etc(value).map(Some)),
    },
    Key {
        name: "surefoot.var",
        values: "bind, mount:DEVICE, tmpfs[:size=SIZE], ro",
        meaning: reference("what /var becomes"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.var, values::var(value).map(Some)),
    },
    Key {
        name: "surefoot.home",
        values: "bind, mount:DEVICE, overlay, tmpfs[:size=SIZE], ro",
        meaning: reference("what /home becomes"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.home, values::home(value).map(Some)),
    },
    Key {
        name: "surefoot.mount",
        values: "WHERE:overlay, WHERE:bind, WHERE:tmpfs[:size=SIZE]",
        meaning: reference("one more directory that becomes writable; may be repeated for other directories"),
        repeat: Collects,
        read: |draft, value, source| draft.add_directory(value, source),
    },
    Key {
        name: "surefoot.state",
        values: "DEVICE[:FSTYPE[:OPTIONS]]",
        meaning: reference(
            "what holds the writable layers; else the /var partition of the boot disk (DPS), else PARTLABEL=state",
        ),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.state, values::state(value).map(Some)),
    },
    Key {
        name: "surefoot.state.missing",
        values: "fail, tmpfs",
        meaning: reference("what happens without a usable state device; tmpfs boots degraded, and says so"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.state_missing, values::state_missing(value)),
    },
    Key {
        name: "surefoot.on-failure",
        values: "next, reboot, shell, poweroff, halt",
        meaning: reference("what follows when a candidate fails: the next one, or this action at once"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.on_failure, values::on_failure(value)),
    },
    Key {
        name: "surefoot.on-exhausted",
        values: "reboot[:N], last-good[:N], shell, poweroff, halt; N is 3, or another number from 0 to 15",
        meaning: reference(
            "what follows when no slot is left: at most N reboots in a row and then what was good once, or that at once",
        ),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.on_exhausted, values::on_exhausted(value).map(Some)),
    },
    Key {
        name: "surefoot.watchdog",
        values: "off, or seconds from 1 to 65535",
        meaning: reference("reset the machine when the initramfs makes no progress for so long"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.watchdog, values::watchdog(value)),
    },
    Key {
        name: "surefoot.disk",
        values: DEVICE_FORMS,
        meaning: reference("the one disk to look at"),
        repeat: Never,
        read: |draft, value, _| set(&mut draft.config.disk, values::device(value).map(Some)),
    },
];

#[cfg(test)]
mod tests;
