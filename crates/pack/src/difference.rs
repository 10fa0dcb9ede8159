//! What a source changed since shards of it were sealed, as far as their indexes tell: keys, fields
//! and lengths. Looked for only when a run is refused.

use shardpack_formats::{Format, SampleShape};
use shardpack_manifest::{Index, IndexRecord};
use shardpack_store::Store;

use crate::group::{SampleId, Samples};
use crate::plan::Shaper;
use crate::staging::{read, staged};
use crate::{Result, hash, labels_are_fields};

/// The first sealed sample that the source does not give any more as it is; none when the
/// difference is in samples that are not sealed.
pub(crate) fn first(
    store: &dyn Store,
    samples: &Samples<'_>,
    format: &dyn Format,
) -> Result<Option<String>> {
    let keys = Keys::of(samples);
    let mut shaper = Shaper::default();
    let mut objects = store.list("index")?;
    if store.moves() {
        objects.extend(store.list(&staged(store, "index"))?);
    }
    for object in objects.iter().filter(|object| object.key.ends_with(".index")) {
        let Ok(index) = Index::parse(read(store, &object.key)?) else { continue };
        for record in index.iter() {
            let Some(sample) = keys.find(samples, record.key) else {
                return Ok(Some(format!("sample {} is not there any more", record.key)));
            };
            let carried = labels_are_fields(format);
            let changed =
                shaper.with(samples, sample, 0, carried, |now, _, _| change(&record, now));
            if changed.is_some() {
                return Ok(changed);
            }
        }
    }
    Ok(None)
}

/// How a sample's fields differ from those of a record, by names and lengths.
pub(crate) fn change(then: &IndexRecord<'_>, now: &SampleShape<'_>) -> Option<String> {
    let key = then.key;
    let lost = then.fields.clone().find_map(|then| {
        match now.fields.iter().find(|now| now.name == then.name) {
            None => Some(format!("{key}.{} is not there any more", then.name)),
            Some(now) if now.len != then.len => {
                Some(format!("{key}.{} had {} bytes, {} now", then.name, then.len, now.len))
            }
            Some(_) => None,
        }
    });
    let is_new = |name: &str| then.fields.clone().all(|then| then.name != name);
    lost.or_else(|| {
        let new = now.fields.iter().find(|now| is_new(now.name))?;
        Some(format!("{key}.{} was not there", new.name))
    })
}

/// Finds samples by key, at 16 bytes a sample.
pub(crate) struct Keys(Vec<(u64, SampleId)>);

impl Keys {
    pub(crate) fn of(samples: &Samples<'_>) -> Self {
        let mut key = String::new();
        let mut sorted: Vec<_> = (0..samples.len() as SampleId)
            .map(|sample| {
                samples.key(sample, &mut key);
                (hash(&key, 0), sample)
            })
            .collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    pub(crate) fn find(&self, samples: &Samples<'_>, wanted: &str) -> Option<SampleId> {
        let hash = hash(wanted, 0);
        let first = self.0.partition_point(|(other, _)| *other < hash);
        let mut same = self.0[first..].iter().take_while(|(other, _)| *other == hash);
        let mut key = String::new();
        same.find_map(|&(_, sample)| {
            samples.key(sample, &mut key);
            (key == wanted).then_some(sample)
        })
    }
}
