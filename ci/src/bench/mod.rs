//! What surefoot costs, beside what others cost: all of a table is measured on the same machine in the same run.

pub mod boot;
mod by_hand;
pub mod growth;
pub mod images;
mod marker;
pub mod peers;
mod plot;
pub mod section;
pub mod sizes;
pub mod subject;
pub mod verity;
