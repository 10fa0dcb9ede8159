//! Rows of Parquet: columns of numbers, booleans and text.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};
use shardpack_store::Object;

use super::rows::{Cell, TakeRow, bad};
use crate::{Error, Result};

/// Rows, whose lines count from 1. Columns that cannot be told as text or JSON are there all the
/// same, as [`Cell::Unfit`], and are not read.
pub(super) fn rows(object: &Arc<dyn Object>, name: &str, take: &mut TakeRow<'_>) -> Result<()> {
    let broken = |e: ParquetError| Error::Usage(format!("{name}: no Parquet that can be read: {e}"));
    let file = SerializedFileReader::new(File(Arc::clone(object))).map_err(broken)?;
    let schema = file.metadata().file_metadata().schema();
    let columns: Vec<(String, Option<&'static str>)> =
        schema.get_fields().iter().map(|column| (column.name().to_owned(), unfit(column))).collect();
    let fit: Vec<TypePtr> =
        schema.get_fields().iter().filter(|column| unfit(column).is_none()).cloned().collect();
    if fit.is_empty() {
        return Err(Error::Usage(format!("{name}: no column holds numbers, booleans or text")));
    }
    let projection =
        Type::group_type_builder(schema.name()).with_fields(fit).build().map_err(broken)?;
    let rows = RowIter::from_file_into(Box::new(file)).project(Some(projection)).map_err(broken)?;
    for (line, row) in (1..).zip(rows) {
        let values = row.map_err(|e| bad(name, line, e))?.into_columns();
        let texts: Vec<Option<String>> = values.iter().map(|(_, field)| told(field)).collect();
        let mut cells = values.iter().zip(&texts).map(|((_, field), text)| {
            let text = text.as_deref()?;
            Some(if matches!(field, Field::Str(_)) { Cell::Text(text) } else { Cell::Json(text) })
        });
        let cells: Vec<(&str, Option<Cell<'_>>)> = (columns.iter())
            .map(|(column, unfit)| {
                (column.as_str(), unfit.map_or_else(|| cells.next().flatten(), |what| Some(Cell::Unfit(what))))
            })
            .collect();
        take(line, &cells)?;
    }
    Ok(())
}

/// What a column holds that cannot be taken; none where it can.
fn unfit(column: &Type) -> Option<&'static str> {
    let info = column.get_basic_info();
    if column.is_group() {
        return Some("lists or structures");
    }
    if info.has_repetition() && info.repetition() == parquet::basic::Repetition::REPEATED {
        return Some("lists");
    }
    match info.logical_type_ref() {
        None | Some(LogicalType::Integer { .. } | LogicalType::String | LogicalType::Enum | LogicalType::Json) => {}
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

/// A value as text, or as JSON spells it; none for null, and for what JSON has no number for.
fn told(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Bool(_)
        | Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => Some(field.to_string()),
        // Written as a float, 0.1 is 0.1 and not the double next to it.
        Field::Float(value) if value.is_finite() => serde_json::to_string(value).ok(),
        Field::Double(value) if value.is_finite() => serde_json::to_string(value).ok(),
        _ => None,
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
        let read = self.0.read_at(start, &mut bytes).map_err(|e| ParquetError::External(e.into()))?;
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
