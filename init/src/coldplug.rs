//! Drivers for the devices that are there, and for those that appear later.

use core::cell::Cell;
use core::time::Duration;

use boot_config::Config;
use deployment::Facts;
use sys::Errno;
use sys::file;
use sys::uevent::{Event, MAX_EVENT, Received, Socket};

use crate::load::Tree;
use crate::plan::module_before_drivers;
use crate::text::{Reason, refused};
use crate::watchdog::Watchdog;
use crate::{log, path};

/// Longest `modalias` of a device; input devices have the longest ones, storage is far below.
const ALIAS_CAPACITY: usize = 512;

/// The folder of the kernel's in which the drivers of watchdogs are.
const WATCHDOGS: &str = "watchdog";

/// Most announcements that are taken between two looks at the disks.
const MAX_AT_ONCE: usize = 4096;

/// Where announcements come from.
pub trait Announcements {
    /// The next one, without waiting.
    fn receive<'b>(&self, buffer: &'b mut [u8; MAX_EVENT]) -> Result<Received<'b>, Errno>;
    /// Waits for it, at most `limit` (`None`: for ever).
    fn wait(&self, limit: Option<Duration>) -> Result<(), Errno>;
}

impl Announcements for Socket {
    fn receive<'b>(&self, buffer: &'b mut [u8; MAX_EVENT]) -> Result<Received<'b>, Errno> {
        Self::receive(self, buffer)
    }

    fn wait(&self, limit: Option<Duration>) -> Result<(), Errno> {
        Self::wait(self, limit).map(|_| ())
    }
}

/// The kernel's announcements of devices, and the modules that drive them.
#[derive(Debug)]
pub struct Hotplug<'a, S = Socket> {
    socket: S,
    tree: &'a Tree,
    config: &'a Config<'a>,
    /// Whether announcements were lost, and nothing was looked at since.
    lost: Cell<bool>,
}

impl<'a> Hotplug<'a> {
    /// Starts to listen, then loads the drivers of all devices that are there already. In this order, so that no device
    /// can appear in between unseen.
    ///
    /// `watchdog` is armed first, for a disk that never answers keeps its driver from ever coming back.
    pub fn start(tree: &'a Tree, config: &'a Config<'a>, watchdog: &mut Watchdog) -> Result<Self, Reason> {
        let socket = Socket::open().map_err(|errno| refused("listen for", "devices on a netlink socket", errno))?;
        let hotplug = Self { socket, tree, config, lost: Cell::new(false) };
        if watchdog.is_lacking() {
            hotplug.coldplug(Some(WATCHDOGS), watchdog);
        }
        for module in &config.preloaded_modules {
            tree.load(module, config)?;
            watchdog.keep_alive();
        }
        if let Some(module) = module_before_drivers(config) {
            // Whether it must be there is for the plan to say.
            let _ = tree.load(module, config);
            watchdog.keep_alive();
        }
        hotplug.coldplug(None, watchdog);
        Ok(hotplug)
    }
}

impl<S: Announcements> Hotplug<'_, S> {
    /// Takes the announcements that are queued and loads the drivers that they call for. What `facts` tell of a disk that
    /// went, or that is not what it was, is forgotten: another one may have come in its place, under its name.
    ///
    /// Of a flood so many are taken that there is time to look at the deadline; the rest is there when this is called
    /// again.
    pub fn settle(&self, facts: &mut Facts, watchdog: &mut Watchdog) -> Result<(), Reason> {
        let mut buffer = [0; MAX_EVENT];
        for _ in 0..MAX_AT_ONCE {
            match self.socket.receive(&mut buffer) {
                Ok(Received::Event(event)) => self.handle(&event, facts, watchdog),
                Ok(Received::Lost) => {
                    log::warn!("announcements of devices were lost; looking at all again");
                    self.lost.set(true);
                }
                // Until all that is queued has been taken the kernel goes on to drop, without another word.
                Ok(Received::Nothing) if self.lost.replace(false) => {
                    facts.clear();
                    self.coldplug(None, watchdog);
                }
                Ok(Received::Nothing) => break,
                Err(errno) => return Err(refused("receive", "device announcements", errno)),
            }
        }
        Ok(())
    }

    /// Waits until the kernel announces something, at most `limit` (`None`: for ever). Where announcements were lost and
    /// nothing was looked at since there may be none to wait for.
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), Reason> {
        let limit = if self.lost.get() { Some(Duration::ZERO) } else { limit };
        self.socket.wait(limit).map_err(|errno| refused("wait for", "devices", errno))
    }

    #[inline(never)]
    fn handle(&self, event: &Event<'_>, facts: &mut Facts, watchdog: &mut Watchdog) {
        let is_new = event.field("ACTION") == Some("add");
        if let Some(alias) = event.field("MODALIAS").filter(|_| is_new) {
            self.tree.load_for_device(alias, self.config, None);
            watchdog.keep_alive();
        }
        // Of other devices nothing is known by that name.
        if !is_new && let Some((_, name)) = event.field("DEVPATH").and_then(|path| path.rsplit_once('/')) {
            facts.remove(name);
        }
    }

    /// Loads the drivers of all devices on all buses, or of those alone that lie in a folder of this name. A bus or device
    /// that cannot be read has nothing to drive.
    #[inline(never)]
    fn coldplug(&self, folder: Option<&str>, watchdog: &mut Watchdog) {
        let _ = file::visit_directory("/sys/bus", &mut |bus| {
            if !self.tree.may_drive_devices_on(bus) {
                return true;
            }
            let directory = path!("/sys/bus/{bus}/devices");
            let _ = file::visit_directory(&directory, &mut |device| {
                let mut buffer = [0; ALIAS_CAPACITY];
                if let Ok(alias) = file::read_text(&path!("{directory}/{device}/modalias"), &mut buffer) {
                    self.tree.load_for_device(alias, self.config, folder);
                    watchdog.keep_alive();
                }
                true
            });
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use deployment::BlockDevice;
    use deployment::facts::{DeviceNumber, Disk, DiskIdentity};

    use super::*;

    /// Announcements as they come, the last one first: a line for each field, `lost`, or `nothing`.
    struct Script(RefCell<std::vec::Vec<&'static str>>);

    impl Announcements for Script {
        fn receive<'b>(&self, buffer: &'b mut [u8; MAX_EVENT]) -> Result<Received<'b>, Errno> {
            let text = self.0.borrow_mut().pop().unwrap_or("nothing");
            match text {
                "nothing" => return Ok(Received::Nothing),
                "lost" => return Ok(Received::Lost),
                _ => {}
            }
            let room = &mut buffer[..text.len()];
            room.copy_from_slice(text.replace('\n', "\0").as_bytes());
            Ok(Received::Event(Event::of(room)))
        }

        /// What would wait for ever is an error.
        fn wait(&self, limit: Option<Duration>) -> Result<(), Errno> {
            if limit.is_none() && self.0.borrow().is_empty() { Err(Errno::TIMEDOUT) } else { Ok(()) }
        }
    }

    fn disk(name: &str) -> BlockDevice {
        let identity = DiskIdentity { name, number: DeviceNumber::default(), sector_size: 512, read_only: false };
        Disk::probe(&[0; 4096].as_slice(), &identity).device().clone()
    }

    const ADDED: &str = "ACTION=add\nSUBSYSTEM=block\nDEVPATH=/devices/x/block/sda";
    const REMOVED: &str = "ACTION=remove\nSUBSYSTEM=block\nDEVPATH=/devices/x/block/sda";
    const CHANGED: &str = "ACTION=change\nSUBSYSTEM=block\nDEVPATH=/devices/x/block/sda";
    const OTHER: &str = "ACTION=remove\nSUBSYSTEM=bdi\nDEVPATH=/devices/virtual/bdi/8:0";

    /// What is still known of the disks `sda` and `sdb` after one look at these announcements, and after another one, should
    /// the wait for it end.
    fn known_after(script: &[&'static str]) -> [std::vec::Vec<std::string::String>; 2] {
        let (tree, config) = (Tree::open(), Config::parse(boot_config::Sources::default()).unwrap());
        let socket = Script(RefCell::new(script.iter().rev().copied().collect()));
        let hotplug = Hotplug { socket, tree: &tree, config: &config, lost: Cell::new(false) };
        let mut facts = Facts::new();
        for name in ["sda", "sdb"] {
            facts.insert(disk(name)).unwrap();
        }
        let mut ends = true;
        [(); 2].map(|()| {
            if ends {
                hotplug.settle(&mut facts, &mut Watchdog::default()).unwrap();
            }
            ends = hotplug.wait(None).is_ok();
            facts.devices().iter().map(|device| device.name.as_str().into()).collect()
        })
    }

    #[test]
    fn a_disk_that_went_is_forgotten_even_where_its_name_is_taken_again() {
        assert_eq!(known_after(&[REMOVED, ADDED])[0], ["sdb"]);
        assert_eq!(known_after(&[CHANGED])[0], ["sdb"]);
        assert_eq!(known_after(&[ADDED, OTHER])[0], ["sda", "sdb"]);
    }

    #[test]
    fn after_a_loss_all_is_looked_at_again_once_all_is_taken() {
        assert!(known_after(&["lost", ADDED])[0].is_empty());
        // A flood leaves the rest for the next time.
        let mut flood = std::vec!["lost"];
        flood.resize(MAX_AT_ONCE + 10, ADDED);
        assert_eq!(known_after(&flood).map(|known| known.len()), [2, 0]);
        // So many that none is left, and that it is not known yet.
        assert_eq!(known_after(&flood[..MAX_AT_ONCE]).map(|known| known.len()), [2, 0]);
        assert_eq!(known_after(&flood[1..]).map(|known| known.len()), [2, 2]);
    }
}
