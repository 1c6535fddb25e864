//! GRUB's configuration, as far as boot servers write it.

use crate::stage::System;
use lab_object::mac::MacAddress;

/// Lists that GRUB asks for before its configuration, and does without.
pub(crate) const LISTS: [&str; 4] = [
    "/grub/x86_64-efi/command.lst",
    "/grub/x86_64-efi/fs.lst",
    "/grub/x86_64-efi/crypto.lst",
    "/grub/x86_64-efi/terminal.lst",
];

/// What a configuration has GRUB do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Configuration {
    /// Read another one.
    Another(String),
    /// Start a kernel.
    Kernel(System),
    /// Leave it to the firmware's next entry.
    Exit,
    /// Nothing: it stands at its prompt.
    Nothing,
}

/// Reads a configuration.
pub(crate) fn read(text: &str, mac: MacAddress) -> Configuration {
    let mut kernel: Option<(String, Vec<String>)> = None;
    let mut initrds = Vec::new();
    for line in text.lines() {
        let line = line.replace("$net_default_mac", &mac.to_string());
        let mut words = line.split_whitespace().map(|word| word.trim_matches('\'').to_owned());
        match (words.next().as_deref(), words.next()) {
            (Some("configfile"), Some(path)) => return Configuration::Another(path),
            (Some("exit"), _) => return Configuration::Exit,
            (Some("linux" | "linuxefi"), Some(path)) => kernel = Some((path, words.collect())),
            (Some("initrd" | "initrdefi"), Some(path)) => {
                initrds.push(path);
                initrds.extend(words);
            }
            _ => {}
        }
    }
    match kernel {
        Some((kernel, arguments)) => Configuration::Kernel(System { kernel, arguments, initrds }),
        None => Configuration::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
        let check = |text: &str, expected| assert_eq!(read(text, mac), expected, "{text}");
        let another = Configuration::Another("/boot/52:54:00:00:00:01/-/grub.cfg".into());
        check("set timeout=0\nconfigfile /boot/$net_default_mac/-/grub.cfg\n", another);
        check("echo 'Local disk: x'\nexit\n", Configuration::Exit);
        check("echo 'x'\n", Configuration::Nothing);
        let kernel = Configuration::Kernel(System {
            kernel: "/k".into(),
            arguments: vec!["a=1".into(), "b=;".into()],
            initrds: vec!["/i".into(), "/j".into()],
        });
        check("linux /k a=1 'b=;'\ninitrd /i /j\nboot\n", kernel);
    }
}
