//! What is done to a machine while it runs, once it has said a certain thing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::drive::Drive;

/// Something that is done a while after the console has shown a line.
#[derive(Clone, Debug)]
pub(crate) struct Cue {
    /// Part of that line.
    pub(crate) marker: String,
    /// How long after it.
    pub(crate) delay: Duration,
    /// What.
    pub(crate) act: Act,
}

/// What is done.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The disk is attached to the hot port of this number.
    Attach(usize, Drive),
    /// The disk that was attached as this device is pulled out.
    Detach(String),
    /// Almost nothing of the disk of this number gets through any more.
    Starve(usize),
    /// The machine is killed.
    CutPower,
}

/// The arguments of QMP's `block_set_io_throttle` that let one byte a second through: a block takes over an hour.
pub(crate) fn starved(number: usize) -> Value {
    json!({
        "device": format!("drive{number}"),
        "bps": 1, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0,
    })
}
