//! What surefoot costs, beside what others cost: all of a table is measured on the same machine in the same run.

pub mod boot;
pub mod images;
mod marker;
pub mod peers;
pub mod section;
pub mod sizes;
pub mod verity;
