//! The virtio-serial port that takes the report.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use surefoot_probe::{REPORT_PORT, Report};

/// The kernel makes the port's node some time after the driver is there, and nothing in the guest announces it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the report as one line of JSON.
pub(crate) fn send(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut port = fs::OpenOptions::new().write(true).open(wait()?)?;
    port.write_all(&line)?;
    port.flush()
}

fn wait() -> io::Result<PathBuf> {
    let start = Instant::now();
    loop {
        match find()? {
            Some(path) if path.exists() => return Ok(path),
            _ if start.elapsed() > PATIENCE => {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("no virtio-serial port {REPORT_PORT}")));
            }
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn find() -> io::Result<Option<PathBuf>> {
    let ports = match fs::read_dir("/sys/class/virtio-ports") {
        Ok(ports) => ports,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    for port in ports {
        let port = port?;
        if fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim_end() == REPORT_PORT) {
            return Ok(Some(PathBuf::from("/dev").join(port.file_name())));
        }
    }
    Ok(None)
}
