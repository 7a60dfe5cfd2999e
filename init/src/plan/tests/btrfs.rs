//! Golden plans of snapshots in a btrfs.

use deployment::candidates::{self, Candidates, DeviceSource, Look};
use deployment::ledger::file::LedgerFile;
use deployment::tree::{FileKind, Status, Tree, TreeError};

use std::fmt::Write as _;

use super::*;

/// The directories of a btrfs, and whether they are subvolumes.
struct Directories(&'static [(&'static str, bool)]);

impl Directories {
    fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        path.is_empty() || self.0.iter().any(|(known, _)| *known == path || known.starts_with(&below))
    }
}

impl Tree for Directories {
    fn read<'b>(&self, _: &str, _: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        Err(TreeError::Missing)
    }

    fn read_exact_at(&self, _: &str, _: u64, _: &mut [u8]) -> Result<(), TreeError> {
        Err(TreeError::Missing)
    }

    fn read_link<'b>(&self, _: &str, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Err(TreeError::Missing)
    }

    fn list(&self, _: &str, _: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let status = Status { kind: FileKind::Directory, size: 0, device: 1, inode: 1, modified: 0 };
        self.has(path).then_some(status).ok_or(TreeError::Missing)
    }

    fn verity_digest(&self, _: &str, _: &mut [u8; 64]) -> Result<usize, TreeError> {
        Err(TreeError::Unsupported)
    }

    fn subvolume<'b>(&self, _: Option<u64>, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Ok("@/.snapshots/7/snapshot")
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        let is_subvolume = self.0.iter().any(|(known, is_subvolume)| *known == path && *is_subvolume);
        is_subvolume.then_some(path.ends_with("snapshot")).ok_or(TreeError::WrongKind)
    }
}

/// The layout of SUSE, with `/etc` in the snapshot.
const MICROOS: Directories = Directories(&[
    ("@", true),
    ("@/.snapshots", true),
    ("@/.snapshots/7/snapshot", true),
    ("@/.snapshots/7/snapshot/.snapshots", false),
    ("@/.snapshots/7/snapshot/etc", true),
    ("@/.snapshots/7/snapshot/home", false),
    ("@/.snapshots/7/snapshot/usr", false),
    ("@/.snapshots/7/snapshot/var", false),
    ("@/home", true),
    ("@/var", true),
]);

/// A root in one subvolume.
const FLAT: Directories = Directories(&[("@rootfs", true), ("@rootfs/usr", false)]);

const DISK: [Row; 2] = [
    ("vda", 1, PartitionType::Root, "11111111-0000-0000-0000-000000000000", "root", FilesystemKind::Btrfs),
    ("vda", 2, PartitionType::Var, "22222222-0000-0000-0000-000000000000", "var", FilesystemKind::Ext4),
];

/// The plan that looks into the first filesystem of a disk, and those of what is found there.
pub(super) fn look_into(disk: &[Row], tree: &dyn Tree, cmdline: &str, visit: Visit<'_>) -> String {
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap();
    let mut selection = select(&config, &machine(disk)).unwrap();
    assert_eq!(selection.missing(), None);
    let device: DeviceSource = selection.sysroots[0].clone();
    let mut plan = Plan::new();
    plan.make_look(&config, &device, &selection.state, 0).unwrap();
    let steps = plan.steps.iter().map(|step| format!("[{:?}] {step}\n", step.scope).to_lowercase());
    let mut text = format!("look into {}\n{}", device.device, steps.collect::<String>());
    let look = Look { config: &config, tree, initramfs: tree, device: &device };
    let mut found = Candidates::new();
    candidates::look_into(&look, 0, &LedgerFile::default(), &mut found, &mut |what, why| {
        let _ = writeln!(text, "passed over {what}: {why}");
    });
    selection.candidates = found;
    let golden = Golden { config: &config, look: Some(&look), selection: &selection };
    visit(&golden);
    text + "\n" + &planned(&golden)
}

fn with_words(words: &str) -> String {
    format!("surefoot.verity=optional {words}")
}

macro_rules! golden {
    ($($name:ident: $tree:expr, $cmdline:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let cmdline = with_words($cmdline);
                insta::with_settings!({ description => cmdline.clone(), omit_expression => true }, {
                    insta::assert_snapshot!(look_into(&DISK, &$tree, &cmdline, &mut |_| ()));
                });
            }
        )*

        pub(super) fn all(visit: Visit<'_>) {
            $(look_into(&DISK, &$tree, &with_words($cmdline), visit);)*
        }
    };
}

golden! {
    a_read_only_snapshot_brings_all_that_is_written: MICROOS, "surefoot.deployment=auto root=/dev/vda1";
    a_snapshot_with_an_etc_from_the_state_device: MICROOS, "surefoot.deployment=auto surefoot.etc=overlay";
    a_subvolume_has_the_options_of_rootflags: FLAT, "surefoot.deployment=btrfs:@rootfs rootflags=noatime,compress=zstd,subvol=other rw";
    a_subvolume_under_a_volatile_root: FLAT, "surefoot.deployment=btrfs:/@rootfs systemd.volatile=overlay";
}
