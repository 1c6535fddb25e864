//! One message, in the old form (RFC 3164), the new one (RFC 5424), or none at all.

/// A log message. What a sender leaves out or garbles is left out here; its text is never lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Which part of a system it is from (RFC 5424 table 1).
    pub facility: u8,
    /// How grave it is, from 0 (emergency) to 7 (debug).
    pub severity: u8,
    /// The sender's own name for itself.
    pub host: Option<String>,
    /// The program.
    pub program: Option<String>,
    /// The program's process.
    pub process: Option<String>,
    /// The text, in one line, without control characters.
    pub text: String,
}

/// What a message without a priority is (RFC 3164 section 4.3.3): user, notice.
const DEFAULT_PRIORITY: u8 = 13;

impl Message {
    /// Reads a message of any form.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (priority, rest) = priority(&text).unwrap_or((DEFAULT_PRIORITY, &text));
        let message = match rest.strip_prefix("1 ") {
            Some(rest) => new_form(rest),
            None => Some(old_form(rest)),
        };
        let message = message.unwrap_or_else(|| Self { text: rest.into(), ..Self::default() });
        Self { facility: priority >> 3, severity: priority & 7, text: one_line(&message.text), ..message }
    }
}

/// The priority in `<13>`; at most 191.
fn priority(text: &str) -> Option<(u8, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let plain = number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse().ok().filter(|number| plain && *number <= 191)?;
    Some((number, rest))
}

/// `TIMESTAMP HOST APP-NAME PROCID MSGID STRUCTURED-DATA MSG`, a dash standing for what is not there.
fn new_form(text: &str) -> Option<Message> {
    let mut parts = text.splitn(6, ' ');
    let (_time, host, program, process, _id, rest) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = |word: &str| (word != "-" && !word.is_empty()).then(|| one_line(word));
    let text = without_data(rest)?.trim_start_matches('\u{feff}');
    Some(Message {
        host: known(host),
        program: known(program),
        process: known(process),
        text: text.into(),
        ..Message::default()
    })
}

/// What follows the structured data: `-`, or elements in brackets with quoted values.
fn without_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if inside => quoted = !quoted,
            '[' if !quoted => inside = true,
            ']' if !quoted => inside = false,
            ' ' if !inside => return text.get(at + 1..),
            _ if !inside => return None,
            _ => {}
        }
    }
    (!inside).then_some("")
}

/// `Mmm dd hh:mm:ss HOST TAG[PID]: text`, of which any part may be missing: installers leave out the host, or the time as well.
fn old_form(text: &str) -> Message {
    let (dated, rest) = match after_time(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (host, rest) = match rest.split_once(' ') {
        Some((word, further)) if dated && !word.ends_with(':') && !word.contains('[') && !word.is_empty() => {
            (Some(one_line(word)), further)
        }
        _ => (None, rest),
    };
    let (program, process, text) = tag(rest).unwrap_or((None, None, rest));
    Message {
        host,
        program: program.map(Into::into),
        process: process.map(Into::into),
        text: text.into(),
        ..Message::default()
    }
}

fn after_time(text: &str) -> Option<&str> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (time, rest) = text.split_at_checked(15)?;
    let month = time.get(..3).filter(|month| MONTHS.match_indices(month).any(|(at, _)| at % 3 == 0));
    let clock = time
        .get(7..)?
        .bytes()
        .enumerate()
        .all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() });
    (month.is_some() && clock).then(|| rest.strip_prefix(' ').unwrap_or(rest))
}

type Tag<'a> = (Option<&'a str>, Option<&'a str>, &'a str);

/// A program's name, of at most 48 characters that names have, with its process in brackets.
fn tag(text: &str) -> Option<Tag<'_>> {
    let (tag, rest) = text.split_once(':')?;
    let (program, process) = match tag.split_once('[') {
        Some((program, process)) => (program, Some(process.strip_suffix(']')?)),
        None => (tag, None),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-_./()@".contains(c);
    let fits = !program.is_empty() && program.len() <= 48 && program.chars().all(named);
    let fits = fits && process.is_none_or(|process| process.chars().all(named));
    fits.then(|| (Some(program), process, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// One line for a terminal: control characters would move its cursor.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form() {
        let check = |line: &str, priority: (u8, u8), names: [Option<&str>; 3], text: &str| {
            let found = Message::parse(line.as_bytes());
            let [host, program, process] = names.map(|name| name.map(str::to_owned));
            let expected = Message {
                facility: priority.0,
                severity: priority.1,
                host,
                program,
                process,
                text: text.into(),
            };
            assert_eq!(found, expected, "{line:?}");
        };
        check(
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            (4, 2),
            [Some("mymachine"), Some("su"), None],
            "'su root' failed",
        );
        check(
            "<13>Nov  1 02:03:04 h main-menu[123]: x: y",
            (1, 5),
            [Some("h"), Some("main-menu"), Some("123")],
            "x: y",
        );
        check(
            "<13>Nov  1 02:03:04 anaconda[1]: no host",
            (1, 5),
            [None, Some("anaconda"), Some("1")],
            "no host",
        );
        check("<6>kernel: eth0: up", (0, 6), [None, Some("kernel"), None], "eth0: up");
        check("just words", (1, 5), [None; 3], "just words");
        check("<999>words", (1, 5), [None; 3], "<999>words");
        check("<+1>words", (1, 5), [None; 3], "<+1>words");
        let new = "<165>1 2003-10-11T22:14:15.003Z mymachine.example evntslog 77 ID47 [a@1 b=\"\\\"] x\" c=\"d\"][e] \u{feff}An event";
        check(new, (20, 5), [Some("mymachine.example"), Some("evntslog"), Some("77")], "An event");
        check("<0>1 - - - - - - text", (0, 0), [None; 3], "text");
        check("<0>1 - - - - - -", (0, 0), [None; 3], "");
        check("<0>1 garbled", (0, 0), [None; 3], "1 garbled");
        check("<0>1 - h p - - (x) text", (0, 0), [None; 3], "1 - h p - - (x) text");
        check("a\x1b[2J\tb\r\n", (1, 5), [None; 3], "a [2J b");
        check("", (1, 5), [None; 3], "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, new: bool) {
            let prefix: &[u8] = if new { b"<13>1 - - - - - [" } else { b"<13>Nov 21 12:00:00 " };
            for bytes in [bytes.clone(), [prefix, &bytes].concat()] {
                let message = Message::parse(&bytes);
                prop_assert!(message.severity <= 7 && !message.text.chars().any(char::is_control));
            }
        }
    }
}
