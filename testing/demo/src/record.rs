//! The demonstration in a terminal that is written down (asciicast, version 2: a head, then a line of JSON for each piece of output).

use anyhow::{Context, bail};
use serde_json::json;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncReadExt;

const WIDTH: u16 = 110;
const HEIGHT: u16 = 36;

/// Runs the program again in a terminal of its own, shows what it shows, and writes that to a file.
#[tokio::main]
pub async fn run(path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut cast = Cast::begin(BufWriter::new(file))?;
    let (mut terminal, end) = pty_process::open().context("opening a terminal")?;
    terminal.resize(pty_process::Size::new(HEIGHT, WIDTH)).context("sizing the terminal")?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut child = pty_process::Command::new(program)
        .args(without_record(std::env::args_os().skip(1)))
        .env("TERM", "xterm-256color")
        .spawn(end)
        .context("starting this program again")?;
    let mut buffer = [0; 16384];
    loop {
        // Linux says EIO when the last program has left a terminal.
        let read = terminal.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        io::stdout().write_all(&buffer[..read])?;
        io::stdout().flush()?;
        cast.output(&buffer[..read])?;
    }
    cast.file.flush().with_context(|| format!("writing {}", path.display()))?;
    let status = child.wait().await?;
    if !status.success() {
        bail!("see above; {} has it as well", path.display());
    }
    Ok(())
}

/// The arguments but `--record FILE`.
fn without_record(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--record" {
            arguments.next();
        } else if !argument.to_string_lossy().starts_with("--record=") {
            kept.push(argument);
        }
    }
    kept
}

struct Cast<W> {
    file: W,
    began: Instant,
    /// Bytes of a character whose end has not come yet.
    partial: Vec<u8>,
}

impl<W: Write> Cast<W> {
    fn begin(mut file: W) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let head = json!({
            "version": 2, "width": WIDTH, "height": HEIGHT, "timestamp": now, "title": "cargo xtask demo",
        });
        writeln!(file, "{head}")?;
        Ok(Self { file, began: Instant::now(), partial: Vec::new() })
    }

    fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.partial.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.partial) {
            Ok(text) => text.len(),
            // Only an end that lacks something is kept; what can never be text is replaced.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.partial.len(),
        };
        let rest = self.partial.split_off(whole);
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial = rest;
        let seconds = (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        writeln!(self.file, "{}", json!([seconds, "o", text]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_is_written_once_and_whole() {
        let mut cast = Cast::begin(Vec::new()).expect("memory takes it");
        let text = "▒ done".as_bytes();
        cast.output(&text[..1]).expect("memory takes it");
        cast.output(&text[1..]).expect("memory takes it");
        let lines = String::from_utf8(cast.file).expect("it is text");
        let output: Vec<String> = lines
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str::<(f64, String, String)>(line).expect("it is an event").2)
            .collect();
        assert_eq!(output.concat(), "▒ done");
    }

    #[test]
    fn a_recording_does_not_record_itself() {
        let check = |given: &[&str]| {
            let kept = without_record(given.iter().map(OsString::from));
            assert_eq!(kept, ["--no-wait", "--folder", "f"].map(OsString::from), "{given:?}");
        };
        check(&["--record", "x", "--no-wait", "--folder", "f"]);
        check(&["--no-wait", "--record=x", "--folder", "f"]);
    }
}
