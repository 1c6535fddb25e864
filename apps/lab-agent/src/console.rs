//! What the machine says: on its console, and in its log at the bastion.

use crate::bastion::Bastion;
use std::{
    fs, io,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How many lines wait for a bastion that is away. Further ones are on the console only.
const WAITING: usize = 1000;
/// How often what waits is sent.
const OFTEN: Duration = Duration::from_millis(500);

static TO_BASTION: OnceLock<SyncSender<String>> = OnceLock::new();

/// A line, or several: on the console only, with the seconds since the kernel started.
pub fn show(text: &str) {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split('.').next().unwrap_or_default().to_owned();
    for line in text.lines() {
        println!("lab-agent [{seconds:>4}] {line}");
    }
}

/// The same, and in the machine's log.
pub fn say(text: &str) {
    show(text);
    for line in text.lines() {
        if let Some(bastion) = TO_BASTION.get() {
            // Where too many wait, the console has to do.
            let _ = bastion.try_send(line.trim_end().to_owned());
        }
    }
}

/// From now on, what is said is sent to the bastion as well.
pub fn tell(bastion: Bastion) {
    let (sender, lines) = sync_channel(WAITING);
    if TO_BASTION.set(sender).is_ok() {
        thread::spawn(move || send(&bastion, &lines));
    }
}

fn send(bastion: &Bastion, lines: &Receiver<String>) {
    while let Ok(first) = lines.recv() {
        thread::sleep(OFTEN);
        let rest = lines.try_iter().take(WAITING);
        let text: String = std::iter::once(first).chain(rest).map(|line| line + "\n").collect();
        // Whatever was wrong with them, they stand on the console; a bastion that is away comes back.
        for _ in 0..60 {
            if bastion.log(&text).is_ok() {
                break;
            }
            thread::sleep(Duration::from_secs(5));
        }
    }
}

/// Lines of the program's own log, which are said as all others are.
#[derive(Debug, Clone, Copy)]
pub struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
