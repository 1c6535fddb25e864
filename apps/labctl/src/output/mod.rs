//! What is shown: data on standard output, everything else on standard error.

pub mod columns;
pub mod document;
pub mod format;
pub mod jsonpath;

use crate::{failure::Failure, settings::Colour};
use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

/// Whether standard output and standard error are coloured.
static COLOURED: OnceLock<(bool, bool)> = OnceLock::new();

/// Decides on colour, once, from the flag, the terminal and NO_COLOR.
pub fn choose_colour(colour: Colour) {
    let wanted = |terminal: bool| match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
            terminal && !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let _ = COLOURED.set((wanted(io::stdout().is_terminal()), wanted(io::stderr().is_terminal())));
}

/// Whether standard output is coloured.
pub fn coloured() -> bool {
    COLOURED.get().is_some_and(|(out, _)| *out)
}

/// A colour of the terminal's own palette, or a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// All is well.
    Green,
    /// Under way, or to be looked at.
    Yellow,
    /// Wrong, or to be lost.
    Red,
    /// A heading.
    Bold,
    /// Less important.
    Dim,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Bold => "1",
            Self::Dim => "2",
        }
    }

    /// The text in this colour, if `on`.
    pub fn apply(self, text: &str, on: bool) -> String {
        if on && !text.is_empty() { format!("\x1b[{}m{text}\x1b[0m", self.code()) } else { text.into() }
    }

    /// The text in this colour, if standard output is coloured.
    pub fn out(self, text: &str) -> String {
        self.apply(text, coloured())
    }

    /// The colour that goes with a state's name.
    pub fn of_state(state: &str) -> Option<Self> {
        Some(match state {
            "Ready" | "Installed" | "Online" | "Active" | "True" | "on" | "Succeeded" | "keep" | "reuse"
            | "preserve" | "approved" | "done" => Self::Green,
            "Failed" | "Offline" | "Expired" | "Revoked" | "wipe" | "recreate" | "failed" => Self::Red,
            "Registered" | "Discovering" | "Discovered" | "Planned" | "Approved" | "Installing" | "Debug"
            | "Wiping" | "Terminating" | "Unknown" | "create" | "install again" | "not approved" => {
                Self::Yellow
            }
            _ => return None,
        })
    }
}

/// Tells of a failure on standard error, as `error: …` and `hint: …`.
pub fn tell_failure(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    say("error", Paint::Red, &failure.message);
    if let Some(hint) = &failure.hint {
        say("hint", Paint::Dim, hint);
    }
}

/// A warning on standard error.
pub fn warn(text: &str) {
    say("warning", Paint::Yellow, text);
}

/// A word on standard error about what is going on.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn say(what: &str, paint: Paint, text: &str) {
    let on = COLOURED.get().is_some_and(|(_, err)| *err);
    // Control characters from elsewhere must not reach the terminal.
    let text: String =
        text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(io::stderr(), "{} {text}", paint.apply(&format!("{what}:"), on));
}

/// Writes a line to standard output.
pub fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Writes text to standard output as it is.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Asks a yes-or-no question on standard error; anything but yes is no. Without a terminal to answer at there is no
/// asking: `None`.
pub fn ask(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
}
