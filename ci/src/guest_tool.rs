//! The `surefoot` command inside a guest's root.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::command::{command, run};
use crate::paths;
use crate::tree::Tree;

/// Where it is in the guest.
pub const PATH: &str = "usr/bin/surefoot";

/// Adds the tool with all libraries that it needs, each where this machine has it.
///
/// # Errors
/// When the tool has not been built.
pub fn add(tree: Tree) -> Result<Tree> {
    let tool = paths::program("surefoot")?;
    let mut tree = add_file(tree, PATH, &tool)?;
    let libraries = run(command("ldd").arg(&tool))?;
    let libraries: Vec<_> = libraries.split_ascii_whitespace().filter_map(|word| word.strip_prefix('/')).collect();
    ensure!(!libraries.is_empty(), "ldd names no library of {}", tool.display());
    for library in libraries {
        tree = add_file(tree, library, &Path::new("/").join(library))?;
    }
    Ok(tree)
}

fn add_file(mut tree: Tree, path: &str, source: &Path) -> Result<Tree> {
    let folders: Vec<_> = Path::new(path).ancestors().skip(1).filter(|folder| *folder != Path::new("")).collect();
    for folder in folders.into_iter().rev() {
        tree = tree.directory(&folder.to_string_lossy());
    }
    let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
    Ok(tree.file(path, content, 0o755))
}
