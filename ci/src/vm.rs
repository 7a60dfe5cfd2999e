//! A virtual machine: what it consists of.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::accelerator;
use crate::command::command;
use crate::cue::{Act, Cue};
use crate::drive::Drive;
use crate::kernel::Kernel;

/// A machine that is not running yet.
#[derive(Clone, Debug)]
pub struct Vm {
    pub(crate) name: String,
    kernel: PathBuf,
    initramfs: PathBuf,
    words: Vec<String>,
    drives: Vec<Drive>,
    hot_adds: Vec<Drive>,
    pub(crate) cues: Vec<Cue>,
    memory_mib: u32,
    processors: u32,
    pub(crate) console: fn(&str),
    devices: Vec<String>,
    backends: Vec<String>,
    reboots: bool,
    counted: bool,
    pub(crate) timeout: Duration,
}

/// Words that every machine gets: messages on the serial console, a panic that ends the machine at once, and no panic
/// where the host is too busy for the kernel's check of its timer.
const ALWAYS: &str = "console=ttyS0 panic=-1 no_timer_check";

/// PCI port that hot-added disks are put behind.
pub(crate) const HOT_PORT: &str = "hotport";
/// USB controller that hot-added sticks are put into.
pub(crate) const HOT_USB: &str = "hotusb";

impl Vm {
    /// A machine with 512 MiB of memory and no disks. `name` names its console log.
    pub fn new(name: &str, kernel: &Kernel, initramfs: &Path) -> Self {
        Self {
            name: name.to_owned(),
            kernel: kernel.image.clone(),
            initramfs: initramfs.to_owned(),
            words: vec![ALWAYS.to_owned()],
            drives: Vec::new(),
            hot_adds: Vec::new(),
            cues: Vec::new(),
            memory_mib: 512,
            processors: 1,
            console: |_| (),
            devices: Vec::new(),
            backends: Vec::new(),
            reboots: false,
            counted: false,
            timeout: Duration::from_mins(3),
        }
    }

    /// Appends words to the kernel command line.
    #[must_use]
    pub fn append(mut self, words: &str) -> Self {
        self.words.push(words.to_owned());
        self
    }

    /// Attaches a disk. Disks on one bus are named by the kernel in the order in which they were attached here.
    #[must_use]
    pub fn drive(mut self, drive: Drive) -> Self {
        self.drives.push(drive);
        self
    }

    /// Attaches a disk, as virtio-blk or a USB stick, `delay` after the console has shown a line that contains `marker`.
    #[must_use]
    pub fn hot_add(mut self, marker: &str, delay: Duration, drive: Drive) -> Self {
        let act = Act::Attach(self.hot_adds.len(), drive.clone());
        self.hot_adds.push(drive);
        self.on_cue(marker, delay, act)
    }

    /// Pulls out the disk that was hot-added as number `number`, from 0, once the console has shown a line that contains
    /// `marker`.
    #[must_use]
    pub fn hot_remove(self, marker: &str, number: usize) -> Self {
        self.on_cue(marker, Duration::ZERO, Act::Detach(hot_device(number)))
    }

    /// Lets almost no byte of a disk through any more once the console has shown a line that contains `marker`: whoever
    /// reads it hangs. `number` counts the disks in the order in which they were attached, from 0.
    #[must_use]
    pub fn starve(self, marker: &str, number: usize) -> Self {
        self.on_cue(marker, Duration::ZERO, Act::Starve(number))
    }

    /// Kills the machine `delay` after the console has shown a line that contains `marker`. What the guest has written
    /// to disks that keep it stays written.
    #[must_use]
    pub fn cut_power(self, marker: &str, delay: Duration) -> Self {
        self.on_cue(marker, delay, Act::CutPower)
    }

    fn on_cue(mut self, marker: &str, delay: Duration, act: Act) -> Self {
        self.cues.push(Cue { marker: marker.to_owned(), delay, act });
        self
    }

    /// Adds a watchdog (Intel's 6300ESB) that resets the machine when it runs out.
    #[must_use]
    pub fn watchdog(self) -> Self {
        self.device("i6300esb")
    }

    /// Changes the memory, in MiB.
    #[must_use]
    pub fn memory_mib(mut self, memory: u32) -> Self {
        self.memory_mib = memory;
        self
    }

    /// Changes the number of processors; one by default.
    #[must_use]
    pub fn processors(mut self, processors: u32) -> Self {
        self.processors = processors;
        self
    }

    /// Has each console line shown as it comes.
    #[must_use]
    pub fn console(mut self, show: fn(&str)) -> Self {
        self.console = show;
        self
    }

    /// Attaches any other device, in the words of QEMU's `-device`.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        self.devices.push(device.to_owned());
        self
    }

    /// Adds what is behind a disk that is attached by [`Vm::device`], in the words of QEMU's `-drive`.
    #[must_use]
    pub fn backend(mut self, drive: &str) -> Self {
        self.backends.push(drive.to_owned());
        self
    }

    /// Changes how long the machine may run before that is a failure; three minutes by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets the machine boot again when the guest reboots, instead of ending there.
    #[must_use]
    pub fn reboots(mut self) -> Self {
        self.reboots = true;
        self
    }

    /// Lets the machine's time be the number of instructions that it has executed, one a nanosecond: on one processor, in
    /// emulation. Where it waits for a disk its time goes on to the next tick of its timer.
    #[must_use]
    pub fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// The number of the first hot-added drive: they follow the others.
    pub(crate) fn first_hot_drive(&self) -> usize {
        self.drives.len()
    }

    /// The kernel command line.
    pub fn cmdline(&self) -> String {
        self.words.join(" ")
    }

    /// QEMU with everything but the console and the report port.
    pub fn qemu(&self) -> Command {
        let mut qemu = command("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-action", if self.reboots { "reboot=reset" } else { "reboot=shutdown" }])
            .args(["-action", "watchdog=reset"])
            .args(["-machine", "q35", "-cpu", "max", "-accel"])
            .arg(if self.counted { "tcg" } else { accelerator::argument() })
            .args(["-m", &format!("{}M", self.memory_mib), "-smp", &self.processors.to_string()])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &self.cmdline()]);
        if self.counted {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        for (number, drive) in self.drives.iter().chain(&self.hot_adds).enumerate() {
            qemu.args(["-drive", &drive.backend(number)]);
            if number < self.first_hot_drive() {
                for device in drive.devices(number) {
                    qemu.args(["-device", &device]);
                }
            }
        }
        for (number, _) in self.hot_adds.iter().enumerate() {
            qemu.args(["-device", &format!("pcie-root-port,id={HOT_PORT}{number},chassis={}", number + 1)]);
        }
        if self.hot_adds.iter().any(Drive::is_usb) {
            qemu.args(["-device", &format!("qemu-xhci,id={HOT_USB}")]);
        }
        for backend in &self.backends {
            qemu.args(["-drive", backend]);
        }
        for device in &self.devices {
            qemu.args(["-device", device]);
        }
        qemu
    }
}

/// The name by which QEMU knows the hot-added disk of this number.
pub(crate) fn hot_device(number: usize) -> String {
    format!("hotdisk{number}")
}
