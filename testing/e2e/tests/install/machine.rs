//! A virtual machine that keeps its disk and its firmware's settings, and starts from the network first.

use lab_e2e::tap::Tap;
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How a machine's firmware starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    Bios,
    Uefi,
}

/// A machine; off until it is switched on, and when it is dropped.
pub struct Machine {
    folder: PathBuf,
    firmware: Firmware,
    tap: &'static str,
    /// Distinguishes it from others, in its MAC address and its UUID.
    number: u8,
    disks: usize,
    running: Option<Child>,
}

const DISK: u64 = 24 << 30;

impl Machine {
    /// One with a blank disk.
    pub fn blank(folder: &Path, firmware: Firmware, tap: &Tap, number: u8) -> Self {
        let folder = folder.join(format!("machine-{number}"));
        fs::create_dir_all(&folder).expect("there is room");
        if firmware == Firmware::Uefi {
            fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", folder.join("vars")).expect("OVMF is there");
        }
        let mut machine = Self { folder, firmware, tap: tap.name(), number, disks: 0, running: None };
        machine.add_disk();
        machine
    }

    /// Puts another blank disk in.
    pub fn add_disk(&mut self) {
        let file = File::create(self.disk(self.disks)).expect("there is room");
        file.set_len(DISK).expect("it can be sparse");
        self.disks += 1;
    }

    fn disk(&self, at: usize) -> PathBuf {
        self.folder.join(format!("disk-{at}"))
    }

    /// The serial number of a disk.
    pub fn serial(&self, disk: usize) -> String {
        format!("S{}{disk}", self.number)
    }

    /// Whether there are only zeros on a disk.
    pub fn is_blank(&self, disk: usize) -> bool {
        let mut file = File::open(self.disk(disk)).expect("it was made");
        let (mut buffer, zeros) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).expect("it can be read") {
                0 => return true,
                read if buffer[..read] != zeros[..read] => return false,
                _ => {}
            }
        }
    }

    /// Waits until it has switched itself off.
    pub fn wait_until_off(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        while let Some(running) = &mut self.running {
            if running.try_wait().expect("it is a child of this program").is_some() {
                self.running = None;
            }
            assert!(Instant::now() < until, "it stays on: {}", self.console());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Its Server, as it is named before a person names it.
    pub fn name(&self) -> String {
        format!("52-54-00-00-08-{:02x}", self.number)
    }

    /// What it says on its serial console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("console")).unwrap_or_default()).into_owned()
    }

    /// Switches it on.
    pub fn start(&mut self) {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1536"]);
        qemu.args(["-uuid", &format!("11223344-5566-7788-99aa-bbccddee08{:02x}", self.number)]);
        qemu.args(["-nodefaults", "-vga", "std", "-display", "none", "-device", "virtio-rng-pci"]);
        qemu.args(["-serial", &format!("file:{}", self.folder.join("console").display())]);
        let mac = self.name().replace('-', ":");
        qemu.args(["-netdev", &format!("tap,id=n,ifname={},script=no,downscript=no", self.tap)]);
        let rom = if self.firmware == Firmware::Uefi { ",romfile=" } else { "" };
        qemu.args(["-device", &format!("virtio-net-pci,netdev=n,mac={mac},bootindex=0{rom}")]);
        for at in 0..self.disks {
            let (file, serial) = (self.disk(at), self.serial(at));
            // What is overwritten with zeros takes no room.
            qemu.args([
                "-drive",
                &format!("file={},format=raw,if=none,id=d{at},cache=unsafe,discard=unmap", file.display()),
            ]);
            qemu.args([
                "-device",
                &format!("virtio-blk-pci,drive=d{at},serial={serial},bootindex={}", at + 1),
            ]);
        }
        if self.firmware == Firmware::Uefi {
            qemu.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
            qemu.args([
                "-drive",
                &format!("if=pflash,format=raw,file={}", self.folder.join("vars").display()),
            ]);
        }
        self.running = Some(qemu.stdin(Stdio::null()).spawn().expect("QEMU is there"));
    }

    /// Processor time that its emulation has used since it was switched on, in seconds; 0 while it is off.
    pub fn cpu_seconds(&self) -> f64 {
        let Some(running) = &self.running else { return 0.0 };
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap_or_default();
        // Behind the program's name in brackets, user and system time are the 12th and 13th field, in hundredths (proc(5)).
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2));
        fields.into_iter().flatten().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Cuts its power.
    pub fn cut(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
    }
}

/// An operator's way into an installed machine.
pub struct Ssh {
    key: PathBuf,
    address: String,
}

impl Ssh {
    /// With a key that is made here once.
    pub fn to(folder: &Path, address: &str) -> Self {
        Self { key: key(folder), address: address.into() }
    }

    fn try_run(&self, command: &str) -> Result<String, String> {
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=20",
            "LogLevel=ERROR",
        ];
        let output = Command::new("ssh")
            .args(options.iter().flat_map(|option| ["-o", option]))
            .arg("-i")
            .arg(&self.key)
            .args([&format!("ops@{}", self.address), command])
            .stdin(Stdio::null())
            .output()
            .expect("ssh is there");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Waits until the machine lets the operator in.
    pub fn wait(&self, patience: Duration, machine: &Machine) {
        self.wait_for("true", |_| true, patience, machine);
    }

    /// Waits until the machine lets the operator in, and a command says what it should.
    pub fn wait_for(&self, command: &str, is: impl Fn(&str) -> bool, patience: Duration, machine: &Machine) {
        let until = Instant::now() + patience;
        loop {
            let said = self.try_run(command);
            if said.as_ref().is_ok_and(|said| is(said)) {
                return;
            }
            assert!(Instant::now() < until, "{command}: {said:?}\n{}", machine.console());
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    /// What a command prints.
    pub fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

fn key(folder: &Path) -> PathBuf {
    let key = folder.join("key");
    if !key.exists() {
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen is there").success());
    }
    key
}

/// The public half of the operator's key.
pub fn public_key(folder: &Path) -> String {
    fs::read_to_string(key(folder).with_extension("pub")).expect("it was made").trim().into()
}
