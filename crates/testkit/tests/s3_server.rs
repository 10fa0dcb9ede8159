//! The server as a program: what it says when it cannot start, and that it serves when it can.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3-server"));
    command.args(arguments);
    command
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    assert!(stdout.is_empty(), "no endpoint");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_it_cannot_do_it_says_in_a_line() {
    for (arguments, words) in [
        (&["--port"][..], "--port needs a value"),
        (&["--port", "many"], "--port: many is no number"),
        (&["--port", "65536"], "--port: 65536 is no number"),
        (&["--keys", "5/x"], "--keys: x is no number"),
        (&["--nothing"], "unknown option --nothing"),
        (&["nothing"], "unknown option nothing"),
    ] {
        let (code, text) = refused(arguments);
        let first = text.lines().next().unwrap_or_default();
        assert_eq!(code, Some(2), "{text}");
        assert!(first.starts_with("s3-server: ") && first.contains(words), "{text}");
        assert!(text.contains("usage: s3-server"), "{text}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, words) in [
        (["--port", &port], format!("port {port}: ")),
        (["--root", "/not/there"], "/not/there: ".into()),
    ] {
        let (code, text) = refused(&arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.starts_with(&format!("s3-server: {words}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

/// A server that ends with the test.
struct Server(Child, String);

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().to_owned();
        Self(child, address)
    }

    /// The answer to an anonymous GET.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        let host = &self.1;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn files_and_made_up_keys_are_objects() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("pictures/a")).unwrap();
    std::fs::write(root.path().join("pictures/a/b.txt"), "hello").unwrap();
    let root = root.path().to_str().unwrap();
    let server = Server::start(&["--anonymous", "--md5", "--root", root, "--keys", "5/2"]);
    let answer = server.get("/pictures/a/b.txt");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    // RFC 1321 has no vector for it; `printf hello | md5sum` has.
    assert!(answer.contains("5d41402abc4b2a76b9719d911017c592"), "{answer}");
    let listing = server.get("/bucket?list-type=2");
    let keys = listing.matches("<Key>").count();
    assert_eq!(keys, 5, "{listing}");
    for key in ["deep/d00000/00000002.bin", "deep/d00001/00000003.bin"] {
        assert!(listing.contains(&format!("<Key>{key}</Key>")), "{listing}");
    }
    let strict = Server::start(&["--keys", "1"]);
    assert!(strict.get("/bucket/flat/00000000.bin").starts_with("HTTP/1.1 403"));
}
