//! Golden plans: for a command line and a machine, the very text that `surefoot explain` prints.

use std::string::{String, ToString};
use std::{format, vec::Vec};

use boot_config::{Config, Sources};
use deployment::candidates::Look;
use deployment::discoverable::PartitionType;
use deployment::facts::DeviceNumber;
use deployment::filesystem::{Filesystem, FilesystemLabel, FilesystemUuid};
use deployment::gpt::{Attributes, PartLabel};
use deployment::table::{Partition, PartitionTable};
use deployment::{BlockDevice, Facts, FilesystemKind, Name};

use super::{Plan, Selection, StateChoice, With, select};

mod btrfs;
mod composefs;
mod image;
mod look;
mod ostree;

const ROOT: &str = "roothash=0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210";
const USR: &str = "usrhash=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A partition: its disk, number, type, PARTUUID, label and content.
type Row = (&'static str, u32, PartitionType, &'static str, &'static str, FilesystemKind);

/// A disk with a verified root, a verified `/usr` and a state partition.
const DISK: [Row; 6] = [
    ("vda", 1, PartitionType::Root, "01234567-89ab-cdef-0011-223344556677", "root", FilesystemKind::Erofs),
    (
        "vda",
        2,
        PartitionType::RootVerity,
        "8899aabb-ccdd-eeff-fedc-ba9876543210",
        "root-verity",
        FilesystemKind::VerityHash,
    ),
    ("vda", 3, PartitionType::Var, "33333333-0000-0000-0000-000000000000", "var", FilesystemKind::Ext4),
    ("vda", 4, PartitionType::Usr, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "usr", FilesystemKind::Squashfs),
    (
        "vda",
        5,
        PartitionType::UsrVerity,
        "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb",
        "usr-verity",
        FilesystemKind::VerityHash,
    ),
    ("vda", 6, PartitionType::Home, "66666666-0000-0000-0000-000000000000", "home", FilesystemKind::Xfs),
];

fn partition((disk, number, meaning, uuid, label, kind): Row) -> BlockDevice {
    BlockDevice {
        name: deployment::facts::partition_name(disk, number),
        number: DeviceNumber { major: 254, minor: number },
        size: 1 << 30,
        sector_size: 512,
        read_only: false,
        disk: Some(Name::try_from(disk).unwrap()),
        partition: Some(Partition {
            number,
            uuid: Some(uuid.parse().unwrap()),
            type_uuid: Some(meaning.uuid()),
            label: PartLabel::try_from(label).unwrap(),
            attributes: Attributes(0),
            start: u64::from(number) << 30,
        }),
        table: PartitionTable::None,
        filesystem: Some(Filesystem { kind, uuid: FilesystemUuid::new(), label: FilesystemLabel::new() }),
        read_error: None,
    }
}

fn machine(rows: &[Row]) -> Facts {
    let mut facts = Facts::new();
    for row in rows {
        facts.insert(whole_disk(row.0)).unwrap();
        facts.insert(partition(*row)).unwrap();
    }
    facts
}

fn whole_disk(name: &str) -> BlockDevice {
    BlockDevice {
        name: Name::try_from(name).unwrap(),
        disk: None,
        partition: None,
        table: PartitionTable::Gpt,
        filesystem: None,
        ..partition(DISK[0])
    }
}

/// A machine of the golden set that has something to plan.
pub(crate) struct Golden<'g, 'a> {
    pub(crate) config: &'g Config<'a>,
    /// Where the candidates lie in a filesystem, what can be seen of it.
    pub(crate) look: Option<&'g Look<'g>>,
    pub(crate) selection: &'g Selection<'a>,
}

/// What is done with each machine of the golden set.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Golden<'_, '_>);

/// Visits all machines for which there are golden plans.
pub(crate) fn golden_set(visit: Visit<'_>) {
    all(visit);
    with_layers_in_memory(visit);
    btrfs::all(visit);
    composefs::all(visit);
    image::all(visit);
    ostree::all(visit);
}

/// Visits the machine with these partitions, where nothing is wrong with it or lacking.
fn set_up(rows: &[Row], cmdline: &str, visit: Visit<'_>) -> Result<(), String> {
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).map_err(|error| format!("error: {error}"))?;
    let selection = select(&config, &machine(rows)).map_err(|error| format!("error: {error}"))?;
    if let Some(missing) = selection.missing() {
        return Err(format!("waits for {missing}"));
    }
    visit(&Golden { config: &config, look: None, selection: &selection });
    Ok(())
}

/// Everything that the boot would do, or why it would not.
fn explain_on(rows: &[Row], cmdline: &str) -> String {
    let mut text = String::new();
    match set_up(rows, cmdline, &mut |golden| text = planned(golden)) {
        Ok(()) => text,
        Err(why) => why,
    }
}

/// The plans for all candidates.
fn planned(&Golden { config, look, selection }: &Golden<'_, '_>) -> String {
    let with = With { look, state: &selection.state, devices: &selection.devices, fallback: false };
    let steps = |candidate: &deployment::Candidate| {
        let mut plan = Plan::new();
        if let Err(error) = plan.make(config, candidate, &with) {
            return format!("error: {}", error.reason);
        }
        let heading = format!("{} ({}, {:?})", plan.deployment, candidate.kind, plan.trust);
        let steps = plan.steps.iter().map(|step| format!("\n[{:?}] {step}", step.scope).to_lowercase());
        heading + &steps.collect::<String>()
    };
    selection.candidates.iter().map(steps).collect::<Vec<_>>().join("\n\n")
}

fn explain(cmdline: &str) -> String {
    explain_on(&DISK, cmdline)
}

macro_rules! golden {
    ($($name:ident: $cmdline:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let cmdline = $cmdline.to_string();
                insta::with_settings!({ description => cmdline.clone(), omit_expression => true }, {
                    insta::assert_snapshot!(explain(&cmdline));
                });
            }
        )*

        fn all(visit: Visit<'_>) {
            for cmdline in [$($cmdline.to_string()),*] {
                // Those that wait or are refused have nothing to plan.
                let _ = set_up(&DISK, &cmdline, visit);
            }
        }
    };
}

golden! {
    the_root_hash_alone_is_enough: ROOT;
    a_separate_usr_is_verified_too: format!("{ROOT} {USR}");
    options_of_the_root_are_told_apart: format!("{ROOT} rootfstype=erofs rootflags=noatime,user_xattr rootflags=nosuid");
    reactions_to_corruption_can_be_chosen: format!("{ROOT} surefoot.corruption=panic");
    a_read_error_for_corruption_needs_no_step: format!("{ROOT} surefoot.corruption=eio");
    verity_options_are_passed_on: format!("{ROOT} systemd.verity_root_options=ignore-zero-blocks,check-at-most-once");
    everything_in_memory: format!("{ROOT} surefoot.etc=tmpfs surefoot.var=tmpfs:size=64M surefoot.home=tmpfs");
    nothing_writable: format!("{ROOT} surefoot.etc=ro surefoot.var=ro surefoot.home=ro");
    a_home_device_of_its_own: format!("{ROOT} surefoot.home=mount:PARTLABEL=home");
    etc_per_deployment_and_home_over_the_images: format!("{ROOT} surefoot.etc=overlay:per-deployment surefoot.home=overlay");
    etc_as_a_directory_of_the_state_device: format!("{ROOT} surefoot.etc=bind");
    more_directories_parents_first: format!("{ROOT} surefoot.mount=/var/lib/extra:overlay surefoot.mount=/srv:bind surefoot.mount=/opt:tmpfs:size=10%");
    the_state_device_with_type_and_options: format!("{ROOT} surefoot.state=/dev/vda6:xfs:noatime,nodiscard");
    volatile_state: format!("{ROOT} systemd.volatile=state");
    volatile_overlay: format!("{ROOT} systemd.volatile=overlay");
    volatile_overlay_with_a_kept_home: format!("{ROOT} systemd.volatile=overlay surefoot.home=bind");
    volatile_yes: format!("{ROOT} systemd.volatile=yes");
    only_usr_in_a_root_in_memory: format!("{USR} systemd.volatile=yes");
    an_unverified_root_only_on_request: "root=/dev/vda1 surefoot.verity=optional rw";
    an_init_of_ones_own: format!("{ROOT} init=/usr/lib/other/init");
    an_unverified_root_is_refused: "root=/dev/vda1";
    nothing_named: "quiet";
    a_missing_home_is_waited_for: format!("{ROOT} surefoot.home=mount:LABEL=nowhere");
    a_missing_state_device_is_waited_for: format!("{ROOT} surefoot.state=LABEL=nowhere");
    a_state_device_without_a_filesystem: format!("{ROOT} surefoot.state=/dev/vda2");
}

#[test]
fn two_disks_with_the_same_partitions_are_refused_and_both_named() {
    let second = DISK.map(|(_, number, meaning, uuid, label, kind)| ("vdb", number, meaning, uuid, label, kind));
    let both: Vec<Row> = DISK.into_iter().chain(second).collect();
    insta::assert_snapshot!(explain_on(&both, ROOT));
    assert_eq!(explain_on(&both, &format!("{ROOT} surefoot.disk=/dev/vda")), explain(ROOT));
}

#[test]
fn a_degraded_boot_keeps_the_layers_in_memory() {
    let mut text = String::new();
    with_layers_in_memory(&mut |golden| text = planned(golden));
    insta::assert_snapshot!(text);
}

fn with_layers_in_memory(visit: Visit<'_>) {
    let config = Config::parse(Sources { cmdline: ROOT, ..Sources::default() }).unwrap();
    let mut selection = select(&config, &machine(&DISK)).unwrap();
    selection.state = StateChoice::Memory;
    visit(&Golden { config: &config, look: None, selection: &selection });
}

#[test]
fn with_nothing_attached_everything_is_waited_for() {
    insta::assert_snapshot!(explain_on(&[], &format!("{ROOT} {USR}")));
}

#[test]
fn a_disk_with_a_damaged_table_says_so_where_its_partitions_are_missed() {
    let mut facts = Facts::new();
    facts.insert(BlockDevice { table: PartitionTable::GptFromBackup, ..whole_disk("vda") }).unwrap();
    facts.insert(BlockDevice { table: PartitionTable::GptDamaged, ..whole_disk("vdb") }).unwrap();
    insta::assert_snapshot!(super::out_of_time("PARTUUID=x", 30, None, &facts));
}

#[test]
fn a_device_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let mut facts = machine(&DISK);
    let read_error = Some(deployment::read::ReadError::Device(5));
    facts.remove(&Name::try_from("vda").unwrap());
    for row in DISK {
        let found = partition(row);
        let unread = BlockDevice { filesystem: None, read_error, ..found.clone() };
        facts.insert(if row.1 == 3 { unread } else { found }).unwrap();
    }
    facts.insert(BlockDevice { read_error, ..whole_disk("vda") }).unwrap();
    let config = Config::parse(Sources { cmdline: ROOT, ..Sources::default() }).unwrap();
    let selection = select(&config, &facts).unwrap();
    let why = "cannot read the state device /dev/vda3: input/output error (errno 5)";
    assert!(matches!(&selection.state, StateChoice::Unusable(reason) if &**reason == why), "{:?}", selection.state);
    let why = super::out_of_time("PARTUUID=x", 30, None, &facts);
    assert!(why.contains(" vda (it cannot be read: input/output error (errno 5))"), "{}", &*why);
}
