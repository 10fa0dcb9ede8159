//! Which objects are shards, and of which format.

use std::io::Read;

use shardpack_formats::{Compression, DecodeOptions, FormatOptions, Record, Schema, crc32c, mask};
use shardpack_store::{ObjectMeta, Store};

use crate::input::ShardReader;
use crate::{DatasetShard, Error, ForeignOptions, Result};

/// Shards of one format.
pub(crate) struct Found {
    pub(crate) format: String,
    pub(crate) shards: Vec<DatasetShard>,
}

/// What a name or the first bytes say.
type Guess = (Option<&'static str>, Option<Compression>);

/// Folders and files that are beside shards, never shards.
const NO_SHARDS: &[&str] = &["index", "sagemaker"];
/// Files that lie beside shards.
const BESIDE: &[&str] =
    &["idx", "index", "tfindex", "json", "txt", "tsv", "csv", "lst", "md", "yaml", "manifest"];

/// Files that are looked into before a folder counts as one without shards.
const MOST_STRANGERS: usize = 64;

/// Bytes that tell a format: a tar's first header.
const START: usize = 512;

/// Looks for shards under `prefix`.
pub(crate) fn shards(store: &dyn Store, prefix: &str, options: &ForeignOptions) -> Result<Found> {
    if let Some(format) = &options.format {
        shardpack_formats::open(format, &FormatOptions::default())?; // is there such a format?
    }
    let mut objects = store.list(prefix)?;
    let single = objects.len() == 1 && objects.first().is_some_and(|o| o.key == prefix);
    if !single {
        objects.retain(|object| may_be_shard(&object.key));
    }
    let place = || match prefix {
        "" => store.describe(),
        prefix => format!("{}/{prefix}", store.describe()),
    };
    if objects.is_empty() {
        return Err(Error::NotFound(format!("{}: no shard here", place())));
    }
    let by_name: Vec<Guess> = objects.iter().map(|o| by_name(&o.key)).collect();
    let named = by_name.iter().any(|guess| guess.0.is_some());
    let mut found: Option<(&str, String)> = None;
    let mut strangers = 0;
    let mut shards = Vec::new();
    for (object, (format, compression)) in objects.into_iter().zip(by_name) {
        // Where some names tell what they are, the others are something else.
        if format.is_none() && named && options.format.is_none() {
            continue;
        }
        let bytes = match format.is_some() && compression.is_some() {
            true => (None, None),
            false => by_bytes(store, &object.key)?,
        };
        let compression = options.compression.or(compression).or(bytes.1).unwrap_or_default();
        let format = match (&options.format, format.or(bytes.0)) {
            (Some(format), _) => format.as_str(),
            (None, Some(AMBIGUOUS)) => return Err(ambiguous(&object.key)),
            (None, Some(format)) => format,
            (None, None) if single => return Err(unknown(&object.key)),
            (None, None) => {
                strangers += 1;
                if strangers == MOST_STRANGERS && found.is_none() {
                    break; // a folder of other files, perhaps of millions
                }
                continue;
            }
        };
        if let Some((before, shard)) = found.as_ref().filter(|(before, _)| *before != format) {
            return Err(Error::Usage(format!(
                "{shard} is {before}, {} is {format}: say which with --format, or give one folder of each",
                object.key
            )));
        }
        found.get_or_insert((format, object.key.clone()));
        shards.push(shard(object, compression));
    }
    match found {
        Some((format, _)) => Ok(Found { format: format.to_owned(), shards }),
        None => Err(Error::NotFound(format!(
            "{}: no shard here that tells its format by name or first bytes; say which with --format",
            place()
        ))),
    }
}

fn shard(object: ObjectMeta, compression: Compression) -> DatasetShard {
    DatasetShard { path: object.key, split: None, bytes: object.len, compression }
}

/// Hidden files, our own folders and known companions are no shards.
fn may_be_shard(key: &str) -> bool {
    let hidden = key.split('/').any(|part| part.starts_with(['.', '_']));
    let first = key.split_once('/').map(|(first, _)| first);
    let beside = key.rsplit_once('.').is_some_and(|(_, extension)| BESIDE.contains(&extension));
    !hidden && !beside && first.is_none_or(|first| !NO_SHARDS.contains(&first))
}

/// Goes by the name: `a.tar.gz`, `mnist-train.tfrecord-00000-of-00010`.
fn by_name(key: &str) -> Guess {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name).to_ascii_lowercase();
    let (name, compression) = [
        (".gz", Compression::Gzip),
        (".zz", Compression::Zlib),
        (".zst", Compression::Zstd),
        (".tgz", Compression::Gzip),
    ]
    .into_iter()
    .find_map(|(end, compression)| {
        let end = if end == ".tgz" && name.ends_with(end) { "gz" } else { end };
        name.strip_suffix(end).map(|rest| (rest.to_owned(), Some(compression)))
    })
    .unwrap_or((name, None));
    let extension = unnumbered(&name).rsplit_once('.').map(|(_, extension)| extension);
    let format = match extension {
        // `.tgz` without its `gz`.
        Some("tar") => Some("webdataset"),
        Some("t") if compression == Some(Compression::Gzip) => Some("webdataset"),
        Some("tfrecord" | "tfrecords" | "record") => Some("tfrecord"),
        Some("rec") => Some("recordio"),
        Some("pbr") => Some("recordio-protobuf"),
        _ => None,
    };
    (format, compression)
}

/// The name without `-00000-of-00010`.
fn unnumbered(name: &str) -> &str {
    let cut = || {
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(count) && digits(number)).then_some(stem)
    };
    cut().unwrap_or(name)
}

/// Two formats have these bytes.
const AMBIGUOUS: &str = "recordio or recordio-protobuf";

/// Goes by the first bytes.
fn by_bytes(store: &dyn Store, key: &str) -> Result<Guess> {
    let object = store.open(key)?;
    let mut start = [0; START];
    let len = object.read_at(0, &mut start)?;
    let compression = Compression::detect(&start[..len]);
    let mut plain = Vec::new();
    let reader = compression.reader(Box::new(ShardReader::new(&*object, START)));
    // What cannot be decompressed is no shard that its bytes tell of.
    let _ = reader.and_then(|reader| reader.take(START as u64).read_to_end(&mut plain));
    Ok((format_of(&plain), Some(compression)))
}

fn format_of(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(&0xced7_230a_u32.to_le_bytes()) {
        return Some(AMBIGUOUS);
    }
    if let (Some(len), Some(crc)) = (start.first_chunk::<8>(), start.get(8..12))
        && mask(crc32c(len)).to_le_bytes() == crc
    {
        return Some("tfrecord");
    }
    is_tar(start).then_some("webdataset")
}

/// A header whose checksum holds; old tars have no magic. All zeroes is an empty tar.
fn is_tar(start: &[u8]) -> bool {
    let Some(header) = start.first_chunk::<512>() else { return false };
    if *header == [0; 512] {
        return true;
    }
    let sum = |bytes: &[u8]| bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
    let computed = sum(&header[..148]) + 8 * u64::from(b' ') + sum(&header[156..]);
    let digits = String::from_utf8_lossy(&header[148..156]);
    let digits = digits.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).is_ok_and(|stored| stored == computed)
}

/// The payload of foreign TFRecords: an Example, or anything.
pub(crate) fn schema(store: &dyn Store, shards: &[DatasetShard]) -> Result<Schema> {
    let Some(shard) = shards.iter().find(|shard| shard.bytes > 0) else {
        return Ok(Schema::default());
    };
    let object = store.open(&shard.path)?;
    // Reads up to the first record for which `enough` holds: its number.
    let read = |schema: Schema, enough: &dyn Fn(u64, &Record) -> bool| {
        let mut options = FormatOptions::default();
        options.schema = schema;
        let format = shardpack_formats::open("tfrecord", &options).ok()?;
        let input = ShardReader::new(&*object, 64 << 10);
        let input = shard.compression.reader(Box::new(input)).ok()?;
        let mut decoder = format.decoder(input, &DecodeOptions::default());
        let mut record = Record::default();
        (0..).find_map(|number| match decoder.read(&mut record) {
            Ok(true) => enough(number, &record).then_some(Some(number)),
            _ => Some(None),
        })?
    };
    // An empty payload is an empty Example too, so it proves nothing.
    let telling = read(Schema::Raw, &|_, record| !record.sample.bytes.is_empty());
    let is_example = |n| read(Schema::Fields, &|number, _| number == n).is_some();
    Ok(match telling {
        Some(number) if !is_example(number) => Schema::Raw,
        _ => Schema::Fields,
    })
}

fn ambiguous(key: &str) -> Error {
    Error::Usage(format!(
        "{key}: these may be MXNet's or SageMaker's records, the bytes are the same; say which with --format recordio or --format recordio-protobuf"
    ))
}

fn unknown(key: &str) -> Error {
    Error::Usage(format!(
        "{key}: neither the name nor the first bytes tell the format; say which with --format ({})",
        shardpack_formats::NAMES.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use shardpack_store::{MemoryStore, PutMode};

    use super::*;
    use crate::Dataset;

    #[test]
    fn names_tell() {
        let (gz, zz, zst) = (Compression::Gzip, Compression::Zlib, Compression::Zstd);
        for (name, want) in [
            ("a.tar", (Some("webdataset"), None)),
            ("d/a.TAR.GZ", (Some("webdataset"), Some(gz))),
            ("a.tgz", (Some("webdataset"), Some(gz))),
            ("a.tar.zst", (Some("webdataset"), Some(zst))),
            ("a-000.tfrecord", (Some("tfrecord"), None)),
            ("mnist-train.tfrecord-00000-of-00010", (Some("tfrecord"), None)),
            ("x.record-00000-of-00010", (Some("tfrecord"), None)),
            ("a.tfrecords.zz", (Some("tfrecord"), Some(zz))),
            ("a.rec", (Some("recordio"), None)),
            ("a.pbr", (Some("recordio-protobuf"), None)),
            ("train-00000-of-01024", (None, None)),
            ("a.jpg", (None, None)),
            ("a.t", (None, None)),
            ("tgz", (None, None)),
        ] {
            assert_eq!(by_name(name), want, "{name}");
        }
    }

    #[test]
    fn companions_are_no_shards() {
        for (key, want) in [
            ("shards/a.tar", true),
            ("a-00000-of-00001", true),
            ("shards/a.idx", false),
            (".shardpack/shards/a.tar", false),
            ("_tmp/a.tar", false),
            ("index/a.tar.index", false),
            ("sagemaker/shards.manifest", false),
            ("index", true),
        ] {
            assert_eq!(may_be_shard(key), want, "{key}");
        }
    }

    #[test]
    fn bytes_tell() {
        let mut tar = [0; 512];
        tar[0] = b'a';
        tar[148..155].copy_from_slice(b"000601 ");
        let sum = u64::from(b'a') + 8 * 32;
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(format_of(&tar), Some("webdataset"));
        tar[1] = 1;
        assert_eq!(format_of(&tar), None);
        assert_eq!(format_of(&[0; 512]), Some("webdataset"));
        assert_eq!(format_of(b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0e"), Some("tfrecord"));
        assert_eq!(format_of(b"\x0a\x23\xd7\xce\0\0\0\0"), Some(AMBIGUOUS));
        assert_eq!(format_of(b""), None);
    }

    #[test]
    fn formats_are_found_or_asked_for() {
        let store = MemoryStore::new();
        let put = |key: &str, bytes: &[u8]| store.put(key, bytes, PutMode::Replace).unwrap();
        let foreign = |prefix: &str, options: &ForeignOptions| {
            Dataset::foreign(&store, prefix, options)
                .map(|d| (d.format(), d.shards().len()))
                .map_err(|e| e.to_string())
        };
        let any = ForeignOptions::default();
        assert!(foreign("", &any).unwrap_err().contains("no shard here"));
        put("r/x", b"\x0a\x23\xd7\xce\0\0\0\0");
        assert!(foreign("r", &any).unwrap_err().contains("--format recordio or"));
        for format in ["recordio", "recordio-protobuf"] {
            let named = ForeignOptions { format: Some(format.into()), ..Default::default() };
            assert_eq!(foreign("r/x", &named), Ok((format, 1)));
        }
        put("s/a.rec", b"");
        put("s/a.idx", b"0\t0\n");
        put("s/b.pbr", b"");
        assert!(foreign("s", &any).unwrap_err().contains("s/b.pbr is recordio-protobuf"));
        assert_eq!(foreign("s/a.rec", &any), Ok(("recordio", 1)));
        put("t/noise", b"hello");
        assert!(foreign("t", &any).unwrap_err().contains("--format"));
        assert!(foreign("t/noise", &any).unwrap_err().contains("neither the name nor"));
        let unknown = ForeignOptions { format: Some("zip".into()), ..Default::default() };
        let error = Dataset::foreign(&store, "s", &unknown).unwrap_err();
        assert!(matches!(error, Error::Format(_)), "{error:?}");
    }
}
