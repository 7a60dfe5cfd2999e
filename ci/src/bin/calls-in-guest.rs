//! Has system calls fail in a guest: `calls-in-guest DISK`. What is to be done is written on the disk; what came of it is
//! printed as JSON (see `surefoot_ci::calls::guest`).

use std::path::Path;

use anyhow::{Context, Result};
use surefoot_ci::calls::guest;

fn main() -> Result<()> {
    let disk = std::env::args_os().nth(1).context("a disk is wanted")?;
    println!("{}", serde_json::to_string(&guest::work(Path::new(&disk))?)?);
    Ok(())
}
