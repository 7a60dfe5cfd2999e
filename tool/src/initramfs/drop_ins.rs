//! The command-line words that the image brings along: `/etc/cmdline.d/*.conf`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boot_config::cmdline::end_of;
use boot_config::error::Cause;
use boot_config::{Config, Sources};

use super::contents::Contents;
use super::module_file;
use crate::error::Error;

/// Packs the files, after PID 1's own parser has read them: a word that would fail the boot fails the build. Returns
/// remarks about keys that this version does not know.
pub(crate) fn pack(contents: &mut Contents, files: &[PathBuf]) -> Result<Vec<String>, Error> {
    let mut texts = BTreeMap::new();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.strip_suffix(".conf").is_none() {
            return Err(Error::usage("cannot pack configuration", file.display(), "its name does not end in .conf")
                .advice("PID 1 reads /etc/cmdline.d/*.conf in the order of the names."));
        }
        let text = String::from_utf8(module_file::read(file)?)
            .map_err(|_| Error::bad("cannot pack configuration", file.display(), "it is not UTF-8 text"))?;
        if end_of(&text) != "\n" {
            return Err(Error::bad("cannot pack configuration", file.display(), "a quote is opened, and not closed"));
        }
        contents.add_file(&format!("etc/cmdline.d/{name}"), text.clone())?;
        texts.insert(name, text + "\n");
    }
    let all: String = texts.values().map(String::as_str).collect();
    check(&all).map_err(|why| {
        let names: Vec<_> = texts.keys().copied().collect();
        Error::bad("cannot pack configuration", names.join(", "), why)
    })
}

/// Reads the words as PID 1 does. A word that needs another one, which the kernel's command line may bring, is no error.
fn check(words: &str) -> Result<Vec<String>, String> {
    let config = match Config::parse(Sources { drop_ins: words, ..Sources::default() }) {
        Ok(config) => config,
        Err(error) if matches!(error.cause, Cause::Needs { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let remark = |unknown: &boot_config::config::UnknownKey<'_>| match unknown.nearest {
        Some(nearest) => format!("{} is not a key of this version; most like it: {nearest}", unknown.key),
        None => format!("{} is not a key of this version", unknown.key),
    };
    Ok(config.unknown.iter().map(remark).collect())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_word_that_would_fail_the_boot_fails_the_build() {
        let error = check("root=LABEL=a\nsurefoot.verity=maybe\n").unwrap_err();
        assert!(error.starts_with("surefoot.verity=maybe in /etc/cmdline.d: "), "{error}");
    }

    #[test]
    fn an_unknown_key_is_remarked_with_its_neighbour() {
        let remarks = check("surefoot.etcc=ro\n").unwrap();
        assert_eq!(remarks, ["surefoot.etcc is not a key of this version; most like it: surefoot.etc"]);
    }

    #[test]
    fn words_of_other_programs_are_left_alone() {
        assert_eq!(check("quiet splash console=ttyS0\n"), Ok(Vec::new()));
    }
}
