//! `labctl logs`: what a machine's installer and boot said.

use super::chosen;
use crate::{
    failure::{Exit, Failure, Outcome},
    kind, output,
    session::Session,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use lab_kinds::metal::Server;
use lab_wire::log::{Kind, Line};

/// Show what a machine said while it booted and was installed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl logs db-1
  labctl logs db-1 -f
  labctl logs db-1 --stage partition")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// Only lines of this stage
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let server = chosen::find(session, &kind::servers()?, &args.machine).await?;
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
