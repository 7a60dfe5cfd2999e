use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::{Config, Sources};

const REFERENCE: &str = include_str!("../../../docs/command-line.md");

/// The rows of the table that follows this heading.
fn rows(heading: &str) -> Vec<&'static str> {
    let (_, section) = REFERENCE.split_once(heading).expect("the heading is missing");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.lines().filter(|line| line.starts_with("| `")).collect()
}

/// The row of a key; those that can do without a value stand without `=`.
fn row(key: &Key) -> String {
    let equals = if key.values.contains("no value") { "" } else { "=" };
    format!("| `{}{equals}` | {} | {} |", key.name, key.values, key.meaning)
}

#[test]
fn the_reference_lists_exactly_these_keys() {
    let (own, shared): (Vec<_>, Vec<_>) = KEYS.iter().partition(|key| key.name.starts_with("surefoot."));
    let written = |keys: Vec<&Key>| keys.into_iter().map(row).collect::<Vec<_>>();
    assert_eq!(rows("\n## Keys shared with"), written(shared));
    assert_eq!(rows("\n## Keys of our own"), written(own));
}

#[test]
fn every_example_of_the_reference_is_good() {
    let examples: Vec<_> = REFERENCE.lines().filter(|line| line.starts_with("    ")).collect();
    assert!(examples.len() >= 9, "{examples:?}");
    for cmdline in examples {
        let config = Config::parse(Sources { cmdline, ..Sources::default() });
        assert_eq!(config.map(|config| config.unknown.len()), Ok(0), "{cmdline}");
    }
}

#[test]
fn no_key_is_declared_twice() {
    let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names.len(), KEYS.len());
}
