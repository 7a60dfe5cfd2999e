//! Deployments in filesystems, by the example of plain folders: which are candidates, in which order, and what the ledger
//! says of them.

use core::fmt;

use super::*;
use crate::filesystem::FilesystemKind;
use crate::ledger::Entry;
use crate::ledger::file::{FILE_SIZE, LedgerFile, rewrite};
use crate::recorder::Recorder;
use crate::tree::fixture::Fixture;

const AUTO: &str = "surefoot.deployment=auto surefoot.verity=optional";

fn source() -> DeviceSource {
    DeviceSource { device: Name::try_from("vda2").unwrap(), filesystem: Some(FilesystemKind::Ext4) }
}

/// A ledger with these records.
fn ledger(records: &[(&str, Attributes)]) -> LedgerFile {
    let file = Recorder::new(&[0; FILE_SIZE]);
    for (name, attributes) in records {
        rewrite(&file, &mut |ledger| ledger.set(name, *attributes, &|_| true)).unwrap();
    }
    let mut ledger = LedgerFile::default();
    ledger.read(&file).unwrap();
    // A command has written them.
    ledger.set_firsts([].into_iter());
    ledger
}

/// The names of the candidates in order, those that were good once in parentheses, and what was passed over.
fn look(cmdline: &str, tree: &Fixture, ledger: &LedgerFile) -> (String, Vec<String>) {
    let config = config(cmdline);
    let device = source();
    let look = Look { config: &config, tree, initramfs: &Fixture::default(), device: &device };
    let (mut found, mut notes) = (Candidates::new(), Vec::new());
    look_into(&look, 3, ledger, &mut found, &mut |what, why| notes.push(format!("{what}: {why}")));
    let name = |candidate: &Candidate| {
        if candidate.is_last_good() { format!("({})", candidate.name) } else { candidate.name.to_string() }
    };
    (found.iter().filter(|candidate| !candidate.is_barred()).map(name).collect::<Vec<_>>().join(" "), notes)
}

fn folders(names: &[&str]) -> Fixture {
    names.iter().fold(Fixture::default(), |tree, name| tree.directory(&format!("roots/{name}")))
}

const GOOD: Attributes = Attributes(0).with_successful(true).with_once_good(true);

#[test]
fn until_one_was_good_nothing_is_counted_and_then_last_good_is_fallen_back_to() {
    let tree = folders(&["a", "b", "c"]);
    assert_eq!(look(AUTO, &tree, &ledger(&[])).0, "folder-c folder-b folder-a");
    let one_good = ledger(&[("folder-a", GOOD.with_priority(1))]);
    assert_eq!(look(AUTO, &tree, &one_good).0, "folder-c folder-a folder-b");
    let untried = |priority| Attributes(0).with_priority(priority).with_tries(1);
    let records = [("folder-a", GOOD.with_priority(1)), ("folder-b", untried(2)), ("folder-c", untried(1))];
    assert_eq!(look(AUTO, &tree, &ledger(&records)).0, "folder-b folder-a folder-c");
    // One that nobody has heard of is an update, where its kind puts it first.
    assert_eq!(look(AUTO, &tree, &ledger(&records[..2])).0, "folder-c folder-a folder-b");
}

/// As `snapper rollback` and `ostree admin deploy` do it, which know nothing of the ledger.
#[test]
fn what_its_kind_has_come_to_put_first_since_is_a_rollback() {
    let tree = folders(&["a", "b"]);
    let order = |records: &[(&str, Attributes)], first: Option<&str>| {
        let mut ledger = ledger(records);
        ledger.set_firsts(first.map(|name| ("folder", name)).into_iter());
        look(AUTO, &tree, &ledger).0
    };
    // The kind puts "b" first.
    let good = [("folder-a", GOOD.with_priority(2)), ("folder-b", GOOD.with_priority(1))];
    assert_eq!(order(&good, Some("folder-b")), "folder-a folder-b", "surefoot's own rollback stays");
    assert_eq!(order(&good, Some("folder-a")), "folder-b folder-a");
    assert_eq!(order(&good, None), "folder-a folder-b", "nobody knows what was first");
    let bad = [good[0], ("folder-b", GOOD.with_priority(0).with_successful(false))];
    assert_eq!(order(&bad, Some("folder-a")), "folder-a (folder-b)");
    let spent = [good[0], ("folder-b", Attributes(0).with_priority(1))];
    assert_eq!(order(&spent, Some("folder-a")), "folder-a");
}

#[test]
fn an_update_is_not_passed_by_what_is_marked_good_meanwhile() {
    let records = [("folder-a", GOOD.with_priority(1)), ("folder-b", Attributes(0).with_priority(1).with_tries(1))];
    let config = config(AUTO);
    let (tree, device) = (folders(&["a", "b", "c"]), source());
    let place = Look { config: &config, tree: &tree, initramfs: &Fixture::default(), device: &device };
    let mut found = Candidates::new();
    look_into(&place, 3, &ledger(&records), &mut found, &mut |_, _| {});
    let names: Vec<_> = found.iter().map(|candidate| candidate.name.to_string()).collect();
    let entries = found.iter().zip(1..);
    let mut entries: Vec<_> =
        entries.map(|(candidate, number)| Entry { number, ..candidate.record.as_ref().unwrap().entry }).collect();
    let running = names.iter().zip(1..).find(|(name, _)| *name == "folder-b").unwrap().1;
    crate::ledger::mark_good(&mut entries, running);
    let records: Vec<_> = names.iter().zip(&entries).map(|(name, entry)| (name.as_str(), entry.attributes)).collect();
    let mut ledger = ledger(&records);
    ledger.set_firsts([("folder", "folder-c")].into_iter());
    assert_eq!(look(AUTO, &tree, &ledger).0, "folder-c folder-b folder-a");
}

/// What a boot has written down since is as new, and of another kind: the two do not pass each other by turns.
#[test]
fn an_update_is_not_ranked_above_another_kinds() {
    let mut ledger = ledger(&[("folder-a", GOOD.with_priority(5))]);
    ledger.set("app_2", Attributes(0).with_priority(6).with_tries(2), &|_| true).unwrap();
    let config = config(AUTO);
    let (tree, device) = (folders(&["a", "b"]), source());
    let place = Look { config: &config, tree: &tree, initramfs: &Fixture::default(), device: &device };
    let mut found = Candidates::new();
    look_into(&place, 3, &ledger, &mut found, &mut |_, _| {});
    let first = found.first().unwrap();
    let priority = first.record.as_ref().unwrap().entry.attributes.priority();
    assert_eq!((first.name.as_str(), priority), ("folder-b", 6));
}

#[test]
fn a_good_one_comes_before_an_older_update_that_is_yet_to_be_proven() {
    let tree = folders(&["a", "b", "c"]);
    let untried = Attributes(0).with_priority(1).with_tries(3);
    let mut records = [("folder-a", GOOD.with_priority(1)), ("folder-b", untried), ("folder-c", untried)];
    assert_eq!(look(AUTO, &tree, &ledger(&records)).0, "folder-c folder-a folder-b");
    records[2].1 = untried.with_tries(0);
    assert_eq!(look(AUTO, &tree, &ledger(&records)).0, "folder-a folder-b");
    records[1].1 = untried.with_priority(2);
    assert_eq!(look(AUTO, &tree, &ledger(&records)).0, "folder-b folder-a", "it was made the next one");
}

#[test]
fn what_is_spent_or_bad_is_passed_over_or_the_last_resort() {
    let tree = folders(&["a", "b", "c"]);
    let ledger = ledger(&[
        ("folder-a", GOOD.with_successful(false)),
        ("folder-b", Attributes(0)),
        ("folder-c", Attributes(0).with_priority(3)),
    ]);
    let (order, notes) = look(AUTO, &tree, &ledger);
    assert_eq!(order, "(folder-a)");
    assert_eq!(notes, ["folder-c: its tries are spent", "folder-b: its priority is 0"]);
}

#[test]
fn what_nothing_verifies_is_no_candidate_unless_that_is_asked_for() {
    let (order, notes) = look("surefoot.deployment=auto", &folders(&["a"]), &ledger(&[]));
    assert_eq!(order, "");
    assert_eq!(notes, ["folder-a: nothing verifies it: surefoot.verity=optional boots it insecurely"]);
}

#[test]
fn the_one_that_is_named_boots_whatever_the_ledger_says() {
    let named = "surefoot.deployment=folder:b surefoot.verity=off";
    assert_eq!(look(named, &folders(&["a", "b"]), &ledger(&[("folder-b", Attributes(0))])).0, "folder-b");
    assert_eq!(look("surefoot.deployment=slot:b", &folders(&["b"]), &ledger(&[])).0, "");
}

#[test]
fn of_more_than_there_is_room_for_the_first_choice_and_the_good_ones_stay() {
    let names: Vec<_> = (0..1000).map(|number| format!("{number:04}")).collect();
    let tree = folders(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let good: Vec<_> = (0..20).map(|number| format!("folder-{number:04}")).collect();
    let records: Vec<_> = good.iter().map(|name| (name.as_str(), GOOD.with_priority(1))).collect();
    let (order, _) = look(AUTO, &tree, &ledger(&records));
    let order: Vec<_> = order.split(' ').collect();
    assert_eq!((order.len(), order[0], order[1]), (MAX_CANDIDATES, "folder-0999", "folder-0019"));
    assert!(order[1..].iter().all(|name| *name < "folder-0020"), "{order:?}");
}

/// Takes down what makes up a root.
#[derive(Default)]
struct Parts(Vec<String>);

impl Recipe for Parts {
    fn add(&mut self, part: &Part<'_>) -> Result<(), Refused> {
        self.0.push(format!("{part:?}"));
        Ok(())
    }

    fn provides(&mut self, directory: &'static str) {
        self.0.push(directory.to_string());
    }

    fn room(&mut self) -> &mut [u8] {
        &mut []
    }

    fn refuse(&mut self, why: fmt::Arguments<'_>) -> Refused {
        self.0.push(why.to_string());
        Refused
    }
}

#[test]
fn the_root_of_a_folder_is_that_folder_and_no_link_to_one() {
    let tree = folders(&["a"]).link("roots/l", "a");
    let config = config(AUTO);
    let device = source();
    let look = Look { config: &config, tree: &tree, initramfs: &Fixture::default(), device: &device };
    let root = |place: &str| {
        let source = TreeSource {
            sysroot: 0,
            device: device.device.clone(),
            filesystem: device.filesystem,
            directory: heapless::String::new(),
            place: heapless::String::try_from(place).unwrap(),
        };
        let mut parts = Parts::default();
        let made = (example::FOLDER.root)(&source, &look, &mut parts);
        (made.is_ok(), parts.0.join("; "))
    };
    assert!(root("roots/a").0);
    assert_eq!(root("roots/l"), (false, "roots/l is no directory".to_string()));
}

#[test]
fn the_documentation_shows_the_example_as_it_is() {
    let page = include_str!("../../../../docs/adding-a-kind.md");
    assert!(page.contains(include_str!("../example.rs")), "docs/adding-a-kind.md is older than example.rs");
}
