//! A network between this machine and virtual ones: a tap interface. Needs root.

use std::process::{Command, Stdio};

/// An interface of a test, gone when it is dropped.
pub struct Tap {
    name: &'static str,
}

impl Tap {
    /// Makes it, with an address such as `10.97.0.1/24`.
    ///
    /// # Panics
    /// It cannot be made: there is no `ip`, or this is not root.
    pub fn new(name: &'static str, address: &str) -> Self {
        let tap = Self { name };
        // One that a run left behind which was killed.
        tap.remove();
        for arguments in [
            &["tuntap", "add", name, "mode", "tap"][..],
            &["address", "add", address, "dev", name],
            &["link", "set", name, "up"],
        ] {
            let status = Command::new("ip").args(arguments).status().expect("ip is there");
            assert!(status.success(), "ip {arguments:?}");
        }
        tap
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn remove(&self) {
        let _ = Command::new("ip")
            .args(["tuntap", "del", self.name, "mode", "tap"])
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.remove();
    }
}
