//! `labctl progress`: machines' installations, live on a terminal, a line per step elsewhere.

use super::chosen::{self, Machines};
use crate::{
    failure::{Exit, Failure, Outcome},
    output::{self, columns::Columns},
    session::Session,
};
use jiff::Timestamp;
use lab_client::{Informer, InformerOptions};
use lab_kinds::metal::{
    Server,
    server::{Phase, Stage},
};
use lab_object::{Time, age::human_duration};
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// Follow machines' installations to their end
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl progress db-1
  labctl progress --status installing
  labctl progress db-1 db-2 | tee install.log")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let names: Vec<String> =
        args.machines.find(session).await?.iter().map(|s| chosen::name(s).to_owned()).collect();
    follow(session, &names).await
}

/// How an installation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Something is still to happen.
    UnderWay,
    /// Nothing is to be done, or all is done.
    Done,
    /// It failed, or the machine is gone.
    Failed,
}

fn standing(server: &Server) -> Standing {
    let approved = server.spec.install.as_ref().and_then(|i| i.approve.as_ref());
    let carried_out = server.status.install.as_ref().map(|i| &i.plan);
    match server.status.phase {
        Some(Phase::Failed) => Standing::Failed,
        Some(Phase::Installed | Phase::Ready | Phase::Offline)
            if approved.is_none() || approved == carried_out =>
        {
            Standing::Done
        }
        _ if server.spec.install.is_none() && server.status.stage.is_none() => Standing::Done,
        _ => Standing::UnderWay,
    }
}

/// Follows these machines until each is done or has failed.
pub async fn follow(session: &Session, names: &[String]) -> Outcome {
    let seed = Timestamp::now().as_nanosecond() as u64;
    let informer = Informer::start(chosen::api(session), InformerOptions::everything(seed));
    let changed = Arc::new(Notify::new());
    let wake = changed.clone();
    informer.on_change(move |_| wake.notify_one());
    wait_for_first(&informer, session).await?;
    let mut view = View::new();
    loop {
        let found = informer.list();
        let servers: Vec<Machine<'_>> = names
            .iter()
            .map(|name| (name, found.iter().find(|s| chosen::name(s) == name).map(|s| &**s)))
            .collect();
        view.show(&servers, Timestamp::now())?;
        let standings: Vec<Standing> =
            servers.iter().map(|(_, s)| s.map_or(Standing::Failed, standing)).collect();
        if !standings.contains(&Standing::UnderWay) {
            let failed = standings.iter().filter(|s| **s == Standing::Failed).count();
            return match failed {
                0 => Ok(()),
                _ => Err(Failure::new(Exit::Failed, format!("{failed} of {} machines failed", names.len()))
                    .with_hint("`labctl describe srv NAME` says why")),
            };
        }
        // The time in a stage goes on by itself.
        let _ = tokio::time::timeout(Duration::from_secs(1), changed.notified()).await;
    }
}

/// The informer tries for ever; a person wants to know when the server cannot be reached.
async fn wait_for_first(informer: &Informer<Server>, session: &Session) -> Outcome {
    let patience = session.connection.timeout.unwrap_or(Duration::from_secs(30));
    match tokio::time::timeout(patience, informer.synced()).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let why = informer.trouble().unwrap_or_else(|| "the list did not come to its end".into());
            Err(Failure::new(Exit::Unreachable, why))
        }
    }
}

/// A machine's name, and the machine unless it is gone.
type Machine<'a> = (&'a String, Option<&'a Server>);

/// What was shown so far.
struct View {
    live: bool,
    /// Lines on the terminal that are to be drawn over.
    drawn: usize,
    /// What each machine's last line said, without times.
    told: BTreeMap<String, String>,
}

impl View {
    fn new() -> Self {
        Self { live: io::stdout().is_terminal(), drawn: 0, told: BTreeMap::new() }
    }

    fn show(&mut self, servers: &[Machine<'_>], now: Timestamp) -> Outcome {
        let mut out = io::stdout().lock();
        if self.live {
            let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
            let (shown, hidden) = fitting(servers, height);
            let text = table(&shown, now) + &hidden;
            if self.drawn > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
            }
            // A line that is too long for the terminal is cut off by it: wrapped, it would be two to draw over.
            write!(out, "\x1b[?7l{text}\x1b[?7h")?;
            self.drawn = text.lines().count();
        } else {
            for (name, server) in servers {
                let step = server.map_or_else(|| "gone".into(), step);
                if self.told.get(*name) != Some(&step) {
                    writeln!(out, "{} {name} {step}", Time(now))?;
                    self.told.insert((*name).clone(), step);
                }
            }
        }
        Ok(out.flush()?)
    }
}

/// Of more machines than a terminal has lines, those that are under way, then those that failed; and a line about the
/// others.
fn fitting<'a>(servers: &[Machine<'a>], height: usize) -> (Vec<Machine<'a>>, String) {
    // The heading, the line about the others, and the one on which the cursor stands.
    let room = height.saturating_sub(3).max(1);
    if servers.len() <= room + 1 {
        return (servers.to_vec(), String::new());
    }
    let state = |machine: &Machine<'_>| machine.1.map_or(Standing::Failed, standing);
    let mut sorted = servers.to_vec();
    sorted.sort_by_key(|machine| match state(machine) {
        Standing::UnderWay => 0,
        Standing::Failed => 1,
        Standing::Done => 2,
    });
    let hidden = sorted.split_off(room);
    let count = |wanted| hidden.iter().filter(|machine| state(machine) == wanted).count();
    let counts = [
        (count(Standing::UnderWay), "under way"),
        (count(Standing::Failed), "failed"),
        (count(Standing::Done), "done"),
    ];
    let told = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    (sorted, format!("and {} more: {}\n", hidden.len(), told.collect::<Vec<_>>().join(", ")))
}

/// What a machine is doing, without what changes by itself.
fn step(server: &Server) -> String {
    let phase = server.status.phase.map_or_else(|| "Unknown".into(), |p| format!("{p:?}"));
    let mut text = phase;
    if let Some(stage) = current(server) {
        text.push_str(&format!(" stage={}", stage.name));
        if let Some(outcome) = stage.outcome {
            text.push_str(&format!(" {}", format!("{outcome:?}").to_lowercase()));
        }
    }
    if let Some(percent) = server.status.percent {
        // Ten lines for a stage are enough for a log.
        text.push_str(&format!(" {}%", percent / 10 * 10));
    }
    if let (Some(Phase::Failed), Some(message)) = (server.status.phase, &server.status.message) {
        text.push_str(&format!(" {message:?}"));
    }
    text
}

fn current(server: &Server) -> Option<&Stage> {
    let name = server.status.stage.as_ref()?;
    server.status.stages.iter().rev().find(|s| s.name == *name)
}

fn table(servers: &[Machine<'_>], now: Timestamp) -> String {
    let mut columns = Columns::headed(["Server", "Phase", "Stage", "Done", "In stage", "Ends", "Message"]);
    for (name, server) in servers {
        let Some(server) = server else {
            columns.row(vec![
                (*name).clone(),
                "gone".into(),
                "-".into(),
                "-".into(),
                "-".into(),
                "-".into(),
                "-".into(),
            ]);
            continue;
        };
        let status = &server.status;
        let stage = current(server);
        let since = stage.and_then(|s| s.started).map(|t| human_duration(now.duration_since(t.0)));
        let ends = status.expected_end.map(|end| ending(end.0, now));
        let message = stage.and_then(|s| s.message.clone()).or_else(|| status.message.clone());
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        columns.row(vec![
            chosen::called(server),
            dash(status.phase.map(|p| format!("{p:?}"))),
            dash(status.stage.clone()),
            bar(status.percent),
            dash(since),
            dash(ends),
            dash(message.map(|m| m.lines().next().unwrap_or_default().chars().take(60).collect())),
        ]);
    }
    columns.render(output::coloured())
}

/// `in 5m`, or `3m late`.
fn ending(expected: Timestamp, now: Timestamp) -> String {
    let left = expected.duration_since(now);
    if left.is_negative() {
        format!("{} late", human_duration(left.abs()))
    } else {
        format!("in {}", human_duration(left))
    }
}

/// `█████░░░░░  50%`.
fn bar(percent: Option<i32>) -> String {
    let Some(percent) = percent else { return "-".into() };
    let percent = percent.clamp(0, 100);
    let full = usize::try_from(percent / 10).unwrap_or_default();
    format!("{}{} {percent:3}%", "█".repeat(full), "░".repeat(10 - full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::{Install, status::InstallStatus};

    fn server(phase: Phase) -> Server {
        let mut server = Server::default();
        server.metadata.name = Some("a".into());
        server.status.phase = Some(phase);
        server
    }

    #[test]
    fn an_installation_ends_when_the_approved_plan_was_carried_out() {
        let install: Install =
            serde_json::from_str(r#"{"operatingSystem": "d", "approve": "sha256:2"}"#).unwrap();
        let done = |plan: &str| Some(InstallStatus { plan: plan.into(), ..InstallStatus::default() });
        let mut s = server(Phase::Installed);
        s.spec.install = Some(install);
        s.status.install = done("sha256:1");
        assert_eq!(standing(&s), Standing::UnderWay);
        s.status.install = done("sha256:2");
        assert_eq!(standing(&s), Standing::Done);
        s.status.phase = Some(Phase::Failed);
        assert_eq!(standing(&s), Standing::Failed);
        assert_eq!(standing(&server(Phase::Discovered)), Standing::Done);
    }

    #[test]
    fn lines_say_what_a_machine_does() {
        let mut s = server(Phase::Installing);
        s.status.stage = Some("write".into());
        s.status.percent = Some(47);
        s.status.stages = vec![Stage {
            name: "write".into(),
            started: Some(Time(Timestamp::from_second(1000).unwrap())),
            ..Stage::default()
        }];
        assert_eq!(step(&s), "Installing stage=write 40%");
        let name = "a".to_owned();
        let text = table(&[(&name, Some(&s))], Timestamp::from_second(1090).unwrap());
        let row = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row, "a Installing write ████░░░░░░ 47% 90s - -");
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!((ending(at(400), at(100)), ending(at(100), at(400))), ("in 5m".into(), "5m late".into()));
    }

    #[test]
    fn what_is_under_way_is_seen_first() {
        let (done, under_way) = (server(Phase::Discovered), {
            let mut server = server(Phase::Installing);
            server.status.stage = Some("write".into());
            server
        });
        let names: Vec<String> = (0..9).map(|i| format!("m{i}")).collect();
        let all: Vec<Machine<'_>> = names
            .iter()
            .enumerate()
            .map(|(i, name)| (name, [Some(&done), Some(&under_way), None][i % 3]))
            .collect();
        let check = |height: usize, expected: &str| {
            let (shown, hidden) = fitting(&all, height);
            let shown: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(format!("{} {hidden}", shown.join(" ")), expected, "{height}");
            assert!(shown.len() + 1 + hidden.lines().count() < height);
        };
        check(24, "m0 m1 m2 m3 m4 m5 m6 m7 m8 ");
        check(11, "m0 m1 m2 m3 m4 m5 m6 m7 m8 ");
        check(10, "m1 m4 m7 m2 m5 m8 m0 and 2 more: 2 done\n");
        check(5, "m1 m4 and 7 more: 1 under way, 3 failed, 3 done\n");
    }
}
