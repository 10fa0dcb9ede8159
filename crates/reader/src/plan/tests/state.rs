//! A state comes back as it was, or not at all.

use shardpack_manifest::Digest;

use super::*;

const TEXT: &str = "plan=1,dataset=000000000000000000000000000004d2,layout=00000000000000ff,\
    samples=100,length=104,seed=18446744073709551615,epoch=3,lanes=16,shuffle=window:256:shard,\
    consumed=48";
const JSON: &str = r#"{"plan":1,"dataset":"000000000000000000000000000004d2","layout":"00000000000000ff","samples":100,"length":104,"seed":18446744073709551615,"epoch":3,"lanes":16,"shuffle":"window:256:shard","consumed":48}"#;

fn reason(text: &str) -> String {
    match text.parse::<State>() {
        Err(error @ Error::State { .. }) => error.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn its_two_spellings_are_fixed() {
    let state: State = TEXT.parse().unwrap();
    assert_eq!(state.cursor(), Cursor { epoch: 3, consumed: 48 });
    assert_eq!((state.layout, state.dataset), (255, Digest::from_u128(1234)));
    assert_eq!(state.to_string(), TEXT);
    assert_eq!(state.to_json(), JSON);
    assert_eq!(State::from_json(JSON.as_bytes()).unwrap(), state);
}

#[test]
fn a_place_in_a_stream_is_spelled_and_refused_elsewhere() {
    let text = format!("{TEXT},streamed=8:4");
    let state: State = text.parse().unwrap();
    assert_eq!(state.streamed, Some(Streamed { base: 8, world: 4 }));
    assert_eq!(state.to_string(), text);
    assert_eq!(State::from_json(state.to_json().as_bytes()).unwrap(), state);
    assert!(state.to_json().contains(r#""streamed":"8:4""#));
    for bad in ["8:0", "49:1", "8:+4", "08:4", "8", "", "0:1048577", "8:4,more=1"] {
        assert!(reason(&format!("{TEXT},streamed={bad}")).contains("streamed") || bad.len() > 4);
    }
    let shards = Shards::new([100]).unwrap().of_dataset(Digest::from_u128(1));
    let plan = Plan::new(shards.clone(), PlanOptions::default(), Part::default()).unwrap();
    let mut saved = plan.state(Cursor { epoch: 1, consumed: 40 });
    saved.streamed = Some(Streamed { base: 0, world: 4 });
    let resumed = Plan::resume(shards, PlanOptions::default(), Part::default(), &saved);
    let error = resumed.unwrap_err().to_string();
    assert!(error.contains("streams of 4 ranks then"), "{error}");
}

#[test]
fn what_is_damaged_is_named() {
    for (good, bad, named) in [
        ("consumed=48", "consumed=105", "consumed 105"),
        ("consumed=48", "consumed=048", "consumed \"048\""),
        ("consumed=48", "consumed=+48", "consumed \"+48\""),
        ("consumed=48", "consumed=", "consumed \"\""),
        ("consumed=48", "consumed=48,more=1", "more=1"),
        (",consumed=48", "", "consumed="),
        ("samples=100", "samples=0", "samples 0"),
        ("samples=100", "samples=281474976710657", "samples 281474976710657"),
        ("length=104", "length=0", "length 0"),
        ("epoch=3", "epoch=18446744073709551615", "epoch 18446744073709551615"),
        ("lanes=16", "lanes=0", "lanes 0"),
        ("lanes=16", "lanes=1048577", "lanes 1048577"),
        ("seed=18446744073709551615", "seed=18446744073709551616", "seed"),
        ("window:256", "window:0", "window 0"),
        ("shuffle=window:256:shard", "shuffle=some", "shuffle \"some\""),
        ("layout=00000000000000ff", "layout=ff", "layout \"ff\""),
        ("4d2", "4D2", "dataset"),
        ("seed=", "sed=", "seed="),
        ("plan=1", "plan=0", "version 0"),
    ] {
        assert!(TEXT.contains(good));
        let error = reason(&TEXT.replace(good, bad));
        assert!(error.contains(named), "{bad}: {error}");
    }
    assert!(reason(&format!("plan={}", "1".repeat(5000))).contains("at most"));
    for end in 0..TEXT.len() {
        // A shorter last number is a number too; everything else must be missed.
        if end != TEXT.len() - 1 {
            assert!(TEXT[..end].parse::<State>().is_err(), "{}", &TEXT[..end]);
        }
        assert!(State::from_json(&JSON.as_bytes()[..end]).is_err());
    }
}

#[test]
fn json_is_as_strict() {
    for (good, bad) in [
        (r#""epoch":3,"#, ""),
        (r#""epoch":3"#, r#""epoch":3,"more":1"#),
        (r#""epoch":3"#, r#""epoch":3,"epoch":3"#),
        (r#""epoch":3"#, r#""epoch":-3"#),
        (r#""epoch":3"#, r#""epoch":3.5"#),
        (r#""consumed":48"#, r#""consumed":105"#),
        (r#""lanes":16"#, r#""lanes":0"#),
        ("00ff", "00fg"),
        ("}", "}x"),
    ] {
        let json = JSON.replace(good, bad);
        assert!(matches!(State::from_json(json.as_bytes()), Err(Error::State { .. })), "{json}");
    }
}

#[test]
fn a_later_version_says_upgrade() {
    let later = TEXT.replace("plan=1", "plan=2").parse::<State>();
    assert!(matches!(later, Err(Error::Version { found: 2, newest: 1 })));
    let later = State::from_json(br#"{"plan":7,"whatever":[1]}"#);
    assert!(matches!(later, Err(Error::Version { found: 7, newest: 1 })));
}

#[test]
fn another_dataset_or_option_is_named() {
    let counts = [40u64, 60, 20];
    let shards = Shards::new(counts).unwrap().of_dataset(Digest::from_u128(5));
    let options = PlanOptions { seed: 7, ..PlanOptions::default() };
    let part = Part { rank: 0, world: 2, replicas: 1 };
    let plan = Plan::new(shards.clone(), options.clone(), part).unwrap();
    let state = plan.state(plan.share(plan.start()).after(20));

    let differences =
        |shards: Shards, options: PlanOptions| match Plan::resume(shards, options, part, &state) {
            Err(Error::Different { differences }) => differences.join("; "),
            other => panic!("{other:?}"),
        };
    let other = |change: fn(&mut PlanOptions)| {
        let mut other = options.clone();
        change(&mut other);
        differences(shards.clone(), other)
    };
    assert_eq!(other(|o| o.seed = 8), "seed: 7 then, 8 now");
    assert_eq!(other(|o| o.lanes = Some(4)), "lanes: 2 then, 4 now");
    assert_eq!(other(|o| o.shuffle = Shuffle::Off), "shuffle: window:256:shard then, off now");
    assert_eq!(other(|o| o.length = Some(90)), "length of an epoch: 120 then, 90 now");
    assert!(other(|o| o.subset = Subset::Count(90)).starts_with("samples: 120 then, 90 now"));
    let digest = differences(shards.clone().of_dataset(Digest::from_u128(6)), options.clone());
    assert!(digest.starts_with("dataset: 0000"), "{digest}");
    // As many samples, in shards of other lengths.
    let moved = Shards::new([60, 40, 20]).unwrap().of_dataset(Digest::from_u128(5));
    assert!(differences(moved, options.clone()).starts_with("layout"));

    // Tail, batch and world may change.
    let options = PlanOptions { tail: Tail::Mask, batch: Some(3), ..options };
    let plan = Plan::resume(shards, options, Part { rank: 4, world: 5, replicas: 1 }, &state);
    assert_eq!(plan.unwrap().start(), Cursor { epoch: 0, consumed: 40 });
}

proptest! {
    #[test]
    fn what_is_written_is_read(setup in setups(), world in 1u64..8, epoch in 0u64..1000, steps in 0u64..50) {
        let Ok(plan) = setup.plan(0, world) else { return Ok(()) };
        let state = plan.state(plan.share(Cursor { epoch, consumed: 0 }).after(steps));
        prop_assert_eq!(&state.to_string().parse::<State>().unwrap(), &state);
        prop_assert_eq!(&State::from_json(state.to_json().as_bytes()).unwrap(), &state);
    }

    #[test]
    fn any_text_is_refused_or_comes_back_the_same(text in "(plan=1,)?[a-z=,0-9:]{0,80}") {
        if let Ok(state) = text.parse::<State>() {
            prop_assert_eq!(state.to_string(), text);
        }
    }

    #[test]
    fn one_changed_byte_never_gives_the_same_state(at in 0..TEXT.len(), byte in 32u8..127) {
        let mut bytes = TEXT.as_bytes().to_vec();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(state) = String::from_utf8(bytes.clone()).unwrap().parse::<State>() {
            prop_assert_eq!(state.to_string().into_bytes(), bytes);
        }
    }
}
