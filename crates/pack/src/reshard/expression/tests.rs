//! What expressions mean, what is none, and that what is printed is what was parsed.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde_json::{Value, json};
use shardpack_formats::Label;

use super::*;

/// A sample with a label of a class, an image and three fields of JSON.
fn holds(expression: &str, read: bool) -> Option<bool> {
    let expression: Expression = expression.parse().unwrap_or_else(|e| panic!("{e}"));
    let label = Label { values: vec![3.0], text: None };
    let forms = Forms::new(&label, &HashMap::from([(3, "dog"), (4, "cat")]));
    let fields = ["jpg", "json", "meta.json", "n"].map(|name| (name.to_owned(), name.len() as u64));
    let json = json!({
        "width": 640, "ratio": 0.5, "big": 9_007_199_254_740_993_u64, "tags": ["cat", "big", 7],
        "name": "a \"b\" c", "none": null, "yes": true, "deep": [{"a": {"b": 1}}], "and": 1,
    });
    let read_fields = BTreeMap::from([
        ("json".to_owned(), json),
        ("meta.json".to_owned(), json!({"height": 480, "a b": "x"})),
        ("n".to_owned(), json!(5)),
    ]);
    let facts = Facts {
        key: "n01/img_7",
        label: Some(&forms),
        size: 1000,
        fields: &fields,
        json: read.then_some(&read_fields),
    };
    expression.holds(&facts)
}

#[test]
fn expressions_mean_what_they_say() {
    for (expression, want) in [
        ("json.width >= 640 and json.width < 641", true),
        ("json.width == 640.0", true),
        ("json.width != 640", false),
        ("json.big == 9007199254740993", true),
        ("json.big > 9007199254740992", true), // equal as doubles
        ("json.ratio <= 0.5 and json.ratio > -1e3", true),
        (r#"json.tags contains "cat""#, true),
        ("json.tags contains 7.0", true),
        (r#"json.tags contains "ca""#, false),
        (r#"json contains "width""#, true),
        (r#"json.name contains "\"b\"""#, true),
        (r#"json.name =~ "^a \"\w\" c$""#, true),
        (r#"key =~ "^n\d+/""#, true),
        (r#"key == "n01/img_7" and key < "n02""#, true),
        (r#"label == "dog""#, true),
        ("label == 3", true),
        (r#"label in ["cat", 3]"#, true),
        (r#"label != "dog""#, false),
        (r#"label =~ "^d""#, true),
        (r#"label == "cat""#, false),
        ("size == 1000 and len(jpg) == 3 and len(`meta.json`) == 9", true),
        ("len(png) > 0", false),
        ("`meta.json`.height < json.width", true),
        (r#"`meta.json`.`a b` == "x""#, true),
        ("n == 5", true),
        ("json.deep[0].a.b == 1 and json.and == 1", true),
        ("json.yes == true and json.none == null", true),
        ("exists json.none and exists json and exists label and exists key", true),
        ("exists json.nothing or exists png or exists json.deep[1]", false),
        // What is not there, or of another kind, is equal to nothing.
        ("json.nothing == null", false),
        ("json.nothing != 3", true),
        (r#"json.width == "640""#, false),
        (r#"json.width < "9""#, false),
        (r#"json.name < 9 or json.name >= 9"#, false),
        ("png.width > 0", false),
        ("json.tags == json.tags", true),
        // `not` binds closest, then `and`, then `or`.
        ("not size == 1 and size == 1000", true),
        ("size == 1 and size == 2 or size == 1000", true),
        ("size == 1000 or size == 1 and size == 2", true),
        ("(size == 1000 or size == 1) and size == 2", false),
        ("not (size == 1 or not not size == 2)", true),
    ] {
        assert_eq!(holds(expression, true), Some(want), "{expression}");
    }
}

#[test]
fn bodies_are_only_needed_where_they_decide() {
    for (expression, want) in [
        ("json.width > 1", None),
        ("not json.width > 1", None),
        ("json.width > 1 and size == 1", Some(false)),
        ("json.width > 1 or size == 1000", Some(true)),
        ("json.width > 1 and size == 1000", None),
        ("json.width > size", None),
        ("exists json", Some(true)),
        ("exists json.width", None),
        ("exists png.width or png == 1", Some(false)), // there is no such field
    ] {
        assert_eq!(holds(expression, false), want, "{expression}");
    }
    let text = "a.x < b.y and (exists c or len(d) > 1) and not exists e.z";
    let expression: Expression = text.parse().unwrap();
    assert_eq!(expression.fields().into_iter().collect::<Vec<_>>(), ["a", "b", "e"]);
    assert_eq!(expression.named().into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
}

#[test]
fn what_is_no_expression_is_told_with_its_column() {
    let deep = format!("{}size == 1{}", "(".repeat(64), ")".repeat(64));
    for (text, column, words) in [
        ("", 1, "expected key, label"),
        ("json.width >= and", 15, "found and"),
        ("json.width", 11, "expected a test"),
        ("json.width = 3", 12, "write =="),
        ("size == 1 size == 2", 11, "expected and, or, or the end, found size"),
        ("(size == 1", 11, "expected ), found the end"),
        ("size in [1, ]", 13, "expected a number"),
        ("size in []", 10, "expected a number"),
        ("size in 1", 9, "expected ["),
        ("key =~ 3", 8, "expected a text"),
        (r#"key =~ "(""#, 8, "no pattern: unclosed group"),
        (r#"key == "a"#, 8, "no quote ends"),
        ("`a.b == 1", 1, "no backtick ends"),
        ("``.a == 1", 1, "a name is empty"),
        ("size == 01", 9, "no number"),
        ("size == 1e999", 9, "no number"),
        ("json[-1] == 1", 6, "expected the number of an item"),
        ("json.3 == 1", 6, "expected a name"),
        ("len jpg == 1", 5, "expected ("),
        ("日本 = 1", 4, "write =="),
        ("size == 'a'", 9, "double quotes"),
        ("1 < size", 1, "expected key, label"),
        (&deep, 65, "nested deeper than 64"),
    ] {
        let error = text.parse::<Expression>().unwrap_err();
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
    let error = "key = 1".parse::<Expression>().unwrap_err().to_string();
    assert_eq!(error, "column 5: write == for equal, found =\n  key = 1\n      ^");
    let long = format!("size == {}1", " ".repeat(LONGEST_EXPRESSION));
    assert!(long.parse::<Expression>().unwrap_err().to_string().contains("longer than"));
    assert!("json.a == 1".parse::<Term>().is_err() && "json.a[2]".parse::<Term>().is_ok());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_-]{0,6}",
        "[^`]{1,6}",
        prop::sample::select(parse::WORDS).prop_map(str::to_owned),
    ]
}

fn of() -> impl Strategy<Value = Of> {
    let step = prop_oneof![name().prop_map(Step::Member), (0..1000_usize).prop_map(Step::Item)];
    prop_oneof![
        Just(Of::Key),
        Just(Of::Label),
        Just(Of::Size),
        name().prop_map(Of::Len),
        (name(), prop::collection::vec(step, 0..4))
            .prop_map(|(field, steps)| Of::Json { field, steps }),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    let number = |text: String| Literal::Number(text.parse().expect("a number"));
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(move |n| number(n.to_string())),
        any::<u64>().prop_map(move |n| number(n.to_string())),
        prop::num::f64::NORMAL.prop_map(move |n| number(format!("{n:e}"))),
        any::<String>().prop_map(Literal::Text),
        r#"[\\"]{0,6}"#.prop_map(Literal::Text),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    use Comparison::*;
    let how = prop::sample::select(vec![Equal, Unequal, Less, AtMost, Greater, AtLeast]);
    let operand = prop_oneof![of().prop_map(Operand::Of), literal().prop_map(Operand::Literal)];
    let pattern = r#"[a-z\\"]{0,8}"#.prop_map(|text| Regex::new(&regex::escape(&text)).unwrap());
    let leaf = prop_oneof![
        of().prop_map(Node::Exists),
        (of(), how, operand).prop_map(|(of, how, with)| Node::Compare(of, how, with)),
        (of(), prop::collection::vec(literal(), 1..4)).prop_map(|(of, list)| Node::In(of, list)),
        (of(), literal()).prop_map(|(of, literal)| Node::Contains(of, literal)),
        (of(), pattern).prop_map(|(of, pattern)| Node::Matches(of, Pattern(pattern))),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Any),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(node in node()) {
        let expression = Expression(node);
        let text = expression.to_string();
        let again: Expression = text.parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
        prop_assert_eq!(again, expression, "{}", text);
    }

    #[test]
    fn no_text_breaks_the_parser(text in any::<String>()) {
        let _ = text.parse::<Expression>();
    }

    #[test]
    fn nor_does_one_of_its_own_tokens(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "not", "and", "or", "(", ")", "exists", "key", "json", ".", "[", "]", "1", "-", "in",
            "==", "<", "=~", "\"a\"", "\"", "`", "contains", ",", "len", "é", " ", "\\", "null",
        ]), 0..24),
    ) {
        let text = tokens.join(" ");
        if let Ok(expression) = text.parse::<Expression>() {
            prop_assert_eq!(expression.to_string().parse::<Expression>(), Ok(expression));
        }
    }

    #[test]
    fn what_holds_without_bodies_holds_with_them(node in node(), width in 0..1000_u64) {
        let fields = [("json".to_owned(), 4)];
        let read = BTreeMap::from([("json".to_owned(), Value::from(width))]);
        let facts = Facts { key: "k", label: None, size: 4, fields: &fields, json: None };
        if let Some(holds) = Expression(node.clone()).holds(&facts) {
            let facts = Facts { json: Some(&read), ..facts };
            prop_assert_eq!(Expression(node).holds(&facts), Some(holds));
        }
    }
}
