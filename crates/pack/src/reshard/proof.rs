//! That what was written is what was there.

use rayon::prelude::*;
use shardpack_formats::{Format, crc32c};
use shardpack_manifest::{Digest, IndexField, SampleHasher};

use crate::group::{SampleId, Samples};
use crate::plan::{Body, Shaper};
use crate::{Error, Result, labels_are_fields};

/// Digest of the samples as `format` keeps them, from what the sources' indexes say: lengths and
/// crc32c. No body is read for it.
pub(crate) fn expected(samples: &Samples<'_>, format: &dyn Format) -> Digest {
    let carried = labels_are_fields(format);
    (0..samples.len() as SampleId)
        .into_par_iter()
        .map_init(Default::default, |(shaper, hasher): &mut (Shaper, SampleHasher), sample| {
            shaper.with(samples, sample, 0, carried, |shape, bodies, inline| {
                let fields: Vec<IndexField<'_>> = (shape.fields.iter().zip(bodies))
                    .map(|(field, body)| IndexField {
                        name: field.name,
                        offset: None,
                        len: field.len,
                        crc32c: match *body {
                            Body::File(file) => samples.listing().file(file).stamp as u32,
                            Body::Inline(i) => inline.get(i).map_or(0, |(_, body)| crc32c(body)),
                        },
                    })
                    .collect();
                hasher.digest(shape.key, shape.label, &fields)
            })
        })
        .reduce(Digest::default, |a, b| a + b)
}

/// Refuses a manifest of other samples.
pub(crate) fn same(expected: Digest, found: Digest) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Shard {
            shard: "manifest.json".into(),
            reason: format!(
                "the samples that were written have digest {found}, those that were taken {expected}; nothing was published"
            ),
        }),
    }
}
