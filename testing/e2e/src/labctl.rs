//! labctl, as a person uses it.

use crate::program;
use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Who calls labctl.
pub struct Labctl {
    /// The file with which it finds labd.
    pub kubeconfig: PathBuf,
}

impl Labctl {
    /// What it prints, whatever becomes of it, and whether it ended well.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn try_run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new(program("labctl").expect("it is built"))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may end without having read all.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// What it prints.
    ///
    /// # Panics
    /// It does not end well.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "")
    }

    /// What it prints, given something on standard input.
    ///
    /// # Panics
    /// It does not end well.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let (well, text) = self.try_run(arguments, input);
        assert!(well, "labctl {}: {text}", arguments.join(" "));
        text
    }

    /// Asks until the answer is as it should be.
    ///
    /// # Panics
    /// It never is.
    pub fn until(
        &self,
        what: &str,
        patience: Duration,
        arguments: &[&str],
        is: impl Fn(&str) -> bool,
    ) -> String {
        let until = Instant::now() + patience;
        loop {
            let (well, found) = self.try_run(arguments, "");
            if well && is(&found) {
                return found;
            }
            assert!(Instant::now() < until, "{what} never came: {found}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}
