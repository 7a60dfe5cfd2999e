//! The kernel's announcements of devices (`NETLINK_KOBJECT_UEVENT`, Documentation/driver-api/driver-model).

use core::time::Duration;

use linux_raw_sys::general::__NR_recvfrom;
use linux_raw_sys::netlink::sockaddr_nl;
use rustix::fd::AsRawFd as _;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, netlink, socket_with, sockopt};

use crate::Errno;
use crate::call::system_call;
use crate::file::{AsFd, OwnedFd};
use crate::process;

/// Longest announcement (`UEVENT_BUFFER_SIZE` and the path in front of it).
pub const MAX_EVENT: usize = 4096;

/// Bytes that the kernel may queue for us: a machine that finds hundreds of devices at once must not overflow it.
const RECEIVE_BUFFER: usize = 8 << 20;

/// The port number of the kernel as a sender.
const KERNEL_PORT: u32 = 0;

/// The multicast group of the kernel's own messages; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;

/// A socket on which the kernel announces devices.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// One announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'b> {
    fields: &'b str,
}

/// What came out of a look at the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'b> {
    /// An announcement.
    Event(Event<'b>),
    /// Announcements were lost: everything must be looked at again, but only when [`Received::Nothing`] has been received.
    /// Until then the kernel goes on to drop what it announces, and does not say so again.
    Lost,
    /// Nothing for now.
    Nothing,
}

impl Socket {
    /// Starts listening. What happens from now on is queued, so bind first and look at sysfs afterwards.
    pub fn open() -> Result<Self, Errno> {
        Self::with_room(RECEIVE_BUFFER)
    }

    fn with_room(bytes: usize) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::KOBJECT_UEVENT);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, bytes)?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self(socket))
    }

    /// Waits until something is there to be received, at most `limit` (`None`: for ever). Gives whether there is.
    pub fn wait(&self, limit: Option<Duration>) -> Result<bool, Errno> {
        process::wait_readable(self.0.as_fd(), limit)
    }

    /// The next announcement, without waiting. Messages that are not the kernel's are dropped: a sender in user space
    /// has a port number, the kernel has none.
    pub fn receive<'b>(&self, buffer: &'b mut [u8; MAX_EVENT]) -> Result<Received<'b>, Errno> {
        loop {
            match self.message(buffer) {
                Ok((length, KERNEL_PORT)) => {
                    return Ok(Received::Event(Event::of(buffer.get(..length).unwrap_or_default())));
                }
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::NOBUFS) => return Ok(Received::Lost),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Socket {
    /// Takes one message: its length, and the port number of its sender (recvfrom(2), netlink(7)). The general way to
    /// decode an address knows every family, and is larger than all else that is done with the socket.
    fn message(&self, buffer: &mut [u8; MAX_EVENT]) -> Result<(usize, u32), Errno> {
        const UNKNOWN: sockaddr_nl = sockaddr_nl { nl_family: 0, nl_pad: 0, nl_pid: u32::MAX, nl_groups: 0 };
        let mut sender = UNKNOWN;
        let mut size = size_of::<sockaddr_nl>();
        let descriptor = usize::try_from(self.0.as_raw_fd()).map_err(|_| Errno::BADF)?;
        let place = buffer.as_mut_ptr() as usize;
        let (sender_place, size_place) = (&raw mut sender as usize, &raw mut size as usize);
        // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, at most `size` bytes to `sender`, in
        // which all bytes are valid, and a length of four bytes to `size`, which has room for them.
        #[allow(unsafe_code)]
        let length =
            unsafe { system_call(__NR_recvfrom, &[descriptor, place, buffer.len(), 0, sender_place, size_place])? };
        Ok((length, sender.nl_pid))
    }
}

impl<'b> Event<'b> {
    /// The announcement in a message of the kernel's. One that is no text has no fields.
    pub fn of(message: &'b [u8]) -> Self {
        Self { fields: core::str::from_utf8(message).unwrap_or_default() }
    }

    /// The value of `key`, for example `ACTION`, `SUBSYSTEM`, `DEVNAME` or `MODALIAS`.
    pub fn field(&self, key: &str) -> Option<&'b str> {
        self.fields.split('\0').find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has the kernel announce something, as whoever may administer this thread's network may: a message to port 0
    /// (lib/kobject_uevent.c, `uevent_net_rcv_skb`).
    struct Announcer(OwnedFd);

    /// `struct nlmsghdr`: the length, a type that the kernel passes on, and three fields that it does not read.
    fn message(text: &str) -> std::vec::Vec<u8> {
        let mut message = u32::try_from(16 + text.len()).unwrap().to_ne_bytes().to_vec();
        message.extend([0x10, 0]);
        message.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        message.extend(text.as_bytes());
        message
    }

    impl Announcer {
        fn new() -> Self {
            let protocol = Some(netlink::KOBJECT_UEVENT);
            Self(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol).unwrap())
        }

        fn announce(&self, name: &str) {
            let text = std::format!("add@/devices/{name}\0ACTION=add\0SUBSYSTEM=block\0DEVNAME={name}\0");
            let kernel = netlink::SocketAddrNetlink::new(KERNEL_PORT, 0);
            rustix::net::sendto(&self.0, &message(&text), rustix::net::SendFlags::empty(), &kernel).unwrap();
        }
    }

    /// The name of the device in the next announcement, or what came instead.
    fn next(socket: &Socket) -> std::string::String {
        match socket.receive(&mut [0; MAX_EVENT]).unwrap() {
            Received::Event(event) => event.field("DEVNAME").unwrap().into(),
            other => std::format!("{other:?}"),
        }
    }

    /// Needs root: the announcements are made in a network of the test's own, where nobody else hears them.
    #[test]
    fn what_does_not_fit_is_told_once_and_missed_until_all_is_taken() {
        crate::scratch::enter_network();
        let (socket, announcer) = (Socket::with_room(4096).unwrap(), Announcer::new());
        assert_eq!(next(&socket), "Nothing");
        announcer.announce("vda");
        assert_eq!(next(&socket), "vda");

        for number in 0..100 {
            announcer.announce(&std::format!("loop{number}"));
        }
        assert_eq!(next(&socket), "Lost");
        assert_eq!(next(&socket), "loop0");
        // There is room again, and still this one is dropped without a word.
        announcer.announce("vdb");
        let mut rest = std::vec::Vec::new();
        while let name = next(&socket)
            && name != "Nothing"
        {
            rest.push(name);
        }
        assert!(rest.len() < 99 && rest.iter().all(|name| name.starts_with("loop")), "{rest:?}");
        announcer.announce("vdc");
        assert_eq!((next(&socket).as_str(), next(&socket).as_str()), ("vdc", "Nothing"));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let event = Event::of(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=vda\0PARTN=\0");
        assert_eq!(Event::of(b"\xff").field(""), None);
        assert_eq!(event.field("ACTION"), Some("add"));
        assert_eq!(event.field("DEVNAME"), Some("vda"));
        assert_eq!(event.field("PARTN"), Some(""));
        assert_eq!(event.field("NAME"), None);
    }
}
