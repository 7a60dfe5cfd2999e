//! Which deployment was meant, where another one runs.

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use boot_config::Sources;
use deployment::candidates::{Kind, Order, Standing, TreeSource};

use super::*;

/// A deployment in a filesystem: its name, priority, tries, whether it is good, and where its kind puts it.
fn found(name: &str, (priority, tries, good): (u8, u8, bool), index: u32) -> Candidate {
    let attributes = Attributes::default().with_priority(priority).with_tries(tries).with_successful(good);
    let may_boot = attributes.may_boot();
    let standing = if may_boot { Standing::Bootable } else { Standing::Barred(SPENT) };
    Candidate {
        name: name.try_into().unwrap(),
        kind: Kind("ostree"),
        root: RootSource::Tree(TreeSource {
            sysroot: 0,
            device: Name::try_from("vda2").unwrap(),
            filesystem: None,
            directory: "".try_into().unwrap(),
            place: name.try_into().unwrap(),
        }),
        record: Some(Record {
            keeper: Keeper::File(0),
            entry: Entry { number: 0, attributes: attributes.with_once_good(good) },
            standing,
            counted: true,
        }),
        order: Order { kind: 2, sysroot: 0, index },
        ..Candidate::nothing()
    }
}

/// What is said of a boot that came to the first of these.
fn said(all: &[Candidate], failure: Option<(&str, &str)>) -> (String, String) {
    let config = Config::parse(Sources { cmdline: "surefoot.deployment=auto", ..Sources::default() }).unwrap();
    let mut choice = Box::new(Choice::default());
    choice.made(&config, &Box::new(Facts::new()), all.first().unwrap(), all, failure);
    let written = |write: &dyn Fn(&mut Json<String>) -> fmt::Result| {
        let mut json = Json::new(String::new());
        json.element(|json| write(json)).unwrap();
        json.finish()
    };
    (written(&|json| choice.fallback(json)), written(&|json| choice.standing(json)))
}

const SPENT_JSON: &str =
    r#"{"fallback":{"from":"newer","reason":"its tries are spent: it was tried, and never marked good"}}"#;

#[test]
fn a_first_choice_whose_tries_are_spent_is_told() {
    let good = found("older", (2, 0, true), 1);
    for (newer, expected) in [((3, 0, false), SPENT_JSON), ((2, 0, false), SPENT_JSON), ((1, 0, false), "{}")] {
        let (fallback, standing) = said(&[good.clone(), found("newer", newer, 0)], None);
        assert_eq!(fallback, expected, "{newer:?}");
        assert_eq!(standing, r#"{"tries_left":0,"successful":true}"#);
    }
}

#[test]
fn what_comes_later_and_what_may_boot_is_no_first_choice() {
    let running = found("running", (2, 0, true), 0);
    let others: Vec<_> =
        [((2, 0, false), 1), ((9, 3, false), 2)].map(|(attributes, index)| found("other", attributes, index)).into();
    for other in others {
        assert_eq!(said(&[running.clone(), other], None).0, "{}");
    }
}

#[test]
fn a_failure_comes_first_and_a_try_of_this_boot_is_counted() {
    let (fallback, standing) = said(&[found("untested", (3, 2, false), 0)], Some(("broken", "no init")));
    assert_eq!(fallback, r#"{"fallback":{"from":"broken","reason":"no init"}}"#);
    assert_eq!(standing, r#"{"tries_left":1,"successful":false}"#);
}

#[test]
fn the_members_of_a_row_tell_all_kinds_alike() {
    let mut json = Json::new(String::new());
    json.element(|json| row(json, &found("untested", (3, 2, false), 0), true)).unwrap();
    let expected = r#"{"name":"untested","kind":"ostree","device":"vda2","place":"untested","ledger":{"keeper":"file","priority":3,"tries_left":1,"successful":false,"once_good":false,"counted":true}}"#;
    assert_eq!(json.finish(), expected);
}
