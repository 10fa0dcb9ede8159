//! Several datasets in one loop: what is drawn, by whom, and how a mix goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use shardpack_manifest::Digest;
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::plan::{Cursor, MixState, Part, Plan, SLOTS, State};
use shardpack_reader::{Error, Mixed, MixedSamples, ReadOptions, Reader};
use shardpack_store::{MemoryStore, MemoryTree};

const WEIGHTS: [f64; 3] = [6.0, 3.0, 1.0];
const SAMPLES: [usize; 3] = [90, 14, 31];

/// Datasets of different sizes.
fn stores() -> Vec<Arc<MemoryStore>> {
    let store = |(source, samples): (usize, usize)| {
        let files: Vec<_> = (0..samples)
            .map(|i| (format!("{source}/{i:03}.txt"), format!("{source} {i}")))
            .collect();
        let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
        let store = MemoryStore::new();
        let options = PackOptions { max_samples: Some(8), ..PackOptions::default() };
        pack(&files, &store, &options, &Progress::default()).unwrap();
        Arc::new(store)
    };
    SAMPLES.into_iter().enumerate().map(store).collect()
}

fn readers(stores: &[Arc<MemoryStore>], part: Part, states: Option<&[State]>) -> Vec<Reader> {
    let mut options = ReadOptions::default();
    options.part = Some(part);
    options.threads = Some(0);
    let reader = |(i, store): (usize, &Arc<MemoryStore>)| {
        Reader::resume_store(store.clone(), options.clone(), states.map(|s| &s[i])).unwrap()
    };
    stores.iter().enumerate().map(reader).collect()
}

/// A mix on each rank of a world.
fn world(stores: &[Arc<MemoryStore>], world: u64, state: Option<&MixState>) -> Vec<MixedSamples> {
    let rank = |rank| {
        let part = Part { rank, world, replicas: 1 };
        let readers = readers(stores, part, state.map(|state| &*state.sources));
        let mixed = match state {
            None => Mixed::new(readers, &WEIGHTS, 9),
            Some(state) => Mixed::resume(readers, &WEIGHTS, 9, state),
        };
        mixed.unwrap().samples()
    };
    (0..world).map(rank).collect()
}

/// How often each key was seen.
type Seen = BTreeMap<String, u64>;

/// Takes so many steps on each rank, side by side.
fn take(ranks: &mut [MixedSamples], steps: usize, seen: &mut Seen) {
    for _ in 0..steps {
        let mut sources = Vec::new();
        for samples in &mut *ranks {
            let (source, sample) = samples.next().unwrap().unwrap();
            assert!(sample.key().starts_with(&format!("{source}/")) && sample.is_real());
            *seen.entry(sample.key().to_owned()).or_default() += 1;
            sources.push(source);
        }
        assert!(sources.iter().all(|source| *source == sources[0]), "{sources:?}");
    }
}

/// Every sample of a source was seen as often as any other, or once more.
fn evenly(seen: &Seen, source: usize, positions: u64) {
    let prefix = format!("{source}/");
    let times: Vec<u64> =
        seen.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, times)| *times).collect();
    let (samples, epochs) = (SAMPLES[source] as u64, positions / SAMPLES[source] as u64);
    assert_eq!(times.iter().sum::<u64>(), positions);
    let more = times.iter().filter(|times| **times == epochs + 1).count() as u64;
    assert_eq!(more, positions % samples, "source {source}: {times:?}");
    assert!(times.iter().all(|times| *times == epochs || *times == epochs + 1), "{times:?}");
}

#[test]
fn ranks_draw_alike_and_see_every_epoch_whole() {
    let stores = stores();
    let wholes: Vec<Digest> =
        readers(&stores, Part::default(), None).iter().map(|r| r.manifest().digest).collect();
    for size in [1, 3, 4] {
        let mut ranks = world(&stores, size, None);
        let (mut seen, mut checked) = (Seen::new(), [0; 3]);
        for step in 1..=1500u64 {
            take(&mut ranks, 1, &mut seen);
            for source in 0..3 {
                let positions = ranks[0].taken(source) * size;
                let samples = SAMPLES[source] as u64;
                let cursor = Cursor { epoch: positions / samples, consumed: positions % samples };
                assert_eq!(ranks[0].cursor(source), Some(cursor));
                if cursor.consumed == 0 && cursor.epoch > 0 {
                    let sum: Digest = ranks.iter().map(|rank| rank.digest(source)).sum();
                    let whole = (0..cursor.epoch).map(|_| wholes[source]).sum();
                    assert_eq!(sum, whole, "source {source} at step {step} of {size} ranks");
                    checked[source] += 1;
                }
            }
        }
        assert!(checked.iter().all(|times| *times > 1), "{checked:?}");
        (0..3).for_each(|source| evenly(&seen, source, ranks[0].taken(source) * size));
        assert!(ranks.iter().all(|rank| rank.step() == 1500));
        assert!((0..3).all(|i| ranks[0].stats(i).samples == ranks[0].taken(i)));
        assert!(ranks[0].stats(0).bytes > 0);
    }
}

#[test]
fn what_is_drawn_is_what_the_plan_says_and_weights_hold() {
    let stores = stores();
    let part = Part { rank: 1, world: 3, replicas: 1 };
    let mixed = Mixed::new(readers(&stores, part, None), &WEIGHTS, 9).unwrap();
    let mut samples = mixed.samples();
    for step in 0..u64::from(SLOTS) {
        let drawn = mixed.mix().step(step);
        let (source, sample) = samples.next().unwrap().unwrap();
        assert_eq!((source, sample.position()), (drawn.source, drawn.position), "step {step}");
    }
    assert_eq!([0, 1, 2].map(|i| samples.taken(i)), [2458, 1229, 409]);
}

#[test]
fn a_mix_goes_on_in_another_world() {
    let stores = stores();
    let (mut seen, mut positions, mut steps) = (Seen::new(), [0; 3], 0);
    let mut state = None::<MixState>;
    for (size, more) in [(3, 101), (2, 77), (5, 40), (1, 333), (4, 250)] {
        let saved = state.map(|state| MixState::from_json(state.to_json().as_bytes()).unwrap());
        let mut ranks = world(&stores, size, saved.as_ref());
        assert_eq!(ranks[0].step(), steps);
        take(&mut ranks, more, &mut seen);
        steps += more as u64;
        (0..3).for_each(|i| positions[i] += ranks[0].taken(i) * size);
        // All ranks save the same.
        assert!(ranks.iter().all(|rank| rank.state() == ranks[0].state()));
        state = Some(ranks[0].state());
    }
    (0..3).for_each(|source| evenly(&seen, source, positions[source]));
}

#[test]
fn what_does_not_fit_is_told() {
    let stores = stores();
    let three = || readers(&stores, Part::default(), None);
    for weights in [&[1.0, 1.0][..], &[1.0, 0.0, f64::NAN], &[0.0; 3], &[1.0, -1.0, 1.0]] {
        assert!(matches!(Mixed::new(three(), weights, 9), Err(Error::Usage(_))), "{weights:?}");
    }
    let mut uneven = three();
    let part = Part { rank: 0, world: 2, replicas: 1 };
    uneven[1] = readers(&stores, part, None).remove(1);
    assert!(matches!(Mixed::new(uneven, &WEIGHTS, 9), Err(Error::Usage(_))));

    let mut samples = Mixed::new(three(), &WEIGHTS, 9).unwrap().samples();
    samples.by_ref().take(100).for_each(|sample| drop(sample.unwrap()));
    let state = samples.state();
    let resumed = || readers(&stores, Part::default(), Some(&state.sources));
    assert!(Mixed::resume(resumed(), &WEIGHTS, 9, &state).is_ok());
    for (result, told) in [
        (Mixed::resume(resumed(), &WEIGHTS, 8, &state), "seed of the mix: 9 then, 8 now"),
        (Mixed::resume(resumed(), &[1.0; 3], 9, &state), "weights in 1/4096"),
        (Mixed::resume(three(), &WEIGHTS, 9, &state), "source 0: "),
    ] {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, Error::Different { .. }) && error.to_string().contains(told),
            "{error}"
        );
    }
}

/// A source of weight 0 is never opened: not even its damage shows.
#[test]
fn an_error_says_which_and_ends_the_mix() {
    let stores = stores();
    let gone = readers(&stores, Part::default(), None)[1].manifest().shards[0].path.clone();
    shardpack_store::Store::remove(&*stores[1], &gone).unwrap();
    let readers = |i: usize| {
        let mut options = ReadOptions::default();
        options.threads = Some(0);
        Reader::of_store(stores[i].clone(), options)
    };
    let error = readers(1).unwrap_err().to_string();
    assert!(error.contains(&gone), "{error}");
    // Gone after it was found.
    let two = vec![readers(0).unwrap(), readers(2).unwrap()];
    let plan = Plan::clone(two[1].plan());
    two[1].manifest().shards.iter().for_each(|shard| {
        shardpack_store::Store::remove(&*stores[2], &shard.path).unwrap();
    });
    let never = Mixed::new(two.clone(), &[1.0, 0.0], 9).unwrap();
    assert_eq!(never.samples().take(500).filter(Result::is_ok).count(), 500);
    let mut samples = Mixed::new(two, &[0.5, 0.5], 9).unwrap().samples();
    let read = samples.by_ref().take_while(Result::is_ok).count();
    assert!(read < 50, "{read} samples of {}", plan.samples());
    assert!(samples.next().is_none());
    assert_eq!(samples.step(), read as u64);
}
