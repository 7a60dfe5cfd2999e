//! A power cut at any moment: what is written is recorded, and every image that can be left behind is judged.

use std::cell::RefCell;
use std::vec::Vec;

use crate::read::{ReadAt, ReadError};
use crate::write::{WriteAt, WriteError};

/// What reached the device, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk that keeps a record of what is written to it.
pub(crate) struct Recorder {
    pub(crate) image: RefCell<Vec<u8>>,
    pub(crate) events: RefCell<Vec<Event>>,
}

impl Recorder {
    pub(crate) fn new(image: &[u8]) -> Self {
        Self { image: RefCell::new(image.to_vec()), events: RefCell::default() }
    }
}

impl ReadAt for Recorder {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.image.borrow().as_slice().read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.image.borrow().len() as u64
    }
}

impl WriteAt for Recorder {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        write(&mut self.image.borrow_mut(), offset, bytes);
        self.events.borrow_mut().push(Event::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.events.borrow_mut().push(Event::Flush);
        Ok(())
    }
}

fn write(image: &mut [u8], offset: u64, bytes: &[u8]) {
    let offset = usize::try_from(offset).unwrap();
    image[offset..][..bytes.len()].copy_from_slice(bytes);
}

/// Calls `judge` with every image that a power cut can leave: all that was flushed, and of what was written since any
/// sectors at all, for a drive with a cache writes them in the order it likes.
pub(crate) fn every_cut(image: &[u8], events: &[Event], sector_size: u32, judge: &mut dyn FnMut(&[u8])) -> usize {
    let mut durable = image.to_vec();
    let mut cuts = 0;
    for epoch in events.split_inclusive(|event| *event == Event::Flush) {
        let sectors: Vec<_> = epoch
            .iter()
            .filter_map(|event| if let Event::Write(offset, bytes) = event { Some((*offset, bytes)) } else { None })
            .flat_map(|(offset, bytes)| {
                (offset..).step_by(sector_size as usize).zip(bytes.chunks(sector_size as usize))
            })
            .collect();
        assert!(sectors.len() <= 8, "{} sectors between two flushes", sectors.len());
        for which in 0..1_u32 << sectors.len() {
            let mut cut = durable.clone();
            for (index, (offset, bytes)) in sectors.iter().enumerate() {
                if which & 1 << index != 0 {
                    write(&mut cut, *offset, bytes);
                }
            }
            judge(&cut);
            cuts += 1;
        }
        for (offset, bytes) in &sectors {
            write(&mut durable, *offset, bytes);
        }
    }
    cuts
}
