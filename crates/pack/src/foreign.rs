//! Files that other tools want beside the shards.

use shardpack_manifest::Manifest;

use crate::Result;
use crate::shard::Context;

/// Writes the indexes asked for, staged beside our own.
pub(crate) fn write(_context: &Context<'_>, _manifest: &Manifest) -> Result<()> {
    Ok(())
}

/// Writes `sagemaker/`.
pub(crate) fn write_sagemaker(_context: &Context<'_>, _manifest: &Manifest) -> Result<()> {
    Ok(())
}
