//! Fills the image: PID 1, modules with their index, firmware, the user's files.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::contents::{Contents, Node};
use super::firmware as firmware_files;
use super::index_files::IndexFiles;
use super::kernel_tree::KernelTree;
use super::modprobe_config;
use super::module_file;
use super::progress::Progress;
use super::selection::{Chosen, Selection};
use crate::error::Error;

/// What PID 1 expects to find whatever is packed: itself, mount points, and a console for messages before /dev is mounted.
pub(crate) fn skeleton(contents: &mut Contents, init: Vec<u8>) -> Result<(), Error> {
    for folder in ["dev", "etc", "proc", "run", "sys", "sysroot", "tmp"] {
        contents.add(folder, Node::Folder)?;
    }
    contents.add("dev/console", Node::Device { major: 5, minor: 1 })?;
    contents.add("init", Node::File { data: init, executable: true })
}

/// The modules, decompressed: some kernels cannot load compressed ones, and the image is compressed as a whole. Their bytes
/// stay as they are, signatures included.
pub(crate) fn modules(contents: &mut Contents, tree: &KernelTree, selection: &Selection<'_>) -> Result<(), Error> {
    let folder = format!("lib/modules/{}", tree.version);
    contents.add(&folder, Node::Folder)?;
    let chosen: Vec<&Chosen<'_>> = selection.modules().collect();
    let progress = Progress::new("packing modules", chosen.len());
    let read = |chosen: &&Chosen<'_>| progress.step(module_file::read(&chosen.module.file));
    let files: Vec<Vec<u8>> = chosen.par_iter().map(read).collect::<Result<_, _>>()?;
    for (chosen, data) in chosen.iter().zip(files) {
        contents.add_file(&format!("{folder}/{}", chosen.module.path), data)?;
    }
    let index = IndexFiles::of(chosen.iter().map(|chosen| chosen.module));
    contents.add_file(&format!("{folder}/modules.dep"), index.dep)?;
    contents.add_file(&format!("{folder}/modules.alias"), index.alias)?;
    contents.add_file(&format!("{folder}/modules.softdep"), index.softdep)?;
    let builtin = tree.modules.join("modules.builtin");
    if builtin.is_file() {
        contents.copy(&builtin, &format!("{folder}/modules.builtin"))?;
    }
    Ok(())
}

/// What a machine's modprobe.d says about the packed modules, in the one file that PID 1 reads; a file of the user's own
/// comes before it.
pub(crate) fn module_configuration(
    contents: &mut Contents,
    lines: &str,
    selection: &Selection<'_>,
) -> Result<(), Error> {
    const FILE: &str = "etc/modprobe.conf";
    let packed = selection.modules().map(|chosen| chosen.module.name.as_str()).collect();
    let lines = modprobe_config::about(lines, &packed);
    if lines.is_empty() || contents.has(FILE) { Ok(()) } else { contents.add_file(FILE, lines) }
}

/// The firmware of the packed modules; returns the names that were found nowhere.
pub(crate) fn firmware(
    contents: &mut Contents,
    tree: &KernelTree,
    selection: &Selection<'_>,
) -> Result<Vec<String>, Error> {
    let mut all_missing = BTreeSet::new();
    for chosen in selection.modules() {
        let (found, missing) = firmware_files::collect(tree, chosen.module)?;
        all_missing.extend(missing);
        for firmware in found {
            contents.add_file(&format!("lib/firmware/{}", firmware.name), firmware.data)?;
        }
    }
    Ok(all_missing.into_iter().collect())
}

/// What `--add SRC:DST` names.
pub(crate) fn additions(contents: &mut Contents, additions: &[String]) -> Result<(), Error> {
    for addition in additions {
        let Some((source, target)) = addition.rsplit_once(":/") else {
            return Err(Error::usage("cannot read --add", addition, "it is not SRC:DST with an absolute path DST"));
        };
        contents.copy(Path::new(source), target)?;
    }
    Ok(())
}
