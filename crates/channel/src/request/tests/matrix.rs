//! Every cell of the table of sources, options and input modes, and the limits of one channel.

use shardpack_manifest::sagemaker::Word;

use super::*;

fn file_system(kind: FileSystemType) -> DataSource {
    let (id, access) = ("fs-0123456789abcdef0".into(), AccessMode::ReadOnly);
    DataSource::FileSystem(FileSystemSource { id, kind, access, path: "/fsx/train".into() })
}

/// A channel that has what its type needs, and nothing else.
fn channel(data_type: DataType, mode: InputMode) -> ChannelRequest {
    let mut channel = ChannelRequest::s3("train", "s3://b/train/", mode);
    let source = channel.s3_mut().unwrap();
    source.data_type = data_type;
    if data_type == DataType::AugmentedManifestFile {
        source.attribute_names = vec!["image-ref".into(), "label".into()];
    }
    channel
}

fn refused(channel: &ChannelRequest) -> Vec<String> {
    said(&channel.check().err().unwrap_or_default())
}

#[test]
fn every_source_in_every_mode() {
    const TYPE: &str = "DataSource.S3DataSource.S3DataType: ";
    const PREFIX_ONLY: &str = "FastFile takes S3Prefix only";
    const STREAMED: &str = "an augmented manifest is streamed only";
    const CONVERSE: &str = "Converse is data to tune language models with, not a layout of files";
    for (data_type, [file, fast_file, pipe]) in [
        (DataType::S3Prefix, ["", "", ""]),
        (DataType::ManifestFile, ["", PREFIX_ONLY, ""]),
        (DataType::AugmentedManifestFile, [STREAMED, STREAMED, ""]),
        (DataType::Converse, [CONVERSE; 3]),
    ] {
        let cells =
            [(InputMode::File, file), (InputMode::FastFile, fast_file), (InputMode::Pipe, pipe)];
        for (mode, rule) in cells {
            let wanted: Vec<_> = Some(rule)
                .filter(|r| !r.is_empty())
                .map(|r| format!("{TYPE}{r}"))
                .into_iter()
                .collect();
            assert_eq!(refused(&channel(data_type, mode)), wanted, "{data_type} {mode}");
        }
    }
    for kind in FileSystemType::ALL {
        for mode in InputMode::ALL {
            let found = refused(&ChannelRequest::new("train", file_system(*kind), *mode));
            let wanted = match mode {
                InputMode::File => vec![],
                _ => vec![format!("InputMode: {kind} is mounted in File mode only")],
            };
            assert_eq!(found, wanted, "{kind} {mode}");
        }
    }
    let hub = ChannelRequest::new("train", DataSource::Dataset("arn:x".into()), InputMode::File);
    assert_eq!(
        refused(&hub),
        ["DataSource.DatasetSource: a dataset of a hub has no layout of files that is documented"]
    );
}

/// One option of a request.
type Set = fn(&mut ChannelRequest);

const GZIP: Set = |c| c.compression = CompressionType::Gzip;
const WRAPPED: Set = |c| c.wrapper = RecordWrapper::RecordIo;
const SHUFFLED: Set = |c| c.shuffle_seed = Some(7);
const SHARDED: Set = |c| {
    if let Some(source) = c.s3_mut() {
        source.distribution = Distribution::ShardedByS3Key;
    }
};
const NAMED: Set = |c| {
    if let Some(source) = c.s3_mut() {
        source.attribute_names = vec!["a".into()];
    }
};
const GROUPED: Set = |c| {
    if let Some(source) = c.s3_mut() {
        source.instance_groups = vec!["gpu".into()];
    }
};

#[test]
fn every_option_in_every_mode() {
    const INFLATES: &str = "delivers objects as they are: only Pipe inflates";
    const WRAPS: &str = "delivers objects as they are: only Pipe wraps them";
    const ATTRIBUTES: &str =
        "DataSource.S3DataSource.AttributeNames: attributes are those of an augmented manifest";
    for (option, [file, fast_file, pipe]) in [
        (
            GZIP,
            [
                format!("CompressionType: File {INFLATES}"),
                format!("CompressionType: FastFile {INFLATES}"),
                String::new(),
            ],
        ),
        (
            WRAPPED,
            [
                format!("RecordWrapperType: File {WRAPS}"),
                format!("RecordWrapperType: FastFile {WRAPS}"),
                String::new(),
            ],
        ),
        (SHUFFLED, Default::default()),
        (SHARDED, Default::default()),
        (NAMED, [ATTRIBUTES; 3].map(String::from)),
        (GROUPED, Default::default()),
    ] {
        let cells =
            [(InputMode::File, file), (InputMode::FastFile, fast_file), (InputMode::Pipe, pipe)];
        for (mode, rule) in cells {
            let mut channel = channel(DataType::S3Prefix, mode);
            option(&mut channel);
            let wanted: Vec<_> = Some(rule).filter(|rule| !rule.is_empty()).into_iter().collect();
            assert_eq!(refused(&channel), wanted, "{channel:?}");
        }
    }
    // With a manifest, and all that goes with an augmented one.
    for option in [GZIP, WRAPPED, SHUFFLED, SHARDED] {
        let mut manifest = channel(DataType::ManifestFile, InputMode::Pipe);
        let mut augmented = channel(DataType::AugmentedManifestFile, InputMode::Pipe);
        option(&mut manifest);
        option(&mut augmented);
        assert_eq!((refused(&manifest).len(), refused(&augmented).len()), (0, 0));
    }
    let mut mounted =
        ChannelRequest::new("train", file_system(FileSystemType::Efs), InputMode::File);
    GZIP(&mut mounted);
    WRAPPED(&mut mounted);
    assert_eq!(refused(&mounted).len(), 2);
}

#[test]
fn doubts_are_told_and_not_refused() {
    let doubts = |data_type, mode, option: Set| {
        let mut channel = channel(data_type, mode);
        option(&mut channel);
        assert_eq!(channel.check(), Ok(()));
        said(&channel.doubts())
    };
    let prefix = |mode, option| doubts(DataType::S3Prefix, mode, option);
    let augmented = |option| doubts(DataType::AugmentedManifestFile, InputMode::Pipe, option);
    for mode in InputMode::ALL {
        assert_eq!(prefix(*mode, |_| ()), Vec::<String>::new());
    }
    const SEED: &str = "ShuffleConfig.Seed: ";
    const SOURCE: &str = "DataSource.S3DataSource.";
    for (found, wanted) in [
        (prefix(InputMode::Pipe, SHUFFLED), String::new()),
        (
            prefix(InputMode::File, SHUFFLED),
            format!("{SEED}a copy has no order: with File it shows only in which host gets what"),
        ),
        (prefix(InputMode::FastFile, SHUFFLED), format!("{SEED}is not documented for FastFile")),
        (prefix(InputMode::File, SHARDED), String::new()),
        (
            prefix(InputMode::FastFile, SHARDED),
            format!("{SOURCE}S3DataDistributionType: is not documented for FastFile"),
        ),
        (prefix(InputMode::File, |c| c.s3_mut().unwrap().uri = "s3://b/x".into()), String::new()),
        (
            prefix(InputMode::FastFile, |c| c.s3_mut().unwrap().uri = "s3://b/x".into()),
            format!(
                "{SOURCE}S3Uri: FastFile takes a folder or exactly one key, and refuses the beginning of names"
            ),
        ),
        (augmented(WRAPPED), String::new()),
        (
            augmented(|_| ()),
            "RecordWrapperType: attributes run together: nothing tells where one ends".into(),
        ),
        (
            augmented(|c| {
                WRAPPED(c);
                c.s3_mut().unwrap().attribute_names.push("label".into());
            }),
            format!("{SOURCE}AttributeNames[2]: an attribute twice is not documented"),
        ),
    ] {
        assert_eq!(found, Vec::from_iter((!wanted.is_empty()).then_some(wanted)));
    }
    let mut mounted = ChannelRequest::new("t", file_system(FileSystemType::Efs), InputMode::File);
    SHUFFLED(&mut mounted);
    assert_eq!(said(&mounted.doubts()), [format!("{SEED}is not documented for file systems")]);
}

#[test]
fn limits_of_a_channel() {
    fn s3(edit: impl Fn(&mut S3Source)) -> ChannelRequest {
        let mut channel = channel(DataType::AugmentedManifestFile, InputMode::Pipe);
        edit(channel.s3_mut().unwrap());
        channel
    }
    fn mounted(kind: FileSystemType, id: &str, path: &str) -> ChannelRequest {
        let (id, path) = (id.to_owned(), path.to_owned());
        let source = FileSystemSource { id, kind, access: AccessMode::ReadWrite, path };
        ChannelRequest::new("train", DataSource::FileSystem(source), InputMode::File)
    }
    let named = |name: &str| ChannelRequest::s3(name, "s3://b/", InputMode::File);
    let typed = |len| ChannelRequest { content_type: Some("\u{e9}".repeat(len)), ..named("train") };
    let names = |count, len| vec!["n".repeat(len); count];
    let uri = |uri: &str| s3(|s| s.uri = uri.to_owned());
    let (efs, fsx) = (FileSystemType::Efs, FileSystemType::FSxLustre);
    let id = "fs-01234567";
    for (good, bad, at) in [
        (named("a"), named(""), "ChannelName"),
        (named(&"n".repeat(64)), named(&"n".repeat(65)), "ChannelName"),
        (named("a.b-c_D9"), named("a/b"), "ChannelName"),
        (named("..."), named(".."), "ChannelName"),
        (typed(256), typed(257), "ContentType"),
        (uri("s3://b"), uri("s3://"), "S3Uri"),
        (uri("https://h/b"), uri("http://h/b"), "S3Uri"),
        (uri("s3://b//"), uri("s3:///b"), "S3Uri"),
        (uri("s3://b/\u{e9} ?"), uri("s3://b/a\nb"), "S3Uri"),
        (
            uri(&format!("s3://b/{}", "k".repeat(1017))),
            uri(&format!("s3://b/{}", "k".repeat(1018))),
            "S3Uri",
        ),
        (
            s3(|s| s.attribute_names = names(16, 1)),
            s3(|s| s.attribute_names = names(17, 1)),
            "AttributeNames",
        ),
        (
            s3(|s| s.attribute_names = names(1, 256)),
            s3(|s| s.attribute_names = names(1, 257)),
            "AttributeNames[0]",
        ),
        (s3(|_| ()), s3(|s| s.attribute_names = names(1, 0)), "AttributeNames[0]"),
        (s3(|_| ()), s3(|s| s.attribute_names.clear()), "AttributeNames"),
        (
            s3(|s| s.instance_groups = names(5, 64)),
            s3(|s| s.instance_groups = names(6, 64)),
            "InstanceGroupNames",
        ),
        (s3(|_| ()), s3(|s| s.instance_groups = names(1, 65)), "InstanceGroupNames[0]"),
        (mounted(efs, id, "/"), mounted(efs, "fs-0123456", "/"), "FileSystemId"),
        (
            mounted(efs, "fs-0123456789abcdef01", "/"),
            mounted(efs, "fs-0123456789abcdef012", "/"),
            "FileSystemId",
        ),
        (mounted(efs, id, "/d"), mounted(efs, "fs-0123456G", "/d"), "FileSystemId"),
        (mounted(efs, id, "/d"), mounted(efs, id, "d"), "DirectoryPath"),
        (mounted(fsx, id, "/fsx"), mounted(fsx, id, "/"), "DirectoryPath"),
        (
            mounted(fsx, id, &format!("/{}", "p".repeat(4095))),
            mounted(fsx, id, &format!("/{}", "p".repeat(4096))),
            "DirectoryPath",
        ),
    ] {
        assert_eq!(refused(&good), Vec::<String>::new(), "{good:?}");
        let violations = bad.check().unwrap_err();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].field.ends_with(at), "{violations:?}");
        assert!(violations[0].value.len() < 170, "cut for messages");
    }
}
