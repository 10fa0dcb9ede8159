//! How well labels are mixed, as packing tells it.

use crate::program::Home;

#[test]
fn the_shuffle_score_of_the_plan_is_that_of_what_is_stored() {
    let home = Home::new();
    for i in 0..300 {
        home.write(&format!("src/c{}/s{i:03}.txt", i % 7), format!("{i}"));
    }
    let score = |dataset: &str| home.line(&format!("shuffle-score {dataset} --json")).done().json();
    for (format, order) in [("webdataset", "shuffle:2"), ("tfrecord", "label"), ("recordio", "key")]
    {
        let options = format!("--format {format} --order {order} --split a=0.7,b=0.3 --json");
        let packed =
            home.line(&format!("pack src {format} --labels folder {options}")).done().json();
        assert_eq!(packed["mixing"], score(format));
        assert_eq!(packed["mixing"].as_array().expect("a list").len(), 2);
        let again = home.line(&format!("reshard {format} again-{format} {options}")).done().json();
        assert_eq!(again["mixing"], packed["mixing"]);
        let mixed = packed["mixing"][0]["score"].as_f64().expect("a number");
        assert_eq!(mixed > 0.9, order.starts_with("shuffle"), "{format}: {mixed}");
    }
    let text = home.line("pack src told --labels folder").done().stdout;
    assert!(text.contains("shuffle score 1.0") || text.contains("shuffle score 0.9"), "{text}");
    let plan = home.line("pack src none --labels folder --dry-run").done().stdout;
    assert!(plan.contains("shuffle  score"), "{plan}");
    assert!(!home.line("pack src plain").done().stdout.contains("shuffle"), "no labels are known");
}
