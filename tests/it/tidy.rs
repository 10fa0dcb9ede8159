//! The house rules that a compiler does not check, read off the manifests and sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Which floor each crate stands on. A crate may use those on lower floors only, so pack and
/// reader cannot know each other. A crate missing here fails the test: decide where it stands.
const FLOORS: &[(&str, u8)] = &[
    ("shardpack-formats", 0),
    ("shardpack-manifest", 1),
    ("shardpack-store", 2),
    ("shardpack-channel", 2),
    ("shardpack-dataset", 3),
    ("shardpack-testkit", 3),
    ("shardpack-pack", 4),
    ("shardpack-reader", 4),
    ("shardpack-agent", 4),
    ("shardpack-advise", 4),
    ("shardpack", 5),
    ("shardpack-python", 5),
    ("shardpack-tests", 6),
];

/// Dependencies that belong in some rooms only: (start of the name, crates that may have it).
const CONFINED: &[(&str, &[&str])] = &[
    ("tokio", &["shardpack-store"]),
    ("aws-", &["shardpack-store"]),
    ("walkdir", &["shardpack-store"]),
    ("clap", &["shardpack"]),
    ("indicatif", &["shardpack"]),
    ("pyo3", &["shardpack-python"]),
];

/// Rooms that compute only: no files, threads or network.
const PURE: &[&str] =
    &["shardpack-formats", "shardpack-manifest", "shardpack-channel", "shardpack-advise"];
const IMPURE: &[&str] =
    &["rayon", "rustix", "libc", "tokio", "crossbeam-channel", "signal-hook", "tempfile"];

/// Above this a file holds more than one idea.
const LINES: usize = 500;

#[test]
fn dependencies_point_down() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(&floor) = floors.get(package.name.as_str()) else {
            wrong.push(format!("{}: on no floor in tidy.rs", package.name));
            continue;
        };
        for used in &package.dependencies {
            if floors.get(used.as_str()).is_some_and(|&below| below >= floor) {
                wrong.push(format!("{} uses {used}, which does not stand below it", package.name));
            }
            if used == "shardpack-testkit" && package.name != "shardpack-tests" {
                wrong.push(format!("{} ships the testkit: dev-dependencies only", package.name));
            }
        }
    }
    none(&wrong);
}

#[test]
fn rooms_keep_their_dependencies() {
    let mut wrong = Vec::new();
    for package in packages() {
        if matches!(package.name.as_str(), "shardpack-testkit" | "shardpack-tests") {
            continue;
        }
        for used in &package.dependencies {
            let confined = CONFINED.iter().any(|(start, rooms)| {
                used.starts_with(start) && !rooms.contains(&package.name.as_str())
            });
            let impure = PURE.contains(&package.name.as_str()) && IMPURE.contains(&used.as_str());
            if confined || impure {
                wrong.push(format!("{} may not use {used}", package.name));
            }
        }
    }
    none(&wrong);
}

#[test]
fn members_share_the_lints() {
    let bare = "[lints]\nworkspace = true";
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter(|package| !read(&package.manifest).contains(bare))
        .map(|package| format!("{}: no {bare:?}", package.name))
        .collect();
    none(&wrong);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let wrong: Vec<_> = section(&manifest, "[workspace.dependencies]")
        .filter(|line| line.contains('=') && !line.starts_with("shardpack-") && !line.contains('#'))
        .map(|line| format!("Cargo.toml: say why: {line}"))
        .collect();
    assert!(section(&manifest, "[workspace.dependencies]").count() > 10, "section not found");
    none(&wrong);
}

#[test]
fn source_files_stay_short() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files(&root(), "rs") {
        seen += 1;
        let name = shown(&path);
        let test = name.starts_with("tests/")
            || name.starts_with("benches/")
            || name.contains("/tests/")
            || name.ends_with("tests.rs");
        let lines = read(&path).lines().count();
        if !test && lines > LINES {
            wrong.push(format!("{name}: {lines} lines, at most {LINES}"));
        }
    }
    assert!(seen > 20, "sources not found");
    none(&wrong);
}

#[test]
fn every_format_has_a_specification() {
    let wrong: Vec<_> = shardpack_formats::NAMES
        .iter()
        .map(|name| format!("formats/src/{}/SPEC.md", name.replace('-', "_")))
        .filter(|spec| !root().join(spec).is_file())
        .collect();
    none(&wrong);
}

#[test]
fn every_testdata_folder_names_its_sources() {
    let folders = fs::read_dir(root().join("testdata")).expect("testdata");
    let wrong: Vec<_> = folders
        .map(|entry| entry.expect("entry").path())
        // `tree` is packed whole, so its word on where it is from stands one level up.
        .filter(|path| path.is_dir() && !path.ends_with("tree") && !path.ends_with("out"))
        .filter(|path| !path.join("PROVENANCE.md").is_file())
        .map(|path| format!("{}: no PROVENANCE.md", shown(&path)))
        .collect();
    none(&wrong);
}

#[test]
fn every_link_in_the_documents_resolves() {
    let mut wrong = Vec::new();
    for page in files(&root(), "md") {
        let text = read(&page);
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => page.clone(),
                _ => page.parent().expect("a folder").join(file),
            };
            if !linked.exists() {
                wrong.push(format!("{}: {target} does not exist", shown(&page)));
            } else if !anchor.is_empty() && !anchors(&read(&linked)).any(|a| a == anchor) {
                wrong.push(format!("{}: {target}: no such heading", shown(&page)));
            }
        }
    }
    none(&wrong);
}

#[test]
fn paths_in_the_readme_exist() {
    let readme = read(&root().join("README.md"));
    let words = readme.split(|c: char| c.is_whitespace() || "`()|,;".contains(c));
    let places = ["testdata/", "scripts/", "tests/", "formats/", "crates/", "cli/", "./"];
    let wrong: Vec<_> = words
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| places.iter().any(|place| word.starts_with(place)))
        .filter(|word| !root().join(word).exists())
        .map(|word| format!("README.md: {word} does not exist"))
        .collect();
    none(&wrong);
}

#[test]
fn the_link_finder_finds() {
    let page =
        "a [one](x.md), [two](y.md#z-1)\n```\n[no](code.md)\n```\n`[no](code.md)` [three](#t)";
    assert_eq!(links(page).collect::<Vec<_>>(), ["x.md", "y.md#z-1", "#t"]);
    assert_eq!(anchors("# A b, c\n## `d`-e").collect::<Vec<_>>(), ["a-b-c", "d-e"]);
}

struct Package {
    name: String,
    manifest: PathBuf,
    /// What it links: normal and build dependencies, on every platform and feature.
    dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| Package {
            name: text(&package["name"]),
            manifest: text(&package["manifest_path"]).into(),
            dependencies: package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .collect(),
        })
        .collect()
}

/// The lines of a TOML table.
fn section<'t>(manifest: &'t str, header: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = manifest.lines().skip_while(move |line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

/// Targets of the inline links, code left out.
fn links(page: &str) -> impl Iterator<Item = &str> {
    prose(page).flat_map(|line| {
        let outside_code = line.split('`').step_by(2);
        outside_code.flat_map(|text| {
            text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
        })
    })
}

/// Names that headings get as link targets: lower case, spaces to hyphens, punctuation dropped.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    prose(page).filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// Lines outside fenced blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Files of the project with this extension; hidden folders and build output are not of it.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
