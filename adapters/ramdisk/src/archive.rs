//! The kernel's form of an archive: cpio's `newc`.

use super::Content;
use std::collections::BTreeMap;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Writes the entries in their order, with numbers and times that are always the same, so that the same contents are the same
/// bytes.
pub fn write(entries: &BTreeMap<String, (u32, Content)>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (path, (mode, content))) in (1..).zip(entries) {
        let (kind, bytes) = match content {
            Content::Folder => (FOLDER, &[][..]),
            Content::File(bytes) => (FILE, bytes.as_slice()),
            Content::Link(target) => (LINK, target.as_bytes()),
        };
        one(&mut archive, number, path, kind | mode, bytes);
    }
    one(&mut archive, 0, "TRAILER!!!", 0, &[]);
    archive
}

fn one(archive: &mut Vec<u8>, number: u32, path: &str, mode: u32, bytes: &[u8]) {
    // Sizes in the archive are 32 bits; no file of a RAM disk comes near.
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let links = 1;
    let fields = [number, mode, 0, 0, links, 0, length(bytes.len()), 0, 0, 0, 0, length(path.len() + 1), 0];
    archive.extend_from_slice(b"070701");
    fields.iter().for_each(|field| archive.extend_from_slice(format!("{field:08x}").as_bytes()));
    archive.extend_from_slice(path.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(bytes);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use crate::Ramdisk;

    #[test]
    fn byte_for_byte() {
        let mut ramdisk = Ramdisk::default();
        ramdisk.file("a/b", 0o644, "xyz");
        let text = String::from_utf8(ramdisk.archive()).expect("all of it is text");
        let expected = [
            "070701", "00000001", "000041ed", "00000000", "00000000", "00000001", "00000000", "00000000",
            "00000000", "00000000", "00000000", "00000000", "00000002", "00000000", "a\0", "070701",
            "00000002", "000081a4", "00000000", "00000000", "00000001", "00000000", "00000003", "00000000",
            "00000000", "00000000", "00000000", "00000004", "00000000", "a/b\0", "\0\0", "xyz\0",
        ];
        assert!(text.starts_with(&expected.concat()), "{text:?}");
        assert!(text.contains("TRAILER!!!\0") && text.len().is_multiple_of(4));
    }
}
