//! How far a machine came when it last tried to boot.

use crate::client::{Class, Message};
use crate::offer::Form;
use crate::program::{PROGRAMS, ScriptPath};
use crate::timeline::{Entry, Event, Timeline, Transfer};
use jiff::Timestamp;
use lab_kinds::metal::server::status::{BootAnswer, BootStep, StageOutcome};

/// What a machine did since its firmware began to boot.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// When it began.
    pub began: Option<Timestamp>,
    /// The firmware that asked.
    pub firmware: Option<Class>,
    /// The form in which the firmware was answered last.
    pub firmware_form: Option<Form>,
    /// The form in which iPXE was answered last.
    pub ipxe_form: Option<Form>,
    /// Why the last question was not answered; nothing where one was.
    pub unanswered: Option<String>,
    /// Whether another DHCP server was heard to answer it.
    pub answered_by_other: bool,
    /// Whether the firmware took an address.
    pub firmware_took_address: bool,
    /// Whether the firmware asked on port 4011.
    pub asked_4011: bool,
    /// Whether iPXE asked at all.
    pub ipxe_asked: bool,
    /// Whether iPXE took an address.
    pub ipxe_took_address: bool,
    /// Whether an IPv6 router was looked for after the last file.
    pub router_solicited_since_file: bool,
    /// The last file that was asked for and how that went.
    pub last_file: Option<(String, Transfer)>,
    /// The last boot program that was fetched whole.
    pub program: Option<String>,
    /// Whether iPXE fetched a boot program, such as itself.
    pub ipxe_fetched_program: bool,
    /// Whether GRUB was fetched, by shim.
    pub grub: bool,
    /// Whether GRUB asked for a file of its own.
    pub grub_asked: bool,
    /// The boot answer that was fetched.
    pub answer: Option<BootAnswer>,
    /// Whether the script was fetched.
    pub script: bool,
    /// How many files of the system that is to be started were fetched whole.
    pub system_files: usize,
    /// The last stage that was reported, and how it ended.
    pub stage: Option<(String, Option<StageOutcome>)>,
    /// Whether its agent was heard.
    pub heartbeat: bool,
}

impl Attempt {
    /// What happened since the firmware began; nothing where the machine was never heard.
    pub fn of(timeline: &Timeline) -> Option<Self> {
        let entries: Vec<&Entry> = timeline.entries().collect();
        let begin = beginning(&entries);
        let mut attempt = Self { began: entries.get(begin).map(|entry| entry.first), ..Self::default() };
        for entry in entries.get(begin..)? {
            attempt.see(&entry.event);
        }
        (!entries.is_empty()).then_some(attempt)
    }

    /// The furthest step that was seen.
    pub fn step(&self) -> BootStep {
        match self {
            Self { heartbeat: true, .. } | Self { stage: Some(_), .. } => BootStep::Heard,
            Self { answer: Some(BootAnswer::Local), .. } => BootStep::Local,
            Self { system_files: 2.., .. } => BootStep::Started,
            Self { answer: Some(_), .. } | Self { script: true, .. } => BootStep::Told,
            Self { ipxe_asked: true, .. } | Self { grub_asked: true, .. } => BootStep::Loader,
            Self { last_file: Some(_), .. } => BootStep::Program,
            Self { firmware_form: Some(_), .. } | Self { ipxe_form: Some(_), .. } => BootStep::Answered,
            _ => BootStep::Asked,
        }
    }

    fn see(&mut self, event: &Event) {
        match event {
            Event::Asked { message, class, port } => self.asked(*message, *class, *port),
            Event::Answered { form, .. } => {
                self.unanswered = None;
                let ipxe = self.ipxe_asked && matches!(form, Form::FullIpxe | Form::ProxyIpxe);
                if ipxe { self.ipxe_form = Some(*form) } else { self.firmware_form = Some(*form) }
            }
            Event::Unanswered { why } => self.unanswered = Some(why.clone()),
            // What it is offered instead, or that there is nothing, follows.
            Event::AddressInUse { .. } => {}
            Event::AnsweredByOther { .. } => self.answered_by_other = true,
            Event::File { path, outcome, .. } => self.file(path, *outcome),
            Event::RouterSolicited => self.router_solicited_since_file = true,
            Event::Booted { answer, .. } => self.answer = Some(*answer),
            Event::Stage { name, outcome, .. } => self.stage = Some((name.clone(), *outcome)),
            Event::Discovered { .. } | Event::Installed { .. } | Event::Heartbeat => self.heartbeat = true,
        }
    }

    fn asked(&mut self, message: Message, class: Class, port: u16) {
        let takes = message == Message::Request && port == 67;
        match class {
            Class::Ipxe => {
                self.ipxe_asked = true;
                self.ipxe_took_address |= takes;
            }
            Class::Other => {}
            _ => {
                self.firmware = Some(class);
                self.firmware_took_address |= takes;
                self.asked_4011 |= port == 4011;
            }
        }
    }

    fn file(&mut self, path: &str, outcome: Transfer) {
        self.router_solicited_since_file = false;
        let path = path.trim_start_matches('/');
        let done = matches!(outcome, Transfer::Done { .. });
        self.last_file = Some((path.to_owned(), outcome));
        let mut companions = PROGRAMS.iter().flat_map(|program| program.companions);
        let companion = companions.any(|companion| *companion == path);
        if path.starts_with("grub/") {
            self.grub_asked = true;
        } else if done && !companion && is_program(path) {
            self.program = Some(path.to_owned());
            // iPXE's UEFI programs and firmware fetch alike, but only iPXE has asked by then.
            self.ipxe_fetched_program |= self.ipxe_asked;
        } else if done && companion {
            self.grub |= path.starts_with("grub");
        } else if let Some(script) = ScriptPath::parse(path) {
            self.script |= done;
            self.grub_asked |= script.language == crate::program::Language::Grub;
        } else if done && (path.starts_with("systems/") || path.starts_with("artefacts/")) {
            self.system_files += 1;
        }
    }
}

/// Where the newest boot begins: at firmware's first question after anything but such questions and their answers. iPXE that stands in
/// a NIC asks first as well: its first question after the machine was told what to start begins another boot. Machines of which neither was
/// heard begin with whatever is known.
fn beginning(entries: &[&Entry]) -> usize {
    let firmware = |entry: &Entry| {
        matches!(&entry.event, Event::Asked { message: Message::Discover, class, .. }
            if !matches!(class, Class::Ipxe | Class::Other))
    };
    let ipxe = |entry: &Entry| {
        matches!(&entry.event, Event::Asked { message: Message::Discover, class: Class::Ipxe, .. })
    };
    let mut begin = 0;
    let mut fresh = true;
    let mut told = false;
    for (at, entry) in entries.iter().enumerate() {
        told |= matches!(entry.event, Event::Booted { .. });
        let answer = matches!(
            entry.event,
            Event::Answered { .. }
                | Event::Unanswered { .. }
                | Event::AddressInUse { .. }
                | Event::AnsweredByOther { .. }
                | Event::RouterSolicited
        );
        match (firmware(entry), fresh) {
            (true, true) => {
                begin = at;
                (fresh, told) = (false, false);
            }
            (false, _) if told && ipxe(entry) => (begin, told) = (at, false),
            (false, false) if !answer => fresh = true,
            _ => {}
        }
    }
    begin
}

/// Whether a file is something that firmware starts; other DHCP servers name others than ours.
fn is_program(path: &str) -> bool {
    [".efi", ".kpxe", ".kkpxe", ".pxe", ".0"].iter().any(|end| path.ends_with(end))
}
