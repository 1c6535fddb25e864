//! Every answer file by the grammar of its installer.

use crate::cases::cases;
use crate::tools::{content, packaged, pykickstart};
use lab_install::answer::{AnswerFile, Fixed, Given, render};
use lab_kinds::metal::operating_system::Method;
use std::path::{Path, PathBuf};

/// A folder with the files of a case.
pub fn written(folder: &Path, files: &[AnswerFile]) -> PathBuf {
    for file in files {
        std::fs::write(folder.join(file.name), &file.text).expect("there is room");
    }
    folder.to_owned()
}

#[test]
fn kickstarts_pass_their_validator() {
    let Some(mut validator) = pykickstart("ksvalidator") else { return };
    let folder = tempfile::tempdir().expect("there is room");
    validator.args(["--version", "F43"]);
    for case in cases(Method::Kickstart) {
        let path = folder.path().join(format!("{}.ks", case.name));
        std::fs::write(&path, case.file("ks.cfg").replace("%include /tmp/lab-storage.ks\n", ""))
            .expect("there is room");
        validator.arg(path);
    }
    content("kickstarts", &mut validator);
}

#[test]
fn kickstarts_of_machines_without_dhcp_pass_it_as_well() {
    let case = cases(Method::Kickstart).swap_remove(0);
    let check = |gateway: Option<[u8; 4]>, names: &[&str], expected: &str| {
        let name_servers: Vec<_> = names.iter().map(|name| name.parse().expect("it is an address")).collect();
        let gateway = gateway.map(Into::into);
        let (address, mask) = ([10, 9, 0, 7].into(), [255, 255, 255, 0].into());
        let fixed = Some(Fixed { address, mask, gateway, name_servers: &name_servers });
        let text = render(&Given { fixed, ..case.given() }).expect("it can be answered").swap_remove(0).text;
        let line = text.lines().find(|line| line.starts_with("network --device"));
        assert_eq!(
            line,
            Some(
                format!("network --device=bootif --bootproto=static {expected} --onboot=yes --activate")
                    .as_str()
            )
        );
        let Some(mut validator) = pykickstart("ksvalidator") else { return };
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("fixed.ks");
        std::fs::write(&path, text.replace("%include /tmp/lab-storage.ks\n", "")).expect("there is room");
        content("a kickstart", validator.args(["--version", "F43"]).arg(path));
    };
    check(None, &[], "--ip=10.9.0.7 --netmask=255.255.255.0");
    check(
        Some([10, 9, 0, 254]),
        &["10.9.0.2", "2001:db8::53"],
        "--ip=10.9.0.7 --netmask=255.255.255.0 --gateway=10.9.0.254 --nameserver=10.9.0.2,2001:db8::53",
    );
}

#[test]
fn user_data_pass_cloud_inits_schema() {
    // It takes a second a file, and knows nothing of disks: one machine of each role does.
    for case in cases(Method::Autoinstall).into_iter().filter(|case| case.name.ends_with("-fresh")) {
        let Some(mut cloud_init) = packaged("cloud-init") else { return };
        let folder = tempfile::tempdir().expect("there is room");
        let files = written(folder.path(), &case.files());
        content(&case.name, cloud_init.arg("schema").arg("--config-file").arg(files.join("user-data")));
    }
}

#[test]
fn autoinstalls_keep_subiquitys_rules() {
    let Some(mut python) = packaged("python3") else { return };
    let folder = tempfile::tempdir().expect("there is room");
    // Debian's own Python has the module for YAML.
    python
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers/subiquity.py"))
        .env("PATH", "/usr/bin:/bin");
    for case in cases(Method::Autoinstall) {
        let path = folder.path().join(&case.name);
        std::fs::write(&path, case.file("user-data")).expect("there is room");
        python.arg(path);
    }
    content("autoinstalls", &mut python);
}

#[test]
fn preseeds_are_loaded_by_debconf() {
    let Some(mut debconf) = packaged("debconf-set-selections") else { return };
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("preseed.cfg");
    let all: String = cases(Method::Preseed).iter().map(|case| case.file("preseed.cfg")).collect();
    std::fs::write(&path, all).expect("there is room");
    let output = content("preseeds", debconf.arg("--checkonly").arg(path));
    // It is content with much, and says what it does not like.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn scripts_pass_shellcheck() {
    let folder = tempfile::tempdir().expect("there is room");
    let Some(mut shellcheck) = packaged("shellcheck") else { return };
    // Numbers are split on purpose, texts in single quotes are meant so, and what a library has for others is not used in each.
    shellcheck.args([
        "--shell",
        "sh",
        "--exclude",
        "SC1091,SC2013,SC2016,SC2034,SC2094,SC2119,SC2120,SC2154,SC2317",
    ]);
    for method in [Method::Kickstart, Method::Autoinstall, Method::Preseed] {
        for case in cases(method)
            .into_iter()
            .filter(|case| matches!(case.name.rsplit_once("worker-"), Some((_, "fresh" | "again"))))
        {
            for (name, text) in scripts(&case.files()) {
                let path = folder.path().join(format!("{}-{name}", case.name));
                std::fs::write(&path, text).expect("there is room");
                shellcheck.arg(path);
            }
        }
    }
    let files = ["assign.sh", "netcat.sh"];
    shellcheck
        .args(files.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/answer/shell").join(name)));
    content("scripts", &mut shellcheck);
}

/// The scripts of answer files: those beside them, and those in sections of a kickstart.
pub fn scripts(files: &[AnswerFile]) -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for file in files {
        if file.name.ends_with(".sh") {
            scripts.push((file.name.to_owned(), file.text.clone()));
        }
        if file.name.ends_with(".cfg") {
            for section in file.text.split("\n%end\n") {
                let Some((_, begin)) = section.split_once("\n%") else { continue };
                let (header, text) = begin.split_once('\n').expect("a section has lines");
                if header.contains("--interpreter") {
                    scripts.push((
                        header.split(" --interpreter").next().unwrap_or_default().replace(' ', ""),
                        format!("{text}\n"),
                    ));
                }
            }
        }
    }
    scripts
}
