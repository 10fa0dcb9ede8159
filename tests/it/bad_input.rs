//! Every bad input has an error of its own: what is wrong, where, and what to do. Nothing is
//! written before one.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::program::{Home, binary};

/// A command, what must be there, and what stderr must hold; the exit code is 2.
type Case = (&'static str, fn(&Home), &'static [&'static str]);

fn nothing(_: &Home) {}

/// A source without fault.
fn tree(home: &Home) {
    for name in ["src/a/1.jpg", "src/a/1.txt", "src/b/2.jpg", "src/b/2.txt"] {
        home.write(name, name);
    }
}

fn tree_and(home: &Home, name: &str) {
    tree(home);
    home.write(name, "x");
}

fn tree_linked(home: &Home, name: &str) {
    tree(home);
    link(home, "src", name);
}

const CASES: &[Case] = &[
    // The source.
    ("pack nowhere dst", nothing, &["error: nowhere: no such file", "hint:"]),
    (
        "pack src.txt dst",
        |h| h.write("src.txt", "x"),
        &["neither a folder nor a .tar", "--files-from"],
    ),
    ("pack src.tar.gz dst", |h| h.write("src.tar.gz", "x"), &["compressed tar", "decompress"]),
    ("pack src.tar dst", |h| h.write("src.tar", "no tar at all"), &["src.tar"]),
    ("pack src.zip dst", |h| h.write("src.zip", "no zip at all"), &["src.zip"]),
    ("pack src dst", |h| dir(h, "src"), &["no file to pack", "hint:"]),
    ("pack src dst", |h| h.write("src/.hidden.jpg", "x"), &["no file to pack", "1 hidden"]),
    ("pack src dst --include *.png", tree, &["no file to pack", "4 excluded"]),
    ("pack src dst --fields png", tree, &["no file to pack", "4 files of other fields"]),
    ("pack src dst --symlinks error", linked, &["b.jpg", "symbolic link"]),
    (
        "pack src dst",
        |h| dangling(h, "src/a.jpg"),
        &["a.jpg: is a symbolic link that points nowhere"],
    ),
    ("pack gs://bucket/src dst", nothing, &["gs:// is not a path", "s3://bucket/prefix"]),
    ("pack s3://ab/src dst", nothing, &["s3://ab/src", "bucket's name"]),
    ("pack s3://bucket/src.tar.gz dst", nothing, &["cannot be read in the order of the plan"]),
    ("pack src dst --files-from list", tree, &["--files-from list", "not found"]),
    (
        "pack src dst --files-from list",
        |h| list(h, "a/1.jpg\na/9.jpg\n"),
        &["line 2", "a/9.jpg", "not found"],
    ),
    (
        "pack src dst --files-from list",
        |h| list(h, "a/1.jpg\na/1.jpg\n"),
        &["line 2", "line 1 names it already"],
    ),
    (
        "pack src dst --files-from list --include *.jpg",
        tree,
        &["--files-from", "cannot be used with"],
    ),
    ("pack src dst --null", tree, &["--files-from"]),
    ("pack src dst --include [a", tree, &["--include \"[a\"", "hint:"]),
    // The destination.
    ("pack src src", tree, &["the same folder"]),
    ("pack src src/dst", tree, &["src/dst lies inside of the source src", "hint:"]),
    ("pack src src/no/../dst", tree, &["lies inside of the source"]),
    ("pack src link/dst", |h| tree_linked(h, "link"), &["lies inside of the source"]),
    (
        "pack dst/src dst",
        |h| h.write("dst/src/a.jpg", "x"),
        &["the source dst/src lies inside of dst"],
    ),
    ("pack src dst", |h| tree_and(h, "dst"), &["dst: is a file", "hint:"]),
    ("pack src dst", |h| tree_and(h, "dst/mine"), &["dst", "not empty", "mine"]),
    ("pack src dst", |h| tree_and(h, "dst/.mine"), &["dst", "not empty", ".mine"]),
    ("pack src gs://bucket/dst", tree, &["gs:// is not a path", "s3://bucket/prefix"]),
    ("pack src dst --sse rot13", tree, &["s3, kms or kms:KEY"]),
    ("pack src dst --max-requests 0", tree, &["a number above 0"]),
    // Options.
    (
        "pack src dst --format parquet",
        tree,
        &["parquet", "webdataset, tfrecord, recordio, recordio-protobuf"],
    ),
    ("pack src dst --target 150", tree, &["smaller than the framing"]),
    ("pack src dst --target 15M", tree, &["15MB (powers of 1000)", "15MiB (powers of 1024)"]),
    ("pack src dst --target 1e6", tree, &["150MB (10^6), 150MiB (2^20)"]),
    ("pack src dst --target=-5MB", tree, &["150MB (10^6), 150MiB (2^20)"]),
    ("pack src dst --memory 1MB", tree, &["--memory", "16MiB"]),
    ("pack src dst --jobs 0", tree, &["--jobs", "start at 1"]),
    ("pack src dst --order random", tree, &["shuffle:SEED", "key, label or source"]),
    ("pack src dst --split train", tree, &["train=0.9,val=0.1"]),
    ("pack src dst --split train=0.9,val=0.2", tree, &["add up to 1.1"]),
    ("pack src dst --split train=1,train=1", tree, &["named twice"]),
    ("pack src dst --name shard.tar", tree, &["{shard} is missing"]),
    ("pack src dst --shard-multiple 64", tree, &["--shard-multiple", "2 samples"]),
    ("pack src dst --compress zstd --format tfrecord", tree, &["tfrecord gzip and zlib"]),
    ("pack src dst --compress gzip --level 12", tree, &["--level 12", "0 to 9"]),
    ("pack src dst --level 3", tree, &["--level 3", "nothing is compressed"]),
    ("pack src dst --schema image", tree, &["--schema", "tfrecord"]),
    ("pack src dst --index mxnet", tree, &["--index mxnet", "webdataset"]),
    ("pack src dst --index tar", tree, &["dali, wids, mxnet, tfrecord"]),
    ("pack src dst --group (.*)", tree, &["--group", "no group \"key\""]),
    ("pack src dst --group (", tree, &["--group", "unclosed group"]),
    ("pack src dst --s3-prefix bucket/x", tree, &["s3://bucket/prefix"]),
    ("pack src dst --direct-io maybe", tree, &["auto, always or never"]),
    ("pack src dst --frobnicate", tree, &["--frobnicate"]),
    // Names.
    ("pack src dst", |h| h.write("src/a\nb.jpg", "x"), &["a\\nb", "rename"]),
    (
        "pack src dst --files-from list",
        |h| list(h, "a/1.jpg\n../a.jpg\n"),
        &["line 2", "has .. in it"],
    ),
    (
        "pack src dst --files-from list",
        |h| list(h, "/etc/passwd\n"),
        &["line 1: /etc/passwd", "outside of"],
    ),
    ("pack src dst --files-from list", |h| list(h, "a/1.jpg\0a/1.txt\n"), &["line 1", "NUL"]),
    ("pack src.tar dst", |h| tar(h, b"../a.jpg"), &["src.tar", "../a.jpg", ".."]),
    ("pack src.tar dst", |h| tar(h, b"/a.jpg"), &["src.tar", "/a.jpg"]),
    ("pack src.tar dst", |h| tar(h, b"a\nb.jpg"), &["a\\nb", "rename"]),
    ("pack src.tar dst", |h| pax(h, b"a\0b.jpg"), &["src.tar", "NUL"]),
    ("pack src dst", |h| tree_and(h, "src/a/1.JPG"), &["a/1.JPG and a/1.jpg", "lower case"]),
    (
        "pack src dst",
        |h| h.write("src/README", "x"),
        &["README: the name has no extension", "--bare-field"],
    ),
    (
        "pack src dst --hidden include",
        |h| h.write("src/.a.jpg", "x"),
        &[".a.jpg: the name starts with a dot"],
    ),
    ("pack src dst", |h| h.write("src/a.", "x"), &["a.: the extension is empty"]),
    ("pack src dst", not_utf8, &["a\\xff.jpg", "not UTF-8"]),
    ("pack src dst", twelve_bad, &["f00: ", "f09: ", "and 2 more (12 in all)"]),
    (
        "pack src dst --group ^(?<key>.*)_(?<field>.*)$",
        tree,
        &["--group does not match", "a/1.jpg"],
    ),
    ("pack src dst --require jpg,cls", tree, &["a/1: has jpg, txt, lacks cls", "--missing skip"]),
    // Labels.
    ("pack src dst --labels table.csv", tree, &["folder, csv:FILE, jsonl:FILE or lst:FILE"]),
    ("pack src dst --labels csv:table", tree, &["--labels table", "not found"]),
    (
        "pack src dst --labels folder",
        |h| h.write("src/a.jpg", "x"),
        &["lie in no class folder", "\n  a"],
    ),
    (
        "pack src dst --labels csv:t",
        |h| table(h, "key,label\na/1,3\nb/2,4\nc/3,5\n"),
        &["line 4: c/3", "not there", "--unlabelled"],
    ),
    (
        "pack src dst --labels csv:t",
        |h| table(h, "key,label\na/1,3\n"),
        &["no label for these samples", "b/2"],
    ),
    (
        "pack src dst --labels csv:t",
        |h| table(h, "key,label\na/1,3\nb/2,4\na/1,5\n"),
        &["a/1: lines 2 and 4"],
    ),
    (
        "pack src dst --labels csv:t --label-key id",
        |h| table(h, "key,label\na/1,3\n"),
        &["no column \"id\"", "key, label"],
    ),
    ("pack src dst --labels csv:t", |h| table(h, "key,label\na/1,\n"), &["t, line 2", "is empty"]),
    (
        "pack src dst --labels jsonl:t",
        |h| table(h, "{\"key\":\"a/1\",\"label\":3}\n{\n"),
        &["t, line 2"],
    ),
    ("pack src dst --label-key key", tree, &["--labels"]),
    // What a format cannot hold.
    ("pack src dst --format recordio", large, &["a: ", "over the limit of 536870911 bytes"]),
    ("pack src dst --format recordio", tree, &["recordio cannot hold", "a/1"]),
    // Datasets that are none.
    ("verify nowhere", nothing, &["nowhere: no such file", "hint:"]),
    ("verify dst", |h| dir(h, "dst"), &["dst"]),
    ("ls gs://bucket/dst", nothing, &["gs:// is not a path"]),
    ("verify dst --quick --against src", nothing, &["--quick", "--against"]),
    ("man frobnicate", nothing, &["no command \"frobnicate\""]),
];

#[test]
fn every_bad_input_has_its_own_error() {
    let mut wrong = Vec::new();
    for (line, prepare, wanted) in CASES {
        let home = Home::new();
        prepare(&home);
        let before = home.files("dst");
        let ran = home.line(line);
        let mut complain = |what: String| wrong.push(format!("$ {line}\n{what}\n{}", ran.stderr));
        if ran.code != Some(2) {
            complain(format!("exit {:?}", ran.code));
        }
        for text in wanted.iter().filter(|text| !ran.stderr.contains(**text)) {
            complain(format!("no {text:?} in stderr"));
        }
        if !ran.stdout.is_empty() || !ran.stderr.starts_with("error: ") {
            complain(format!("stdout: {:?}", ran.stdout));
        }
        if ran.stderr.contains("panicked") || ran.stderr.contains(".rs:") {
            complain("a trace of the source code".into());
        }
        if home.files("dst") != before {
            complain("something was written".into());
        }
    }
    assert!(wrong.is_empty(), "{} complaints\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_source_that_may_not_be_read_is_named() {
    let home = Home::new();
    tree(&home);
    let copy = home.path("shardpack"); // the binary may lie where only its builder may look
    fs::copy(binary(), &copy).expect("a copy");
    for (path, mode) in [(".", 0o777), ("shardpack", 0o755), ("src/b", 0o000)] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(home.path(path), mode).expect("permissions");
    }
    let mut command = std::process::Command::new(&copy);
    command.args(["pack", "src", "dst"]).current_dir(home.path("."));
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534); // root may read anything
    }
    let output = command.output().expect("the program runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("b: permission denied") && stderr.contains("hint:"), "{stderr}");
    assert!(!home.path("dst").exists());
}

/// Between listing and reading a file may change. Large sparse files are packed first, one after
/// the other, so that the last can be changed once packing was seen to begin.
#[test]
fn a_file_that_changes_during_the_run_is_named() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 3] = [
        ("grows", |path| fs::write(path, "now it is longer").expect("a file")),
        ("shrinks", |path| fs::write(path, "").expect("a file")),
        ("vanishes", |path| fs::remove_file(path).expect("a file")),
    ];
    for (what, change) in changes {
        let home = Home::new();
        for i in 0..8 {
            sparse(&home, &format!("src/a{i}.bin"), 48 << 20);
        }
        home.write("src/z.bin", "before");
        let line = "pack src dst --order key --jobs 1 --io-depth 1 --no-fsync";
        let mut running = home.start(line);
        assert!(running.until(|| home.path("dst/.shardpack/plan.json").exists()), "{what}");
        change(&home.path("src/z.bin"));
        let ran = running.end();
        assert_eq!(ran.code, Some(2), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains("z.bin"), "{what}: {}", ran.stderr);
        assert!(!home.path("dst/manifest.json").exists() && !home.path("dst/shards").exists());
        let again = home.line(line);
        assert_eq!(again.code, Some(2), "{what}");
        assert!(again.stderr.contains("--restart"), "{what}: {}", again.stderr);
        if what != "vanishes" {
            home.line(&format!("{line} --restart")).done();
        }
    }
}

fn dir(home: &Home, name: &str) {
    fs::create_dir_all(home.path(name)).expect("a folder");
}

fn link(home: &Home, target: &str, name: &str) {
    symlink(target, home.path(name)).expect("a link");
}

fn dangling(home: &Home, name: &str) {
    dir(home, "src");
    link(home, "gone", name);
}

fn linked(home: &Home) {
    home.write("src/a.jpg", "x");
    link(home, "a.jpg", "src/b.jpg");
}

fn list(home: &Home, names: &str) {
    tree(home);
    home.write("list", names);
}

fn table(home: &Home, rows: &str) {
    tree(home);
    home.write("t", rows);
}

fn not_utf8(home: &Home) {
    dir(home, "src");
    let name = std::ffi::OsStr::from_bytes(b"a\xff.jpg");
    fs::write(home.path("src").join(name), "x").expect("a file");
}

fn twelve_bad(home: &Home) {
    (0..12).for_each(|i| home.write(&format!("src/f{i:02}"), "x"));
}

/// One byte more than a RecordIO length can say.
fn large(home: &Home) {
    sparse(home, "src/a.bin", 1 << 29);
}

fn sparse(home: &Home, name: &str, len: u64) {
    home.write(name, "");
    let file = fs::File::options().write(true).open(home.path(name)).expect("a file");
    file.set_len(len).expect("a sparse file");
}

/// A tar with one member of this name.
fn tar(home: &Home, name: &[u8]) {
    let mut bytes = header(name, b'0', 1);
    bytes.extend(padded(b"x"));
    bytes.extend([0; 1024]);
    home.write("src.tar", bytes);
}

/// The same, with the name in a PAX record, where it may hold anything.
fn pax(home: &Home, name: &[u8]) {
    let rest = name.len() + " path=\n".len();
    let len = rest + (rest + 2).to_string().len();
    let record = [len.to_string().as_bytes(), b" path=", name, b"\n"].concat();
    let mut bytes = header(b"pax", b'x', record.len());
    bytes.extend(padded(&record));
    bytes.extend(header(b"plain.jpg", b'0', 1));
    bytes.extend(padded(b"x"));
    bytes.extend([0; 1024]);
    home.write("src.tar", bytes);
}

fn header(name: &[u8], kind: u8, len: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{len:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn padded(body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(512), 0);
    padded
}
