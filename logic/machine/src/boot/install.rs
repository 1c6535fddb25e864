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
    let find = |purpose, text| {
        artefact(os, purpose).ok_or(CannotStart::NoArtefact { name: name.clone(), purpose: text })
    };
    let mut arguments = unattended(os, token, given);
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
        Method::Kickstart => {
            let stage2 = stage2.map(|url| format!("inst.stage2={url}"));
            let rest = [
                format!("inst.ks={answers}/ks.cfg"),
                format!("inst.syslog={log_host}:514"),
                "ip=dhcp".into(),
            ];
            stage2.into_iter().chain(rest).collect()
        }
        Method::Autoinstall => {
            let stage2 = stage2.map(|url| format!("url={url}"));
            let rest = ["autoinstall".into(), format!("ds=nocloud;s={answers}/"), "ip=dhcp".into()];
            stage2.into_iter().chain(rest).collect()
        }
        Method::Preseed => vec![
            "auto=true".into(),
            "priority=critical".into(),
            "interface=auto".into(),
            format!("url={answers}/preseed.cfg"),
            format!("log_host={log_host}"),
            "log_port=514".into(),
        ],
    }
}
