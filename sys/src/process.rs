//! This process, its children, and the machine's last words.

use core::ffi::CStr;
use core::time::Duration;

use heapless::Vec;
use linux_raw_sys::general::{__NR_execve, __NR_exit_group, __NR_fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::system::RebootCommand;

use crate::Errno;
use crate::call::system_call;
use crate::file::{BorrowedFd, OwnedFd};
use crate::text::{Room, c};

/// Most arguments or environment entries that [`execute`] passes on, the closing null counted: the kernel itself gives
/// PID 1 at most 32 of each (`CONFIG_INIT_ENV_ARG_LIMIT`).
pub const MAX_STRINGS: usize = 64;

/// This process's number.
pub fn id() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Replaces this program by the one at `path` (execve(2)); comes back only with the reason why it could not.
pub fn execute<'a, 'e>(
    path: &CStr,
    mut arguments: impl Iterator<Item = &'a CStr>,
    mut environment: impl Iterator<Item = &'e CStr>,
) -> Errno {
    let arguments = pointers(&mut arguments);
    let environment = pointers(&mut environment);
    // SAFETY: execve reads three things: a NUL-terminated path (a `CStr`), and two arrays of pointers to
    // NUL-terminated strings that end in a null pointer (`pointers` builds them from `CStr`s that outlive the call).
    // It writes to no memory of this process; on success this program is gone.
    #[allow(unsafe_code)]
    let result = unsafe {
        system_call(__NR_execve, &[path.as_ptr() as usize, arguments.as_ptr() as usize, environment.as_ptr() as usize])
    };
    result.err().unwrap_or(Errno::INVAL)
}

fn pointers(strings: &mut dyn Iterator<Item = &CStr>) -> Vec<usize, MAX_STRINGS> {
    let mut pointers = Vec::new();
    for string in strings.take(MAX_STRINGS - 1) {
        let _ = pointers.push(string.as_ptr() as usize);
    }
    let _ = pointers.push(0);
    pointers
}

/// Starts the program at `path` in a child process and waits until it ends (fork(2), execve(2), waitpid(2)).
pub fn run(path: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> Result<(), Errno> {
    // SAFETY: fork takes no pointers. The program has one thread, so the child's copy of its memory is consistent;
    // the child calls nothing but execve and exit_group.
    #[allow(unsafe_code)]
    let child = unsafe { system_call(__NR_fork, &[])? };
    if child == 0 {
        // A shell wants a session with a terminal of its own for its signals; it works without, less comfortably.
        let _ = rustix::process::setsid();
        if let Ok(console) = use_console() {
            let _ = rustix::process::ioctl_tiocsctty(console);
        }
        execute(path, arguments.iter().copied(), environment.iter().copied());
        exit(127);
    }
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    loop {
        match waitpid(child, WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(()),
        }
    }
}

/// Makes `/dev/console` the standard input, output and error of this process and of what it starts.
pub fn use_console() -> Result<OwnedFd, Errno> {
    let console = rustix::fs::open(c"/dev/console", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    Ok(console)
}

/// Writes `text` to the standard error of this process, if it is open.
pub fn say(text: &str) {
    // SAFETY: the descriptor is borrowed for one write. This program opens nothing else as number 2; where the caller
    // left it closed, the write fails with EBADF.
    #[allow(unsafe_code)]
    let standard_error = unsafe { BorrowedFd::borrow_raw(2) };
    let _ = crate::file::write_to(standard_error, text.as_bytes());
}

/// Ends this process (exit_group(2)).
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: exit_group takes no pointers and does not return.
        #[allow(unsafe_code)]
        let _ = unsafe { system_call(__NR_exit_group, &[usize::from(status)]) };
    }
}

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It starts again.
    Reboot,
    /// It is switched off.
    Poweroff,
    /// It stops, with the power on.
    Halt,
}

/// Writes out what the filesystems hold (sync(2)) and ends the machine (reboot(2)). Comes back only with an error.
pub fn end_machine(ending: Ending) -> Errno {
    rustix::fs::sync();
    let command = match ending {
        Ending::Reboot => RebootCommand::Restart,
        Ending::Poweroff => RebootCommand::PowerOff,
        Ending::Halt => RebootCommand::Halt,
    };
    rustix::system::reboot(command).err().unwrap_or(Errno::INVAL)
}

/// Waits until `file` can be read or `limit` is over; `None` waits without limit. Gives whether it can be read.
pub fn wait_readable(file: BorrowedFd<'_>, limit: Option<Duration>) -> Result<bool, Errno> {
    let mut watched = [PollFd::from_borrowed_fd(file, PollFlags::IN)];
    match poll(&mut watched, limit.map(timespec).as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Does nothing for `time`.
pub fn pause(time: Duration) {
    // Only the time-out can end this: nothing is watched.
    let _ = poll(&mut [], Some(&timespec(time)));
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() }
}

/// Changes the current directory (chdir(2)).
pub fn enter(path: &str) -> Result<(), Errno> {
    rustix::process::chdir(c(path, &mut Room::new())?)
}

/// Makes the current directory this process's root (chroot(2)).
pub fn make_current_directory_root() -> Result<(), Errno> {
    rustix::process::chroot(c".")?;
    rustix::process::chdir(c"/")
}

/// The running kernel's release, as `uname -r` prints it.
pub fn kernel_release<const N: usize>() -> heapless::String<N> {
    let name = rustix::system::uname();
    name.release().to_str().ok().and_then(|text| heapless::String::try_from(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_not_started() {
        let none = core::iter::empty();
        assert_eq!(execute(c"/nonexistent/init", none.clone(), none), Errno::NOENT);
    }

    #[test]
    fn a_child_is_run_and_waited_for() {
        let path = std::format!("{}/surefoot-sys-run-{}", std::env::temp_dir().display(), std::process::id());
        let path = std::ffi::CString::new(path).unwrap();
        let _ = std::fs::remove_file(path.to_str().unwrap());
        run(c"/bin/touch", &[c"touch", &path], &[]).unwrap();
        assert!(std::fs::exists(path.to_str().unwrap()).unwrap());
    }
}
