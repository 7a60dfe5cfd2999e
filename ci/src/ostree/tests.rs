use super::calls::byte_array;
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

/// What ostree and fsverity say of the composefs images, the commits and the signature, and what erofs-utils say of the image.
#[test]
fn composefs_images_are_as_libostree_has_them() -> Result<()> {
    let sysroot = Sysroot::new().composefs(Composefs::Plain).deploy(&tree("1")).deploy(&tree("2"));
    let image = sysroot.build()?;
    let mounted = Mounted::new(&image.path, "ro")?;
    for deployment in &image.deployments {
        let cfs = mounted.path().join(&deployment.directory).join(".ostree.cfs");
        run(command("fsck.erofs").arg(&cfs))?;
        let digest = fsverity::digest(&cfs, Algorithm::Sha256)?;
        assert_eq!(Some(&digest), deployment.composefs.as_ref());
        let repo = format!("--repo={}/ostree/repo", mounted.path().display());
        let key = "--print-metadata-key=ostree.composefs.digest.v0";
        let said = run(ostree(mounted.path()).args(["show", key, &repo, &deployment.checksum]))?;
        assert_eq!(format!("@ay {}", said.trim().replace("byte ", "")), byte_array(&digest));
    }
    mounted.unmount()
}

/// What dump.erofs prints of a file of the image, and what a mount of it shows beside the object.
#[test]
fn composefs_files_lead_to_their_objects() -> Result<()> {
    let image = Sysroot::new().composefs(Composefs::Plain).deploy(&tree("1")).build()?;
    let mounted = Mounted::new(&image.path, "ro")?;
    let cfs = mounted.path().join(&image.deployments[0].directory).join(".ostree.cfs");
    let files = Mounted::new(&cfs, "ro")?;
    let dump = fs::read(&cfs)?;
    let objects = mounted.path().join("ostree/repo/objects");
    let mut found = 0;
    for entry in ["usr/lib/os-release", "usr/etc/hostname", "usr/sbin/init"] {
        let metadata = fs::symlink_metadata(files.path().join(entry))?;
        let real = mounted.path().join(&image.deployments[0].directory).join(entry);
        assert_eq!(metadata.len(), fs::metadata(&real)?.len());
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&real)?);
        let object = run(command("find").arg(&objects).args(["-inum", &inode.to_string(), "-printf", "/%P"]))?;
        assert!(dump.windows(object.len()).any(|window| window == object.as_bytes()), "{entry}: {object}");
        let digest = fsverity::digest(&real, Algorithm::Sha256)?;
        let digest: Vec<_> = (0..32).map(|byte| u8::from_str_radix(&digest[byte * 2..][..2], 16).unwrap()).collect();
        assert!(dump.windows(32).any(|window| window == digest), "{entry}");
        found += 1;
    }
    assert_eq!(found, 3);
    assert!(files.path().join("etc").is_dir() && files.path().join("var").is_dir());
    files.unmount()?;
    mounted.unmount()
}

#[test]
fn a_signature_is_where_ostree_looks_for_it() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let top = scratch.path().join("sysroot");
    Sysroot::new().composefs(Composefs::Signed).commit(&tree("1")).lay_out(scratch.path(), &top)?;
    let repo = format!("--repo={}/ostree/repo", top.display());
    let checksum = run(ostree(&top).args(["rev-parse", &repo, BRANCH]))?;
    let key = "--print-detached-metadata-key=ostree.sign.ed25519";
    let said = run(ostree(&top).args(["show", key, &repo, checksum.trim()]))?;
    assert_eq!(said.matches("0x").count(), 64, "{said}");
    assert_eq!(public_key()?.len(), 44);
    assert_ne!(public_key()?, other_public_key()?);
    Ok(())
}
