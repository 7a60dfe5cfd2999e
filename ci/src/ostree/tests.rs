use super::*;
use crate::mounted::Mounted;
use crate::tree::{Node, Tree};

fn tree(version: &str) -> Tree {
    let release = format!("ID=test\nVERSION_ID={version}\n");
    let tree = Tree::default().directory("etc").directory("usr").directory("usr/lib").directory("usr/sbin");
    tree.file("usr/lib/os-release", release, 0o644).file("etc/hostname", format!("version-{version}\n"), 0o644).file(
        "usr/sbin/init",
        "no program",
        0o755,
    )
}

#[test]
fn a_deployable_tree_keeps_its_kernel() {
    let own = tree("1").directory("usr/lib/modules").directory("usr/lib/modules/1");
    assert!(!deployable(&own).contains("usr/lib/modules/6.0-surefoot"));
    let made = deployable(&tree("1"));
    assert!(made.contains("usr/lib/modules/6.0-surefoot/vmlinuz"));
    assert!(made.contains("usr/etc/hostname") && !made.contains("etc"));
}

#[test]
fn ostree_accepts_what_it_made() -> Result<()> {
    for filesystem in [Filesystem::Ext4, Filesystem::Btrfs, Filesystem::Xfs] {
        let sysroot =
            Sysroot::new().on(filesystem).bytes(if filesystem == Filesystem::Xfs { 320 << 20 } else { BYTES });
        let image = sysroot.deploy(&tree("1")).deploy(&tree("2")).commit(&tree("3")).build()?;
        let mounted = Mounted::new(&image.path, "ro")?;
        let repo = format!("--repo={}/ostree/repo", mounted.path().display());
        run(ostree(mounted.path()).args(["fsck", &repo]))?;
        let status = run(ostree(mounted.path()).args(["admin", "status"]))?;
        let [first, second] = <[Deployment; 2]>::try_from(image.deployments).unwrap();
        let places = [&second.checksum, &first.checksum].map(|checksum| status.find(checksum));
        assert!(matches!(places, [Some(newer), Some(older)] if newer < older), "{status}");
        for (deployment, version) in [&first, &second].into_iter().zip(["1", "2"]) {
            let hostname = mounted.path().join(&deployment.link[1..]).join("etc/hostname");
            assert_eq!(fs::read_to_string(hostname)?, format!("version-{version}\n"));
            let flags = run(command("lsattr").arg("-d").arg(mounted.path().join(&deployment.directory)));
            assert!(filesystem != Filesystem::Ext4 || flags?.split(' ').next().unwrap().contains('i'));
        }
        assert_eq!(first.entry, "ostree-1-probe.conf");
        assert!(second.word().starts_with("ostree=/ostree/boot."));
        mounted.unmount()?;
    }
    Ok(())
}

#[test]
fn a_deployment_can_be_damaged() -> Result<()> {
    let sysroot = Sysroot::new().deploy(&tree("1")).deploy(&tree("1")).edit_in(1, Edit::remove("usr/lib/os-release"));
    let sysroot = sysroot.edit(Edit::Put("ostree/deploy/probe/var/mark".to_owned(), Node::File(b"x".to_vec(), 0o600)));
    let image = sysroot.build()?;
    let mounted = Mounted::new(&image.path, "ro")?;
    let [first, second] = <[Deployment; 2]>::try_from(image.deployments).unwrap();
    assert_ne!(first.checksum, second.checksum);
    assert!(mounted.path().join(&first.directory).join("usr/lib/os-release").exists());
    assert!(!mounted.path().join(&second.directory).join("usr/lib/os-release").exists());
    assert!(mounted.path().join("ostree/deploy/probe/var/mark").exists());
    mounted.unmount()
}
