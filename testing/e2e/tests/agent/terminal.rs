//! Programs that talk to a terminal.

use crate::lab::Lab;
use std::{fs, io::Write, process::Stdio, thread, time::Duration};

#[test]
fn an_editor_in_a_terminal() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    let file = lab.folder.path().join("edited");
    fs::write(&file, "one\ntwo\n").unwrap();
    let path = file.to_str().unwrap();
    let mut vi = lab.labctl(&["exec", "-it", "m1", "--", "vi", path]);
    let mut vi = vi.env("TERM", "vt100").stdin(Stdio::piped()).spawn().unwrap();
    // To the last line, a line below it, out of there, written, gone.
    vi.stdin.take().unwrap().write_all(b"Gothree\x1b:wq\r").unwrap();
    let output = vi.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown:?} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\nthree\n", "{shown:?}");
    assert!(shown.contains("\x1b["), "it draws on the screen: {shown:?}");
}

#[test]
fn a_shell_in_a_terminal() {
    let lab = Lab::new();
    let _agent = lab.machine("m1");
    let mut shell = lab.labctl(&["exec", "-it", "m1", "--", "sh", "-i"]);
    let mut shell = shell.stdin(Stdio::piped()).spawn().unwrap();
    let mut keys = shell.stdin.take().unwrap();
    keys.write_all(b"sleep 100\r").unwrap();
    thread::sleep(Duration::from_secs(2));
    // Ctrl-C is the terminal's to understand: it ends the command and not the shell.
    keys.write_all(b"\x03").unwrap();
    thread::sleep(Duration::from_millis(500));
    keys.write_all(b"echo code $?; exit 5\r").unwrap();
    let output = shell.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("code 130\r\n"), "{shown:?}");
    assert_eq!(output.status.code(), Some(5), "{shown:?}");
}
