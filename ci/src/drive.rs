//! Disks of a virtual machine.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::disk::Disk;

/// How a disk is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk: `vda`.
    #[default]
    VirtioBlk,
    /// virtio-scsi: `sda`.
    VirtioScsi,
    /// NVMe: `nvme0n1`.
    Nvme,
    /// SATA on the board's AHCI controller: `sda`; 512-byte sectors only.
    Ahci,
    /// USB mass storage on an xHCI controller: `sda`.
    Usb,
    /// An SD card in a controller on PCI: `mmcblk0`; 512-byte sectors only.
    Sd,
}

/// A sector of 512 bytes that cannot be read (QEMU's `blkdebug`). A read that it is a part of fails as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number.
    pub sector: u64,
    /// Whether only the first such read fails.
    pub once: bool,
}

/// A disk image as a machine sees it.
#[derive(Clone, Debug)]
pub struct Drive {
    image: PathBuf,
    sector: u64,
    bus: Bus,
    keep_writes: bool,
    read_only: bool,
    log: Option<PathBuf>,
    throttle: Option<&'static str>,
    unreadable: Vec<Unreadable>,
}

impl Drive {
    /// A disk on virtio-blk whose writes are forgotten.
    pub fn new(disk: &Disk) -> Self {
        Self::of_image(&disk.path, disk.sector)
    }

    /// Any image with sectors of `sector` bytes, attached as [`Drive::new`] does.
    pub fn of_image(image: &Path, sector: u64) -> Self {
        Self {
            image: image.to_owned(),
            sector,
            bus: Bus::default(),
            keep_writes: false,
            read_only: false,
            log: None,
            throttle: None,
            unreadable: Vec::new(),
        }
    }

    /// Attaches it to another bus.
    #[must_use]
    pub fn on(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// Keeps what the guest writes in the image, for the next boot.
    #[must_use]
    pub fn keep_writes(mut self) -> Self {
        self.keep_writes = true;
        self
    }

    /// Makes the whole disk read-only to the guest.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Keeps what the guest writes, and records it in the empty file `log` in order (QEMU's driver `blklogwrites`).
    #[must_use]
    pub fn log_writes(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// Answers twenty requests a second and no more.
    #[must_use]
    pub fn slow(mut self) -> Self {
        self.throttle = Some("iops-total=20");
        self
    }

    /// Lets almost no byte through, from the start on: whoever reads it hangs.
    #[must_use]
    pub fn starved(mut self) -> Self {
        self.throttle = Some("bps-total=1");
        self
    }

    /// Whether it is a USB stick.
    pub(crate) fn is_usb(&self) -> bool {
        self.bus == Bus::Usb
    }

    /// Makes reads of a sector fail with an I/O error. What is written there is kept, and cannot be read either.
    #[must_use]
    pub fn unreadable(mut self, sector: Unreadable) -> Self {
        self.unreadable.push(sector);
        self
    }

    /// QEMU's `-drive` for it, named `drive{number}`.
    pub(crate) fn backend(&self, number: usize) -> String {
        let snapshot = if self.keep_writes || self.read_only { "off" } else { "on" };
        let read_only = if self.read_only { "on" } else { "off" };
        let quoted = |path: &Path| path.to_string_lossy().replace(',', ",,");
        let image = quoted(&self.image);
        if let Some(log) = &self.log {
            // A flush is not recorded where the cache mode lets nothing flush.
            return format!(
                "if=none,id=drive{number},driver=blklogwrites,cache=writeback,log-sector-size=512,log-super-update-interval=1,file.driver=raw,\
                 file.file.filename={image},log.driver=raw,log.file.filename={}",
                quoted(log)
            );
        }
        let throttle = self.throttle.map(|limit| format!(",throttling.{limit}")).unwrap_or_default();
        let file = if self.unreadable.is_empty() {
            format!("file={image}")
        } else {
            let rules = self.unreadable.iter().enumerate().map(|(rule, Unreadable { sector, once })| {
                let rule = format!("file.inject-error.{rule}");
                let once = if *once { "on" } else { "off" };
                format!(
                    ",{rule}.event=none,{rule}.iotype=read,{rule}.errno=5,{rule}.sector={sector},{rule}.once={once}"
                )
            });
            let blkdebug = format!("file.driver=blkdebug,file.image.driver=file,file.image.filename={image}");
            blkdebug + &rules.collect::<String>()
        };
        format!(
            "if=none,id=drive{number},{file},format=raw,cache=unsafe,snapshot={snapshot},readonly={read_only}{throttle}"
        )
    }

    /// QEMU's `-device` options for it, controllers first.
    pub(crate) fn devices(&self, number: usize) -> Vec<String> {
        let sector = self.sector;
        let blocks = format!("drive=drive{number},logical_block_size={sector},physical_block_size={sector}");
        match self.bus {
            Bus::VirtioBlk => vec![format!("virtio-blk-pci,{blocks}")],
            Bus::VirtioScsi => {
                vec![format!("virtio-scsi-pci,id=scsi{number}"), format!("scsi-hd,bus=scsi{number}.0,{blocks}")]
            }
            Bus::Nvme => vec![format!("nvme,serial=nvme{number},{blocks}")],
            Bus::Ahci => vec![format!("ide-hd,bus=ide.{number},{blocks}")],
            Bus::Sd => vec![format!("sdhci-pci,id=sd{number}"), format!("sd-card,bus=sd-bus,drive=drive{number}")],
            Bus::Usb => vec![format!("qemu-xhci,id=usb{number}"), format!("usb-storage,bus=usb{number}.0,{blocks}")],
        }
    }

    /// The arguments of QMP's `device_add` that attach it as the device `id`: as a virtio-blk disk behind the PCI port
    /// `port`, or as a USB stick on the controller `usb`.
    pub(crate) fn hot_add(&self, number: usize, id: &str, port: &str, usb: &str) -> Value {
        let (driver, bus) =
            if self.is_usb() { ("usb-storage", format!("{usb}.0")) } else { ("virtio-blk-pci", port.to_owned()) };
        json!({
            "driver": driver, "id": id, "bus": bus, "drive": format!("drive{number}"),
            "logical_block_size": self.sector, "physical_block_size": self.sector,
        })
    }
}
