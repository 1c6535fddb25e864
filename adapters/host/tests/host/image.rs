//! Images: unpacked, left out, altered, cut short.

use lab_host::command::Processes;
use lab_host::hands::{Digest, Hands, HandsError, UnpackError};
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
    use tar::EntryType as T;
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
    Hands::new(&Processes, [], target)
        .unpack(bytes, expected, &["/home".into()], &mut |bytes| last = bytes)?;
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

#[test]
fn digests() {
    let good = format!("sha256:{}", "0a".repeat(32));
    assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
    for bad in ["", "sha256:", &good[7..], &good[..70], &good.replace('a', "g"), &good.replace("256", "512")]
    {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}
