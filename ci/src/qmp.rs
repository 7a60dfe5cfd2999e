//! QEMU's machine protocol over its standard streams: commands to a running machine, and how it ended.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Why QEMU stopped the machine, by the `reason` of its SHUTDOWN event (QAPI `ShutdownCause`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The guest powered off.
    GuestShutdown,
    /// The guest rebooted.
    GuestReset,
    /// Anything else, such as QEMU being told to quit.
    Other,
}

/// What QEMU tells of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The machine has stopped.
    Shutdown(Cause),
    /// The watchdog device has run out, and does now what QEMU was told by `-action watchdog=`.
    Watchdog,
}

/// The way to send commands.
#[derive(Debug)]
pub struct Qmp {
    stdin: ChildStdin,
}

/// Takes over the standard streams of a QEMU that was started with `-qmp stdio`. `events` gets `news(what)` when
/// there is any, and `closed` when QEMU itself has ended.
///
/// # Errors
/// When the streams are not pipes.
pub fn start<T: Send + 'static>(child: &mut Child, events: Sender<T>, news: fn(News) -> T, closed: T) -> Result<Qmp> {
    let stdout = child.stdout.take().context("QEMU's output is not a pipe")?;
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(what) = parse(&line) {
                // The receiver is gone when the machine was given up.
                let _ = events.send(news(what));
            }
        }
        let _ = events.send(closed);
    });
    let mut qmp = Qmp { stdin: child.stdin.take().context("QEMU's input is not a pipe")? };
    // A QEMU that could not start has closed its input: the end of its output tells.
    let _ = qmp.execute("qmp_capabilities", &json!({}));
    Ok(qmp)
}

impl Qmp {
    /// Sends a command. Its answer is not waited for: what matters shows in the guest.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<()> {
        let message = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stdin, "{message}").with_context(|| format!("tell QEMU: {command}"))
    }
}

fn parse(line: &str) -> Option<News> {
    let message: Value = serde_json::from_str(line).ok()?;
    match message.get("event")?.as_str()? {
        "WATCHDOG" => Some(News::Watchdog),
        "SHUTDOWN" => Some(News::Shutdown(match message.pointer("/data/reason")?.as_str()? {
            "guest-shutdown" => Cause::GuestShutdown,
            "guest-reset" => Cause::GuestReset,
            _ => Cause::Other,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_news() {
        let event =
            |reason: &str| format!(r#"{{"event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}"#);
        assert_eq!(parse(&event("guest-reset")), Some(News::Shutdown(Cause::GuestReset)));
        assert_eq!(parse(&event("guest-shutdown")), Some(News::Shutdown(Cause::GuestShutdown)));
        assert_eq!(parse(&event("host-qmp-quit")), Some(News::Shutdown(Cause::Other)));
        assert_eq!(parse(r#"{"event": "WATCHDOG", "data": {"action": "reset"}}"#), Some(News::Watchdog));
        assert_eq!(parse(r#"{"return": {}}"#), None);
        assert_eq!(parse("not JSON"), None);
    }
}
