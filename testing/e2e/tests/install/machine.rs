//! A virtual machine that can be switched off, and given another disk.

use lab_rack::{
    qemu::{self, Accelerator, Firmware, Hardware},
    switch::Switch,
};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const DISK: u64 = 24 << 30;

/// A machine; off until it is switched on, and when it is dropped.
pub struct Machine {
    folder: PathBuf,
    hardware: Hardware,
    running: Option<qemu::Machine>,
}

impl Machine {
    /// One with a blank disk.
    pub fn blank(folder: &Path, firmware: Firmware) -> Self {
        let hardware = Hardware {
            firmware,
            mac: "52:54:00:00:08:01".parse().expect("it is a MAC address"),
            uuid: "11223344-5566-7788-99aa-bbccddee0801".into(),
            memory: 1536,
            processors: (2, Accelerator::found()),
            disks: Vec::new(),
        };
        let mut machine = Self { folder: folder.into(), hardware, running: None };
        machine.add_disk();
        machine
    }

    /// Puts another blank disk in, while it is off.
    pub fn add_disk(&mut self) {
        let disk = self.folder.join(format!("disk-{}", self.hardware.disks.len()));
        let file = File::create(&disk).expect("there is room");
        file.set_len(DISK).expect("it can be sparse");
        self.hardware.disks.push(disk);
    }

    /// The serial number of a disk.
    pub fn serial(&self, disk: usize) -> String {
        self.hardware.serial(disk)
    }

    /// Whether there are only zeros on a disk.
    pub fn is_blank(&self, disk: usize) -> bool {
        let mut file = File::open(&self.hardware.disks[disk]).expect("it was made");
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
            if running.is_off().expect("it is a child of this program") {
                self.running = None;
            }
            assert!(Instant::now() < until, "it stays on: {}", self.console());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Its Server, as it is named before a person names it.
    pub fn name(&self) -> String {
        self.hardware.mac.dashed()
    }

    /// What it says on its serial console; nothing while it is off.
    pub fn console(&self) -> String {
        self.running.as_ref().map(qemu::Machine::console).unwrap_or_default()
    }

    /// Switches it on.
    pub fn start(&mut self, switch: &Switch) {
        let running = qemu::Machine::power_on(&self.hardware, switch, &self.folder);
        self.running = Some(running.expect("QEMU is there"));
    }

    /// Processor time that its emulation has used since it was switched on, in seconds; 0 while it is off.
    pub fn processor_seconds(&self) -> f64 {
        self.running.as_ref().map_or(0.0, qemu::Machine::processor_seconds)
    }

    /// Cuts its power.
    pub fn cut(&mut self) {
        self.running = None;
    }
}
