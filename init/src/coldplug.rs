//! Drivers for the devices that are there, and for those that appear later.

use core::time::Duration;

use boot_config::Config;
use sys::errno::Explained;
use sys::file;
use sys::uevent::{Event, MAX_EVENT, Received, Socket};

use crate::load::Tree;
use crate::text::Reason;
use crate::{log, path, reason};

/// Longest `modalias` of a device; input devices have the longest ones, storage is far below.
const ALIAS_CAPACITY: usize = 512;

/// The kernel's announcements of devices, and the modules that drive them.
#[derive(Debug)]
pub struct Hotplug<'a> {
    socket: Socket,
    tree: &'a Tree,
    config: &'a Config<'a>,
}

impl<'a> Hotplug<'a> {
    /// Starts to listen, then loads the drivers of all devices that are there already. In this order, so that no device
    /// can appear in between unseen.
    pub fn start(tree: &'a Tree, config: &'a Config<'a>) -> Result<Self, Reason> {
        let socket = Socket::open()
            .map_err(|errno| reason!("cannot listen for devices on a netlink socket: {}", Explained(errno)))?;
        for module in &config.preloaded_modules {
            tree.load(module, config)?;
        }
        let hotplug = Self { socket, tree, config };
        hotplug.coldplug();
        Ok(hotplug)
    }

    /// Waits until the kernel announces something, at most `limit` (`None`: for ever).
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), Reason> {
        self.socket.wait(limit).map(|_| ()).map_err(|errno| reason!("cannot wait for devices: {}", Explained(errno)))
    }

    /// Takes all announcements that are queued and loads the drivers that they call for. Gives whether block devices
    /// came, went or changed.
    pub fn settle(&self) -> Result<bool, Reason> {
        let mut buffer = [0; MAX_EVENT];
        let mut changed = false;
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(Received::Event(event)) => changed |= self.handle(&event),
                Ok(Received::Lost) => {
                    log::warn!("the kernel announced more devices at once than could be queued; looking at all again");
                    self.coldplug();
                    changed = true;
                }
                Ok(Received::Nothing) => return Ok(changed),
                Err(errno) => return Err(reason!("cannot receive device announcements: {}", Explained(errno))),
            }
        }
    }

    fn handle(&self, event: &Event<'_>) -> bool {
        if event.field("ACTION") == Some("add")
            && let Some(alias) = event.field("MODALIAS")
        {
            self.tree.load_for_device(alias, self.config);
        }
        event.field("SUBSYSTEM") == Some("block")
    }

    /// Loads the drivers of all devices on all buses. A bus or device that cannot be read has nothing to drive.
    fn coldplug(&self) {
        let _ = file::visit_directory("/sys/bus", &mut |bus| {
            let directory = path!("/sys/bus/{bus}/devices");
            let _ = file::visit_directory(&directory, &mut |device| {
                let mut buffer = [0; ALIAS_CAPACITY];
                if let Ok(alias) = file::read_text(&path!("{directory}/{device}/modalias"), &mut buffer) {
                    self.tree.load_for_device(alias, self.config);
                }
                true
            });
            true
        });
    }
}
