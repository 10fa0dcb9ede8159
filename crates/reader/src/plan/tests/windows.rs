//! Windows hand out what single steps do.

use super::*;

/// Samples of windows in the order of handing out, checked against themselves.
fn samples(windows: Windows, first: u64, at_most: usize) -> Vec<SampleId> {
    let mut all = Vec::new();
    for window in windows {
        assert_eq!(window.first, first + all.len() as u64);
        assert!(!window.order.is_empty() && window.order.len() <= at_most);
        let read: Vec<_> = window.runs.iter().flat_map(|run| run.samples()).collect();
        let mut order = window.order.clone();
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..read.len() as u32), "{window:?}");
        // As few runs as there can be, by lane.
        for pair in window.runs.windows(2) {
            assert!(pair[0].lane <= pair[1].lane);
            let end = (pair[0].lane, pair[0].shard, pair[0].first + pair[0].count);
            assert_ne!(end, (pair[1].lane, pair[1].shard, pair[1].first), "{window:?}");
        }
        all.extend(window.order.iter().map(|&n| read[n as usize]));
    }
    all
}

proptest! {
    #[test]
    fn of_a_rank_and_of_a_worker(
        setup in setups(),
        world in 1u64..8,
        rank in any::<prop::sample::Index>(),
        base in 0u64..150,
        split in prop::option::of((1u64..4, 1u64..4)),
        at_most in prop::option::of(1u64..50),
        at_least in prop::option::of(1u64..200),
    ) {
        let rank = rank.index(world as usize) as u64;
        let Ok(plan) = setup.plan(rank, world) else { return Ok(()) };
        let mut share = plan.share(Cursor { epoch: 1, consumed: base });
        if let Some((workers, batch)) = split {
            share = share.worker(workers - 1, workers, batch).unwrap();
        }
        let mut windows = share.windows();
        if let Some(at_most) = at_most {
            windows = windows.at_most(at_most);
        }
        if let Some(at_least) = at_least {
            windows = windows.at_least(at_least);
        }
        let seen = samples(windows, 0, at_most.map_or(usize::MAX, |n| n as usize));
        let steps: Vec<_> = share.items(0).take(share.real() as usize).collect();
        prop_assert!(steps.iter().all(|item| item.position < plan.samples()));
        prop_assert!(share.items(share.real()).all(|item| item.position >= plan.samples()));
        prop_assert_eq!(seen, steps.iter().map(|item| item.sample).collect::<Vec<_>>());
        let lanes: Vec<_> = share.lanes().collect();
        let epoch = share.epoch();
        prop_assert!(steps.iter().all(|item| lanes.contains(&(item.position % epoch.lanes()))));
    }

    #[test]
    fn of_a_lane(setup in setups(), lane in 0u64..22, depth in 0u64..60) {
        let Ok(plan) = setup.plan(0, 1) else { return Ok(()) };
        let epoch = plan.epoch(2);
        let lanes = epoch.lanes();
        let steps: Vec<_> = (depth..).map(|depth| depth * lanes + lane)
            .take_while(|&position| lane < lanes && position < epoch.len())
            .map(|position| epoch.sample(position).unwrap())
            .collect();
        prop_assert_eq!(samples(epoch.windows(lane, depth), depth, usize::MAX), steps);
    }

    /// A rank with whole lanes reads each stretch in one run, broken by nothing but shards and
    /// the dead.
    #[test]
    fn whole_windows_are_read_in_one_piece(count in 1u64..400, window in 1u64..200, seed in any::<u64>()) {
        let shuffle = Shuffle::Window { block: Block::Shard, window };
        let options = PlanOptions { seed, shuffle, lanes: Some(2), ..PlanOptions::default() };
        let part = Part { rank: 0, world: 2, replicas: 1 };
        let plan = Plan::new(Shards::new([count]).unwrap(), options, part).unwrap();
        for window in plan.share(plan.start()).windows() {
            prop_assert_eq!(window.runs.len(), 1);
        }
    }
}

#[test]
fn the_dead_break_runs() {
    let shards = Shards::new([10]).unwrap().without(vec![3, 4, 8]).unwrap();
    let plan = Plan::new(shards, PlanOptions::default(), Part::default()).unwrap();
    let windows: Vec<_> = plan.share(plan.start()).windows().collect();
    let runs: Vec<_> = windows[0].runs.iter().map(|run| (run.first, run.count)).collect();
    assert_eq!((windows.len(), &runs[..]), (1, &[(0, 3), (5, 3), (9, 1)][..]));
}
