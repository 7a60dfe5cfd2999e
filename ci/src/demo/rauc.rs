//! RAUC bundles for the demonstration machine, made by what `dist/rauc` ships.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::paths;
use crate::slots::Image;

/// Who signs bundles.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    /// What the machine knows the signer by.
    pub(super) certificate: PathBuf,
    key: PathBuf,
}

/// A key made for this work tree.
pub(super) fn signer() -> Result<Signer> {
    let folder = cache::cached("demo", "rauc-signer", Key::default(), |folder| {
        fs::create_dir(folder)?;
        run(command("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"])
            .args(["-subj", "/O=surefoot/CN=demonstration", "-keyout"])
            .arg(folder.join("key.pem"))
            .arg("-out")
            .arg(folder.join("certificate.pem")))?;
        Ok(())
    })?;
    Ok(Signer { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") })
}

/// A signed bundle with an image that is to become the root.
///
/// # Errors
/// What `dist/rauc/make-bundle` says.
pub(super) fn bundle(image: &Image, version: &str) -> Result<PathBuf> {
    let (dist, signer) = (paths::workspace().join("dist/rauc"), signer()?);
    let (script, hook) = (dist.join("make-bundle"), dist.join("install-hook"));
    let key = Key::default().text(&image.tree.root_hash).file(&script)?.file(&hook)?.file(&signer.key)?;
    cache::cached("demo", &format!("update-{version}.raucb"), key, |bundle| {
        let scratch = tempfile::tempdir_in(paths::cache())?;
        let root = lay_out(image, scratch.path(), "root")?;
        run(command(&script.to_string_lossy()).arg(root).args(["surefoot-example", version]).args([
            &signer.certificate,
            &signer.key,
            bundle,
        ]))?;
        Ok(())
    })
}

/// Puts an image with its hash tree and root hash into a folder as `NAME`, `NAME.verity` and `NAME.roothash`.
pub(super) fn lay_out(image: &Image, folder: &Path, name: &str) -> Result<PathBuf> {
    let root = folder.join(name);
    put(&image.data, &root)?;
    put(&image.tree.image, &root.with_extension("verity"))?;
    fs::write(root.with_extension("roothash"), &image.tree.root_hash)?;
    Ok(root)
}

/// Puts a file of the cache somewhere else in it, without a second copy of its content.
pub(super) fn put(from: &Path, to: &Path) -> Result<()> {
    Ok(fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))?)
}
