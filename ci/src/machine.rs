//! Runs a virtual machine to its end and gathers what it said.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use surefoot_probe::{Outcome as Done, REPORT_PORT, Report};

use crate::cue::{self, Act, Cue};
use crate::paths;
use crate::qmp::{self, Cause, News, Qmp};
use crate::vm::{HOT_PORT, HOT_USB, Vm, hot_device};

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest powered off.
    PoweredOff,
    /// The guest rebooted (QEMU ends then).
    Rebooted,
    /// The guest's kernel halted the processor.
    Halted,
    /// The watchdog reset it (QEMU ends then).
    Watchdog,
    /// Its power was cut, as [`Vm::cut_power`] asked.
    PowerCut,
    /// It was still running when its time was up.
    TimedOut,
}

/// How a line of PID 1 that ends the boot begins, after the kernel's timestamp.
pub const BOOT_FAILED: &str = "surefoot: boot failed: ";
/// How its line of the hand-over begins.
pub const STARTING: &str = "surefoot: starting ";

/// What a machine left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// All console lines.
    pub console: String,
    /// When each of them came, from the machine's start on.
    times: Vec<Duration>,
    /// How long the machine ran.
    duration: Duration,
    /// What came through the report port, unparsed.
    pub report: String,
}

impl Outcome {
    /// The probe's report.
    ///
    /// # Errors
    /// When none came.
    pub fn probe(&self) -> Result<Report> {
        serde_json::from_str(&self.report).with_context(|| format!("no report from the guest\n{}", self.tail()))
    }

    /// The report of a machine that powered off when all that the probe was told to run had run well.
    ///
    /// # Errors
    /// When it ended otherwise, or something it ran failed.
    pub fn all_ran(&self) -> Result<Report> {
        ensure!(self.end == End::PoweredOff, "it should have powered off");
        let report = self.probe()?;
        for (word, done) in report.actions.iter().filter(|(word, _)| word.starts_with("probe.run=")) {
            let good = matches!(done, Done::Ran(ran) if ran.code == Some(0));
            ensure!(good, "{word} should have succeeded: {done:?}");
        }
        Ok(report)
    }

    /// How long the machine ran on after the first console line with this text.
    pub fn duration_after(&self, marker: &str) -> Option<Duration> {
        let line = self.console.lines().position(|line| line.contains(marker))?;
        Some(self.duration.saturating_sub(*self.times.get(line)?))
    }

    /// The last lines of the console.
    pub fn tail(&self) -> String {
        format!("it ended {:?}; the console's last lines:\n    {}", self.end, last_lines(&self.console))
    }
}

/// The last lines of a console, indented but for the first one.
pub(crate) fn last_lines(console: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = console.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n    ")
}

/// `/run/surefoot/boot.json` in a report of the probe.
///
/// # Errors
/// When there is none, or it is not JSON.
pub fn boot_report(report: &Report) -> Result<Value> {
    let file = report.run.get("/run/surefoot/boot.json").context("there is no /run/surefoot/boot.json")?;
    Ok(serde_json::from_str(file.content.as_deref().unwrap_or_default())?)
}

enum Event {
    Line(String),
    ConsoleClosed,
    News(News),
    QemuEnded,
}

/// The kernel's last words before it halts the processor (kernel/reboot.c).
const HALTED: &str = "reboot: System halted";

/// The kernel's words when it starts the first program (init/main.c).
const FIRST_PROGRAM: &str = "Run /init as init process";

impl Outcome {
    /// Whether the kernel panicked before it came to start anything: that is the emulation's fault, and says nothing of what
    /// was to be started.
    fn began(&self) -> bool {
        self.console.contains(FIRST_PROGRAM) || !self.console.contains("Kernel panic")
    }
}

impl Vm {
    /// Runs the machine to its end. The console is kept in the log folder as NAME.log.
    ///
    /// # Errors
    /// When QEMU itself fails. How the guest fares is for the caller to judge.
    pub fn run(&self) -> Result<Outcome> {
        let outcome = self.run_once()?;
        if outcome.began() {
            return Ok(outcome);
        }
        println!("{}: the kernel panicked before it started anything; once more", self.name);
        self.run_once()
    }

    fn run_once(&self) -> Result<Outcome> {
        let scratch = tempfile::tempdir()?;
        let (console, report) = (scratch.path().join("console"), scratch.path().join("report"));
        let listener = UnixListener::bind(&console)?;
        let (sender, events) = mpsc::channel();
        follow_console(listener, sender.clone());

        let mut qemu = self.qemu();
        qemu.args(["-chardev", &format!("socket,id=console,path={}", console.display())])
            .args(["-serial", "chardev:console"])
            .args(["-chardev", &format!("file,id=report,path={}", report.display())])
            .args(["-device", "virtio-serial-pci", "-device"])
            .arg(format!("virtserialport,chardev=report,name={REPORT_PORT}"))
            .args(["-qmp", "stdio"]);
        let child = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.context("qemu-system-x86_64 cannot be run; `ci/install` installs it")?;
        let qmp = qmp::start(&mut child, sender, Event::News, Event::QemuEnded)?;
        let mut session = Session::new(self, qmp, &console);
        let end = session.follow(&events);
        let duration = session.start.elapsed();
        // It has ended by itself, or its time is up.
        child.kill()?;
        let status = child.wait()?;
        fs::create_dir_all(paths::logs())?;
        let log = format!("{}\n{}", self.cmdline(), session.text);
        fs::write(paths::logs().join(format!("{}.log", self.name)), log)?;
        let Some(end) = end? else {
            let mut said = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
            bail!("qemu-system-x86_64 ended by itself ({status}): {said}");
        };
        let report = fs::read_to_string(&report).unwrap_or_default();
        Ok(Outcome { end, console: session.text, times: session.times, duration, report })
    }
}

/// A running machine.
struct Session<'a> {
    vm: &'a Vm,
    qmp: Qmp,
    console: &'a Path,
    start: Instant,
    text: String,
    /// When each line of the text came.
    times: Vec<Duration>,
    /// Cues whose marker has not been seen.
    waiting: Vec<&'a Cue>,
    /// Cues whose marker has been seen, and when they are due.
    due: Vec<(Instant, &'a Cue)>,
    /// How the machine has ended, once that is known.
    end: Option<End>,
}

impl<'a> Session<'a> {
    fn new(vm: &'a Vm, qmp: Qmp, console: &'a Path) -> Self {
        let waiting = vm.cues.iter().collect();
        let (text, times, start) = (String::new(), Vec::new(), Instant::now());
        Self { vm, qmp, console, start, text, times, waiting, due: Vec::new(), end: None }
    }

    /// Follows the machine to its end; `None` when QEMU ended before the guest did.
    fn follow(&mut self, events: &Receiver<Event>) -> Result<Option<End>> {
        let deadline = Instant::now() + self.vm.timeout;
        let (mut console_open, mut running) = (true, true);
        while console_open || running {
            let wake = self.due.iter().map(|(when, _)| *when).fold(deadline, Instant::min);
            match events.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Event::Line(line)) => self.take_line(&line),
                Ok(Event::News(news)) => self.take_news(news),
                Ok(Event::ConsoleClosed) => console_open = false,
                Ok(Event::QemuEnded) => {
                    running = false;
                    // QEMU may have ended before it came to open the console, which is still waited for.
                    drop(UnixStream::connect(self.console));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => self.end = Some(End::TimedOut),
                Err(_) => {}
            }
            if running {
                self.act()?;
            }
            if matches!(self.end, Some(End::Halted | End::PowerCut | End::TimedOut)) {
                break;
            }
        }
        Ok(self.end)
    }

    fn take_line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
        self.times.push(self.start.elapsed());
        (self.vm.console)(line);
        if line.contains(HALTED) {
            self.end = Some(End::Halted);
        }
        for cue in self.waiting.extract_if(.., |cue| line.contains(&cue.marker)) {
            self.due.push((Instant::now() + cue.delay, cue));
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::Shutdown(Cause::GuestShutdown) => self.end = Some(End::PoweredOff),
            // A reset by the watchdog is announced twice.
            News::Shutdown(Cause::GuestReset) => self.end = self.end.or(Some(End::Rebooted)),
            News::Watchdog => self.end = Some(End::Watchdog),
            News::Shutdown(Cause::Other) => {}
        }
    }

    /// Does what is due by now.
    fn act(&mut self) -> Result<()> {
        let now = Instant::now();
        for (_, cue) in self.due.extract_if(.., |(when, _)| *when <= now) {
            match &cue.act {
                Act::Attach(number, drive) => {
                    let (id, port) = (hot_device(*number), format!("{HOT_PORT}{number}"));
                    let disk = drive.hot_add(self.vm.first_hot_drive() + number, &id, &port, HOT_USB);
                    self.qmp.execute("device_add", &disk)?;
                }
                Act::Detach(device) => self.qmp.execute("device_del", &json!({ "id": device }))?,
                Act::Starve(number) => self.qmp.execute("block_set_io_throttle", &cue::starved(*number))?,
                Act::CutPower => self.end = self.end.or(Some(End::PowerCut)),
            }
        }
        Ok(())
    }
}

fn follow_console(listener: UnixListener, events: Sender<Event>) {
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                // The receiver is gone when the machine was given up.
                let _ = events.send(Event::Line(text));
                line.clear();
            }
        }
        let _ = events.send(Event::ConsoleClosed);
    });
}
