//! A rehearsal, with objects from files.

use crate::daemon::bastion;

/// A site's objects as files, tried on every firmware.
#[test]
fn a_rehearsal() {
    let folder = tempfile::tempdir().expect("there is room");
    let (objects, files) = (folder.path().join("objects.yaml"), folder.path().join("files"));
    let system = files.join("systems/discovery/amd64");
    std::fs::create_dir_all(&system).expect("there is room");
    let network = |mode: &str, ranges: &str| {
        let text = format!(
            "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {{name: rack1}}\nspec:\n  cidr: 198.51.100.0/24\n  \
             dhcp: {{mode: {mode}, ranges: [{ranges}]}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: x}}\n"
        );
        std::fs::write(&objects, text).expect("there is room");
    };
    let check = |firmware: &[&str], code: i32, expected: &[&str]| {
        let output = bastion()
            .args(["rehearse", "--name", "home-1", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--files")
            .arg(&files)
            .arg("--from")
            .arg(&objects)
            .args(firmware.iter().flat_map(|name| ["--firmware", *name]))
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        for line in expected {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    };
    let every = ["bios", "bios-pxe", "uefi-pxe", "uefi-pxe-2016", "uefi-http"];
    let range = "{start: 198.51.100.50, end: 198.51.100.60}";
    // Without its files the site says which one is missing.
    network("full", range);
    let mut efi = b"MZ".to_vec();
    efi.resize(1000, 0);
    std::fs::write(files.join("snponly.efi"), &efi).expect("there is room");
    check(
        &["uefi-pxe"],
        1,
        &["198.51.100.1, assumed", "STOPS: http://198.51.100.1/systems/discovery/amd64/vmlinuz did not come"],
    );
    std::fs::write(files.join("undionly.kpxe"), "x").expect("there is room");
    let mut kernel = vec![0; 0x300];
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    std::fs::write(system.join("vmlinuz"), kernel).expect("there is room");
    std::fs::write(system.join("initrd"), "x").expect("there is room");
    check(
        &every,
        0,
        &["  bios              runs http://198.51.100.1/systems/discovery/amd64/vmlinuz with its ramdisk"],
    );
    // Without a range nobody has an address.
    network("full", "");
    check(&["uefi-http"], 1, &["STOPS: nobody offered it an address", "the network has no DHCP ranges"]);
    network("proxy", "");
    check(&every, 0, &["uefi-pxe-2016     runs"]);
    network("'off'", "");
    check(&[], 1, &["would serve none of 1 networks"]);
    check(&["apple"], 2, &["it is none of bios, bios-pxe"]);
}
