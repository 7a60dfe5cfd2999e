//! Root images that are files of a data partition.

pub(crate) mod boot;
mod machine;
pub(crate) mod tries;
