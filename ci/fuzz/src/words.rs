//! The words of the command line, of bootconfig and of drop-in files, and what stands in them.

use std::fmt::Write;

use boot_config::cmdline::{Word, Words};
use boot_config::composefs::ComposefsDigest;
use boot_config::spec::{PartUuid, RootHashes};
use boot_config::{Config, DeviceSpec, Sources, bootconfig};
use overlay::MountOptions;
use verity::{RootHash, Salt, Uuid};

use crate::input::{text, texts};

/// Command line, bootconfig and drop-in files as one configuration: every value of it is written as it is read.
pub(crate) fn command_line(input: &[u8]) {
    let [cmdline, bootconfig, drop_ins] = texts(input);
    for text in [cmdline, drop_ins] {
        words_are_of(text);
    }
    match Config::parse(Sources { drop_ins, bootconfig, cmdline }) {
        Ok(config) => config_is_whole(&config),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn words_are_of(text: &str) {
    let words = Words::new(text);
    assert!(words.clone().count() <= text.len());
    assert!(words.clone().all(|word| text.contains(word.key) && word.value.is_none_or(|value| text.contains(value))));
    assert!(words.init_arguments().is_none_or(|words| words.count() <= text.len()));
}

fn config_is_whole(config: &Config<'_>) {
    let verity = [&config.root_verity, &config.usr_verity].into_iter().flatten();
    let devices = [config.root.device, config.usr.device, config.disk].into_iter();
    devices.chain(verity.flat_map(|verity| [verity.data, verity.hash])).flatten().for_each(is_written_as_read);
    for hash in config.accepted_hashes() {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
    for image in &config.composefs {
        assert_eq!(image.to_string().parse(), Ok(*image));
    }
    for options in [&config.root.options, &config.usr.options] {
        let _ = MountOptions::parse(options.iter().copied());
    }
    for unknown in &config.unknown {
        assert!(unknown.key.starts_with("surefoot.") && !unknown.to_string().is_empty());
    }
    for name in ["", "deployment"] {
        if let Err(why) = overlay::layers(config, name, &["/var"]) {
            assert!(!why.to_string().is_empty());
        }
    }
    // What no quote is in is split by the kernel into just this parameter.
    for parameter in config.module_parameters("m") {
        let plain = |text: &str| !text.contains(['"', ' ', '\t', '\n', '\x0b', '\x0c', '\r']);
        if plain(parameter.name) && !parameter.value.is_some_and(|value| value.contains('"')) {
            let shown = parameter.to_string();
            let mut words = Words::new(&shown);
            let word = Word { key: parameter.name, value: parameter.value };
            assert_eq!((words.next(), words.next()), (Some(word), None), "{shown}");
        }
    }
}

fn is_written_as_read(spec: DeviceSpec<'_>) {
    assert_eq!(DeviceSpec::parse(&spec.to_string()), Ok(spec));
}

/// The words of `/proc/bootconfig`, written once more as the kernel writes them.
pub(crate) fn bootconfig(input: &[u8]) {
    let text = text(input);
    let words: Vec<_> = bootconfig::Words::new(text).map(|word| (word.key, word.value.unwrap_or_default())).collect();
    assert!(words.len() <= text.len());
    let mut written = String::new();
    for (key, value) in &words {
        let quote = if value.contains('"') { '\'' } else { '"' };
        writeln!(written, "{key} = {quote}{value}{quote}").unwrap();
    }
    let again = bootconfig::Words::new(&written).map(|word| (word.key, word.value.unwrap_or_default()));
    assert_eq!(again.collect::<Vec<_>>(), words);
}

/// Two files of `/etc/cmdline.d`, joined as PID 1 joins them: the words of the one, then those of the other.
pub(crate) fn drop_ins(input: &[u8]) {
    let [first, second] = texts(input);
    let joined = format!("{first}\n{second}\n");
    let all = Words::new(&joined);
    // A quote that is never closed, and dashes, reach beyond the end of a file.
    let is_closed = first.matches('"').count().is_multiple_of(2) && Words::new(first).init_arguments().is_none();
    if is_closed && second.matches('"').count().is_multiple_of(2) {
        assert!(all.clone().eq(Words::new(first).chain(Words::new(second))), "{joined:?}");
    }
    if Config::parse(Sources { drop_ins: &joined, ..Sources::default() }).is_ok() {
        assert!(all.init_arguments().is_none());
    }
}

/// Names of devices and partitions.
pub(crate) fn device_spec(input: &[u8]) {
    let text = text(input);
    match DeviceSpec::parse(text) {
        Ok(spec) => is_written_as_read(spec),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    if let Ok(uuid) = text.parse::<PartUuid>() {
        assert_eq!(uuid.to_string().parse(), Ok(uuid));
    }
}

/// Mount options.
pub(crate) fn mount_options(input: &[u8]) {
    let text = text(input);
    match MountOptions::parse([text]) {
        Ok(options) => {
            assert!((options.set.bits() & options.cleared.bits()) == 0);
            let shown = options.to_string();
            assert_eq!(MountOptions::parse([shown.as_str()]), Ok(options), "{shown}");
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// Root hashes, UUIDs, salts and digests.
pub(crate) fn hashes(input: &[u8]) {
    let text = text(input);
    if let Ok(hash) = text.parse::<RootHash>() {
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
        assert_eq!(RootHash::from_bytes(hash.as_bytes()), Ok(hash));
        assert_eq!(hash.data_partition().is_some(), hash.hash_partition().is_some());
    }
    if let Ok(hashes) = RootHashes::parse(text) {
        assert_eq!(hashes.iter().count(), text.split(',').count());
    }
    if let Ok(uuid) = text.parse::<Uuid>() {
        assert_eq!(uuid.to_string(), text.to_ascii_lowercase());
        assert_eq!(Uuid::from_mixed_endian(uuid.to_mixed_endian()), uuid);
    }
    if let Ok(salt) = text.parse::<Salt>() {
        assert_eq!(salt.to_string().parse(), Ok(salt));
    }
    if let Ok(image) = text.parse::<ComposefsDigest>() {
        assert_eq!(image.to_string().parse(), Ok(image));
    }
}
