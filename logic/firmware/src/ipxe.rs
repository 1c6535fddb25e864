//! iPXE's scripts, as far as boot servers write them: the commands that fetch and start something, and those that decide what comes next.

use std::collections::BTreeMap;
use std::time::Duration;

/// After so many commands a script is taken to run in a circle.
const COMMANDS: usize = 10_000;

/// A script that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its lines, each a chain of commands with what stands before them.
    lines: Vec<Vec<(Joint, Vec<String>)>>,
    line: usize,
    part: usize,
    /// Whether the last command succeeded.
    succeeded: bool,
    variables: BTreeMap<String, String>,
    commands: usize,
    pub kernel: Option<(String, Vec<String>)>,
    pub initrds: Vec<String>,
}

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    Always,
    /// After `&&`.
    Succeeded,
    /// After `||`.
    Failed,
}

/// What a script wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wants {
    /// A file, of which it is told by [`Script::fetched`] whether it came.
    File {
        url: String,
        chained: bool,
    },
    Sleep(Duration),
    /// To start the kernel that it has.
    Boot,
    LocalDisk,
    /// To leave iPXE, so that firmware tries its next entry.
    Exit,
    /// It ended for a reason that is no good one.
    Failed(String),
}

impl Script {
    /// Reads a script; nothing for what iPXE would not take for one.
    pub fn read(text: &str) -> Option<Self> {
        let body = text.strip_prefix("#!ipxe")?;
        Some(Self {
            lines: body.lines().map(parts).collect(),
            line: 0,
            part: 0,
            succeeded: true,
            variables: BTreeMap::new(),
            commands: 0,
            kernel: None,
            initrds: Vec::new(),
        })
    }

    /// Says whether the file came that was wanted last.
    pub fn fetched(&mut self, came: bool) {
        self.succeeded = came;
    }

    /// Runs on to the next thing that it wants from outside.
    pub fn run(&mut self) -> Wants {
        loop {
            let Some(line) = self.lines.get(self.line) else { return Wants::Exit };
            let Some((joint, words)) = line.get(self.part).cloned() else {
                // A line whose end failed ends the script.
                if !self.succeeded {
                    return Wants::Failed(format!("line {} of its script failed", self.line + 1));
                }
                (self.line, self.part) = (self.line + 1, 0);
                continue;
            };
            self.part += 1;
            let runs = match joint {
                Joint::Always => true,
                Joint::Succeeded => self.succeeded,
                Joint::Failed => !self.succeeded,
            };
            self.commands += 1;
            if self.commands > COMMANDS {
                return Wants::Failed("its script runs in a circle".into());
            }
            if runs && let Some(wants) = self.command(&words) {
                return wants;
            }
        }
    }

    fn command(&mut self, words: &[String]) -> Option<Wants> {
        let words: Vec<String> = words.iter().map(|word| self.expanded(word)).collect();
        let mut rest = words.iter().map(String::as_str);
        let command = rest.next().unwrap_or_default();
        let plain: Vec<&str> = without_flags(rest);
        self.succeeded = true;
        match (command, plain.as_slice()) {
            ("kernel", [url, arguments @ ..]) => {
                self.kernel = Some(((*url).into(), arguments.iter().map(|&word| word.into()).collect()));
                return Some(Wants::File { url: (*url).into(), chained: false });
            }
            ("initrd" | "module", [url, ..]) => {
                self.initrds.push((*url).into());
                return Some(Wants::File { url: (*url).into(), chained: false });
            }
            ("chain", [url, ..]) => return Some(Wants::File { url: (*url).into(), chained: true }),
            ("imgfree", _) => (self.kernel, self.initrds) = (None, Vec::new()),
            ("boot", _) if self.kernel.is_some() => return Some(Wants::Boot),
            ("boot", _) => self.succeeded = false,
            ("sanboot", _) => return Some(Wants::LocalDisk),
            ("exit", _) => return Some(Wants::Exit),
            ("sleep", [seconds, ..]) => {
                return Some(Wants::Sleep(Duration::from_secs(seconds.parse().unwrap_or(0))));
            }
            ("set", [name, value @ ..]) => {
                self.variables.insert(name.split(':').next().unwrap_or(name).into(), value.join(" "));
            }
            ("iseq", [one, other]) => self.succeeded = one == other,
            ("iseq", _) => self.succeeded = false,
            ("goto", [label]) => {
                let wanted = format!(":{label}");
                let at = self
                    .lines
                    .iter()
                    .position(|line| matches!(line.as_slice(), [(_, words)] if *words == [wanted.clone()]));
                match at {
                    Some(at) => (self.line, self.part) = (at, 0),
                    None => self.succeeded = false,
                }
            }
            // What only shows something, or configures anew what is configured.
            _ => {}
        }
        None
    }

    fn expanded(&self, word: &str) -> String {
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            text += before;
            text += self.variables.get(name.split(':').next().unwrap_or(name)).map_or("", String::as_str);
            rest = behind;
        }
        text + rest
    }
}

/// Words without flags; `--name` takes a word with it.
fn without_flags<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut plain = Vec::new();
    let mut skip = false;
    for word in words {
        if std::mem::take(&mut skip) {
            continue;
        }
        // Behind the URL everything is the kernel's.
        if plain.is_empty() && word.starts_with('-') {
            skip = matches!(word, "--name" | "-n" | "--drive" | "--timeout" | "-t");
            continue;
        }
        plain.push(word);
    }
    plain
}

fn parts(line: &str) -> Vec<(Joint, Vec<String>)> {
    let mut parts = vec![(Joint::Always, Vec::new())];
    for word in line.split_whitespace() {
        match word {
            "||" => parts.push((Joint::Failed, Vec::new())),
            "&&" => parts.push((Joint::Succeeded, Vec::new())),
            _ => parts.last_mut().expect("there is always one").1.push(word.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a script in which only some files come; what it wanted.
    fn wanted(text: &str, comes: impl Fn(&str) -> bool) -> Vec<String> {
        let mut script = Script::read(text).expect("it is a script");
        let mut all = Vec::new();
        loop {
            match script.run() {
                Wants::File { url, .. } => {
                    script.fetched(comes(&url));
                    all.push(url);
                }
                Wants::Sleep(time) => all.push(format!("sleep {}", time.as_secs())),
                end => {
                    all.push(format!("{end:?}"));
                    return all;
                }
            }
        }
    }

    #[test]
    fn three_tries() {
        let text = "#!ipxe\nset tries:string x\n:start\nkernel http://a/k x=1 || goto again\n\
                    initrd --name i http://a/i || goto again\nboot || goto again\n:again\niseq ${tries} xxx && goto failed ||\n\
                    set tries:string ${tries}x\nimgfree ||\nsleep 5 ||\ngoto start\n:failed\nexit 1\n";
        assert_eq!(wanted(text, |_| true), ["http://a/k", "http://a/i", "Boot"]);
        let all = wanted(text, |url| url != "http://a/i");
        let once = ["http://a/k", "http://a/i", "sleep 5"];
        assert_eq!(all, [&once[..], &once, &once[..2], &["Exit"]].concat());
    }

    #[test]
    fn ends() {
        let check = |text: &str, expected: &str| {
            assert_eq!(wanted(text, |_| false).last().map(String::as_str), Some(expected), "{text}");
        };
        check("#!ipxe\nexit 0\n", "Exit");
        check("#!ipxe\necho done\n", "Exit");
        check("#!ipxe\nsanboot --no-describe --drive 0x80 || exit 1\n", "LocalDisk");
        check("#!ipxe\nkernel http://a/k\nboot\n", "Failed(\"line 2 of its script failed\")");
        check("#!ipxe\n:a\ngoto a\n", "Failed(\"its script runs in a circle\")");
        assert_eq!(Script::read("<html>"), None);
    }

    proptest! {
        #[test]
        fn every_script_ends(text in "(set |goto |iseq |a|:a|\\|\\||&&|\\$\\{a\\}| |\n){0,60}") {
            wanted(&format!("#!ipxe{text}"), |_| false);
        }
    }
}
