//! Against a small server that misbehaves as mirrors do.

use lab_mirror::{Error, Mirror};
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers each path with the bytes it stands for, one request a connection. What was asked comes after the path, for ranges.
async fn serve(answers: HashMap<&'static str, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("there is a request");
            let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let path = text.split(' ').nth(1).expect("there is a path").to_owned();
            let range = text.lines().find_map(|line| line.strip_prefix("range: bytes="));
            let key = range.map_or(path.clone(), |range| format!("{path} {range}"));
            let answer = answers.get(key.as_str()).or(answers.get(path.as_str()));
            let answer =
                answer.cloned().unwrap_or("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into());
            stream.write_all(answer.as_bytes()).await.expect("it is sent");
        }
    });
    format!("http://{address}")
}

/// What is fetched: where it begins, how long the whole is, and the text.
async fn fetch(url: &str, from: u64) -> Result<(u64, Option<u64>, String), Error> {
    let mut download = Mirror::new().fetch(url, from).await?;
    let mut bytes = Vec::new();
    while let Some(more) = download.next().await? {
        bytes.extend_from_slice(&more);
    }
    Ok((download.from, download.total, String::from_utf8(bytes).expect("it is text")))
}

#[tokio::test]
async fn mirrors() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789".to_owned();
    let part =
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789";
    let beyond = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123";
    let base = serve(HashMap::from([
        ("/file", whole.clone()),
        ("/parts 4-", part.into()),
        ("/other-part 5-", part.into()),
        ("/small", whole.clone()),
        ("/small 99-", beyond.into()),
        ("/moved", "HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n".into()),
        ("/round", "HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n".into()),
        ("/cut", cut.into()),
    ]))
    .await;
    let check = async |path: &str, from, expected: (u64, &str)| {
        let found = fetch(&format!("{base}{path}"), from).await.expect("it is fetched");
        assert_eq!(found, (expected.0, Some(10), expected.1.to_owned()), "{path}");
    };
    check("/file", 0, (0, "0123456789")).await;
    check("/parts", 4, (4, "456789")).await;
    // A mirror that knows no ranges sends all of it; one that has less by now as well.
    check("/file", 4, (0, "0123456789")).await;
    check("/small", 99, (0, "0123456789")).await;
    check("/moved", 0, (0, "0123456789")).await;
    let fails = async |path: &str, from, expected: &str| {
        let error = fetch(&format!("{base}{path}"), from).await.expect_err("it fails").to_string();
        assert!(error.contains(expected), "{error}");
    };
    fails("/none", 0, "the mirror answered 404").await;
    fails("/other-part", 5, "another part than it was asked for").await;
    fails("/round", 0, "redirected too often").await;
    fails("/cut", 0, "cannot fetch").await;
    let error = fetch("ftp://x/y", 0).await.expect_err("it fails").to_string();
    assert_eq!(error, "\"ftp://x/y\" is no URL of a file: it is none of http, https and file");
}

#[tokio::test]
async fn local_folders() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("file");
    std::fs::write(&path, "0123456789").expect("there is room");
    let url = format!("file://{}", path.display());
    for (from, expected) in
        [(0, (0, "0123456789")), (4, (4, "456789")), (10, (10, "")), (11, (0, "0123456789"))]
    {
        let found = fetch(&url, from).await.expect("it is read");
        assert_eq!(found, (expected.0, Some(10), expected.1.to_owned()));
    }
    let error = fetch("file:///nowhere", 0).await.expect_err("it fails").to_string();
    assert_eq!(error, "cannot read /nowhere");
}
