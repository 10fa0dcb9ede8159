//! What the bytes of a stream are.

use std::io;
use std::sync::Arc;

use shardpack_channel::Rank;
use shardpack_formats::{DecodeOptions, Decoder, Format};
use shardpack_manifest::Manifest;
use shardpack_store::Store;

use super::Source;
use super::groups::Groups;
use super::known::Known;
use crate::plan::{Hosts, Part, Plan, State};
use crate::reader::fit_window;
use crate::{Error, ReadOptions, Result, quarantine};

/// What the bytes of a source are.
#[derive(Debug)]
pub enum Contents {
    /// Shards of a dataset.
    Dataset {
        /// The dataset's manifest.
        manifest: Box<Manifest>,
        /// Where its indexes are, under the paths in the manifest.
        indexes: Arc<dyn Store>,
        /// Which host this is of those that share the shards, each getting other ones
        /// (ShardedByS3Key). None where every host gets all of them.
        host: Option<Rank>,
    },
    /// Shards without a manifest.
    Foreign {
        /// Their format.
        format: Box<dyn Format>,
        /// How strictly they are decoded. Shards that stand in one stream go on behind a tar's end
        /// blocks in any case.
        decode: DecodeOptions,
    },
    /// What SageMaker wraps as RecordIO: whole objects, or attributes of an augmented manifest.
    Wrapped {
        /// Name of the field that each record in a row becomes: `data` for whole objects, the
        /// request's `AttributeNames` for an augmented manifest.
        fields: Vec<String>,
        /// Whether parts of a split record are joined as MXNet joins them, instead of SageMaker's
        /// plain concatenation.
        dmlc_parts: bool,
    },
}

/// What the bytes are, looked into.
#[derive(Debug)]
pub(super) enum Read {
    Known(Box<Planned>),
    Foreign(Foreign),
}

/// Records that no index tells of.
#[derive(Debug)]
pub(super) enum Foreign {
    Shards { format: Box<dyn Format>, decode: DecodeOptions },
    Wrapped { fields: Vec<String>, dmlc_parts: bool },
}

impl Foreign {
    /// Name of the format; empty of records that are wrapped.
    pub(super) fn format(&self) -> &'static str {
        match self {
            Self::Shards { format, .. } => format.name(),
            Self::Wrapped { .. } => "",
        }
    }

    /// Reads them. A stream of several shards goes on behind a tar's end.
    pub(super) fn decoder<'r>(
        &'r self,
        input: Box<dyn io::Read + 'r>,
        joined: bool,
    ) -> Box<dyn Decoder + 'r> {
        match self {
            Self::Shards { format, decode } => {
                let mut decode = decode.clone();
                decode.concatenated |= joined;
                format.decoder(input, &decode)
            }
            Self::Wrapped { fields, dmlc_parts } => {
                Box::new(Groups::new(input, &DecodeOptions::default(), fields, *dmlc_parts))
            }
        }
    }
}

/// A dataset, and the plan over it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) known: Known,
    pub(super) plan: Plan,
    /// Of a host that gets only some shards: which one, and what any of them may get.
    pub(super) host: Option<(Rank, Hosts)>,
}

impl Read {
    pub(super) fn new(
        contents: Contents,
        source: &dyn Source,
        part: Part,
        options: &mut ReadOptions,
        state: Option<&State>,
    ) -> Result<Self> {
        if !matches!(contents, Contents::Dataset { .. }) {
            quarantine::refuse(options.quarantine.as_deref())?;
        }
        match contents {
            Contents::Dataset { manifest, indexes, host } => {
                if !source.is_joined() {
                    return Err(Error::usage("shards of a manifest come in one stream"));
                }
                let known = Known::new(*manifest, indexes, options)?;
                fit_window(options, known.mean());
                Ok(Self::Known(Box::new(Planned::new(known, host, part, options, state)?)))
            }
            Contents::Wrapped { fields, .. } if fields.is_empty() => {
                Err(Error::usage("wrapped records need the name of a field at least"))
            }
            Contents::Foreign { .. } | Contents::Wrapped { .. } if state.is_some() => {
                Err(Error::state("without a manifest nothing can be gone on from"))
            }
            Contents::Foreign { format, decode } => {
                Ok(Self::Foreign(Foreign::Shards { format, decode }))
            }
            Contents::Wrapped { fields, dmlc_parts } => {
                Ok(Self::Foreign(Foreign::Wrapped { fields, dmlc_parts }))
            }
        }
    }
}

impl Planned {
    fn new(
        known: Known,
        host: Option<Rank>,
        part: Part,
        options: &mut ReadOptions,
        state: Option<&State>,
    ) -> Result<Self> {
        let shards = known.shards()?;
        let host = match host {
            None => None,
            Some(host) => {
                let live = shards.clone().part(options.plan.subset)?;
                // Shards without samples cannot be seen to come.
                let counts = known.wanted().iter().zip(0..).filter_map(|(&row, number)| {
                    let (start, end) = live.bounds(number);
                    (known.manifest.shards.get(row)?.samples > 0).then_some(end - start)
                });
                let hosts = Hosts::new(counts.collect(), host.world.into())?;
                if options.plan.length.is_none() {
                    let world = part.world / part.replicas.max(1);
                    let (batch, tail) = (options.plan.batch.unwrap_or(1), options.plan.tail);
                    options.plan.length = Some(hosts.length(world, batch, tail)?);
                }
                Some((host, hosts))
            }
        };
        let plan = match state {
            None => Plan::new(shards, options.plan.clone(), part)?,
            Some(state) => {
                let mut state = state.clone();
                if let Some(streamed) = state.streamed.take() {
                    state.consumed = streamed.base;
                }
                Plan::resume(shards, options.plan.clone(), part, &state)?
            }
        };
        Ok(Self { known, plan, host })
    }
}
