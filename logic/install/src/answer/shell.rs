//! Shell scripts as data: statements made of words, written down with the quoting that keeps every word one word.
//!
//! What is the same for every machine stands in the files of the folder `shell`, which hold no values. What is a machine's own comes in
//! through words. The scripts run under every POSIX shell: Debian's installer has busybox, Ubuntu's dash, Fedora's bash.

use super::Unanswerable;

/// Reporting, and ending where something fails.
pub const REPORT: &str = include_str!("shell/report.sh");
/// Finding the approved disk, and looking whether it is as it was.
pub const DISK: &str = include_str!("shell/disk.sh");
/// Fetching the agent's executable.
pub const AGENT: &str = include_str!("shell/agent.sh");
/// The firmware's boot order.
pub const BOOT_ORDER: &str = include_str!("shell/boot_order.sh");

/// A word of a command, whatever is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// It stands for itself.
    Text(String),
    /// A variable's value.
    Variable(&'static str),
    /// What a function of ours says.
    Output(&'static str, String),
}

impl<T: Into<String>> From<T> for Word {
    fn from(text: T) -> Self {
        Self(vec![Part::Text(text.into())])
    }
}

/// The value of a variable.
pub fn variable(name: &'static str) -> Word {
    Word(vec![Part::Variable(name)])
}

/// What a function of the files in `shell` says, given a plain argument.
pub fn output(function: &'static str, argument: impl ToString) -> Word {
    Word(vec![Part::Output(function, argument.to_string())])
}

impl Word {
    /// This word and another one behind it, as one word.
    pub fn and(mut self, other: impl Into<Word>) -> Self {
        self.0.extend(other.into().0);
        self
    }

    fn written(&self) -> Result<String, Unanswerable> {
        if let [Part::Text(text)] = self.0.as_slice() {
            return quoted(text);
        }
        let mut written = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => written.push_str(&quoted(text)?),
                Part::Variable(name) => written.push_str(&format!("\"${{{name}}}\"")),
                Part::Output(function, argument) => {
                    written.push_str(&format!("\"$({function} {})\"", quoted(argument)?));
                }
            }
        }
        Ok(written)
    }
}

/// One word for a POSIX shell, and for whatever splits lines as it does. A line break has no place in one: it would let a value begin
/// a line of its own.
pub fn quoted(text: &str) -> Result<String, Unanswerable> {
    if text.contains(|c: char| c.is_control()) {
        return Err(Unanswerable::Value { value: text.into(), place: "a script" });
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@+,".contains(&b);
    let keyword = matches!(text, "do" | "done" | "elif" | "else" | "esac" | "fi" | "if" | "in" | "then");
    if !text.is_empty() && text.bytes().all(plain) && !keyword {
        return Ok(text.into());
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A variable gets a value.
    Set(&'static str, Word),
    /// A file of the folder `shell`.
    Library(&'static str),
    /// A command that has to succeed.
    Try(Vec<Word>),
    /// The same, reading from a file.
    TryFrom(Vec<Word>, Word),
    /// A command that may fail.
    May(Vec<Word>),
    /// A call of a function of ours that reports itself what fails.
    Call(Vec<Word>),
    /// A file is written, line by line, with these mode bits.
    Write {
        /// Where.
        path: Word,
        /// Its mode bits.
        mode: u32,
        /// Its lines.
        lines: Vec<Word>,
    },
    /// Lines are added to a file.
    Append {
        /// Where.
        path: Word,
        /// The lines.
        lines: Vec<Word>,
    },
    /// A stage: reported when it begins and when it is done.
    Stage(&'static str, Vec<Statement>),
    /// A stage that was begun elsewhere is done.
    Done(&'static str),
    /// A stage begins that is ended elsewhere.
    Begin(&'static str),
    /// Only where a command succeeds.
    If(Vec<Word>, Vec<Statement>),
}

/// A command's words.
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$($crate::answer::shell::Word::from($word)),*] };
}
pub(crate) use words;

/// A script's text, of which the first line has number 1.
pub fn script(statements: &[Statement]) -> Result<String, Unanswerable> {
    let mut lines = Lines::default();
    lines.add("set -eu");
    lines.statements(statements)?;
    Ok(lines.text)
}

#[derive(Default)]
struct Lines {
    text: String,
    count: usize,
    depth: usize,
}

impl Lines {
    fn add(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.push_str(&"\t".repeat(self.depth));
        }
        self.text.push_str(line);
        self.text.push('\n');
        self.count += 1;
    }

    /// The number of the line that is added next.
    fn next(&self) -> usize {
        self.count + 1
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), Unanswerable> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Unanswerable> {
        match statement {
            Statement::Set(name, value) => self.add(&format!("{name}={}", value.written()?)),
            Statement::Library(text) => text.lines().for_each(|line| self.add(line)),
            Statement::Try(words) => self.add(&format!("lab_try {} {}", self.next(), written(words)?)),
            Statement::TryFrom(words, file) => {
                let line = format!("lab_try {} {} <{}", self.next(), written(words)?, file.written()?);
                self.add(&line);
            }
            Statement::May(words) => self.add(&format!("{} || :", written(words)?)),
            Statement::Call(words) => {
                self.add(&format!("lab_line={}", self.next() + 1));
                self.add(&written(words)?);
            }
            Statement::Write { path, mode, lines } => {
                let path = path.written()?;
                self.add(&format!("lab_line={}", self.next() + 1));
                self.content(lines, &format!(">{path}"))?;
                self.add(&format!("lab_try {} chmod {mode:o} {path}", self.next()));
            }
            Statement::Append { path, lines } => {
                self.add(&format!("lab_line={}", self.next() + 1));
                self.content(lines, &format!(">>{}", path.written()?))?;
            }
            Statement::Stage(name, body) => {
                self.add("");
                self.add(&format!("lab_begin {name}"));
                self.statements(body)?;
                self.add("lab_done");
            }
            Statement::Begin(name) => self.add(&format!("lab_begin {name}")),
            Statement::Done(name) => {
                self.add(&format!("lab_stage={name}"));
                self.add("lab_done");
            }
            Statement::If(test, body) => {
                self.add(&format!("if {}; then", written(test)?));
                self.depth += 1;
                self.statements(body)?;
                self.depth -= 1;
                self.add("fi");
            }
        }
        Ok(())
    }

    /// Lines for a file. Each is a word of its own, behind a tab, so that no value begins a line of the script.
    fn content(&mut self, lines: &[Word], to: &str) -> Result<(), Unanswerable> {
        if lines.is_empty() {
            self.add(&format!(": {to}"));
            return Ok(());
        }
        self.add(r"printf '%s\n' \");
        for (at, line) in lines.iter().enumerate() {
            let end = if at + 1 == lines.len() { to } else { r"\" };
            self.add(&format!("\t{} {end}", line.written()?));
        }
        Ok(())
    }
}

fn written(words: &[Word]) -> Result<String, Unanswerable> {
    let words: Result<Vec<_>, _> = words.iter().map(Word::written).collect();
    Ok(words?.join(" "))
}

/// A text's lines as words.
pub fn lines(text: &str) -> Vec<Word> {
    text.lines().map(Word::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written() {
        let check = |word: Word, expected: &str| assert_eq!(word.written().as_deref(), Ok(expected));
        check("/dev/sda".into(), "/dev/sda");
        check("".into(), "''");
        check("a b".into(), "'a b'");
        check("it's $HOME `x` \\".into(), r"'it'\''s $HOME `x` \'");
        check(variable("lab_disk").and("1 x"), "\"${lab_disk}\"'1 x'");
        check(output("lab_partition", 3), "\"$(lab_partition 3)\"");
        assert!(Word::from("a\nb").written().is_err() && Word::from("a\0").written().is_err());
    }

    #[test]
    fn a_line_knows_its_number() {
        let text = script(&[
            Statement::Try(words!["true"]),
            Statement::Stage("one", vec![Statement::Try(words!["false", "a b"])]),
            Statement::Write { path: "/x".into(), mode: 0o440, lines: vec!["%end".into(), "".into()] },
        ]);
        let expected = "set -eu\nlab_try 2 true\n\nlab_begin one\nlab_try 5 false 'a b'\nlab_done\nlab_line=8\nprintf '%s\\n' \\\n\
                        \t'%end' \\\n\t'' >/x\nlab_try 11 chmod 440 /x\n";
        assert_eq!(text.as_deref(), Ok(expected));
    }
}
