//! Answer files of distributions' installers: made when they are asked for, and only for the boot that they are for.
//!
//! `GET /answers/<token>/<file>` is answered while the token is that of the machine's newest boot, that boot was told to install (or to
//! rescue), and the plan is approved as it stands. Nobody else sees the token that the installed system's agent joins with. What these installers
//! report as stages is told as progress of the plan.

use crate::agent::{Work, ordered};
use crate::{Site, files};
use jiff::Timestamp;
use lab_install::agent::served_at;
use lab_install::answer::{self, Agent, AnswerFile, Given, rescue, stages};
use lab_install::approval;
use lab_kinds::metal::Server;
use lab_kinds::metal::operating_system::{Method, OperatingSystem};
use lab_kinds::metal::server::status::{BootAnswer, Phase, StageOutcome};
use lab_kinds::metal::server::{Plan, Stage};
use lab_machine::boot::{self, medium::Fixed};
use lab_machine::recognise::Recognition;
use lab_machine::silence::Attempt;
use lab_machine::timeline::Event;
use lab_netboot::files::{Asked, Taken};
use lab_netboot::syslog::Message;
use lab_object::mac::MacAddress;
use lab_wire::site::Progress;
use serde::Deserialize;
use std::net::IpAddr;

/// Where the paths of answer files begin, without a leading slash.
const FOLDER: &str = "answers/";

/// Whether a path is that of an answer file.
pub(crate) fn asks_for_answers(path: &str) -> bool {
    path.starts_with(FOLDER)
}

/// A path as it is told: whoever knows the token in it can speak for the machine.
pub(crate) fn without_token(path: &str) -> String {
    match path.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/')) {
        Some((_, file)) => format!("{FOLDER}…/{file}"),
        None => path.to_owned(),
    }
}

/// What an answer file is made of.
struct Asker {
    mac: MacAddress,
    recognition: Recognition,
    server: Server,
    system: Option<OperatingSystem>,
    answer: Option<BootAnswer>,
    /// Its address and the network's name servers, where it has it from its boot medium.
    fixed: Option<(Fixed, Vec<IpAddr>)>,
}

impl Site {
    /// The text of an answer file; nothing where the token, the machine's state or the file's name do not lead to one.
    pub(crate) async fn answer_file(&self, asked: &Asked) -> Option<String> {
        let (token, name) = asked.path.strip_prefix(FOLDER)?.split_once('/')?;
        let (mac, _) = self.redeem(token)?;
        let asker = self.asker(mac)?;
        let ip = self.facing(asked.peer.ip());
        let (base, log_host) = (self.address(ip).url(""), ip.to_string());
        let site = answer::Site { base: base.trim_end_matches('/'), log_host: &log_host, token };
        let found = match asker.answer {
            Some(BootAnswer::Install) => self.install_answers(&asker, &site).await,
            Some(BootAnswer::Debug) => {
                rescue::render(&asker.server, &site).map_err(|error| error.to_string())
            }
            Some(BootAnswer::Local | BootAnswer::Discovery) | None => {
                Err("this boot is for something else".into())
            }
        };
        match found {
            Ok(files) => files.into_iter().find(|file| file.name == name).map(|file| file.text),
            Err(why) => {
                tracing::warn!(%mac, why, "no answer files");
                let why = format!("the installer's answers cannot be given: {why}");
                self.with(|known| {
                    known.record(mac, self.surroundings.now(), Event::Unanswered { why });
                });
                None
            }
        }
    }

    fn asker(&self, mac: MacAddress) -> Option<Asker> {
        self.with(|known| {
            let machine = known.machine(mac)?;
            let answer = Attempt::of(&machine.timeline).and_then(|attempt| attempt.answer);
            let (recognition, server) = known.recognise(mac, machine.uuid.as_deref());
            let server = known.as_it_counts(server?, mac);
            let system = known.operating_system(Some(&server)).cloned();
            let fixed = machine.address.filter(|_| machine.fixed).and_then(|address| {
                let network = known.network(None, address)?;
                Some((files::fixed(address, network), network.spec.dns.clone()))
            });
            Some(Asker { mac, recognition, server, system, answer, fixed })
        })
    }

    async fn install_answers(
        &self,
        asker: &Asker,
        site: &answer::Site<'_>,
    ) -> Result<Vec<AnswerFile>, String> {
        let Asker { server, .. } = asker;
        let decision = boot::decide(&asker.recognition, Some(server));
        if decision.answer != BootAnswer::Install {
            return Err(decision.why);
        }
        let plan = server.status.plan.as_ref().ok_or("there is no plan")?;
        approval::approved(server, plan).map_err(|error| error.to_string())?;
        let system = asker.system.as_ref().ok_or("its operating system is not known to the boot server")?;
        let executable = self.executable(system.spec.architecture).await;
        let plan_hash = plan.hash.clone().unwrap_or_default();
        let invited = executable.and_then(|sha256| Ok((sha256, self.invite(asker.mac, plan_hash)?)));
        let agent = invited.as_ref().map_err(String::as_str).map(|(sha256, joining)| Agent {
            path: served_at(system.spec.architecture),
            sha256,
            server: &joining.server,
            ca_hash: &joining.ca_hash,
            token: &joining.token,
        });
        let fixed = asker.fixed.as_ref().map(|(fixed, names)| answer::Fixed {
            address: fixed.address,
            mask: fixed.mask(),
            gateway: fixed.gateway,
            name_servers: names,
        });
        let given = Given { server, system, plan, site: *site, agent, fixed, begun: is_begun(server) };
        let files = answer::render(&given).map_err(|error| error.to_string())?;
        self.with(|known| {
            known
                .heard(asker.mac)
                .into_iter()
                .for_each(|machine| machine.told_to(Work::Install(ordered(plan))));
        });
        Ok(files)
    }

    /// Takes a stage for progress, where a distribution's installer reports it that was given its answers.
    pub(crate) fn progress_by_stage(&self, mac: MacAddress, now: Timestamp, stage: Stage) {
        let Some(asker) = self.asker(mac).filter(|asker| asker.answer == Some(BootAnswer::Install)) else {
            return;
        };
        let own = asker.system.as_ref().is_none_or(|system| system.spec.method == Method::Image);
        let Some(plan) = asker.server.status.plan.as_ref().filter(|_| !own) else { return };
        self.with(|known| {
            let Some(machine) = known.machine(mac) else { return };
            let under_way = |said: &Progress| match machine.own.ordered() {
                Some(Work::Install(install)) => install.plan == said.plan && install.finished.is_none(),
                _ => false,
            };
            let Some(said) = said(&stage, plan).filter(under_way) else { return };
            let news = machine.own.is_news(&said);
            if said.finished {
                known.record(mac, now, Event::Installed { plan: said.plan.clone() });
            }
            known.unreported.insert(mac);
            if let Some(machine) = known.heard(mac) {
                machine.progressed(now, said, news);
            }
        });
    }

    /// Takes an event of Subiquity's reporting, which goes to `POST /webhook/<token>`.
    pub(crate) fn hear_webhook(&self, mac: MacAddress, content: &[u8]) -> Taken {
        let Ok(event) = serde_json::from_slice::<Reported>(content) else { return Taken::Malformed };
        let now = self.surroundings.now();
        let failed = event.result.as_deref() == Some("FAIL");
        let outcome = match event.event_type.as_str() {
            "finish" if failed => Some(StageOutcome::Failed),
            "finish" => Some(StageOutcome::Done),
            _ => None,
        };
        match stages::of_subiquity(&event.name, &event.description) {
            Some(name) => {
                let message = if failed { event.description } else { String::new() };
                self.hear_stage(mac, now, name.into(), outcome, message);
            }
            None => {
                let severity = if failed { "<3>" } else { "<6>" };
                let line = format!("{severity}{} {}: {}", event.event_type, event.name, event.description);
                let message = Message::parse(line.as_bytes());
                self.with(|known| {
                    known
                        .heard(mac)
                        .into_iter()
                        .for_each(|machine| machine.log(crate::log::said(now, message.clone())));
                });
            }
        }
        Taken::Done
    }

    /// Looks whether a line of a log says that an installer gave up.
    pub(crate) fn look_for_failure(&self, mac: MacAddress, program: Option<&str>, text: &str) {
        if let Some(why) = stages::failed_in_debian(program, text) {
            let now = self.surroundings.now();
            self.hear_stage(mac, now, "debian-installer".into(), Some(StageOutcome::Failed), why);
        }
    }
}

/// Whether an installation by this plan went beyond its point of no return before.
fn is_begun(server: &Server) -> bool {
    let began = |stage: &Stage| stage.name == stages::POINT_OF_NO_RETURN;
    server.status.phase == Some(Phase::Installing) && server.status.stages.iter().any(began)
}

/// A stage as progress of a plan.
fn said(stage: &Stage, plan: &Plan) -> Option<Progress> {
    let plan = plan.hash.clone()?;
    let finished = stage.name == stages::LAST
        && stage.outcome == Some(StageOutcome::Done)
        && stage.message.as_ref() == Some(&plan);
    let failed = stage.outcome == Some(StageOutcome::Failed);
    let percent = match stages::percent(&stage.name) {
        _ if finished => 100,
        Some(percent) => percent,
        // Of stages that nobody knows, only their failure says something of the whole.
        None if failed => 0,
        None => return None,
    };
    Some(Progress { plan, stage: stage.clone(), percent, finished, ..Progress::default() })
}

/// An event as curtin and Subiquity report it.
#[derive(Debug, Deserialize)]
struct Reported {
    name: String,
    event_type: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    result: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stages_say_of_a_plan() {
        let plan = Plan { hash: Some("sha256:aa".into()), ..Plan::default() };
        let check = |name: &str, outcome, message: &str, expected: Option<(i32, bool)>| {
            let stage =
                Stage { name: name.into(), outcome, message: Some(message.into()), ..Stage::default() };
            let said = said(&stage, &plan);
            assert_eq!(said.map(|said| (said.percent, said.finished)), expected, "{name}");
        };
        check("packages", None, "", Some((35, false)));
        check("finished", None, "", Some((99, false)));
        check("finished", Some(StageOutcome::Done), "sha256:aa", Some((100, true)));
        check("finished", Some(StageOutcome::Done), "sha256:bb", Some((99, false)));
        check("anaconda", Some(StageOutcome::Failed), "why", Some((0, false)));
        check("somebody's", None, "", None);
    }

    #[test]
    fn tokens_are_not_told() {
        assert_eq!(without_token("answers/7f0c/ks.cfg"), "answers/…/ks.cfg");
        assert_eq!(without_token("systems/x"), "systems/x");
    }
}
