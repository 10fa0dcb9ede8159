use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<ResourceConfig> {
    ResourceConfig::parse(text.as_bytes())
}

const REAL: &str = r#"{"current_group_name":"homogeneousCluster","current_host":"algo-2","current_instance_type":"ml.p4d.24xlarge",
    "hosts":["algo-1","algo-2"],
    "instance_groups":[{"hosts":["algo-2","algo-1"],"instance_group_name":"homogeneousCluster","instance_type":"ml.p4d.24xlarge"}],
    "network_interface_name":"eth0","topology":[{"hostName":"algo-1","capacityUnitId":"u"}]}"#;

/// Two groups, three hosts; this one is the first of `gpu`.
const MIXED: &str = r#"{"current_group_name":"gpu","current_host":"algo-2","hosts":["algo-1","algo-2","algo-3"],
    "instance_groups":[{"hosts":["algo-1"],"instance_group_name":"cpu"},{"hosts":["algo-3","algo-2"],"instance_group_name":"gpu"}]}"#;

#[test]
fn files_of_real_jobs() {
    let config = parse(REAL).unwrap();
    assert_eq!(config.rank(), Rank { rank: 1, world: 2 });
    assert_eq!(config.instance_type(), Some("ml.p4d.24xlarge"));
    assert_eq!(config.network_interface(), Some("eth0"));
    assert_eq!(config.current_group().unwrap().hosts, ["algo-1", "algo-2"], "sorted");
    assert_eq!(ResourceConfig::parse(&config.to_bytes()).unwrap(), config);
    let old =
        parse(r#"{"current_host":"algo-1","hosts":["algo-1"],"network_interface_name":"ethwe"}"#)
            .unwrap();
    assert_eq!((old.rank(), old.groups().len()), (Rank { rank: 0, world: 1 }, 0));
    assert_eq!(ResourceConfig::parse(&old.to_bytes()).unwrap(), old);
}

#[test]
fn ten_hosts_are_sorted_as_texts() {
    let hosts: Vec<String> = (1..=10).map(|i| format!("algo-{i}")).collect();
    let rank =
        |host: &str| ResourceConfig::new(host, hosts.clone()).map(|c| c.rank().rank).unwrap();
    let ranks: Vec<u32> = hosts.iter().map(|host| rank(host)).collect();
    assert_eq!(ranks, [0, 2, 3, 4, 5, 6, 7, 8, 9, 1]);
}

#[test]
fn ranks_within_groups() {
    let config = parse(MIXED).unwrap();
    for (groups, rank) in [
        (&[][..], Some((1, 3))),
        (&["gpu"], Some((0, 2))),
        (&["gpu", "gpu"], Some((0, 2))),
        (&["gpu", "cpu"], Some((1, 3))),
        (&["cpu"], None),
    ] {
        let rank = rank.map(|(rank, world)| Rank { rank, world });
        assert_eq!(config.rank_within(groups).unwrap(), rank, "{groups:?}");
    }
    let error = config.rank_within(&["gpus"]).unwrap_err().to_string();
    assert_eq!(error, "no instance group \"gpus\", but cpu, gpu");
    let error = parse(r#"{"current_host":"a","hosts":["a"]}"#).unwrap().rank_within(&["gpu"]);
    assert_eq!(error.unwrap_err().to_string(), "no instance group \"gpu\", nor any other");
}

#[test]
fn contradictions_are_refused() {
    for (text, said) in [
        (r#"{"hosts":["a"]}"#, "current_host is missing"),
        (r#"{"current_host":"a"}"#, "hosts is missing"),
        (r#"{"current_host":"a","hosts":[]}"#, "hosts is empty"),
        (r#"{"current_host":"a","hosts":["a","b","a"]}"#, "\"a\" stands twice in hosts"),
        (r#"{"current_host":"","hosts":["","b"]}"#, "an empty name in hosts"),
        (
            r#"{"current_host":"c","hosts":["b","a"]}"#,
            "current_host \"c\" is not among the hosts: a, b",
        ),
        (r#"{"current_host":1,"hosts":["a"]}"#, "invalid type: integer `1`"),
        (r#"["a"]"#, "not the JSON"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    for (from, to, said) in [
        ("[\"algo-3\",\"algo-2\"]", "[\"algo-3\"]", "\"algo-2\" is in no instance group"),
        ("[\"algo-1\"],\"i", "[\"algo-9\"],\"i", "\"algo-9\" of instance group \"cpu\" is not"),
        ("[\"algo-1\"],\"i", "[\"algo-2\"],\"i", "in two instance groups: \"cpu\" and \"gpu\""),
        ("[\"algo-1\"],\"i", "[\"algo-1\",\"algo-1\"],\"i", "twice in instance group \"cpu\""),
        ("_name\":\"cpu\"", "_name\":\"gpu\"", "instance group \"gpu\" stands twice"),
        (
            "current_group_name\":\"gpu",
            "current_group_name\":\"cpu",
            "is in instance group \"gpu\"",
        ),
    ] {
        assert!(MIXED.contains(from), "{from}");
        let error = parse(&MIXED.replace(from, to)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Hosts { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

proptest! {
    #[test]
    fn ranks_do_not_depend_on_the_order_of_the_file(hosts in prop::collection::hash_set("[a-c0-9-]{1,4}", 1..20), shuffled in any::<prop::sample::Index>()) {
        let mut hosts = Vec::from_iter(hosts);
        let middle = shuffled.index(hosts.len());
        let mut ranks = Vec::new();
        for host in hosts.clone() {
            let there = ResourceConfig::new(host.clone(), hosts.clone()).unwrap();
            hosts.rotate_left(middle);
            let here = ResourceConfig::new(host, hosts.clone()).unwrap();
            prop_assert_eq!(&there, &here);
            prop_assert_eq!(&ResourceConfig::parse(&here.to_bytes()).unwrap().rank, &here.rank);
            ranks.push(here.rank().rank);
        }
        ranks.sort_unstable();
        prop_assert_eq!(ranks, Vec::from_iter(0..hosts.len() as u32));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}\",:a-c]{0,60}", hosts in prop::collection::vec("[a-c]{0,2}", 0..5)) {
        let _ = ResourceConfig::parse(&bytes);
        let _ = parse(&text);
        let _ = parse(&json!({"current_host": "a", "hosts": hosts}).to_string());
    }
}
