use super::*;
use crate::group::group;
use crate::group::tests::listing;

const PATHS: &[&str] = &["cat/1.jpg", "cat/2.jpg", "dog/3.jpg"];

fn label(options: &PackOptions) -> Result<Vec<(Label, u64)>> {
    let listing = listing(PATHS);
    let mut samples = group(&listing, options)?;
    assign(&mut samples, options)?;
    let id = |s: u32| samples.ids.get(s as usize).copied().unwrap_or(0);
    Ok((0..samples.len() as u32).map(|s| (samples.label(s).clone(), id(s))).collect())
}

fn with(labels: Labels) -> PackOptions {
    PackOptions { labels: Some(labels), ..PackOptions::default() }
}

fn csv(table: &str) -> Labels {
    Labels::Csv { table: table.into(), name: "l.csv".into() }
}

fn json(table: &str) -> Labels {
    Labels::JsonLines { table: table.into(), name: "l.jsonl".into() }
}

fn values(options: &PackOptions) -> Vec<Vec<f64>> {
    label(options).unwrap().into_iter().map(|(label, _)| label.values).collect()
}

#[test]
fn folders_number_their_sorted_names() {
    let labels = label(&with(Labels::Folder)).unwrap();
    let text: Vec<_> = labels.iter().map(|(l, _)| (l.values[0], l.text.clone().unwrap())).collect();
    assert_eq!(text, [(0.0, "cat".into()), (0.0, "cat".into()), (1.0, "dog".into())]);
}

#[test]
fn tables_join_by_key_or_path() {
    for labels in [
        csv("file,label\ncat/1,5\ncat/2.jpg,6\n./dog/3.jpg,7\n"),
        json(
            "{\"key\":\"cat/1\",\"label\":5}\n{\"path\":\"cat/2.jpg\",\"label\":6}\n\n{\"file_name\":\"dog/3\",\"label\":7}",
        ),
        Labels::Lst {
            table: b"10\t5\tcat/1.jpg\n11\t6\tcat/2.jpg\n12\t7\tdog/3.jpg\n".into(),
            name: "l.lst".into(),
        },
    ] {
        assert_eq!(values(&with(labels)), [[5.0], [6.0], [7.0]]);
    }
}

#[test]
fn a_list_gives_header_ids_and_several_labels() {
    let table = b"10\t1\t2\tcat/1.jpg\n11\t3\t4\tcat/2.jpg\n12\t5\t6\tdog/3.jpg\n".into();
    let labels = label(&with(Labels::Lst { table, name: "l.lst".into() })).unwrap();
    assert_eq!(labels[1], (Label { values: vec![3.0, 4.0], text: None }, 11));
}

#[test]
fn texts_become_classes() {
    let labels = label(&with(csv("k,l\ncat/1,zebra\ncat/2,ant\ndog/3,zebra\n"))).unwrap();
    let got: Vec<_> = labels.into_iter().map(|(l, _)| (l.values[0], l.text.unwrap())).collect();
    assert_eq!(got, [(1.0, "zebra".into()), (0.0, "ant".into()), (1.0, "zebra".into())]);
}

#[test]
fn columns_can_be_chosen() {
    let mut options = with(csv("a,key,b\n1,cat/1,4\n2,cat/2,5\n3,dog/3,6\n"));
    options.label_key = Some("key".into());
    assert_eq!(values(&options), [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    options.label_columns = vec!["b".into()];
    assert_eq!(values(&options), [[4.0], [5.0], [6.0]]);
}

#[test]
fn bad_tables_name_line_and_cause() {
    for (labels, want) in [
        (csv("k,l\ncat/1,1\ncat/2,2\n"), "no label for these samples"),
        (csv("k,l\ncat/1,1\ncat/2,2\ndog/3,3\nemu/4,4\n"), "line 5: emu/4"),
        (csv("k,l\ncat/1,1\ncat/1,2\n"), "lines 2 and 3"),
        (csv("k,l\ncat/1\n"), "line 2"),
        (csv("k\ncat/1\n"), "no column is left"),
        (csv("k,l\ncat/1,\n"), "\"l\" is empty"),
        (json("{\"key\":\"cat/1\"}"), "line 1: no label"),
        (json("{\"label\":1}"), "no text under key, path"),
        (json("{"), "line 1"),
        (Labels::Lst { table: b"1\tcat/1.jpg".into(), name: "l".into() }, "three columns"),
        (Labels::Lst { table: b"x\t1\tcat/1.jpg".into(), name: "l".into() }, "no whole number"),
        (Labels::Lst { table: b"1\tx\tcat/1.jpg".into(), name: "l".into() }, "is no number"),
    ] {
        let error = label(&with(labels)).unwrap_err().to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[test]
fn unlabelled_samples_follow_their_policy() {
    let mut options = with(csv("k,l\ncat/1,1\nemu/4,4\n"));
    options.unlabelled = Policy::Skip;
    assert_eq!(values(&options), [[1.0]]);
    options.unlabelled = Policy::Allow;
    assert_eq!(values(&options), [vec![1.0], vec![], vec![]]);
}

#[test]
fn labels_as_fields_pick_the_decoder_by_their_last_part() {
    let fields = |values: &[f64], text: Option<&str>| {
        as_fields(&Label { values: values.into(), text: text.map(Into::into) })
            .into_iter()
            .map(|(name, bytes)| format!("{name}={}", String::from_utf8(bytes).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(&[3.0], None), ["cls=3"]);
    assert_eq!(fields(&[3.0], Some("cat")), ["cls=3", "cls.txt=cat"]);
    assert_eq!(fields(&[1.0, 2.0], None), ["cls.json=[1,2]"]);
    assert_eq!(fields(&[0.5], None), ["cls.json=[0.5]"]);
    assert!(fields(&[], None).is_empty());
}
