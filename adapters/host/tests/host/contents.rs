//! What real tools made, read again: on plain files, which need no rights.

use lab_host::command::{Call, Processes, Run};
use lab_host::observe::Probe;
use lab_kinds::metal::server::hardware::{Contents, PartitionTable};
use std::{fs::File, path::Path};

fn call(program: &str, arguments: &[&str], input: &str) {
    Processes.succeed(&Call::new(program, arguments.iter().copied()).reading(input)).unwrap();
}

/// What is on a file of 64 MiB after it was worked on.
fn contents(work: impl Fn(&str)) -> Contents {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    File::create(&path).unwrap().set_len(64 << 20).unwrap();
    work(path.to_str().unwrap());
    Probe::new(&Processes, path).contents(512).unwrap()
}

#[test]
fn nothing() {
    assert_eq!(contents(|_| ()), Contents::default());
    assert!(Probe::new(&Processes, Path::new("/nonexistent")).contents(512).is_err());
}

#[test]
fn whole_disks() {
    let found = contents(|disk| {
        call(
            "mke2fs",
            &["-q", "-F", "-t", "ext4", "-L", "a b", "-U", "ee1cbc00-3523-86c3-a2e0-8eb7445c1d7d", disk],
            "",
        );
    });
    let signature = &found.signature;
    assert_eq!(
        (signature.kind.as_str(), signature.label.as_str(), signature.uuid.as_str()),
        ("ext4", "a b", "ee1cbc00-3523-86c3-a2e0-8eb7445c1d7d")
    );
    assert_eq!(found.partition_table, None);
    let found = contents(|disk| call("mkswap", &["--label", "s", disk], ""));
    assert_eq!((found.signature.kind.as_str(), found.signature.label.as_str()), ("swap", "s"));
}

#[test]
fn divided_disks() {
    let table = "label: gpt\nlabel-id: 6C4AA7CB-ACE5-86EE-B90A-9BCF4CFB09EF\n1: start=2048, size=40960, \
                 type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"boot\"\n5: start=43008, size=8192, \
                 type=E6D6D379-F507-44C2-A23C-238F2A3DF928\n";
    let found = contents(|disk| {
        call("sfdisk", &["--quiet", disk], table);
        call("mke2fs", &["-q", "-F", "-t", "ext4", "-E", "offset=1048576", disk, "20M"], "");
    });
    assert_eq!(found.partition_table, Some(PartitionTable::Gpt));
    assert_eq!(found.uuid, "6c4aa7cb-ace5-86ee-b90a-9bcf4cfb09ef");
    let partitions: Vec<_> = found
        .partitions
        .iter()
        .map(|p| (p.number, p.name.as_str(), p.start_bytes, p.size_bytes, p.signature.kind.as_str()))
        .collect();
    assert_eq!(partitions, [(1, "boot", 1 << 20, 20 << 20, "ext4"), (5, "", 21 << 20, 4 << 20, "")]);
    assert_eq!(found.partitions[1].kind, "e6d6d379-f507-44c2-a23c-238f2a3df928");

    let found = contents(|disk| {
        call("sfdisk", &["--quiet", disk], "label: dos\nlabel-id: 0x1234ABCD\n2: start=2048, type=8e\n")
    });
    assert_eq!((found.partition_table, found.uuid.as_str()), (Some(PartitionTable::Mbr), "1234abcd"));
    assert_eq!((found.partitions[0].number, found.partitions[0].kind.as_str()), (2, "8e"));
}
