//! What an attacker sends, and what the program must keep: its memory, its files, its log, and its
//! other visitors. Each bound is far above what a run needs, and far below what the attack took.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use archipelago_lab::{World, eventually};
use futures_util::StreamExt;
use reqwest::StatusCode;
use tokio::io::AsyncReadExt;

use super::process::{Serving, program, program_with_files, vars};
use super::program::LISTENING;
use super::site::{DEADLINE, PRIMARY, Page, REPLICAS, environment, first_replica, visitor};

/// A small machine of Fly.io has 256 MiB.
const MEMORY: usize = 200;

/// The program under attack.
struct Target(Serving);

impl Target {
    async fn start(world: &World) -> Self {
        let mut vars = environment(world).await;
        vars.insert("RUST_LOG".to_owned(), "warn".to_owned());
        Self(Serving::start(&[], &vars, LISTENING).await)
    }

    fn connect(&self) -> TcpStream {
        // Some systems allow this process a thousand open files only.
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let stream = TcpStream::connect(self.0.address.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// The most memory that the process has had, in MiB.
    fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0.child.id().unwrap())
    }

    async fn assert_serves(&self) {
        let page = Page::of(visitor().get(self.0.url("/users"))).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    }

    /// Ends the program, and returns what it logged.
    async fn log(mut self) -> String {
        self.0.signal("TERM").await;
        let mut log = String::new();
        self.0.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        log
    }
}

/// Sends the same bytes again and again, until the server has taken none for a while. Returns how many
/// it has taken.
fn send_until_blocked(streams: &mut [TcpStream], bytes: &[u8]) -> usize {
    let mut sent = vec![0; streams.len()];
    for stream in &mut *streams {
        stream.set_nonblocking(true).unwrap();
    }
    let mut progress = Instant::now();
    while progress.elapsed() < Duration::from_secs(1) {
        for (stream, sent) in streams.iter_mut().zip(&mut sent) {
            match stream.write(&bytes[*sent % bytes.len()..]) {
                Ok(count) => {
                    *sent += count;
                    progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        std::thread::yield_now();
    }
    sent.iter().sum()
}

/// Reads until the server closes, or the deadline.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = vec![];
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    answer
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn pipelined_requests_without_a_reader_take_little_memory(world: World) {
    let target = Target::start(&world).await;
    let mut streams: Vec<_> = (0..40).map(|_| target.connect()).collect();
    let requests = "GET /users HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2000);
    let sending = tokio::task::spawn_blocking(move || {
        (send_until_blocked(&mut streams, requests.as_bytes()), streams)
    });
    let (sent, _streams) = sending.await.unwrap();
    assert!(sent > 1_000_000, "{sent}");
    target.assert_serves().await;
    assert!(target.peak_memory() < MEMORY, "{} MiB", target.peak_memory());
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn heads_without_an_end_take_little_memory(world: World) {
    let target = Target::start(&world).await;
    let first = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(100_000));
    let before = target.open_files();
    let _streams: Vec<_> = ["", first]
        .into_iter()
        .cycle()
        .take(600)
        .map(|first| {
            let mut stream = target.connect();
            stream.set_nonblocking(true).unwrap();
            // The server may have closed it already.
            let _ = stream.write(format!("{first}{head}").as_bytes());
            stream
        })
        .collect();
    eventually("few connections with large heads", DEADLINE, async || {
        let now = target.open_files();
        if now < before + 300 { Ok(()) } else { Err(now) }
    })
    .await;
    target.assert_serves().await;
    assert!(target.peak_memory() < MEMORY, "{} MiB", target.peak_memory());
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn what_does_not_come_has_a_deadline(world: World) {
    let target = Target::start(&world).await;
    let first = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunked = format!("{POST}transfer-encoding: chunked\r\n\r\n");
    let begun = [
        // The beginning of another request.
        "GET /hea".to_owned(),
        // A body that the page does not read.
        "POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nx".to_owned(),
        // A body that it does.
        format!("{chunked}3\r\na=1\r\n"),
        // A trailer.
        format!("{chunked}0\r\nx: y"),
    ];
    let mut waits = vec![];
    for begun in begun {
        let in_one_packet = vec![format!("{first}{begun}")];
        for packets in [in_one_packet, vec![first.to_owned(), begun]] {
            let mut stream = target.connect();
            waits.push(tokio::task::spawn_blocking(move || {
                stream.write_all(packets[0].as_bytes()).unwrap();
                assert!(stream.read(&mut [0; 512]).unwrap() > 0);
                for packet in &packets[1..] {
                    stream.write_all(packet.as_bytes()).unwrap();
                }
                let since = Instant::now();
                read_to_end(&mut stream);
                (packets, since.elapsed())
            }));
        }
    }
    let mut endless = target.connect();
    waits.push(tokio::task::spawn_blocking(move || {
        let since = Instant::now();
        let mut part = chunked.as_bytes();
        while endless.write_all(part).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            part = b"1\r\na\r\n";
            assert!(since.elapsed() < Duration::from_mins(1), "it is never cut");
        }
        (vec!["a body without an end".to_owned()], since.elapsed())
    }));
    for wait in waits {
        let (sent, elapsed) = wait.await.unwrap();
        assert!(elapsed < Duration::from_secs(15), "{elapsed:?} after {sent:?}");
    }
    target.assert_serves().await;
}

const FORM: &str = "user[name]=Ada&user[age]=36";
const POST: &str =
    "POST /users HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";

fn create() -> String {
    format!("{POST}content-length: {}\r\n\r\n{FORM}", FORM.len())
}

fn create_chunked() -> String {
    format!("{POST}transfer-encoding: chunked\r\n\r\n{:x}\r\n{FORM}\r\n0\r\n\r\n", FORM.len())
}

/// With empty lines in the data and after it, and a trailer.
fn create_in_odd_chunks() -> String {
    let trailer = "0\r\nx: y\n\n\r\n\r\n";
    format!(
        "{POST}transfer-encoding: chunked\r\n\r\n6\r\na=b\n\r\n\r\n4\r\n\r\n\r\n\r\n{:x}\r\n&{FORM}\r\n{trailer}",
        FORM.len() + 1
    )
}

/// What a client sends on one connection, and what comes first in the answer.
fn requests_of_all_kinds() -> Vec<(String, &'static str)> {
    let bodiless = |line: &str| format!("{line}\r\nhost: a\r\n\r\n");
    vec![
        (bodiless("GET /users HTTP/1.1"), "HTTP/1.1 200"),
        (bodiless("HEAD /users HTTP/1.1"), "HTTP/1.1 200"),
        (bodiless("GET /healthz HTTP/1.1"), "HTTP/1.1 200"),
        (create(), "HTTP/1.1 303"),
        (bodiless("HEAD /nowhere HTTP/1.1"), "HTTP/1.1 404"),
        (create_chunked(), "HTTP/1.1 303"),
        (create_in_odd_chunks(), "HTTP/1.1 303"),
        (bodiless("GET /nowhere HTTP/1.1"), "HTTP/1.1 404"),
        (format!("{POST}content-length: 12\r\n\r\nuser[name]=&"), "HTTP/1.1 422"),
        // Empty lines between two requests are no request.
        (format!("\r\n\r\n{}", bodiless("GET /users HTTP/1.1")), "HTTP/1.1 200"),
        (format!("{POST}expect: 100-continue\r\ncontent-length: 0\r\n\r\n"), "HTTP/1.1 100"),
        // The second answer to it.
        (String::new(), "HTTP/1.1 422"),
    ]
}

/// Reads one answer. That of HEAD has no body, whatever its length says.
fn read_answer(stream: &mut impl BufRead, is_head: bool) -> String {
    let (mut head, mut length) = (String::new(), 0);
    while stream.read_line(&mut head).unwrap() > 2 {
        let line = head.lines().last().unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    if !is_head {
        stream.read_exact(&mut vec![0; length]).unwrap();
    }
    head
}

/// However the network cuts them: each packet holds some requests, or a part of one.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn pipelined_requests_of_all_kinds_are_answered_in_order(world: World) {
    let target = Target::start(&world).await;
    for packet in [1, 7, 100, 300, 1000, 3000, 100_000] {
        let stream = target.connect();
        stream.set_nodelay(true).unwrap();
        let (mut writer, mut reader) = (stream.try_clone().unwrap(), BufReader::new(stream));
        let kinds = requests_of_all_kinds();
        let repeats = if packet < 100 { 1 } else { 10 };
        let requests = kinds.iter().map(|(request, _)| &**request).collect::<String>();
        let writing = tokio::task::spawn_blocking(move || {
            for packet in requests.repeat(repeats).as_bytes().chunks(packet) {
                writer.write_all(packet).unwrap();
            }
        });
        let reading = tokio::task::spawn_blocking(move || {
            for (request, expected) in kinds.iter().cycle().take(kinds.len() * repeats) {
                let since = Instant::now();
                let answer = read_answer(&mut reader, request.starts_with("HEAD"));
                assert!(answer.starts_with(expected), "{packet}: {answer} to {request}");
                // A wake-up that is lost costs ten seconds.
                assert!(since.elapsed() < Duration::from_secs(9), "{packet}: {request}");
            }
        });
        writing.await.unwrap();
        reading.await.unwrap();
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn one_connection_takes_one_form_after_the_other(world: World) {
    let target = Target::start(&world).await;
    let mut stream = target.connect();
    let answers = tokio::task::spawn_blocking(move || {
        for request in [create(), create_chunked()].iter().cycle().take(40) {
            // The body comes in a packet of its own.
            let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
            for part in [head, body] {
                stream.write_all(part.as_bytes()).unwrap();
            }
            let mut answer = vec![0; 4096];
            let length = stream.read(&mut answer).unwrap();
            let answer = answer[..length].escape_ascii().to_string();
            assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
        }
    });
    answers.await.unwrap();
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_body_of_empty_lines_is_read(world: World) {
    let target = Target::start(&world).await;
    let (lines, rest) = ("\r\n\r\n".repeat(10), format!("&{FORM}"));
    let mut stream = target.connect();
    let head =
        format!("{POST}content-length: {}\r\nconnection: close\r\n\r\n", lines.len() + rest.len());
    let answer = tokio::task::spawn_blocking(move || {
        stream.write_all(format!("{head}{lines}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(rest.as_bytes()).unwrap();
        read_to_end(&mut stream)
    });
    let answer = String::from_utf8(answer.await.unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
}

/// Each is followed by something that the server need not read.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_last_answer_of_a_connection_says_so_and_is_not_lost(world: World) {
    let target = Target::start(&world).await;
    let large = format!("GET /users HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    let upgrade = create().replace("host: a", "host: a\r\nupgrade: websocket");
    let unread = "POST /nowhere HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for (request, status) in [
        ("GET /users HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "200"),
        ("GET /users HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\r\n", "200"),
        ("malformed\r\n\r\n", "400"),
        (unread, "404"),
        // Actix takes its body for one without an end.
        (&upgrade, "303"),
        // The connection would keep its memory.
        (&large, "200"),
    ] {
        let mut stream = target.connect();
        let sent = format!("{request}{}", "GET /users HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000));
        let since = Instant::now();
        let reading = tokio::task::spawn_blocking(move || {
            stream.write_all(sent.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = reading.await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{request}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request}");
        assert!(since.elapsed() < Duration::from_secs(5), "{request}");
    }
}

/// The client that reads slowly gets all answers, soon after it reads again.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_reader_who_paused_gets_all_answers(world: World) {
    let target = Target::start(&world).await;
    let count = 2000;
    let mut stream = target.connect();
    let mut reader = stream.try_clone().unwrap();
    let requests = "GET /users HTTP/1.1\r\nhost: a\r\n\r\n".repeat(count - 1)
        + "GET /users HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let writing =
        tokio::task::spawn_blocking(move || stream.write_all(requests.as_bytes()).unwrap());
    // Until the server cannot write.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answers = tokio::task::spawn_blocking(move || read_to_end(&mut reader)).await.unwrap();
    writing.await.unwrap();
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), count);
}

/// The client that sends all of it before it reads gets the answer, and no reset.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_form_that_is_too_long_has_an_answer(world: World) {
    let target = Target::start(&world).await;
    let body = "x".repeat(1_000_000);
    let mut stream = target.connect();
    let answer = tokio::task::spawn_blocking(move || {
        let head = format!("{POST}content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    assert_eq!(answer.await.unwrap().escape_ascii().to_string(), "HTTP/1.1 413");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn visitors_beyond_the_places_are_told(world: World) {
    let command = program_with_files(700, &environment(&world).await);
    let target = Target(Serving::spawn(command, LISTENING).await);
    // Idle between two requests: before the first one they would have a few seconds only.
    let idle: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = target.connect();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let mut refused = target.connect();
    refused.write_all(b"GET /users HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let answer = tokio::task::spawn_blocking(move || read_to_end(&mut refused)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");

    drop(idle);
    eventually("a place for another visitor", DEADLINE, async || {
        let sent = visitor().get(target.0.url("/users")).send().await;
        sent.ok().filter(|answer| answer.status() == StatusCode::OK).ok_or("refused")
    })
    .await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn too_few_open_files_end_the_start(world: World) {
    let output = program_with_files(20, &environment(&world).await).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("may open 20 files"), "{error}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains(LISTENING));
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn writes_that_are_reset_leave_nothing_behind(world: World) {
    let target = Target::start(&world).await;
    target.assert_serves().await;
    let before = target.open_files();
    let create = create();
    for _ in 0..3000 {
        let mut stream = target.connect();
        let _ = stream.write_all(create.as_bytes());
        // An answer that is not read makes the kernel reset the connection.
    }
    target.assert_serves().await;
    eventually("as many open files as before", DEADLINE, async || {
        let now = target.open_files();
        // The pools may have opened some connections more.
        if now < before + 20 { Ok(()) } else { Err(now) }
    })
    .await;
    assert!(target.peak_memory() < MEMORY, "{} MiB", target.peak_memory());
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn malformed_requests_fill_no_log(world: World) {
    let target = Target::start(&world).await;
    for request in [
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /users HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /users HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        "POST /users HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        for _ in 0..100 {
            let mut stream = target.connect();
            let _ = stream.write_all(request.as_bytes());
        }
    }
    target.assert_serves().await;
    let log = target.log().await;
    assert!(log.len() < 10_000, "{} bytes: {}", log.len(), log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_each_request_is_counted_in_the_log() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://app@{closed}/app");
    let mut vars = vars(&[
        ("RUST_LOG", "warn"),
        ("FLY_REGION", first_replica()),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
        ("DATABASE_URL", &url),
    ]);
    vars.insert("DATABASE_URL_ATLANTIS".to_owned(), url);
    let target = Target(Serving::start(&[], &vars, LISTENING).await);
    let (browser, parameter) = (visitor(), "x".repeat(60_000));
    let url = target.0.url(&format!("/users?x={parameter}"));
    let begun = Instant::now();
    // Not all at once: a client that comes to send its head after 5 s has its answer already.
    let requests = (0..200).map(|_| Page::of(browser.get(&url)));
    let mut pages = futures_util::stream::iter(requests).buffer_unordered(20);
    while let Some(page) = pages.next().await {
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let allowed = 10 * (begun.elapsed().as_secs() + 2);
    let log = target.log().await;
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < 5000, "{longest}");
    let failed = log.lines().filter(|line| line.contains("a request failed")).count() as u64;
    assert!(failed >= 10 && failed <= allowed, "{failed} lines, {allowed} allowed");
    assert!(failed < 200, "some were left out");
    assert!(log.contains("DATABASE_URL_ATLANTIS is not used"), "{log}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_hangup_is_ignored_and_said(world: World) {
    let target = Target::start(&world).await;
    target.0.signal("HUP").await;
    target.assert_serves().await;
    let log = target.log().await;
    assert!(log.contains("SIGHUP is ignored"), "{log}");
}

#[tokio::test]
async fn a_database_url_that_is_no_text_starts_no_lab() {
    use std::os::unix::ffi::OsStringExt;

    let folder = tempfile::tempdir().unwrap();
    let vars = vars(&[("CARGO_MANIFEST_DIR", folder.path().to_str().unwrap())]);
    let mut command = program(&["serve"], &vars);
    command.env("DATABASE_URL", std::ffi::OsString::from_vec(b"postgres://\xff".to_vec()));
    let output = command.output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error.matches("DATABASE_URL").count(), 1, "{error}");
    assert!(error.contains("it is not valid UTF-8"), "{error}");
    assert!(!folder.path().join(".lab").exists());
}
