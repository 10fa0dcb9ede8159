//! Exactly once, whatever becomes of the world.

use super::*;

/// Worlds one after the other, and after what part of its steps each is stopped.
fn worlds() -> impl Strategy<Value = Vec<(u64, f64)>> {
    prop::collection::vec((1u64..8, 0.0..1.2f64), 0..4)
}

/// Runs an epoch through `worlds` and one last world to its end; the items of all.
fn run(setup: &Setup, worlds: &[(u64, f64)], last: u64) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut state: Option<State> = None;
    for &(world, part) in worlds.iter().chain([&(last, 1.0)]) {
        let plan = |rank| setup.plan_from(rank, world, state.as_ref());
        let plans: Vec<_> = (0..world).map(plan).collect::<Result<_>>().ok()?;
        let shares: Vec<_> = plans.iter().map(|plan| plan.share(plan.start())).collect();
        let len = shares[0].len();
        assert!(shares.iter().all(|share| share.len() == len));
        let steps = ((len as f64 * part) as u64).min(len);
        for share in &shares {
            items.extend((0..steps).map(|i| share.item(i).unwrap()));
        }
        let cursor = shares[0].after(steps);
        assert!(shares.iter().all(|share| share.after(steps) == cursor));
        prefix(&items, cursor, plans[0].samples());
        if cursor.epoch > 0 {
            return Some(items);
        }
        state = Some(plans[0].state(cursor).to_string().parse().unwrap());
    }
    unreachable!("the last world goes to the end")
}

/// What was handed out in the middle of an epoch is every position below `consumed`, once.
fn prefix(items: &[Item], cursor: Cursor, samples: u64) {
    let mut positions: Vec<_> = items.iter().map(|item| item.position).collect();
    positions.sort_unstable();
    if cursor.epoch == 0 {
        assert_eq!(positions, (0..cursor.consumed).collect::<Vec<_>>());
    }
    assert!(items.iter().all(|item| item.position >= samples || item.real));
}

proptest! {
    #[test]
    fn every_sample_once_over_any_chain_of_worlds(
        setup in setups(), worlds in worlds(), last in 1u64..8,
    ) {
        // State keeps the lanes of the first world.
        let Some(items) = run(&setup, &worlds, last) else { return Ok(()) };
        let live = setup.live();
        let handed_out = tally(items.iter().map(|item| item.sample));
        match setup.options.tail {
            Tail::Mask => {
                let real = items.iter().filter(|item| item.real).map(|item| item.sample);
                prop_assert_eq!(tally(real), tally(live));
            }
            Tail::Pad => {
                prop_assert!(items.iter().all(|item| item.real));
                prop_assert_eq!(handed_out.len(), live.len());
            }
            Tail::Drop => {
                prop_assert!(handed_out.values().all(|&times| times == 1));
                let unit = last.max(worlds.iter().map(|w| w.0).max().unwrap_or(1));
                let unit = unit * setup.options.batch.unwrap_or(1);
                prop_assert!(live.len() as u64 - handed_out.len() as u64 <= unit);
            }
        }
    }

    #[test]
    fn steps_fill_batches_and_pad_least(setup in setups(), world in 1u64..8, base in 0u64..40) {
        let Ok(plan) = setup.plan(0, world) else { return Ok(()) };
        let share = plan.share(Cursor { epoch: 0, consumed: base });
        let end = setup.options.length.unwrap_or(plan.samples());
        let left = end.saturating_sub(base);
        let batch = setup.options.batch.unwrap_or(1);
        prop_assert_eq!(share.len() % batch, 0);
        let all = share.len() * world;
        match setup.options.tail {
            Tail::Drop => prop_assert!(all <= left && left - all < world * batch),
            _ => prop_assert!(all >= left && all - left < world * batch),
        }
    }

    #[test]
    fn workers_in_turn_are_the_rank(
        setup in setups(), world in 1u64..5, base in 0u64..20, workers in 1u64..5, batch in 1u64..5,
    ) {
        let Ok(plan) = setup.plan(world - 1, world) else { return Ok(()) };
        let share = plan.share(Cursor { epoch: 0, consumed: base });
        let split: Vec<_> = (0..workers)
            .map(|worker| share.clone().worker(worker, workers, batch).unwrap())
            .collect();
        let mut batches: Vec<_> = split.iter()
            .map(|worker| worker.items(0).collect::<Vec<_>>())
            .map(|items| items.chunks(batch as usize).map(<[Item]>::to_vec).collect::<Vec<_>>())
            .map(Vec::into_iter)
            .collect();
        let mut joined = Vec::new();
        for turn in 0.. {
            let Some(batch) = batches[turn % workers as usize].next() else { break };
            joined.extend(batch);
        }
        prop_assert!(batches.iter().all(|rest| rest.len() == 0));
        prop_assert_eq!(joined, share.items(0).collect::<Vec<_>>());
        prop_assert_eq!(split.iter().map(Share::real).sum::<u64>(), share.real());
        for worker in &split {
            for (i, item) in worker.items(0).enumerate() {
                prop_assert_eq!(worker.step(item.position), Some(i as u64));
            }
        }
    }

    #[test]
    fn a_position_is_a_step_of_one_rank(setup in setups(), world in 1u64..6, base in 0u64..20) {
        let shares: Result<Vec<_>> = (0..world)
            .map(|rank| Ok(setup.plan(rank, world)?.share(Cursor { epoch: 0, consumed: base })))
            .collect();
        let Ok(shares) = shares else { return Ok(()) };
        for position in 0..base + shares[0].len() * world + 3 {
            let owners: Vec<_> = shares.iter().filter_map(|share| {
                let step = share.step(position)?;
                assert_eq!(share.item(step).unwrap().position, position);
                Some(())
            }).collect();
            let handed_out = position >= base && position < base + shares[0].len() * world;
            prop_assert_eq!(owners.len(), usize::from(handed_out), "{}", position);
        }
    }

    /// Endless epochs: the first steps of all ranks are a prefix of the epochs joined, in any
    /// chain of worlds.
    #[test]
    fn endless_epochs_follow_on_each_other(
        setup in setups(), worlds in prop::collection::vec((1u64..8, 0u64..60), 1..5),
    ) {
        let mut seen = Vec::new();
        let mut state: Option<State> = None;
        for (world, steps) in worlds {
            let mut after = None;
            for rank in 0..world {
                let Ok(plan) = setup.plan_from(rank, world, state.as_ref()) else {
                    return Ok(());
                };
                let endless = plan.endless().unwrap();
                let own: Vec<_> = (0..steps).map(|i| endless.position(i)).collect();
                let shares = endless.shares(0).flat_map(|share| {
                    let epoch = share.epoch().number();
                    let items: Vec<_> = share.items(0).collect();
                    items.into_iter().map(move |item| (epoch, item.position))
                });
                prop_assert_eq!(shares.take(steps as usize).collect::<Vec<_>>(), own.clone());
                seen.extend(own);
                after = Some(plan.state(endless.after(steps)));
            }
            state = after;
            let state = state.as_ref().unwrap();
            seen.sort_unstable();
            let joined = (0..).flat_map(|epoch| (0..state.samples).map(move |p| (epoch, p)));
            let prefix: Vec<_> = joined.take(seen.len()).collect();
            prop_assert_eq!(&seen, &prefix);
            let next = (state.epoch, state.consumed);
            let total = seen.len() as u64;
            prop_assert_eq!(next, (total / state.samples, total % state.samples));
        }
    }
}

#[test]
fn a_deep_start_is_found_at_once() {
    // 10^12 samples: nothing here may walk over them.
    let shards = Shards::new(vec![1 << 30; 1000]).unwrap();
    for shuffle in ["off", "exact", "window:256:shard", "window:1000:64"] {
        let shuffle = shuffle.parse().unwrap();
        let options = PlanOptions { shuffle, seed: 1, ..PlanOptions::default() };
        let part = Part { rank: 3, world: 7, replicas: 1 };
        let plan = Plan::new(shards.clone(), options, part).unwrap();
        let cursor = Cursor { epoch: 9, consumed: 987_654_321_012 };
        let share = plan.share(cursor);
        let item = share.item(0).unwrap();
        assert_eq!(share.epoch().position(item.sample), Some(item.position));
        let window = share.windows().next().unwrap();
        let read: Vec<_> = window.runs.iter().flat_map(|run| run.samples()).collect();
        assert_eq!(read[window.order[0] as usize], item.sample);
    }
}
