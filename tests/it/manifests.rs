//! Lists and manifests as sources: here and on S3, of files here and on S3.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Random, Running};

/// What an image is called below `img/`, and its bytes.
const IMAGES: [(&str, &str); 3] = [("a/1.jpg", "one"), ("a/2.jpg", "two"), ("b/3.jpg", "three")];

/// A folder and a bucket with the same images below `img/`.
struct World {
    home: Home,
    server: S3Server,
}

impl World {
    fn new() -> Self {
        let world = Self { home: Home::new(), server: S3Server::start() };
        for (name, bytes) in IMAGES {
            world.home.write(&format!("img/{name}"), bytes);
            world.server.put(&format!("img/{name}"), bytes);
        }
        world
    }

    fn start(&self, line: &str) -> Running {
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.home.command(&args);
        command.envs(self.server.environment());
        command.spawn().expect("the program runs").into()
    }

    fn line(&self, line: &str) -> Ran {
        self.start(line).end()
    }

    /// Writes a manifest here and on S3; gives both its places.
    fn manifest(&self, name: &str, text: &str) -> [String; 2] {
        self.home.write(name, text);
        self.server.put(name, text.to_owned());
        [name.to_owned(), s3(name)]
    }

    /// Packs with `options`, proves the dataset against the same source, and unpacks it.
    #[track_caller]
    fn packed(&self, source: &str, options: &str, format: &str) -> BTreeMap<String, String> {
        for folder in ["dst", "out"] {
            let _ = fs::remove_dir_all(self.home.path(folder));
        }
        self.line(&format!("pack {source} dst {options} {format}")).done();
        let verified = self.line(&format!("verify dst --against {source} {options}")).done();
        assert!(verified.stdout.contains("whole"), "{}", verified.stdout);
        self.line("unpack dst out").done();
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        self.home.files("out").into_iter().map(|(name, bytes)| (name, text(bytes))).collect()
    }
}

/// The address of a key.
fn s3(key: &str) -> String {
    format!("s3://{}/{key}", S3Server::BUCKET)
}

/// `IMAGES` below a folder.
fn images(folder: &str) -> BTreeMap<String, String> {
    IMAGES.iter().map(|(name, bytes)| (format!("{folder}{name}"), (*bytes).to_owned())).collect()
}

fn files<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_owned())).collect()
}

/// A ManifestFile of [`IMAGES`].
fn manifest_file(prefix: &str) -> String {
    let names: Vec<_> = IMAGES.iter().map(|(name, _)| format!(",\"{name}\"")).collect();
    format!("[{{\"prefix\": \"{prefix}\"}}{}]", names.concat())
}

#[test]
fn a_list_is_read_here_and_on_s3_and_names_files_here_and_on_s3() {
    let world = World::new();
    let list = |start: &str| -> String {
        IMAGES.iter().rev().map(|(name, _)| format!("{start}{name}\n")).collect()
    };
    for source in world.manifest("remote.txt", &format!("\n{}", list(&s3("img/")))) {
        assert_eq!(world.packed(&source, "--source-type list", ""), images("img/"), "{source}");
    }
    world.home.write("relative.txt", list("./img/"));
    let found = world.packed("relative.txt", "--source-type list", "");
    assert_eq!(found, images("img/"));
    // All of them lie below the list's folder, so it does not matter how they are written.
    world
        .home
        .write("absolute.txt", list(&format!("file://{}/", world.home.path("img").display())));
    assert_eq!(world.packed("absolute.txt", "--source-type list", ""), found);
    world.home.write("nul", list("img/").replace('\n', "\0"));
    assert_eq!(world.packed("nul", "--source-type list -0", ""), found);
    // On S3 the list has no folder here.
    let root = world.home.path("img/").display().to_string();
    world.server.put("absolute.txt", list(&root));
    let found = world.packed(&s3("absolute.txt"), "--source-type list", "");
    assert_eq!(found, images(root.trim_start_matches('/')));
}

#[test]
fn objects_of_several_buckets_are_told_apart() {
    let world = World::new();
    world.server.put_in("other", "img/a/1.jpg", "another one");
    world.home.write("list", format!("{}\ns3://other/img/a/1.jpg\n", s3("img/a/1.jpg")));
    let found = world.packed("list", "--source-type list", "");
    let here = format!("{}/img/a/1.jpg", S3Server::BUCKET);
    assert_eq!(found, files([(&here, "one"), ("other/img/a/1.jpg", "another one")]));
}

#[test]
fn a_manifest_keeps_whole_keys_or_loses_its_prefix() {
    let world = World::new();
    for source in world.manifest("remote.manifest", &manifest_file(&s3("img/"))) {
        let found = world.packed(&source, "--source-type manifest", "");
        assert_eq!(found, images("img/"), "{source}");
        let found = world.packed(&source, "--source-type ManifestFile --strip-prefix", "");
        assert_eq!(found, images(""), "{source}");
    }
    let local = format!("file://{}", world.home.path("img/").display());
    for source in world.manifest("local.manifest", &manifest_file(&local)) {
        let found = world.packed(&source, "--source-type manifest --strip-prefix", "");
        assert_eq!(found, images(""), "{source}");
    }
    world.home.write("relative.manifest", manifest_file("img/"));
    let found = world.packed("relative.manifest", "--source-type manifest", "");
    assert_eq!(found, images("img/"));
}

/// Lines with an image, a mask, a class and a caption; the classes are not in sorted order.
fn augmented(start: &str) -> String {
    let classes = ["dog", "cat", "dog"];
    let line = |((name, bytes), class): (&(&str, &str), &str)| {
        format!(
            "{{\"image-ref\": \"{start}{name}\", \"mask-ref\": \"{start}m{name}\", \"class\": \"{class}\", \
             \"caption\": \"it is {bytes}\", \"class-metadata\": {{\"job\": 1}}}}\n"
        )
    };
    IMAGES.iter().zip(classes).map(line).collect()
}

#[test]
fn attributes_of_an_augmented_manifest_become_fields_and_labels() {
    let world = World::new();
    for (name, _) in IMAGES {
        world.home.write(&format!("img/m{name}"), format!("mask of {name}"));
        world.server.put(&format!("img/m{name}"), format!("mask of {name}"));
    }
    let local = format!("file://{}/", world.home.path("img").display());
    for start in [s3("img/"), local] {
        for source in world.manifest("lines.jsonl", &augmented(&start)) {
            // The first attribute that refers to objects names the sample, and alone is its extension.
            let options = "--source-type augmented --attributes image-ref,caption";
            assert_eq!(
                world.packed(&source, options, ""),
                files([
                    ("1.jpg", "one"),
                    ("1.caption.txt", "it is one"),
                    ("2.jpg", "two"),
                    ("2.caption.txt", "it is two"),
                    ("3.jpg", "three"),
                    ("3.caption.txt", "it is three"),
                ])
            );
            // Without --attributes the first line says, less what Ground Truth adds.
            let all = world.packed(&source, "--source-type AugmentedManifestFile", "");
            assert_eq!(all.len(), 4 * IMAGES.len(), "{all:?}");
            assert_eq!(all["3.mask.jpg"], "mask of b/3.jpg");
            assert_eq!(all["3.class.txt"], "dog");
        }
    }
}

#[test]
fn label_attributes_are_class_ids() {
    let world = World::new();
    world.home.write("lines.jsonl", augmented(&s3("img/")));
    let options = "--source-type augmented --attributes image-ref --label-attribute class";
    let images = files([("1.jpg", "one"), ("2.jpg", "two"), ("3.jpg", "three")]);
    assert_eq!(world.packed("lines.jsonl", options, "--format webdataset"), images);
    let classes = ["dog", "cat", "dog"];
    for (row, (class, id)) in rows(&world).iter().zip(classes.iter().zip(["1", "0", "1"])) {
        let body = |name: &str| {
            let fields = row["fields"].as_array().expect("fields");
            let field = fields.iter().find(|field| field["name"] == name).expect(name);
            let len = field["bytes"].as_u64().expect("a length");
            String::from_utf8(shard(&world, row, &field["offset"], len as usize)).expect("UTF-8")
        };
        assert_eq!((body("cls").as_str(), body("cls.txt").as_str()), (id, *class));
    }

    let format = "--format recordio --order source";
    assert_eq!(world.packed("lines.jsonl", options, format), images);
    // The label is the header's second word, behind magic, length and flag.
    let label = |row: &Value| {
        let header = shard(&world, row, &row["offset"], 16);
        f32::from_le_bytes(header[12..].try_into().expect("four bytes"))
    };
    assert_eq!(rows(&world).iter().map(label).collect::<Vec<_>>(), [1.0, 0.0, 1.0]);
}

/// The samples of `dst`, by key.
fn rows(world: &World) -> Vec<Value> {
    let listed = world.line("ls dst --json").done().json();
    let mut rows = listed.as_array().expect("rows").clone();
    rows.sort_by_key(|row| row["key"].to_string());
    rows
}

/// Bytes of the shard that a row is in.
fn shard(world: &World, row: &Value, offset: &Value, len: usize) -> Vec<u8> {
    let path = world.home.path("dst").join(row["shard"].as_str().expect("a shard"));
    let offset = offset.as_u64().expect("an offset") as usize;
    fs::read(path).expect("a shard")[offset..offset + len].to_vec()
}

#[test]
fn samples_whose_names_are_not_distinct_are_called_by_their_line() {
    let world = World::new();
    world.server.put("img/b/1.jpg", "another one");
    let lines: String = ["a/1.jpg", "b/1.jpg"]
        .map(|name| format!("{{\"image-ref\": \"{}\"}}\n", s3(&format!("img/{name}"))))
        .concat();
    world.home.write("lines.jsonl", lines);
    let ran = world.line("pack lines.jsonl dst --source-type augmented --progress none").done();
    assert!(ran.stderr.contains("keys are line numbers"), "{}", ran.stderr);
    world.line("unpack dst out").done();
    let names: Vec<_> = world.home.files("out").into_keys().collect();
    assert_eq!(names, ["line-00000001.jpg", "line-00000002.jpg"]);
}

/// Type and options, the manifest's text, what stderr must hold. `S3` stands for the bucket.
const BAD: &[(&str, &str, &[&str])] = &[
    // Lists.
    ("list", "", &["m: names no file"]),
    ("list", "S3/img/a/1.jpg\n\nS3/img/9.jpg\n", &["m, line 3: s3://", "img/9.jpg: not found"]),
    ("list", "img/a/1.jpg\n\nimg/9.jpg\n", &["m, line 3: ", "img/9.jpg: not found"]),
    (
        "list",
        "S3/img/a/1.jpg\nimg/a/2.jpg\n",
        &["line 1 is s3://", "line 2 is img/a/2.jpg", "apart"],
    ),
    ("list", "img/a/1.jpg\nS3/img/a/2.jpg\n", &["line 1 is img", "line 2 is s3://", "apart"]),
    ("list", "img/a/1.jpg\n\n./img//a/1.jpg", &["m, line 3", "line 1 names it already"]),
    ("list", "S3/k\nS3/k\n", &["m, line 2: s3://", "line 1 names it already"]),
    ("list", "img/a/\n", &["m, line 1: img/a/: names a folder"]),
    ("list", "S3/img/\n", &["m, line 1: s3://", "names a folder"]),
    ("list", "../m/img/a/1.jpg\n", &["m, line 1: ", ".. in it"]),
    ("list", "https://host/a.jpg\n", &["m, line 1: https://host/a.jpg", "s3://bucket/key"]),
    ("list", "gs://bucket/a.jpg\n", &["m, line 1: gs://bucket/a.jpg", "not read from gs://"]),
    ("list", "file://host/a.jpg\n", &["m, line 1: file://host/a.jpg", "three slashes"]),
    // Manifests.
    ("manifest", "{}", &["m: not a SageMaker manifest: no JSON array"]),
    ("manifest", "[{\"prefix\": \"S3/img/\"}, \"a", &["m: ", "JSON"]),
    (
        "manifest",
        "[{\"prefix\": \"S3/\"}, \"k\", \"j\", \"k\"]",
        &["m, [3]", "[1] names it already"],
    ),
    (
        "manifest",
        "[{\"prefix\": \"S3/\"}, \"img/a/1.jpg\", \"img/9.jpg\"]",
        &["m, [2]", "img/9.jpg: not found"],
    ),
    (
        "manifest",
        "[{\"prefix\": \"https://host/\"}, \"a.jpg\"]",
        &["m, [1]: https://host/a.jpg", "hint"],
    ),
    ("manifest", "[{\"prefix\": \"S3/\"}, \"d/\"]", &["m: [1]: ", "names a folder"]),
    // Augmented manifests.
    ("augmented", "no json", &["m: line 1"]),
    ("augmented", "{\"a-ref\": \"S3/img/a/1.jpg\"}\n\n{\"b\": 1}\n", &["m: line 3", "a-ref"]),
    ("augmented --attributes b", "{\"a-ref\": \"S3/img/a/1.jpg\"}\n", &["m: line 1", "b"]),
    (
        "augmented",
        "{\"a-ref\": \"S3/img/a/1.jpg\"}\n\n{\"a-ref\": \"S3/img/9.jpg\"}\n",
        &["m, line 3: s3://", "img/9.jpg: not found"],
    ),
    ("augmented", "{\"a-ref\": \"https://host/1.jpg\"}\n", &["m: line 1", "s3://bucket/key"]),
    (
        "augmented",
        "{\"a-ref\": \"S3/img/a/1.jpg\"}\n{\"a-ref\": \"file:///x/2.jpg\"}\n",
        &["line 1 is s3://", "line 2 is file:///x/2.jpg", "apart"],
    ),
    (
        "augmented --label-attribute c",
        "{\"a-ref\": \"S3/img/a/1.jpg\", \"b\": 1}\n",
        &["--label-attribute c: no such attribute", "a-ref, b"],
    ),
    ("augmented --label-attribute b --labels folder", "", &["--labels", "--label-attribute"]),
    ("augmented --strip-prefix", "", &["--strip-prefix", "--source-type manifest"]),
    // Options of other types.
    ("list --attributes a", "img/a/1.jpg\n", &["--attributes", "--source-type augmented"]),
    ("manifest --label-attribute a", "", &["--label-attribute", "--source-type augmented"]),
    ("manifest --include *.jpg", "", &["--include", "says itself"]),
    ("list --files-from m", "", &["--files-from", "says itself"]),
    ("manifest -0", "", &["--null", "--source-type list"]),
    ("prefix", "", &["neither a folder nor a .tar", "--source-type list, manifest or augmented"]),
    ("S3Object", "", &["prefix, list, manifest, augmented"]),
];

#[test]
fn what_is_wrong_is_said_with_its_place_and_nothing_is_written() {
    let world = World::new();
    for (options, text, told) in BAD {
        let bucket = format!("s3://{}", S3Server::BUCKET);
        world.home.write("m", text.replace("S3/", &format!("{bucket}/")));
        let ran = world.line(&format!("pack m dst --source-type {options} --progress none"));
        assert_eq!(ran.code, Some(2), "{options} {text}: {}", ran.stderr);
        for part in *told {
            assert!(ran.stderr.contains(part), "{options} {text}: {part:?} in {}", ran.stderr);
        }
        assert!(!world.home.path("dst").exists(), "{options} {text}");
    }
}

#[test]
fn a_manifest_on_s3_that_is_not_there_or_names_no_place_is_refused() {
    let world = World::new();
    world.server.put("relative", "img/a/1.jpg\n");
    for (source, told) in [
        (s3("missing"), "missing: not found"),
        (s3("img/"), "names no object"),
        (s3("relative"), "relative, line 1: img/a/1.jpg: a relative path means nothing"),
    ] {
        let ran = world.line(&format!("pack {source} dst --source-type list --progress none"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    let ran = world.line("pack img dst --source-type manifest");
    assert!(ran.code == Some(2) && ran.stderr.contains("neither a list nor a manifest"));
}

#[test]
fn verify_tells_what_the_manifest_has_and_the_dataset_has_not() {
    let world = World::new();
    world.home.write("list", format!("{}\n{}\n", s3("img/a/1.jpg"), s3("img/a/2.jpg")));
    world.line("pack list dst --source-type list").done();
    world.home.write("list", format!("{}\n{}\n", s3("img/a/1.jpg"), s3("img/b/3.jpg")));
    let ran = world.line("verify dst --against list --source-type list");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for told in ["img/b/3.jpg is in no shard", "img/a/2.jpg is not in the source"] {
        assert!(ran.stdout.contains(told), "{told:?} in {}", ran.stdout);
    }
}

#[test]
fn a_killed_run_is_finished_from_the_same_manifest_and_from_no_other() {
    let world = World::new();
    let mut random = Random(3);
    let mut lines = String::new();
    for i in 0..200 {
        world.server.put(&format!("many/{i:03}.jpg"), random.bytes(20_000));
        let uri = s3(&format!("many/{i:03}.jpg"));
        lines += &format!("{{\"image-ref\": \"{uri}\", \"class\": {}}}\n", i % 7);
    }
    world.server.put("lines.jsonl", lines.clone());
    let pack = |dst: &str| {
        let source = s3("lines.jsonl");
        format!(
            "pack {source} {dst} --source-type augmented --label-attribute class --target 100kB \
             --jobs 1 --io-depth 1 --progress none"
        )
    };
    world.line(&pack("whole")).done();
    let mut running = world.start(&pack("dst"));
    let staged = world.home.path("dst/.shardpack/index");
    let some = || fs::read_dir(&staged).is_ok_and(|folder| folder.count() > 3);
    assert!(running.until(some), "the run ended before it could be killed");
    assert!(running.kill());

    let edited = lines.replacen("\"class\": 0", "\"class\": 6", 1);
    for other in [lines.lines().skip(1).map(|l| format!("{l}\n")).collect(), edited] {
        world.server.put("lines.jsonl", other);
        let ran = world.line(&pack("dst"));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("--restart"), "{}", ran.stderr);
    }
    world.server.put("lines.jsonl", lines);
    let ran = world.line(&pack("dst")).done();
    assert!(ran.stdout.contains("sealed by an earlier run"), "{}", ran.stdout);
    assert!(world.home.files("dst") == world.home.files("whole"), "other bytes");
}
