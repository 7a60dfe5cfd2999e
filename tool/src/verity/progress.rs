//! How far the hashing is, on a terminal only.

use ::verity::Geometry;
use ::verity::image::{Progress, bytes_read};
use indicatif::{ProgressBar, ProgressStyle};

/// A line with bytes, speed and time left, that goes away with the value.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(work: &'static str, geometry: &Geometry) -> Self {
        let bar = ProgressBar::new(bytes_read(geometry)).with_message(work);
        let template = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
