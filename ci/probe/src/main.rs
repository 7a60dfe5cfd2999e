//! The real init of the QEMU scenarios. It looks before it touches anything, does what `probe.*=` words say, sends one
//! JSON document over the virtio-serial port and ends the machine.

#![forbid(unsafe_code)]

mod act;
mod digest;
mod gather;
mod port;

use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::sync;
use surefoot_probe::{Ending, action};

fn main() {
    if std::env::args_os().next().is_some_and(|name| name == "/bin/sh") {
        println!("probe: started as a shell");
        return;
    }
    if std::process::id() != 1 {
        // Started by itself: see `act::signals`.
        act::signal_parent();
        return;
    }
    let mut report = gather::report();
    let words = format!("{}\n{}", gather::text(action::WORDS_OF_THE_IMAGE), report.cmdline);
    let (actions, ending) = action::parse(&words).unwrap_or_else(|why| {
        eprintln!("probe: {why}");
        (Vec::new(), Ending::default())
    });
    report.actions = actions.into_iter().map(|(word, action)| (word, act::perform(&action))).collect();
    if let Err(why) = port::send(&report) {
        eprintln!("probe: no report: {why}");
    }
    sync();
    end(ending);
}

fn end(ending: Ending) -> ! {
    match ending {
        Ending::PowerOff => drop(reboot(RebootMode::RB_POWER_OFF)),
        Ending::Reboot => drop(reboot(RebootMode::RB_AUTOBOOT)),
        Ending::Sleep => println!("probe: sleeping"),
        Ending::Panic => drop(std::fs::write("/proc/sysrq-trigger", "c")),
    }
    // Told to sleep, or the kernel did not obey.
    loop {
        std::thread::park();
    }
}
