//! Flags and the configuration file.

use crate::daemon::{Daemon, run};
use std::fs;

#[test]
fn errors_in_the_file_name_file_line_column_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labd.toml");
    let check = |text: Option<&str>, expected: &str| {
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap_or_default(),
        }
        let output = run(&["--data-dir", "/nowhere", "--config", path.to_str().unwrap()]);
        let error = String::from_utf8(output.stderr).unwrap().replace(path.to_str().unwrap(), "FILE");
        assert_eq!((output.status.code(), error.as_str()), (Some(2), expected));
    };
    check(None, "labd: cannot read FILE: No such file or directory (os error 2)\n");
    check(
        Some("[log]\nlevl = \"info\"\n"),
        "labd: FILE is not a configuration of labd: line 2, column 1: log.levl: there is no such field; did you mean \
         `level`?\n",
    );
    check(
        Some("listen = \"0.0.0.0\"\n"),
        "labd: FILE is not a configuration of labd: line 1, column 10: listen: invalid socket address syntax\n",
    );
}

#[tokio::test]
async fn the_file_is_obeyed_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labd.toml");
    fs::write(&path, "data-dir = \"/nowhere\"\nlisten = \"192.0.2.1:1\"\n[log]\nformat = \"json\"\n")
        .unwrap();
    let daemon = Daemon::start_with(&dir.path().join("data"), &["--config", path.to_str().unwrap()]);
    let ended = daemon.stop().await;
    assert_eq!(ended.code, Some(0));
    for line in &ended.log {
        let line: lab_object::Json = serde_json::from_str(line).expect("each line of the log is JSON");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn wrong_flags_and_questions_have_their_exit_codes() {
    let check = |arguments: &[&str], code: i32, stdout: &str, stderr: &str| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(out.contains(stdout) && err.contains(stderr), "{arguments:?}\n{out}\n{err}");
    };
    check(&["version"], 0, concat!("labd ", env!("CARGO_PKG_VERSION"), "\n"), "");
    check(&["--help"], 0, "labd restore lab.backup --data-dir ./new", "");
    check(&["--lsten", "x"], 2, "", "a similar argument exists: '--listen'");
    check(&["--listen", "x"], 2, "", "invalid socket address syntax");
    check(&["--log", "loud"], 2, "", "`loud` is no log level");
}
