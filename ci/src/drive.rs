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
    unreadable: Vec<Unreadable>,
}

impl Drive {
    /// A disk on virtio-blk whose writes are forgotten.
    pub fn new(disk: &Disk) -> Self {
        Self::of_image(&disk.path, disk.sector)
    }

    /// Any image with sectors of `sector` bytes, attached as [`Drive::new`] does.
    pub fn of_image(image: &Path, sector: u64) -> Self {
        let (image, bus, unreadable) = (image.to_owned(), Bus::default(), Vec::new());
        Self { image, sector, bus, keep_writes: false, read_only: false, unreadable }
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
        let image = self.image.to_string_lossy().replace(',', ",,");
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
        format!("if=none,id=drive{number},{file},format=raw,cache=unsafe,snapshot={snapshot},readonly={read_only}")
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

    /// The arguments of QMP's `device_add` that attach it as a virtio-blk disk behind the PCI port `port`.
    pub(crate) fn hot_add(&self, number: usize, port: &str) -> Value {
        json!({
            "driver": "virtio-blk-pci", "bus": port, "drive": format!("drive{number}"),
            "logical_block_size": self.sector, "physical_block_size": self.sector,
        })
    }
}
