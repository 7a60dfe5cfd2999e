//! A power cut at any moment: what is written is recorded, and every image that can be left behind is judged.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::vec::Vec;

use crate::read::{ReadAt, ReadError};
use crate::write::{WriteAt, WriteError};

/// What reached the device, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These bytes, from this offset on.
    Write(u64, Vec<u8>),
    /// All that was written is on the medium from here on.
    Flush,
}

/// A disk that keeps a record of what is written to it.
#[derive(Debug)]
pub struct Recorder {
    /// What is on it.
    pub image: RefCell<Vec<u8>>,
    /// What was done.
    pub events: RefCell<Vec<Event>>,
    /// How many writes it still takes before all fail.
    pub writes_left: Cell<usize>,
    /// The byte that changes, as on a failing drive, when it is written.
    pub wears: Option<u64>,
    /// The byte that cannot be read until it is written.
    pub unreadable: Cell<Option<u64>>,
}

impl Recorder {
    /// A sound disk with this content.
    pub fn new(image: &[u8]) -> Self {
        let (image, events) = (RefCell::new(image.to_vec()), RefCell::default());
        Self { image, events, writes_left: Cell::new(usize::MAX), wears: None, unreadable: Cell::new(None) }
    }
}

impl ReadAt for Recorder {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if self.unreadable.get().is_some_and(|byte| holds(offset, buffer, byte)) {
            return Err(ReadError::Device(5));
        }
        self.image.borrow().as_slice().read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.image.borrow().len() as u64
    }
}

impl WriteAt for Recorder {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        self.writes_left.set(self.writes_left.get().checked_sub(1).ok_or(WriteError(5))?);
        let mut image = self.image.borrow_mut();
        write(&mut image, offset, bytes);
        self.unreadable.set(self.unreadable.get().filter(|byte| !holds(offset, bytes, *byte)));
        if let Some(worn) = self.wears.filter(|worn| holds(offset, bytes, *worn)) {
            image[usize::try_from(worn).unwrap()] ^= 1;
        }
        self.events.borrow_mut().push(Event::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.events.borrow_mut().push(Event::Flush);
        Ok(())
    }
}

/// Whether a byte of the disk is among these, which lie at `offset`.
fn holds(offset: u64, bytes: &[u8], byte: u64) -> bool {
    (offset..offset + bytes.len() as u64).contains(&byte)
}

fn write(image: &mut [u8], offset: u64, bytes: &[u8]) {
    let offset = usize::try_from(offset).unwrap();
    image[offset..][..bytes.len()].copy_from_slice(bytes);
}

/// Most sectors between two flushes of which any may be missing after a cut.
const MAX_SECTORS: usize = 8;

/// Calls `judge` with every image that a power cut can leave: all that was flushed, and of what was written since any
/// sectors at all, for a drive with a cache writes them in the order it likes. Where one write is of more than
/// [`MAX_SECTORS`] there are too many of these: then the first writes, whole.
pub fn every_cut(image: &[u8], events: &[Event], sector_size: u32, judge: &mut dyn FnMut(&[u8])) -> usize {
    let mut durable = image.to_vec();
    let mut count = 0;
    for epoch in events.split_inclusive(|event| *event == Event::Flush) {
        let writes = epoch
            .iter()
            .filter_map(|event| if let Event::Write(offset, bytes) = event { Some((*offset, bytes)) } else { None });
        let longest = writes.clone().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        let in_order = longest > MAX_SECTORS * sector_size as usize;
        let size = if in_order { longest } else { sector_size as usize };
        let pieces: Vec<_> =
            writes.flat_map(|(offset, bytes)| (offset..).step_by(size).zip(bytes.chunks(size))).collect();
        assert!(in_order || pieces.len() <= MAX_SECTORS, "{} sectors between two flushes", pieces.len());
        let cuts = if in_order { pieces.len() + 1 } else { 1 << pieces.len() };
        for which in 0..cuts {
            let mut cut = durable.clone();
            for (index, (offset, bytes)) in pieces.iter().enumerate() {
                if if in_order { index < which } else { which & 1 << index != 0 } {
                    write(&mut cut, *offset, bytes);
                }
            }
            judge(&cut);
        }
        count += cuts;
        for (offset, bytes) in &pieces {
            write(&mut durable, *offset, bytes);
        }
    }
    count
}
