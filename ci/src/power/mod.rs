//! The power fails while a boot ledger is written, whatever keeps it.
//!
//! [`subject`] makes the machines. [`replay`] records all that one of them writes, and cuts the record anywhere; [`kills`]
//! kills running machines. What must hold after any cut: the tool reads the ledger as it was before or after the change that
//! was cut, and what would boot is whole.

pub mod kills;
pub mod replay;
pub mod subject;
pub mod write_log;

pub use subject::{Keeper, Subject};
