//! `surefoot status`, `mark-good`, `mark-bad`, `set-next` and `rollback` for deployments in filesystems.

use std::fs;
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::machine::{Machine, copy_program, images, ostree, write};

const FIRST: &str = "debian-010101010101.0";
const SECOND: &str = "debian-020202020202.0";

fn each_filesystem(test: impl Fn(&Machine)) {
    test(&Machine::ext4(|top| ostree(top, &[1, 2])));
    test(&Machine::btrfs(|top| ostree(top, &[1, 2])));
    test(&Machine::subvolume(|top| ostree(top, &[1, 2])));
}

#[test]
fn the_story_of_an_update() {
    each_filesystem(|machine| {
        let status = || machine.run(&["status"]);
        let heading = "deployments\n";
        let expected = format!(
            "{heading}  {SECOND}  ostree on vda  next     tries not counted, priority 1\n  \
             {FIRST}  ostree on vda           tries not counted, priority 1\n"
        );
        assert_eq!(status(), expected);

        assert_eq!(machine.run(&["mark-good", FIRST]), format!("{FIRST} is good: priority 1, good\n"));
        let expected = format!(
            "{heading}  {SECOND}  ostree on vda  next     3 tries left, priority 1\n  \
             {FIRST}  ostree on vda           good, priority 1\n"
        );
        assert_eq!(status(), expected);

        let next = machine.run(&["set-next", &format!("ostree:{SECOND}"), "--tries", "2"]);
        assert_eq!(next, format!("{SECOND} is next: priority 2, 2 tries left\n"));
        let lines = machine.run(&["status", "--deployments", "--running", FIRST]);
        let expected =
            format!("{SECOND}\tostree\tvda\t2\t2\tuntested\tnext\n{FIRST}\tostree\tvda\t1\t0\tgood\trunning\n");
        assert_eq!(lines, expected);

        let good = machine.run(&["mark-good", "--running", SECOND]);
        assert_eq!(good, format!("{SECOND} is good: priority 2, good\n"));
        let back = machine.run(&["rollback", "--running", SECOND]);
        assert_eq!(back, format!("{FIRST} is next: priority 3, good\n"));
        let bad = machine.run(&["mark-bad", FIRST]);
        assert_eq!(bad, format!("{FIRST} is bad and not booted any more; next is {SECOND}\n"));
        let json: Value = serde_json::from_str(&machine.run(&["status", "--json"])).unwrap();
        let all = json["now"]["deployments"].as_array().unwrap();
        assert_eq!((all.len(), &all[0]["next"], &all[1]["state"]), (2, &true.into(), &"bad".into()));
        assert_eq!((&all[1]["once_good"], &all[1]["keeper"]), (&true.into(), &"file".into()));
    });
}

#[test]
fn a_damaged_ledger_is_told_and_begun_anew() {
    let machine = Machine::ext4(|top| {
        ostree(top, &[1]);
        write(&top.join("surefoot/ledger"), &"x".repeat(8192));
    });
    let warning = "surefoot: warning: cannot read the boot ledger of ext4.img: it is damaged: what it said is lost, and the \
                   next change begins a new one\n";
    let status = machine.run(&["status", "--deployments"]);
    assert_eq!(status, format!("{FIRST}\tostree\tvda\t1\t3\tuntested\tnext\n--- stderr, exit code 0\n{warning}"));
    let good = machine.run(&["mark-good", FIRST]);
    assert_eq!(good, format!("{FIRST} is good: priority 1, good\n--- stderr, exit code 0\n{warning}"));
    assert_eq!(machine.run(&["status", "--deployments"]), format!("{FIRST}\tostree\tvda\t1\t0\tgood\tnext\n"));
}

/// What comes first is not known where not all can be read; what is written down from such a look would count.
#[test]
fn what_cannot_be_read_is_told_and_keeps_the_order_as_it_is() {
    let machine = Machine::ext4(|top| {
        ostree(top, &[1, 2]);
        fs::create_dir(top.join("images")).unwrap();
    });
    machine.run(&["mark-good", FIRST]);
    machine.damage("/images");
    let ledger = machine.file("/surefoot/ledger");
    assert!(!ledger.is_empty());
    let why = "not all of it can be looked at: /images: the device failed with errno ";
    let warned = format!("surefoot: warning: cannot tell all deployments of ext4.img: {why}");
    let status = machine.run(&["status", "--deployments"]);
    assert!(status.starts_with(&format!("{SECOND}\tostree")) && status.contains(&warned), "{status}");
    let explained = machine.explain(&[]);
    assert!(explained.contains("not all of /dev/vda could be looked at: /images: "), "{explained}");
    let refused = format!("\nsurefoot: cannot change ext4.img: {why}");
    for words in [&["set-next", SECOND][..], &["rollback", "--running", SECOND]] {
        let said = machine.run(words);
        assert!(said.starts_with(&format!("--- stderr, exit code 3\n{warned}")) && said.contains(&refused), "{said}");
        assert_eq!(machine.file("/surefoot/ledger"), ledger, "{words:?}");
    }
    // One is judged all the same: an update that cannot be marked good would be fallen back from.
    let marked = machine.run(&["mark-good", SECOND]);
    assert!(marked.contains(&format!("{SECOND} is good: ")) && marked.matches(&warned).count() == 1, "{marked}");
    let marked = machine.run(&["mark-bad", FIRST]);
    assert!(marked.contains(&format!("{FIRST} is bad")), "{marked}");
    let status = machine.run(&["status", "--deployments"]);
    assert!(status.contains("good") && status.starts_with(&format!("{SECOND}\tostree")), "{status}");
}

/// A snapshot that another program has made the default since the ledger was last changed is the next one; what is done here
/// afterwards counts again.
#[test]
fn a_rollback_by_snapper_is_followed() {
    let machine = Machine::snapshots(&[1, 2]);
    let order = || {
        let lines = machine.run(&["status", "--deployments"]);
        lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(machine.run(&["mark-good", "snapshot-1"]), "snapshot-1 is good: priority 1, good\n");
    assert_eq!(machine.run(&["mark-good", "snapshot-2"]), "snapshot-2 is good: priority 2, good\n");
    assert_eq!(order(), "snapshot-2 snapshot-1");
    machine.make_default(1);
    assert_eq!(order(), "snapshot-1 snapshot-2");
    let back = machine.run(&["rollback", "--running", "snapshot-1"]);
    assert_eq!(back, "snapshot-2 is next: priority 4, good\n");
    assert_eq!(order(), "snapshot-2 snapshot-1");
    machine.make_default(2);
    machine.run(&["mark-bad", "snapshot-1"]);
    machine.make_default(1);
    let next = machine.run(&["status"]);
    assert!(next.contains("snapshot-2  btrfs on vda  next"), "{next}");
}

#[test]
fn without_another_good_one_there_is_no_way_back() {
    let machine = Machine::ext4(|top| ostree(top, &[1, 2]));
    machine.run(&["mark-good", SECOND]);
    let expected =
        "--- stderr, exit code 1\nsurefoot: cannot roll back ext4.img: no other deployment has ever been good\n";
    assert_eq!(machine.run(&["rollback", "--running", SECOND]), expected);
    let unknown = machine.run(&["set-next", "debian-9"]);
    let expected = format!(
        "--- stderr, exit code 2\nsurefoot: cannot find deployment debian-9: there is none of that name\n  \
         There are: {SECOND}, {FIRST}.\n"
    );
    assert_eq!(unknown, expected);
}

#[test]
fn names_that_count_tries_say_the_same() {
    let machine = Machine::ext4(|top| {
        ostree(top, &[1, 2]);
        images(top, &["1", "2+3-0", "3+0-3"]);
    });
    let next = machine.run(&["set-next", "app_3"]);
    assert!(next.starts_with("app_3 is next: priority 2, 3 tries left\n"), "{next}");
    assert_eq!(machine.names("images/app.raw.v"), ["app_1.raw", "app_2+3-0.raw", "app_3+3-3.raw"]);
    machine.run(&["mark-good", "app_3"]);
    machine.run(&["mark-bad", "app_2"]);
    assert_eq!(machine.names("images/app.raw.v"), ["app_1.raw", "app_2+0-0.raw", "app_3.raw"]);
    machine.run(&["mark-good", FIRST]);
    machine.run(&["mark-bad", SECOND]);
    assert_eq!(machine.names("boot/loader.0/entries"), ["ostree-1.conf", "ostree-2+0-0.conf"]);
    machine.run(&["set-next", SECOND, "--tries", "5"]);
    assert_eq!(machine.names("boot/loader.0/entries"), ["ostree-1.conf", "ostree-2+5-0.conf"]);
    let status = machine.run(&["status"]);
    assert!(status.contains(&format!("  {SECOND}  ostree on vda  next     5 tries left, priority ")), "{status}");
    assert!(status.contains("  app_2                  image on vda            bad, priority 0\n"), "{status}");
}

#[test]
fn only_root_can_look_into_a_filesystem() {
    let machine = Machine::ext4(|top| ostree(top, &[1]));
    let program = machine.path("surefoot");
    copy_program(&program);
    let folder = program.parent().unwrap();
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let image = machine.path("ext4.img");
    let mut command = std::process::Command::new(program);
    let output = command.args(["status", "--disk"]).arg(&image).uid(65534).gid(65534).output().unwrap();
    let expected = format!(
        "surefoot: cannot look for deployments in {}: only root can attach and mount them\n  Run it as root.\n",
        image.display()
    );
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(3), expected));
}
