//! Programs of this machine inside a guest's root: the `surefoot` command, and any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{command, run};
use crate::paths;
use crate::tree::Tree;

/// Where the `surefoot` command is in the guest.
pub const PATH: &str = "usr/bin/surefoot";

/// Adds the `surefoot` command.
///
/// # Errors
/// When it has not been built.
pub fn add(tree: Tree) -> Result<Tree> {
    add_program(tree, PATH, &paths::program("surefoot")?)
}

/// Adds a program with all libraries that it needs, each where this machine has it.
///
/// # Errors
/// When one of them cannot be read.
pub fn add_program(tree: Tree, path: &str, program: &Path) -> Result<Tree> {
    let mut tree = add_file(tree, path, program)?;
    for library in libraries(command("ldd").arg(program))? {
        tree = add_file(tree, &library.to_string_lossy(), &Path::new("/").join(&library))?;
    }
    Ok(tree)
}

/// The libraries that a program needs by ldd(1), relative to the root.
pub(crate) fn libraries(ldd: &mut Command) -> Result<Vec<PathBuf>> {
    let words = run(ldd)?;
    let libraries: Vec<_> = words.split_ascii_whitespace().filter_map(|word| word.strip_prefix('/')).collect();
    ensure!(!libraries.is_empty(), "{ldd:?} names no library: {words}");
    Ok(libraries.into_iter().map(PathBuf::from).collect())
}

fn add_file(mut tree: Tree, path: &str, source: &Path) -> Result<Tree> {
    let path = tree.followed(path);
    let folders: Vec<_> = Path::new(&path).ancestors().skip(1).filter(|folder| *folder != Path::new("")).collect();
    for folder in folders.into_iter().rev() {
        tree = tree.directory(&folder.to_string_lossy());
    }
    let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
    Ok(tree.file(&path, content, 0o755))
}
