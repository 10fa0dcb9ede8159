//! Several sources by weight.

use super::*;

const PERIOD: u64 = SLOTS as u64;

fn plans(samples: &[u64], rank: u64, world: u64, states: Option<&MixState>) -> Vec<Plan> {
    let part = Part { rank, world, replicas: 1 };
    let shards = |n| Shards::new([n, n / 2]).unwrap();
    let options = |i| PlanOptions { seed: i as u64, ..PlanOptions::default() };
    let each = samples.iter().enumerate().map(|(i, &n)| match states {
        None => Plan::new(shards(n), options(i), part).unwrap(),
        Some(state) => Plan::resume(shards(n), options(i), part, &state.sources[i]).unwrap(),
    });
    each.collect()
}

fn shares(weights: &[f64]) -> Vec<u64> {
    let samples = vec![10; weights.len()];
    let mix = Mix::new(&plans(&samples, 0, 1, None), weights, 0).unwrap();
    (0..weights.len()).map(|source| mix.taken(source, PERIOD)).collect()
}

#[test]
fn weights_become_slots() {
    for (weights, slots) in [
        (&[1.0][..], &[4096][..]),
        (&[1.0, 1.0, 1.0, 0.0], &[1366, 1365, 1365, 0]),
        (&[0.7, 0.3], &[2867, 1229]),                // 2867.2 and 1228.8
        (&[1e300, 1e-300, 5e299], &[2730, 1, 1365]), // 2730.7 and 1365.3: the 4097th is the first's
        (&[1.0, 1e-9, 1e-9], &[4094, 1, 1]),
        (&[0.0, f64::MIN_POSITIVE], &[0, 4096]),
    ] {
        assert_eq!(shares(weights), slots, "{weights:?}");
    }
    assert_eq!(shares(&vec![0.1; SLOTS as usize]), vec![1; SLOTS as usize]);
}

#[test]
fn weights_that_say_nothing_are_refused() {
    let mix = |weights: &[f64]| Mix::new(&plans(&[5, 5], 0, 1, None), weights, 0);
    let many = vec![1.0; SLOTS as usize + 1];
    for weights in [
        &[][..],
        &[0.0, 0.0],
        &[1.0],
        &[1.0, -1.0],
        &[1.0, f64::NAN],
        &[f64::INFINITY, 1.0],
        &[f64::MAX, f64::MAX],
        &[1.0; 3],
        &many,
    ] {
        assert!(matches!(mix(weights), Err(Error::Usage(_))), "{} weights", weights.len());
    }
    let worlds = [plans(&[5], 0, 1, None), plans(&[5], 0, 2, None)].concat();
    assert!(Mix::new(&worlds, &[1.0, 1.0], 0).is_err());
}

#[test]
fn another_mix_is_named() {
    let samples = [50, 9];
    let mix = Mix::new(&plans(&samples, 0, 2, None), &[1.0, 3.0], 5).unwrap();
    let state = MixState::from_json(mix.state(77).to_json().as_bytes()).unwrap();
    assert_eq!(state, mix.state(77));
    let resumed = plans(&samples, 0, 3, Some(&state));
    let error =
        |plans: &[Plan], weights: &[f64], seed| match Mix::resume(plans, weights, seed, &state) {
            Err(Error::Different { differences }) => differences.join("; "),
            other => panic!("{other:?}"),
        };
    assert!(error(&resumed, &[1.0, 3.0], 6).contains("5 then, 6 now"));
    assert!(error(&resumed, &[1.0, 1.0], 5).contains("[1024, 3072] then, [2048, 2048] now"));
    assert!(error(&plans(&samples, 0, 3, None), &[1.0, 3.0], 5).starts_with("source 0: "));
    for bad in [
        state.to_json().replace("1024", "1025"),
        state.to_json().replace("[1024,3072]", "[4096]"),
        state.to_json().replace("\"step\"", "\"stop\""),
    ] {
        assert!(matches!(MixState::from_json(bad.as_bytes()), Err(Error::State { .. })), "{bad}");
    }
    let later = state.to_json().replacen("\"plan\":1", "\"plan\":2", 1);
    assert!(matches!(MixState::from_json(later.as_bytes()), Err(Error::Version { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn counts_are_those_of_the_steps(
        weights in prop::collection::vec(0.0..1.0f64, 1..5), seed in any::<u64>(), start in 0u64..9000,
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0.0));
        let samples = vec![7; weights.len()];
        let mix = Mix::new(&plans(&samples, 0, 1, None), &weights, seed).unwrap();
        let mut taken: Vec<_> = (0..weights.len()).map(|s| mix.taken(s, start)).collect();
        prop_assert_eq!(taken.iter().sum::<u64>(), start);
        for step in start..start + PERIOD {
            taken[mix.source(step)] += 1;
            for (source, &taken) in taken.iter().enumerate() {
                prop_assert_eq!(mix.taken(source, step + 1), taken);
            }
        }
        let sum: f64 = weights.iter().sum();
        for (source, weight) in weights.iter().enumerate() {
            let period = mix.taken(source, start + PERIOD) - mix.taken(source, start);
            let ideal = PERIOD as f64 * weight / sum;
            prop_assert!((period as f64 - ideal).abs() <= 1.0 + weights.len() as f64);
        }
    }

    /// In any chain of worlds each source hands out its epochs one after the other, each sample
    /// once an epoch.
    #[test]
    fn sources_go_through_their_epochs_in_any_world(
        samples in prop::collection::vec(3u64..40, 1..4),
        worlds in prop::collection::vec((1u64..6, 0u64..50), 1..5),
        seed in any::<u64>(),
    ) {
        let weights: Vec<_> = (1..=samples.len()).map(|weight| weight as f64).collect();
        let mut seen = vec![Vec::new(); samples.len()];
        let mut state: Option<MixState> = None;
        for (world, steps) in worlds {
            let mut after = None;
            for rank in 0..world {
                let plans = plans(&samples, rank, world, state.as_ref());
                let mix = match &state {
                    None => Mix::new(&plans, &weights, seed).unwrap(),
                    Some(state) => Mix::resume(&plans, &weights, seed, state).unwrap(),
                };
                let mut own = vec![Vec::new(); samples.len()];
                for step in mix.start()..mix.start() + steps {
                    let drawn = mix.step(step);
                    prop_assert_eq!(drawn.step, own[drawn.source].len() as u64);
                    own[drawn.source].push((drawn.epoch, drawn.position));
                }
                after = Some(mix.state(mix.start() + steps));
                own.into_iter().zip(&mut seen).for_each(|(own, seen)| seen.extend(own));
            }
            state = after;
            for (source, seen) in seen.iter_mut().enumerate() {
                seen.sort_unstable();
                let own = &state.as_ref().unwrap().sources[source];
                let joined = (0..).flat_map(|epoch| (0..own.samples).map(move |p| (epoch, p)));
                prop_assert_eq!(&*seen, &joined.take(seen.len()).collect::<Vec<_>>());
                prop_assert_eq!(own.epoch * own.samples + own.consumed, seen.len() as u64);
            }
        }
    }
}
