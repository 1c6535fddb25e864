//! A boot answer as GRUB configuration, for machines that start only what is signed: shim, then GRUB, then a distribution's kernel.

use super::ipxe::Rendered;
use super::{CannotStart, Decision, Start, shown};
use lab_kinds::metal::server::LocalDiskBoot;

/// What stands under `grub/grub.cfg`, where Debian's signed GRUB looks. It is the same for every machine and sends each for its own,
/// by the MAC address of the NIC that GRUB was loaded over.
pub const FIRST: &str = "set timeout=0\nconfigfile /boot/$net_default_mac/-/grub.cfg\n";

/// Writes what is to be started as GRUB configuration. Paths are fetched from where GRUB came from.
pub fn render(decision: &Decision, start: &Start) -> Result<Rendered, CannotStart> {
    let why = shown(&decision.why);
    let text = match start {
        Start::LocalDisk(LocalDiskBoot::NotFound) => return Ok(Rendered::NotFound),
        // GRUB on UEFI has no disk to start by number; leaving it starts the firmware's next entry.
        Start::LocalDisk(_) => format!("echo 'Local disk: {why}'\nexit\n"),
        Start::System(system) => {
            let arguments: Result<Vec<_>, _> =
                system.arguments.iter().map(|argument| quoted(argument)).collect();
            let initrds: Vec<_> = system.initrds.iter().map(|initrd| format!("/{initrd}")).collect();
            format!(
                "echo '{:?}: {why}'\nlinux /{} {}\ninitrd {}\nboot\n",
                decision.answer,
                system.kernel,
                arguments?.join(" "),
                initrds.join(" ")
            )
        }
    };
    Ok(Rendered::Text(text))
}

/// Within single quotes GRUB takes every character as it is, and there is no way to write a single quote.
fn quoted(argument: &str) -> Result<String, CannotStart> {
    if argument.is_empty() || argument.contains(['\'', '\n', '\r', ' ']) {
        return Err(CannotStart::Argument { argument: argument.into(), loader: "GRUB" });
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.=:/,+@%".contains(&b);
    Ok(if argument.bytes().all(plain) { argument.into() } else { format!("'{argument}'") })
}

#[cfg(test)]
mod tests {
    use super::super::{Circumstances, Start, medium, start};
    use super::*;
    use crate::client::Platform;
    use lab_kinds::Define;
    use lab_kinds::metal::operating_system::{Artefact, Family, Method, OperatingSystem, Purpose};
    use lab_kinds::metal::server::status::BootAnswer;
    use lab_object::mac::MacAddress;

    fn operating_system(method: Method, family: Family) -> OperatingSystem {
        let mut os = OperatingSystem::example();
        (os.spec.method, os.spec.family) = (method, family);
        let artefact = |name: &str, purpose| Artefact {
            name: name.into(),
            purpose,
            url: "http://mirror.example/x".into(),
            checksum: format!("sha256:{name}"),
            size_bytes: None,
        };
        os.spec.artefacts = vec![
            artefact("k", Purpose::Kernel),
            artefact("i", Purpose::Initrd),
            artefact("s", Purpose::Stage2),
        ];
        os
    }

    fn given<'a>(os: &'a OperatingSystem, token: Option<&'a str>) -> Circumstances<'a> {
        Circumstances {
            server: None,
            operating_system: Some(os),
            mac: MacAddress([0x52, 0x54, 0, 0, 0, 1]),
            platform: Platform::UefiX64,
            base: "http://10.9.0.2",
            log_host: [10, 9, 0, 2].into(),
            fixed: None,
            token,
        }
    }

    #[test]
    fn every_installer() {
        let check = |method, family, expected: &str| {
            let os = operating_system(method, family);
            let start = start(BootAnswer::Install, &given(&os, Some("t0ken"))).expect("it can be started");
            let decision = Decision { answer: BootAnswer::Install, why: "approved".into(), once: false };
            assert_eq!(
                render(&decision, &start),
                Ok(Rendered::Text(format!("echo 'Install: approved'\n{expected}\nboot\n")))
            );
        };
        let own = "linux /systems/discovery/amd64/vmlinuz lab.site=http://10.9.0.2 lab.mode=install BOOTIF=01-52-54-00-00-00-01 \
                   lab.token=t0ken\ninitrd /systems/discovery/amd64/initrd";
        check(Method::Image, Family::Debian, own);
        let preseed = "linux /artefacts/k/k auto=true priority=critical interface=auto \
                       url=http://10.9.0.2/answers/t0ken/preseed.cfg log_host=10.9.0.2 log_port=514 netcfg/get_nameservers= BOOTIF=01-52-54-00-00-00-01\n\
                       initrd /artefacts/i/i";
        check(Method::Preseed, Family::Debian, preseed);
        let autoinstall = "linux /artefacts/k/k url=http://10.9.0.2/artefacts/s/s autoinstall \
                           'ds=nocloud;s=http://10.9.0.2/answers/t0ken/' ip=dhcp BOOTIF=01-52-54-00-00-00-01\n\
                           initrd /artefacts/i/i";
        check(Method::Autoinstall, Family::Ubuntu, autoinstall);
        let kickstart = "linux /artefacts/k/k inst.stage2=http://10.9.0.2/artefacts/s/s \
                         inst.ks=http://10.9.0.2/answers/t0ken/ks.cfg inst.syslog=10.9.0.2:514 ip=dhcp \
                         BOOTIF=01-52-54-00-00-00-01\ninitrd /artefacts/i/i";
        check(Method::Kickstart, Family::Fedora, kickstart);
    }

    #[test]
    fn no_secrets_without_a_token_and_no_console_unasked() {
        for method in [Method::Image, Method::Kickstart, Method::Autoinstall, Method::Preseed] {
            let os = operating_system(method, Family::Debian);
            for answer in [BootAnswer::Install, BootAnswer::Debug] {
                assert_eq!(start(answer, &given(&os, None)), Err(CannotStart::NoToken));
                let Ok(Start::System(system)) = start(answer, &given(&os, Some("t"))) else {
                    panic!("{method:?}")
                };
                assert!(system.arguments.iter().all(|a| !a.starts_with("console=")), "{system:?}");
                assert!(
                    system.arguments.iter().any(|a| a.contains("/t/") || a.ends_with("token=t")),
                    "{system:?}"
                );
            }
            assert!(start(BootAnswer::Discovery, &given(&os, None)).is_ok());
        }
    }

    #[test]
    fn a_machine_without_dhcp() {
        let fixed = medium::Fixed {
            address: [10, 9, 0, 50].into(),
            prefix: 24,
            gateway: Some([10, 9, 0, 254].into()),
        };
        let names = [[10, 9, 0, 3].into()];
        let check = |method, family, expected: &str| {
            let os = operating_system(method, family);
            let given = Circumstances { fixed: Some((fixed, &names)), ..given(&os, Some("t")) };
            let Ok(Start::System(system)) = start(BootAnswer::Install, &given) else { panic!("{method:?}") };
            let said = system.arguments.join(" ");
            assert!(said.contains(expected) && !said.contains("dhcp"), "{said}");
        };
        let dracut = " ip=10.9.0.50::10.9.0.254:255.255.255.0:::none:10.9.0.3 nameserver=10.9.0.3 ";
        check(Method::Kickstart, Family::Fedora, dracut);
        check(Method::Autoinstall, Family::Ubuntu, dracut);
        let netcfg = " netcfg/disable_autoconfig=true netcfg/get_ipaddress=10.9.0.50 netcfg/get_netmask=255.255.255.0 \
                      netcfg/confirm_static=true netcfg/get_gateway=10.9.0.254 netcfg/get_nameservers=10.9.0.3 ";
        check(Method::Preseed, Family::Debian, netcfg);
        check(Method::Image, Family::Debian, " lab.address=10.9.0.50/24 lab.gateway=10.9.0.254");
    }

    #[test]
    fn rescue_by_anaconda() {
        let os = operating_system(Method::Kickstart, Family::Fedora);
        let Ok(Start::System(system)) = start(BootAnswer::Debug, &given(&os, Some("t"))) else {
            panic!("it can be started")
        };
        let expected = [
            "inst.stage2=http://10.9.0.2/artefacts/s/s",
            "inst.ks=http://10.9.0.2/answers/t/rescue.cfg",
            "inst.syslog=10.9.0.2:514",
            "ip=dhcp",
            "inst.rescue",
            "inst.sshd",
            "BOOTIF=01-52-54-00-00-00-01",
        ];
        assert_eq!(system.arguments, expected);
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let mut os = operating_system(Method::Preseed, Family::Debian);
        os.spec.artefacts.remove(0);
        let error = start(BootAnswer::Install, &given(&os, Some("t"))).expect_err("there is no kernel");
        assert_eq!(error, CannotStart::NoArtefact { name: "debian-13".into(), purpose: "kernel" });
        let arm = Circumstances { platform: Platform::UefiArm64, ..given(&os, Some("t")) };
        assert!(matches!(start(BootAnswer::Install, &arm), Err(CannotStart::OtherProcessor { .. })));
        let risc = Circumstances { platform: Platform::UefiRiscV64, ..given(&os, Some("t")) };
        assert!(matches!(start(BootAnswer::Discovery, &risc), Err(CannotStart::NoKernel { .. })));
        let none = Circumstances { operating_system: None, ..given(&os, Some("t")) };
        assert!(matches!(start(BootAnswer::Install, &none), Err(CannotStart::NoOperatingSystem { .. })));
        assert!(quoted("it's").is_err() && quoted("a b").is_err() && quoted("").is_err());
    }
}
