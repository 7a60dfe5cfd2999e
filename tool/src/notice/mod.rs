//! `surefoot notice`: what whoever logs in should know about this boot.

mod text;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::output;
use crate::status;
use crate::status::history::{self, Boot};
use crate::status::report::BootReport;

/// Where login programs look for texts to show (pam_motd(8)).
const MOTD: &str = "/run/motd.d/60-surefoot";

/// Says that the machine runs a fallback, with less than was asked for, or insecurely; says nothing otherwise.
///
/// Meant for surefoot-notice.service: standard output is the journal, and the same text is shown at every login through
/// /run/motd.d. As root it also trims the history of the last boots.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The report of the boot.
    #[arg(long, value_name = "FILE", default_value = init::places::REPORT, hide = true)]
    report: PathBuf,

    /// The history of the last boots [default: that of the running system].
    #[arg(long, value_name = "FILE", hide = true)]
    history: Option<PathBuf>,

    /// Where the text is shown at login.
    #[arg(long, value_name = "FILE", default_value = MOTD, hide = true)]
    motd: PathBuf,
}

/// Prints the notice and puts it where logins show it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let report = status::read_report(&args.report)?;
    let history = args.history.as_deref().unwrap_or(Path::new(history::FILE));
    let boots = history::read(history);
    if args.history.is_some() || nix::unistd::geteuid().is_root() {
        // A history that cannot be trimmed is long, and nothing worse.
        if let Err(why) = history::trim(history) {
            anstream::eprintln!("surefoot: cannot trim {}: {why}", history.display());
        }
    }
    let text = text::notice(&report, &boots, this_boot(&report, &boots));
    if text.is_empty() {
        return match fs::remove_file(&args.motd) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(Error::file("cannot remove", &args.motd, &why)),
            _ => Ok(()),
        };
    }
    replace(&args.motd, text.as_bytes(), 0o644).map_err(|why| Error::file("cannot write", &args.motd, &why))?;
    output::print(text)
}

/// When this boot was, in seconds since 1970: as PID 1 has written it down, else by the clock.
fn this_boot(report: &BootReport, boots: &[Boot]) -> u64 {
    let noted = boots.last().filter(|boot| boot.deployment == report.deployment.name);
    noted.map_or_else(by_clock, |boot| boot.time)
}

fn by_clock() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs().saturating_sub(uptime)
}

/// Puts a file in place of the one that may be there; its folder is made if need be.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let new = path.with_file_name(name);
    // One that was cut off before is in the way; a link that lies there is not followed.
    let _ = fs::remove_file(&new);
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
