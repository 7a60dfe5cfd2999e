//! What surefoot costs, beside what others cost: all of a table is measured on the same machine in the same run.

pub mod verity;
