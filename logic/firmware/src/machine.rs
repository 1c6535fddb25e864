//! A machine from power-on to its kernel.

use crate::Kind;
use crate::dhcp::{Answer, Question, Speaker};
use crate::grub::{self, Configuration, LISTS};
use crate::ipxe::{Script, Wants};
use crate::stage::{Fetch, Stage, System, Waits, Way, url};
use lab_object::mac::MacAddress;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A machine that boots.
#[derive(Debug, Clone)]
pub struct Machine {
    kind: Kind,
    mac: MacAddress,
    /// The UUID as SMBIOS orders its bytes.
    uuid: [u8; 16],
    stage: Stage,
    /// The address it took.
    address: Option<Ipv4Addr>,
    /// Whether the server of its boot program gave no address.
    by_proxy: bool,
    /// What went wrong last, which is why it stops where it does.
    trouble: Option<String>,
    /// How often it began anew because its address was refused.
    refused: usize,
}

/// What came of the last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// There was none: the machine is switched on.
    PowerOn,
    /// The answers to a question; none where nobody answered in time.
    Answers(Vec<Answer>),
    /// The file's beginning, 8 KiB or all of it; nothing where it did not come.
    File(Option<Vec<u8>>),
    /// The time is over.
    Waited,
}

/// What a machine does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It asks over DHCP and takes answers for so long, or until [`Machine::has_enough`].
    Ask {
        /// The question.
        question: Question,
        /// For how long.
        patience: Duration,
    },
    /// It fetches a file.
    Fetch(Fetch),
    /// It does something for a while that nobody sees.
    Wait(Duration),
    /// It is done.
    End(End),
}

/// How a boot ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A kernel runs.
    Kernel {
        /// Its path or URL.
        kernel: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its initial RAM disks.
        initrds: Vec<String>,
    },
    /// The machine's own disk.
    LocalDisk,
    /// A program runs of which nothing more is known, such as a unified kernel image.
    Program {
        /// Its path or URL.
        path: String,
    },
    /// It goes no further.
    Stopped {
        /// Why.
        why: String,
    },
}

/// How long EDK2 looks for offers, each time it asks. It takes all that come.
const EDK2_OFFERS: [u64; 4] = [4, 8, 16, 32];
/// The same for iPXE, which goes on as soon as it has what it needs.
const IPXE_OFFERS: [u64; 6] = [1, 2, 4, 8, 10, 10];
/// How long an acknowledgement is waited for.
const ACKS: [u64; 4] = [2, 4, 8, 16];
/// How long EDK2 waits on port 4011.
const SECOND: [u64; 4] = [1, 2, 3, 4];
/// What shim looks for before GRUB, and GRUB.
const BESIDE_SHIM: [&str; 4] =
    ["revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi", "grubx64.efi"];

fn after(seconds: &[u64], attempt: usize) -> Option<Duration> {
    seconds.get(attempt).map(|seconds| Duration::from_secs(*seconds))
}

impl Machine {
    /// A machine that is switched off. `uuid` in the usual order.
    pub fn new(kind: Kind, mac: MacAddress, uuid: [u8; 16]) -> Self {
        let mut id = uuid;
        // SMBIOS has the first three fields with the lowest byte first.
        id[..4].reverse();
        id[4..6].reverse();
        id[6..8].reverse();
        let stage = Stage::Starting(Speaker::of(kind));
        Self { kind, mac, uuid: id, stage, address: None, by_proxy: false, trouble: None, refused: 0 }
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its NIC's address.
    pub fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The address it took.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// Whether it waits for no more answers.
    pub fn has_enough(&self, answers: &[Answer]) -> bool {
        match &self.stage {
            Stage::Offers { speaker, heard, .. } if speaker.is_ipxe() => {
                let all = || heard.iter().chain(answers);
                let addressed = all().any(|answer| answer.is_offer() && answer.address.is_some());
                let no_wait =
                    all().any(|answer| answer.address.is_some() && (answer.no_proxy || answer.is_pxe()));
                no_wait || (addressed && all().any(Answer::is_proxy))
            }
            // EDK2 and ROMs hear everybody.
            Stage::Offers { .. } => false,
            _ => answers.iter().any(|answer| matches!(answer.message, 5 | 6)),
        }
    }

    /// The next step, after what came of the last one.
    pub fn next(&mut self, heard: Heard) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Over), heard) {
            (Stage::Starting(speaker), Heard::PowerOn) => {
                self.stage = Stage::Starting(speaker);
                Step::Wait(if speaker.is_ipxe() {
                    Duration::from_millis(2700)
                } else {
                    Duration::from_secs(10)
                })
            }
            (Stage::Starting(speaker), _) => self.discover(speaker, 0, Vec::new()),
            (Stage::Offers { speaker, attempt, heard }, Heard::Answers(answers)) => {
                self.offered(speaker, attempt, [heard, answers].concat())
            }
            (Stage::Asked { speaker, attempt, offer, proxy }, Heard::Answers(answers)) => {
                self.asked(speaker, attempt, offer, proxy, &answers)
            }
            (Stage::Second { speaker, attempt, server }, Heard::Answers(answers)) => {
                self.second(speaker, attempt, server, &answers)
            }
            (Stage::Program { speaker, fetch }, Heard::File(file)) => self.program(speaker, fetch, file),
            (Stage::Shim { way, folder, at }, Heard::File(file)) => self.shim(way, folder, at, file),
            (Stage::GrubLists { way, at }, Heard::File(_)) => self.grub(way, at + 1),
            (Stage::GrubConfiguration { way, depth }, Heard::File(file)) => {
                self.configuration(way, depth, file)
            }
            (Stage::GrubKernel { way, system, at }, Heard::File(file)) => {
                self.grub_kernel(way, system, at, file)
            }
            (Stage::FirstScript(speaker), Heard::File(file)) => self.script(speaker, file),
            (Stage::Script { speaker, script, wants }, heard) => self.go_on(speaker, script, wants, heard),
            (stage, _) => self.stop(format!("it was told something it did not ask for ({stage:?})")),
        }
    }

    fn stop(&mut self, why: impl Into<String>) -> Step {
        Step::End(End::Stopped { why: why.into() })
    }

    fn discover(&mut self, speaker: Speaker, attempt: usize, heard: Vec<Answer>) -> Step {
        let table = if speaker.is_ipxe() { &IPXE_OFFERS[..] } else { &EDK2_OFFERS };
        let Some(patience) = after(table, attempt) else {
            return match heard.iter().any(|answer| answer.address.is_some()) {
                true => self.stop("it was given an address, and nothing to boot"),
                false => self.stop("nobody offered it an address"),
            };
        };
        self.stage = Stage::Offers { speaker, attempt, heard };
        Step::Ask { question: speaker.discover(self.mac, self.uuid), patience }
    }

    /// Chooses among offers.
    fn offered(&mut self, speaker: Speaker, attempt: usize, heard: Vec<Answer>) -> Step {
        // iPXE waits 3 s for a proxy, unless it is told not to.
        let waits = speaker.is_ipxe() && attempt == 0 && !self.enough(speaker, &heard);
        let chosen = if waits { None } else { self.choose(speaker, &heard) };
        match chosen {
            Some((offer, proxy)) => self.ask(speaker, 0, offer, proxy),
            None => self.discover(speaker, attempt + 1, heard),
        }
    }

    fn enough(&self, speaker: Speaker, heard: &[Answer]) -> bool {
        let looking = Stage::Offers { speaker, attempt: 0, heard: Vec::new() };
        Self { stage: looking, ..self.clone() }.has_enough(heard)
    }

    /// The offer with the address, and the proxy's that goes with it.
    fn choose(&self, speaker: Speaker, heard: &[Answer]) -> Option<(Answer, Option<Answer>)> {
        let addressed = || heard.iter().filter(|answer| answer.is_offer() && answer.address.is_some());
        let proxies = || heard.iter().filter(|answer| answer.is_proxy());
        let named = |answer: &&Answer| answer.file.is_some();
        if speaker == Speaker::UefiHttp {
            let whole = addressed().find(|answer| answer.is_http() && answer.file.is_some());
            let proxy = proxies().find(|answer| answer.is_http() && answer.file.is_some());
            return match (whole, proxy) {
                (Some(whole), _) => Some((whole.clone(), None)),
                (None, Some(proxy)) => Some((addressed().next()?.clone(), Some(proxy.clone()))),
                (None, None) => None,
            };
        }
        if speaker.is_ipxe() {
            let proxy = proxies().filter(|answer| answer.is_pxe()).find(named);
            let first = addressed().find(named).or_else(|| addressed().next())?;
            // What the address's server says of booting counts only where no proxy says anything.
            return (proxy.is_some() || first.file.is_some()).then(|| (first.clone(), proxy.cloned()));
        }
        let drops = |answer: &&Answer| !(self.kind == Kind::UefiPxe2016 && answer.has_pxe_options());
        let proxy = proxies().filter(|answer| answer.is_pxe()).find(drops);
        let pxe = addressed().find(|answer| answer.is_pxe());
        let plain = addressed().find(|answer| !answer.is_http() && answer.file.is_some());
        // As EDK2 orders them: PXE's own, then a proxy's, then a plain one with a file.
        pxe.or(proxy.and_then(|_| addressed().next()))
            .or(plain)
            .map(|offer| (offer.clone(), proxy.filter(|_| pxe.is_none()).cloned()))
    }

    fn ask(&mut self, speaker: Speaker, attempt: usize, offer: Answer, proxy: Option<Answer>) -> Step {
        let Some(patience) = after(&ACKS, attempt) else {
            return self.stop("the address that it was offered was never acknowledged");
        };
        let question = speaker.request(self.mac, self.uuid, &offer);
        self.stage = Stage::Asked { speaker, attempt, offer, proxy };
        Step::Ask { question, patience }
    }

    fn asked(
        &mut self,
        speaker: Speaker,
        attempt: usize,
        offer: Answer,
        proxy: Option<Answer>,
        answers: &[Answer],
    ) -> Step {
        let from = |answer: &&Answer| answer.server == offer.server || answer.server.is_none();
        match answers.iter().filter(from).find(|answer| matches!(answer.message, 5 | 6)) {
            None => self.ask(speaker, attempt + 1, offer, proxy),
            Some(nak) if nak.message == 6 => {
                self.refused += 1;
                if self.refused > 3 {
                    return self.stop("the address that it was offered was refused, again and again");
                }
                self.discover(speaker, 0, Vec::new())
            }
            Some(ack) => {
                self.address = ack.address;
                self.by_proxy = proxy.is_some();
                let file = ack.file.clone().or_else(|| offer.file.clone());
                let whole = Answer { file, ..ack.clone() };
                self.configured(speaker, proxy.unwrap_or(whole))
            }
        }
    }

    /// It has its address. `named` is the answer that says what to boot.
    fn configured(&mut self, speaker: Speaker, named: Answer) -> Step {
        let binl = named.is_pxe() && !named.has_pxe_options();
        if binl && !speaker.is_ipxe() && speaker != Speaker::UefiHttp {
            let Some(server) = named.next_server.or(named.server) else {
                return self.stop("the boot server did not say who it is");
            };
            return self.ask_second(speaker, 0, server);
        }
        self.boot(speaker, &named)
    }

    fn ask_second(&mut self, speaker: Speaker, attempt: usize, server: Ipv4Addr) -> Step {
        let (Some(patience), Some(address)) = (after(&SECOND, attempt), self.address) else {
            return self.stop(format!("{server} did not answer on port 4011"));
        };
        self.stage = Stage::Second { speaker, attempt, server };
        Step::Ask { question: speaker.second(self.mac, self.uuid, address, server), patience }
    }

    fn second(&mut self, speaker: Speaker, attempt: usize, server: Ipv4Addr, answers: &[Answer]) -> Step {
        match answers.iter().find(|answer| answer.message == 5) {
            Some(ack) => {
                let next_server = ack.next_server.or(Some(server));
                self.boot(speaker, &Answer { next_server, ..ack.clone() })
            }
            None => self.ask_second(speaker, attempt + 1, server),
        }
    }

    /// Fetches what an answer names.
    fn boot(&mut self, speaker: Speaker, named: &Answer) -> Step {
        let Some(file) = named.file.clone() else {
            return self.stop("the answer that it chose names no boot file");
        };
        let fetch = if file.contains("://") {
            match url(&file, speaker == Speaker::UefiHttp, speaker) {
                Some(fetch) => fetch,
                None => return self.stop(format!("it cannot fetch {file}")),
            }
        } else if speaker == Speaker::UefiHttp {
            return self.stop(format!("{file:?} is no URL"));
        } else {
            match named.next_server.or(named.server) {
                Some(server) => Fetch { way: Way::firmware(speaker, server), path: file, optional: false },
                None => return self.stop(format!("nobody said where {file} is")),
            }
        };
        self.stage = match speaker.is_ipxe() {
            true => Stage::FirstScript(speaker),
            false => Stage::Program { speaker, fetch: fetch.clone() },
        };
        Step::Fetch(fetch)
    }

    /// Firmware has its program, checks it and starts it.
    fn program(&mut self, speaker: Speaker, fetch: Fetch, file: Option<Vec<u8>>) -> Step {
        let path = fetch.path;
        let Some(bytes) = file else { return self.stop(format!("{path} did not come")) };
        let uefi = speaker != Speaker::BiosPxe;
        if uefi && !bytes.starts_with(b"MZ") {
            return self.stop(format!("{path} is no UEFI program"));
        }
        if self.kind.checks_signatures() && !is_signed(&bytes) {
            return self.stop(format!("{path} is not signed, and Secure Boot denies it"));
        }
        let name = path.rsplit('/').next().unwrap_or(&path);
        if name.starts_with("shim") {
            let folder = path[..path.len() - name.len()].to_owned();
            return self.beside_shim(fetch.way.shim(), folder, 0);
        }
        let ipxe = ["undionly", "snponly", "ipxe"].iter().any(|known| name.contains(known));
        if !ipxe {
            return Step::End(End::Program { path });
        }
        self.stage = Stage::Starting(if uefi { Speaker::Snponly } else { Speaker::Undionly });
        Step::Wait(Duration::from_secs(2))
    }

    fn beside_shim(&mut self, way: Way, folder: String, at: usize) -> Step {
        let path = format!("{folder}{}", BESIDE_SHIM[at]);
        self.stage = Stage::Shim { way, folder, at };
        Step::Fetch(Fetch { way, path, optional: at + 1 < BESIDE_SHIM.len() })
    }

    fn shim(&mut self, way: Way, folder: String, at: usize, file: Option<Vec<u8>>) -> Step {
        if at + 1 < BESIDE_SHIM.len() {
            return self.beside_shim(way, folder, at + 1);
        }
        match file {
            None => self.stop(format!("shim found no {folder}{}", BESIDE_SHIM[at])),
            Some(bytes) if !is_signed(&bytes) => {
                self.stop(format!("shim denies {folder}{}, which is not signed", BESIDE_SHIM[at]))
            }
            // Recorded with Debian 12's GRUB 2.06: it sends nothing more.
            Some(_) if matches!(way, Way::Http { .. }) => {
                self.stop("Debian's signed GRUB has no server to ask where it was loaded by HTTP, and stands at its prompt")
            }
            Some(_) if self.by_proxy => self.stop(
                "Debian's signed GRUB does not hear proxy offers: it has no server to ask, and stands at its prompt",
            ),
            Some(_) => self.grub(way.grub(), 0),
        }
    }

    fn grub(&mut self, way: Way, at: usize) -> Step {
        match LISTS.get(at) {
            Some(path) => {
                self.stage = Stage::GrubLists { way, at };
                Step::Fetch(Fetch { way, path: (*path).into(), optional: true })
            }
            None => self.read_configuration(way, 0, "/grub/grub.cfg".into()),
        }
    }

    fn read_configuration(&mut self, way: Way, depth: usize, path: String) -> Step {
        if depth > 8 {
            return self.stop("GRUB's configurations name one another in a circle");
        }
        self.stage = Stage::GrubConfiguration { way, depth };
        Step::Fetch(Fetch { way, path, optional: false })
    }

    fn configuration(&mut self, way: Way, depth: usize, file: Option<Vec<u8>>) -> Step {
        let Some(bytes) = file else { return self.stop("GRUB's configuration did not come") };
        match grub::read(&String::from_utf8_lossy(&bytes), self.mac) {
            Configuration::Another(path) => self.read_configuration(way, depth + 1, path),
            Configuration::Exit => Step::End(End::LocalDisk),
            Configuration::Nothing => self.stop("GRUB's configuration starts nothing"),
            Configuration::Kernel(system) => {
                let path = system.kernel.clone();
                self.stage = Stage::GrubKernel { way, system, at: 0 };
                Step::Fetch(Fetch { way, path, optional: false })
            }
        }
    }

    fn grub_kernel(&mut self, way: Way, system: System, at: usize, file: Option<Vec<u8>>) -> Step {
        let Some(bytes) = file else {
            let path = at.checked_sub(1).and_then(|at| system.initrds.get(at)).unwrap_or(&system.kernel);
            return self.stop(format!("{path} did not come"));
        };
        if at == 0 && !is_kernel(&bytes) {
            return self.stop(format!("{} is no Linux kernel", system.kernel));
        }
        match system.initrds.get(at).cloned() {
            Some(path) => {
                self.stage = Stage::GrubKernel { way, system, at: at + 1 };
                Step::Fetch(Fetch { way, path, optional: false })
            }
            None => {
                let System { kernel, arguments, initrds } = system;
                Step::End(End::Kernel { kernel, arguments, initrds })
            }
        }
    }

    fn script(&mut self, speaker: Speaker, file: Option<Vec<u8>>) -> Step {
        let Some(bytes) = file else { return self.no_script() };
        match Script::read(&String::from_utf8_lossy(&bytes)) {
            Some(script) => self.run(speaker, Box::new(script)),
            None => self.stop("what it was given is no iPXE script"),
        }
    }

    /// Without a script iPXE leaves it to the firmware's next entry, which is how some machines are sent to their disk.
    fn no_script(&mut self) -> Step {
        Step::End(End::LocalDisk)
    }

    fn go_on(&mut self, speaker: Speaker, mut script: Box<Script>, wants: Waits, heard: Heard) -> Step {
        if let Heard::File(file) = heard {
            match (wants, file) {
                (Waits::Chained, Some(bytes)) => return self.script(speaker, Some(bytes)),
                (Waits::Kernel, Some(bytes)) if !is_kernel(&bytes) => {
                    self.trouble = script.kernel.as_ref().map(|(url, _)| format!("{url} is no Linux kernel"));
                    script.fetched(false);
                }
                (_, file) => {
                    if file.is_none() {
                        let url = script.initrds.last().or(script.kernel.as_ref().map(|(url, _)| url));
                        self.trouble = url.map(|url| format!("{url} did not come"));
                    }
                    script.fetched(file.is_some());
                }
            }
        }
        self.run(speaker, script)
    }

    fn run(&mut self, speaker: Speaker, mut script: Box<Script>) -> Step {
        match script.run() {
            Wants::File { url: text, chained } => {
                let kernel = script.initrds.is_empty() && !chained;
                let Some(fetch) = url(&text, false, speaker) else {
                    return self.stop(format!("iPXE cannot fetch {text}"));
                };
                let wants = match (chained, kernel) {
                    (true, _) => Waits::Chained,
                    (_, true) => Waits::Kernel,
                    _ => Waits::Other,
                };
                self.stage = Stage::Script { speaker, script, wants };
                Step::Fetch(fetch)
            }
            Wants::Sleep(time) => {
                self.stage = Stage::Script { speaker, script, wants: Waits::Nothing };
                Step::Wait(time)
            }
            Wants::Boot => {
                let (kernel, arguments) = script.kernel.take().unwrap_or_default();
                Step::End(End::Kernel { kernel, arguments, initrds: script.initrds })
            }
            Wants::LocalDisk => Step::End(End::LocalDisk),
            Wants::Exit => match self.trouble.take() {
                Some(trouble) => self.stop(trouble),
                None => Step::End(End::LocalDisk),
            },
            Wants::Failed(why) => {
                let why = self.trouble.take().unwrap_or(why);
                self.stop(why)
            }
        }
    }
}

/// Whether a UEFI program has a certificate table (PE format, data directory 4). Whose signature it is, is not looked at.
fn is_signed(bytes: &[u8]) -> bool {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let size = || {
        let header = usize::try_from(number(0x3c)?).ok()?;
        let optional = bytes.get(header..header + 4)?.eq(b"PE\0\0").then_some(header + 24)?;
        let directories = match bytes.get(optional..optional + 2)? {
            [0x0b, 0x02] => optional + 112,
            _ => optional + 96,
        };
        number(directories + 4 * 8 + 4)
    };
    bytes.starts_with(b"MZ") && size().is_some_and(|size| size > 0)
}

/// Whether it is a Linux kernel, or a UEFI program with one in it.
fn is_kernel(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS") || bytes.starts_with(b"MZ")
}

#[cfg(test)]
mod tests;
