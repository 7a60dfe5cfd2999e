//! What makes up a root, for each way of prepare-root.conf.

use super::*;
use crate::tree::Tree;

const IMAGE: &str = "ostree/deploy/debian/deploy/CSUM.0/.ostree.cfs";

fn at(path: &str) -> String {
    path.replace("CSUM", A)
}

fn one() -> Fixture {
    deployed(sysroot(), A, K1, 0)
}

/// The parts of the root of the deployment of commit A, whose paths are shown as `D`, and its metadata without the
/// device and the inode, which are the same each time.
fn root(cmdline: &str, tree: &dyn Tree, conf: &str) -> String {
    let initramfs = Fixture::default().file("etc/ostree/prepare-root.conf", conf);
    root_with(cmdline, tree, &initramfs)
}

fn root_with(cmdline: &str, tree: &dyn Tree, initramfs: &Fixture) -> String {
    let directory = format!("ostree/deploy/debian/deploy/{A}.0");
    let cmdline = format!("surefoot.verity=optional {AUTO} {cmdline}");
    let root =
        looking(&cmdline, tree, initramfs, FilesystemKind::Ext4, |look| Recorder::root(&OSTREE, &directory, look));
    root.replace(&directory, "D")
}

/// The parts of a root, which differ in the middle: all begin alike, and end alike where the sysroot has the same `mode`.
fn parts(middle: &[&str], mode: &str) -> String {
    let sysroot = format!("bind SYSROOT on ROOT/sysroot ({mode})");
    let mut parts = std::vec!["directory RUN/ostree (0755)", "directory RUN/ostree/.private (0000)"];
    parts.extend(middle);
    parts.extend([&*sysroot, "bind SYSROOT/ostree/deploy/debian/var on ROOT/var (rw)"]);
    if mode == "ro" {
        parts.push("file RUN/ostree-sysroot-ro.stamp (0644): ");
    }
    parts.extend(["provides /etc", "provides /var", "provides /home"]);
    parts.join("\n")
}

const BOOTED: &str = "file RUN/ostree-booted (0644): \
                      backing-root-device-inode\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\xfe\\x00\\x00\\x00\\x00\\x00\\x00";

/// Whether the metadata of a root holds these keys, in this order, true or false.
fn metadata(root: &str, expected: &[(&str, bool)]) {
    let line = root.lines().find(|line| line.starts_with(BOOTED)).unwrap_or_else(|| panic!("{root}"));
    let mut rest = &line[BOOTED.len()..];
    for (key, value) in expected {
        let (_, after) = rest.split_once(key).unwrap_or_else(|| panic!("{key}: {line}"));
        let shown = after.trim_start_matches("\\x00");
        let zeros = (after.len() - shown.len()) / "\\x00".len();
        // The key ends with a zero, the value is aligned to eight bytes, and a zero and its type follow.
        assert_eq!(shown.starts_with("\\x01\\x00b"), *value, "{key}: {line}");
        assert!(*value || zeros > 1 && shown.starts_with('b'), "{key}: {line}");
        rest = shown;
    }
}

const NONE: [(&str, bool); 3] = [("root.transient", false), ("root.transient-ro", false), ("sysroot-ro", false)];

fn without_metadata(root: &str) -> String {
    root.lines().filter(|line| !line.starts_with("file RUN/ostree-booted")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plain_root_is_the_deployment_itself() {
    let root = root("rw", &one(), "");
    metadata(&root, &NONE);
    let middle =
        ["bind SYSROOT/D on ROOT (rw)", "bind SYSROOT/boot on ROOT/boot (rw)", "bind ROOT/usr on ROOT/usr (ro)"];
    assert_eq!(without_metadata(&root), parts(&middle, "rw"));
}

#[test]
fn ro_makes_the_root_and_the_sysroot_read_only() {
    let root = root("", &one(), "");
    metadata(&root, &NONE);
    let mounts: Vec<_> = root.lines().filter(|line| line.starts_with("bind")).collect();
    let expected = [
        "bind SYSROOT/D on ROOT (ro)",
        "bind SYSROOT/boot on ROOT/boot (ro)",
        "bind ROOT/usr on ROOT/usr (ro)",
        "bind SYSROOT on ROOT/sysroot (ro)",
        "bind SYSROOT/ostree/deploy/debian/var on ROOT/var (rw)",
    ];
    assert_eq!(mounts, expected);
}

#[test]
fn a_read_only_sysroot_has_a_writable_etc() {
    let repository = one().file("ostree/repo/config", "[core]\nmode=bare\n[sysroot]\nreadonly=true\n");
    for (tree, conf) in [(one(), "[sysroot]\nreadonly=true\n"), (repository, "")] {
        let root = root("rw", &tree, conf);
        metadata(&root, &[("sysroot-ro", true)]);
        let middle = [
            "bind SYSROOT/D on ROOT (rw)",
            "bind SYSROOT/boot on ROOT/boot (rw)",
            "bind SYSROOT/D/etc on ROOT/etc (rw)",
            "bind ROOT/usr on ROOT/usr (ro)",
        ];
        assert_eq!(without_metadata(&root), parts(&middle, "ro"));
    }
    // A configuration that cannot be read says nothing.
    let tree = one().file("ostree/repo/config", "#".repeat(3000));
    metadata(&root("rw", &tree, ""), &NONE);
}

#[test]
fn a_transient_etc_lies_in_memory() {
    // It is left out of account where /etc is not mounted.
    assert!(!root("rw", &one(), "[etc]\ntransient=true\n").contains("overlay"));
    let root = root("rw", &one(), "[sysroot]\nreadonly=true\n[etc]\ntransient=true\n");
    assert!(root.contains("\\x00\\x00s"), "{root}");
    let middle = [
        "directory RUN/ostree/transient-etc (0700)",
        "bind SYSROOT/D on ROOT (rw)",
        "bind SYSROOT/boot on ROOT/boot (rw)",
        "overlay on ROOT/etc (rw): lower ROOT/usr/etc, upper RUN/ostree/transient-etc/upper, work \
         RUN/ostree/transient-etc/work",
        "bind ROOT/usr on ROOT/usr (ro)",
    ];
    assert_eq!(without_metadata(&root), parts(&middle, "ro"));
    let line = root.lines().find(|line| line.starts_with(BOOTED)).unwrap();
    assert!(line.contains("transient-etc\\x00\\x00\\x00/run/ostree/transient-etc\\x00\\x00s"), "{line}");
}

fn composefs(verity: &str, changes: &str, mode: &str) -> String {
    format!(
        "composefs composefs on ROOT ({mode}): image SYSROOT/D/.ostree.cfs, digest any, objects SYSROOT/ostree/repo/objects, \
         {verity}, {changes}"
    )
}

#[test]
fn a_composefs_has_its_etc_from_the_deployment() {
    let tree = one().file(&at(IMAGE), "");
    for (conf, verity, is_verified) in
        [("[composefs]\nenabled=yes\n", "no verity", false), ("[composefs]\nenabled=verity\n", "verity required", true)]
    {
        let root = root("rw", &tree, conf);
        metadata(
            &root,
            &[
                ("root.transient-ro", false),
                ("composefs", true),
                ("composefs.verity", is_verified),
                ("sysroot-ro", true),
            ],
        );
        let composefs = composefs(verity, "not writable", "ro");
        let middle = [
            &composefs,
            "record the device",
            "bind SYSROOT/boot on ROOT/boot (rw)",
            "bind SYSROOT/D/etc on ROOT/etc (rw)",
        ];
        assert_eq!(without_metadata(&root), parts(&middle, "ro"));
    }
}

#[test]
fn only_a_missing_image_leads_to_a_plain_root_and_only_for_maybe() {
    let maybe = "[composefs]\nenabled=maybe\n";
    let image = one().file(&at(IMAGE), "");
    assert!(root("rw", &image, maybe).contains("composefs composefs on ROOT (ro)"));
    // For maybe /sysroot is writable by default.
    metadata(&root("rw", &image, maybe), &[("composefs", true), ("composefs.verity", false), ("sysroot-ro", false)]);
    let plain = root("rw", &one(), maybe);
    assert!(plain.contains("bind SYSROOT/D on ROOT (rw)") && !plain.contains("record"), "{plain}");
    metadata(&plain, &NONE);
    let missing = "refused: the composefs image D/.ostree.cfs: there is nothing by that name";
    assert_eq!(root("rw", &one(), "[composefs]\nenabled=yes\n"), missing);
    assert_eq!(root("rw ostree.prepare-root.composefs=yes", &one(), maybe), missing);
    assert!(root("rw ostree.prepare-root.composefs=no", &image, maybe).contains("bind SYSROOT/D on ROOT"));
    for tree in [one().link(&at(IMAGE), "/x"), one().directory(&at(IMAGE))] {
        assert_eq!(root("rw", &tree, maybe), "refused: D/.ostree.cfs is no file");
    }
}

#[test]
fn a_transient_root_takes_changes_in_memory() {
    let tree = one().file(&at(IMAGE), "");
    let changes = "changes in RUN/ostree/.private/root";
    for (key, mode, is_ro) in [("transient", "rw", false), ("transient-ro", "ro", true)] {
        let root = root("rw", &tree, &format!("[composefs]\nenabled=yes\n[root]\n{key}=true\n"));
        metadata(&root, &[("root.transient", true), ("root.transient-ro", is_ro), ("composefs", true)]);
        assert!(root.contains("directory RUN/ostree/.private/root (0755)"), "{root}");
        assert!(root.contains(&composefs("no verity", changes, mode)), "{root}");
        assert!(root.contains("bind SYSROOT/D/etc on ROOT/etc (rw)"), "{root}");
    }
    let both = "[composefs]\nenabled=yes\n[root]\ntransient=true\n[etc]\ntransient=true\n";
    let both = root("rw", &tree, both);
    assert!(both.contains("overlay on ROOT/etc (rw): lower ROOT/usr/etc"), "{both}");
    let maybe = "[composefs]\nenabled=maybe\n[root]\ntransient=true\n";
    let why = "refused: [root] transient needs composefs, and the deployment has no image .ostree.cfs";
    assert_eq!(root("rw", &one(), maybe), why);
    assert_eq!(root("rw", &one(), "[root]\ntransient=true\n"), "refused: [root] transient needs [composefs] enabled");
}

#[test]
fn a_hotfix_is_laid_over_usr() {
    let directory = at("ostree/deploy/debian/deploy/CSUM.0");
    let (upper, work) = (format!("{directory}/.usr-ovl-upper"), format!("{directory}/.usr-ovl-work"));
    let tree = one().directory(&upper).directory(&work);
    for (mode, shown) in [("rw", "rw"), ("ro", "ro")] {
        let root = root(mode, &tree, "");
        let overlay = format!(
            "overlay on ROOT/usr ({shown}): lower ROOT/usr, upper SYSROOT/D/.usr-ovl-upper, work SYSROOT/D/.usr-ovl-work"
        );
        assert!(root.contains(&overlay) && !root.contains("bind ROOT/usr"), "{root}");
    }
    let image = tree.clone().file(&at(IMAGE), "");
    assert!(root("rw", &image, "[composefs]\nenabled=verity\n").contains("overlay on ROOT/usr"));
    for (name, path) in [(".usr-ovl-upper", &upper), (".usr-ovl-work", &work)] {
        let crafted = tree.clone().link(path, "/run");
        assert_eq!(root("rw", &crafted, ""), format!("refused: the hotfix of D: {name} is no directory"));
    }
}

mod signed {
    use super::*;

    const COMMIT: &[u8] = include_bytes!("../../../ostree/commit/fixtures/signed.commit");
    const KEY: &str = include_str!("../../../ostree/commit/fixtures/k1.key");
    const SIGNED: &str = "[composefs]\nenabled=signed\n";

    fn checksum() -> String {
        use verity::{Algorithm, HashType, Salt, digest_block};
        let digest = digest_block(Algorithm::Sha256, HashType::Normal, &Salt::default(), COMMIT);
        crate::candidates::recipe::recorder::hex(digest.as_bytes())
    }

    fn object(kind: &str) -> String {
        let checksum = checksum();
        format!("ostree/repo/objects/{}/{}.{kind}", &checksum[..2], &checksum[2..])
    }

    fn tree() -> Fixture {
        let signatures = include_bytes!("../../../ostree/commit/fixtures/one.commitmeta");
        deployed(sysroot(), &checksum(), K1, 0)
            .file(&format!("ostree/deploy/debian/deploy/{}.0/.ostree.cfs", checksum()), "")
            .file(&object("commit"), COMMIT)
            .file(&object("commitmeta"), signatures)
    }

    fn initramfs() -> Fixture {
        Fixture::default()
            .file("usr/lib/ostree/prepare-root.conf", SIGNED)
            .file("etc/ostree/initramfs-root-binding.key", KEY)
    }

    fn root(tree: &Fixture, initramfs: &Fixture) -> String {
        root_of(&checksum(), tree, initramfs).replace(&checksum(), "CSUM")
    }

    fn root_of(commit: &str, tree: &Fixture, initramfs: &Fixture) -> String {
        let directory = format!("ostree/deploy/debian/deploy/{commit}.0");
        looking(AUTO, tree, initramfs, FilesystemKind::Ext4, |look| Recorder::root(&OSTREE, &directory, look))
    }

    #[test]
    fn the_image_must_have_the_digest_that_the_commit_names() {
        let root = root(&tree(), &initramfs());
        let line = root.lines().find(|line| line.starts_with("composefs")).unwrap_or_else(|| panic!("{root}"));
        let (_, rest) = line.split_once("digest ").unwrap();
        let (digest, rest) = rest.split_once(',').unwrap();
        assert_eq!((digest.len(), rest), (64, " objects SYSROOT/ostree/repo/objects, verity required, not writable"));
        let key = "composefs.signed\\x00";
        assert!(root.contains(key) && root.contains("/etc/ostree/initramfs-root-binding.key\\x00\\x00s"), "{root}");
    }

    #[test]
    fn a_container_image_is_vouched_for_by_the_commit_that_it_was_made_of() {
        const NAME: &str = "d45761025fe722647e554d7709ea3c63e9cfe69216c580e689f2961dd2db0cab";
        let object = format!("ostree/repo/objects/{}/{}.commit", &NAME[..2], &NAME[2..]);
        let imported = deployed(tree(), NAME, K1, 1)
            .file(&format!("ostree/deploy/debian/deploy/{NAME}.0/.ostree.cfs"), "")
            .file(&object, include_bytes!("../../../ostree/commit/fixtures/bootc.commit"));
        let digest =
            |root: &str| root.split_once("digest ").and_then(|(_, rest)| rest.get(..64)).map(ToString::to_string);
        let found = digest(&root_of(NAME, &imported, &initramfs()));
        assert!(found.is_some() && found == digest(&root(&tree(), &initramfs())), "{found:?}");
        let unsigned = imported.without(&self::object("commitmeta"));
        let why = "the commit has no Ed25519 signature";
        let why = format!("refused: nothing vouches for its image: commit {}: {why}", checksum());
        assert_eq!(root_of(NAME, &unsigned, &initramfs()), why);
    }

    #[test]
    fn a_hotfix_that_nothing_vouches_for_is_left_out() {
        let directory = format!("ostree/deploy/debian/deploy/{}.0", checksum());
        let hotfix =
            tree().directory(&format!("{directory}/.usr-ovl-upper")).directory(&format!("{directory}/.usr-ovl-work"));
        assert!(!root(&hotfix, &initramfs()).contains("overlay"));
    }

    #[test]
    fn without_a_signature_there_is_no_root() {
        let is_refused = |tree: &Fixture, initramfs: &Fixture, why: &str| {
            assert_eq!(root(tree, initramfs), format!("refused: {why}"));
        };
        let vouches = "nothing vouches for its image: commit CSUM: ";
        let no_keys = initramfs().without("etc/ostree/initramfs-root-binding.key");
        let why = "the keys /etc/ostree/initramfs-root-binding.key of the initramfs cannot be read: there is nothing by \
                   that name";
        is_refused(&tree(), &no_keys, why);
        let other = include_str!("../../../ostree/commit/fixtures/k2.key");
        let other = initramfs().file("etc/ostree/initramfs-root-binding.key", other);
        is_refused(&tree(), &other, &format!("{vouches}the commit is not signed by any of the keys"));
        let unsigned = tree().without(&object("commitmeta"));
        is_refused(&unsigned, &initramfs(), &format!("{vouches}the commit has no Ed25519 signature"));
        let large = tree().file(&object("commit"), std::vec![0; 2 << 20]);
        is_refused(&large, &initramfs(), &format!("{vouches}it cannot be read: it is longer than 1048576 bytes"));
        let missing = tree().without(&object("commit"));
        is_refused(&missing, &initramfs(), &format!("{vouches}it cannot be read: there is nothing by that name"));
        let other = tree().file(&object("commit"), [COMMIT, b"x"].concat());
        is_refused(&other, &initramfs(), &format!("{vouches}the commit object's SHA-256 digest is not its name"));
        let linked = tree().link(&object("commitmeta"), "/x");
        let why = "its detached metadata cannot be read: a symbolic link is in the way, and none is followed here";
        is_refused(&linked, &initramfs(), &format!("{vouches}{why}"));
    }
}

#[test]
fn var_is_left_to_others_where_they_are_given() {
    let var = "bind SYSROOT/ostree/deploy/debian/var on ROOT/var";
    let has_var = |cmdline: &str, tree: &Fixture| root(&format!("rw {cmdline}"), tree, "").contains(var);
    assert!(has_var("", &one()));
    for cmdline in ["surefoot.var=tmpfs", "surefoot.var=bind", "systemd.volatile=state"] {
        assert!(!has_var(cmdline, &one()), "{cmdline}");
    }
    assert!(root("surefoot.var=ro rw", &one(), "").contains(&format!("{var} (ro)")));
    let directory = at("ostree/deploy/debian/deploy/CSUM.0");
    let fstab = "LABEL=root / auto defaults 0 0\nLABEL=var /var auto defaults 0 0\n";
    assert!(!has_var("", &one().file(&format!("{directory}/etc/fstab"), fstab)));
    assert!(has_var("", &one().file(&format!("{directory}/usr/etc/fstab"), fstab)));
    let gone = one().without("ostree/deploy/debian/var");
    let why = "refused: ostree/deploy/debian/var, which is /var of the deployment, is no directory";
    assert_eq!(root("rw", &gone, ""), why);
    assert_eq!(root("rw", &gone.link("ostree/deploy/debian/var", "/"), ""), why);
}

#[test]
fn boot_is_bound_where_it_belongs_to_the_sysroot() {
    let directory = at("ostree/deploy/debian/deploy/CSUM.0");
    for tree in [one().without("boot"), one().directory("boot/loader"), one().without(&format!("{directory}/boot"))] {
        assert!(!root("rw", &tree, "").contains("ROOT/boot"));
    }
}

#[test]
fn keys_of_surefoot_can_forbid_changes_of_etc() {
    let forbidden = "bind SYSROOT/D/etc on ROOT/etc (ro)";
    assert!(root("rw surefoot.etc=ro", &one(), "").contains(forbidden));
    assert!(root("rw surefoot.etc=ro", &one(), "[sysroot]\nreadonly=1\n").contains(forbidden));
    let both = root("rw surefoot.etc=ro", &one(), "[sysroot]\nreadonly=1\n[etc]\ntransient=1\n");
    assert!(both.contains("overlay on ROOT/etc (ro)"), "{both}");
}

#[test]
fn a_volatile_root_is_refused() {
    for volatile in ["overlay", "yes"] {
        let why = format!(
            "refused: systemd.volatile={volatile} cannot be had with ostree: [root] transient=true in prepare-root.conf does \
             that for ostree"
        );
        assert_eq!(root(&format!("systemd.volatile={volatile}"), &one(), ""), why);
    }
}

#[test]
fn the_configuration_is_that_of_the_initramfs() {
    let usr = Fixture::default().file("usr/lib/ostree/prepare-root.conf", "[sysroot]\nreadonly=true\n");
    let tree = one().file("etc/ostree/prepare-root.conf", "x").file("usr/lib/ostree/prepare-root.conf", "x");
    metadata(&root_with("rw", &tree, &usr), &[("sysroot-ro", true)]);
    // The one in /etc stands in its place.
    let both = usr.clone().file("etc/ostree/prepare-root.conf", "[etc]\ntransient=true\n");
    metadata(&root_with("rw", &tree, &both), &NONE);
    let linked = usr.link("etc/ostree/prepare-root.conf", "/x");
    let why = "refused: /etc/ostree/prepare-root.conf of the initramfs cannot be read: a symbolic link is in the way, and none \
               is followed here";
    assert_eq!(root_with("rw", &tree, &linked), why);
}
