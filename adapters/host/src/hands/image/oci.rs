//! An OCI image layout in a tar archive: which layers it has for this machine, and where they stand in it (OCI image specification 1.1,
//! image-layout.md).

use super::{Digest, tree::relative};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

/// The largest index or manifest that is read, in bytes: the size that registries have to take.
const LARGEST: u64 = 4 << 20;
/// How much of such is kept in memory at most, in bytes.
const MOST: usize = 64 << 20;
/// How deep indexes may stand in each other.
const DEPTH: usize = 4;

/// A layer, as it stands in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
    /// Its digest, as it is packed.
    pub digest: Digest,
    /// How it is packed.
    pub packing: Packing,
}

/// How a layer's tar archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(media_type: &str) -> io::Result<Self> {
        const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
        // Docker's own names, which layouts have that were made of its images.
        match media_type.strip_prefix(LAYER) {
            Some("") => Ok(Self::None),
            Some("+gzip") => Ok(Self::Gzip),
            Some("+zstd") => Ok(Self::Zstd),
            _ if media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Self::Gzip),
            _ => Err(invalid(format!("it has a layer of the unknown type {media_type:?}"))),
        }
    }
}

/// What refers to a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

/// This machine's processor, by the name that images have for it (Go's).
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Reads an archive to its end, and returns the layers of its image for a processor, the lowest first.
pub fn layers(archive: impl Read, architecture: &str) -> io::Result<Vec<Layer>> {
    let files = Files::read(archive)?;
    if !files.texts.contains_key("oci-layout") {
        return Err(invalid("it is neither a tar archive packed with zstd nor an OCI image layout".into()));
    }
    let index = files.texts.get("index.json").ok_or_else(|| invalid("its index.json is missing".into()))?;
    let mut index: Index = understood("index.json", index)?;
    for _ in 0..DEPTH {
        let chosen = chosen(&index, architecture)?;
        let text = files.blob(&chosen.digest)?;
        if chosen.media_type.contains(".index.") || chosen.media_type.contains(".list.") {
            index = understood(&chosen.digest, text)?;
            continue;
        }
        let manifest: Manifest = understood(&chosen.digest, text)?;
        return manifest.layers.iter().map(|layer| files.layer(layer)).collect();
    }
    Err(invalid("its indexes stand in each other too deeply".into()))
}

/// The image for this machine: Linux on a processor, or one of which that is not said.
fn chosen<'a>(index: &'a Index, architecture: &str) -> io::Result<&'a Descriptor> {
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
    let mut fitting = index.manifests.iter().filter(|image| image.platform.as_ref().is_none_or(fits));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(invalid(format!("it has no image for linux/{architecture}"))),
        (Some(_), Some(_)) => Err(invalid(format!("it has several images for linux/{architecture}"))),
    }
}

/// What stands in an archive.
#[derive(Default)]
struct Files {
    /// Where each file begins, and how long it is.
    places: BTreeMap<String, (u64, u64)>,
    /// What can be an index or a manifest.
    texts: BTreeMap<String, Vec<u8>>,
}

impl Files {
    fn read(archive: impl Read) -> io::Result<Self> {
        let mut files = Self::default();
        let mut kept = 0;
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = relative(&entry.path()?).display().to_string();
            let size = entry.size();
            files.places.insert(path.clone(), (entry.raw_file_position(), size));
            let mut text = Vec::new();
            if size <= LARGEST {
                entry.read_to_end(&mut text)?;
            }
            if text.trim_ascii_start().starts_with(b"{") && kept + text.len() <= MOST {
                kept += text.len();
                files.texts.insert(path, text);
            }
        }
        Ok(files)
    }

    /// A blob in memory, where it is what its digest says.
    fn blob(&self, digest: &str) -> io::Result<&[u8]> {
        let expected: Digest = digest.parse().map_err(io::Error::other)?;
        let text = self.texts.get(&path_of(&expected));
        let text = text.ok_or_else(|| invalid(format!("its blob {digest} is missing, or is no manifest")))?;
        let is =
            Sha256::digest(text).iter().fold("sha256:".to_owned(), |is, byte| is + &format!("{byte:02x}"));
        if is == expected.to_string() {
            Ok(text)
        } else {
            Err(invalid(format!("its blob {digest} has the digest {is}")))
        }
    }

    fn layer(&self, layer: &Descriptor) -> io::Result<Layer> {
        let digest: Digest = layer.digest.parse().map_err(io::Error::other)?;
        let packing = Packing::of(&layer.media_type)?;
        let place = self.places.get(&path_of(&digest));
        let (offset, size) = *place.ok_or_else(|| invalid(format!("its layer {digest} is missing")))?;
        Ok(Layer { offset, size, digest, packing })
    }
}

/// Where a blob stands.
fn path_of(digest: &Digest) -> String {
    Path::new("blobs").join(digest.to_string().replace(':', "/")).display().to_string()
}

fn understood<T: DeserializeOwned>(name: &str, text: &[u8]) -> io::Result<T> {
    serde_json::from_slice(text).map_err(|error| invalid(format!("{name} is not understood: {error}")))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
