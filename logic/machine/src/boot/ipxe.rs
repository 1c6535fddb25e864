//! A boot answer as an iPXE script.
//!
//! Builds differ in their commands, and a line with a command that is missing ends the script: such lines end in `||`.

use super::{CannotStart, Decision, Start, System, shown};
use crate::client::Platform;
use lab_kinds::metal::server::LocalDiskBoot;
use lab_kinds::metal::server::hardware::FirmwareType;

/// A boot answer as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// A script, or configuration.
    Text(String),
    /// That there is nothing, from which the firmware concludes to try its next boot entry.
    NotFound,
}

/// Writes what is to be started as an iPXE script. Paths are fetched from `base`, such as `http://10.9.0.2` or
/// `tftp://10.9.0.2`.
pub fn render(
    decision: &Decision,
    start: &Start,
    platform: Platform,
    base: &str,
) -> Result<Rendered, CannotStart> {
    let why = shown(&decision.why);
    let script = match start {
        Start::LocalDisk(LocalDiskBoot::NotFound) => return Ok(Rendered::NotFound),
        // A program that ends well ends UEFI's search for something to start, in its menu (UEFI 2.10 §3.1.2); after a failure the next
        // entry of the boot order is tried.
        Start::LocalDisk(LocalDiskBoot::Exit) => format!("#!ipxe\necho Local disk: {why}\nexit 1\n"),
        Start::LocalDisk(LocalDiskBoot::Sanboot) => {
            format!("#!ipxe\necho Local disk: {why}\nsanboot --no-describe --drive 0x80 || exit 1\n")
        }
        Start::System(system) => load(system, platform, base, &format!("{:?}: {why}", decision.answer))?,
    };
    Ok(Rendered::Text(script))
}

/// Tries three times and gives up, so that a machine is neither lost to one lost packet nor caught in a loop. Between tries only
/// IPv4 is configured anew: without `-c dhcp`, iPXE waits 16 s for an IPv6 router.
fn load(system: &System, platform: Platform, base: &str, title: &str) -> Result<String, CannotStart> {
    let mut arguments = Vec::new();
    if platform.firmware() == FirmwareType::Uefi {
        // The kernel's UEFI stub finds an initial RAM disk by this name; iPXE before 2.0 tells it no other way.
        arguments.extend((0..system.initrds.len()).map(|at| format!("initrd=initrd{at}")));
    }
    for argument in &system.arguments {
        check(argument)?;
        arguments.push(argument.clone());
    }
    let mut script = format!("#!ipxe\necho {title}\nset tries:string x\n:start\n");
    script += &format!("kernel {base}/{} {} || goto again\n", system.kernel, arguments.join(" "));
    for (at, initrd) in system.initrds.iter().enumerate() {
        script += &format!("initrd --name initrd{at} {base}/{initrd} || goto again\n");
    }
    script += "boot || goto again\n:again\niseq ${tries} xxx && goto failed ||\nset tries:string ${tries}x\n";
    script +=
        "echo Could not be started, trying again\nimgfree ||\nsleep 5 ||\nifconf -c dhcp ||\ngoto start\n";
    script += ":failed\necho Could not be started, giving up\nimgfree ||\nexit 1\n";
    Ok(script)
}

/// iPXE splits a line at spaces, expands `${…}`, and has no quotes that would keep it from doing so.
fn check(argument: &str) -> Result<(), CannotStart> {
    let plain = argument.bytes().all(|b| b.is_ascii_graphic()) && !argument.contains("${");
    if plain && !argument.is_empty() && !matches!(argument, "||" | "&&") {
        return Ok(());
    }
    Err(CannotStart::Argument { argument: argument.into(), loader: "iPXE" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::status::BootAnswer;
    use proptest::prelude::*;

    fn decision(answer: BootAnswer, why: &str) -> Decision {
        Decision { answer, why: why.into(), once: false }
    }

    fn system(arguments: &[&str]) -> Start {
        Start::System(System {
            kernel: "systems/discovery/amd64/vmlinuz".into(),
            initrds: vec!["systems/discovery/amd64/initrd".into()],
            arguments: arguments.iter().map(|&a| a.into()).collect(),
        })
    }

    fn text(start: &Start, platform: Platform, why: &str) -> String {
        match render(&decision(BootAnswer::Discovery, why), start, platform, "http://10.9.0.2") {
            Ok(Rendered::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kernel() {
        let expected = "#!ipxe
echo Discovery: not known
set tries:string x
:start
kernel http://10.9.0.2/systems/discovery/amd64/vmlinuz initrd=initrd0 lab.mode=discovery || goto again
initrd --name initrd0 http://10.9.0.2/systems/discovery/amd64/initrd || goto again
boot || goto again
:again
iseq ${tries} xxx && goto failed ||
set tries:string ${tries}x
echo Could not be started, trying again
imgfree ||
sleep 5 ||
ifconf -c dhcp ||
goto start
:failed
echo Could not be started, giving up
imgfree ||
exit 1
";
        let start = system(&["lab.mode=discovery"]);
        assert_eq!(text(&start, Platform::UefiX64, "not known"), expected);
        assert_eq!(text(&start, Platform::Bios, "not known"), expected.replace("initrd=initrd0 ", ""));
    }

    #[test]
    fn the_local_disk() {
        let check = |way, expected| {
            let found =
                render(&decision(BootAnswer::Local, "installed"), &Start::LocalDisk(way), Platform::Bios, "");
            assert_eq!(found, Ok(expected));
        };
        check(LocalDiskBoot::NotFound, Rendered::NotFound);
        check(LocalDiskBoot::Exit, Rendered::Text("#!ipxe\necho Local disk: installed\nexit 1\n".into()));
        let sanboot = "#!ipxe\necho Local disk: installed\nsanboot --no-describe --drive 0x80 || exit 1\n";
        check(LocalDiskBoot::Sanboot, Rendered::Text(sanboot.into()));
    }

    #[test]
    fn arguments_that_would_mean_something_else() {
        for bad in ["||", "&&", "a b", "${net0/mac}", "a\nreboot", ""] {
            let found = render(&decision(BootAnswer::Discovery, ""), &system(&[bad]), Platform::Bios, "");
            assert_eq!(found, Err(CannotStart::Argument { argument: bad.into(), loader: "iPXE" }));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_starts_no_command(why: String) {
            let script = text(&Start::LocalDisk(LocalDiskBoot::Exit), Platform::UefiX64, &why);
            prop_assert_eq!(script.lines().count(), 3);
            prop_assert!(!script.contains("||") && !script.contains('$'));
        }
    }
}
