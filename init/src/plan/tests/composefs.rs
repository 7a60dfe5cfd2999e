//! Golden plans of composefs deployments.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use deployment::candidates::{self, Candidates, DeviceSource, Look};
use deployment::ledger::file::LedgerFile;
use deployment::tree::{Status, Tree, TreeError};

use super::*;
use crate::mounted_tree::MountedTree;

const META: &str = r#"{"version":1,"algorithm":"fsverity-sha256-12"}"#;
const DIGEST: &str = "8b7df143d91c716ecfa5fc1730022f6b421b05cedee8fd52b1fc65a96030ad52";

/// A directory whose files all have fs-verity and whose folders are all subvolumes, which the filesystem of a test need not
/// have.
pub(super) struct Features(pub(super) MountedTree);

impl Tree for Features {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        self.0.read(path, buffer)
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        self.0.read_exact_at(path, offset, buffer)
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        self.0.read_link(path, buffer)
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        self.0.list(path, visit)
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        self.0.status(path)
    }

    fn verity_digest(&self, path: &str, _: &mut [u8; 64]) -> Result<usize, TreeError> {
        self.0.status(path).map(|_| 32)
    }

    fn subvolume<'b>(&self, _: Option<u64>, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Ok("")
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.0.status(path).map(|_| false)
    }
}

const DISK: [Row; 2] = [
    ("vda", 1, PartitionType::Root, "11111111-0000-0000-0000-000000000000", "root", FilesystemKind::Ext4),
    ("vda", 2, PartitionType::Var, "22222222-0000-0000-0000-000000000000", "var", FilesystemKind::Ext4),
];

/// A physical root as bootc leaves it, and an initramfs with these settings.
fn write(top: &Path, settings: &str) {
    let object = format!("composefs/objects/{}/{}", &DIGEST[..2], &DIGEST[2..]);
    let state = format!("sysroot/state/deploy/{DIGEST}");
    let settings_folder = "initramfs/usr/lib/composefs";
    for folder in ["sysroot/composefs/images", "sysroot/composefs/objects/8b", "sysroot/state/os/default/var", &state] {
        fs::create_dir_all(top.join(folder)).unwrap();
    }
    fs::create_dir_all(top.join(settings_folder)).unwrap();
    fs::create_dir(top.join(&state).join("etc")).unwrap();
    symlink("../../os/default/var", top.join(&state).join("var")).unwrap();
    fs::write(top.join("sysroot/composefs/meta.json"), META).unwrap();
    fs::write(top.join("sysroot").join(&object), "").unwrap();
    symlink(format!("../{}", &object["composefs/".len()..]), top.join("sysroot/composefs/images").join(DIGEST))
        .unwrap();
    fs::write(top.join(settings_folder).join("setup-root-conf.toml"), settings).unwrap();
}

fn explain(cmdline: &str, settings: &str, visit: Visit<'_>) -> String {
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), settings);
    let open = |name| MountedTree::open(scratch.path().join(name).to_str().unwrap()).unwrap();
    let (tree, initramfs) = (Features(open("sysroot")), open("initramfs"));
    let cmdline = format!("composefs={DIGEST} {cmdline}");
    let config = Config::parse(Sources { cmdline: &cmdline, ..Sources::default() }).unwrap();
    let mut selection = select(&config, &machine(&DISK)).unwrap();
    assert_eq!(selection.missing(), None);
    let device: DeviceSource = selection.sysroots[0].clone();
    let look = Look { config: &config, tree: &tree, initramfs: &initramfs, device: &device };
    let mut found = Candidates::new();
    candidates::look_into(&look, 0, &LedgerFile::default(), &mut found, &mut |what, why| panic!("{what}: {why}"));
    selection.candidates = found;
    let golden = Golden { config: &config, look: Some(&look), selection: &selection };
    visit(&golden);
    planned(&golden).replace(DIGEST, "DIGEST").replace(&DIGEST[2..], "REST")
}

macro_rules! golden {
    ($($name:ident: $cmdline:expr, $settings:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::with_settings!({ description => format!("{}{}", $cmdline, $settings), omit_expression => true }, {
                    insta::assert_snapshot!(explain($cmdline, $settings, &mut |_| ()));
                });
            }
        )*

        pub(super) fn all(visit: Visit<'_>) {
            $(explain($cmdline, $settings, visit);)*
        }
    };
}

golden! {
    a_composefs_brings_all_that_is_written: "", "";
    a_composefs_with_all_changes_in_memory: "", "[root]\ntransient = true\n[etc]\ntransient = true\n";
    a_composefs_with_layers_of_the_command_line: "surefoot.etc=overlay surefoot.var=bind surefoot.home=bind", "";
    a_composefs_under_a_volatile_state: "systemd.volatile=state", "";
    a_composefs_takes_no_volatile_root: "systemd.volatile=yes", "";
}
