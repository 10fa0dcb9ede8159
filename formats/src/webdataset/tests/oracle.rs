//! Other tar readers on our shards. GNU tar and Python come from the PATH; the shard goes in and
//! the listing comes out by pipe.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::*;
use crate::{Compression, crc32c};

fn samples() -> Vec<Owned> {
    let long = format!("{}/{}", "d".repeat(155), "k".repeat(92));
    let wide = format!("wide/{}", "é".repeat(47));
    vec![
        sample("a", &[("cls", b"7"), ("jpg", &[1; 513])]),
        sample("d.v1/b", &[("seg.png", &[2; 512]), ("txt", b"")]),
        sample("my cat", &[("json", b"{}")]),
        sample("été", &[("txt", "à".as_bytes())]),
        sample(&long, &[("jpeg", b"long"), ("txt", &[3; 511])]),
        sample(&wide, &[("txt", b"wide")]),
    ]
}

/// `name length crc32c` of every field.
fn expected() -> Vec<(String, usize, u32)> {
    let of = |s: &Owned| {
        let line = |(name, body): &(String, Vec<u8>)| {
            (format!("{}.{name}", s.key), body.len(), crc32c(body))
        };
        s.fields.iter().map(line).collect::<Vec<_>>()
    };
    samples().iter().flat_map(of).collect()
}

/// What a program writes when it is given `input`. It must be there and succeed without a word.
fn run(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("this test needs {program}: {e}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("its output");
    feeder.join().expect("no panic").expect("all of it read");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    output.stdout
}

#[test]
fn the_tar_crate_reads_ours() {
    let bytes = shard(&samples());
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut found = Vec::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert!(header.as_ustar().is_some());
        assert_eq!((header.mode().ok(), header.mtime().ok()), (Some(0o444), Some(0)));
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let mut body = Vec::new();
        entry.read_to_end(&mut body).expect("a body");
        found.push((name, body.len(), crc32c(&body)));
    }
    assert_eq!(found, expected());
}

#[test]
fn gnu_tar_reads_ours() {
    let bytes = shard(&samples());
    let listed = run("tar", &["--list", "--quoting-style=literal", "-f", "-"], &bytes);
    let names: Vec<String> = expected().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(String::from_utf8(listed).expect("names").lines().collect::<Vec<_>>(), names);
    let bodies = run("tar", &["--extract", "--to-stdout", "-f", "-"], &bytes);
    let want: Vec<u8> = samples().into_iter().flat_map(|s| s.fields).flat_map(|f| f.1).collect();
    assert!(bodies == want);
}

/// Python's `tarfile` in its streaming mode, as the webdataset library opens shards: plain, and in
/// every compression it detects.
#[test]
fn python_reads_ours() {
    let script = "\
import sys, tarfile
archive = tarfile.open(fileobj=sys.stdin.buffer, mode='r|*')
for member in archive:
    assert member.isreg() and not member.pax_headers, member
    body = archive.extractfile(member).read()
    sys.stdout.write('%s\\t%d\\t%s\\n' % (member.name, member.size, body.hex()))
";
    let bytes = shard(&samples());
    let want: String = samples()
        .iter()
        .flat_map(|s| {
            s.fields
                .iter()
                .map(|(name, body)| {
                    let digits: String = body.iter().map(|b| format!("{b:02x}")).collect();
                    format!("{}.{name}\t{}\t{digits}\n", s.key, body.len())
                })
                .collect::<Vec<_>>()
        })
        .collect();
    for compression in [Compression::None, Compression::Gzip] {
        let mut packed = Vec::new();
        let mut writer = compression.writer(None, Box::new(&mut packed)).expect("a writer");
        writer.write_all(&bytes).expect("room");
        writer.finish().expect("its end");
        let found = run("python3", &["-X", "utf8", "-c", script], &packed);
        assert_eq!(String::from_utf8(found).expect("text"), want, "{compression:?}");
    }
}

/// The library's own expression, in Python's regular expressions.
#[test]
fn names_split_as_in_the_webdataset_library() {
    let script = "\
import re, sys
for path in sys.stdin.buffer.read().decode().split('\\0'):
    match = re.match(r'^((?:.*/|)[^.]+)[.]([^/]*)$', path)
    sys.stdout.write('\\1'.join(match.groups()) if match else '')
    sys.stdout.write('\\0')
";
    // Every path of up to seven of these characters: all ways in which dots, slashes and
    // newlines can stand to each other.
    let mut paths = vec![String::new()];
    let mut from = 0;
    for _ in 0..7 {
        let to = paths.len();
        for i in from..to {
            for c in ['a', '.', '/', '\n'] {
                paths.push(format!("{}{c}", paths[i]));
            }
        }
        from = to;
    }
    let found = run("python3", &["-X", "utf8", "-c", script], paths.join("\0").as_bytes());
    let found = String::from_utf8(found).expect("text");
    for (path, found) in paths.iter().zip(found.split('\0')) {
        let ours = super::super::split_name(path).map(|(key, field)| format!("{key}\x01{field}"));
        assert_eq!(ours.unwrap_or_default(), found, "{path:?}");
    }
}
