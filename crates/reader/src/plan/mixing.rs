//! Several datasets in one training run, by weight.

use serde::{Deserialize, Serialize};

use super::random::{self, Use, key};
use super::state::{from_json, to_json};
use super::subset::apportion;
use super::{Cursor, Endless, Plan, State};
use crate::{Error, Result};

/// Steps of a mix after which its sources repeat, and the finest weight: 1 in 4096.
pub const SLOTS: u32 = 4096;

/// Draws every step from one of several plans. All ranks draw from the same one at the same step,
/// and each plan goes through its own epochs without an end.
///
/// A table of [`SLOTS`] steps holds every source as often as its weight says, rounded by largest
/// remainder but at least once if the weight is not 0; the seed shuffles it; it repeats.
///
/// ```
/// use shardpack_reader::plan::{Mix, Part, Plan, PlanOptions, Shards};
///
/// let plan = |n| Plan::new(Shards::new([n])?, PlanOptions::default(), Part::default());
/// let mix = Mix::new(&[plan(1000)?, plan(70)?], &[3.0, 1.0], 7)?;
/// assert_eq!(mix.taken(1, 4096), 1024);
/// let drawn = mix.step(5000);
/// assert!(drawn.source < 2);
/// # Ok::<_, shardpack_reader::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mix {
    sources: Vec<Endless>,
    table: Table,
    /// Steps of each rank before this start.
    start: u64,
}

/// What a rank takes at a step of a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Number of the source.
    pub source: usize,
    /// Step of the source, from 0 at this start.
    pub step: u64,
    /// Epoch of the source.
    pub epoch: u64,
    /// Position in it.
    pub position: u64,
}

/// What to save of a mix. JSON only: as long as its sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixState {
    #[serde(rename = "plan")]
    version: u64,
    /// Seed of the table.
    pub seed: u64,
    /// Slots of each source.
    pub slots: Vec<u32>,
    /// Steps that each rank has taken.
    pub step: u64,
    /// Each source, as far as it came.
    pub sources: Vec<State>,
}

impl MixState {
    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// From JSON.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let state: Self = from_json(json)?;
        let slots: u64 = state.slots.iter().map(|&slots| u64::from(slots)).sum();
        if slots != u64::from(SLOTS) || state.slots.len() != state.sources.len() {
            return Err(Error::state(format!(
                "{} sources with {slots} slots in all, not {SLOTS} and one state each",
                state.slots.len()
            )));
        }
        Ok(state)
    }
}

impl Mix {
    /// A mix that starts where its plans do. Weights are relative to their sum; 0 draws nothing.
    pub fn new(plans: &[Plan], weights: &[f64], seed: u64) -> Result<Self> {
        let table = Table::new(slots(weights)?, seed);
        if plans.len() != weights.len() {
            return Err(Error::usage(format!(
                "{} weights for {} sources",
                weights.len(),
                plans.len()
            )));
        }
        if let Some(plan) = plans.iter().find(|plan| plan.world != plans[0].world) {
            return Err(Error::usage(format!(
                "sources for {} and {} ranks",
                plans[0].world, plan.world
            )));
        }
        let sources = plans.iter().map(Plan::endless).collect::<Result<_>>()?;
        Ok(Self { sources, table, start: 0 })
    }

    /// A mix that goes on where `state` was saved. Plans are those that
    /// [`Plan::resume`] gives for `state.sources`, in the same order.
    pub fn resume(plans: &[Plan], weights: &[f64], seed: u64, state: &MixState) -> Result<Self> {
        let mut mix = Self::new(plans, weights, seed)?;
        let mut differences = Vec::new();
        if state.seed != seed {
            differences.push(format!("seed of the mix: {} then, {seed} now", state.seed));
        }
        if state.slots != mix.table.slots {
            let (then, now) = (&state.slots, &mix.table.slots);
            differences.push(format!("weights in 1/{SLOTS}: {then:?} then, {now:?} now"));
        }
        for (i, (plan, then)) in plans.iter().zip(&state.sources).enumerate() {
            let (then, now) = (then.cursor(), plan.start());
            if then != now {
                differences.push(format!("source {i}: {then:?} then, {now:?} now"));
            }
        }
        mix.start = state.step;
        match differences.is_empty() {
            true => Ok(mix),
            false => Err(Error::Different { differences }),
        }
    }

    /// Steps of each rank before this start: the first to ask for.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The source of step `step`, on every rank.
    pub fn source(&self, step: u64) -> usize {
        self.table.source(step)
    }

    /// How many of the first `steps` steps of a rank go to `source`. Nothing for a source that is
    /// not there.
    pub fn taken(&self, source: usize, steps: u64) -> u64 {
        self.table.taken(source, steps)
    }

    /// What this rank takes at `step`, from [`start`](Self::start) on.
    pub fn step(&self, step: u64) -> Drawn {
        let source = self.source(step);
        let step = self.since_start(source, step);
        let (epoch, position) = self.sources[source].position(step);
        Drawn { source, step, epoch, position }
    }

    /// The sources. What to read of each is in its [`shares`](Endless::shares).
    pub fn sources(&self) -> &[Endless] {
        &self.sources
    }

    /// Where source `source` is when every rank has taken `step` steps; `None` when it is not there.
    pub fn cursor(&self, source: usize, step: u64) -> Option<Cursor> {
        let endless = self.sources.get(source)?;
        Some(endless.after(self.since_start(source, step)))
    }

    /// What to save when every rank has taken `step` steps, counted from the first start.
    pub fn state(&self, step: u64) -> MixState {
        let sources = self.sources.iter().enumerate();
        let sources = sources
            .map(|(i, endless)| endless.plan().state(endless.after(self.since_start(i, step))));
        MixState {
            version: super::state::VERSION,
            seed: self.table.seed,
            slots: self.table.slots.clone(),
            step,
            sources: sources.collect(),
        }
    }

    fn since_start(&self, source: usize, step: u64) -> u64 {
        self.taken(source, step.max(self.start)) - self.taken(source, self.start)
    }
}

/// Which source each of [`SLOTS`] steps draws from.
#[derive(Clone, Debug)]
struct Table {
    seed: u64,
    slots: Vec<u32>,
    /// Source of each slot.
    source: Vec<u16>,
    /// Slots of each source, rising.
    places: Vec<Vec<u16>>,
}

impl Table {
    fn new(slots: Vec<u32>, seed: u64) -> Self {
        let order = random::shuffled(key([seed, 0, Use::Mixing as u64]), SLOTS);
        let mut source = vec![0; order.len()];
        let mut places = Vec::with_capacity(slots.len());
        let mut rest = &order[..];
        for (i, &count) in slots.iter().enumerate() {
            let (own, others) = rest.split_at(count as usize);
            let mut own: Vec<_> = own.iter().map(|&slot| slot as u16).collect();
            own.sort_unstable();
            own.iter().for_each(|&slot| source[slot as usize] = i as u16);
            places.push(own);
            rest = others;
        }
        Self { seed, slots, source, places }
    }

    fn source(&self, step: u64) -> usize {
        usize::from(self.source[(step % u64::from(SLOTS)) as usize])
    }

    fn taken(&self, source: usize, steps: u64) -> u64 {
        let Some(places) = self.places.get(source) else { return 0 };
        let within = (steps % u64::from(SLOTS)) as u16;
        let begun = places.partition_point(|&slot| slot < within) as u64;
        steps / u64::from(SLOTS) * places.len() as u64 + begun
    }
}

/// How many slots each weight is worth.
fn slots(weights: &[f64]) -> Result<Vec<u32>> {
    let sum: f64 = weights.iter().sum();
    let bad = |weight: &&f64| !weight.is_finite() || **weight < 0.0;
    if let Some(weight) = weights.iter().find(bad) {
        return Err(Error::usage(format!("weight {weight}: a number from 0 on")));
    }
    let drawn = weights.iter().filter(|&&weight| weight > 0.0).count();
    if !sum.is_finite() || drawn == 0 || weights.len() > SLOTS as usize {
        return Err(Error::usage(format!(
            "{} weights with sum {sum}: at most {SLOTS}, and one above 0",
            weights.len()
        )));
    }
    // Integers from here on, so that every machine rounds alike. 2^50 times 4096 sources fits.
    let scaled: Vec<_> =
        weights.iter().map(|weight| (weight / sum * 2f64.powi(50)).round() as u64).collect();
    let parts = apportion(u64::from(SLOTS), &scaled)
        .ok_or_else(|| Error::usage(format!("weights {weights:?}")))?;
    let mut slots: Vec<_> = parts.into_iter().map(|part| part as u32).collect();
    // What would never be drawn takes one slot of whoever has most.
    for i in 0..slots.len() {
        if weights[i] > 0.0 && slots[i] == 0 {
            slots[i] = 1;
            if let Some(most) = slots.iter_mut().max() {
                *most -= 1;
            }
        }
    }
    Ok(slots)
}
