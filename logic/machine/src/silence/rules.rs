//! The rules, the furthest step first.

use super::Attempt;
use crate::client::Class;
use crate::offer::Form;
use crate::timeline::Transfer;
use lab_kinds::metal::server::status::{BootAnswer, StageOutcome};

pub(super) struct Rule {
    pub name: &'static str,
    /// How long a machine may be quiet at this step, in seconds.
    pub patience_seconds: i64,
    pub applies: fn(&Attempt) -> bool,
    pub cause: fn(&Attempt) -> String,
    pub advice: &'static str,
}

/// The first rule that applies explains the silence.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "joined-then-silent",
        patience_seconds: 120,
        applies: |a| a.heartbeat,
        cause: |_| {
            "its agent was heard and is not any more: the machine is off, hangs, or lost its network".into()
        },
        advice: "look at its power and its console, and at the switch port",
    },
    Rule {
        name: "stage-failed",
        patience_seconds: 0,
        applies: |a| matches!(&a.stage, Some((_, Some(StageOutcome::Failed)))),
        cause: |a| format!("the stage {} failed", stage(a)),
        advice: "read the machine's log around that stage",
    },
    Rule {
        name: "rebooting",
        patience_seconds: 300,
        applies: |a| matches!(&a.stage, Some((_, Some(_)))),
        cause: |a| {
            format!(
                "the stage {} ended, and neither a further one nor the installed system was heard",
                stage(a)
            )
        },
        advice: "look at the console: the machine may not find its boot loader, or still boot from the network first",
    },
    Rule {
        name: "stage-hangs",
        patience_seconds: 300,
        applies: |a| a.stage.is_some(),
        cause: |a| format!("the stage {} began and has said nothing since", stage(a)),
        advice: "read the machine's log; a slow disk or mirror takes long, an installer that asks a question waits for ever",
    },
    Rule {
        name: "local-disk",
        patience_seconds: 600,
        applies: |a| a.answer == Some(BootAnswer::Local) && a.system_files == 0,
        cause: |_| "it was sent to its local disk, and the system there was not heard".into(),
        advice: "look at the console; where the firmware does not go on to the disk, set spec.boot.localDisk to another way",
    },
    Rule {
        name: "kernel-silent",
        patience_seconds: 120,
        applies: |a| a.system_files >= 2,
        cause: |_| {
            "kernel and initial RAM disk were fetched, and the system never reported: it has no driver for the NIC, or did \
             not start"
                .into()
        },
        advice: "look at the console; a machine with a serial console shows it with console=ttyS0 (or ttyS1) in \
                 spec.boot.kernelArguments",
    },
    Rule {
        name: "transfer-broke-off",
        patience_seconds: 20,
        applies: |a| matches!(a.last_file, Some((_, Transfer::TimedOut))),
        cause: |a| format!("the transfer of {} broke off: packets are lost on the way", file(a)),
        advice: "look at cabling, duplex and MTU between the machine and the boot server; large packets go first",
    },
    Rule {
        name: "file-not-found",
        patience_seconds: 20,
        applies: |a| {
            matches!(&a.last_file, Some((path, Transfer::NotFound)) if !probe(path))
                || (a.grub_asked && !a.script && !grub_modules(a))
        },
        cause: |a| format!("it asked for {}, which the boot server does not hold", file(a)),
        advice: "see whether another DHCP server names that file, or whether it is missing from the boot server's cache",
    },
    Rule {
        name: "initrd-not-fetched",
        patience_seconds: 60,
        applies: |a| a.system_files == 1,
        cause: |_| {
            "the kernel was fetched, and the initial RAM disk was not: most often there is too little memory"
                .into()
        },
        advice: "look at the console, and at how much memory the machine has",
    },
    Rule {
        name: "script-then-nothing",
        patience_seconds: 60,
        applies: |a| a.script,
        cause: |_| "it fetched its script and no kernel".into(),
        advice: "look at the console, where the boot loader says why; HTTP to the boot server must not be blocked",
    },
    Rule {
        name: "grub-without-configuration",
        patience_seconds: 30,
        applies: |a| a.grub_asked,
        cause: |_| "GRUB started and did not get its configuration; it waits at its prompt".into(),
        advice: "see that the boot server serves /grub/grub.cfg by the protocol GRUB was loaded with",
    },
    Rule {
        name: "grub-ignores-proxy",
        patience_seconds: 20,
        applies: |a| {
            a.grub && matches!(a.firmware_form, Some(Form::ProxyDirect | Form::ProxyBinl | Form::Binl))
        },
        cause: |_| {
            "shim and GRUB were fetched, and GRUB asked for nothing: the distribution's signed GRUB takes its server from the DHCP \
             server's own answer and knows nothing of a boot server beside it"
                .into()
        },
        advice: "give addresses out from here (dhcp mode full), or let the other DHCP server name this boot server as next-server",
    },
    Rule {
        name: "grub-silent-after-http",
        patience_seconds: 20,
        applies: |a| a.grub && a.firmware_form == Some(Form::Http),
        cause: |_| {
            "shim and GRUB were fetched by HTTP, and GRUB asked for nothing: the distribution's signed GRUB does not set up the network \
             where HTTP loaded it, and waits at its prompt"
                .into()
        },
        advice: "put network boot by PXE over IPv4 before HTTP in the firmware's boot order, and give addresses out from here (dhcp mode \
                 full): GRUB that came by TFTP goes on",
    },
    Rule {
        name: "grub-silent",
        patience_seconds: 30,
        applies: |a| a.grub,
        cause: |_| "shim and GRUB were fetched, and GRUB asked for nothing".into(),
        advice: "look at the console: it waits at GRUB's prompt, or GRUB was not accepted by shim",
    },
    Rule {
        name: "ipxe-loop",
        patience_seconds: 0,
        applies: |a| a.ipxe_fetched_program,
        cause: |a| {
            format!(
                "iPXE was sent for {} again instead of its script",
                a.program.as_deref().unwrap_or("itself")
            )
        },
        advice: "another DHCP server names a boot file for everybody: take that out, or except the user class iPXE",
    },
    Rule {
        name: "ipxe-script-not-fetched",
        // Without an IPv6 router, iPXE looks for one for 17 s before it goes on.
        patience_seconds: 30,
        applies: |a| a.ipxe_took_address && a.ipxe_form.is_some(),
        cause: |_| {
            "iPXE has an address and its script's name, and does not fetch it: the boot server's HTTP port is not reached".into()
        },
        advice: "let the machines' network through to the boot server's HTTP port; see that the boot server's address is right",
    },
    Rule {
        name: "ipxe-offer-not-taken",
        patience_seconds: 30,
        applies: |a| a.ipxe_asked,
        cause: |a| match &a.unanswered {
            Some(why) => format!("iPXE asks for an address and is not answered: {why}"),
            None => {
                "iPXE asks for an address and takes none: answers do not reach it, or nobody gives addresses"
                    .into()
            }
        },
        advice: "see that a DHCP server gives addresses on this network, and that the switch forwards at once when a link comes up \
                 (portfast; LACP fallback)",
    },
    Rule {
        name: "secure-boot-refused",
        patience_seconds: 10,
        applies: |a| unsigned(a) && a.router_solicited_since_file,
        cause: |a| {
            format!(
                "{} was fetched and the firmware went on to its next boot entry: it was not allowed to start, as it is not \
                 signed for Secure Boot",
                a.program.as_deref().unwrap_or_default()
            )
        },
        advice: "let the machine be known to enforce Secure Boot, so that it is sent for shim, or switch Secure Boot off",
    },
    Rule {
        name: "program-silent",
        patience_seconds: 30,
        applies: |a| a.program.is_some(),
        cause: |a| {
            let program = a.program.as_deref().unwrap_or_default();
            let why = if unsigned(a) {
                "Secure Boot refused it, or it has no driver for the NIC"
            } else {
                "it did not start"
            };
            format!("{program} was fetched, then nothing: {why}")
        },
        advice: "look at the console: \"Access Denied\" means Secure Boot; a hang at \"initialising devices\" means the driver",
    },
    Rule {
        name: "program-not-finished",
        patience_seconds: 20,
        applies: |a| a.last_file.is_some(),
        cause: |a| format!("it began to fetch {} and did not finish", file(a)),
        advice: "look for packets lost on the way, and for a firewall that lets the first packet through and not the rest: TFTP \
                 answers from another port",
    },
    Rule {
        name: "asked-4011-only",
        patience_seconds: 20,
        applies: |a| a.asked_4011,
        cause: |_| {
            "it asked on port 4011 and fetched nothing: the answer did not reach it, or TFTP is blocked"
                .into()
        },
        advice: "let UDP ports 4011 and 69 through between the machines and the boot server",
    },
    Rule {
        name: "http-not-fetched",
        patience_seconds: 30,
        applies: |a| a.firmware == Some(Class::Http) && a.firmware_took_address,
        cause: |_| {
            "it took an address and the URL, and does not fetch it: the boot server's HTTP port is not reached".into()
        },
        advice: "let the machines' network through to the boot server's HTTP port",
    },
    Rule {
        name: "proxy-offer-ignored-binl",
        patience_seconds: 20,
        applies: |a| a.firmware_took_address && a.firmware_form == Some(Form::ProxyBinl),
        cause: |_| {
            "it took an address from the other server and never asked for the file: its firmware ignores proxy offers without a \
             boot server list"
                .into()
        },
        advice: "set spec.boot.offer to direct for this machine; see that UDP port 4011 is let through",
    },
    Rule {
        name: "proxy-offer-ignored-direct",
        patience_seconds: 20,
        applies: |a| a.firmware_took_address && a.firmware_form == Some(Form::ProxyDirect),
        cause: |_| {
            "it took an address from the other server and never asked for the file: UEFI firmware from before April 2017 drops \
             proxy offers that have option 43"
                .into()
        },
        advice: "set spec.boot.offer to binl for this machine",
    },
    Rule {
        name: "file-not-asked",
        patience_seconds: 20,
        applies: |a| a.firmware_took_address,
        cause: |a| {
            match &a.firmware_form {
            Some(_) => "it took the offer and never asked for the file: TFTP is blocked, or its firmware was not told of one".into(),
            None => "it took an address from another server; the boot server did not answer it".into(),
        }
        },
        advice: "let UDP port 69 through between the machines and the boot server; see the answer it was given",
    },
    Rule {
        name: "not-answered",
        patience_seconds: 10,
        applies: |a| a.unanswered.is_some(),
        cause: |a| format!("it asks and is not answered: {}", a.unanswered.as_deref().unwrap_or_default()),
        advice: "see the network's DHCP mode and ranges, and what the boot server holds",
    },
    Rule {
        name: "nobody-gives-addresses",
        patience_seconds: 30,
        applies: |a| proxied(a) && !a.answered_by_other,
        cause: |_| {
            "it was offered the boot server and takes nothing: no DHCP server was heard that gives addresses, and in proxy mode \
             the boot server gives none"
                .into()
        },
        advice: "see that a DHCP server runs on this network, or set the network's dhcp mode to full",
    },
    Rule {
        name: "offer-not-taken",
        patience_seconds: 30,
        applies: |a| a.firmware.is_some(),
        cause: |_| {
            "it asks and does not take what it is offered: the answers do not reach it, or the switch port blocks at first".into()
        },
        advice: "see that the switch forwards at once when a link comes up (portfast; LACP fallback), that VLANs fit, and that no \
                 other server's answer is taken first",
    },
];

fn stage(attempt: &Attempt) -> &str {
    attempt.stage.as_ref().map_or("", |(name, _)| name)
}

fn file(attempt: &Attempt) -> &str {
    attempt.last_file.as_ref().map_or("its boot file", |(path, _)| path)
}

/// Files that shim and GRUB look for and do without.
fn probe(path: &str) -> bool {
    path.starts_with("revocations_") || path.starts_with("shim_certificate_") || path.ends_with(".lst")
}

fn grub_modules(attempt: &Attempt) -> bool {
    attempt.last_file.as_ref().is_some_and(|(path, outcome)| probe(path) || *outcome != Transfer::NotFound)
}

fn unsigned(attempt: &Attempt) -> bool {
    attempt.program.as_deref().is_some_and(|program| !program.starts_with("shim"))
}

fn proxied(attempt: &Attempt) -> bool {
    matches!(attempt.firmware_form, Some(Form::ProxyDirect | Form::ProxyBinl))
        || (attempt.firmware == Some(Class::Http)
            && attempt.firmware_form.is_some()
            && !attempt.firmware_took_address)
}
