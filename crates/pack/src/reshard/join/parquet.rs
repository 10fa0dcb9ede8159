//! Rows of Parquet: columns of numbers, booleans and text.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::{ColumnDescPtr, Type};
use serde::Serialize;
use shardpack_store::Object;

use super::rows::{Cell, TakeRow, bad};
use crate::{Error, Result};

/// Rows that are decoded at a time.
const BATCH: usize = 1024;

/// Rows, whose lines count from 1. Columns that cannot be told as text or JSON are there all the
/// same, as [`Cell::Unfit`], and are not read.
///
/// Columns are read one by one: the reader of whole rows takes every value for granted.
pub(super) fn rows(object: &Arc<dyn Object>, name: &str, take: &mut TakeRow<'_>) -> Result<()> {
    let broken =
        |e: ParquetError| Error::Usage(format!("{name}: no Parquet that can be read: {e}"));
    let file = guarded(|| SerializedFileReader::new(File(Arc::clone(object)))).map_err(broken)?;
    let fields = file.metadata().file_metadata().schema().get_fields();
    let columns: Vec<(&str, Option<&'static str>)> =
        fields.iter().map(|column| (column.name(), unfit(column))).collect();
    let mut line = 0;
    for group in 0..file.num_row_groups() {
        let group = guarded(|| file.get_row_group(group)).map_err(broken)?;
        let mut readers = guarded(|| readers(&*group, &columns)).map_err(broken)?;
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while left > 0 {
            let count = left.min(BATCH);
            let read = |reader: &mut Option<Reader>| match reader {
                Some((column, reader)) => read(column, reader, count),
                None => Ok(Vec::new()),
            };
            let cells = guarded(|| readers.iter_mut().map(read).collect::<ParquetResult<Vec<_>>>());
            let cells = cells.map_err(|e| bad(name, line + 1, e))?;
            for row in 0..count {
                line += 1;
                let row: Vec<(&str, Option<Cell<'_>>)> = (cells.iter().zip(&columns))
                    .map(|(cells, (column, unfit))| match unfit {
                        Some(what) => (*column, Some(Cell::Unfit(what))),
                        None => (*column, cells.get(row).and_then(Told::cell)),
                    })
                    .collect();
                take(line, &row)?;
            }
            left -= count;
        }
    }
    Ok(())
}

/// Calls the library, which asserts instead of returning an error where some lengths in a file make
/// no sense. What it worked on is not used any more then.
fn guarded<T>(work: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(ParquetError::General("lengths in it make no sense".into())))
}

/// A column, and what reads it.
type Reader = (ColumnDescPtr, ColumnReader);

/// A reader for each column that is fit. A structure has several columns below it, of which none is.
fn readers(
    group: &dyn RowGroupReader,
    columns: &[(&str, Option<&'static str>)],
) -> ParquetResult<Vec<Option<Reader>>> {
    let mut readers: Vec<Option<Reader>> = columns.iter().map(|_| None).collect();
    for leaf in 0..group.num_columns() {
        let column = group.metadata().column(leaf).column_descr_ptr();
        let path = column.path().parts();
        let at = columns.iter().position(|(name, unfit)| unfit.is_none() && path == [*name]);
        if let Some(reader) = at.and_then(|at| readers.get_mut(at)) {
            *reader = Some((Arc::clone(&column), group.get_column_reader(leaf)?));
        }
    }
    Ok(readers)
}

/// A value as text, or as JSON spells it; nothing for null and for what JSON has no number for.
enum Told {
    Text(String),
    Json(String),
    Nothing,
}

impl Told {
    fn cell(&self) -> Option<Cell<'_>> {
        match self {
            Self::Text(text) => Some(Cell::Text(text)),
            Self::Json(json) => Some(Cell::Json(json)),
            Self::Nothing => None,
        }
    }

    fn text(value: &ByteArray) -> ParquetResult<Self> {
        Ok(Self::Text(value.as_utf8()?.to_owned()))
    }

    /// A float becomes the shortest number that is the same float, not the double next to it.
    fn json(value: &impl Serialize) -> ParquetResult<Self> {
        match serde_json::to_string(value) {
            Ok(json) if json != "null" => Ok(Self::Json(json)),
            _ => Ok(Self::Nothing),
        }
    }
}

/// Reads `count` values of a column.
fn read(
    column: &ColumnDescPtr,
    reader: &mut ColumnReader,
    count: usize,
) -> ParquetResult<Vec<Told>> {
    let optional = column.max_def_level() > 0;
    let unsigned = is_unsigned(column);
    match reader {
        ColumnReader::BoolColumnReader(reader) => batch(reader, optional, count, Told::json),
        ColumnReader::Int32ColumnReader(reader) if unsigned => {
            batch(reader, optional, count, |n| Told::json(&(*n as u32)))
        }
        ColumnReader::Int32ColumnReader(reader) => batch(reader, optional, count, Told::json),
        ColumnReader::Int64ColumnReader(reader) if unsigned => {
            batch(reader, optional, count, |n| Told::json(&(*n as u64)))
        }
        ColumnReader::Int64ColumnReader(reader) => batch(reader, optional, count, Told::json),
        ColumnReader::FloatColumnReader(reader) => batch(reader, optional, count, Told::json),
        ColumnReader::DoubleColumnReader(reader) => batch(reader, optional, count, Told::json),
        ColumnReader::ByteArrayColumnReader(reader) => batch(reader, optional, count, Told::text),
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err(ParquetError::General("a column of another type than the schema says".into()))
        }
    }
}

/// Values of a column that is not nested: what is defined follows without gaps.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    optional: bool,
    count: usize,
    tell: impl Fn(&T::T) -> ParquetResult<Told>,
) -> ParquetResult<Vec<Told>> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut records = 0;
    while records < count {
        let levels = optional.then_some(&mut levels);
        match reader.read_records(count - records, levels, None, &mut values)? {
            (0, ..) => return Err(ParquetError::EOF(format!("{records} values of {count}"))),
            (more, ..) => records += more,
        }
    }
    let mut values = values.iter();
    let mut next = || match values.next() {
        Some(value) => tell(value),
        None => Err(ParquetError::EOF("fewer values than are defined".into())),
    };
    match optional {
        true => levels.iter().map(|l| if *l > 0 { next() } else { Ok(Told::Nothing) }).collect(),
        false => (0..count).map(|_| next()).collect(),
    }
}

fn is_unsigned(column: &ColumnDescPtr) -> bool {
    matches!(
        column.converted_type(),
        ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    )
}

/// What a column holds that cannot be taken; none where it can.
fn unfit(column: &Type) -> Option<&'static str> {
    let info = column.get_basic_info();
    if column.is_group() {
        return Some("lists or structures");
    }
    if info.has_repetition() && info.repetition() == Repetition::REPEATED {
        return Some("lists");
    }
    match info.logical_type_ref() {
        None
        | Some(
            LogicalType::Integer { .. }
            | LogicalType::String
            | LogicalType::Enum
            | LogicalType::Json,
        ) => {}
        Some(_) => return Some("dates, times, decimals or other kinds of values"),
    }
    let whole = matches!(
        info.converted_type(),
        ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64
            | ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    );
    match (column.get_physical_type(), info.converted_type()) {
        (PhysicalType::BOOLEAN | PhysicalType::FLOAT | PhysicalType::DOUBLE, _) => None,
        (PhysicalType::INT32 | PhysicalType::INT64, _) if whole => None,
        (
            PhysicalType::BYTE_ARRAY,
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON,
        ) => None,
        (PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY, ConvertedType::NONE) => {
            Some("bytes")
        }
        _ => Some("dates, times, decimals or other kinds of values"),
    }
}

/// A store's object as the reader wants it.
struct File(Arc<dyn Object>);

impl Length for File {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for File {
    type T = Rest;

    fn get_read(&self, start: u64) -> ParquetResult<Rest> {
        Ok(Rest { object: Arc::clone(&self.0), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // The length comes from the file.
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.len()) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are past the end")));
        }
        let mut bytes = vec![0; length];
        let read =
            self.0.read_at(start, &mut bytes).map_err(|e| ParquetError::External(e.into()))?;
        match read == length {
            true => Ok(bytes.into()),
            false => Err(ParquetError::EOF(format!("{read} bytes of {length} at {start}"))),
        }
    }
}

/// An object from some offset on.
struct Rest {
    object: Arc<dyn Object>,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.object.read_at(self.at, out).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}
