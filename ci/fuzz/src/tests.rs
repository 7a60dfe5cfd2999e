//! Every target on what is kept for it, and on what little changes make of that.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use boot_config::KEYS;

use crate::{TARGETS, Target};

/// Changed inputs that every target is given.
const MUTATIONS: usize = 2000;
/// Targets that compute many checksums, which is slow where nothing is optimised: they are given a tenth.
const SLOW: [&str; 3] = ["filesystem", "gpt", "ledger_file"];
/// The longest changed input, in bytes.
const MAX_INPUT: usize = 16 << 10;

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// The files of a folder, by name; none where there is no such folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    files(&folder("corpus").join(target))
}

fn regressions(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    files(&folder("regressions").join(target))
}

/// The words of a target's dictionary (libFuzzer's form: `"word"`, with `\xNN`, `\"` and `\\`).
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder("dictionaries").join(format!("{target}.dict"))).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).unwrap_or_else(|| panic!("{target}.dict: {line}"))).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                word.push(u8::from_str_radix(str::from_utf8(&[*high, *low]).ok()?, 16).ok()?);
                rest = after;
            }
            (b'\\', [byte @ (b'"' | b'\\'), after @ ..]) => {
                word.push(*byte);
                rest = after;
            }
            (b'\\' | b'"', _) => return None,
            (byte, _) => word.push(byte),
        }
    }
    (!word.is_empty()).then_some(word)
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        of.get(self.below(of.len()))
    }
}

/// One to four little changes of `input`.
fn changed(random: &mut Random, mut input: Vec<u8>, others: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let length = random.below(input.len().saturating_sub(at).min(32) + 1);
        match random.below(8) {
            0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => input
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]).unwrap()),
            2 => input.truncate(at),
            3 => drop(input.drain(at..at + length)),
            4 => {
                let piece = input[at..at + length].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = random.pick(others).cloned().unwrap_or_default();
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                let word = random.pick(words).cloned().unwrap_or_else(|| random.next().to_le_bytes().to_vec());
                input.splice(at..at, word);
            }
            _ => {
                let word = random.pick(words).cloned().unwrap_or_else(|| random.next().to_le_bytes().to_vec());
                let end = (at + word.len()).min(input.len());
                input.splice(at..end, word);
            }
        }
    }
    input.truncate(MAX_INPUT);
    input
}

/// Gives the input to the target; where that fails, keeps the input and says where.
fn run(name: &str, target: Target, input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let path = std::env::temp_dir().join(format!("surefoot-fuzz-{name}"));
        fs::write(&path, input).unwrap();
        let why = panic.downcast_ref::<String>().map_or("no text", String::as_str);
        panic!("{name} fails on {what}, which is kept in {}: {why}", path.display());
    }
}

fn all_inputs(name: &str, target: Target) {
    let (seeds, words) = (corpus(name), dictionary(name));
    for (path, input) in seeds.iter().chain(&regressions(name)) {
        run(name, target, input, &path.display().to_string());
    }
    let seeds: Vec<_> = seeds.into_iter().map(|(_, input)| input).collect();
    let seed = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random(seed);
    for number in 0..if SLOW.contains(&name) { MUTATIONS / 10 } else { MUTATIONS } {
        let input = random.pick(&seeds).cloned().unwrap_or_default();
        let input = changed(&mut random, input, &seeds, &words);
        run(name, target, &input, &format!("changed input {number}"));
    }
}

#[test]
fn every_target_holds_on_all_that_is_kept_and_on_what_is_near() {
    let left = Mutex::new(TARGETS.iter());
    let work = || {
        loop {
            let next = left.lock().unwrap().next();
            let Some((name, target)) = next else { break };
            all_inputs(name, *target);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
}

#[test]
fn every_target_has_a_corpus_and_nothing_else_has() {
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for name in &names {
        assert!(!corpus(name).is_empty(), "{name} has no corpus");
    }
    for (of, ending) in [("corpus", ""), ("regressions", ""), ("dictionaries", ".dict")] {
        for entry in fs::read_dir(folder(of)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let target = name.strip_suffix(ending).unwrap_or_else(|| panic!("{of}/{name}"));
            assert!(names.contains(target), "{of}/{name} belongs to no target");
        }
    }
}

#[test]
fn the_dictionary_of_the_command_line_has_every_key() {
    let words: BTreeSet<_> =
        dictionary("command_line").into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
    let known: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
    for key in &known {
        assert!(words.contains(*key) || words.contains(&format!("{key}=")), "{key} is missing in command_line.dict");
    }
    for key in words
        .iter()
        .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|word| word.strip_suffix('='))
    {
        assert!(known.contains(key), "command_line.dict has {key}, which is no key");
    }
}
