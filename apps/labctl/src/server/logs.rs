//! `labctl logs`: what a machine says: its journal where its agent is connected, else what its boot and its installer said.

use super::chosen;
use crate::{
    failure::{Exit, Failure, Outcome},
    kind, output,
    session::Session,
    settings::parse_duration,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::Timestamp;
use lab_kinds::metal::Server;
use lab_wire::{
    agent::Journal,
    log::{Kind, Line},
};
use tokio::io::AsyncWriteExt;

/// Show what a machine says: the journal of one that runs, else what it said while it booted and was installed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl logs db-1
  labctl logs db-1 -f
  labctl logs db-1 --unit ssh.service --since 10m
  labctl logs db-1 --boot                 how it booted and was installed, also while it runs
  labctl logs db-1 --stage partition")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// What it said while it booted and was installed
    #[arg(long)]
    boot: bool,
    /// Only lines of this stage of its installation
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["unit", "since"])]
    stage: Option<String>,
    /// Only of this unit of systemd; may be given several times
    #[arg(long, short = 'u', value_name = "UNIT", conflicts_with = "boot")]
    unit: Vec<String>,
    /// Only from then on: a time (RFC 3339), or how long ago, such as 10m
    #[arg(long, value_name = "TIME", conflicts_with = "boot", value_parser = since)]
    since: Option<Timestamp>,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let server = chosen::find(session, &kind::servers()?, &args.machine).await?;
    let runs = server.status.agent.as_ref().is_some_and(|agent| agent.online);
    let of_boot = args.boot || args.stage.is_some();
    if !of_boot && (runs || !args.unit.is_empty() || args.since.is_some()) {
        return journal(args, session, &server).await;
    }
    if let Some(stage) = &args.stage {
        check_stage(&server, stage)?;
    }
    let mut query = vec![format!("follow={}", args.follow)];
    query.extend(args.stage.as_ref().map(|stage| format!("stage={stage}")));
    query.extend(args.tail.map(|lines| format!("tailLines={lines}")));
    let path = format!("/apis/metal.lab/v1alpha1/servers/{}/log?{}", chosen::name(&server), query.join("&"));
    let request = http::Request::get(path)
        .body(Bytes::new())
        .map_err(|e| Failure::usage(format!("the request cannot be formed: {e}")))?;
    let response = match session.client.send("read the log", request).await {
        Ok(response) => response,
        // The server is there, as was just seen: it is the log that nobody keeps.
        Err(e) if e.status().is_some_and(|s| matches!(s.code, 404 | 405)) => {
            return Err(Failure::new(Exit::NotServed, "nobody keeps machines' logs yet")
                .with_hint(format!("`labctl describe srv {}` shows its stages", chosen::name(&server))));
        }
        Err(e) => return Err(e.into()),
    };
    let mut body = response.into_body();
    let (mut events, mut said) = (Events::default(), false);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::new(Exit::Failed, format!("the log broke off: {e}")))?;
        if let Some(data) = frame.data_ref() {
            let lines = events.read(data).iter().map(shown).collect::<String>();
            if !lines.is_empty() {
                said = true;
                output::text(&lines)?;
            }
        }
    }
    if !said {
        output::note(&format!("nothing was heard of {} yet", chosen::called(&server)));
    }
    Ok(())
}

/// Shows the machine's journal.
async fn journal(args: Args, session: &Session, server: &Server) -> Outcome {
    let Args { follow, unit: units, since, tail: lines, .. } = args;
    let query = Journal { follow, units, since, lines }.to_query();
    let path = format!("/apis/metal.lab/v1alpha1/servers/{}/journal?{query}", chosen::name(server));
    let request = http::Request::get(path)
        .body(Bytes::new())
        .map_err(|e| Failure::usage(format!("the request cannot be formed: {e}")))?;
    let response = session.client.send("read the journal", request).await.map_err(|error| {
        let away = error.status().is_some_and(|status| status.code == 503);
        let failure = Failure::from(error);
        let hint = "its journal is on the machine; with --boot you see how it booted";
        if away { Failure { exit: Exit::NotServed, ..failure }.with_hint(hint) } else { failure }
    })?;
    let mut body = response.into_body();
    let mut out = tokio::io::stdout();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::new(Exit::Failed, format!("the journal broke off: {e}")))?;
        if let Some(data) = frame.data_ref() {
            out.write_all(data).await?;
            out.flush().await?;
        }
    }
    Ok(())
}

/// A moment, or how long ago it was.
fn since(text: &str) -> Result<Timestamp, &'static str> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = parse_duration(text).and_then(|ago| jiff::SignedDuration::try_from(ago).ok());
    let at = ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    at.ok_or("is neither a time such as 2026-11-21T12:00:00Z nor a duration such as 10m")
}

/// Server-sent events as they come in, in whatever pieces.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    /// The lines in the events that are whole now. What is no line, such as a sign of life, is passed over.
    fn read(&mut self, data: &[u8]) -> Vec<Line> {
        self.0.extend_from_slice(data);
        let Some(end) = self.0.windows(2).rposition(|pair| pair == b"\n\n") else { return Vec::new() };
        let whole: Vec<u8> = self.0.drain(..end + 2).collect();
        let texts = whole.split(|&byte| byte == b'\n').filter_map(|text| text.strip_prefix(b"data: "));
        texts.filter_map(|text| serde_json::from_slice(text).ok()).collect()
    }
}

/// A line as it is shown: when, who says it, and what.
fn shown(line: &Line) -> String {
    let at = line.at.strftime("%Y-%m-%dT%H:%M:%SZ");
    let who = match (line.kind, &line.program) {
        (Kind::Log, Some(program)) => program.as_str(),
        (Kind::Log, None) => "log",
        (kind, _) => kind.word(),
    };
    format!("{at} {who}: {}\n", line.text)
}

/// A stage is one that the machine has had.
fn check_stage(server: &Server, stage: &str) -> Outcome {
    let stages = &server.status.stages;
    if stages.is_empty() || stages.iter().any(|s| s.name == stage) {
        return Ok(());
    }
    let names: Vec<&str> = stages.iter().map(|s| s.name.as_str()).collect();
    let near = kind::nearest(stage, names.iter().copied());
    let hint =
        if near.is_empty() { format!("its stages: {}", names.join(", ")) } else { kind::suggestion(&near) };
    Err(Failure::usage(format!("{} has had no stage {stage:?}", chosen::called(server))).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_pieces() {
        let stream = ":\n\nevent: boot\ndata: {\"at\":\"2026-11-21T12:00:00.5Z\",\"kind\":\"boot\",\"text\":\"iPXE sent DHCP discover\"}\n\n\
                      event: log\ndata: {\"at\":\"2026-11-21T12:00:01Z\",\"program\":\"anna\",\"text\":\"hello\"}\n\n\
                      event: log\ndata: {\"at\":\"2026-11-21T12:00:02Z\",\"text\":\"half";
        let expected =
            "2026-11-21T12:00:00Z boot: iPXE sent DHCP discover\n2026-11-21T12:00:01Z anna: hello\n";
        for size in [1, 7, 1000] {
            let mut events = Events::default();
            let pieces = stream.as_bytes().chunks(size);
            let lines: String =
                pieces.flat_map(|piece| events.read(piece)).map(|line| shown(&line)).collect();
            assert_eq!(lines, expected, "in pieces of {size}");
        }
    }
}
