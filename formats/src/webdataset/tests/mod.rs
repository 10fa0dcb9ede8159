//! What the tests of reading and writing share.

mod damage;
mod foreign;
mod oracle;
mod read;
mod write;

use super::WebDataset;
use super::header::{self, BLOCK, padded};
use crate::testing::{Owned, read_from};
use crate::{DecodeOptions, Error, Label, Record, Result};

fn testdata(path: &str) -> Vec<u8> {
    let path = format!("{}/../testdata/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sample(key: &str, fields: &[(&str, &[u8])]) -> Owned {
    Owned::new(key, 0, fields, Label::default())
}

/// A shard of these samples with its end blocks.
fn shard(samples: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    for sample in samples {
        out.extend(sample.encode(&WebDataset).expect("a sample that can be written"));
    }
    end(out)
}

fn end(mut members: Vec<u8>) -> Vec<u8> {
    members.extend_from_slice(&[0; 2 * BLOCK]);
    members
}

/// A member of any type, name and body.
fn member(kind: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
    patched(name, body, |block| block[156] = kind)
}

/// A member whose header is changed by hand; its checksum is made to fit.
fn patched(name: &[u8], body: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut out = Vec::new();
    header::write("", "", body.len() as u64, &mut out);
    out[..100].fill(0);
    out[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    change(&mut out);
    out[148..156].fill(b' ');
    let sum: u32 = out.iter().map(|b| u32::from(*b)).sum();
    out[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(body);
    out.resize(BLOCK + padded(body.len() as u64) as usize, 0);
    out
}

/// A PAX member that says `key=value`.
fn pax(kind: u8, key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let len = (1..).find(|digits| (rest + digits).to_string().len() == *digits).expect("a length");
    let mut body = format!("{} {key}=", rest + len).into_bytes();
    body.extend_from_slice(value);
    body.push(b'\n');
    member(kind, b"pax", &body)
}

fn files(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| member(b'0', name.as_bytes(), name.as_bytes())).collect()
}

fn read_with(
    bytes: &[u8],
    change: impl FnOnce(&mut DecodeOptions),
) -> (Vec<Record>, Option<Error>) {
    let mut options = DecodeOptions::default();
    change(&mut options);
    read_from(&WebDataset, bytes, &options)
}

fn read(bytes: &[u8]) -> Result<Vec<Record>> {
    crate::testing::read_all(&WebDataset, bytes)
}

/// `key field,field` a record, which is enough where bodies are not the point.
fn outline(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        let fields: Vec<&str> = record.sample.fields.iter().map(|f| &*f.name).collect();
        format!("{} {}", record.sample.key, fields.join(","))
    };
    records.iter().map(line).collect()
}
