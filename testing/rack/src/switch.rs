//! The wire between machines in QEMU: an Ethernet switch in user space. Machines come by a socket (`-netdev stream`), and the boot server by
//! a tap interface, which a namespace of one's own needs no root for.

use crate::faults::{Faults, seeded};
use anyhow::Context;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tun::Tun;

/// The longest frame that is passed on, in bytes.
const LONGEST: usize = 65_536;
/// How many frames wait at a port before further ones are lost, as in a real switch.
const QUEUE: usize = 1024;

/// A frame that came in at a port.
struct Frame {
    port: usize,
    bytes: Vec<u8>,
}

/// A port that was connected, or left.
enum Event {
    Connected(UnixStream),
    Came(Frame),
    Left(usize),
}

/// A running switch; it ends when dropped.
pub struct Switch {
    socket: PathBuf,
    _tasks: JoinSet<()>,
}

impl Switch {
    /// Opens a switch whose socket lies in a folder, and makes a tap interface of this name as its first port.
    pub fn open(folder: &Path, tap: &str, faults: Faults) -> anyhow::Result<Self> {
        Self::start(folder, tap, faults, None)
    }

    /// The same; every frame is written to `frames.pcap` beside the socket.
    pub fn recording(folder: &Path, tap: &str, faults: Faults) -> anyhow::Result<Self> {
        Self::start(folder, tap, faults, Some(Capture::create(&folder.join("frames.pcap"))?))
    }

    fn start(folder: &Path, tap: &str, faults: Faults, capture: Option<Capture>) -> anyhow::Result<Self> {
        let tun = Tun::builder().name(tap).tap().up().build();
        let tun = tun.with_context(|| {
            format!("making the tap interface {tap}; /dev/net/tun has to be open to this user")
        })?;
        let tun = Arc::new(tun.into_iter().next().context("no tap interface was made")?);
        let socket = folder.join("switch.socket");
        let listener = UnixListener::bind(&socket).context("opening the switch's socket")?;
        let (tell, told) = mpsc::channel(QUEUE);
        let (to_tap, mut from_switch) = mpsc::channel::<Vec<u8>>(QUEUE);
        let mut tasks = JoinSet::new();
        let (reader, heard) = (tun.clone(), tell.clone());
        tasks.spawn(async move {
            let mut buffer = vec![0; LONGEST];
            while let Ok(length) = reader.recv(&mut buffer).await {
                let bytes = buffer[..length].to_vec();
                if heard.send(Event::Came(Frame { port: 0, bytes })).await.is_err() {
                    break;
                }
            }
        });
        tasks.spawn(async move {
            while let Some(frame) = from_switch.recv().await {
                // A tap that is down loses what it is sent.
                let _ = tun.send(&frame).await;
            }
        });
        let connected = tell.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if connected.send(Event::Connected(stream)).await.is_err() {
                    break;
                }
            }
        });
        let ports = HashMap::from([(0, to_tap)]);
        let inside =
            Inside { ports, learnt: HashMap::new(), next: 1, faults, random: seeded(1), capture, tell };
        tasks.spawn(inside.run(told));
        Ok(Self { socket, _tasks: tasks })
    }

    /// Where machines plug in.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

struct Inside {
    ports: HashMap<usize, mpsc::Sender<Vec<u8>>>,
    /// At which port a hardware address was seen last.
    learnt: HashMap<[u8; 6], usize>,
    next: usize,
    faults: Faults,
    random: rand::rngs::StdRng,
    capture: Option<Capture>,
    tell: mpsc::Sender<Event>,
}

impl Inside {
    async fn run(mut self, mut told: mpsc::Receiver<Event>) {
        let mut machines = JoinSet::new();
        while let Some(event) = told.recv().await {
            match event {
                Event::Connected(stream) => self.connect(stream, &mut machines),
                Event::Left(port) => drop(self.ports.remove(&port)),
                Event::Came(frame) => self.pass(frame),
            }
        }
    }

    fn connect(&mut self, stream: UnixStream, machines: &mut JoinSet<()>) {
        let (port, tell) = (self.next, self.tell.clone());
        self.next += 1;
        let (to_machine, from_switch) = mpsc::channel(QUEUE);
        self.ports.insert(port, to_machine);
        let (reading, writing) = stream.into_split();
        machines.spawn(write(writing, from_switch));
        machines.spawn(async move {
            read(reading, port, &tell).await;
            // The switch may be gone as well.
            let _ = tell.send(Event::Left(port)).await;
        });
    }

    /// Passes a frame on: to the port where its receiver was seen, or to all.
    fn pass(&mut self, frame: Frame) {
        let (Some(to), Some(from)) = (address(&frame.bytes, 0), address(&frame.bytes, 6)) else { return };
        if let Some(capture) = &mut self.capture {
            capture.add(&frame.bytes);
        }
        self.learnt.insert(from, frame.port);
        let known = self.learnt.get(&to).filter(|_| to[0] & 1 == 0).copied();
        let copies = self.faults.fate(&mut self.random, Duration::from_millis(2500));
        for (port, sender) in &self.ports {
            if *port == frame.port || known.is_some_and(|known| known != *port) {
                continue;
            }
            for delay in &copies {
                let (sender, bytes, delay) = (sender.clone(), frame.bytes.clone(), *delay);
                if delay.is_zero() {
                    // A full port loses frames.
                    let _ = sender.try_send(bytes);
                    continue;
                }
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = sender.try_send(bytes);
                });
            }
        }
    }
}

fn address(frame: &[u8], at: usize) -> Option<[u8; 6]> {
    frame.get(at..at + 6)?.try_into().ok()
}

/// Reads a machine's frames, each with its length before it in 4 bytes.
async fn read(mut stream: tokio::net::unix::OwnedReadHalf, port: usize, tell: &mpsc::Sender<Event>) {
    while let Ok(length) = stream.read_u32().await {
        let mut bytes = vec![0; (length as usize).min(LONGEST)];
        let came = stream.read_exact(&mut bytes).await;
        if came.is_err() || tell.send(Event::Came(Frame { port, bytes })).await.is_err() {
            return;
        }
    }
}

async fn write(mut stream: tokio::net::unix::OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend(frame);
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// A file of frames that Wireshark reads (pcap 2.4, microseconds, Ethernet).
struct Capture(std::fs::File);

impl Capture {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = std::fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_536, 1];
        let head: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        file.write_all(&head).context("writing frames")?;
        Ok(Self(file))
    }

    fn add(&mut self, frame: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Content of files says nothing that its beginning does not.
        let kept = frame.len().min(1600);
        let words = [now.as_secs() as u32, now.subsec_micros(), kept as u32, frame.len() as u32];
        let mut record: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        record.extend(&frame[..kept]);
        // At once, so that it can be read while a machine hangs. A full disk ends the recording and not the boot.
        let _ = self.0.write_all(&record);
    }
}
