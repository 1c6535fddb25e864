//! Shows the machine's journal to somebody at the other end of a stream.

use crate::serve::{Body, bad, refused, streamed};
use http::{Response, StatusCode};
use lab_host::session::{Launch, Session};
use lab_wire::{agent::Journal, stream::MAX_PAYLOAD};
use tokio::io::AsyncReadExt;

/// Answers a request for the journal.
pub(crate) fn answer(query: &str) -> Response<Body> {
    let journal = match Journal::from_query(query) {
        Ok(journal) => journal,
        Err(error) => return bad(&error),
    };
    let mut session = match Session::start(&Launch { command: command(&journal), ..Launch::default() }) {
        Ok(session) => session,
        Err(error) => {
            let why = format!("its journal cannot be read, as journalctl cannot be started: {error}");
            return refused(StatusCode::BAD_REQUEST, why);
        }
    };
    let (out, response) = streamed();
    tokio::spawn(async move {
        let mut said = vec![0; MAX_PAYLOAD / 4];
        let passed = async {
            while let Ok(length @ 1..) = session.output.read(&mut said).await {
                if out.send(said[..length].to_vec().into()).await.is_err() {
                    return;
                }
            }
            // What it complains about, such as a unit's pattern, is the reader's to know.
            let mut complaint = Vec::new();
            if let Some(pipe) = &mut session.complaint
                && pipe.take(4096).read_to_end(&mut complaint).await.is_ok()
                && !complaint.is_empty()
            {
                let _ = out.send(complaint.into()).await;
            }
        };
        tokio::select! {
            () = passed => {}
            () = out.closed() => {}
        }
        session.process.hang_up().await;
    });
    response
}

fn command(journal: &Journal) -> Vec<String> {
    let mut command: Vec<String> =
        ["journalctl", "--no-pager", "--quiet", "--output=short-iso"].map(Into::into).into();
    if journal.follow {
        command.push("--follow".into());
    }
    command.extend(journal.units.iter().map(|unit| format!("--unit={unit}")));
    command.extend(journal.since.map(|since| format!("--since=@{}", since.as_second())));
    match journal.lines {
        Some(lines) => command.push(format!("--lines={lines}")),
        // Whoever follows from a moment on sees all since; else as `journalctl --follow` does.
        None if journal.follow && journal.since.is_none() => command.push("--lines=10".into()),
        None => command.push("--lines=all".into()),
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_journalctl() {
        let check = |journal: Journal, expected: &str| {
            let command = command(&journal).join(" ");
            assert_eq!(command, format!("journalctl --no-pager --quiet --output=short-iso{expected}"));
        };
        check(Journal::default(), " --lines=all");
        check(Journal { follow: true, ..Journal::default() }, " --follow --lines=10");
        let since = Some("1970-01-01T00:01:00Z".parse().unwrap());
        let units = vec!["ssh.service".into()];
        check(
            Journal { follow: true, units, since, lines: None },
            " --follow --unit=ssh.service --since=@60 --lines=all",
        );
        check(Journal { lines: Some(5), ..Journal::default() }, " --lines=5");
    }
}
