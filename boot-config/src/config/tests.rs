use std::format;
use std::string::{String, ToString};
use std::vec::Vec as StdVec;

use proptest::prelude::*;

use super::*;
use crate::policy::{DirectoryPolicy, VarPolicy};
use crate::spec::PartUuid;

mod errors;

const HASH: &str = "0123456789abcdef0011223344556677fedcba98765432108899aabbccddeeff";
const OTHER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn parse(cmdline: &str) -> Config<'_> {
    Config::parse(Sources { cmdline, ..Sources::default() }).map_err(|error| error.to_string()).unwrap()
}

type MakeWord = fn(usize) -> String;

fn words(count: usize, word: MakeWord) -> String {
    (0..count).map(word).collect::<StdVec<_>>().join(" ")
}

/// The configuration of an empty command line with some fields changed.
fn changed(change: impl FnOnce(&mut Config<'static>), cmdline: &'static str) -> Config<'static> {
    let mut config = Config { sources: Sources { cmdline, ..Sources::default() }, ..Config::default() };
    change(&mut config);
    config
}

#[test]
fn an_empty_command_line_gives_the_safe_defaults() {
    let config = parse("");
    assert_eq!(config, Config::default());
    assert_eq!(config.verity, VerityPolicy::Required);
    assert_eq!(config.corruption, Corruption::Reboot);
    assert_eq!(config.root_mode, AccessMode::ReadOnly);
    assert_eq!(config.deadline, Deadline::Seconds(30));
    assert_eq!(config.emergency, Emergency::Reboot);
    assert_eq!(config.on_failure, OnFailure::Next);
    assert_eq!(config.state_missing, StateMissing::Fail);
    assert_eq!(config.etc_policy(), EtcPolicy::Overlay);
    assert_eq!(config.var_policy(), VarPolicy::Bind);
    assert_eq!(config.home_policy(), HomePolicy::Bind);
}

#[test]
fn keys_of_other_programs_are_ignored() {
    let cmdline = "BOOT_IMAGE=/vmlinuz console=ttyS0 panic=5 rd.luks=0 systemd.unit=x Root=y etc=z surefoot debug=vc";
    assert_eq!(parse(cmdline), changed(|_| {}, cmdline));
}

/// Checks that each command line changes the default as told, and nothing else.
macro_rules! each {
    ($($cmdline:expr => |$config:ident| $change:expr;)*) => {
        $({
            let cmdline = $cmdline;
            assert_eq!(parse(cmdline), changed(|$config| $change, cmdline), "{cmdline}");
        })*
    };
}

#[test]
fn keys_shared_with_the_kernel() {
    each! {
        "root=/dev/vda2" => |c| c.root.device = Some(DeviceSpec::Path("/dev/vda2"));
        "root=/dev/sda1 root=\"LABEL=my root\"" => |c| c.root.device = Some(DeviceSpec::Label("my root"));
        "root=PARTUUID=deadbeef-02/PARTNROFF=1" => |c| c.root.device = Some(DeviceSpec::PartUuid {
            uuid: PartUuid::Mbr { signature: 0xdead_beef, number: 2 },
            offset: 1,
        });
        "rootfstype=erofs" => |c| c.root.filesystem = Some("erofs");
        "rootfstype=ext4 rootfstype=auto" => |c| c.root.filesystem = None;
        "rootflags=noatime rootflags=subvol=@,ro" => |c| {
            c.root.options = Vec::from_slice(&["noatime", "subvol=@,ro"]).unwrap();
        };
        "ro rw" => |c| c.root_mode = AccessMode::ReadWrite;
        "rw ro" => |c| c.root_mode = AccessMode::ReadOnly;
        "rd.timeout=5" => |c| c.deadline = Deadline::Seconds(5);
        "rd.timeout=90s" => |c| c.deadline = Deadline::Seconds(90);
        "rd.timeout=0" => |c| c.deadline = Deadline::Never;
        "rd.timeout=5 rootwait" => |c| c.deadline = Deadline::Never;
        "rootwait rootwait=7" => |c| c.deadline = Deadline::Seconds(7);
        "rootwait rootdelay=8" => |c| c.deadline = Deadline::Seconds(8);
        "init=/bin/a init=/bin/b" => |c| c.init = Some("/bin/b");
        "quiet" => |c| c.verbosity = Verbosity::Quiet;
        "quiet debug" => |c| c.verbosity = Verbosity::Debug;
        "loglevel=4" => |c| c.verbosity = Verbosity::Quiet;
        "quiet loglevel=5" => |c| c.verbosity = Verbosity::Normal;
        "quiet loglevel=6" => |c| c.verbosity = Verbosity::Normal;
        "loglevel=7" => |c| c.verbosity = Verbosity::Debug;
        "module_blacklist=a,b-c rd.driver.blacklist=b_c,,d" => |c| {
            c.blacklisted_modules = Vec::from_slice(&["a", "b-c", "d"]).unwrap();
        };
    }
}

#[test]
fn keys_shared_with_systemd_and_dracut() {
    each! {
        "mount.usr=UUID=ab mount.usrfstype=ext4 mount.usrflags=nodev" => |c| {
            c.usr = FilesystemConfig {
                device: Some(DeviceSpec::Uuid("ab")),
                filesystem: Some("ext4"),
                options: Vec::from_slice(&["nodev"]).unwrap(),
            };
        };
        "systemd.volatile" => |c| c.volatile = Volatile::Yes;
        "systemd.volatile=1" => |c| c.volatile = Volatile::Yes;
        "systemd.volatile=yes" => |c| c.volatile = Volatile::Yes;
        "systemd.volatile=state" => |c| c.volatile = Volatile::State;
        "systemd.volatile=overlay" => |c| c.volatile = Volatile::Overlay;
        "systemd.volatile=overlay systemd.volatile=off" => |c| c.volatile = Volatile::No;
        "rd.break" => |c| c.break_at = Some(BreakStage::PrePivot);
        "rd.break=cmdline" => |c| c.break_at = Some(BreakStage::Cmdline);
        "rd.break=pre-udev" => |c| c.break_at = Some(BreakStage::PreMount);
        "rd.break=initqueue" => |c| c.break_at = Some(BreakStage::PreMount);
        "rd.break=mount" => |c| c.break_at = Some(BreakStage::PrePivot);
        "rd.shell" => |c| c.emergency = Emergency::Shell;
        "rd.shell=1 rd.shell=0" => |c| c.emergency = Emergency::Reboot;
        "rd.emergency=halt rd.shell=0" => |c| c.emergency = Emergency::Halt;
        "rd.emergency=poweroff" => |c| c.emergency = Emergency::Poweroff;
        "rd.driver.pre=a,b rd.driver.pre=c,a" => |c| {
            c.preloaded_modules = Vec::from_slice(&["a", "b", "c"]).unwrap();
        };
    }
}

#[test]
fn our_own_keys() {
    each! {
        "surefoot.verity=optional" => |c| c.verity = VerityPolicy::Optional;
        "surefoot.verity=off" => |c| c.verity = VerityPolicy::Off;
        "surefoot.corruption=panic" => |c| c.corruption = Corruption::Panic;
        "surefoot.corruption=eio" => |c| c.corruption = Corruption::Eio;
        "surefoot.etc=overlay" => |c| c.etc = Some(EtcPolicy::Overlay);
        "surefoot.etc=overlay:per-deployment" => |c| c.etc = Some(EtcPolicy::OverlayPerDeployment);
        "surefoot.etc=bind" => |c| c.etc = Some(EtcPolicy::Bind);
        "surefoot.etc=tmpfs" => |c| c.etc = Some(EtcPolicy::Tmpfs);
        "surefoot.etc=ro" => |c| c.etc = Some(EtcPolicy::ReadOnly);
        "surefoot.var=bind" => |c| c.var = Some(VarPolicy::Bind);
        "surefoot.var=mount:PARTLABEL=var" => |c| c.var = Some(VarPolicy::Mount(DeviceSpec::PartLabel("var")));
        "surefoot.var=tmpfs" => |c| c.var = Some(VarPolicy::Tmpfs(None));
        "surefoot.var=tmpfs:size=1G" => |c| c.var = Some(VarPolicy::Tmpfs(Some("1G")));
        "surefoot.var=ro" => |c| c.var = Some(VarPolicy::ReadOnly);
        "surefoot.home=bind" => |c| c.home = Some(HomePolicy::Bind);
        "surefoot.home=overlay" => |c| c.home = Some(HomePolicy::Overlay);
        "surefoot.home=mount:/dev/sdb1" => |c| c.home = Some(HomePolicy::Mount(DeviceSpec::Path("/dev/sdb1")));
        "surefoot.home=tmpfs:size=10%" => |c| c.home = Some(HomePolicy::Tmpfs(Some("10%")));
        "surefoot.home=ro" => |c| c.home = Some(HomePolicy::ReadOnly);
        "surefoot.state=PARTLABEL=state" => |c| c.state = Some(StateDevice {
            device: DeviceSpec::PartLabel("state"), filesystem: None, options: None,
        });
        "surefoot.state=UUID=ab:ext4:noatime,data=journal" => |c| c.state = Some(StateDevice {
            device: DeviceSpec::Uuid("ab"), filesystem: Some("ext4"), options: Some("noatime,data=journal"),
        });
        "surefoot.state=UUID=ab::sync" => |c| c.state = Some(StateDevice {
            device: DeviceSpec::Uuid("ab"), filesystem: None, options: Some("sync"),
        });
        "surefoot.state.missing=fail" => |c| c.state_missing = StateMissing::Fail;
        "surefoot.state.missing=tmpfs" => |c| c.state_missing = StateMissing::Tmpfs;
        "surefoot.deployment=auto" => |c| c.deployment = Some(DeploymentChoice::Auto);
        "surefoot.deployment=\"slot:root a\"" => |c| c.deployment = Some(DeploymentChoice::Named { kind: "slot", name: "root a" });
        "surefoot.on-exhausted=reboot" => |c| c.on_exhausted = Some(OnExhausted::Reboot(3));
        "surefoot.on-exhausted=last-good:0" => |c| c.on_exhausted = Some(OnExhausted::LastGood(0));
        "surefoot.on-exhausted=halt" => |c| c.on_exhausted = Some(OnExhausted::Stop(Emergency::Halt));
        "surefoot.watchdog=off" => |c| c.watchdog = None;
        "surefoot.watchdog=60" => |c| c.watchdog = Some(60);
        "surefoot.on-failure=next" => |c| c.on_failure = OnFailure::Next;
        "surefoot.on-failure=shell" => |c| c.on_failure = OnFailure::Stop(Emergency::Shell);
        "surefoot.on-failure=poweroff" => |c| c.on_failure = OnFailure::Stop(Emergency::Poweroff);
        "surefoot.disk=/dev/vda" => |c| c.disk = Some(DeviceSpec::Path("/dev/vda"));
        "surefoot.mount=/srv:bind surefoot.mount=/usr/local:overlay surefoot.mount=/x:tmpfs:size=5m" => |c| {
            c.directories = Vec::from_slice(&[
                DirectoryMount { path: "/srv", policy: DirectoryPolicy::Bind },
                DirectoryMount { path: "/usr/local", policy: DirectoryPolicy::Overlay },
                DirectoryMount { path: "/x", policy: DirectoryPolicy::Tmpfs(Some("5m")) },
            ]).unwrap();
        };
    }
}

#[test]
fn a_root_hash_is_enough_and_may_name_its_devices_and_options() {
    let plain =
        VerityConfig { root_hash: HASH.parse().unwrap(), data: None, hash: None, options: VerityOptions::default() };
    let cmdline = format!("root=/dev/mapper/root roothash={OTHER} roothash={HASH} usrhash={HASH}");
    let config = parse(&cmdline);
    assert_eq!((config.root_verity.as_ref(), config.usr_verity.as_ref()), (Some(&plain), Some(&plain)));
    assert_eq!((config.root.device, config.usr.device), (None, None));

    let cmdline = format!(
        "roothash={} systemd.verity_root_data=/dev/vda1 systemd.verity_root_hash=LABEL=h systemd.verity_root_options=\
         panic-on-corruption,ignore-zero-blocks,check-at-most-once,hash-offset=8192,superblock=yes",
        &HASH[..40]
    );
    let options = VerityOptions {
        corruption: Some(Corruption::Panic),
        ignore_zero_blocks: true,
        check_at_most_once: true,
        hash_offset: 8192,
    };
    let full = VerityConfig {
        root_hash: HASH[..40].parse().unwrap(),
        data: Some(DeviceSpec::Path("/dev/vda1")),
        hash: Some(DeviceSpec::Label("h")),
        options,
    };
    assert_eq!(parse(&cmdline).root_verity, Some(full.clone()));
    let usr = cmdline.replace("verity_root_", "verity_usr_").replace("roothash", "mount.usr=/dev/mapper/usr usrhash");
    assert_eq!(parse(&usr).usr_verity, Some(full));
}

#[test]
fn later_sources_replace_earlier_ones_and_lists_go_on() {
    let sources = Sources {
        drop_ins: "root=/dev/a surefoot.etc=bind surefoot.mount=/srv:bind surefoot.mount=/opt:bind rootflags=a\nro",
        bootconfig: "root = \"/dev/b\"\nsurefoot.etc = \"tmpfs\"\nsurefoot.mount = \"/srv:overlay\", \"/root:bind\"\n\
                     surefoot.home = \"ro\"\nkernel.surefoot.etc = \"ro\"\nrd.shell = \"\"\nrootflags = \"b\"\n",
        cmdline: "surefoot.etc=overlay rw surefoot.mount=/root:tmpfs rootflags=c",
    };
    let config = Config::parse(sources).unwrap();
    assert_eq!(config.root.device, Some(DeviceSpec::Path("/dev/b")));
    assert_eq!(config.root.options, ["a", "b", "c"]);
    assert_eq!(config.root_mode, AccessMode::ReadWrite);
    assert_eq!(config.etc, Some(EtcPolicy::Overlay));
    assert_eq!(config.home, Some(HomePolicy::ReadOnly));
    assert_eq!(config.emergency, Emergency::Shell);
    assert_eq!(
        config.directories,
        [
            DirectoryMount { path: "/srv", policy: DirectoryPolicy::Overlay },
            DirectoryMount { path: "/opt", policy: DirectoryPolicy::Bind },
            DirectoryMount { path: "/root", policy: DirectoryPolicy::Tmpfs(None) },
        ]
    );
}

#[test]
fn slots_are_looked_for_where_nothing_names_a_root() {
    for (cmdline, wanted, hashes) in [
        (format!("roothash={HASH}"), false, 1),
        (format!("surefoot.roothash={HASH},{OTHER}"), true, 2),
        (format!("surefoot.roothash={OTHER} roothash={HASH}"), true, 2),
        (format!("roothash={HASH} surefoot.deployment=slot:a"), true, 1),
        ("surefoot.verity=off".into(), true, 0),
        ("surefoot.verity=off root=/dev/vda1".into(), false, 0),
        ("surefoot.verity=off mount.usr=/dev/vda1 systemd.volatile=yes".into(), false, 0),
        ("surefoot.deployment=auto surefoot.verity=optional root=/dev/vda1".into(), false, 0),
        // Those of image files in the filesystem.
        (format!("surefoot.deployment=image:os.v surefoot.roothash={HASH} root=/dev/vda1"), false, 1),
        (format!("surefoot.deployment=auto surefoot.roothash={HASH} root=/dev/vda1"), false, 1),
    ] {
        let config = parse(&cmdline);
        assert_eq!((config.wants_slots(), config.accepted_hashes().count()), (wanted, hashes), "{cmdline}");
    }
}

#[test]
fn filesystems_are_looked_into_where_a_deployment_in_one_is_meant() {
    for (cmdline, slots, sysroots) in [
        ("root=/dev/vda1 ostree=/ostree/boot.1/a/b/0", false, true),
        ("surefoot.verity=off ostree=/ostree/boot.1/a/b/0", false, true),
        (&format!("composefs={HASH} root=LABEL=a"), false, true),
        ("surefoot.deployment=auto", true, true),
        ("surefoot.deployment=auto root=/dev/vda1", false, true),
        ("surefoot.deployment=btrfs:@/a", false, true),
        ("surefoot.deployment=slot:a", true, false),
        ("root=/dev/vda1", false, false),
    ] {
        let config = parse(cmdline);
        assert_eq!((config.wants_slots(), config.wants_sysroots()), (slots, sysroots), "{cmdline}");
    }
    assert_eq!(parse("surefoot.deployment=btrfs:a:b").named("btrfs"), Some("a:b"));
    assert_eq!(parse("surefoot.deployment=btrfs:a").named("image"), None);
}

#[test]
fn the_program_that_ostree_starts_in_our_place_is_not_started() {
    let entry = "ostree=/ostree/boot.1/a/b/0 init=/ostree/boot.1/a/b/0/usr/lib/ostree/ostree-prepare-root";
    assert_eq!(parse(entry).init, None);
    assert_eq!(parse("init=/usr/bin/ostree-prepare-root-not").init, Some("/usr/bin/ostree-prepare-root-not"));
}

#[test]
fn composefs_images_are_kept_in_their_order() {
    let words = format!("composefs.digest=?v1-sha256-12:{HASH} composefs={OTHER}");
    let written: StdVec<_> = parse(&words).composefs.iter().map(ToString::to_string).collect();
    assert_eq!(written.join(" "), words);
}

#[test]
fn what_follows_when_nothing_is_left_is_said_once() {
    assert_eq!(parse("").exhausted_policy(), OnExhausted::Reboot(3));
    assert_eq!(parse("rd.emergency=poweroff").exhausted_policy(), OnExhausted::Stop(Emergency::Poweroff));
    assert_eq!(parse("rd.shell surefoot.on-exhausted=reboot:1").exhausted_policy(), OnExhausted::Reboot(1));
}

#[test]
fn unknown_keys_of_ours_are_reported_once_with_the_nearest_one() {
    let config = parse("surefoot.ect=x surefoot.timeout=auto surefoot.ect surefoot.=1");
    assert_eq!(
        config.unknown,
        [
            UnknownKey { key: "surefoot.ect", nearest: Some("surefoot.etc") },
            UnknownKey { key: "surefoot.timeout", nearest: None },
            UnknownKey { key: "surefoot.", nearest: None },
        ]
    );
    assert_eq!(parse(&words(20, |n| format!("surefoot.x{n}y{n}z{n}"))).unknown.len(), MAX_UNKNOWN_KEYS);
}

#[test]
fn two_dashes_end_the_command_line_but_may_not_hide_drop_ins() {
    assert_eq!(parse("ro -- surefoot.etc=nonsense rw").root_mode, AccessMode::ReadOnly);
    let error = Config::parse(Sources { drop_ins: "ro\n--\nrw", ..Sources::default() }).unwrap_err();
    assert_eq!(error.to_string(), "-- in /etc/cmdline.d: would hide all later words; only /proc/cmdline may have it");
}

#[test]
fn a_command_line_of_4096_bytes_is_taken_whole() {
    let mut cmdline = String::from("ro ");
    while cmdline.len() < 4096 - "surefoot.etc=tmpfs".len() {
        cmdline.push_str(if cmdline.len() % 2 == 0 { "x " } else { "y" });
    }
    cmdline.truncate(4096 - " surefoot.etc=tmpfs".len());
    cmdline.push_str(" surefoot.etc=tmpfs");
    assert_eq!(cmdline.len(), 4096);
    assert_eq!(parse(&cmdline).etc, Some(EtcPolicy::Tmpfs));
}

proptest! {
    #[test]
    fn no_text_panics(drop_ins: String, bootconfig: String, cmdline: String) {
        let _ = Config::parse(Sources { drop_ins: &drop_ins, bootconfig: &bootconfig, cmdline: &cmdline });
    }

    #[test]
    fn no_value_of_a_key_panics_and_every_error_is_one_line(
        words in prop::collection::vec((0..crate::KEYS.len(), "=?(/dev/|tmpfs:|[a-z:=/,%\"\n0-9]|\\PC){0,12}"), 0..6)
    ) {
        let text: StdVec<_> = words.iter().map(|(key, rest)| format!("{}{rest}", crate::KEYS[*key].name)).collect();
        let text = text.join(" ");
        for sources in [Sources { cmdline: &text, ..Sources::default() }, Sources { drop_ins: &text, ..Sources::default() }] {
            if let Err(error) = Config::parse(sources) {
                let message = error.to_string();
                prop_assert!(!message.contains(char::is_control), "{message:?}");
                prop_assert!(message.starts_with(&error.setting.to_string()));
            }
        }
    }
}
