//! Making an initramfs, beside others that make one.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::peers::Peers;
use super::section::{Section, kib, milliseconds, ratio};
use crate::initramfs;
use crate::kernel::Kernel;

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
        "An initramfs for kernel {}, by the clock, the least of {RUNS} runs. surefoot's has the drivers of all machines. \
         dracut makes the one that it boots from in the table above, without a search of the host; initramfs-tools makes its \
         usual one.",
        kernel.release
    );
    let mut section =
        Section::new("Making an initramfs", method, &["by", "time", "of surefoot's", "size", "of surefoot's"]);
    let scratch = tempfile::tempdir()?;
    let makers: [(&str, &Maker<'_>); 3] = [
        ("surefoot initramfs", &|output| initramfs::make(kernel, &[], output)),
        ("dracut", &|output| peers.dracut(output)),
        ("mkinitramfs", &|output| peers.initramfs_tools(output)),
    ];
    let mut first = None;
    for (name, make) in makers {
        let output = scratch.path().join("image");
        let times = (0..RUNS).map(|_| make(&output)).collect::<Result<Vec<_>>>()?;
        let time = times.into_iter().min().unwrap_or_default();
        let (time, bytes) = (u64::try_from(time.as_nanos())?, output.metadata()?.len());
        let (first_time, first_bytes) = *first.get_or_insert((time, bytes));
        section.push([
            name.to_owned(),
            milliseconds(time),
            ratio(time, first_time),
            kib(bytes),
            ratio(bytes, first_bytes),
        ]);
    }
    Ok(section)
}
