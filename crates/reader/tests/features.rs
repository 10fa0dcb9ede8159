//! What a program that was built without a feature says when it is asked for it. `.ci/run` runs
//! this without `s3`.

use shardpack_reader::{Channel, Error, ReadOptions, Reader};

/// Addresses are no paths in any build, and a build without S3 says what it lacks.
#[test]
fn an_s3_address_needs_the_feature_and_is_never_taken_for_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ReadOptions::default();
    options.manifest = Some("S3://".to_owned()); // with S3: no bucket, so nothing is asked
    let place = folder.path().to_str().unwrap();
    let channel = Channel::find("train", Some(place), &|_| None).unwrap();
    let errors = [
        Reader::open("s3://", ReadOptions::default()).unwrap_err(),
        Reader::open(place, options.clone()).unwrap_err(),
        channel.reader(options).unwrap_err(),
    ];
    for error in errors {
        let missing = error.to_string().ends_with(
            "this program was built without S3; build shardpack-reader with its feature `s3`",
        );
        assert_eq!(missing, cfg!(not(feature = "s3")), "{error}");
        assert_eq!(missing, matches!(error, Error::Usage(_)), "{error}");
        assert!(!matches!(error, Error::NotFound(_)), "{error}");
    }
}
