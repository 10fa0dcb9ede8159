//! Mixes of streams, and of streams with files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shardpack_channel::Rank;
use shardpack_formats::DecodeOptions;
use shardpack_manifest::Digest;
use shardpack_reader::plan::{MixState, State, Tail};
use shardpack_reader::stream::{Contents, Streamed};
use shardpack_reader::{ChannelReader, Error, Mixed, MixedSamples, ReadOptions, Reader};

use crate::support::*;

const WEIGHTS: [f64; 3] = [5.0, 3.0, 1.0];
/// Which of them come in streams.
const STREAMED: [bool; 3] = [true, false, true];

/// Three datasets of different sizes, whose keys do not meet.
fn sets() -> Vec<Set> {
    [(0, 90, "webdataset"), (100, 14, "tfrecord"), (200, 31, "recordio-protobuf")]
        .map(|(first, samples, format)| {
            Make { first, samples, per_shard: 8, ..Make::new(format) }.dataset()
        })
        .into()
}

fn readers(sets: &[Set], rank: u64, world: u64, states: Option<&[State]>) -> Vec<ChannelReader> {
    let (mut options, part) = (options(Tail::Pad), part(rank, world));
    options.part = Some(part);
    let reader = |(i, set): (usize, &Set)| {
        let state = states.map(|states| &states[i]);
        match STREAMED[i] {
            true => {
                let bytes = set.joined(set.shuffled(3));
                set.resumed(bytes, part, &options, state).unwrap().into()
            }
            false => {
                Reader::resume_store(set.store.clone(), options.clone(), state).unwrap().into()
            }
        }
    };
    sets.iter().enumerate().map(reader).collect()
}

/// A mix on each rank of a world.
fn world(sets: &[Set], world: u64, state: Option<&MixState>) -> Vec<MixedSamples> {
    let rank = |rank| {
        let readers = readers(sets, rank, world, state.map(|state| &*state.sources));
        match state {
            None => Mixed::new(readers, &WEIGHTS, 9).unwrap().samples(),
            Some(state) => Mixed::resume(readers, &WEIGHTS, 9, state).unwrap().samples(),
        }
    };
    (0..world).map(rank).collect()
}

/// How often each key of each source was seen.
type Times = BTreeMap<(usize, String), u64>;

/// Takes so many steps on each rank, side by side.
fn take(ranks: &mut [MixedSamples], steps: u64, times: &mut Times) {
    for _ in 0..steps {
        let mut drawn = Vec::new();
        for samples in &mut *ranks {
            let (source, sample) = samples.next().unwrap().unwrap();
            assert!(sample.is_real());
            *times.entry((source, sample.key().to_owned())).or_default() += 1;
            drawn.push(source);
        }
        assert!(drawn.iter().all(|source| *source == drawn[0]), "{drawn:?}");
    }
}

/// Every sample of a source was seen as often as any other, or once more.
fn evenly(sets: &[Set], times: &Times, source: usize, positions: u64) {
    let samples = sets[source].manifest.totals.samples;
    let own = times.iter().filter(|((of, _), _)| *of == source).map(|(_, times)| *times);
    let own: Vec<u64> = own.collect();
    let (epochs, more) = (positions / samples, positions % samples);
    assert_eq!(own.iter().sum::<u64>(), positions, "source {source}");
    assert_eq!(own.iter().filter(|times| **times == epochs + 1).count() as u64, more, "{own:?}");
    assert!(own.iter().all(|times| *times == epochs || *times == epochs + 1), "{own:?}");
}

#[test]
fn ranks_draw_alike_and_every_epoch_of_a_stream_is_whole() {
    let sets = sets();
    for size in [1, 3, 4] {
        let mut ranks = world(&sets, size, None);
        let (mut times, mut whole) = (Times::new(), [0; 3]);
        for _ in 0..700 {
            take(&mut ranks, 1, &mut times);
            for (source, set) in sets.iter().enumerate() {
                let cursor = ranks[0].cursor(source).unwrap();
                if cursor.consumed == 0 && cursor.epoch > 0 {
                    let sum: Digest = ranks.iter().map(|rank| rank.digest(source)).sum();
                    let digests = (0..cursor.epoch).map(|_| set.manifest.digest);
                    assert_eq!(sum, digests.sum(), "source {source} of {size} ranks");
                    whole[source] += 1;
                }
            }
        }
        assert!(whole.iter().all(|times| *times > 1), "{whole:?}");
        (0..3).for_each(|source| evenly(&sets, &times, source, ranks[0].taken(source) * size));
    }
}

/// What a rank took of an epoch that another rank's samples of it were, it passes over: ranks do not
/// keep their place in the epochs of a mix.
#[test]
fn as_many_ranks_go_on_in_the_middle_of_streams() {
    let sets = sets();
    for size in [1, 3, 4] {
        let (mut times, mut positions) = (Times::new(), [0; 3]);
        let mut state = None::<MixState>;
        let (mut between, mut uneven) = (0, 0);
        for more in [101, 1, 77, 40, 13, 333, 250] {
            let mut ranks = world(&sets, size, state.as_ref());
            take(&mut ranks, more, &mut times);
            (0..3).for_each(|i| positions[i] += ranks[0].taken(i) * size);
            let saved = ranks[0].state();
            assert!(ranks.iter().all(|rank| rank.state() == saved), "all ranks save the same");
            for source in &saved.sources {
                between += u64::from(source.streamed.is_some());
                uneven += u64::from(source.streamed.is_some() && source.consumed % size != 0);
            }
            assert!(saved.sources[1].streamed.is_none(), "files have a place");
            state = Some(MixState::from_json(saved.to_json().as_bytes()).unwrap());
        }
        assert!(between > 5 && (uneven > 0) == (size > 1), "{between} {uneven}");
        (0..3).for_each(|source| evenly(&sets, &times, source, positions[source]));
    }
}

/// The same stream alone, from a place in an epoch where ranks have not taken equally many of it.
#[test]
fn what_a_mix_left_of_an_epoch_is_read_without_it_in_equal_steps() {
    let sets = sets();
    let mut ranks = world(&sets, 4, None);
    let mut times = Times::new();
    take(&mut ranks, 150, &mut times);
    let saved = ranks[0].state().sources.remove(0);
    let uneven = saved.streamed.is_some() && !saved.consumed.is_multiple_of(4);
    assert!(saved.epoch > 0 && uneven, "{saved:?}");
    let mut steps = Vec::new();
    for rank in 0..4 {
        let bytes = sets[0].joined(sets[0].shuffled(3));
        let options = options(Tail::Mask);
        let reader = sets[0].resumed(bytes, part(rank, 4), &options, Some(&saved)).unwrap();
        let mut samples = reader.epoch(saved.epoch);
        let keys: Vec<_> = samples.by_ref().map(|sample| sample.unwrap()).collect();
        steps.push(keys.len());
        for sample in keys.iter().filter(|sample| sample.is_real()) {
            *times.entry((0, sample.key().to_owned())).or_default() += 1;
        }
        let end = samples.state().unwrap();
        assert_eq!((end.epoch, end.consumed), (saved.epoch + 1, 0));
    }
    assert!(steps.iter().all(|steps| *steps == (90 - saved.consumed as usize).div_ceil(4)));
    evenly(&sets, &times, 0, 90 * (saved.epoch + 1));
}

#[test]
fn another_number_of_ranks_goes_on_between_epochs_alone() {
    let set = Make::tiny("tfrecord").dataset();
    let mixed = |rank, world, state: Option<&MixState>| {
        let (part, options) = (part(rank, world), options(Tail::Pad));
        let sources = state.map(|state| &state.sources[0]);
        let reader = set.resumed(set.all(), part, &options, sources)?;
        match state {
            None => Mixed::new(vec![reader], &[1.0], 0),
            Some(state) => Mixed::resume(vec![reader], &[1.0], 0, state),
        }
    };
    let after = |steps: usize| {
        let mut samples = mixed(1, 2, None).unwrap().samples();
        samples.by_ref().take(steps).for_each(|sample| drop(sample.unwrap()));
        samples.state()
    };
    assert!(matches!(mixed(0, 3, Some(&after(4))), Err(Error::Different { .. })));
    let between = after(6);
    let mut seen = Vec::new();
    for rank in 0..3 {
        let mixed = mixed(rank, 3, Some(&between)).unwrap();
        seen.extend(mixed.samples().take(2).map(|sample| sample.unwrap().1.key().to_owned()));
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), between.sources[0].epoch), (6, 2));
    let mid = after(1);
    let sought = Reader::resume_store(set.store.clone(), options(Tail::Pad), Some(&mid.sources[0]));
    assert!(matches!(sought, Err(Error::Different { .. })));
}

#[test]
fn a_source_whose_epochs_have_no_end_is_refused_by_name() {
    let set = Make::tiny("tfrecord").dataset();
    let fifos = Fifos::new();
    let format = shardpack_formats::open("tfrecord", &Default::default()).unwrap();
    let foreign = Contents::Foreign { format, decode: DecodeOptions::default() };
    let sharded = set.contents(Some(Rank { rank: 0, world: 2 }));
    for (contents, why) in [(foreign, "give the manifest"), (sharded, "FullyReplicated")] {
        let pipe = Arc::new(fifos.pipe());
        let streamed = Streamed::new(pipe, contents, part(0, 1), ReadOptions::default(), None);
        let error = Mixed::new(vec![streamed.unwrap()], &[1.0], 0).unwrap_err();
        assert!(matches!(&error, Error::Usage(_)), "{error}");
        let told = error.to_string();
        assert!(told.starts_with("channel \"train\": ") && told.contains(why), "{told}");
    }
}

/// FIFOs of two epochs, and a dataset in files beside them.
#[test]
fn a_fifo_that_does_not_come_ends_the_mix_and_is_named() {
    let sets = sets();
    let (stream, fifos) = (&sets[2], Fifos::new());
    let writers: Vec<_> =
        (0..2).map(|epoch| write(&fifos.make(epoch), stream.all(), 500)).collect();
    let pipe = Arc::new(fifos.patient(PATIENT, Duration::from_millis(20)));
    let (options, part) = (options(Tail::Pad), part(0, 1));
    let reader = Streamed::new(pipe, stream.contents(None), part, options.clone(), None).unwrap();
    let readers = vec![reader.into(), sets[0].reader(part, &options).into()];
    let mut samples = Mixed::new::<ChannelReader>(readers, &[1.0, 1.0], 3).unwrap().samples();
    let mut times = Times::new();
    let error = loop {
        match samples.next().unwrap() {
            Ok((source, sample)) => {
                *times.entry((source, sample.key().to_owned())).or_default() += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(samples.cursor(0).map(|cursor| (cursor.epoch, cursor.consumed)), Some((2, 0)));
    let of_stream: Vec<u64> = times.iter().filter(|((s, _), _)| *s == 0).map(|(_, n)| *n).collect();
    assert_eq!(of_stream, [2; 31]);
    assert!(matches!(&error, Error::Stalled(stalled) if stalled.pipe == "train_2"), "{error}");
    assert!(error.to_string().contains("each epoch takes a FIFO of its own"), "{error}");
    assert!(samples.next().is_none());
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
}
