use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::candidates::recipe::recorder::{Recorder, found, looking};
use crate::filesystem::FilesystemKind;
use crate::ledger::file::LedgerFile;
use crate::tree::fixture::Fixture;

/// As composefs 0.9.4 writes it.
const META: &str = r#"{"version":1,"algorithm":"fsverity-sha256-12","features":{"compatible":[],
"read-only-compatible":["v1_erofs"],"incompatible":[]},"erofs_formats":{"default":1}}"#;

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn object(byte: u8) -> String {
    format!("composefs/objects/{byte:02x}/{}", &hex(byte)[2..])
}

/// With an image and the state of its deployment.
fn deployed(tree: Fixture, byte: u8, verity: bool) -> Fixture {
    let hex = hex(byte);
    let (object, state) = (object(byte), format!("state/deploy/{hex}"));
    let tree = if verity { tree.verified_file(&object, "image", &[byte; 32]) } else { tree.file(&object, "image") };
    let tree = tree.link(&format!("composefs/images/{hex}"), &format!("../{}", &object["composefs/".len()..]));
    tree.directory(&format!("{state}/etc")).directory(&format!("{state}/var"))
}

/// A repository with fs-verity and two images, the first of which was deployed last.
fn sysroot() -> Fixture {
    let tree = Fixture::default().verified_file("composefs/meta.json", META, &[9; 32]);
    let tree = deployed(deployed(tree, 0xaa, true), 0xbb, true);
    tree.modified(&format!("state/deploy/{}", hex(0xaa)), 8).modified(&format!("state/deploy/{}", hex(0xbb)), 7)
}

/// The same without fs-verity.
fn without_verity() -> Fixture {
    deployed(deployed(Fixture::default().file("composefs/meta.json", META), 0xaa, false), 0xbb, false)
}

fn find_in(tree: &Fixture, cmdline: &str) -> String {
    let initramfs = Fixture::default();
    looking(cmdline, tree, &initramfs, FilesystemKind::Ext4, |look| found(&KIND, look, &LedgerFile::default()))
}

/// What makes up the root of the deployment at `place`, with these settings in the initramfs.
fn root_of(tree: &Fixture, place: &str, cmdline: &str, settings: &str) -> String {
    let initramfs = Fixture::default();
    let initramfs = if settings.is_empty() { initramfs } else { initramfs.file(SETTINGS, settings) };
    let text = looking(cmdline, tree, &initramfs, FilesystemKind::Ext4, |look| Recorder::root(&KIND, place, look));
    // Long digests hide what there is to see.
    text.replace(&hex(0xaa), "AA").replace(&hex(0xaa)[2..], "A").replace(&hex(0xbb), "BB")
}

fn usual(settings: &str) -> String {
    root_of(&sysroot(), &hex(0xaa), "", settings)
}

const NOT_VERIFIED: &str = "nothing verifies it: surefoot.verity=optional boots it insecurely";

#[test]
fn what_the_command_line_names_is_found_in_its_order() {
    let (a, b) = (hex(0xaa), hex(0xbb));
    let line = |byte: u8| {
        let name = format!("composefs-{}", &hex(byte)[..16]);
        let others = find_in(&sysroot(), &format!("composefs={}", hex(byte)));
        assert!(others.starts_with(&format!("{name} at {}: Verified, ", hex(byte))), "{others}");
        assert!(others.ends_with(", named"), "{others}");
        others
    };
    let both = format!("{}\n{}", line(0xbb), line(0xaa));
    assert_eq!(find_in(&sysroot(), &format!("composefs={b} composefs.digest=v1-sha256-12:{a}")), both);
    assert_eq!(find_in(&sysroot(), &format!("composefs={b} composefs={a} composefs=?{b}")), both);
    for choice in [format!("composefs:{a}"), format!("composefs:v1-sha256-12:{a}")] {
        assert_eq!(find_in(&sysroot(), &format!("composefs={b} surefoot.deployment={choice}")), line(0xaa));
    }
    assert_eq!(
        find_in(&sysroot(), "surefoot.deployment=image:x composefs=aa".replace("=aa", &format!("={a}")).as_str()),
        ""
    );
}

#[test]
fn an_image_that_is_missing_is_told_of_unless_another_one_is_there() {
    let (a, c, d) = (hex(0xaa), hex(0xcc), hex(0xdd));
    let some = find_in(&sysroot(), &format!("composefs={c} composefs={a}"));
    assert!(some.starts_with("composefs-aaaaaaaaaaaaaaaa at "), "{some}");
    let passed_over =
        format!("composefs-cccccccccccccccc: there is no composefs/images/{c}, but another one that is named");
    assert_eq!(some.lines().nth(1), Some(passed_over.as_str()));
    let none =
        find_in(&sysroot(), &format!("composefs={c} composefs={d} surefoot.deployment=auto surefoot.verity=optional"));
    let names: Vec<_> = none.lines().map(|line| &line[10..12]).collect();
    assert_eq!(names, ["cc", "dd", "aa", "bb"], "{none}");
    let refused = "refused: cannot find the image /composefs/images/";
    assert_eq!(root_of(&sysroot(), &c, "", ""), format!("{refused}{c}: there is nothing by that name"));
    // A text that is no digest is told of as well.
    let bad = find_in(&sysroot(), "surefoot.deployment=composefs:abc");
    assert!(bad.starts_with("composefs-abc at abc: Verified"), "{bad}");
    let why = "refused: it is no composefs image: a composefs digest is 64 (sha256) or 128 (sha512) hexadecimal digits";
    assert_eq!(root_of(&sysroot(), "abc", "", ""), why);
}

#[test]
fn a_filesystem_without_a_repository_is_passed_over_unless_it_is_the_one_of_root() {
    let a = hex(0xaa);
    let empty = Fixture::default();
    let why = "vda2: it has no composefs repository (/composefs)";
    assert_eq!(find_in(&empty, &format!("composefs={a}")), why);
    assert_eq!(find_in(&empty, "surefoot.deployment=auto"), "");
    assert!(find_in(&empty, &format!("root=/dev/vda2 composefs={a}")).starts_with("composefs-aaaaaaaaaaaaaaaa at "));
    let why = "refused: cannot read the repository's /composefs/meta.json: there is nothing by that name";
    assert_eq!(root_of(&empty, &a, "", ""), why);
}

#[test]
fn images_that_nobody_named_are_not_trusted() {
    let (a, b) = (hex(0xaa), hex(0xbb));
    let only_named = find_in(&sysroot(), &format!("surefoot.deployment=auto composefs={b}"));
    assert!(only_named.starts_with("composefs-bbbbbbbbbbbbbbbb at "), "{only_named}");
    let passed_over = format!("composefs-aaaaaaaaaaaaaaaa: {NOT_VERIFIED}");
    assert_eq!(only_named.lines().nth(1), Some(passed_over.as_str()));
    let all = find_in(&sysroot(), "surefoot.deployment=auto surefoot.verity=optional");
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 2, "{all}");
    for (line, digest) in lines.iter().zip([&a, &b]) {
        assert!(line.starts_with(&format!("composefs-{} at ?{digest}: Insecure(Root), ", &digest[..16])), "{all}");
    }
}

#[test]
fn images_on_the_list_of_root_hashes_are_verified_and_not_named() {
    let (a, b) = (hex(0xaa), hex(0xbb));
    let auto = |words: &str| find_in(&sysroot(), &format!("surefoot.deployment=auto {words}"));
    let both = auto(&format!("surefoot.roothash={b},{a}"));
    let lines: Vec<_> = both.lines().collect();
    assert_eq!(lines.len(), 2, "{both}");
    for (line, digest) in lines.iter().zip([&a, &b]) {
        // Held to its digest when it is tried: no mark.
        assert!(line.starts_with(&format!("composefs-{} at {digest}: Verified, ", &digest[..16])), "{both}");
        assert!(!line.ends_with(", named"), "{both}");
    }
    for words in ["", "surefoot.verity=optional"] {
        let older = auto(&format!("surefoot.roothash={b} {words}"));
        assert!(older.starts_with(&format!("composefs-bbbbbbbbbbbbbbbb at {b}: Verified")), "{older}");
        let why = "composefs-aaaaaaaaaaaaaaaa: no accepted root hash vouches for it";
        assert_eq!(older.lines().skip(1).collect::<Vec<_>>(), [why]);
    }
    let mixed = auto(&format!("surefoot.roothash={b} composefs={a}"));
    let names: Vec<_> = mixed.lines().map(|line| (&line[10..12], line.ends_with(", named"))).collect();
    assert_eq!(names, [("aa", true), ("bb", false)], "{mixed}");
}

#[test]
fn newer_images_that_are_not_on_the_list_take_no_room_from_one_that_is() {
    let mut tree = Fixture::default().verified_file("composefs/meta.json", META, &[9; 32]);
    for byte in 1..=20 {
        tree = deployed(tree, byte, true).modified(&format!("state/deploy/{}", hex(byte)), byte.into());
    }
    let found = find_in(&tree, &format!("surefoot.deployment=auto surefoot.roothash={}", hex(1)));
    assert!(found.starts_with("composefs-0101010101010101 at 0101"), "{found}");
}

#[test]
fn of_images_that_nobody_named_the_newest_come_first_and_strange_names_not_at_all() {
    let mut tree = Fixture::default().verified_file("composefs/meta.json", META, &[9; 32]);
    for byte in 1..=20 {
        // As new as the one before, every second time.
        let state = format!("state/deploy/{}", hex(byte));
        tree = deployed(tree, byte, true).modified(&state, u64::from(byte / 2));
    }
    let strange = ["refs", "x", &hex(0xcc).to_uppercase(), &format!("?{}", hex(0xcd))];
    for name in strange {
        tree = tree.file(&format!("composefs/images/{name}"), "").directory(&format!("state/deploy/{name}"));
    }
    // An image without state was never deployed.
    tree = tree.link(&format!("composefs/images/{}", hex(0xee)), "../objects/x");
    let all = find_in(&tree, "surefoot.deployment=auto surefoot.verity=optional");
    let names: Vec<_> = all.lines().map(|line| &line[10..12]).collect();
    assert_eq!(names, ["14", "12", "13", "10", "11", "0e", "0f", "0c"], "{all}");
}

#[test]
fn a_question_mark_asks_for_no_less_where_there_is_verity() {
    let a = hex(0xaa);
    let cmdline = format!("composefs=?{a}");
    let optional = format!("{cmdline} surefoot.verity=optional");
    assert!(find_in(&sysroot(), &cmdline).starts_with(&format!("composefs-aaaaaaaaaaaaaaaa at {a}: Verified")));
    assert_eq!(find_in(&without_verity(), &cmdline), format!("composefs-aaaaaaaaaaaaaaaa: {NOT_VERIFIED}"));
    let insecure = format!("composefs-aaaaaaaaaaaaaaaa at ?{a}: Insecure(Root)");
    assert!(find_in(&without_verity(), &optional).starts_with(&insecure));
    // The image has fs-verity, the repository is not known to have it.
    let mixed = deployed(Fixture::default().file("composefs/meta.json", META), 0xaa, true);
    assert!(find_in(&mixed, &optional).starts_with(&insecure));
    let root = |tree: &Fixture| root_of(tree, &format!("?{a}"), &optional, "").lines().next().unwrap().to_string();
    let verified = "composefs composefs:AA on ROOT (ro): image SYSROOT/composefs/objects/aa/A, digest AA, objects \
                    SYSROOT/composefs/objects, verity required, not writable";
    assert_eq!(root(&mixed), verified);
    assert_eq!(root(&sysroot()), verified);
    assert_eq!(
        root(&without_verity()),
        verified.replace("digest AA", "digest any").replace("verity required", "no verity")
    );
}

#[test]
fn a_root_is_what_composefs_setup_root_makes_of_it() {
    let expected = "\
composefs composefs:AA on ROOT (ro): image SYSROOT/composefs/objects/aa/A, digest AA, objects SYSROOT/composefs/objects, verity required, not writable
bind SYSROOT on ROOT/sysroot (ro), if that is there
provides /etc
overlay on ROOT/etc (rw): lower ROOT/etc, upper SYSROOT/state/deploy/AA/etc/upper, work SYSROOT/state/deploy/AA/etc/work
provides /var
bind SYSROOT/state/deploy/AA/var on ROOT/var (rw)
provides /home
record the device";
    assert_eq!(usual(""), expected);
    let image = expected.lines().next().unwrap();
    let transient = usual("[root]\ntransient = true\n");
    let lines: Vec<_> = transient.lines().take(2).collect();
    let changed = image.replace("composefs:AA on ROOT (ro)", "transient:composefs=AA on ROOT (rw)");
    assert_eq!(lines, ["directory MEMORY/root (0700)", &changed.replace("not writable", "changes in MEMORY/root")]);
    let none = usual("[etc]\nmount = \"none\"\n[var]\nmount = \"none\"\n");
    assert!(none.contains("provides /etc") && none.contains("provides /var"));
    assert!(!none.contains("on ROOT/etc") && !none.contains("on ROOT/var"));
    let other = usual("[etc]\ntransient = true\n[var]\nmount = \"overlay\"\n");
    assert!(other.contains("directory MEMORY/etc (0700)\noverlay on ROOT/etc (rw): lower ROOT/etc, upper MEMORY/etc/upper, work MEMORY/etc/work\n"));
    assert!(other.contains("overlay on ROOT/var (rw): lower ROOT/var, upper SYSROOT/state/deploy/AA/var/upper, work"));
    assert!(usual("[etc]\nmount = \"bind\"\n").contains("bind SYSROOT/state/deploy/AA/etc on ROOT/etc (rw)\n"));
}

#[test]
fn keys_of_the_command_line_take_the_place_of_settings() {
    let root = |cmdline: &str, settings: &str| root_of(&sysroot(), &hex(0xaa), cmdline, settings);
    assert!(!root("surefoot.etc=tmpfs", "").contains("/etc"));
    assert!(!root("surefoot.var=tmpfs", "").contains("/var"));
    assert!(!root("systemd.volatile=state", "[var]\nmount = \"bind\"\n").contains("/var"));
    assert!(root("systemd.volatile=state", "").contains("provides /etc"));
    for volatile in ["overlay", "yes"] {
        let why = format!(
            "refused: systemd.volatile={volatile} is not for a composefs: [root] transient = true in \
             /usr/lib/composefs/setup-root-conf.toml of the initramfs has all changes in memory"
        );
        assert_eq!(root(&format!("systemd.volatile={volatile}"), ""), why);
    }
}

#[test]
fn a_filled_etc_is_seen_itself_as_bootc_has_it() {
    let etc = format!("state/deploy/{}/etc", hex(0xaa));
    let root = |tree: Fixture| root_of(&tree, &hex(0xaa), "", "");
    assert!(root(sysroot().file(&format!("{etc}/fstab"), "")).contains("bind SYSROOT/state/deploy/AA/etc on ROOT/etc"));
    let overlay = sysroot().directory(&format!("{etc}/upper")).directory(&format!("{etc}/work"));
    assert!(root(overlay).contains("overlay on ROOT/etc"));
    let link = sysroot().link(&format!("{etc}/upper"), "/etc");
    assert_eq!(root(link), "refused: /state/deploy/AA/etc/upper is no directory");
}

#[test]
fn links_of_the_state_are_followed_inside_the_filesystem_alone() {
    let var = format!("state/deploy/{}/var", hex(0xaa));
    let linked = |to: &str| {
        let tree = sysroot().without(&var).link(&var, to).directory("state/os/default/var").file("state/file", "");
        let tree =
            tree.link("state/os/loop", "loop").link("state/os/up", "../../..").link("state/os/more", "./default/");
        root_of(&tree, &hex(0xaa), "", "")
    };
    let bound = "bind SYSROOT/state/os/default/var on ROOT/var (rw)";
    for to in ["../../os/default/var", "../../os//./more/var/", "../../../state/os/default/var"] {
        assert!(linked(to).contains(bound), "{}", linked(to));
    }
    let outside = "refused: a symbolic link on the way to /state/deploy/AA/var is absolute or leads out of the filesystem, or \
                   there are more than 8";
    for to in ["/state/os/default/var", "../../../../etc", "../../os/up/x", "../../os/loop", "../../../../../../.."] {
        assert_eq!(linked(to), outside, "{to}");
    }
    let missing = "refused: cannot find the directory /state/deploy/AA/var: ";
    assert_eq!(linked("../../os/none"), format!("{missing}there is nothing by that name"));
    assert_eq!(linked("../../file"), format!("{missing}it is not the kind of file that is wanted"));
    assert_eq!(linked(&"x/".repeat(120)), format!("{missing}it is longer than 200 bytes"));
}

#[test]
fn what_is_wrong_is_refused() {
    let (a, link) = (hex(0xaa), format!("composefs/images/{}", hex(0xaa)));
    let root = |tree: Fixture| root_of(&tree, &hex(0xaa), "", "");
    let meta =
        |from: &str, to: &str| root(sysroot().verified_file("composefs/meta.json", META.replace(from, to), &[9; 32]));
    let refused = "refused: the repository's /composefs/meta.json ";
    assert_eq!(
        meta("\"incompatible\":[]", "\"incompatible\":[\"x\"]"),
        format!("{refused}needs the feature x, which is not known")
    );
    assert_eq!(meta("\"version\":1", "\"version\":2"), format!("{refused}has version 2; versions up to 1 are known"));
    assert_eq!(meta("}", ""), format!("{refused}is not a JSON object with version, algorithm and features, each once"));
    assert_eq!(
        meta("sha256", "sha512"),
        "refused: the repository has sha512 digests (/composefs/meta.json), and this is one of sha256"
    );
    let why = "refused: nothing verifies the repository: it was made without fs-verity (/composefs/meta.json has none); a ? \
               before the digest would allow that";
    assert_eq!(root(sysroot().file("composefs/meta.json", META)), why);
    assert_eq!(root(without_verity()), why);
    let other = format!("../{}", &object(0xbb)["composefs/".len()..]);
    for to in [other.as_str(), "/etc/passwd", "../../x", ""] {
        let shown = to.replace(&hex(0xaa), "AA");
        let why = format!("refused: /composefs/images/AA is a link to {shown}, not to the object of its own name");
        assert_eq!(root(sysroot().without(&link).link(&link, to)), why);
    }
    assert_eq!(
        root(sysroot().without(&link).file(&link, "")),
        "refused: cannot find the image /composefs/images/AA: it is not the kind of file that is wanted"
    );
    let state = format!("state/deploy/{a}");
    assert_eq!(
        root(sysroot().without(&state).link(&state, "elsewhere")),
        "refused: /state/deploy/AA is no directory: nothing was deployed with this image"
    );
    assert_eq!(
        usual("[etc]\nmount = 1"),
        "refused: /usr/lib/composefs/setup-root-conf.toml of the initramfs: line 2 has mount, which is \"none\", \"bind\", \
         \"overlay\" or \"transient\""
    );
}

proptest! {
    #[test]
    fn nothing_in_a_filesystem_makes_it_panic(
        place in "\\??[0-9a-f:v-]{0,140}", link in "[./a-b]{0,220}", name in "[a-f0-9?]{0,130}", meta: String,
    ) {
        let var = format!("state/deploy/{}/var", hex(0xaa));
        let tree = sysroot().without(&var).link(&var, &link).link(&format!("composefs/images/x{name}"), &link);
        root_of(&tree, &hex(0xaa), "", "");
        root_of(&tree.clone().verified_file("composefs/meta.json", &meta, &[1; 32]), &place, "", &meta);
        find_in(&tree, "surefoot.deployment=auto surefoot.verity=optional");
    }
}
