//! Scripts as they are, without a place changed in them, in a root of their own: disk tools are stubs there, everything else is this
//! system's, and what they write they write where an installer would.

use crate::cases::{Case, EXECUTABLE};
use crate::machine::{GIB, Machine, Worker, nvme};
use crate::run::{Bench, section};
use crate::tools::packaged;
use lab_kinds::metal::operating_system::Method;
use std::fs;
use std::process::Output;

/// Makes the root, of folders of this system that cannot be written to and those of a bench, and runs a script in it.
const ENTER: &str = r#"set -eu
bench=$1
root=$bench/chroot
for place in bin sbin lib lib64; do
    if [ -L "/$place" ]; then ln -sf "usr/$place" "$root/$place"; fi
    [ -d "/usr/$place" ] || continue
    mkdir -p "$root/usr/$place"
    mount --rbind "/usr/$place" "$root/usr/$place"
    mount -o remount,bind,ro "$root/usr/$place"
done
for place in sys dev tmp target; do
    mkdir -p "$root/$place"
    mount --bind "$bench/$place" "$root/$place"
done
: >>"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
mkdir -p "$root/etc" "$root$bench"
mount --bind "$bench" "$root$bench"
exec chroot "$root" env PATH="$bench/bin:/usr/bin:/usr/sbin" sh "$bench/script"
"#;

/// Runs a script in the root of a bench; nothing where this system lets nobody have a root of their own.
fn run(bench: &Bench, script: &str) -> Option<Output> {
    let enter = |what: &[&str]| {
        let mut unshare = packaged("unshare")?;
        unshare.args(["--map-root-user", "--mount", "--"]).args(what);
        Some(unshare.output().expect("it starts"))
    };
    if !enter(&["true"])?.status.success() {
        eprintln!("SKIPPED: there are no user namespaces here");
        return None;
    }
    fs::create_dir_all(bench.path("chroot")).expect("there is room");
    fs::write(bench.path("script"), script).expect("there is room");
    enter(&["sh", "-c", ENTER, "sh", &bench.folder.path().display().to_string()])
}

/// Runs a script that has to succeed; whether it could be run.
#[track_caller]
fn runs(case: &Case, bench: &Bench, script: &str) -> bool {
    let Some(output) = run(bench, &section(case, script)) else { return false };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {script}: {said}\n{}", case.name, bench.posts().join("\n"));
    true
}

#[test]
fn scripts_run_as_they_are_in_a_root_of_their_own() {
    for (method, first, last, root) in [
        (Method::Kickstart, "pre", "post", "chroot"),
        (Method::Autoinstall, "early.sh", "late.sh", "target"),
        (Method::Preseed, "partman.sh", "late.sh", "target"),
    ] {
        let case = Case::of(format!("{method:?}"), method, Machine::new(Worker, vec![nvme(400 * GIB)]));
        let bench = Bench::new(&["sh"], &case.machine);
        bench.tool("efibootmgr", "");
        fs::create_dir_all(bench.path("target/etc")).expect("there is room");
        fs::create_dir_all(bench.path("chroot")).expect("there is room");
        if method == Method::Autoinstall {
            fs::write(bench.path("chroot/autoinstall.yaml"), case.file("user-data")).expect("there is room");
        }
        if !runs(&case, &bench, first) {
            return;
        }
        assert!(bench.stages().contains(&"partition".to_owned()), "{:?}", bench.stages());
        match method {
            Method::Kickstart => assert!(bench.read("tmp/lab-storage.ks").contains("--boot-drive=nvme0n1\n")),
            Method::Autoinstall => {
                assert!(bench.read("chroot/autoinstall.yaml").contains("\"/dev/nvme0n1\""))
            }
            _ => assert!(bench.read("log").contains("debconf-set partman-auto/disk /dev/nvme0n1\n")),
        }
        assert!(runs(&case, &bench, last));
        let read = |path: &str| bench.read(&format!("{root}/{path}"));
        assert_eq!(read("etc/hostname"), "node3.lab.example\n", "{method:?}");
        assert_eq!(read("etc/sudoers.d/90-lab"), "ops ALL=(ALL:ALL) NOPASSWD: ALL\n", "{method:?}");
        assert_eq!(
            (read("usr/local/bin/lab-agent"), read("etc/lab/join-token")),
            (EXECUTABLE.into(), "jo1n\n".into())
        );
        assert!(bench.stages().iter().all(|stage| !stage.contains("failed")), "{:?}", bench.stages());
    }
}
