//! Roots of ostree, from a sysroot that is a directory of this machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use deployment::candidates::{self, Look};
use deployment::ledger::file::LedgerFile;

use super::composefs::Features;
use super::*;
use crate::mounted_tree::MountedTree;

const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KERNEL: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Puts a sysroot with one deployment, which has an image, into a directory.
fn sysroot(top: &Path) {
    let deployment = top.join(format!("ostree/deploy/debian/deploy/{COMMIT}.0"));
    for name in ["boot", "etc", "sysroot", "usr/etc", "var"] {
        fs::create_dir_all(deployment.join(name)).unwrap();
    }
    fs::write(deployment.join(".ostree.cfs"), "").unwrap();
    fs::create_dir_all(top.join("ostree/deploy/debian/var")).unwrap();
    fs::create_dir_all(top.join("boot/loader.1/entries")).unwrap();
    symlink("loader.1", top.join("boot/loader")).unwrap();
    let links = top.join(format!("ostree/boot.1.0/debian/{KERNEL}"));
    fs::create_dir_all(&links).unwrap();
    symlink(format!("../../../deploy/debian/deploy/{COMMIT}.0"), links.join("0")).unwrap();
    symlink("boot.1.0", top.join("ostree/boot.1")).unwrap();
}

/// Everything that the boot would do with this `prepare-root.conf` in the initramfs. The sysroot is an ext4 or, where
/// `subvolume` is not empty, that of a btrfs.
fn explain_ostree(subvolume: &str, cmdline: &str, conf: &str, visit: Visit<'_>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (top, initramfs) = (folder.path().join("sysroot"), folder.path().join("initramfs"));
    sysroot(&top.join(subvolume));
    fs::create_dir_all(initramfs.join("etc/ostree")).unwrap();
    fs::write(initramfs.join("etc/ostree/prepare-root.conf"), conf).unwrap();
    let open = |path: &Path| MountedTree::open(path.to_str().unwrap()).unwrap();
    let (tree, initramfs) = (Features(open(&top)), open(&initramfs));

    let kind = if subvolume.is_empty() { FilesystemKind::Ext4 } else { FilesystemKind::Btrfs };
    let root = ("vda", 1, PartitionType::Root, "01234567-89ab-cdef-0011-223344556677", "root", kind);
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap();
    let mut selection = select(&config, &machine(&[root])).unwrap();
    let device = selection.sysroots[0].clone();
    let look = Look { config: &config, tree: &tree, initramfs: &initramfs, device: &device };
    let ledger = LedgerFile::default();
    candidates::look_into(&look, 0, &ledger, &mut selection.candidates, &mut |what, why| panic!("{what}: {why}"));
    let golden = Golden { config: &config, look: Some(&look), selection: &selection };
    visit(&golden);
    planned(&golden)
}

fn with_words(words: &str) -> String {
    format!("surefoot.verity=optional {words}")
}

macro_rules! golden_ostree {
    ($($name:ident: $subvolume:expr, $cmdline:expr, $conf:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let cmdline = with_words(&$cmdline);
                insta::with_settings!({ description => cmdline.clone(), omit_expression => true }, {
                    insta::assert_snapshot!(explain_ostree($subvolume, &cmdline, $conf, &mut |_| ()));
                });
            }
        )*

        pub(super) fn all(visit: Visit<'_>) {
            $(explain_ostree($subvolume, &with_words(&$cmdline), $conf, visit);)*
        }
    };
}

golden_ostree! {
    a_plain_root_of_ostree: "", format!("root=/dev/vda1 rw ostree=/ostree/boot.1/debian/{KERNEL}/0"), "[sysroot]\nreadonly=true\n";
    a_composefs_of_ostree: "", "surefoot.deployment=auto", "[composefs]\nenabled=verity\n";
    all_of_ostree_transient: "", "surefoot.deployment=auto",
        "[composefs]\nenabled=yes\n[root]\ntransient=true\n[etc]\ntransient=true\n";
    layers_of_ones_own_over_ostree: "", "surefoot.deployment=auto rw surefoot.etc=tmpfs surefoot.var=tmpfs", "";
    a_deployment_of_ostree_that_is_not_there: "", "surefoot.deployment=ostree:other", "";
    a_sysroot_of_ostree_in_a_subvolume: "root", "root=/dev/vda1 rootflags=subvol=root rw surefoot.deployment=auto", "[composefs]\nenabled=maybe\n";
}
