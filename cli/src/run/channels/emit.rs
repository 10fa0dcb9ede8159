//! `shardpack channels emit`.

use shardpack_manifest::sagemaker::{Distribution, InputMode, Word};
use shardpack_pack::Dataset;
use shardpack_store::S3Uri;

use super::super::dataset::Place;
use super::super::s3;
use crate::args::EmitArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;

pub(super) fn emit(args: &EmitArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let prefix = match (&args.uri, s3::uri(&args.path)?) {
        (Some(uri), _) => {
            let failed = |error: shardpack_store::Error| {
                Failure::from(error.rename(|name| format!("--uri {name}")))
            };
            uri.parse::<S3Uri>().map_err(failed)?.folder().to_string()
        }
        (None, Some(uri)) => uri.folder().to_string(),
        (None, None) => shardpack_manifest::sagemaker::PLACEHOLDER.to_owned(),
    };
    let store = Place::at(&args.path, &args.s3, log)?.with_manifest()?;
    let dataset = Dataset::open(&*store).map_err(shardpack_pack::Error::from)?;
    let manifest = dataset.manifest().ok_or_else(|| Failure::new("a dataset has a manifest"))?;
    let modes = args.mode.map_or_else(|| InputMode::ALL.to_vec(), |mode| vec![mode]);
    let distribution =
        if args.sharded { Distribution::ShardedByS3Key } else { Distribution::FullyReplicated };
    for mode in modes {
        let emitted = shardpack_agent::emit(manifest, &prefix, mode, distribution)?;
        output.line(&format!("# {mode}: InputDataConfig of CreateTrainingJob"))?;
        output.line(emitted.json.trim_end())?;
        output.line(&format!("# {mode}: SageMaker SDK"))?;
        output.line(&emitted.python)?;
    }
    Ok(Exit::Done)
}
