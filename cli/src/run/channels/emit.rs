//! `shardpack channels emit`.

use shardpack_manifest::sagemaker::{Distribution, InputMode, Word};
use shardpack_store::{LocalOptions, LocalStore, S3Store, S3Uri, Store};

use super::super::s3;
use crate::args::EmitArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;

pub(super) fn emit(args: &EmitArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let address = s3::uri(&args.path)?;
    let store: Box<dyn Store> = match &address {
        Some(uri) => {
            let line = s3::connect(uri, &args.s3, s3::Limits::default(), log)?;
            Box::new(S3Store::open(line, uri.clone()))
        }
        None => Box::new(LocalStore::open(&args.path, &LocalOptions::default())),
    };
    let prefix = match (&args.uri, address) {
        (Some(uri), _) => uri.parse::<S3Uri>()?.folder().to_string(),
        (None, Some(uri)) => uri.folder().to_string(),
        (None, None) => shardpack_manifest::sagemaker::PLACEHOLDER.to_owned(),
    };
    let object = store.open("manifest.json")?;
    let mut bytes = vec![0; usize::try_from(object.len()).unwrap_or(0)];
    let read = object.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    let manifest =
        shardpack_manifest::Manifest::parse(&bytes).map_err(|error| Failure::of(&error))?;
    let mode = args.mode.as_deref().map(|word| {
        let known = InputMode::ALL.iter().find(|mode| mode.to_string() == word).copied();
        known.ok_or_else(|| Failure::new(format!("{word}: write File, FastFile or Pipe")))
    });
    let modes = match mode.transpose()? {
        Some(mode) => vec![mode],
        None => vec![InputMode::File, InputMode::FastFile, InputMode::Pipe],
    };
    let distribution =
        if args.sharded { Distribution::ShardedByS3Key } else { Distribution::FullyReplicated };
    for mode in modes {
        let emitted = shardpack_agent::emit(&manifest, &prefix, mode, distribution)?;
        output.line(&format!("# {mode}: InputDataConfig of CreateTrainingJob"))?;
        output.line(emitted.json.trim_end())?;
        output.line(&format!("# {mode}: SageMaker SDK"))?;
        output.line(&emitted.python)?;
    }
    Ok(Exit::Done)
}
