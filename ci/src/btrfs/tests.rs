use super::*;

fn tree(version: &str) -> Tree {
    let tree = Tree::default().directory("etc").directory("usr").directory("usr/lib");
    tree.file("etc/hostname", format!("version-{version}\n"), 0o644).file("usr/lib/os-release", "ID=test\n", 0o644)
}

/// The number of the default snapshot in what `snapper list` prints, where a `+` or `*` is behind it.
fn default(list: &str) -> Option<&str> {
    let numbers = list.lines().filter_map(|line| line.split('|').next());
    numbers.map(str::trim).find_map(|number| number.strip_suffix(['+', '*']))
}

/// What snapper and btrfs say of a filesystem while it is mounted as its system has it.
fn said(image: &Image) -> Result<(String, String, String)> {
    let mounted = Mounted::new(&image.path, "")?;
    let snapshots = mounted.path().join(".snapshots");
    run(command("mount").args(["-o", "loop,subvol=@/.snapshots"]).arg(&image.path).arg(&snapshots))?;
    let list = run(snapper(mounted.path()).args(["list", "--disable-used-space"]));
    let subvolumes = run(btrfs("subvolume", &["list"]).arg(mounted.path()));
    let hostname = fs::read_to_string(mounted.path().join("etc/hostname"));
    run(command("umount").arg(&snapshots))?;
    mounted.unmount()?;
    Ok((list?, subvolumes?, hostname?))
}

#[test]
fn the_newest_snapshot_is_the_default() -> Result<()> {
    let (list, subvolumes, hostname) = said(&Snapshots::new().snapshot(&tree("1")).snapshot(&tree("2")).build()?)?;
    assert_eq!(hostname, "version-2\n");
    assert_eq!(default(&list), Some("2"), "{list}");
    for path in ["@", "@/.snapshots", "@/var", "@/home", "@/root", &subvolume(1), &subvolume(2)] {
        assert!(subvolumes.lines().any(|line| line.ends_with(&format!(" path {path}"))), "{path}: {subvolumes}");
    }
    Ok(())
}

#[test]
fn a_rollback_changes_the_default() -> Result<()> {
    let two = Snapshots::new().snapshot(&tree("1")).snapshot(&tree("2"));
    let (list, _, hostname) = said(&two.clone().rollback(1).build()?)?;
    assert_eq!((hostname.as_str(), default(&list)), ("version-1\n", Some("1")), "{list}");
    let (list, _, hostname) = said(&two.rollback_to_copy(1).build()?)?;
    assert_eq!((hostname.as_str(), default(&list)), ("version-1\n", Some("4")), "{list}");
    assert!(list.contains("writable copy of #1"), "{list}");
    Ok(())
}

#[test]
fn etc_can_be_a_subvolume_and_a_snapshot_broken() -> Result<()> {
    let edit = Edit::remove("usr/lib/os-release");
    let image = Snapshots::new().etc_subvolumes().snapshot(&tree("1")).snapshot(&tree("2")).edit_in(2, edit).build()?;
    let mounted = Mounted::new(&image.path, "")?;
    assert!(!mounted.path().join("usr/lib/os-release").exists());
    let read_only = |path: &str| run(btrfs("property", &["get", "-ts"]).arg(mounted.path().join(path)).arg("ro"));
    assert_eq!((read_only("")?.trim(), read_only("etc")?.trim()), ("ro=true", "ro=false"));
    mounted.unmount()?;
    let subvolumes = said(&image)?.1;
    assert!(subvolumes.contains("snapshot/etc\n"), "{subvolumes}");
    Ok(())
}
