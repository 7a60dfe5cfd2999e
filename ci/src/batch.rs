//! Work that is done many times over: how often, shared among how many, and how long it took.

use std::fmt;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

/// How often something is to be done: as the environment variable `name` asks for, else `usual`.
///
/// # Errors
/// When the variable holds no number.
pub fn count(name: &str, usual: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}: a number is wanted")),
        Err(_) => Ok(usual),
    }
}

/// How many of `all` fall to the one with this number, from 0, among so many.
pub fn share(all: u64, number: u64, among: u64) -> u64 {
    all / among + u64::from(number < all % among)
}

/// Does the work for each item, all at once, and gives the results in the order of the items.
pub fn each<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    let work = &work;
    thread::scope(|scope| {
        let lanes: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))).collect()
    })
}

/// The time since a moment, in minutes and seconds.
#[derive(Clone, Copy, Debug)]
pub struct Since(pub Instant);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.elapsed().as_secs();
        write!(f, "{} min {} s", seconds / 60, seconds % 60)
    }
}
