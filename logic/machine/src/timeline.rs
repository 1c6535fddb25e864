//! What happened to one machine, in order: decoded packets, files, answers, stages. Bounded in entries and in text.

use crate::client::{Class, Message};
use crate::offer::Form;
use jiff::Timestamp;
use lab_kinds::metal::server::status::{BootAnswer, StageOutcome};
use lab_object::mac::MacAddress;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;

/// Texts are cut to this many bytes, as their length is the machine's choice.
const TEXT_BYTES: usize = 512;

/// What happened to one machine. The oldest entries go when it is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    entries: VecDeque<Entry>,
    limit: usize,
}

/// Something that happened, once or several times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it happened first.
    pub first: Timestamp,
    /// When it happened last.
    pub last: Timestamp,
    /// How often.
    pub count: u32,
    /// What it was.
    pub event: Event,
}

/// What can happen to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// It asked by DHCP.
    Asked {
        /// For what.
        message: Message,
        /// As what.
        class: Class,
        /// On which port: 67 or 4011.
        port: u16,
    },
    /// It was answered.
    Answered {
        /// In which form.
        form: Form,
        /// The address it was given.
        address: Option<Ipv4Addr>,
        /// The file it was sent for.
        file: Option<String>,
        /// Why so.
        why: String,
    },
    /// It was not answered.
    Unanswered {
        /// Why not.
        why: String,
    },
    /// The address that it was to be offered is somebody else's.
    AddressInUse {
        /// The address.
        address: Ipv4Addr,
        /// Who has it; nothing where it is behind a relay.
        holder: Option<MacAddress>,
    },
    /// Another DHCP server answered it.
    AnsweredByOther {
        /// The other server.
        server: Ipv4Addr,
    },
    /// It fetched a file, or tried to.
    File {
        /// By which protocol.
        protocol: Protocol,
        /// The file's path, without a leading slash.
        path: String,
        /// How that went.
        outcome: Transfer,
    },
    /// It looked for an IPv6 router: firmware and iPXE do so when they configure IPv6.
    RouterSolicited,
    /// It was given something to start.
    Booted {
        /// What.
        answer: BootAnswer,
        /// Why that.
        why: String,
    },
    /// A stage began or ended, as the machine itself said.
    Stage {
        /// The stage's name.
        name: String,
        /// How it ended; nothing while it is under way.
        outcome: Option<StageOutcome>,
        /// What it said besides.
        message: String,
    },
    /// It reported what it consists of.
    Discovered {
        /// How many disks it has.
        disks: usize,
        /// How many NICs it has.
        nics: usize,
        /// What it could not read.
        problems: String,
    },
    /// It carried a plan out to its end.
    Installed {
        /// The plan's hash.
        plan: String,
    },
    /// Its agent was heard.
    Heartbeat,
}

/// How files are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

/// How a transfer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Transfer {
    /// It began.
    Began,
    /// All of it was fetched.
    Done {
        /// How many bytes.
        bytes: u64,
    },
    /// There is no such file.
    NotFound,
    /// The machine broke it off, with an error of its own.
    Aborted,
    /// The machine fell silent in the middle.
    TimedOut,
}

impl Timeline {
    /// An empty timeline that keeps so many entries.
    pub fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit: limit.max(1) }
    }

    /// Notes what happened. The same thing twice in a row is one entry with a count.
    pub fn record(&mut self, now: Timestamp, event: Event) {
        let event = event.cut();
        if let Some(last) = self.entries.back_mut().filter(|last| last.event == event) {
            last.last = now;
            last.count = last.count.saturating_add(1);
            return;
        }
        while self.entries.len() >= self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { first: now, last: now, count: 1, event });
    }

    /// Everything that is kept, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// When anything happened last.
    pub fn last(&self) -> Option<Timestamp> {
        self.entries.back().map(|entry| entry.last)
    }
}

impl Event {
    fn cut(mut self) -> Self {
        match &mut self {
            Self::Answered { file, why, .. } => {
                file.iter_mut().for_each(cut);
                cut(why);
            }
            Self::Unanswered { why } | Self::Booted { why, .. } => cut(why),
            Self::File { path, .. } => cut(path),
            Self::Stage { name, message, .. } => {
                cut(name);
                cut(message);
            }
            Self::Discovered { problems, .. } => cut(problems),
            Self::Installed { plan } => cut(plan),
            Self::Asked { .. }
            | Self::AddressInUse { .. }
            | Self::AnsweredByOther { .. }
            | Self::RouterSolicited
            | Self::Heartbeat => {}
        }
        self
    }
}

/// As a line of a log.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { message, class, port } => {
                let message = word(message);
                match port {
                    67 => write!(f, "{class} sent DHCP {message}"),
                    port => write!(f, "{class} sent DHCP {message} to port {port}"),
                }
            }
            Self::Answered { address, file, why, .. } => {
                f.write_str("was answered")?;
                address.map_or(Ok(()), |address| write!(f, ", address {address}"))?;
                file.as_ref().map_or(Ok(()), |file| write!(f, ", file {file}"))?;
                write!(f, " ({why})")
            }
            Self::Unanswered { why } => write!(f, "was not answered: {why}"),
            Self::AddressInUse { address, holder } => {
                let holder = holder.map_or_else(|| "another machine".to_owned(), |mac| mac.to_string());
                write!(f, "was not offered {address}, which {holder} uses")
            }
            Self::AnsweredByOther { server } => write!(f, "was answered by another DHCP server, {server}"),
            Self::File { protocol, path, outcome } => {
                let by = if *protocol == Protocol::Tftp { "TFTP" } else { "HTTP" };
                match outcome {
                    Transfer::Began => write!(f, "fetches {path} by {by}"),
                    Transfer::Done { bytes } => write!(f, "fetched {path} by {by}, {bytes} bytes"),
                    Transfer::NotFound => write!(f, "asked for {path} by {by}, which there is not"),
                    Transfer::Aborted => write!(f, "broke off fetching {path} by {by}"),
                    Transfer::TimedOut => write!(f, "fell silent while fetching {path} by {by}"),
                }
            }
            Self::RouterSolicited => f.write_str("looked for an IPv6 router"),
            Self::Booted { answer, why } => write!(f, "was given {}: {why}", word(answer)),
            Self::Stage { name, outcome, message } => {
                match outcome {
                    None => write!(f, "{name} began")?,
                    Some(StageOutcome::Done) => write!(f, "{name} is done")?,
                    Some(StageOutcome::Skipped) => write!(f, "{name} was skipped")?,
                    Some(StageOutcome::Failed) => write!(f, "{name} failed")?,
                }
                if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
            }
            Self::Discovered { disks, nics, problems } => {
                write!(f, "reported its hardware: disks {disks}, NICs {nics}")?;
                if problems.is_empty() { Ok(()) } else { write!(f, "; {problems}") }
            }
            Self::Installed { plan } => write!(f, "carried out plan {plan} to its end"),
            Self::Heartbeat => f.write_str("its agent was heard"),
        }
    }
}

/// The name of a variant in lower case.
fn word(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_lines() {
        let check = |event: Event, expected: &str| assert_eq!(event.to_string(), expected);
        let asked = |port| Event::Asked { message: Message::Request, class: Class::Pxe, port };
        check(asked(67), "PXE firmware sent DHCP request");
        check(asked(4011), "PXE firmware sent DHCP request to port 4011");
        let answered = |address, file: Option<&str>| Event::Answered {
            form: Form::Full,
            address,
            file: file.map(Into::into),
            why: "iPXE".into(),
        };
        check(answered(None, None), "was answered (iPXE)");
        let all = answered(Some([10, 9, 0, 5].into()), Some("snponly.efi"));
        check(all, "was answered, address 10.9.0.5, file snponly.efi (iPXE)");
        let in_use = |holder| Event::AddressInUse { address: [10, 9, 0, 5].into(), holder };
        check(in_use(None), "was not offered 10.9.0.5, which another machine uses");
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
        check(in_use(Some(mac)), "was not offered 10.9.0.5, which 52:54:00:00:00:01 uses");
        let file = |outcome| Event::File { protocol: Protocol::Tftp, path: "a".into(), outcome };
        check(file(Transfer::Done { bytes: 7 }), "fetched a by TFTP, 7 bytes");
        check(file(Transfer::NotFound), "asked for a by TFTP, which there is not");
        let booted = Event::Booted { answer: BootAnswer::Install, why: "it waits".into() };
        check(booted, "was given install: it waits");
        let stage = |outcome, message: &str| Event::Stage {
            name: "partition".into(),
            outcome,
            message: message.into(),
        };
        check(stage(None, ""), "partition began");
        check(stage(Some(StageOutcome::Failed), "no disk"), "partition failed: no disk");
        let found = Event::Discovered { disks: 2, nics: 1, problems: "sda cannot be read".into() };
        check(found, "reported its hardware: disks 2, NICs 1; sda cannot be read");
        check(Event::Installed { plan: "sha256:aa".into() }, "carried out plan sha256:aa to its end");
    }

    #[test]
    fn is_bounded() {
        let at = |second| Timestamp::from_second(second).expect("it is a time");
        let file = |path: String| Event::File { protocol: Protocol::Tftp, path, outcome: Transfer::NotFound };
        let mut timeline = Timeline::new(3);
        for second in 0..10 {
            timeline.record(at(second), Event::Heartbeat);
        }
        assert_eq!(
            timeline.entries().map(|e| (e.first, e.last, e.count)).collect::<Vec<_>>(),
            [(at(0), at(9), 10)]
        );
        for second in 10..20 {
            timeline
                .record(at(second), file("ä".repeat(1000 + usize::try_from(second).expect("it is small"))));
            timeline.record(at(second), file(second.to_string()));
        }
        assert_eq!(timeline.entries().len(), 3);
        assert_eq!(timeline.last(), Some(at(19)));
        for entry in timeline.entries() {
            let Event::File { path, .. } = &entry.event else { panic!("{entry:?}") };
            assert!(path.len() <= TEXT_BYTES);
        }
    }
}
