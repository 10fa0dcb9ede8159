//! A packed dataset as SageMaker is told of it.

use shardpack_manifest::Manifest;
use shardpack_manifest::sagemaker::{self, Channel, Distribution, InputMode};

use crate::{Error, Result};

/// Channels of a dataset in one input mode: JSON for `CreateTrainingJob`, and the lines for the
/// SageMaker SDK of Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// `InputDataConfig`.
    pub json: String,
    /// A dictionary for `Estimator.fit`.
    pub python: String,
}

/// Describes the dataset at `prefix` (an S3 URI that ends in a slash).
///
/// Fails with [`Error::Manifest`] where a split's shards have no folder of their own.
pub fn emit(
    manifest: &Manifest,
    prefix: &str,
    mode: InputMode,
    distribution: Distribution,
) -> Result<Emitted> {
    let failed = |source| Error::Manifest { name: prefix.to_owned(), source };
    let channels = sagemaker::channels(manifest, prefix, mode, distribution).map_err(failed)?;
    let json = sagemaker::to_json(&channels).map_err(failed)?;
    let json = String::from_utf8_lossy(&json).into_owned();
    let lines: String = channels.iter().map(line).collect();
    let python = format!(
        "from sagemaker.inputs import TrainingInput\n\ninputs = {{\n{lines}}}\nestimator.fit(inputs)\n"
    );
    Ok(Emitted { json, python })
}

fn line(channel: &Channel) -> String {
    // A JSON text is a Python text.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let content = channel.content_type.as_deref();
    let content = content.map_or(String::new(), |kind| format!(", content_type={}", text(kind)));
    format!(
        "    {}: TrainingInput({}, distribution={}, s3_data_type={}, input_mode={}{content}),\n",
        text(&channel.name),
        text(&channel.s3_uri),
        text(&channel.distribution.to_string()),
        text(&channel.data_type.to_string()),
        text(&channel.mode.to_string()),
    )
}
