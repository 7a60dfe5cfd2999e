//! Signatures of commits (ostree's "ed25519"), made by OpenSSL: Debian's ostree is built without them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Key};
use crate::command::{command, run};

/// An ed25519 key.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    private: PathBuf,
    /// The public key in base64, as the file that `keypath=` names has it.
    pub(super) public: String,
}

impl Signer {
    /// The key of this name, made for this work tree.
    pub(super) fn new(name: &str) -> Result<Self> {
        let folder = cache::cached("ostree", "signer", Key::default().text(name), |folder| {
            fs::create_dir(folder)?;
            let private = folder.join("key.pem");
            run(command("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&private))?;
            let mut public = command("openssl");
            public.args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(&private);
            let public = public.arg("-out").arg(folder.join("public.der"));
            run(public).map(drop)
        })?;
        // SubjectPublicKeyInfo of RFC 8410: the key's 32 bytes come last.
        let der = fs::read(folder.join("public.der"))?;
        let key =
            der.len().checked_sub(32).and_then(|start| der.get(start..)).context("a public key that is too short")?;
        let raw = tempfile::NamedTempFile::new()?;
        fs::write(&raw, key)?;
        let public = run(command("openssl").args(["base64", "-A", "-in"]).arg(raw.path()))?;
        Ok(Self { private: folder.join("key.pem"), public: public.trim().to_owned() })
    }

    /// Signs a commit: writes its detached metadata beside its object.
    pub(super) fn sign(&self, repo: &Path, checksum: &str) -> Result<()> {
        let (prefix, rest) = checksum.split_at_checked(2).context("no checksum")?;
        let object = repo.join("objects").join(prefix).join(format!("{rest}.commit"));
        let signature = tempfile::NamedTempFile::new()?;
        let mut sign = command("openssl");
        sign.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(&self.private);
        run(sign.arg("-in").arg(&object).arg("-out").arg(signature.path()))?;
        let signature = fs::read(signature.path())?;
        ensure!(signature.len() == 64, "a signature of {} bytes", signature.len());
        Ok(fs::write(object.with_extension("commitmeta"), detached_metadata(&signature))?)
    }
}

/// `{'ostree.sign.ed25519': <[signature]>}`, a GVariant of type a{sv} (GVariant specification, sections 2.3 and 2.5): each
/// container ends with the offsets, one byte each here, at which its parts of variable size end; none for the last part of a
/// dictionary entry.
fn detached_metadata(signature: &[u8]) -> Vec<u8> {
    const KEY: &[u8] = b"ostree.sign.ed25519\0";
    let offset = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let mut entry = KEY.to_vec();
    // A variant is aligned to 8 bytes. It is followed by its type.
    entry.resize(KEY.len().next_multiple_of(8), 0);
    entry.extend_from_slice(signature);
    entry.push(offset(signature.len()));
    entry.extend_from_slice(b"\0aay");
    entry.push(offset(KEY.len()));
    let end = offset(entry.len());
    entry.push(end);
    entry
}
