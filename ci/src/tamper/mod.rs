//! Machines whose disk somebody has altered: what `surefoot explain` and `surefoot verity verify` say of them, and how they
//! boot.
//!
//! What must hold after any mutation: no program crashes or hangs; what comes up is verified; and the real init, which reads
//! all of its root, reads what was made or gets an error. [`victim`] makes the machines, [`mutation`] alters them.

pub mod booted;
pub mod mutation;
pub mod offline;
pub mod victim;

use std::collections::BTreeMap;
use std::fmt;

use crate::tamper::mutation::Mutation;

pub use victim::{Kind, Victim};

/// How mutations ended, by how often.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<(String, String), u64>);

impl Tally {
    /// Counts one.
    pub fn add(&mut self, kind: Kind, mutation: &Mutation, ending: &impl fmt::Display) {
        *self.0.entry((format!("{kind}: {}", mutation.region), ending.to_string())).or_default() += 1;
    }

    /// Takes in what another one has counted.
    pub fn merge(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Tally {
    /// A line for each region and ending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((what, ending), count) in &self.0 {
            writeln!(f, "  {count:5}  {what}: {ending}")?;
        }
        Ok(())
    }
}
