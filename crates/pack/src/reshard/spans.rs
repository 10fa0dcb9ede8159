//! Records that lie in a source as they will in a new shard, beside each other: a store that can
//! takes them from there by itself.
//!
//! That they are the same needs no byte of them. A record is made of literals, which the format
//! gives, and of bodies, whose crc32c the source's index has: the crc32c of the record follows by
//! arithmetic, and the index has that of the one that is there. The bytes of the source's shard are
//! what its manifest says where its store tells the same CRC-64/NVME of them.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use shardpack_dataset::index as proved_index;
use shardpack_formats::{Compression, Layout};
use shardpack_manifest::Index;
use shardpack_store::Upload;

use super::source::DatasetSource;
use crate::Result;
use crate::context::Context;
use crate::plan::Shaper;
use crate::sums::sums;
use crate::writer::Written;

/// What a store may copy of a source.
#[derive(Debug)]
pub(crate) struct Copies<'s> {
    source: &'s DatasetSource<'s>,
    /// The store would not: it is not asked again.
    refused: AtomicBool,
}

/// Consecutive records of a new shard that are consecutive records of a source's, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Places of the samples in the dataset.
    pub(crate) places: Range<usize>,
    /// Where they lie in the new shard.
    pub(crate) bytes: Range<u64>,
    /// Number of the source's shard, over all inputs.
    shard: u32,
    /// Where the first one starts there.
    from: u64,
}

impl<'s> Copies<'s> {
    pub(crate) fn new(source: &'s DatasetSource<'s>) -> Self {
        Self { source, refused: AtomicBool::new(false) }
    }

    /// The spans of a shard that the store may copy, in order. A trailer is written with the last
    /// record, so that one is in none.
    pub(crate) fn spans(&self, context: &Context<'_>, shard: usize) -> Result<Vec<Span>> {
        let least = context.store.least_copy().filter(|_| !self.refused.load(Relaxed));
        let (Some(least), Compression::None) = (least, context.options.compression) else {
            return Ok(Vec::new());
        };
        let plan = &context.plan.shards[shard];
        let end = plan.end - usize::from(!context.format.trailer().is_empty());
        let mut spans = Vec::new();
        let (mut place, mut offset) = (plan.start, 0);
        while place < end {
            let run = self.run(context, place..end);
            let len = bytes(context, &run);
            if len >= least {
                self.look(context, run.clone(), offset, &mut spans)?;
            }
            (place, offset) = (run.end, offset + len);
        }
        Ok(apart(spans, least, &context.plan.lens))
    }

    /// Lets an upload copy a span; gives the CRC-64/NVME of its bytes, or None where they must be
    /// written.
    pub(crate) fn copy(&self, span: &Span, upload: &dyn Upload) -> Result<Option<u64>> {
        let (input, number) = self.source.input(span.shard);
        let row = input.dataset.shards().get(number);
        let address = row.and_then(|row| input.dataset.store().address(&row.path));
        let version = self.source.object(span.shard)?.version();
        let copied = match (address, version) {
            (Some(address), Some(version)) => {
                let range = span.from..span.from + (span.bytes.end - span.bytes.start);
                upload.copy_at(span.bytes.start, &address, &version, range)?
            }
            _ => None,
        };
        self.refused.fetch_or(copied.is_none(), Relaxed);
        Ok(copied)
    }

    /// The first places of `places` whose records follow each other in one shard of the source.
    fn run(&self, context: &Context<'_>, places: Range<usize>) -> Range<usize> {
        let home = |place: usize| self.home(context, place);
        let start = home(places.start);
        let follows = |place: &usize| match (start, home(*place)) {
            (Some((shard, first)), Some(here)) => {
                here == (shard, first + (*place - places.start) as u32)
            }
            _ => false,
        };
        let others = (places.start + 1..places.end).take_while(follows).count();
        places.start..places.start + 1 + others
    }

    /// Shard and record of a sample in the source.
    fn home(&self, context: &Context<'_>, place: usize) -> Option<(u32, u32)> {
        let file = *context.samples.members(context.plan.order[place]).iter().min()?;
        let catalog = self.source.catalog();
        Some((catalog.shard(file), catalog.record(file)))
    }

    /// Adds the spans of a run whose first record will lie at `offset`: of those records that are the
    /// same as in the source.
    fn look(
        &self,
        context: &Context<'_>,
        run: Range<usize>,
        offset: u64,
        spans: &mut Vec<Span>,
    ) -> Result<()> {
        let Some((shard, first)) = self.home(context, run.start) else { return Ok(()) };
        let Some(index) = self.trusted(shard)? else { return Ok(()) };
        let (mut shaper, mut layout, mut written) = Default::default();
        let mut at = offset;
        for (number, place) in (first as usize..).zip(run) {
            let end = at + context.plan.lens[place];
            let same = same_record(context, place, (&mut shaper, &mut layout, &mut written));
            let from = index
                .get(number)
                .filter(|there| same == Some(there.crc32c) && there.len == end - at);
            if let Some(there) = from {
                let reaches = |span: &Span| {
                    let len = span.bytes.end - span.bytes.start;
                    span.bytes.end == at && (span.shard, span.from + len) == (shard, there.offset)
                };
                match spans.last_mut().filter(|span| reaches(span)) {
                    Some(span) => (span.places.end, span.bytes.end) = (place + 1, end),
                    None => spans.push(Span {
                        places: place..place + 1,
                        bytes: at..end,
                        shard,
                        from: there.offset,
                    }),
                }
            }
            at = end;
        }
        Ok(())
    }

    /// The index of a source's shard whose bytes are what it says, as its store tells; None where it
    /// tells nothing, or the shard has no records in places of their own.
    fn trusted(&self, shard: u32) -> Result<Option<Index<'static>>> {
        let (input, number) = self.source.input(shard);
        let store = input.dataset.store();
        // The lines of a table that is joined are in none of its shards.
        let Some(row) = input.dataset.shards().get(number) else { return Ok(None) };
        if row.compression != Compression::None || store.address(&row.path).is_none() {
            return Ok(None);
        }
        let told = self.source.object(shard)?.crc64nvme();
        let index = match told {
            Some(_) => proved_index(&input.dataset, number)?,
            None => None,
        };
        Ok(index.filter(|index| told == Some(index.shard().crc64nvme)))
    }
}

/// The crc32c that the record at a place will have; None where bodies must be read to tell.
fn same_record(
    context: &Context<'_>,
    place: usize,
    (shaper, layout, written): (&mut Shaper, &mut Layout, &mut Written),
) -> Option<u32> {
    context.shape(shaper, place, |shape, bodies, inline| {
        layout.clear();
        context.format.layout(shape, layout);
        let known = sums(layout, shape, (bodies, inline), context.samples.listing(), written);
        known.then_some(written.record)
    })
}

fn bytes(context: &Context<'_>, places: &Range<usize>) -> u64 {
    context.plan.lens[places.clone()].iter().sum()
}

/// Leaves out spans shorter than `least`, and takes records off the start of others where what lies
/// before would be: a store copies, and takes bytes, in parts that have so many. `lens` are those of
/// the records.
fn apart(spans: Vec<Span>, least: u64, lens: &[u64]) -> Vec<Span> {
    let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
    for mut span in spans {
        let before = kept.last().map_or(0, |span| span.bytes.end);
        while (1..least).contains(&(span.bytes.start - before)) && !span.places.is_empty() {
            let len = lens[span.places.start];
            span.places.start += 1;
            span.bytes.start += len;
            span.from += len;
        }
        if !span.places.is_empty() && span.bytes.end - span.bytes.start >= least {
            kept.push(span);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of 4 bytes each; a span is its first and last place and shard.
    fn span(first: usize, end: usize) -> Span {
        let at = |place: usize| place as u64 * 4;
        Span { places: first..end, bytes: at(first)..at(end), shard: 0, from: 100 + at(first) }
    }

    #[test]
    fn what_is_too_short_for_a_part_is_written() {
        for (spans, kept) in [
            (vec![], vec![]),
            (vec![span(0, 9)], vec![span(0, 9)]),
            (vec![span(0, 2)], vec![]), // 8 bytes
            (vec![span(0, 3), span(3, 6)], vec![span(0, 3), span(3, 6)]),
            (vec![span(1, 9)], vec![span(3, 9)]), // one record alone is no part
            (vec![span(1, 5)], vec![]),           // and with two of these, these are none
            (vec![span(3, 9)], vec![span(3, 9)]),
            (vec![span(0, 4), span(5, 9), span(9, 12)], vec![span(0, 4), span(9, 12)]),
            (vec![span(0, 4), span(6, 12)], vec![span(0, 4), span(7, 12)]),
        ] {
            assert_eq!(apart(spans.clone(), 12, &[4; 12]), kept, "{spans:?}");
        }
    }
}
