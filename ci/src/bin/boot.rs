//! `make boot`: a real Debian on a verified root. On a terminal it ends in a login prompt; without one the booted system
//! checks itself, and the exit code tells whether all held.
//!
//! `make boot SCENARIO=rollback`: the same with two slots and an update that cannot boot, to watch it come back.

use std::io::{IsTerminal, stdin, stdout};

use anyhow::{Result, bail};
use surefoot_ci::demo::Demo;
use surefoot_ci::demo::story::{Boot, Stage, Story};

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => boot(),
        ["rollback"] => rollback(),
        _ => bail!("there is no SCENARIO={} for `make boot`: leave it out, or give rollback", words.join(" ")),
    }
}

fn is_watched() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

fn boot() -> Result<()> {
    let demo = Demo::build()?;
    if is_watched() {
        return demo.interact();
    }
    let lines = demo.check("boot", |line| println!("{line}"))?;
    println!("\nsurefoot status, in the booted system:");
    print_marked(&lines, "| ");
    println!("\nThe booted system's own checks, all passed:");
    print_marked(&lines, "ok ");
    Ok(())
}

fn rollback() -> Result<()> {
    let stage = Stage::build(Story::Rollback)?;
    if is_watched() {
        return stage.interact();
    }
    let boots = stage.play("rollback", |line| println!("{line}"))?;
    println!("\nWhat happened:");
    for (number, boot) in (1..).zip(boots) {
        match boot {
            Boot::Panicked => println!("boot {number}: the kernel panicked"),
            Boot::Up(lines) => {
                println!("boot {number}: the system came up, and found:");
                print_marked(&lines, "ok ");
                print_marked(&lines, "| ");
            }
        }
    }
    Ok(())
}

/// Prints what follows `mark` in the lines that begin with it.
fn print_marked(lines: &[String], mark: &str) {
    for line in lines.iter().filter_map(|line| line.strip_prefix(mark)) {
        println!("  {line}");
    }
}
