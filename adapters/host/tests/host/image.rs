//! Images: unpacked, left out, altered, cut short.

use lab_host::command::Processes;
use lab_host::hands::{Digest, Hands, HandsError, UnpackError};
use serde_json::json;
use std::io::{Cursor, Read, Write};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// A small system as an image.
fn image() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, link: Option<&str>, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o640 });
        header.set_size(text.len() as u64);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        match link {
            Some(link) => archive.append_link(&mut header, path, link).unwrap(),
            None => archive.append_data(&mut header, path, text.as_bytes()).unwrap(),
        }
    };
    add("./etc", T::Directory, None, "");
    add("./etc/os-release", T::Regular, None, "ID=debian\n");
    add("./etc/again", T::Link, Some("./etc/os-release"), "");
    add("./bin", T::Symlink, Some("usr/bin"), "");
    add("./dev", T::Directory, None, "");
    add("./dev/null", T::Char, None, "");
    add("./home", T::Directory, None, "");
    add("./home/somebody", T::Directory, None, "");
    add("./home/somebody/file", T::Regular, None, "of the image");
    let random: String = (0..20_000).map(|n: u32| n.wrapping_mul(2_654_435_761).to_string()).collect();
    add("./etc/large", T::Regular, None, &random);
    zstd::encode_all(&archive.into_inner().unwrap()[..], 3).unwrap()
}

fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    let digits: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{digits}").parse().unwrap()
}

fn unpack(bytes: &[u8], expected: &Digest, target: &Path) -> Result<u64, HandsError> {
    let mut last = 0;
    let whole = bytes.to_vec();
    let again = move |from: u64| {
        let rest = whole[usize::try_from(from).unwrap()..].to_vec();
        Ok(Box::new(Cursor::new(rest)) as Box<dyn Read>)
    };
    let told = &mut |bytes| last = bytes;
    Hands::new(&Processes, [], target).unpack(bytes, &again, expected, &["/home".into()], told)?;
    Ok(last)
}

#[test]
fn twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path();
    let image = image();
    for _ in 0..2 {
        assert_eq!(unpack(&image, &digest(&image), target).unwrap(), image.len() as u64);
        let data = fs::metadata(target.join("etc/os-release")).unwrap();
        assert_eq!((data.mode() & 0o7777, data.mtime(), data.nlink()), (0o640, 1_700_000_000, 2));
        assert_eq!(fs::read_link(target.join("bin")).unwrap(), Path::new("usr/bin"));
        assert_eq!(fs::read_dir(target.join("home")).unwrap().count(), 0, "what is preserved is left out");
        assert_eq!(fs::read_dir(target.join("dev")).unwrap().count(), 0, "the kernel makes devices");
    }
}

#[test]
fn altered_and_cut_short() {
    let image = image();
    let expected = digest(&image);
    let check = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        match unpack(bytes, &expected, folder.path()) {
            Err(HandsError::Image(UnpackError::Other { bytes: read, .. })) => {
                assert_eq!(read, bytes.len() as u64)
            }
            other => panic!("{other:?}"),
        }
    };
    for at in [0, 1, 10, image.len() / 2, image.len() - 1] {
        check(&image[..at]);
        let mut altered = image.clone();
        altered[at] ^= 0x10;
        check(&altered);
    }
    check(&[&image[..], b"more"].concat());
}

#[test]
fn what_leads_out_is_refused() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.as_old_mut().name[..9].copy_from_slice(b"../../out");
    header.set_cksum();
    archive.append(&header, &b"x"[..]).unwrap();
    let image = zstd::encode_all(&archive.into_inner().unwrap()[..], 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a/b");
    fs::create_dir_all(&target).unwrap();
    assert!(matches!(
        unpack(&image, &digest(&image), &target),
        Err(HandsError::Image(UnpackError::Broken { .. }))
    ));
    assert!(!folder.path().join("out").exists());
}

/// A file of a layer or an archive: its path, what it is, and its text or what it leads to.
type Put<'a> = (&'a str, tar::EntryType, &'a str);

fn tar_of(files: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, kind, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_size(0);
            archive.append_link(&mut header, path, std::str::from_utf8(content).unwrap()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, *content).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

/// An OCI image layout of layers, each packed in another way; the blobs stand in the archive from the last to the first. `change` sees
/// each blob before it is put there.
fn layout(layers: &[&[Put]], change: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    const KIND: &str = "application/vnd.oci.image.layer.v1.tar";
    let mut blobs = Vec::new();
    let mut descriptors = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let files: Vec<_> = layer.iter().map(|(path, kind, text)| (*path, *kind, text.as_bytes())).collect();
        let tar = tar_of(&files);
        let (suffix, packed) = match at % 3 {
            0 => ("+gzip", {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&tar).unwrap();
                gzip.finish().unwrap()
            }),
            1 => ("+zstd", zstd::encode_all(&tar[..], 3).unwrap()),
            _ => ("", tar),
        };
        let digest = digest(&packed).to_string();
        descriptors
            .push(json!({"mediaType": format!("{KIND}{suffix}"), "digest": digest, "size": packed.len()}));
        let mut packed = packed;
        change(at, &mut packed);
        blobs.push((digest, packed));
    }
    let manifest = serde_json::to_vec(&json!({"schemaVersion": 2, "layers": descriptors})).unwrap();
    let named = |bytes: &[u8], media: &str, platform: &str| {
        json!({"mediaType": media, "digest": digest(bytes).to_string(), "size": bytes.len(),
               "platform": {"os": "linux", "architecture": platform}})
    };
    let this = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let image = "application/vnd.oci.image.manifest.v1+json";
    let other = b"{}";
    let inner = json!({"manifests": [named(other, image, "s390x"), named(&manifest, image, this)]});
    let inner = serde_json::to_vec(&inner).unwrap();
    let mut outer = named(&inner, "application/vnd.oci.image.index.v1+json", this);
    outer.as_object_mut().unwrap().remove("platform");
    blobs.extend([(digest(&manifest).to_string(), manifest), (digest(&inner).to_string(), inner)]);
    blobs.reverse();
    let index = serde_json::to_vec(&json!({"manifests": [outer]})).unwrap();
    let paths: Vec<_> = blobs
        .iter()
        .map(|(digest, bytes)| (format!("./blobs/{}", digest.replace(':', "/")), bytes))
        .collect();
    let mut files: Vec<(&str, tar::EntryType, &[u8])> =
        paths.iter().map(|(path, bytes)| (path.as_str(), tar::EntryType::Regular, &bytes[..])).collect();
    files.push(("index.json", tar::EntryType::Regular, &index));
    files.push(("oci-layout", tar::EntryType::Regular, br#"{"imageLayoutVersion": "1.0.0"}"#));
    tar_of(&files)
}

use tar::EntryType as T;

/// Three layers, of which each changes the one below.
const LAYERS: [&[Put]; 3] = [
    &[
        ("etc", T::Directory, ""),
        ("etc/kept", T::Regular, "of the first"),
        ("etc/changed", T::Regular, "of the first"),
        ("etc/also", T::Link, "etc/changed"),
        ("etc/gone", T::Regular, ""),
        ("opt", T::Directory, ""),
        ("opt/old", T::Directory, ""),
        ("opt/old/file", T::Regular, ""),
        ("opt/folder", T::Directory, ""),
        ("opt/folder/of-the-first", T::Regular, ""),
        ("var", T::Directory, ""),
        ("var/tree", T::Directory, ""),
        ("var/tree/file", T::Regular, ""),
        ("srv", T::Symlink, "opt"),
        ("home", T::Directory, ""),
        ("home/somebody", T::Regular, "left out"),
    ],
    &[
        ("etc/.wh.gone", T::Regular, ""),
        ("etc/.wh.never-was", T::Regular, ""),
        ("nowhere/.wh.never-was", T::Regular, ""),
        ("etc/changed", T::Regular, "of the second"),
        // What it brings itself stays, wherever the mark stands.
        ("opt/folder", T::Directory, ""),
        ("opt/folder/of-the-second", T::Regular, ""),
        ("opt/.wh..wh..opq", T::Regular, ""),
        ("var/tree", T::Regular, "a file now"),
        ("srv", T::Directory, ""),
        ("home/.wh.somebody", T::Regular, ""),
    ],
    &[
        ("etc/.wh.kept", T::Regular, ""),
        ("etc/third", T::Regular, "of the third"),
        ("etc/gone", T::Directory, ""),
    ],
];

#[test]
fn layers_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path();
    let image = layout(&LAYERS, |_, _| {});
    let text = |path: &str| fs::read_to_string(target.join(path)).unwrap();
    // Also over what another attempt left.
    for _ in 0..2 {
        assert!(unpack(&image, &digest(&image), target).unwrap() > image.len() as u64 / 2);
        assert_eq!(text("etc/changed"), "of the second");
        assert_eq!(text("etc/also"), "of the first", "another name of a file that was replaced");
        assert_eq!(text("etc/third"), "of the third");
        assert_eq!(text("var/tree"), "a file now");
        for (path, there) in [
            ("etc/kept", false),
            ("etc/gone", true),
            ("opt/old", false),
            ("opt/folder/of-the-first", false),
            ("opt/folder/of-the-second", true),
            ("home/somebody", false),
        ] {
            assert_eq!(target.join(path).exists(), there, "{path}");
        }
        assert!(
            target.join("etc/gone").is_dir() && fs::symlink_metadata(target.join("srv")).unwrap().is_dir()
        );
    }
}

#[test]
fn layouts_that_are_not_what_was_approved() {
    let image = layout(&LAYERS, |_, _| {});
    let check = |image: &[u8], expected: &Digest, why: &str| {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(image, expected, folder.path()).unwrap_err();
        let text = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .fold(String::new(), |text, error| format!("{text}: {error}"));
        assert!(text.contains(why), "{text:?} has no {why:?}");
        fs::read_dir(folder.path()).unwrap().count()
    };
    // Nothing is written of an image that is altered or cut short.
    let mut altered = image.clone();
    altered[700] ^= 1;
    assert_eq!(check(&altered, &digest(&image), "altered or cut short"), 0);
    assert_eq!(check(&image[..image.len() / 2], &digest(&image), "altered or cut short"), 0);
    // An approved archive whose own parts contradict each other.
    let contradicting = layout(&LAYERS, |at, bytes| {
        if at == 1 {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
    });
    check(&contradicting, &digest(&contradicting), "altered or cut short");
    for (files, why) in [
        (
            vec![("a", T::Regular, &b"x"[..])],
            "neither a tar archive packed with zstd nor an OCI image layout",
        ),
        (vec![("oci-layout", T::Regular, &b"{}"[..])], "index.json is missing"),
        (vec![("oci-layout", T::Regular, b"{}"), ("index.json", T::Regular, b"{")], "not understood"),
        (
            vec![("oci-layout", T::Regular, b"{}"), ("index.json", T::Regular, br#"{"manifests": []}"#)],
            "has no image for linux/",
        ),
    ] {
        let image = tar_of(&files);
        assert_eq!(check(&image, &digest(&image), why), 0, "{why}");
    }
    let plain: &[Put] = &[(".wh..", T::Regular, "")];
    let image = layout(&[plain], |_, _| {});
    check(&image, &digest(&image), "takes no file away");
}

#[test]
fn no_layer_reaches_out() {
    let folder = tempfile::tempdir().unwrap();
    let (target, outside) = (folder.path().join("system"), folder.path().join("outside"));
    fs::create_dir_all(&target).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "x").unwrap();
    for path in ["out/.wh.file", "out/.wh..wh..opq", "out/file"] {
        let first: &[Put] = &[("out", T::Symlink, "../outside")];
        let second: &[Put] = &[(path, T::Regular, "")];
        let image = layout(&[first, second], |_, _| {});
        let error = unpack(&image, &digest(&image), &target).unwrap_err();
        assert!(matches!(error, HandsError::Image(UnpackError::Broken { .. })), "{path}: {error:?}");
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "x", "{path}");
    }
}

#[test]
fn digests() {
    let good = format!("sha256:{}", "0a".repeat(32));
    assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
    for bad in ["", "sha256:", &good[7..], &good[..70], &good.replace('a', "g"), &good.replace("256", "512")]
    {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}
