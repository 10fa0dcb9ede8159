//! Which samples of a stream are this rank's, and in which order they go out.

use std::sync::Arc;

use shardpack_formats::Record;

use super::queue::Outbox;
use super::record::{Origin, Spare, StreamRecord};
use super::window::Window;
use crate::plan::{Item, Plan, SampleId, Shards, Share};
use crate::stats::Skipped;
use crate::{Damage, Error, Result, Sample};

/// Which samples are the rank's.
#[derive(Debug)]
pub(super) enum Rule {
    /// Every host gets all shards: those of the rank's share of the plan.
    Plan(Share),
    /// The shards are this host's alone, and nobody knows which: every one in its turn, as long as
    /// the share is.
    Host {
        share: Share,
        shards: Arc<Shards>,
        /// Live samples so far.
        next: u64,
    },
    /// No manifest: every record in its turn.
    Turn {
        rank: u64,
        world: u64,
        /// Records so far.
        next: u64,
    },
}

/// Whose a sample is.
pub(super) enum Owner {
    /// This rank's, with its position in the epoch.
    This(u64),
    Another,
    /// Nobody's: deleted, of another split, or outside of the subset.
    Nobody,
}

impl Rule {
    /// A share of the plan, whose shards are `divided` among hosts or not.
    pub(super) fn new(plan: &Plan, share: Share, divided: bool) -> Self {
        match divided {
            false => Self::Plan(share),
            true => Self::Host { share, shards: Arc::clone(plan.shards()), next: 0 },
        }
    }

    pub(super) fn owner(&mut self, place: Option<SampleId>) -> Owner {
        let Some(place) = place else { return Owner::Nobody };
        let (share, position) = match self {
            Self::Plan(share) => match share.epoch().position(place) {
                None => return Owner::Nobody,
                Some(position) => (share, position),
            },
            Self::Host { share, shards, next } => {
                if shards.live_number(place).is_none() {
                    return Owner::Nobody;
                }
                *next += 1;
                (share, *next - 1)
            }
            Self::Turn { rank, world, next } => {
                let position = *next;
                *next += 1;
                return match position % *world == *rank {
                    true => Owner::This(position),
                    false => Owner::Another,
                };
            }
        };
        match share.step(position) {
            Some(_) => Owner::This(position),
            None => Owner::Another,
        }
    }

    /// Whether some rank has this sample.
    fn is_wanted(&self, place: SampleId) -> bool {
        match self {
            Self::Plan(share) => share.epoch().position(place).is_some(),
            Self::Host { shards, .. } => shards.live_number(place).is_some(),
            Self::Turn { .. } => true,
        }
    }

    fn share(&self) -> Option<&Share> {
        match self {
            Self::Plan(share) | Self::Host { share, .. } => Some(share),
            Self::Turn { .. } => None,
        }
    }

    /// Steps that will lack a sample of their own, at most.
    fn missing(&self) -> u64 {
        match self {
            Self::Plan(share) => share.len() - share.real(),
            Self::Host { share, .. } => share.len(),
            Self::Turn { .. } => 0,
        }
    }
}

/// What the rank has of a sample.
pub(super) enum Claim {
    /// It is handed out at this position of the epoch.
    Own(u64),
    /// It is kept for padding, as there may be none of its own.
    First,
}

/// A sample that was claimed, and what for.
pub(super) type Claimed = (Option<SampleId>, Claim);

/// Samples and bytes that are held to pad the end with; one is held whatever its size.
const HELD: (usize, usize) = (256, 16 << 20);

/// Hands out this rank's samples: through the window, as many as the share has steps.
pub(super) struct Dealer<'o> {
    rule: Rule,
    window: Window<Result<Sample>>,
    outbox: &'o Outbox,
    spare: Arc<Spare>,
    damage: Damage,
    /// Steps that were handed out before, and are passed over.
    skip: u64,
    /// Steps so far.
    kept: u64,
    /// The first samples of this rank, to pad with.
    held: Vec<Sample>,
    held_bytes: usize,
    /// The first sample of the stream, for a rank that gets none.
    first: Option<Sample>,
    /// The good sample that came last, to replace damaged ones by; those before it wait.
    last: Option<Sample>,
    waiting: Vec<(u64, Skipped)>,
    skipped: u64,
}

impl<'o> Dealer<'o> {
    pub(super) fn new(
        rule: Rule,
        window: Window<Result<Sample>>,
        outbox: &'o Outbox,
        damage: Damage,
        skip: u64,
    ) -> Self {
        Self {
            rule,
            window,
            outbox,
            spare: Arc::default(),
            damage,
            skip,
            kept: 0,
            held: Vec::new(),
            held_bytes: 0,
            first: None,
            last: None,
            waiting: Vec::new(),
            skipped: 0,
        }
    }

    /// Takes the next record of the stream. `place` is none for one that the plan does not have.
    pub(super) fn take(
        &mut self,
        record: &mut Record,
        place: Option<SampleId>,
        origin: Origin,
        damage: Option<Skipped>,
    ) -> Result<()> {
        match (self.claim(place), damage) {
            (None, _) | (Some(Claim::First), Some(_)) => Ok(()),
            (Some(Claim::Own(position)), Some(damage)) => self.damaged(position, damage),
            (Some(claim), None) => {
                let record = self.record(record, origin);
                self.give(place, claim, |item| Sample::of_record(Arc::new(record), item));
                Ok(())
            }
        }
    }

    /// What the rank has of the next sample of the stream. Each is asked for once.
    pub(super) fn claim(&mut self, place: Option<SampleId>) -> Option<Claim> {
        match self.rule.owner(place) {
            Owner::This(position) => {
                self.kept += 1;
                Some(Claim::Own(position))
            }
            Owner::Another if self.needs_first() => Some(Claim::First),
            Owner::Another | Owner::Nobody => None,
        }
    }

    /// Whether some rank has this sample.
    pub(super) fn is_wanted(&self, place: Option<SampleId>) -> bool {
        place.is_some_and(|place| self.rule.is_wanted(place))
    }

    /// Takes a sample that was claimed.
    pub(super) fn give(
        &mut self,
        place: Option<SampleId>,
        claim: Claim,
        make: impl FnOnce(Item) -> Sample,
    ) {
        let (position, own) = match claim {
            Claim::Own(position) => (position, true),
            Claim::First => (0, false),
        };
        let sample = place.unwrap_or(SampleId { shard: 0, ordinal: 0 });
        let sample = make(Item { position, sample, real: true });
        if !own {
            self.first.get_or_insert(sample);
            return;
        }
        let weight = sample.weight();
        if (self.held.len() as u64) < self.rule.missing() {
            self.hold(&sample, weight);
        }
        for (position, _) in std::mem::take(&mut self.waiting) {
            self.push(Ok(sample.at(position, false)), 0);
        }
        if let Damage::Skip { .. } = self.damage {
            self.last = Some(sample.clone());
        }
        self.push(Ok(sample), weight);
    }

    /// Whether nothing is there to pad with, and nothing of its own may come.
    fn needs_first(&self) -> bool {
        let own = match &self.rule {
            Rule::Plan(share) => share.real() > 0,
            Rule::Host { .. } => !self.held.is_empty(),
            Rule::Turn { .. } => true,
        };
        !own && self.first.is_none()
    }

    /// Takes what is in a record, and leaves it empty.
    fn record(&self, record: &mut Record, origin: Origin) -> StreamRecord {
        let sample = std::mem::replace(&mut record.sample, self.spare.take());
        StreamRecord::new(sample, origin, &self.spare)
    }

    fn hold(&mut self, sample: &Sample, weight: usize) {
        let fits = self.held.len() < HELD.0 && self.held_bytes + weight <= HELD.1;
        if fits || self.held.is_empty() {
            self.held.push(sample.clone());
            self.held_bytes += weight;
        }
    }

    /// An error, or a neighbour in its place.
    fn damaged(&mut self, position: u64, damage: Skipped) -> Result<()> {
        tracing::warn!(position, error = %damage, "damaged sample");
        self.outbox.lost(position);
        let Damage::Skip { most } = self.damage else {
            self.push(Err(Error::Damaged(damage)), 0);
            return Ok(());
        };
        self.outbox.skipped(damage.clone());
        self.skipped += 1;
        if self.skipped > most {
            return Err(Error::TooManyDamaged { most, last: damage });
        }
        match &self.last {
            Some(last) => self.push(Ok(last.at(position, false)), 0),
            None => self.waiting.push((position, damage)),
        }
        Ok(())
    }

    /// What is left in the window, and the padding.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some((_, damage)) = self.waiting.pop() {
            return Err(Error::Damaged(damage)); // no good sample at all
        }
        self.pass_on(true);
        let Some(share) = self.rule.share().cloned() else { return Ok(()) };
        let mut samples = std::mem::take(&mut self.held);
        if samples.is_empty() {
            samples.extend(self.first.take());
        }
        if samples.is_empty() && self.kept < share.len() {
            return Err(Error::usage("the stream has no sample to pad the epoch with"));
        }
        for (step, sample) in (self.kept..share.len()).zip(samples.iter().cycle()) {
            self.hand_out(Ok(sample.at(share.position(step), !share.is_masked())));
        }
        Ok(())
    }

    fn push(&mut self, sample: Result<Sample>, weight: usize) {
        self.window.push(sample, weight);
        self.pass_on(false);
    }

    fn pass_on(&mut self, at_end: bool) {
        while let Some(sample) = self.window.pop(at_end) {
            self.hand_out(sample);
        }
    }

    fn hand_out(&mut self, sample: Result<Sample>) {
        match self.skip {
            0 => {
                let weight = sample.as_ref().map_or(0, Sample::weight);
                self.outbox.push(sample, weight);
            }
            _ => self.skip -= 1,
        }
    }
}
