//! What a run knows: the same for every thread, and read only.

use shardpack_formats::{Format, SampleShape};
use shardpack_store::{Source, Store};

use crate::group::Samples;
use crate::options::PackOptions;
use crate::plan::{Body, Plan, Shaper};
use crate::progress::Progress;
use crate::reshard::Copies;

/// What every thread of a run may look at.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn Source,
    /// What the store may copy, where the source is datasets.
    pub(crate) copies: Option<&'a Copies<'a>>,
    pub(crate) store: &'a dyn Store,
    pub(crate) samples: &'a Samples<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) format: &'a dyn Format,
    pub(crate) options: &'a PackOptions,
    pub(crate) progress: &'a Progress,
}

impl Context<'_> {
    /// Number of the label that the index notes for the sample at a place; 0 is none.
    pub(crate) fn label(&self, place: usize) -> u32 {
        match crate::labels_are_fields(self.format) {
            true => 0,
            false => self.samples.label_number(self.plan.order[place]),
        }
    }

    /// The shape of the sample at a place of the dataset.
    pub(crate) fn shape<T>(
        &self,
        shaper: &mut Shaper,
        place: usize,
        use_shape: impl FnOnce(&SampleShape<'_>, &[Body], &[(&'static str, Vec<u8>)]) -> T,
    ) -> T {
        let sample = self.plan.order[place];
        let labels_are_fields = crate::labels_are_fields(self.format);
        let first = self.options.existing.as_ref().map_or(0, |existing| existing.first_id);
        shaper.with(self.samples, sample, first + place as u64, labels_are_fields, use_shape)
    }
}
