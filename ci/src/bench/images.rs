//! Making an initramfs, beside others that make one.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::peers::{For, Peers};
use super::section::{Section, kib, milliseconds, ratio};
use crate::initramfs;
use crate::kernel::Kernel;
use crate::size::for_virtio_machine;

/// How often each of them runs: the quickest counts.
const RUNS: usize = 3;

/// Who makes an initramfs at a path, and how long that takes.
type Maker<'m> = dyn Fn(&Path) -> Result<Duration> + 'm;

/// The table of those who make an initramfs for the same kernel.
///
/// # Errors
/// What they say.
pub fn compare(kernel: &Kernel, peers: &Peers) -> Result<Section> {
    let method = format!(
        "An initramfs for kernel {}, by the clock, the least of {RUNS} runs: for all machines that the kernel has drivers for, \
         and for the one that is measured above, which all but initramfs-tools can be told. Each compresses as it does by default. \
         dracut has the least of its modules that boots the root.",
        kernel.release
    );
    let mut section =
        Section::new("Making an initramfs", method, &["by", "time", "of surefoot's", "size", "of surefoot's"]);
    let scratch = tempfile::tempdir()?;
    let host_only = for_virtio_machine()?;
    let host_only = host_only.each_ref().map(String::as_str);
    let for_all: [(&str, &Maker<'_>); 3] = [
        ("surefoot, for all machines", &|output| initramfs::make(kernel, &[], output)),
        ("dracut, for all machines", &|output| peers.dracut(For::AllMachines, output)),
        ("mkinitramfs, for all machines", &|output| peers.initramfs_tools(output)),
    ];
    let for_one: [(&str, &Maker<'_>); 2] = [
        ("surefoot, for this machine", &|output| initramfs::make(kernel, &host_only, output)),
        ("dracut, for this machine", &|output| peers.dracut(For::ThisMachine, output)),
    ];
    for makers in [&for_all[..], &for_one] {
        let mut ours = None;
        for (name, make) in makers {
            let output = scratch.path().join("image");
            let times = (0..RUNS).map(|_| make(&output)).collect::<Result<Vec<_>>>()?;
            let time = times.into_iter().min().unwrap_or_default();
            let (time, bytes) = (u64::try_from(time.as_nanos())?, output.metadata()?.len());
            let (our_time, our_bytes) = *ours.get_or_insert((time, bytes));
            let (of_time, of_bytes) = (ratio(time, our_time), ratio(bytes, our_bytes));
            section.push([(*name).to_owned(), milliseconds(time), of_time, kib(bytes), of_bytes]);
        }
    }
    Ok(section)
}
