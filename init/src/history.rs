//! The history of boots on the state device, so that the next ones can tell what became of this one.

use core::fmt::Write as _;

use sys::errno::Explained;

use crate::json::Json;
use crate::report::{FileWriter, Report};
use crate::text::Reason;
use crate::{places, reason};

/// Appends this boot, and has it on the medium: what is started now may panic at once.
#[inline(never)]
pub(crate) fn remember(report: &Report, deployment: &str) -> Result<(), Reason> {
    let failed = |errno| reason!("this boot is missing in its history: {}", Explained(errno));
    let file = sys::history::open(places::STATE).map_err(failed)?;
    let mut json = Json::new(FileWriter::new(file));
    let line = json.element(|json| {
        json.number("time", sys::clock::unix_seconds())?;
        json.member("deployment", deployment)?;
        json.member("kernel", sys::process::kernel_release::<128>())?;
        report.choice.standing(json)?;
        report.choice.fallback(json)?;
        report.failures(json)
    });
    let mut writer = json.finish();
    line.and_then(|()| writer.write_char('\n'))
        .and_then(|()| writer.flush())
        .map_err(|_| reason!("this boot is missing in its history: the state device takes no writes"))?;
    sys::block::flush(writer.file()).map_err(failed)
}
