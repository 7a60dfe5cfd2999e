use std::format;
use std::fs;
use std::string::{String, ToString};
use std::vec::Vec;

use deployment::candidates::{Kind, TreeSource};
use deployment::gpt::Attributes;
use deployment::ledger::file::{FILE_SIZE, MAX_RECORDS};

use super::*;

/// A folder with these files, and the tree that it is.
struct Folder(String);

impl Folder {
    fn new(name: &str, files: &[&str]) -> Self {
        let top = std::env::temp_dir().join(format!("surefoot-ledger-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("images/os.v")).unwrap();
        for file in files {
            fs::write(top.join(file), file).unwrap();
        }
        Self(top.to_str().unwrap().to_string())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("{}/images/os.v", self.0)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Writes a change down that is about the image at `place`.
    fn change(&self, place: &str, change: Change) -> Result<(), String> {
        let place = heapless::String::try_from(place).unwrap();
        let (device, directory) = ("vda1".try_into().unwrap(), "".try_into().unwrap());
        let source = TreeSource { sysroot: 0, device, filesystem: None, directory, place };
        let candidate = Candidate { kind: Kind("image"), root: RootSource::Tree(source), ..Candidate::nothing() };
        let tree = MountedTree::open(&self.0).unwrap();
        write_down(&Keeper::FileName(0), Some(&candidate), &[], change, &[Some(tree)]).map_err(|why| why.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PLACE: &str = "images/os.v/os_1+3-0.raw";

#[test]
fn a_try_is_written_down_in_the_name_and_taken_back() {
    let folder = Folder::new("name", &[PLACE]);
    folder.change(PLACE, Change::SpendTry(0)).unwrap();
    assert_eq!(folder.names(), ["os_1+2-1.raw"]);
    folder.change(PLACE, Change::RefundTry(0)).unwrap();
    assert_eq!(folder.names(), ["os_1+3-0.raw"]);
    folder.change(PLACE, Change::Reboots(1)).unwrap();
    assert_eq!(folder.names(), ["os_1+3-0.raw"]);
}

#[test]
fn a_try_that_cannot_be_written_down_is_told_and_nothing_is_lost() {
    let folder = Folder::new("twice", &[PLACE, "images/os.v/os_1+2-1.raw"]);
    let why = folder.change(PLACE, Change::SpendTry(0)).unwrap_err();
    assert!(why.starts_with("cannot rename images/os.v/os_1+3-0.raw to images/os.v/os_1+2-1.raw: "), "{why}");
    assert_eq!(folder.names(), ["os_1+2-1.raw", "os_1+3-0.raw"]);
    let gone = folder.change("images/os.v/os_9+1.raw", Change::SpendTry(0)).unwrap_err();
    assert!(gone.starts_with("cannot rename images/os.v/os_9+1.raw to images/os.v/os_9+0-1.raw: "), "{gone}");
    // Such a one counts nothing, or has none left: it is not asked for.
    for place in ["images/os.v/os_1.raw", "images/os.v/os_1+0.raw", "images/os_1+3.raw"] {
        let why = folder.change(place, Change::SpendTry(0)).unwrap_err();
        assert_eq!(why, format!("{place} cannot be called otherwise: its name counts no tries, or is too long"));
    }
}

#[test]
fn in_a_full_ledger_a_try_takes_the_place_of_what_is_no_candidate() {
    let folder = Folder::new("full", &[]);
    let tree = MountedTree::open(&folder.0).unwrap();
    let good = Attributes::default().with_priority(1).with_successful(true).with_once_good(true);
    change_file(&tree, &mut |ledger| {
        (0..MAX_RECORDS).try_for_each(|number| ledger.set(&format!("os-{number}"), good, &|_| true))
    })
    .unwrap();
    let named = |name: &str| Candidate { name: name.try_into().unwrap(), ..Candidate::nothing() };
    let all = [named("update"), named("os-0"), named("os-1")];
    write_down(&Keeper::File(0), all.first(), &all, Change::SpendTry(0), &[Some(tree)]).unwrap();
    let mut ledger = LedgerFile::default();
    ledger.read(&fs::read(format!("{}/{}", folder.0, ledger_file::PATH)).unwrap().as_slice()).unwrap();
    let found = ["update", "os-0", "os-1", "os-2", "os-3"].map(|name| ledger.find(name).map(Attributes::tries));
    assert_eq!(found, [Some(2), Some(0), Some(0), None, Some(0)]);
}

#[test]
fn an_error_of_the_medium_is_not_the_end_of_the_file() {
    // The kernel gives EIO for memory that is not there.
    let file = file::open("/proc/self/mem", file::Access::Read).unwrap();
    let medium = LedgerMedium { file, size: FILE_SIZE as u64 };
    assert_eq!(medium.read_exact_at(0, &mut [0; 8]), Err(ReadError::Device(5)));
    assert_eq!(medium.read_exact_at(FILE_SIZE as u64 - 7, &mut [0; 8]), Err(ReadError::OutOfRange));
    assert_eq!(medium.read_exact_at(u64::MAX, &mut [0; 8]), Err(ReadError::OutOfRange));
}
