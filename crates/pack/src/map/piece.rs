//! A run of consecutive samples, mapped into the scratch folder.

use std::ops::Range;

use shardpack_formats::{Label, crc32c};
use shardpack_store::{Bytes, LocalStore, PutMode, Source, Store, Upload};
use xxhash_rust::xxh3::Xxh3;

use super::journal::{self, At, Became, Row, RowField};
use super::{Answer, Map, MapErrors, Mapper, Sample, Trouble, Verdict};
use crate::group::{SampleId, Samples};
use crate::{Error, Result};

/// Bytes of bodies from which a piece ends, unless that made more than [`PIECES`] of them.
const BYTES: u64 = 8 << 20;
/// Samples at which it ends.
const SAMPLES: u64 = 64;
/// About the most pieces of a run: a folder of some thousand files, two for each.
const PIECES: u64 = 4096;

/// Where pieces end: decided by the samples alone, so that any number of threads, and the run that
/// finishes a killed one, makes the same.
pub(super) fn cut(samples: &Samples<'_>) -> Vec<Range<SampleId>> {
    let count = samples.len() as SampleId;
    let lens = |sample| samples.members(sample).iter().map(|f| samples.listing().file(*f).len);
    let bytes = |sample| lens(sample).fold(0, u64::saturating_add);
    let all = (0..count).map(bytes).fold(0, u64::saturating_add);
    let (most_bytes, most) = (BYTES.max(all / PIECES), SAMPLES.max(u64::from(count) / PIECES));
    let (mut pieces, mut start, mut sum) = (Vec::new(), 0, 0u64);
    for sample in 0..count {
        sum = sum.saturating_add(bytes(sample));
        if sum >= most_bytes || u64::from(sample + 1 - start) >= most || sample + 1 == count {
            pieces.push(start..sample + 1);
            (start, sum) = (sample + 1, 0);
        }
    }
    pieces
}

/// What every piece of a run needs.
pub(super) struct Pieces<'a> {
    pub(super) samples: &'a Samples<'a>,
    pub(super) source: &'a dyn Source,
    pub(super) store: &'a LocalStore,
    pub(super) map: &'a Map,
    /// Most bytes of a sample's bodies.
    pub(super) most: u64,
}

/// A piece in the scratch folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// Name of its journal and, without the extension, of its bodies.
    name: String,
    /// Whether an earlier run made it.
    pub(super) resumed: bool,
}

impl Made {
    pub(super) fn bodies(&self) -> String {
        format!("{}.bodies", self.name)
    }

    fn journal(&self) -> String {
        format!("{}.journal", self.name)
    }
}

impl Pieces<'_> {
    /// Makes piece `number`, unless it is there.
    pub(super) fn make(
        &self,
        number: usize,
        range: &Range<SampleId>,
        mapper: &mut dyn Mapper,
    ) -> Result<Made> {
        let name = format!("{number:06}-{:032x}", self.identity(range));
        let made = Made { name, resumed: true };
        if self.is_whole(&made, range)? {
            return Ok(made);
        }
        let mut writer = Writer {
            store: self.store,
            key: made.bodies(),
            upload: None,
            rows: Vec::new(),
            len: 0,
        };
        for sample in range.clone() {
            self.map_one(sample, mapper, &mut writer)?;
        }
        if let Some(upload) = writer.upload.take() {
            upload.seal(writer.len, None)?;
        }
        let lines = journal::write(&writer.rows, writer.len)
            .map_err(|e| Error::Usage(format!("--map-cmd: a name cannot be written down: {e}")))?;
        self.store.put(&made.journal(), &lines, PutMode::Replace)?;
        Ok(Made { resumed: false, ..made })
    }

    /// The rows of a piece that is made.
    pub(super) fn rows(&self, made: &Made, range: &Range<SampleId>) -> Result<Vec<Row>> {
        match self.read(made, range)? {
            Some((rows, _)) => Ok(rows),
            None => Err(Error::Shard {
                shard: format!("{}/{}", self.store.describe(), made.journal()),
                reason: "it is not what was written: something else works in this folder".into(),
            }),
        }
    }

    fn read(&self, made: &Made, range: &Range<SampleId>) -> Result<Option<(Vec<Row>, u64)>> {
        let bytes = match shardpack_dataset::read(self.store, &made.journal()) {
            Ok(bytes) => bytes,
            Err(shardpack_dataset::Error::Store(error)) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let whole = |(rows, _): &(Vec<Row>, u64)| {
            rows.len() == range.len()
                && rows.iter().zip(range.clone()).all(|(row, i)| self.fits(row, i))
        };
        Ok(journal::read(&bytes).filter(whole))
    }

    /// Whether a row is about a sample, and names no file that it has not.
    fn fits(&self, row: &Row, sample: SampleId) -> bool {
        let mut key = String::new();
        self.samples.key(sample, &mut key);
        let files = self.samples.members(sample).len();
        let there = |field: &RowField| match field.at {
            At::Source(i) => (i as usize) < files,
            At::Piece(_) => true,
        };
        row.key == key && row.fields.iter().all(there)
    }

    /// Whether an earlier run made this piece: its journal is there and its bodies are what that
    /// says.
    fn is_whole(&self, made: &Made, range: &Range<SampleId>) -> Result<bool> {
        let Some((rows, len)) = self.read(made, range)? else { return Ok(false) };
        if len == 0 {
            return Ok(true);
        }
        let object = match self.store.open(&made.bodies()) {
            Ok(object) if object.len() == len => object,
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut body = Vec::new();
        for field in rows.iter().flat_map(|row| &row.fields) {
            let At::Piece(at) = field.at else { continue };
            let Some(end) = at.checked_add(field.len).filter(|end| *end <= len) else {
                return Ok(false);
            };
            body.clear();
            shardpack_store::pour_at(&*object, at..end, &mut Bytes::new(&mut body))?;
            if crc32c(&body) != field.crc32c {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A hash of what goes into a piece: the map, and keys, fields, lengths, versions and labels.
    fn identity(&self, range: &Range<SampleId>) -> u128 {
        let (mut hash, mut key) = (Xxh3::new(), String::new());
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (flag, value) in self.map.describe() {
            add(flag.as_bytes());
            add(value.as_bytes());
        }
        for sample in range.clone() {
            self.samples.key(sample, &mut key);
            add(key.as_bytes());
            let Label { values, text } = self.samples.label(sample);
            let bits: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            add(&bits);
            add(text.as_deref().map_or(&[0][..], str::as_bytes));
            for &id in self.samples.members(sample) {
                let file = self.samples.listing().file(id);
                add(self.samples.field(id).as_bytes());
                add(&file.len.to_le_bytes());
                add(&file.stamp.to_le_bytes());
            }
        }
        hash.digest128()
    }

    fn map_one(
        &self,
        id: SampleId,
        mapper: &mut dyn Mapper,
        writer: &mut Writer<'_>,
    ) -> Result<()> {
        let sample = self.load(id)?;
        let left_out = |sample: &Sample, became, why| Row {
            key: sample.key.clone(),
            became,
            why,
            label: None,
            fields: Vec::new(),
        };
        let answer = match mapper.map(&sample) {
            Ok(Answer { verdict: Verdict::Error(reason), .. }) => {
                Err(Trouble::Sample { reason, said: Vec::new() })
            }
            other => other,
        };
        let row = match answer {
            Ok(Answer { verdict: Verdict::Drop, .. }) => left_out(&sample, Became::Dropped, None),
            Ok(Answer { verdict: Verdict::Fields { fields, label }, bytes }) => {
                writer.changed(&sample, &fields, label, &bytes)?
            }
            Ok(_) => kept(&sample),
            Err(Trouble::Sample { reason, .. }) if self.map.errors == MapErrors::Skip => {
                left_out(&sample, Became::Failed, Some(reason))
            }
            Err(Trouble::Sample { reason, said } | Trouble::Map { reason, said }) => {
                return Err(Error::Map { key: sample.key, reason, said });
            }
            Err(Trouble::Stopped) => return Err(Error::Stopped { done: 0, shards: 0 }),
        };
        writer.rows.push(row);
        Ok(())
    }

    /// Reads a sample into memory.
    fn load(&self, id: SampleId) -> Result<Sample> {
        let mut sample = Sample { label: self.samples.label(id).clone(), ..Sample::default() };
        self.samples.key(id, &mut sample.key);
        let listing = self.samples.listing();
        let files = self.samples.members(id);
        let all = files.iter().map(|f| listing.file(*f).len).fold(0, u64::saturating_add);
        if all > self.most {
            return Err(Error::Map {
                key: sample.key,
                reason: format!(
                    "its fields have {all} bytes, and a thread has room for {}; raise --memory, or lower --jobs",
                    self.most
                ),
                said: Vec::new(),
            });
        }
        for &file in files {
            let len = listing.file(file).len;
            let mut body = Vec::with_capacity(len as usize); // at most `most`, see above
            self.source.fetch(file, 0, len, &mut Bytes::new(&mut body))?;
            if let Some(catalog) = self.samples.catalog {
                catalog.check(file, crc32c(&body))?; // what it becomes has a crc32c of its own
            }
            sample.fields.push((self.samples.field(file).into_owned(), body));
        }
        Ok(sample)
    }
}

/// The bodies and rows of a piece that is being made.
struct Writer<'s> {
    store: &'s LocalStore,
    key: String,
    /// There is none before the first body: filters change nothing.
    upload: Option<Box<dyn Upload>>,
    rows: Vec<Row>,
    len: u64,
}

impl Writer<'_> {
    /// Writes the bodies that are not what they were.
    fn changed(
        &mut self,
        sample: &Sample,
        fields: &[(String, Option<Range<usize>>)],
        label: Option<Label>,
        bytes: &[u8],
    ) -> Result<Row> {
        let label = label.filter(|label| *label != sample.label);
        let mut rows = Vec::new();
        for (name, place) in fields {
            let was = sample.fields.iter().position(|(known, _)| known == name);
            let before = was.and_then(|i| Some((i, &sample.fields.get(i)?.1[..])));
            let body = place.clone().map(|place| bytes.get(place).unwrap_or_default());
            rows.push(match (before, body) {
                (Some((i, before)), None) => unchanged(i, name, before),
                (Some((i, before)), Some(body)) if before == body => unchanged(i, name, before),
                (_, body) => self.write(name, body.unwrap_or_default())?,
            });
        }
        let same = |(i, field): (usize, &RowField)| field.at == At::Source(i as u32);
        let all = rows.len() == sample.fields.len() && rows.iter().enumerate().all(same);
        let became = if all && label.is_none() { Became::Kept } else { Became::Changed };
        let label = label.as_ref().map(Into::into);
        Ok(Row { key: sample.key.clone(), became, why: None, label, fields: rows })
    }

    fn write(&mut self, name: &str, body: &[u8]) -> Result<RowField> {
        let upload = match &self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.store.create(&self.key, None)?),
        };
        let at = self.len;
        upload.write_at(at, body)?;
        self.len += body.len() as u64;
        let (len, crc32c) = (body.len() as u64, crc32c(body));
        Ok(RowField { name: name.to_owned(), len, crc32c, at: At::Piece(at) })
    }
}

fn kept(sample: &Sample) -> Row {
    let fields = sample.fields.iter().enumerate();
    Row {
        key: sample.key.clone(),
        became: Became::Kept,
        why: None,
        label: None,
        fields: fields.map(|(i, (name, body))| unchanged(i, name, body)).collect(),
    }
}

fn unchanged(i: usize, name: &str, body: &[u8]) -> RowField {
    let (len, crc32c) = (body.len() as u64, crc32c(body));
    RowField { name: name.to_owned(), len, crc32c, at: At::Source(i as u32) }
}
