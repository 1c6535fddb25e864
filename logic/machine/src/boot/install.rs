//! The installer: our own from an image, or the distribution's with an answer file.

use super::discovery::{bootif, own_system};
use super::{CannotStart, Circumstances, System};
use lab_kinds::metal::operating_system::{Artefact, Method, OperatingSystem, Purpose};
use lab_kinds::metal::{Server, server::status::Phase};

/// The hash of the plan that is approved and waits to be carried out; or why it has to wait longer. Nothing where no approved plan
/// is left to carry out.
pub fn waits(server: &Server) -> Option<Result<&str, String>> {
    let install = server.spec.install.as_ref()?;
    let plan = server.status.plan.as_ref()?.hash.as_deref()?;
    if install.approve.as_deref() != Some(plan) {
        return None;
    }
    let done = server.status.install.as_ref().is_some_and(|done| {
        done.plan == plan && done.reprovision.unwrap_or_default() >= install.reprovision.unwrap_or_default()
    });
    if done {
        return None;
    }
    if server.status.phase == Some(Phase::Failed) {
        return Some(Err("its installation failed, and a person has to look at it".into()));
    }
    Some(Ok(plan))
}

/// Where the boot server has an artefact: under its checksum, so that what was approved is what is served.
pub fn artefact_path(artefact: &Artefact) -> String {
    let checksum = artefact.checksum.strip_prefix("sha256:").unwrap_or(&artefact.checksum);
    format!("artefacts/{checksum}/{}", artefact.name)
}

pub(super) fn system(given: &Circumstances) -> Result<System, CannotStart> {
    let token = given.token.ok_or(CannotStart::NoToken)?;
    let name = given.server.and_then(|server| server.spec.install.as_ref());
    let name = name.map(|install| install.operating_system.clone()).unwrap_or_default();
    let Some(os) = given.operating_system else { return Err(CannotStart::NoOperatingSystem { name }) };
    let fits = given.platform.architecture() == Some(os.spec.architecture);
    if !fits {
        return Err(CannotStart::OtherProcessor { name, platform: given.platform });
    }
    if os.spec.method == Method::Image {
        return own_system("install", Some(token), given);
    }
    rest_of_system(os, unattended(os, token, given), given)
}

/// A distribution's kernel with arguments of ours, the NIC that boots, and its own.
pub(super) fn rest_of_system(
    os: &OperatingSystem,
    mut arguments: Vec<String>,
    given: &Circumstances,
) -> Result<System, CannotStart> {
    let name = os.metadata.name.clone().unwrap_or_default();
    let find = |purpose, text| {
        artefact(os, purpose).ok_or(CannotStart::NoArtefact { name: name.clone(), purpose: text })
    };
    arguments.push(bootif(given));
    arguments.extend(os.spec.installer_arguments.iter().cloned());
    Ok(System {
        kernel: artefact_path(find(Purpose::Kernel, "kernel")?),
        initrds: vec![artefact_path(find(Purpose::Initrd, "initrd")?)],
        arguments,
    })
}

fn artefact(os: &OperatingSystem, purpose: Purpose) -> Option<&Artefact> {
    os.spec.artefacts.iter().find(|artefact| artefact.purpose == purpose)
}

/// The arguments by which an installer finds its answers, and sends its log. The answers hold secrets: their address has the token in it.
fn unattended(os: &OperatingSystem, token: &str, given: &Circumstances) -> Vec<String> {
    let (base, log_host) = (given.base, given.log_host);
    let answers = format!("{base}/answers/{token}");
    let stage2 = artefact(os, Purpose::Stage2).map(|stage2| format!("{base}/{}", artefact_path(stage2)));
    match os.spec.method {
        Method::Image => Vec::new(),
        Method::Kickstart => anaconda(os, &format!("{answers}/ks.cfg"), given),
        Method::Autoinstall => {
            let stage2 = stage2.map(|url| format!("url={url}"));
            let rest = ["autoinstall".into(), format!("ds=nocloud;s={answers}/")];
            stage2.into_iter().chain(rest).chain(addressing(given)).collect()
        }
        Method::Preseed => {
            let mut arguments: Vec<String> = vec![
                "auto=true".into(),
                "priority=critical".into(),
                "interface=auto".into(),
                format!("url={answers}/preseed.cfg"),
                format!("log_host={log_host}"),
                "log_port=514".into(),
            ];
            arguments.extend(netcfg(given));
            arguments
        }
    }
}

/// The arguments of Anaconda with a kickstart.
pub(super) fn anaconda(os: &OperatingSystem, kickstart: &str, given: &Circumstances) -> Vec<String> {
    let stage2 = artefact(os, Purpose::Stage2);
    // A mirror's folder holds stage 2 as well.
    let stage2 = match (stage2, os.spec.repositories.first()) {
        (Some(stage2), _) => Some(format!("inst.stage2={}/{}", given.base, artefact_path(stage2))),
        (None, Some(repository)) => Some(format!("inst.stage2={}", repository.url)),
        (None, None) => None,
    };
    let rest = [format!("inst.ks={kickstart}"), format!("inst.syslog={}:514", given.log_host)];
    stage2.into_iter().chain(rest).chain(addressing(given)).collect()
}

/// The machine's address, in the form that dracut and casper share.
fn addressing(given: &Circumstances) -> Vec<String> {
    let Some((fixed, names)) = given.fixed else { return vec!["ip=dhcp".into()] };
    let gateway = fixed.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    // casper's own takes two name servers, at the end and nowhere else.
    let first = names.iter().filter(|name| name.is_ipv4()).take(2);
    let first: String = first.map(|name| format!(":{name}")).collect();
    let mut arguments = vec![format!("ip={}::{gateway}:{}:::none{first}", fixed.address, fixed.mask())];
    arguments.extend(names.iter().map(|name| format!("nameserver={name}")));
    arguments
}

/// The same in the words of Debian-Installer. It asks a person for what neither DHCP nor these tell, so that what there is none of is
/// said to be empty.
fn netcfg(given: &Circumstances) -> Vec<String> {
    let Some((fixed, names)) = given.fixed else { return vec!["netcfg/get_nameservers=".into()] };
    let gateway = fixed.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    let name = names.first().map(|name| name.to_string()).unwrap_or_default();
    vec![
        "netcfg/disable_autoconfig=true".to_owned(),
        format!("netcfg/get_ipaddress={}", fixed.address),
        format!("netcfg/get_netmask={}", fixed.mask()),
        "netcfg/confirm_static=true".into(),
        format!("netcfg/get_gateway={gateway}"),
        format!("netcfg/get_nameservers={name}"),
    ]
}
