//! The simulation against what can be worked out by hand, and properties of every run.

use proptest::prelude::*;

use super::*;

const MB: u64 = 1_000_000;

/// One worker, one request at a time, an object a request, nothing else in the way.
fn plain() -> Model {
    Model {
        start: 0.0,
        listing: 0.0,
        latency: 0.02,
        stream: f64::INFINITY,
        bandwidth: 100e6,
        request: 1000 * MB,
        in_flight: 1,
        ahead: u64::MAX,
        ..Model::of(Way::FastFile)
    }
}

#[track_caller]
fn near(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{got}, not {want}");
}

fn run(model: Model, lens: &[u64]) -> Run {
    simulate(&model, lens).expect("a run")
}

#[test]
fn one_stream_takes_latency_and_length_over_bandwidth_each() {
    let run = run(plain(), &[10 * MB; 50]);
    near(run.epoch, 50.0 * (0.02 + 0.1));
    near(run.first_batch, 0.12);
    assert_eq!((run.requests, run.bytes, run.fetched), (50, 500 * MB, 500 * MB));
}

#[test]
fn requests_in_flight_divide_latency() {
    for (in_flight, rounds) in [(1, 60.0), (4, 15.0), (7, 9.0), (60, 1.0), (100, 1.0)] {
        let model = Model { in_flight, bandwidth: f64::INFINITY, ..plain() };
        near(run(model, &[MB; 60]).epoch, 0.02 * rounds);
    }
}

#[test]
fn requests_in_flight_share_the_bandwidth() {
    let model = Model { in_flight: 4, ..plain() };
    near(run(model, &[10 * MB; 4]).epoch, 0.02 + 0.4);
    // No stream is faster than it can be, however few there are.
    let model = Model { in_flight: 4, stream: 10e6, ..plain() };
    near(run(model, &[10 * MB; 4]).epoch, 0.02 + 1.0);
}

#[test]
fn a_short_one_beside_a_long_one_leaves_it_the_link() {
    // Both get 50 MB/s until the short one is through at 0.2 s, then 80 MB at 100 MB/s are left.
    let model = Model { workers: 2, latency: 0.0, ..plain() };
    let run = run(model, &[10 * MB, 90 * MB]);
    near(run.epoch, 1.0);
    near(run.first_batch, 0.2);
}

#[test]
fn long_objects_are_asked_for_in_parts() {
    let model = Model { request: 4 * MB, ..plain() };
    let run = run(model, &[10 * MB]);
    assert_eq!(run.requests, 3);
    near(run.epoch, 3.0 * 0.02 + 0.1);
}

#[test]
fn a_slow_consumer_sets_the_pace_and_does_not_starve() {
    let model = Model { consume: 1e6, latency: 0.0, ..plain() };
    let run = run(model, &[MB; 10]);
    near(run.epoch, 0.01 + 10.0); // the first object, then ten seconds
    near(run.starved, 0.01 / 10.01);
}

#[test]
fn a_fast_consumer_starves() {
    // Latency 20 ms, transfer 10 ms, taken in 10 ms: it has work for a third of the time.
    let model = Model { consume: 100e6, ahead: 0, ..plain() };
    let run = run(model, &[MB; 1000]);
    assert!((run.starved - 2.0 / 3.0).abs() < 0.02 || run.starved > 0.6, "{}", run.starved);
}

#[test]
fn the_window_bounds_what_is_read_ahead() {
    // Two objects ahead: with the consumer at one a second, nothing else comes earlier.
    let model = Model {
        latency: 0.0,
        bandwidth: f64::INFINITY,
        request: MB,
        ahead: 2 * MB,
        consume: 1e6,
        ..plain()
    };
    near(run(model.clone(), &[MB; 5]).epoch, 5.0);
    // Where a request takes 1.5 s, one in flight at a time starves it; two ahead cannot help.
    let model = Model { latency: 1.5, ..model };
    near(run(model, &[MB; 4]).epoch, 4.0 * 1.5 + 1.0);
}

#[test]
fn workers_are_taken_from_in_turn() {
    // The second worker's only object is through long before the first's, and has to wait.
    let model =
        Model { workers: 2, latency: 0.0, bandwidth: f64::INFINITY, stream: 100e6, ..plain() };
    let run = run(model, &[100 * MB, MB]);
    near(run.first_batch, 1.0);
    near(run.worker_skew, 1.0);
}

#[test]
fn file_downloads_before_it_reads() {
    let model = Model { way: Way::File, hosts: 2, disk: 200e6, start: 12.0, ..plain() };
    let all = run(model.clone(), &[100 * MB; 4]);
    near(all.start, 12.0 + 4.0 * 1.02);
    near(all.epoch, 2.0 * 0.5);
    assert_eq!((all.bytes, all.fetched), (400 * MB, 800 * MB));
    let part = run(Model { sharded: true, ..model }, &[100 * MB; 4]);
    near(part.start, 12.0 + 2.0 * 1.02);
    assert_eq!(part.fetched, 400 * MB);
}

#[test]
fn fastfile_lists_before_it_reads() {
    let model = Model { start: 16.0, listing: 1e-4, ..plain() };
    near(run(model, &[1; 10_000]).start, 17.0);
}

#[test]
fn a_pipe_has_one_reader() {
    let model = Model { way: Way::Pipe, workers: 8, bandwidth: f64::INFINITY, ..plain() };
    near(run(model, &[MB; 16]).epoch, 16.0 * 0.02);
}

#[test]
fn hosts_share_the_store_and_wait_for_the_longest() {
    let model = Model { hosts: 3, latency: 0.0, bandwidth: f64::INFINITY, total: 300e6, ..plain() };
    let run = run(model, &[100 * MB; 4]);
    near(run.epoch, 2.0);
    near(run.host_skew, 2.0);
    let idle = simulate(&Model { hosts: 6, ..plain() }, &[MB; 4]).expect("a run");
    assert_eq!(idle.idle_hosts, 2);
}

#[test]
fn what_cannot_be_played_is_refused() {
    let refused = |model: Model, lens: &[u64]| simulate(&model, lens).expect_err("refused");
    assert_eq!(refused(plain(), &[]), Error::Empty);
    assert_eq!(refused(plain(), &[0, 0]), Error::Empty);
    let requests = refused(Model { request: 1, ..plain() }, &[30_000_000]);
    assert_eq!(requests, Error::Requests { requests: 30_000_001, limit: REQUESTS });
    let models = [
        (Model { hosts: 0, ..plain() }, "hosts"),
        (Model { hosts: 100_001, ..plain() }, "hosts"),
        (Model { workers: 0, ..plain() }, "workers"),
        (Model { request: 0, ..plain() }, "request"),
        (Model { in_flight: 0, ..plain() }, "requests in flight"),
        (Model { latency: -0.1, ..plain() }, "latency"),
        (Model { bandwidth: 0.0, ..plain() }, "bandwidth of a host"),
        (Model { consume: f64::NAN, ..plain() }, "bytes a second that the model takes"),
        (Model { start: f64::INFINITY, ..plain() }, "start"),
    ];
    for (model, name) in models {
        assert!(
            matches!(refused(model, &[1]), Error::Number { what, .. } if what == name),
            "{name}"
        );
    }
}

fn models() -> impl Strategy<Value = Model> {
    let way = prop::sample::select(Way::ALL.to_vec());
    let counts = (1u64..5, 1u64..5, 1u64..6, 1u64..5000, 0u64..20_000);
    let rates = (1e3f64..1e6, 1e3f64..1e6, prop_oneof![Just(f64::INFINITY), 1e3f64..1e6]);
    (way, counts, rates, 0.0f64..0.1, any::<bool>()).prop_map(
        |(
            way,
            (hosts, workers, in_flight, request, ahead),
            (stream, bandwidth, consume),
            latency,
            sharded,
        )| {
            Model {
                hosts,
                workers,
                in_flight,
                request,
                ahead,
                stream,
                bandwidth,
                consume,
                latency,
                sharded,
                ..Model::of(way)
            }
        },
    )
}

proptest! {
    #[test]
    fn every_byte_is_delivered_once(model in models(), lens in prop::collection::vec(0u64..9000, 1..40)) {
        prop_assume!(lens.iter().sum::<u64>() > 0);
        let run = simulate(&model, &lens).unwrap();
        let all = lens.iter().sum::<u64>();
        prop_assert_eq!(run.hosts.iter().map(|host| host.bytes).sum::<u64>(), all);
        let copies = if model.way == Way::File && !model.sharded { model.hosts } else { 1 };
        prop_assert_eq!(run.fetched, all * copies);
        prop_assert!(run.start <= run.first_batch);
        prop_assert!((0.0..=1.0 + 1e-9).contains(&run.starved));
        prop_assert!(run.host_skew >= 1.0 && run.worker_skew >= 1.0);
        prop_assert_eq!(&run, &simulate(&model, &lens).unwrap());
    }

    /// No run is faster than its narrowest place, nor than its consumer.
    #[test]
    fn nothing_is_faster_than_its_narrowest_place(
        model in models(), lens in prop::collection::vec(0u64..9000, 1..40),
    ) {
        prop_assume!(lens.iter().sum::<u64>() > 0 && model.way != Way::File);
        let run = simulate(&model, &lens).unwrap();
        for host in &run.hosts {
            let floor = host.bytes as f64 / model.bandwidth.min(model.consume);
            prop_assert!(host.end - host.start >= floor * (1.0 - 1e-9));
        }
    }

    /// A faster stream is never slower, nor is a faster link that alone decides.
    #[test]
    fn more_bandwidth_is_never_slower(
        model in models(), lens in prop::collection::vec(0u64..9000, 1..40), times in 1.0f64..10.0,
    ) {
        prop_assume!(lens.iter().sum::<u64>() > 0);
        let end = |model: &Model| simulate(model, &lens).map(|run| run.start + run.epoch).unwrap();
        let streams = Model { bandwidth: f64::INFINITY, ..model.clone() };
        let faster = Model { stream: streams.stream * times, ..streams.clone() };
        prop_assert!(end(&faster) <= end(&streams) * (1.0 + 1e-9));
        let far = f64::INFINITY;
        let link = Model { latency: 0.0, stream: far, ahead: u64::MAX, consume: far, ..model.clone() };
        let faster = Model { bandwidth: link.bandwidth * times, ..link.clone() };
        prop_assert!(end(&faster) <= end(&link) * (1.0 + 1e-9));
    }

    /// Where requests take turns at a link, one that comes earlier may delay another, so a faster
    /// link can end later: by less than what one request takes.
    #[test]
    fn a_faster_link_costs_no_more_than_a_request(
        model in models(), lens in prop::collection::vec(0u64..9000, 1..40), times in 1.0f64..10.0,
    ) {
        prop_assume!(lens.iter().sum::<u64>() > 0);
        let end = |model: &Model| simulate(model, &lens).map(|run| run.start + run.epoch).unwrap();
        let faster = Model { bandwidth: model.bandwidth * times, ..model.clone() };
        let request = model.request.min(9000) as f64;
        let slack = model.latency + request / model.bandwidth.min(model.stream) + request / model.consume;
        prop_assert!(end(&faster) <= end(&model) + slack, "{} {} {slack}", end(&faster), end(&model));
    }
}
