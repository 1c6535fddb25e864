//! Our own system on a machine: it says what the machine consists of, is told what to do, and says how far it has come
//! ([`lab_wire::site`]).

mod executable;
mod joining;
mod said;

pub(crate) use executable::Executables;
pub(crate) use joining::Token;
pub use joining::{Labd, Place};
pub(crate) use said::{Said, Work};

use crate::cache::{Held, wanted};
use crate::{Knowledge, Site};
use bytes::Bytes;
use lab_kinds::metal::server::Disk;
use lab_kinds::metal::server::status::InstallStatus;
use lab_kinds::metal::{OperatingSystem, Server, server::Plan};
use lab_machine::orders::{self, Image, Situation};
use lab_machine::recognise::Recognition;
use lab_machine::silence::Attempt;
use lab_machine::timeline::Event;
use lab_netboot::files::Taken;
use lab_object::mac::MacAddress;
use lab_wire::site::{DISCOVERY, Discovery, ORDERS, Orders, PROGRESS, Progress, WIPE};
use serde::de::DeserializeOwned;

/// How many disks, volume groups or NICs a machine may report.
const MOST: usize = 1024;
/// How long what is said of a stage may be, in bytes.
const MESSAGE: usize = 4096;

/// The token in a path of this kind, as paths are looked up: without a leading slash.
fn token<'a>(path: &'a str, kind: &str) -> Option<&'a str> {
    path.strip_prefix(kind.trim_start_matches('/'))
}

/// Whether a path is a question for orders. Whoever knows the token in it can speak for the machine, so that it is shown nowhere.
pub(crate) fn asks_for_orders(path: &str) -> bool {
    token(path, ORDERS).is_some()
}

impl Site {
    /// What our own system says; nothing where the path is not one of its.
    pub(crate) fn hear_agent(&self, path: &str, content: &[u8]) -> Option<Taken> {
        let discovery = token(path, DISCOVERY);
        let Some((mac, _)) = self.redeem(discovery.or_else(|| token(path, PROGRESS))?) else {
            return Some(Taken::Refused);
        };
        let taken = match discovery {
            Some(_) => self.hear_discovery(mac, content),
            None => self.hear_progress(mac, content),
        };
        Some(taken.unwrap_or_else(Taken::Invalid))
    }

    /// What the machine with this token is to do; nothing where the token is worth nothing.
    pub(crate) fn orders_by(&self, path: &str) -> Option<Bytes> {
        let (mac, _) = self.redeem(token(path, ORDERS)?)?;
        written(&self.orders(mac))
    }

    fn hear_discovery(&self, mac: MacAddress, content: &[u8]) -> Result<Taken, String> {
        let found: Discovery = understood(content)?;
        let most = found.disks.len().max(found.nics.len()).max(found.volume_groups.len());
        if most > MOST {
            return Err(format!(
                "{most} disks, volume groups or NICs are reported, and at most {MOST} are taken"
            ));
        }
        let now = self.surroundings.now();
        self.with(|known| {
            let event = Event::Discovered {
                disks: found.disks.len(),
                nics: found.nics.len(),
                problems: found.problems.join("; "),
            };
            let machine = known.record(mac, now, event);
            machine.describe(|machine| machine.uuid = machine.uuid.take().or_else(|| found.uuid.clone()));
            machine.discovered(now, found);
        });
        Ok(written(&self.orders(mac)).map_or(Taken::Malformed, Taken::Answered))
    }

    fn hear_progress(&self, mac: MacAddress, content: &[u8]) -> Result<Taken, String> {
        let mut progress: Progress = understood(content)?;
        let name = &progress.stage.name;
        if !crate::progress::is_sound(name) {
            return Err(format!("stage.name: {name:?} is no word of up to 63 characters"));
        }
        if let Some(message) = &mut progress.stage.message {
            message.truncate(message.floor_char_boundary(MESSAGE));
        }
        let now = self.surroundings.now();
        self.with(|known| {
            let machine = known.machine(mac).ok_or("the machine is not known any more")?;
            if machine.own.ordered().is_none_or(|work| work.plan() != progress.plan) {
                return Err(format!("plan: this machine was not told to carry out {:?}", progress.plan));
            }
            let news = machine.own.is_news(&progress);
            if news.stage {
                let stage = &progress.stage;
                let message = stage.message.clone().unwrap_or_default();
                known.record(
                    mac,
                    now,
                    Event::Stage { name: stage.name.clone(), outcome: stage.outcome, message },
                );
            }
            if progress.finished && progress.plan != WIPE {
                known.record(mac, now, Event::Installed { plan: progress.plan.clone() });
            }
            if news.stage || news.percent || progress.finished {
                known.unreported.insert(mac);
            }
            if let Some(machine) = known.heard(mac) {
                machine.progressed(now, progress, news);
            }
            Ok(Taken::Done)
        })
    }

    /// What a machine is to do next, as far as this site knows.
    fn orders(&self, mac: MacAddress) -> Orders {
        let (asker, room) = self.with(|known| (Asker::of(known, mac), known.room()));
        let system = asker.server.as_ref().zip(asker.system.as_ref());
        let image = system.and_then(|(server, system)| orders::image(server, system));
        let held = image.map(|image| self.keeps(&wanted(image), room));
        let image = match &held {
            Some(Held::Whole) => Image::Held,
            Some(Held::Fetched { percent }) => Image::Fetched { percent: *percent },
            Some(Held::Missing { why }) => Image::Missing { why },
            None => Image::Missing { why: "its object names none" },
        };
        let mut orders = orders::orders(&asker.situation(image));
        if let Orders::Install(installation) = &mut orders {
            let plan = installation.plan.hash.clone().unwrap_or_default();
            // Why there is none is in labd's settings or the bastion's; the machine is installed all the same.
            installation.agent = self.invite(mac, plan).ok();
        }
        let work = match &orders {
            Orders::Install(installation) => Some(Work::Install(ordered(&installation.plan))),
            Orders::Wipe(_) => Some(Work::Wipe { finished: None }),
            _ => None,
        };
        if let Some(work) = work {
            self.with(|known| known.heard(mac).into_iter().for_each(|machine| machine.told_to(work.clone())));
        }
        orders
    }
}

/// A machine that asks for orders.
struct Asker {
    recognition: Recognition,
    server: Option<Server>,
    system: Option<OperatingSystem>,
    attempt: Option<Attempt>,
    disks: Option<Vec<Disk>>,
    wiped: bool,
    failures: u32,
}

impl Asker {
    fn of(known: &Knowledge, mac: MacAddress) -> Self {
        let machine = known.machine(mac);
        let uuid = machine.and_then(|machine| machine.uuid.as_deref());
        let (recognition, server) = known.recognise(mac, uuid);
        let server = server.map(|server| known.as_it_counts(server, mac));
        let system = known.operating_system(server.as_ref()).cloned();
        Self {
            recognition,
            server,
            system,
            attempt: machine.and_then(|machine| Attempt::of(&machine.timeline)),
            disks: machine.and_then(|machine| machine.own.disks()).map(<[Disk]>::to_vec),
            wiped: machine.is_some_and(|machine| machine.own.wiped()),
            failures: machine.map_or(0, |machine| machine.own.failures()),
        }
    }

    fn situation<'a>(&'a self, image: Image<'a>) -> Situation<'a> {
        Situation {
            recognition: &self.recognition,
            server: self.server.as_ref(),
            operating_system: self.system.as_ref(),
            answer: self.attempt.as_ref().and_then(|attempt| attempt.answer),
            disks: self.disks.as_deref(),
            wiped: self.wiped,
            failures: self.failures,
            image,
        }
    }
}

/// What will be installed when an installation ends well.
pub(crate) fn ordered(plan: &Plan) -> InstallStatus {
    InstallStatus {
        operating_system: plan.operating_system.clone(),
        layout: plan.layout.clone(),
        plan: plan.hash.clone().unwrap_or_default(),
        reprovision: plan.reprovision,
        finished: None,
    }
}

fn understood<T: DeserializeOwned>(content: &[u8]) -> Result<T, String> {
    // serde would take an array for a structure, field by field.
    if !content.trim_ascii_start().starts_with(b"{") {
        return Err("this is not understood: it is no JSON object".into());
    }
    serde_json::from_slice(content).map_err(|error| format!("this is not understood: {error}"))
}

fn written(orders: &Orders) -> Option<Bytes> {
    serde_json::to_vec(orders).ok().map(Bytes::from)
}
