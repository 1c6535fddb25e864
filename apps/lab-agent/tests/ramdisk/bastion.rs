//! A bastion that knows one machine: makes its plan, approves it, and serves the image.

use crate::machine;
use lab_install::observed::Observed;
use lab_kinds::Define;
use lab_kinds::metal::disk_layout::DiskLayout;
use lab_kinds::metal::operating_system::{OperatingSystem, Purpose};
use lab_kinds::metal::server::{Admin, Server};
use lab_wire::site::{DISCOVERY, Discovery, Installation, ORDERS, Orders, PROGRESS, Progress};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

const TOKEN: &str = "t0ken";

#[derive(Default)]
struct State {
    installs: bool,
    reprovision: i64,
    discovery: Option<Discovery>,
    finished: bool,
}

/// It listens on a free port of this machine, which the virtual one reaches as 10.0.2.2.
pub struct Bastion {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Bastion {
    pub fn start(installs: bool) -> Self {
        let state = Arc::new(Mutex::new(State { installs, ..State::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { state, port }
    }

    pub fn kernel_arguments(&self, mode: &str) -> String {
        let (port, mac) = (self.port, machine::MAC.replace(':', "-"));
        format!("lab.site=http://10.0.2.2:{port} lab.mode={mode} lab.token={TOKEN} BOOTIF=01-{mac}")
    }

    pub fn has_reported(&self) -> bool {
        self.state.lock().unwrap().discovery.is_some()
    }

    pub fn reported(&self) -> Discovery {
        self.state.lock().unwrap().discovery.clone().unwrap()
    }

    pub fn has_finished(&self) -> bool {
        self.state.lock().unwrap().finished
    }

    pub fn install_again(&self) {
        let mut state = self.state.lock().unwrap();
        (state.finished, state.reprovision) = (false, state.reprovision + 1);
    }
}

fn image() -> PathBuf {
    machine::artefacts().join("images/debian-13/root.tar.zst")
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    loop {
        let Some((line, body)) = request(&mut reader) else { return };
        let mut writer = stream;
        let path = line.split(' ').nth(1).unwrap_or_default();
        // Whoever has no token is not answered.
        let answer = match path.strip_suffix(TOKEN).unwrap_or(path) {
            DISCOVERY => {
                let found: Discovery = serde_json::from_slice(&body).unwrap();
                let mut state = state.lock().unwrap();
                let orders = orders(&state, &found);
                state.discovery = Some(found);
                serde_json::to_vec(&orders).unwrap()
            }
            ORDERS => {
                serde_json::to_vec(&Orders::Wait { seconds: 1, why: "nothing is to be done".into() }).unwrap()
            }
            PROGRESS => {
                let progress: Progress = serde_json::from_slice(&body).unwrap();
                println!(
                    "{:3} % {} {:?} {:?}",
                    progress.percent, progress.stage.name, progress.stage.outcome, progress.stage.message
                );
                state.lock().unwrap().finished |= progress.finished;
                Vec::new()
            }
            "/image" => {
                let mut file = File::open(image()).unwrap();
                let length = file.metadata().unwrap().len();
                write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").unwrap();
                // The machine may go away in between.
                let _ = io::copy(&mut file, &mut writer);
                continue;
            }
            other => panic!("{other} was asked for"),
        };
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len()).unwrap();
        writer.write_all(&answer).unwrap();
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut first, mut headers) = (String::new(), String::new());
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        headers.push_str(&line.to_lowercase());
    }
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

fn orders(state: &State, found: &Discovery) -> Orders {
    if !state.installs {
        return Orders::Wait { seconds: 1, why: "nothing is to be done".into() };
    }
    if state.finished {
        return Orders::PowerOff;
    }
    let text = fs::read(machine::artefacts().join("images/debian-13/operating-system.json")).unwrap();
    let mut operating_system: OperatingSystem = serde_json::from_slice(&text).unwrap();
    operating_system.spec.kernel_arguments = vec!["console=ttyS0".into()];
    assert!(operating_system.artefact(Purpose::Image).is_some());
    let mut server = Server::example();
    server.spec.hostname = Some("db-1".into());
    server.spec.uuid = None;
    server.spec.role = None;
    server.spec.admin = Admin { user: Some("ops".into()), authorized_keys: vec![machine::public_key()] };
    server.status = Default::default();
    server.status.uuid.clone_from(&found.uuid);
    let install = server.spec.install.as_mut().unwrap();
    install.disk_selector = Default::default();
    install.kernel_arguments = Vec::new();
    install.reprovision = Some(state.reprovision);
    let firmware = found.hardware.firmware.kind.unwrap();
    let observed = Observed { disks: &found.disks, volume_groups: &found.volume_groups, firmware };
    let plan = lab_install::plan::plan(&server, &operating_system, &DiskLayout::labvg(), &observed).unwrap();
    println!("{}", lab_install::describe::text(&plan));
    server.spec.install.as_mut().unwrap().approve.clone_from(&plan.hash);
    Orders::Install(Box::new(Installation {
        server,
        operating_system,
        plan,
        image: "/image".into(),
        agent: None,
    }))
}
