//! `make boot`: a real Debian on a verified root. On a terminal it ends in a login prompt; without one the booted system
//! checks itself, and the exit code tells whether all held.

use std::io::{IsTerminal, stdin, stdout};

use anyhow::Result;
use surefoot_ci::demo::Demo;

fn main() -> Result<()> {
    let demo = Demo::build()?;
    if stdin().is_terminal() && stdout().is_terminal() {
        return demo.interact();
    }
    let lines = demo.check("boot", |line| println!("{line}"))?;
    println!("\nsurefoot status, in the booted system:");
    for line in lines.iter().filter_map(|line| line.strip_prefix("| ")) {
        println!("  {line}");
    }
    println!("\nThe booted system's own checks, all passed:");
    for line in lines.iter().filter_map(|line| line.strip_prefix("ok ")) {
        println!("  {line}");
    }
    Ok(())
}
