//! The server against clients that behave like the recorded firmware, on the loopback interface.

use super::*;
use crate::files::Content;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::Write;

#[derive(Default)]
struct Shelf {
    files: HashMap<String, Content>,
    outcomes: Mutex<Vec<(String, Outcome)>>,
    said: Mutex<Vec<(String, Bytes)>>,
}

#[async_trait::async_trait]
impl Files for Shelf {
    async fn open(&self, asked: &Asked) -> Option<Content> {
        self.files.get(&asked.path).cloned()
    }
    fn finished(&self, asked: &Asked, outcome: Outcome) {
        self.outcomes.lock().push((asked.path.clone(), outcome));
    }
    async fn take(&self, asked: &Asked, content: Bytes) -> Taken {
        self.said.lock().push((asked.path.clone(), content));
        match asked.path.as_str() {
            "log" => Taken::Done,
            "question" => Taken::Answered("{}".into()),
            "nonsense" => Taken::Invalid("stage: is no word".into()),
            _ => Taken::NotFound,
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

const LARGE: usize = 3_000_000;

async fn start(settings: Settings) -> (SocketAddr, Arc<Shelf>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let mut disk = tempfile::tempfile().expect("there is room");
    disk.write_all(&pattern(LARGE)).expect("there is room");
    let files = [
        ("disk", Content::of(disk).expect("it is a file")),
        ("memory", Content::Memory(Bytes::from(pattern(LARGE)))),
        ("empty", Content::Memory(Bytes::new())),
    ];
    let files = files.into_iter().map(|(name, content)| (name.to_owned(), content)).collect();
    let shelf = Arc::new(Shelf { files, ..Shelf::default() });
    tokio::spawn(serve(listener, shelf.clone(), settings));
    (address, shelf)
}

/// Sends a request and reads its answer: the head's first line, its headers in small letters, and the content.
async fn ask(stream: &mut TcpStream, request: &str) -> (String, HashMap<String, String>, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("there is an answer"));
    }
    let text = String::from_utf8(head).expect("it is text");
    let mut lines = text.trim_end().lines();
    let status = lines.next().expect("there is a first line").to_owned();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: HashMap<_, _> = lines.map(|line| header(line).expect("no header is empty")).collect();
    let length = if request.starts_with("HEAD") {
        0
    } else {
        // 100 and 204 have no content, and say no length.
        headers.get("content-length").map_or(0, |length| length.parse().expect("it is a number"))
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.expect("all of it comes");
    (status, headers, content)
}

#[tokio::test]
async fn as_uefi_fetches() {
    let (server, shelf) = start(Settings::default()).await;
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    for path in ["disk", "memory"] {
        let request = |method| {
            format!(
                "{method} //{path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n"
            )
        };
        let (status, headers, _) = ask(&mut stream, &request("HEAD")).await;
        assert_eq!((status.as_str(), headers["content-length"].as_str()), ("HTTP/1.1 200 OK", "3000000"));
        let (status, _, content) = ask(&mut stream, &request("GET")).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(content == pattern(LARGE));
    }
    let (_, _, content) = ask(&mut stream, "GET /empty HTTP/1.1\r\n\r\n").await;
    assert!(content.is_empty());
    // shim waits for the end of the connection.
    let (status, headers, _) = ask(&mut stream, "GET /absent HTTP/1.1\r\n\r\n").await;
    assert_eq!((status.as_str(), headers["content-length"].as_str()), ("HTTP/1.1 404 Not Found", "0"));
    assert_eq!(headers["connection"], "close");
    assert_eq!(stream.read(&mut [0; 10]).await.expect("it is closed in order"), 0);
    let outcomes = shelf.outcomes.lock().clone();
    let done = Outcome::Done { bytes: LARGE as u64 };
    let expected = [
        ("disk", Outcome::SizeAsked),
        ("disk", done),
        ("memory", Outcome::SizeAsked),
        ("memory", done),
        ("empty", Outcome::Done { bytes: 0 }),
        ("absent", Outcome::NotFound),
    ];
    assert_eq!(outcomes, expected.map(|(path, outcome)| (path.to_owned(), outcome)));
}

#[tokio::test]
async fn parts_and_refusals() {
    let (server, _) = start(Settings::default()).await;
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    for path in ["disk", "memory"] {
        let (status, headers, content) =
            ask(&mut stream, &format!("GET /{path} HTTP/1.1\r\nRange: bytes=10-19\r\n\r\n")).await;
        assert_eq!(
            (status.as_str(), headers["content-range"].as_str()),
            ("HTTP/1.1 206 Partial Content", "bytes 10-19/3000000")
        );
        assert_eq!(content, pattern(20)[10..]);
        let (status, _, _) =
            ask(&mut stream, &format!("GET /{path} HTTP/1.1\r\nRange: bytes=3000000-\r\n\r\n")).await;
        assert_eq!(status, "HTTP/1.1 416 Range Not Satisfiable");
    }
    let (status, ..) = ask(&mut stream, "GET /../etc/passwd HTTP/1.1\r\n\r\n").await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    for (request, refusal) in [
        ("PUT /disk HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("POST /log HTTP/1.1\r\n\r\n", "HTTP/1.1 411 Length Required"),
    ] {
        let mut stream = TcpStream::connect(server).await.expect("it listens");
        let (status, headers, _) = ask(&mut stream, request).await;
        assert_eq!((status.as_str(), headers["connection"].as_str()), (refusal, "close"));
        assert_eq!(stream.read(&mut [0; 10]).await.expect("it is closed in order"), 0);
    }
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    let (status, ..) = ask(&mut stream, &format!("GET /{}", "a".repeat(LARGEST_HEAD))).await;
    assert_eq!(status, "HTTP/1.1 431 Request Header Fields Too Large");
}

/// Clients that send a byte now and then, or take nothing of what they asked for, lose their connection; others are served.
#[tokio::test]
async fn slow_clients() {
    let settings = Settings {
        request_timeout: Duration::from_millis(150),
        send_timeout: Duration::from_millis(150),
        connections_per_client: 20,
        ..Settings::default()
    };
    let (server, shelf) = start(settings).await;
    let mut slow = Vec::new();
    for at in 0..10 {
        let mut stream = TcpStream::connect(server).await.expect("it listens");
        let request: &[u8] =
            if at % 2 == 0 { b"GET /di" } else { b"GET /memory HTTP/1.1\r\n\r\nGET /disk HTTP/1.1\r\n\r\n" };
        stream.write_all(request).await.expect("it is sent");
        slow.push(stream);
    }
    let mut quick = TcpStream::connect(server).await.expect("it listens");
    assert!(ask(&mut quick, "GET /disk HTTP/1.1\r\n\r\n").await.2 == pattern(LARGE));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut answer = [0; 64];
    let read = slow[0].read(&mut answer).await.expect("it was answered");
    assert!(answer[..read].starts_with(b"HTTP/1.1 408"), "{answer:?}");
    let outcomes = shelf.outcomes.lock();
    let given_up = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::TimedOut { .. })).count();
    assert!(given_up >= 5, "{outcomes:?}");
}

#[tokio::test]
async fn what_machines_say_is_taken() {
    let (address, shelf) = start(Settings::default()).await;
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // Several on one connection, the last one asking whether it may go on.
    let post = |path: &str, more: &str, content: &str| {
        format!("POST /{path} HTTP/1.1\r\n{more}Content-Length: {}\r\n\r\n{content}", content.len())
    };
    let (status, headers, _) = ask(&mut stream, &post("log", "", "one\ntwo")).await;
    assert_eq!((status.as_str(), headers.get("content-length")), ("HTTP/1.1 204 No Content", None));
    assert_eq!(ask(&mut stream, &post("other", "", "")).await.0, "HTTP/1.1 404 Not Found");
    let (status, headers, content) = ask(&mut stream, &post("question", "", "?")).await;
    assert_eq!((status.as_str(), &content[..]), ("HTTP/1.1 200 OK", &b"{}"[..]));
    assert_eq!(headers.get("content-type").map(String::as_str), Some("application/json"));
    let (status, _, content) = ask(&mut stream, &post("nonsense", "", "?")).await;
    assert_eq!((status.as_str(), &content[..]), ("HTTP/1.1 400 Bad Request", &b"stage: is no word"[..]));
    let expecting = "POST /log HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(ask(&mut stream, expecting).await.0, "HTTP/1.1 100 Continue");
    assert_eq!(ask(&mut stream, "three").await.0, "HTTP/1.1 204 No Content");
    let large = "POST /log HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(ask(&mut stream, large).await.0, "HTTP/1.1 413 Content Too Large");
    let said: Vec<_> =
        shelf.said.lock().iter().map(|(path, content)| (path.clone(), content.to_vec())).collect();
    let expected =
        [("log", "one\ntwo"), ("other", ""), ("question", "?"), ("nonsense", "?"), ("log", "three")];
    assert_eq!(said, expected.map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec())));
}

/// A file that is still coming is sent as it comes; where the rest never does, the connection ends before the file.
#[tokio::test]
async fn a_file_that_is_still_coming() {
    for comes in [true, false] {
        let mut disk = tempfile::tempfile().expect("there is room");
        disk.write_all(&pattern(LARGE)).expect("there is room");
        let begun = crate::files::Arrived { bytes: 1_000_000, size: Some(LARGE as u64) };
        let (tell, arrived) = tokio::sync::watch::channel(begun);
        let content = Content::Arriving { file: Arc::new(disk), size: LARGE as u64, arrived };
        let shelf = Arc::new(Shelf { files: [("image".to_owned(), content)].into(), ..Shelf::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        tokio::spawn(serve(listener, shelf, Settings::default()));
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /image HTTP/1.1\r\nConnection: close\r\n\r\n").await.expect("it is sent");
        let mut first = vec![0; 900_000];
        stream.read_exact(&mut first).await.expect("what is there comes at once");
        if comes {
            tell.send_replace(crate::files::Arrived { bytes: LARGE as u64, size: Some(LARGE as u64) });
        }
        drop(tell);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let all = [first, rest].concat();
        assert_eq!(all.ends_with(&pattern(LARGE)), comes, "{} bytes", all.len());
    }
}
