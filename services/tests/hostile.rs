//! Names and headers that nobody sends by mistake: each is refused or without effect, and nothing of ours is told.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use kiln::dev::world::Options;

use crate::stage::wav;
use crate::world::TestWorld;

const JOB: &str = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";

/// What comes back until the connection is closed; nothing, if it is closed without an answer.
async fn send(address: &str, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    // Who is refused early may find the connection closed while he still sends.
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(25), socket.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "no end: {}", String::from_utf8_lossy(&request[..request.len().min(200)]));
    String::from_utf8_lossy(&answer).into_owned()
}

/// 0 for no answer.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn request(line: &str, head: &[u8], body: &[u8]) -> Vec<u8> {
    let start = format!("{line} HTTP/1.1\r\nHost: kiln\r\nConnection: close\r\n");
    [start.as_bytes(), head, b"\r\n", body].concat()
}

/// Good audio under this part header.
fn upload(more: &str, disposition: &[u8]) -> Vec<u8> {
    let start = b"--b\r\nContent-Disposition: form-data; name=\"audio\"".as_slice();
    let body = [start, disposition, b"\r\n\r\n", &wav(), b"\r\n--b--\r\n"].concat();
    let head = format!("{more}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n", body.len());
    request("POST /api/render", head.as_bytes(), &body)
}

fn file_names() -> Vec<Vec<u8>> {
    let long = "a".repeat(4096);
    let names: [&[u8]; 18] = [
        b"../../etc/passwd",
        b"..\\..\\boot.ini",
        b"/etc/shadow",
        b"a\0b.wav",
        b"*",
        b">",
        b"render.*.completed",
        b"a\r\nX-Evil: 1",
        b"a\nX-Evil: 1",
        b"%00%0d%0aX-Evil:%201",
        b"$(id).wav",
        b"-rf",
        b"<script>alert(1)</script>",
        b"\xff\xfe.wav",
        b"\xe2\x80\xaegnp.wav",
        b"a\";name=\"request",
        b"",
        long.as_bytes(),
    ];
    names.iter().map(|name| upload("", &[b"; filename=\"", *name, b"\""].concat())).collect()
}

fn idempotency_keys() -> Vec<Vec<u8>> {
    let long = "k".repeat(256);
    let keys = ["", " ", "*", ">", "render.>", "../..", "a\tb", "\u{fc}", "\u{202e}", "a, b", &long];
    keys.iter().map(|key| upload(&format!("Idempotency-Key: {key}\r\n"), b"")).collect()
}

fn paths() -> Vec<Vec<u8>> {
    let long = "a".repeat(4096);
    let paths = [
        "/api/render/../../etc/passwd",
        "/api/render/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/render/*",
        "/api/render/>",
        "/api/render/%00",
        "/api/render/%ff%fe",
        "/api/render/0193A5C0-7C1E-7B3A-9D52-1F0C8A7BE001",
        "/api/render//events",
        "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001.completed/events",
        "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001%0d%0aX-Evil:%201",
        "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/",
        "//api/render/x",
        "http://evil.example/api/render/x",
        "/.git/config",
        "/docs/../metrics/",
        &long,
    ];
    paths.iter().map(|path| request(&format!("GET {path}"), b"", b"")).collect()
}

fn heads() -> Vec<Vec<u8>> {
    let poll = format!("GET /api/render/{JOB}");
    let huge = format!("X-Long: {}\r\n", "x".repeat(70_000));
    let many = (0..150).map(|n| format!("X-{n}: 1")).collect::<Vec<_>>().join("\r\n") + "\r\n";
    let key = format!("Authorization: Bearer {}\r\n", "k".repeat(8000));
    let boundary = format!("Content-Type: multipart/form-data; boundary={}\r\nContent-Length: 2\r\n", "b".repeat(5000));
    let json = "Content-Type: application/json\r\n";
    let bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".repeat(10);
    vec![
        request(&poll, huge.as_bytes(), b""),
        request(&poll, many.as_bytes(), b""),
        request(&poll, key.as_bytes(), b""),
        request(&poll, b"X-Nul: a\0b\r\n", b""),
        request(&poll, b"X-Folded: a\r\n b\r\n", b""),
        request(&poll, b"Host: other\r\n", b""),
        request(&poll, b"Accept: */*;q=NaN\r\nRange: bytes=9-0\r\nIf-None-Match: \"\r\n", b""),
        request(&poll, b"Content-Length: 5\r\n", b"hello"),
        request("POST /api/render", b"Content-Length: -1\r\n", b""),
        request("POST /api/render", b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"),
        request(
            "POST /api/render",
            b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ),
        request("POST /api/render", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        request(
            "POST /api/uploads",
            format!("{json}Transfer-Encoding: chunked\r\n").as_bytes(),
            b"ffffffffffffffff\r\nx",
        ),
        request("POST /api/uploads", format!("{json}Expect: nonsense\r\nContent-Length: 2\r\n").as_bytes(), b"{}"),
        request("POST /api/uploads", format!("{json}Content-Length: 2000\r\n").as_bytes(), "[".repeat(2000).as_bytes()),
        request("POST /api/render", b"Content-Type: multipart/form-data\r\nContent-Length: 2\r\n", b"{}"),
        request("POST /api/render", boundary.as_bytes(), b"{}"),
        request(
            "POST /api/render",
            format!("{json}Content-Encoding: gzip\r\nContent-Length: 100\r\n").as_bytes(),
            &bomb,
        ),
        request("POST /api/render", b"Content-Type: \xff\xff\r\nContent-Length: 0\r\n", b""),
        request("BREW /api/render", b"", b""),
        request("OPTIONS *", b"", b""),
        request("CONNECT evil.example:443", b"", b""),
        b"GET /\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
    ]
}

/// Every object's name in the store.
fn objects(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.flat_map(|entry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            objects(&path).into_iter().map(|below| format!("{name}/{below}")).collect()
        } else {
            vec![name]
        }
    });
    names.collect()
}

#[tokio::test]
async fn seventy_hostile_names_and_headers_are_refused_or_without_effect() {
    // Nothing of it need be rendered.
    let busy = vec!["refuse-429".parse().expect("a fault")];
    let mut world = TestWorld::start_with(|options| Options { faults: busy, ..options }).await;
    let address = world.world().addresses.api.replace("http://", "");
    let groups =
        [("file name", file_names()), ("idempotency key", idempotency_keys()), ("path", paths()), ("head", heads())];
    assert_eq!(groups.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 70);
    let mut accepted = 0;
    for (group, rows) in groups {
        for row in rows {
            let shown = String::from_utf8_lossy(&row[..row.len().min(300)]).into_owned();
            let answer = send(&address, &row).await;
            let status = status(&answer);
            assert!(status < 500, "{group}: {shown}\n{answer}");
            assert!(status != 200 || group == "head", "{group}: {shown}\n{answer}");
            accepted += usize::from(status == 202);
            let lower = answer.to_lowercase();
            for ours in ["x-evil", "panicked", ".rs:", "/tmp", "nats", "root:"] {
                assert!(!lower.contains(ours), "`{ours}` in the answer to {shown}\n{answer}");
            }
            // What is refused before it is a request has no body.
            assert!(
                status < 400 || answer.contains("application/problem+json") || answer.ends_with("\r\n\r\n"),
                "{answer}"
            );
        }
    }
    assert!((20..=26).contains(&accepted), "{accepted} were accepted");
    for name in objects(&world.folder.path().join("data/s3/kiln")) {
        let parts: Vec<&str> = name.split('/').collect();
        let is_ours =
            matches!(parts[..], ["renders", job, "audio.wav" | "output.mp4"] if events::JobId::parse(job).is_ok());
        assert!(is_ours || name.starts_with("kiln/fence") || name.starts_with('.'), "{name}");
    }
    let audio = world.music(1);
    let job = world.submit(&audio).await.job_id;
    world.wait_for(job, |_| true).await;
    world.stop().await;
}
