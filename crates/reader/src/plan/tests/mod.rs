//! Properties of the whole plan. Those of its parts stand beside them.

mod elastic;
mod golden;
mod mixing;
mod state;
mod table;
mod windows;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Everything that decides an order, small enough that every place is looked at.
#[derive(Clone, Debug)]
struct Setup {
    counts: Vec<u64>,
    dead: Vec<u64>,
    options: PlanOptions,
}

impl Setup {
    fn shards(&self) -> Shards {
        Shards::new(self.counts.clone()).unwrap().without(self.dead.clone()).unwrap()
    }

    fn part(&self, rank: u64, world: u64) -> Part {
        Part { rank, world, replicas: 1 }
    }

    fn plan(&self, rank: u64, world: u64) -> Result<Plan> {
        Plan::new(self.shards(), self.options.clone(), self.part(rank, world))
    }

    /// A plan that goes on at `state`, or starts. An error only where an epoch would have no step.
    fn plan_from(&self, rank: u64, world: u64, state: Option<&State>) -> Result<Plan> {
        let part = self.part(rank, world);
        let plan = match state {
            Some(state) => Plan::resume(self.shards(), self.options.clone(), part, state),
            None => self.plan(rank, world),
        };
        if let Err(error) = &plan {
            assert!(error.to_string().contains("no step"), "{error}");
        }
        plan
    }

    /// Every sample that the plan should hand out.
    fn live(&self) -> Vec<SampleId> {
        let shards = self.shards().part(self.options.subset).unwrap();
        (0..shards.live()).map(|live| shards.locate(live).0).collect()
    }
}

fn shuffles() -> impl Strategy<Value = Shuffle> {
    let block = prop_oneof![Just(Block::Shard), (1u64..9).prop_map(Block::Samples)];
    // Around the least span of 64 too.
    let window = prop_oneof![1u64..12, 30u64..140];
    prop_oneof![
        1 => Just(Shuffle::Off),
        1 => Just(Shuffle::Exact),
        4 => (block, window).prop_map(|(block, window)| Shuffle::Window { block, window }),
    ]
}

prop_compose! {
    fn setups()(
        counts in prop_oneof![
            prop::collection::vec(0u64..12, 1..10),
            prop::collection::vec(40u64..90, 1..6),
        ],
        dead in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        some_dead in any::<bool>(),
        shuffle in shuffles(),
        seed in any::<u64>(),
        lanes in prop::option::of(1u64..20),
        batch in prop::option::of(1u64..5),
        tail in prop::sample::select(vec![Tail::Pad, Tail::Drop, Tail::Mask]),
        part in prop::option::of(0.2..=1.0f64),
        longer in prop::option::of(0u64..30),
    ) -> Setup {
        let total: u64 = counts.iter().sum();
        let dead = if total == 0 || !some_dead { Vec::new() } else {
            let dead: std::collections::BTreeSet<_> =
                dead.iter().map(|index| index.index(total as usize) as u64).collect();
            dead.into_iter().collect()
        };
        let subset = part.map_or(Subset::All, Subset::Fraction);
        let options = PlanOptions { seed, shuffle, tail, batch, subset, lanes, length: None };
        let mut setup = Setup { counts, dead, options };
        let samples = setup.live().len() as u64;
        if tail != Tail::Drop && samples > 0 {
            setup.options.length = longer.map(|longer| samples + longer);
        }
        setup
    }
}

fn tally(samples: impl IntoIterator<Item = SampleId>) -> BTreeMap<SampleId, u64> {
    let mut tally = BTreeMap::new();
    samples.into_iter().for_each(|sample| *tally.entry(sample).or_insert(0) += 1);
    tally
}

proptest! {
    #[test]
    fn every_live_sample_has_one_position(setup in setups(), epoch in 0u64..4) {
        let Ok(plan) = setup.plan(0, 1) else { return Ok(()) };
        let epoch = plan.epoch(epoch);
        let samples: Vec<_> = (0..epoch.len()).map(|p| epoch.sample(p).unwrap()).collect();
        for (position, &sample) in samples.iter().enumerate() {
            prop_assert_eq!(epoch.position(sample), Some(position as u64));
        }
        let mut sorted = samples;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, setup.live());
        prop_assert_eq!(epoch.sample(epoch.len()), None);
    }

    #[test]
    fn samples_that_are_not_handed_out_have_no_position(setup in setups()) {
        let Ok(plan) = setup.plan(0, 1) else { return Ok(()) };
        let epoch = plan.epoch(0);
        let live = setup.live();
        for (shard, &count) in setup.counts.iter().enumerate() {
            for ordinal in 0..count + 2 {
                let sample = SampleId { shard: shard as u32, ordinal };
                prop_assert_eq!(epoch.position(sample).is_some(), live.contains(&sample));
            }
        }
        prop_assert_eq!(epoch.position(SampleId { shard: setup.counts.len() as u32, ordinal: 0 }), None);
    }

    #[test]
    fn a_subset_is_the_front_of_each_shard(setup in setups()) {
        let mut all = setup.clone();
        all.options.subset = Subset::All;
        let (part, all) = (setup.live(), all.live());
        let Ok(plan) = setup.plan(0, 1) else { return Ok(()) };
        prop_assert_eq!(plan.samples(), part.len() as u64);
        for shard in 0..setup.counts.len() as u32 {
            let of = |ids: &[SampleId]| -> Vec<_> {
                ids.iter().copied().filter(|id| id.shard == shard).collect()
            };
            let (part, all) = (of(&part), of(&all));
            prop_assert_eq!(&all[..part.len()], &part[..]);
        }
    }

    #[test]
    fn off_is_the_order_of_the_dataset(mut setup in setups()) {
        setup.options.shuffle = Shuffle::Off;
        setup.options.lanes = None;
        let Ok(plan) = setup.plan(0, 1) else { return Ok(()) };
        let epoch = plan.epoch(5);
        let samples: Vec<_> = (0..epoch.len()).map(|p| epoch.sample(p).unwrap()).collect();
        prop_assert_eq!(samples, setup.live());
    }
}

#[test]
fn replicas_get_the_same_samples() {
    let shards = Shards::new([100, 100]).unwrap();
    let items = |rank| {
        let part = Part { rank, world: 6, replicas: 2 };
        let plan = Plan::new(shards.clone(), PlanOptions::default(), part).unwrap();
        plan.share(plan.start()).items(0).collect::<Vec<_>>()
    };
    assert_eq!(items(2), items(3));
    assert_ne!(items(1), items(2));
    let alone = Part { rank: 1, world: 3, replicas: 1 };
    let plan = Plan::new(shards.clone(), PlanOptions::default(), alone).unwrap();
    assert_eq!(items(2), plan.share(plan.start()).items(0).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let shards = || Shards::new([10, 0, 10]).unwrap();
    let default = PlanOptions::default;
    let part = Part { rank: 0, world: 2, replicas: 1 };
    let window = |block, window| Shuffle::Window { block, window };
    let drop = PlanOptions { tail: Tail::Drop, ..default() };
    for options in [
        PlanOptions { shuffle: window(Block::Shard, 0), ..default() },
        PlanOptions { shuffle: window(Block::Samples(0), 5), ..default() },
        PlanOptions { lanes: Some(0), ..default() },
        PlanOptions { lanes: Some(MAX_LANES + 1), ..default() },
        PlanOptions { batch: Some(0), ..default() },
        PlanOptions { batch: Some(u64::MAX), ..default() },
        PlanOptions { batch: Some(11), ..drop.clone() },
        PlanOptions { length: Some(0), ..default() },
        PlanOptions { length: Some(21), ..drop },
        PlanOptions { length: Some(MAX_SAMPLES + 1), ..default() },
        PlanOptions { subset: Subset::Count(21), ..default() },
        PlanOptions { subset: Subset::Count(0), ..default() },
    ] {
        let plan = Plan::new(shards(), options.clone(), part);
        assert!(matches!(plan, Err(Error::Usage(_))), "{options:?}");
    }
    for (rank, world, replicas) in
        [(2, 2, 1), (0, 0, 1), (0, 2, 0), (0, 3, 2), (0, MAX_LANES + 1, 1)]
    {
        let part = Part { rank, world, replicas };
        assert!(Plan::new(shards(), default(), part).is_err(), "{part:?}");
    }
    for empty in [vec![], vec![0, 0]] {
        assert!(Plan::new(Shards::new(empty).unwrap(), default(), part).is_err());
    }
}

/// Ranks read their own shards: the lanes of two ranks never share more than their ends.
#[test]
fn ranks_keep_to_their_own_shards() {
    let shards = Shards::new([100; 32]).unwrap();
    let mut readers = BTreeMap::<u32, Vec<u64>>::new();
    for rank in 0..4 {
        let part = Part { rank, world: 4, replicas: 1 };
        let plan = Plan::new(shards.clone(), PlanOptions::default(), part).unwrap();
        let mut own: Vec<_> =
            plan.share(plan.start()).items(0).map(|item| item.sample.shard).collect();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|shard| readers.entry(shard).or_default().push(rank));
    }
    assert_eq!(readers.len(), 32);
    assert!(readers.values().all(|ranks| ranks.len() == 1), "{readers:?}");
}
