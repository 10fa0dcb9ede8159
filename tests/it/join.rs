//! Fields that are added by key: from datasets, CSV, JSON lines and Parquet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Random, Running};

/// Runs the program against a server that stands for S3.
pub(crate) fn cloud(home: &Home, server: &S3Server, args: &[&str]) -> Ran {
    let mut command = home.command(args);
    command.envs(server.environment());
    for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(other);
    }
    Running::from(command.spawn().expect("the program runs")).end()
}

#[track_caller]
fn told(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
    }
}

/// Twelve images in classes, of which the third and the eighth hold where RecordIO splits.
fn tree(home: &Home) {
    let mut random = Random(3);
    for i in 0..12 {
        let mut body = random.bytes(400 + 50 * i);
        if i % 5 == 2 {
            body[40..44].copy_from_slice(&[0x0a, 0x23, 0xd7, 0xce]);
        }
        home.write(&format!("src/{}/{i:02}.jpg", ["cat", "dog"][i as usize % 2]), body);
    }
}

/// The files that a dataset unpacks to.
fn unpacked(home: &Home, dataset: &str) -> BTreeMap<String, String> {
    let _ = fs::remove_dir_all(home.path("back"));
    home.line(&format!("unpack {dataset} back")).done();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    home.files("back").into_iter().map(|(name, bytes)| (name, text(bytes))).collect()
}

/// What was added to two samples, by field.
fn added(home: &Home, dataset: &str) -> Vec<String> {
    let all = unpacked(home, dataset);
    let of = |key: &str| {
        let fields = all.iter().filter(|(name, _)| name.starts_with(key) && !name.ends_with("jpg"));
        fields.map(|(name, text)| format!("{}={text}", &name[key.len() + 1..])).collect::<Vec<_>>()
    };
    [of("cat/00"), of("dog/01")].map(|fields| fields.join(" ")).to_vec()
}

const CSV: &str = "key,Caption,width,zip\ncat/00,\"a, b\",640,01234\ndog/01,,480.0,99\n";
const LINES: &str = concat!(
    r#"{"key": "cat/00", "Caption": "a, b", "width": 640, "zip": "01234", "box": [1,  2]}"#,
    "\n\n",
    r#"{"width": 480.0, "key": "dog/01", "Caption": null, "zip": 99}"#,
    "\n",
);

#[test]
fn columns_become_fields() {
    let home = Home::new();
    tree(&home);
    home.write("t.csv", CSV);
    home.write("t.jsonl", LINES);
    for format in ["webdataset", "tfrecord", "recordio", "recordio-protobuf"] {
        let out =
            format!("join {format} out --missing left --format webdataset --order key --with");
        home.line(&format!("pack src {format} --format {format} --target 5kB")).done();
        for (with, cat, dog) in [
            (
                "t.csv",
                "caption.txt=a, b width.json=640 zip.txt=01234",
                "width.json=480.0 zip.txt=99",
            ),
            (
                "t.jsonl",
                "box.json=[1,  2] caption.txt=a, b width.json=640 zip.txt=01234",
                "width.json=480.0 zip.txt=99",
            ),
            (
                "t.csv --column width --column Caption=txt",
                "txt=a, b width.json=640",
                "width.json=480.0",
            ),
            (
                "t.csv --as json",
                r#"json={"Caption":"a, b","width":640,"zip":"01234"}"#,
                r#"json={"width":480.0,"zip":"99"}"#,
            ),
            (
                "t.jsonl --as json=meta.json --column box --column zip",
                r#"meta.json={"box":[1,  2],"zip":"01234"}"#,
                r#"meta.json={"zip":99}"#,
            ),
        ] {
            let report = home.line(&format!("{out} {with} --json")).done().json();
            assert_eq!(report["samples"], 12, "{with}");
            assert!(report["notes"].to_string().contains("fields were added from"), "{report}");
            assert_eq!(added(&home, "out"), [cat, dog], "{format} with {with}");
            home.line("verify out").done();
            let images =
                unpacked(&home, "out").into_iter().filter(|(name, _)| name.ends_with("jpg"));
            home.line("unpack webdataset plain").done();
            assert_eq!(images.count(), home.files("plain").len());
            fs::remove_dir_all(home.path("plain")).expect("a folder");
            fs::remove_dir_all(home.path("out")).expect("a folder");
        }
    }
}

#[test]
fn parquet_gives_what_pandas_wrote() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/parquet");
    let home = Home::new();
    tree(&home);
    home.line("pack src one").done();
    let join = |file: &str, more: &[&str]| {
        let with = golden.join(file);
        let with = with.to_str().expect("UTF-8");
        let line = ["join", "one", "out", "--missing", "left", "--with", with];
        home.run(&[&line[..], more].concat())
    };
    for file in ["snappy.parquet", "zstd.parquet", "plain.parquet"] {
        join(file, &[]).done();
        assert_eq!(
            added(&home, "out"),
            [
                "big.json=18446744073709551615 caption.txt=a \"cat\" good.json=true ratio.json=0.1 score.json=0.5 width.json=640",
                "big.json=0 good.json=false ratio.json=1.5 width.json=-1",
            ],
            "{file}"
        );
        fs::remove_dir_all(home.path("out")).expect("a folder");
    }
    told(&join("nested.parquet", &[]), &["column \"tags\" holds lists", "--column"]);
    told(&join("nested.parquet", &["--column", "taken"]), &["\"taken\" holds dates"]);
    join("nested.parquet", &["--column", "n"]).done();
    assert_eq!(added(&home, "out"), ["n.json=1", "n.json=2"]);
    let bytes = fs::read(golden.join("snappy.parquet")).expect("a file");
    home.write("cut.parquet", &bytes[..bytes.len() - 9]);
    told(
        &home.line("join one x --with cut.parquet"),
        &["cut.parquet: no Parquet that can be read"],
    );
}

#[test]
fn another_dataset_adds_its_fields() {
    let home = Home::new();
    tree(&home);
    for i in 0..12 {
        home.write(&format!("more/{}/{i:02}.txt", ["cat", "dog"][i % 2]), format!("text {i}"));
        home.write(&format!("more/{}/{i:02}.seg.png", ["cat", "dog"][i % 2]), vec![i as u8; 99]);
    }
    home.line("pack src whole --labels folder --order key").done();
    home.write("none", "");
    for (file, bytes) in home.files("src") {
        home.write(&format!("both/{file}"), bytes);
    }
    for (file, bytes) in home.files("more") {
        home.write(&format!("both/{file}"), bytes);
    }
    home.line("pack both wanted --labels folder --target 6kB --order shuffle:4").done();
    let wanted = home.files("wanted");
    for (left, right) in
        [("webdataset", "tfrecord"), ("recordio", "webdataset"), ("tfrecord", "recordio-protobuf")]
    {
        home.line(&format!("pack src l --format {left} --labels folder --target 5kB")).done();
        let compress = if right == "webdataset" { "--compress gzip" } else { "" };
        home.line(&format!("pack more r --format {right} --target 5kB {compress}")).done();
        for jobs in [1, 8] {
            let line = format!(
                "join l out --with r --format webdataset --target 6kB --order shuffle:4 --jobs {jobs}"
            );
            home.line(&line).done();
            let mut found = home.files("out");
            // The manifest tells how samples were chosen; all else is as if packed from files.
            let manifest = found.insert("manifest.json".into(), wanted["manifest.json"].clone());
            let names =
                |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found), names(&wanted), "{left} with {right}");
            let other: Vec<_> = found
                .iter()
                .filter(|(name, bytes)| wanted[*name] != **bytes)
                .map(|f| f.0)
                .collect();
            assert!(other.is_empty(), "{left} with {right}: other bytes in {other:?}");
            let manifest = String::from_utf8(manifest.expect("a manifest")).expect("UTF-8");
            let here = home.path("").display().to_string();
            assert!(manifest.contains("\"missing\"") && !manifest.contains(&here), "{manifest}");
            home.line("verify out --against both").done();
            fs::remove_dir_all(home.path("out")).expect("a folder");
        }
        home.line("join l out --with r --column txt=caption.txt --format webdataset").done();
        let back = unpacked(&home, "out");
        assert_eq!(back["cat/00.caption.txt"], "text 0");
        assert!(!back.contains_key("cat/00.seg.png"));
        for folder in ["out", "l", "r"] {
            fs::remove_dir_all(home.path(folder)).expect("a folder");
        }
    }
}

#[test]
fn partners_that_are_missing_are_named_or_counted() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one").done();
    home.write("t.csv", "id,n\ncat/00,1\nbird/1,2\ndog/01,3\n");
    told(
        &home.line("join one out --with t.csv"),
        &["t.csv has nothing for these samples", "\"cat/02\"", "\"dog/05\"", "--missing inner"],
    );
    let report = home.line("join one inner --with t.csv --missing inner --json").done().json();
    assert_eq!(report["samples"], 2);
    let skipped = report["skipped"].to_string();
    assert!(
        skipped.contains("rows of") && skipped.contains("belong to no sample\",1"),
        "{skipped}"
    );
    assert!(skipped.contains("has nothing for (--missing inner)\",10"), "{skipped}");
    let report = home.line("join one left --with t.csv --missing left --json").done().json();
    assert_eq!(report["samples"], 12);
    told(
        &home.line("join one out --with t.csv --missing inner --unused error"),
        &["\"bird/1\"", "t.csv line 3", "--unused count"],
    );
    // A row of a sample that is not taken belongs to one all the same, and what is not taken needs
    // none.
    home.write("t.csv", "id,n\ncat/00,1\ndog/01,3\n");
    home.write("keys", "cat/00\n");
    home.line("join one keys1 --with t.csv --keys keys --unused error").done();
    home.run(&["join", "one", "where1", "--with", "t.csv", "--where", "key < \"cat/02\""]).done();
    let line =
        ["join", "one", "where2", "--with", "t.csv", "--missing", "left", "--json", "--where"];
    let report = home.run(&[&line[..], &["`n.json` == 3"]].concat()).done().json();
    assert_eq!(report["samples"], 1);
}

#[test]
fn what_cannot_be_joined_is_refused_before_anything_is_written() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one").done();
    home.line("pack src copy --format tfrecord").done();
    home.write("dup.csv", "key,n\ncat/00,1\ndog/01,2\ncat/00,3\n");
    home.write("dup.jsonl", "{\"key\": \"a\", \"n\": 1}\n{\"key\": \"a\", \"n\": 1}\n");
    home.write("two.csv", "key,A b,a_b\ncat/00,1,2\n");
    home.write("odd.csv", "key,日\ncat/00,1\n");
    home.write("nokey.csv", "id,n\n,1\n");
    home.write("nokey.jsonl", "{\"id\": \"a\", \"n\": 1}\n");
    home.write("list.jsonl", "{\"key\": [1], \"n\": 1}\n");
    home.write("bad.jsonl", "{\"key\": \"a\", \"n\": 1}\n{\"key\": \"b\", }\n");
    home.write("short.csv", "key,n\ncat/00\n");
    home.write("empty.csv", "");
    home.write("alone.csv", "key\na\n");
    home.write("t.csv", "key,n\ncat/00,1\n");
    for (line, words) in [
        (
            "--with dup.csv",
            &["several rows for one key", "\"cat/00\"", "dup.csv line 2", "line 4"][..],
        ),
        ("--with dup.jsonl", &["\"a\"", "dup.jsonl line 1", "dup.jsonl line 2"]),
        ("--with two.csv", &["\"A b\" and \"a_b\"", "field a_b.json", "--column a_b=FIELD"]),
        ("--with odd.csv", &["column \"日\" gives no field's name", "--column 日=FIELD"]),
        ("--with nokey.csv", &["nokey.csv, line 2: no key in \"id\""]),
        ("--with nokey.jsonl", &["--on key", "has the columns id, n"]),
        ("--with list.jsonl", &["list.jsonl, line 1: no key in \"key\""]),
        ("--with bad.jsonl", &["bad.jsonl, line 2"]),
        ("--with short.csv", &["short.csv, line 2"]),
        ("--with empty.csv", &["empty.csv: the table has no rows"]),
        ("--with alone.csv", &["no column is left"]),
        ("--with nowhere.csv", &["nowhere.csv"]),
        ("--with nowhere", &["nowhere: no such file"]),
        ("--with t.csv --on x", &["--on x", "has the columns key, n"]),
        ("--with t.csv --column x", &["--column x", "has the columns key, n"]),
        ("--with t.csv --column n --column n=m", &["--column n: is named twice"]),
        ("--with t.csv --as xml", &["write json"]),
        ("--with t.csv --as json --column n=m", &["--column n: with --as"]),
        (
            "--with t.csv --column n=jpg --missing left",
            &[
                "samples have these fields already",
                "cat/00: jpg",
                "--column NAME=FIELD",
                "--drop-field",
            ],
        ),
        ("--with copy", &["samples have these fields already", "12 in all"]),
        ("--with copy --on x", &["--on is for tables"]),
        ("--with copy --as json", &["--as is for tables"]),
        ("--with one/shards", &["samples have these fields already"]),
    ] {
        told(&home.line(&format!("join one out {line}")), words);
        assert!(!home.path("out").exists(), "{line}");
    }
    // The ways out that the messages name.
    home.line("join one out1 --with copy --column jpg=copy.jpg").done();
    let line = ["join", "one", "out2", "--with", "two.csv", "--missing", "left"];
    home.run(&[&line[..], &["--column", "a_b=other", "--column", "A b"]].concat()).done();
    assert_eq!(added(&home, "out2")[0], "a_b.json=1 other=2");
    home.line("join one out3 --with nokey.csv --on n --missing left").done();
}

#[test]
fn tables_and_datasets_on_s3_give_the_same_bytes() {
    let (home, server) = (Home::new(), S3Server::start());
    tree(&home);
    home.write("t.csv", CSV);
    home.line("pack src one --target 5kB").done();
    cloud(&home, &server, &["pack", "src", "s3://bucket/one", "--target", "5kB"]).done();
    server.put("tables/t.csv", CSV.as_bytes().to_vec());
    let options = ["--missing", "left", "--target", "6kB", "--s3-prefix", "s3://x/y"];
    cloud(&home, &server, &[&["join", "one", "here", "--with", "t.csv"][..], &options].concat())
        .done();
    let line = ["join", "s3://bucket/one", "s3://bucket/out", "--with", "s3://bucket/tables/t.csv"];
    cloud(&home, &server, &[&line[..], &options].concat()).done();
    let whole = home.files("here");
    let shards: Vec<_> = whole.iter().filter(|(name, _)| name.starts_with("shards/")).collect();
    assert!(shards.len() > 1);
    for (name, bytes) in shards {
        assert_eq!(server.get(&format!("out/{name}")).expect("a shard").to_vec(), *bytes, "{name}");
    }
}

#[test]
fn a_killed_join_is_finished_to_the_same_bytes() {
    let home = Home::new();
    let mut random = Random(8);
    let mut table = String::from("key,caption,n\n");
    for i in 0..200 {
        let len = 300 + random.below(3_000);
        home.write(&format!("src/{i:03}.jpg"), random.bytes(len));
        table.push_str(&format!("{i:03},caption {i},{i}\n"));
    }
    home.write("t.csv", &table);
    home.line("pack src one --target 60kB").done();
    const JOIN: &str = "join one OUT --with t.csv --format tfrecord --target 20kB --scratch tmp";
    killed(&home, JOIN);
    assert_eq!(fs::read_dir(home.path("tmp")).expect("a folder").count(), 0);
    // Another table is another run.
    let mut running = home.start(&JOIN.replace("OUT", "out"));
    let staging = home.path("out/.shardpack/index");
    if running.until(|| fs::read_dir(&staging).is_ok_and(|folder| folder.count() > 1))
        && running.kill()
    {
        home.write("t.csv", table.replace("caption 7,", "caption 8,"));
        told(&home.line(&JOIN.replace("OUT", "out")), &["unfinished work of another run"]);
    }
}

/// Kills `join`, which writes to `OUT`, behind each of its first shards, and has it finished each time
/// to the bytes of a run that nobody disturbs.
pub(crate) fn killed(home: &Home, join: &str) {
    home.line(&join.replace("OUT", "whole")).done();
    let whole = home.files("whole");
    let mut killed = 0;
    for early in 1..12 {
        let mut running = home.start(&join.replace("OUT", "out"));
        let staging = home.path("out/.shardpack/index");
        let happened =
            running.until(|| fs::read_dir(&staging).is_ok_and(|folder| folder.count() >= early));
        killed += u32::from(running.kill() && happened);
        home.line(&join.replace("OUT", "out")).done();
        assert!(home.files("out") == whole, "other names or bytes");
        fs::remove_dir_all(home.path("out")).expect("a folder");
    }
    assert!(killed > 3, "{killed} runs were killed in their middle");
}
