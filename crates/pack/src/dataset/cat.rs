//! One field's bytes.

use std::io::{self, Read, Write};

use shardpack_formats::{Compression, Crc32c, Error as FormatError, Position, crc32c};
use shardpack_manifest::{Index, IndexField, IndexRecord};
use shardpack_store::Object;

use super::Dataset;
use super::check::{read_failed, said};
use super::keys::Nearest;
use super::ls::samples;
use super::record::field_damage;
use super::scan::Next;
use super::unpack::{body_of, decode};
use crate::progress::Progress;
use crate::{Error, Result};
use shardpack_dataset::ShardReader;

/// How a field is read.
#[derive(Clone, Copy, Debug)]
pub struct CatOptions {
    /// Memory for buffers in bytes. Default 512 MiB. A body that fits is checked before its first
    /// byte is written; a larger one while it is written, with an error at the end.
    pub memory: u64,
}

/// Writes the body of `KEY.FIELD`, or of `KEY` where the sample has one field, to `out`; returns
/// its length in bytes.
///
/// Keys and fields may have dots: of all ways to cut the name, the longest key that is there and
/// has the field counts. Fails with [`Error::NotFound`] naming the nearest keys, or the fields
/// that there are, and with [`Error::Record`] when the body is damaged.
pub fn cat(
    dataset: &Dataset<'_>,
    name: &str,
    out: &mut dyn Write,
    options: &CatOptions,
) -> Result<u64> {
    let found = find(dataset, name, options)?;
    let Some(index) = shardpack_dataset::index(dataset, found.shard)? else {
        return decoded(dataset, &found, out, options);
    };
    let record = index.get(found.record as usize);
    let record = record.ok_or_else(|| Error::NotFound(format!("no sample {name:?}")))?;
    let fields = || record.fields.clone();
    let (i, field) = fields()
        .enumerate()
        .find(|(_, f)| f.name == found.field)
        .ok_or_else(|| Error::NotFound(format!("no field {:?}", found.field)))?;
    let body = Body { dataset, index: &index, record: &record, found: &found };
    match field.offset {
        Some(offset) => body.range(offset, &field, out, options.memory),
        None => body.whole(i, &field, out, options.memory),
    }
}

/// Where a field is.
#[derive(Debug)]
struct Found {
    shard: usize,
    record: u64,
    key: String,
    field: String,
}

/// A key of the name that is there, and its fields.
struct Candidate {
    shard: usize,
    record: u64,
    key: String,
    fields: Vec<String>,
}

/// Looks for the longest key in `name` that is there.
fn find(dataset: &Dataset<'_>, name: &str, options: &CatOptions) -> Result<Found> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut nearest = Nearest::new(name.rsplit_once('.').map_or(name, |(key, _)| key));
    let mut deleted = None;
    for shard in 0..dataset.shards().len() {
        if let Some(index) = shardpack_dataset::index(dataset, shard)? {
            for key in keys(name) {
                let Some(position) = index.position(key) else { continue };
                if dataset.is_deleted(shard, position as u64, key) {
                    deleted = deleted.or(Some(key));
                    continue;
                }
                let Some(record) = index.get(position) else { continue };
                let fields = record.fields.clone().map(|f| f.name.to_owned()).collect();
                let (record, key) = (position as u64, key.to_owned());
                candidates.push(Candidate { shard, record, key, fields });
            }
            continue;
        }
        samples(dataset, shard, options.memory, &Progress::default(), &mut |view| {
            let entry = &view.entry;
            nearest.look_at(entry.key);
            if keys(name).any(|key| key == entry.key) {
                let fields = entry.fields.iter().map(|f| f.name.to_owned()).collect();
                let (record, key) = (entry.record, entry.key.to_owned());
                candidates.push(Candidate { shard, record, key, fields });
            }
            Ok(Next::Record)
        })?;
    }
    candidates.sort_by_key(|c| std::cmp::Reverse(c.key.len()));
    for candidate in &candidates {
        if let Some(field) = field_of(name, candidate) {
            let Candidate { shard, record, ref key, .. } = *candidate;
            return Ok(Found { shard, record, key: key.clone(), field });
        }
    }
    match (candidates.first(), deleted) {
        (Some(candidate), _) => Err(fields_there_are(name, candidate)),
        (None, Some(key)) => Err(Error::NotFound(format!(
            "sample {key:?} is deleted; `delete --undo` brings it back"
        ))),
        (None, None) => Err(no_such_key(dataset, name, nearest)?),
    }
}

/// Every way to cut a name into a key: all of it, or up to one of its dots.
fn keys(name: &str) -> impl Iterator<Item = &str> {
    let cuts = name.match_indices('.').map(|(at, _)| &name[..at]);
    std::iter::once(name).chain(cuts)
}

/// The field that `name` means, if its key is this sample's.
fn field_of(name: &str, sample: &Candidate) -> Option<String> {
    let field = name.strip_prefix(&*sample.key)?;
    match (field.strip_prefix('.'), &sample.fields[..]) {
        (None, [only]) if field.is_empty() => Some(only.clone()),
        (Some(field), fields) => fields.iter().find(|f| *f == field).cloned(),
        _ => None,
    }
}

fn fields_there_are(name: &str, sample: &Candidate) -> Error {
    let Candidate { key, fields, .. } = sample;
    let which = match name == key {
        true => format!("sample {key:?} has {} fields; name one", fields.len()),
        false => format!("sample {key:?} has no field {:?}", &name[key.len() + 1..]),
    };
    let all: Vec<_> = fields.iter().map(|field| format!("{key}.{field}")).collect();
    Error::NotFound(format!("{which}: {}", all.join(", ")))
}

/// Looks through all keys for those that may have been meant.
pub(super) fn no_such_key(
    dataset: &Dataset<'_>,
    name: &str,
    mut nearest: Nearest<'_>,
) -> Result<Error> {
    if dataset.manifest().is_some() {
        for shard in 0..dataset.shards().len() {
            if let Some(index) = shardpack_dataset::index(dataset, shard)? {
                let live = |i: u64, key: &str| !dataset.is_deleted(shard, i, key);
                let records = (0..).zip(index.iter());
                records
                    .filter(|(i, record)| live(*i, record.key))
                    .for_each(|(_, record)| nearest.look_at(record.key));
            }
        }
    }
    Ok(Error::NotFound(format!("no sample {name:?}{}", nearest.hint())))
}

/// A body by the index.
struct Body<'a> {
    dataset: &'a Dataset<'a>,
    index: &'a Index<'a>,
    record: &'a IndexRecord<'a>,
    found: &'a Found,
}

impl Body<'_> {
    /// A body in one piece, read where it lies.
    fn range(
        &self,
        offset: u64,
        field: &IndexField<'_>,
        out: &mut dyn Write,
        memory: u64,
    ) -> Result<u64> {
        let object = self.dataset.store().open(&self.shard().path)?;
        let mut stream = self.from(&*object, offset)?.take(field.len);
        let wrong = |crc| {
            let reason = field_damage(field.name, offset, crc, field.crc32c);
            Err(self.damaged(reason))
        };
        if field.len <= memory / 2 {
            let mut body = Vec::new();
            stream.read_to_end(&mut body).map_err(|e| self.failed(e))?;
            let crc = crc32c(&body);
            if (body.len() as u64, crc) != (field.len, field.crc32c) {
                return wrong(crc);
            }
            out.write_all(&body).map_err(write_failed)?;
            return Ok(field.len);
        }
        let (mut crc, mut piece, mut written) = (Crc32c::default(), vec![0; 1 << 20], 0);
        loop {
            let read = stream.read(&mut piece).map_err(|e| self.failed(e))?;
            if read == 0 {
                break;
            }
            crc.update(&piece[..read]);
            out.write_all(&piece[..read]).map_err(write_failed)?;
            written += read as u64;
        }
        match (written, crc.value()) == (field.len, field.crc32c) {
            true => Ok(written),
            false => wrong(crc.value()),
        }
    }

    /// A body that the format split or keeps in another form: the record is decoded.
    fn whole(
        &self,
        number: usize,
        field: &IndexField<'_>,
        out: &mut dyn Write,
        memory: u64,
    ) -> Result<u64> {
        if self.record.len > memory / 2 {
            let len = self.record.len;
            let what =
                format!("the record of {len} bytes does not fit into memory; give more --memory");
            return Err(self.damaged(what));
        }
        let object = self.dataset.store().open(&self.shard().path)?;
        let mut bytes = Vec::new();
        let stream = self.from(&*object, self.record.offset)?;
        stream.take(self.record.len).read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
        let record = decode(self.dataset, &bytes).map_err(|e| self.damaged(said(&e)))?;
        let body = body_of(&record, number, field);
        let crc = crc32c(body);
        if (body.len() as u64, crc) != (field.len, field.crc32c) {
            return Err(self.damaged(field_damage(
                field.name,
                self.record.offset,
                crc,
                field.crc32c,
            )));
        }
        out.write_all(body).map_err(write_failed)?;
        Ok(field.len)
    }

    fn shard(&self) -> &super::DatasetShard {
        &self.dataset.shards()[self.found.shard]
    }

    /// The uncompressed stream of the shard from `offset` on.
    fn from<'o>(&self, object: &'o dyn Object, offset: u64) -> Result<Box<dyn Read + 'o>> {
        debug_assert!(offset <= self.index.shard().stream_bytes);
        stream(object, self.shard().compression, offset).map_err(|e| self.failed(e))
    }

    fn damaged(&self, reason: String) -> Error {
        let position = Position { record: self.found.record, offset: self.record.offset };
        Error::Record {
            shard: self.shard().path.clone(),
            key: self.found.key.clone(),
            source: FormatError::corrupt(reason, position),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                self.damaged(format!("the compressed stream: {error}"))
            }
            _ => read_failed(Some(error), &self.shard().path),
        }
    }
}

/// The uncompressed stream of a shard from `offset` on.
pub(super) fn stream(
    object: &dyn Object,
    compression: Compression,
    offset: u64,
) -> io::Result<Box<dyn Read + '_>> {
    const PIECE: usize = 256 << 10;
    if compression == Compression::None {
        return Ok(Box::new(ShardReader::from(object, offset, PIECE)));
    }
    let mut stream = compression.reader(Box::new(ShardReader::new(object, PIECE)))?;
    io::copy(&mut stream.by_ref().take(offset), &mut io::sink())?;
    Ok(stream)
}

/// A body of a shard without index.
fn decoded(
    dataset: &Dataset<'_>,
    found: &Found,
    out: &mut dyn Write,
    options: &CatOptions,
) -> Result<u64> {
    let mut written = 0;
    samples(dataset, found.shard, options.memory, &Progress::default(), &mut |view| {
        if view.entry.record != found.record {
            return Ok(Next::Record);
        }
        let body = view.sample.and_then(|sample| sample.field(&found.field)).unwrap_or_default();
        out.write_all(body).map_err(write_failed)?;
        written = body.len() as u64;
        Ok(Next::Stop)
    })?;
    Ok(written)
}

fn write_failed(error: io::Error) -> Error {
    Error::Store(shardpack_store::Error::io(error, "output"))
}

impl Default for CatOptions {
    fn default() -> Self {
        Self { memory: super::MEMORY }
    }
}
