//! What is shown: words that scroll by and, on a terminal, a live table of the machines below them; elsewhere a line for each thing that a
//! machine does.

use lab_client::Informer;
use lab_kinds::metal::Server;
use lab_kinds::metal::server::status::{BootAnswer, BootStep};
use lab_kinds::metal::server::{Phase, Stage};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A machine that is watched: the name its Server has, and what it is called here.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Name of its Server.
    pub server: String,
    /// What people call it.
    pub called: String,
    /// What distinguishes it.
    pub firmware: &'static str,
}

/// Standard output.
pub struct Screen {
    live: bool,
    colour: bool,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    servers: Option<Informer<Server>>,
    machines: Vec<Watched>,
    /// Lines of the live table that stand at the end.
    drawn: usize,
    /// What each machine did last.
    told: Vec<String>,
}

impl Screen {
    /// One that shows words only.
    pub fn new() -> Self {
        let live = io::stdout().is_terminal();
        let colour = live && std::env::var_os("NO_COLOR").is_none();
        Self { live, colour, began: Instant::now(), state: Mutex::default() }
    }

    /// From now on these machines are shown as well.
    pub fn watch(&self, servers: Informer<Server>, machines: Vec<Watched>) {
        let mut state = self.state.lock();
        state.told = vec![String::new(); machines.len()];
        (state.servers, state.machines) = (Some(servers), machines);
    }

    /// The machines that labd knows.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.state.lock().servers.as_ref().map(Informer::list).unwrap_or_default()
    }

    /// A heading, with the time since the beginning.
    pub fn act(&self, words: &str) {
        let elapsed = clock(self.began.elapsed());
        self.say(&format!("\n{}\n", self.painted("1;36", &format!("== {elapsed} {words}"))));
    }

    /// A command that is given.
    pub fn command(&self, line: &str) {
        self.say(&self.painted("1", &format!("$ {line}")));
    }

    /// Words, above the live table.
    pub fn say(&self, words: &str) {
        let words = words.trim_end_matches(['\n', ' ']);
        if words.is_empty() {
            return;
        }
        self.write(&mut self.state.lock(), &format!("{words}\n"));
    }

    /// Draws the machines as they are now.
    pub fn refresh(&self) {
        let mut state = self.state.lock();
        let servers = state.servers.as_ref().map(Informer::list).unwrap_or_default();
        let mut news = String::new();
        for at in 0..state.machines.len() {
            let machine = &state.machines[at];
            let Some(server) = find(&servers, machine) else { continue };
            let now = doing(server);
            let said = format!("{:?} {}", server.status.phase, now.split(':').next().unwrap_or_default());
            if said != state.told[at] {
                let phase = server.status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default();
                let _ =
                    writeln!(news, "{} {:6} {phase:11} {now}", clock(self.began.elapsed()), machine.called);
                state.told[at] = said;
            }
        }
        let news = if self.live { String::new() } else { news };
        self.write(&mut state, &news);
    }

    /// Takes the live table away.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.servers = None;
        state.machines.clear();
        self.write(&mut state, "");
    }

    fn write(&self, state: &mut State, words: &str) {
        let mut text = String::new();
        if state.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\x1b[J", state.drawn);
        }
        text.push_str(words);
        if self.live && state.servers.is_some() {
            let table = self.table(state);
            state.drawn = table.lines().count();
            // A line that is too long is cut off: wrapped, it would be two to draw over.
            let _ = write!(text, "\x1b[?7l{table}\x1b[?7h");
        } else {
            state.drawn = 0;
        }
        let mut out = io::stdout().lock();
        // Nobody is left to be told when the terminal is gone.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn table(&self, state: &State) -> String {
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let servers = state.servers.as_ref().map(Informer::list).unwrap_or_default();
        let head = format!("── {} ", clock(self.began.elapsed()));
        let mut text =
            self.painted("2", &format!("{head}{}", "─".repeat(width.saturating_sub(head.chars().count()))));
        text.push('\n');
        for machine in &state.machines {
            let server = find(&servers, machine);
            let phase = server.and_then(|server| server.status.phase);
            let colour = match phase {
                Some(Phase::Ready) => "32",
                Some(Phase::Failed) => "31",
                Some(Phase::Installing) => "33",
                _ => "0",
            };
            let phase = phase.map_or_else(|| "switched on".into(), |phase| format!("{phase:?}"));
            let percent = server
                .filter(|server| server.status.stage.is_some())
                .and_then(|server| server.status.percent);
            let doing = server.map(doing).unwrap_or_default();
            let _ = writeln!(
                text,
                "{} {:5} {} {} {doing}",
                self.painted("1", &format!("{:6}", machine.called)),
                machine.firmware,
                self.painted(colour, &format!("{phase:11}")),
                bar(percent),
            );
        }
        text
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn find<'a>(servers: &'a [Arc<Server>], machine: &Watched) -> Option<&'a Server> {
    let is = |server: &&Arc<Server>| server.metadata.name.as_ref() == Some(&machine.server);
    servers.iter().find(is).map(|server| &**server)
}

/// What a machine is doing, after what labd knows of it.
pub fn doing(server: &Server) -> String {
    let status = &server.status;
    if let Some(name) = &status.stage {
        let stage = status.stages.iter().rev().find(|stage| stage.name == *name);
        return stage.map_or_else(|| name.clone(), said);
    }
    let agent = status.agent.as_ref();
    if status.phase == Some(Phase::Ready) && agent.is_some_and(|agent| agent.online) {
        return agent.map(|agent| format!("in reach: {}", agent.operating_system)).unwrap_or_default();
    }
    let Some(boot) = &status.boot else { return String::new() };
    let given = match boot.answer {
        Some(BootAnswer::Discovery) => "discovery",
        Some(BootAnswer::Install) => "installation",
        Some(BootAnswer::Debug) => "rescue",
        Some(BootAnswer::Local) | None => "disk",
    };
    match boot.step {
        None => String::new(),
        Some(BootStep::Asked) => "its firmware asks the network".into(),
        Some(BootStep::Answered) => "its firmware was answered".into(),
        Some(BootStep::Program) => "its firmware fetches iPXE".into(),
        Some(BootStep::Loader) => "iPXE asks what to start".into(),
        Some(BootStep::Told) => format!("iPXE fetches kernel and ramdisk for {given}"),
        Some(BootStep::Local) => "its own system starts from disk".into(),
        Some(BootStep::Started) => format!("the kernel for {given} starts"),
        Some(BootStep::Heard) => format!("the system for {given} runs"),
    }
}

/// A stage's name, what it says, and how far it is.
fn said(stage: &Stage) -> String {
    let mut text = stage.name.clone();
    if let (Some(done), Some(total)) = (stage.done_bytes, stage.total_bytes) {
        let mebibytes = |bytes: i64| bytes >> 20;
        let _ = write!(text, ": {} of {} MiB", mebibytes(done), mebibytes(total));
    } else if let Some(message) = &stage.message {
        let _ = write!(text, ": {}", message.lines().next().unwrap_or_default());
    }
    text
}

fn bar(percent: Option<i32>) -> String {
    let Some(percent) = percent else { return " ".repeat(15) };
    let percent = percent.clamp(0, 100);
    let full = usize::try_from(percent / 10).unwrap_or_default();
    format!("{}{} {percent:3}%", "█".repeat(full), "░".repeat(10 - full))
}

/// `4:07`.
pub fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{:2}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::status::BootStatus;

    #[test]
    fn what_a_machine_does_is_said_in_words() {
        let mut server = Server::default();
        assert_eq!(doing(&server), "");
        server.status.boot = Some(BootStatus {
            answer: Some(BootAnswer::Discovery),
            step: Some(BootStep::Told),
            ..BootStatus::default()
        });
        assert_eq!(doing(&server), "iPXE fetches kernel and ramdisk for discovery");
        server.status.stage = Some("unpackImage".into());
        let (done_bytes, total_bytes) = (Some(3 << 20), Some(9 << 20));
        server.status.stages =
            vec![Stage { name: "unpackImage".into(), done_bytes, total_bytes, ..Stage::default() }];
        assert_eq!(doing(&server), "unpackImage: 3 of 9 MiB");
    }
}
