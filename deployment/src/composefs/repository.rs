//! A composefs repository: what it says about itself in `meta.json`, and where images and objects lie in it.
//!
//! Source: composefs-rs 0.9, `repository_format.rs` and `repository.rs`. Paths are relative to the repository, which is
//! `/composefs` on the physical root.

use core::fmt::{self, Write};

use heapless::String;
use verity::{Algorithm, Digest};

use super::json::{Json, JsonError};

/// The repository's metadata. Where fs-verity is enabled on this very file, it is enabled on all objects.
pub const METADATA: &str = "meta.json";
/// The directory of the objects, the data-only layer of every deployment.
pub const OBJECTS: &str = "objects";
/// Most bytes of metadata that are worth reading: composefs writes about 220.
pub const MAX_METADATA: usize = 4096;
/// The newest version of the format that is known.
const VERSION: u32 = 1;

/// The longest path of an object or an image: `objects/`, a slash and the 128 digits of a SHA-512 digest.
pub const MAX_OBJECT_PATH: usize = 8 + 1 + 128;
/// The path of an object or an image.
pub type ObjectPath = String<MAX_OBJECT_PATH, u8>;

/// What a repository's metadata say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The fs-verity algorithm of all its objects, with blocks of 4096 bytes.
    pub algorithm: Algorithm,
}

impl Metadata {
    /// Reads the text of [`METADATA`]. Features that only writers must know are passed over, and so are unknown keys.
    pub fn parse(text: &str) -> Result<Self, RepositoryError<'_>> {
        let mut fields = Fields::default();
        let mut json = Json::new(text);
        json.object(&mut |json, key| fields.read(json, key)).and_then(|()| json.end())?;
        match (fields.version, fields.algorithm, fields.incompatible) {
            (None, ..) | (_, None, _) => Err(RepositoryError::Malformed),
            (Some(version), ..) if version > VERSION => Err(RepositoryError::Version(version)),
            (_, _, Some(feature)) => Err(RepositoryError::Feature(feature)),
            (_, Some("fsverity-sha256-12"), None) => Ok(Self { algorithm: Algorithm::Sha256 }),
            (_, Some("fsverity-sha512-12"), None) => Ok(Self { algorithm: Algorithm::Sha512 }),
            (_, Some(other), None) => Err(RepositoryError::Algorithm(other)),
        }
    }
}

/// What has been read of the metadata.
#[derive(Default)]
struct Fields<'a> {
    version: Option<u32>,
    algorithm: Option<&'a str>,
    has_features: bool,
    /// The first feature without which nothing can be read. There is none that is known.
    incompatible: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, json: &mut Json<'a>, key: &str) -> Result<(), JsonError> {
        let before = match key {
            "version" => self.version.replace(json.number()?).is_some(),
            "algorithm" => self.algorithm.replace(json.string()?).is_some(),
            "features" => {
                json.object(&mut |json, key| self.read_features(json, key))?;
                core::mem::replace(&mut self.has_features, true)
            }
            _ => return json.skip(),
        };
        if before { Err(JsonError) } else { Ok(()) }
    }

    fn read_features(&mut self, json: &mut Json<'a>, kind: &str) -> Result<(), JsonError> {
        if kind != "incompatible" {
            return json.skip();
        }
        json.array(&mut |json| {
            self.incompatible = Some(json.string()?);
            Ok(())
        })
    }
}

/// The path of the symbolic link that makes the object with this digest an image which may be mounted.
#[inline(never)]
pub fn image_path(digest: &Digest) -> ObjectPath {
    // Either digest fits.
    let mut path = ObjectPath::new();
    let _ = write!(path, "images/{digest}");
    path
}

/// The path of the object with this digest.
#[inline(never)]
pub fn object_path(digest: &Digest) -> ObjectPath {
    let mut path = ObjectPath::new();
    // The first byte names the directory, the other ones the file.
    for (index, byte) in digest.as_bytes().iter().enumerate() {
        let before = match index {
            0 => "objects/",
            1 => "/",
            _ => "",
        };
        // Either digest fits.
        let _ = write!(path, "{before}{byte:02x}");
    }
    path
}

/// The path of the image with this digest, given what the link at its [`image_path`] says. That is one text only,
/// `../objects/…` with this very digest, so that nobody needs to follow the link.
pub fn image_object<'l>(digest: &Digest, link: &'l str) -> Result<ObjectPath, RepositoryError<'l>> {
    let path = object_path(digest);
    if link.strip_prefix("../") == Some(path.as_str()) { Ok(path) } else { Err(RepositoryError::Link(link)) }
}

/// Why a repository cannot be used. The texts are the repository's; the caller adds which file it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryError<'a> {
    /// The metadata are not JSON, or lack something.
    Malformed,
    /// The metadata have this version.
    Version(u32),
    /// The repository has this algorithm.
    Algorithm(&'a str),
    /// Who does not know this feature must not use the repository.
    Feature(&'a str),
    /// The link of an image says this.
    Link(&'a str),
}

impl From<JsonError> for RepositoryError<'_> {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for RepositoryError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("is not a JSON object with version, algorithm and features, each once"),
            Self::Version(version) => write!(f, "has version {version}; versions up to {VERSION} are known"),
            Self::Algorithm(name) => {
                write!(
                    f,
                    "has the algorithm {}; known are fsverity-sha256-12 and fsverity-sha512-12",
                    name.escape_default()
                )
            }
            Self::Feature(name) => write!(f, "needs the feature {}, which is not known", name.escape_default()),
            Self::Link(text) => write!(f, "is a link to {}, not to the object of its own name", text.escape_default()),
        }
    }
}

impl core::error::Error for RepositoryError<'_> {}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String as StdString, ToString};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// As composefs 0.9.4 writes it.
    const WRITTEN: &str = r#"{
  "version": 1,
  "algorithm": "fsverity-sha256-12",
  "features": {
    "compatible": [],
    "read-only-compatible": [
      "v1_erofs"
    ],
    "incompatible": []
  },
  "erofs_formats": {
    "default": 1
  }
}
"#;

    #[test]
    fn metadata_are_read_as_they_are_written() {
        assert_eq!(Metadata::parse(WRITTEN), Ok(Metadata { algorithm: Algorithm::Sha256 }));
        let old = r#"{"algorithm":"fsverity-sha512-12","version":0,"new":[{"x":null}]}"#;
        assert_eq!(Metadata::parse(old), Ok(Metadata { algorithm: Algorithm::Sha512 }));
        let unknown = WRITTEN.replace("\"compatible\": []", "\"compatible\": [\"a\"], \"other\": 1");
        assert!(Metadata::parse(&unknown).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (from, to) in [
            ("}\n}", "}"),
            ("}\n}", "}\n} x"),
            ("\"version\": 1,", ""),
            ("\"version\": 1,", "\"version\": 1, \"version\": 1,"),
            ("\"version\": 1", "\"version\": \"1\""),
            ("\"version\": 1", "\"version\": 1.0"),
            ("\"version\": 1", "\"version\": -1"),
            ("\"version\": 1", "\"version\": 4294967296"),
            ("\"version\"", "\"vers\\u0069on\""),
            ("\"algorithm\": \"fsverity-sha256-12\",", ""),
            ("\"incompatible\": []", "\"incompatible\": null"),
            ("\"incompatible\": []", "\"incompatible\": [1]"),
            ("\"features\"", "\"features\": {}, \"features\""),
        ] {
            let text = WRITTEN.replacen(from, to, 1);
            assert_ne!(text, WRITTEN, "{from}");
            assert_eq!(Metadata::parse(&text), Err(RepositoryError::Malformed), "{to}");
        }
        let why = |from: &str, to: &str| Metadata::parse(&WRITTEN.replace(from, to)).unwrap_err().to_string();
        assert_eq!(why(": 1,", ": 2,"), "has version 2; versions up to 1 are known");
        assert_eq!(why("\"incompatible\": []", "\"incompatible\": [\"x\"]"), "needs the feature x, which is not known");
        assert_eq!(
            why("sha256-12", "sha256-16"),
            "has the algorithm fsverity-sha256-16; known are fsverity-sha256-12 and fsverity-sha512-12"
        );
    }

    #[test]
    fn an_image_is_the_object_of_its_own_name() {
        let digest = Digest::from_bytes(&[0xab; 32]).unwrap();
        let rest = "ab".repeat(31);
        assert_eq!(image_path(&digest), format!("images/ab{rest}").as_str());
        let link = format!("../objects/ab/{rest}");
        assert_eq!(image_object(&digest, &link).unwrap(), &link[3..]);
        for other in
            [&link[3..], &link[..link.len() - 1], &format!("{link}/"), &format!("../{link}"), &link.to_uppercase(), ""]
        {
            assert_eq!(image_object(&digest, other), Err(RepositoryError::Link(other)));
        }
    }

    proptest! {
        #[test]
        fn every_digest_has_paths(bytes in prop::sample::select(&[32_usize, 64]).prop_flat_map(|size| prop::collection::vec(any::<u8>(), size))) {
            let digest = Digest::from_bytes(&bytes).unwrap();
            let hex = digest.to_string();
            prop_assert_eq!(image_path(&digest).to_string(), format!("images/{hex}"));
            prop_assert_eq!(object_path(&digest).to_string(), format!("objects/{}/{}", &hex[..2], &hex[2..]));
        }

        #[test]
        fn no_text_panics(text: StdString, cut in 0..WRITTEN.len(), insert in "[\"{}\\[\\],:\\\\0-9é]{0,3}") {
            let _ = Metadata::parse(&text);
            let near: Vec<&str> = std::vec![&WRITTEN[..cut], &insert, &WRITTEN[cut..]];
            let _ = Metadata::parse(&near.concat());
            let _ = image_object(&Digest::from_bytes(&[0; 32]).unwrap(), &text);
        }
    }
}
