//! `make size`: what is shipped, beside its budget.

use std::process::ExitCode;

use anyhow::Result;
use surefoot_ci::size::measure;

fn main() -> Result<ExitCode> {
    let sizes = measure()?;
    println!("{:<34}{:>12}{:>12}{:>8}", "", "bytes", "budget", "used");
    for size in &sizes {
        println!("{:<34}{:>12}{:>12}{:>7}%", size.what, size.bytes, size.budget, size.bytes * 100 / size.budget);
    }
    let fits = sizes.iter().all(|size| size.bytes <= size.budget);
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
