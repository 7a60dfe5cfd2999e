//! What the probe, the real init of the QEMU scenarios, is told and what it answers: shared by the program in the
//! guest and by the harness on the host.

#![forbid(unsafe_code)]

pub mod action;
pub mod mountinfo;
pub mod report;

pub use action::{Action, Ending};
pub use mountinfo::Mount;
pub use report::{Outcome, Report};

/// Name of the virtio-serial port that takes the report.
pub const REPORT_PORT: &str = "org.surefoot.report";
