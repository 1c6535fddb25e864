//! A virtual machine with one disk and one NIC.

use lab_kinds::metal::server::hardware::FirmwareType;
use std::{
    env, fs,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

pub const UUID: &str = "11223344-5566-7788-99aa-bbccddeeff00";
pub const MAC: &str = "52:54:00:00:00:01";

/// Under software emulation, beside other work.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Where `cargo xtask artefacts` puts what it makes, or `LAB_ARTEFACTS`.
pub fn artefacts() -> PathBuf {
    let given = env::var_os("LAB_ARTEFACTS").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/artefacts"))
}

/// A folder with an operator's key, made once.
fn key_folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).status();
        assert!(made.unwrap().success());
        folder
    });
    folder.path()
}

pub fn public_key() -> String {
    fs::read_to_string(key_folder().join("key.pub")).unwrap()
}

pub struct Machine {
    folder: tempfile::TempDir,
    firmware: FirmwareType,
}

/// Ends with what it stands for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    pub fn new(firmware: FirmwareType) -> Self {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("disk")).unwrap().set_len(24 << 30).unwrap();
        if firmware == FirmwareType::Uefi {
            fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", folder.path().join("vars")).unwrap();
        }
        Self { folder, firmware }
    }

    fn command(&self, forward: u16) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1536", "-uuid", UUID]);
        qemu.args([
            "-nodefaults",
            "-vga",
            "std",
            "-display",
            "none",
            "-no-reboot",
            "-device",
            "virtio-rng-pci",
        ]);
        qemu.args(["-serial", &format!("file:{}", path("console"))]);
        qemu.args([
            "-drive",
            &format!("file={},format=raw,if=none,id=d,cache=unsafe,discard=unmap", path("disk")),
        ]);
        qemu.args(["-device", "virtio-blk-pci,drive=d,serial=S1,bootindex=1"]);
        let forward =
            if forward == 0 { String::new() } else { format!(",hostfwd=tcp:127.0.0.1:{forward}-:22") };
        qemu.args([
            "-netdev",
            &format!("user,id=n{forward}"),
            "-device",
            &format!("virtio-net-pci,netdev=n,mac={MAC},romfile="),
        ]);
        if self.firmware == FirmwareType::Uefi {
            qemu.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
            qemu.args(["-drive", &format!("if=pflash,format=raw,file={}", path("vars"))]);
        }
        qemu.stdin(Stdio::null());
        qemu
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("console")).unwrap_or_default())
            .into_owned()
    }

    /// Runs until the condition holds; afterwards the machine has ended, by itself where it is told to.
    fn run(&self, mut qemu: Command, until: impl Fn() -> bool) {
        let mut running = Running(qemu.spawn().unwrap());
        let began = Instant::now();
        while !until() {
            let ended = running.0.try_wait().unwrap();
            if ended.is_some() && until() {
                break;
            }
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{:?}\n{}", ended, self.console());
            thread::sleep(Duration::from_millis(500));
        }
        println!("after {} s", began.elapsed().as_secs());
        // Time to report the end and be switched off.
        for _ in 0..60 {
            if running.0.try_wait().unwrap().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Starts the discovery system and waits for something.
    pub fn boot_ramdisk(&self, arguments: &str, until: impl Fn() -> bool) {
        let systems = artefacts().join("systems/discovery/amd64");
        assert!(systems.join("initrd").exists(), "run `cargo xtask artefacts discovery` first");
        let mut qemu = self.command(0);
        qemu.arg("-kernel").arg(systems.join("vmlinuz")).arg("-initrd").arg(systems.join("initrd"));
        qemu.args(["-append", &format!("console=ttyS0 quiet panic=-1 {arguments}")]);
        self.run(qemu, until);
        println!("{}", self.console());
    }

    /// Starts what is installed, and looks into it as the operator.
    pub fn boot_disk(&self, look: impl FnOnce(&Ssh)) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut running = Running(self.command(port).spawn().unwrap());
        let ssh = Ssh { port };
        let began = Instant::now();
        while ssh.try_run("true").is_err() {
            assert!(
                running.0.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE,
                "{}",
                self.console()
            );
            thread::sleep(Duration::from_secs(2));
        }
        println!("it answers over SSH after {} s", began.elapsed().as_secs());
        look(&ssh);
        // Its connection ends with it.
        let _ = ssh.try_run("sudo systemctl poweroff");
        let began = Instant::now();
        while running.0.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(500));
        }
    }
}

/// A way into the installed system.
pub struct Ssh {
    port: u16,
}

impl Ssh {
    fn try_run(&self, command: &str) -> Result<String, String> {
        let key = key_folder().join("key");
        let output = Command::new("ssh")
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "BatchMode=yes",
            ])
            .args(["-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR", "-p", &self.port.to_string()])
            .arg("-i")
            .arg(key)
            .args(["ops@127.0.0.1", command])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    pub fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}
