//! Every cell of the table of sources, modes and options, as requests in JSON. The cells are
//! enumerated and the verdicts counted, so that none can be forgotten and none can change unseen.

use serde_json::{Value, json};
use shardpack_channel::{ErrorKind, InputMode, JobRequest};

const MODES: [&str; 3] = ["File", "FastFile", "Pipe"];

/// What the modes say to a source, in the order of [`MODES`]: what SageMaker's API reference and
/// developer guide say of `S3DataType`, `FileSystemDataSource` and `InputMode`.
const SOURCES: [(&str, [bool; 3]); 7] = [
    ("S3Prefix", [true, true, true]),
    ("ManifestFile", [true, false, true]),
    ("AugmentedManifestFile", [false, false, true]),
    ("Converse", [false, false, false]),
    ("EFS", [true, false, false]),
    ("FSxLustre", [true, false, false]),
    ("DatasetSource", [false, false, false]),
];

/// One cell.
#[derive(Clone, Copy, Debug)]
struct Cell {
    source: &'static str,
    mode: &'static str,
    gzip: bool,
    wrapped: bool,
    shuffled: bool,
    /// Only S3 has these.
    sharded: bool,
    attributes: bool,
    groups: bool,
}

impl Cell {
    fn is_s3(self) -> bool {
        !matches!(self.source, "EFS" | "FSxLustre" | "DatasetSource")
    }

    /// All cells: whatever can be combined.
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for (source, _) in SOURCES {
            for mode in MODES {
                for options in 0..64u32 {
                    let [gzip, wrapped, shuffled, sharded, attributes, groups] =
                        std::array::from_fn(|bit| options & (1 << bit) != 0);
                    let cell =
                        Self { source, mode, gzip, wrapped, shuffled, sharded, attributes, groups };
                    if cell.is_s3() || !(sharded || attributes || groups) {
                        cells.push(cell);
                    }
                }
            }
        }
        cells
    }

    fn request(self) -> Value {
        let mut source = match self.source {
            "EFS" | "FSxLustre" => json!({"FileSystemDataSource": {
                "FileSystemId": "fs-0123456789abcdef0",
                "FileSystemType": self.source,
                "FileSystemAccessMode": "ro",
                "DirectoryPath": "/fsx/train",
            }}),
            "DatasetSource" => json!({"DatasetSource": {"DatasetArn": "arn:aws:x"}}),
            data_type => json!({"S3DataSource": {
                "S3DataType": data_type,
                "S3Uri": "s3://bucket/train/",
                "S3DataDistributionType":
                    if self.sharded { "ShardedByS3Key" } else { "FullyReplicated" },
            }}),
        };
        if self.attributes {
            source["S3DataSource"]["AttributeNames"] = json!(["image-ref", "label"]);
        }
        if self.groups {
            source["S3DataSource"]["InstanceGroupNames"] = json!(["gpu"]);
        }
        let mut channel = json!({
            "ChannelName": "train",
            "InputMode": self.mode,
            "DataSource": source,
            "CompressionType": if self.gzip { "Gzip" } else { "None" },
            "RecordWrapperType": if self.wrapped { "RecordIO" } else { "None" },
        });
        if self.shuffled {
            channel["ShuffleConfig"] = json!({"Seed": 7});
        }
        json!([channel])
    }

    /// The fields that must be refused, sorted.
    fn refused(self) -> Vec<&'static str> {
        let mut fields = Vec::new();
        let place = MODES.iter().position(|mode| *mode == self.mode).unwrap();
        let (_, modes) = SOURCES.iter().find(|(source, _)| *source == self.source).unwrap();
        if !modes[place] {
            fields.push(match self.source {
                "EFS" | "FSxLustre" => "InputMode",
                "DatasetSource" => "DatasetSource",
                _ => "S3DataType",
            });
        }
        if self.is_s3() && self.attributes != (self.source == "AugmentedManifestFile") {
            fields.push("AttributeNames");
        }
        if self.mode != "Pipe" {
            fields.extend(self.gzip.then_some("CompressionType"));
            fields.extend(self.wrapped.then_some("RecordWrapperType"));
        }
        fields.sort_unstable();
        fields
    }

    /// The fields of a request that is taken which are told as doubtful, sorted.
    fn doubted(self) -> Vec<&'static str> {
        let mut fields = Vec::new();
        // Documented for Pipe; for File as the order that objects are divided in.
        if self.shuffled && self.mode != "Pipe" {
            fields.push("Seed");
        }
        if self.sharded && self.mode == "FastFile" {
            fields.push("S3DataDistributionType");
        }
        if self.source == "AugmentedManifestFile" && !self.wrapped {
            fields.push("RecordWrapperType");
        }
        fields.sort_unstable();
        fields
    }
}

/// The last part of each field, sorted.
fn names<'f>(fields: impl Iterator<Item = &'f str>) -> Vec<&'f str> {
    let mut names: Vec<&str> =
        fields.map(|field| field.rsplit_once('.').map_or(field, |(_, name)| name)).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_cell_has_its_verdict() {
    let cells = Cell::all();
    // Four sources on S3 with six options, three others with three.
    assert_eq!(cells.len(), 4 * 3 * 64 + 3 * 3 * 8);
    let (mut fine, mut doubtful, mut refused) = (0, 0, 0);
    for cell in cells {
        let request = cell.request().to_string();
        match JobRequest::parse_channels(request.as_bytes(), InputMode::File) {
            Ok(job) => {
                assert_eq!(cell.refused(), [""; 0], "taken: {cell:?}");
                let doubts = job.doubts();
                assert_eq!(names(doubts.iter().map(|d| &*d.field)), cell.doubted(), "{cell:?}");
                if doubts.is_empty() { fine += 1 } else { doubtful += 1 }
            }
            Err(error) => {
                let ErrorKind::Refused { violations } = error.kind() else { panic!("{error}") };
                let fields = names(violations.iter().map(|v| &*v.field));
                assert_eq!(fields, cell.refused(), "{cell:?}");
                refused += 1;
            }
        }
    }
    // By hand, of the options that go with each: shuffle, sharding and groups with all of S3; Gzip
    // and RecordIO only with Pipe; attributes with an augmented manifest and nothing else.
    //                 File  FastFile  Pipe
    // S3Prefix           8         8    32
    // ManifestFile       8               32
    // Augmented                          32
    // EFS, FSx       2 + 2
    assert_eq!(fine + doubtful, 20 + 8 + 96);
    // Shuffled: half of what is not Pipe; FastFile sharded: half of the rest; attributes without
    // a frame: half.
    assert_eq!(doubtful, (4 + 4 + 2) + 6 + 16);
    assert_eq!(refused, 840 - 124);
}

/// The mode of the job is that of a channel without one.
#[test]
fn a_channel_without_a_mode_is_judged_by_the_jobs() {
    for cell in Cell::all() {
        let mut request = cell.request();
        request[0].as_object_mut().unwrap().remove("InputMode");
        let mode: InputMode = cell.mode.parse().unwrap();
        let verdict = JobRequest::parse_channels(request.to_string().as_bytes(), mode);
        assert_eq!(verdict.is_ok(), cell.refused().is_empty(), "{cell:?}");
    }
}
