use super::*;
use crate::ErrorKind;

/// Runs `test` in a container with these variables.
fn within<T>(variables: &[(&str, &str)], test: impl FnOnce(&Container<'_>) -> T) -> T {
    let env = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    };
    test(&Container::new(&env))
}

#[test]
fn paths_are_below_the_base() {
    for (variables, base) in [
        (&[][..], "/opt/ml"),
        (&[("SAGEMAKER_BASE_DIR", "")], "/opt/ml"),
        (&[("SAGEMAKER_BASE_DIR", "/home/me/job")], "/home/me/job"),
    ] {
        within(variables, |container| {
            assert_eq!(container.base(), Path::new(base));
            for (path, name) in [
                (container.input_data_config_path(), "input/config/inputdataconfig.json"),
                (container.resource_config_path(), "input/config/resourceconfig.json"),
                (container.hyperparameters_path(), "input/config/hyperparameters.json"),
                (container.data_dir(), "input/data"),
                (container.model_dir(), "model"),
                (container.output_data_dir(), "output/data"),
                (container.failure_path(), "output/failure"),
                (container.checkpoints_dir(), "checkpoints"),
                (container.code_dir(), "code"),
            ] {
                assert_eq!(path, Path::new(base).join(name));
            }
        });
    }
}

#[test]
fn channels_are_looked_for_in_order() {
    let base = ("SAGEMAKER_BASE_DIR", "/b");
    let told = ("SM_CHANNEL_TRAIN", "/t/x");
    let odd = ("SM_CHANNEL_MY-VAL.SET_1", "/odd");
    let default = "/opt/ml/input/data/train (the default)";
    let from_base = "/b/input/data/train (from SAGEMAKER_BASE_DIR)";
    let from_told = "/t/x (from SM_CHANNEL_TRAIN)";
    for (variables, name, given, places) in [
        (&[][..], "train", None, &[default][..]),
        (&[told], "train", None, &[from_told, default]),
        (&[base], "train", None, &[from_base, default]),
        (&[told, base], "train", None, &[from_base, from_told, default]),
        (&[told, base], "train", Some("d/x"), &["d/x (as given)"]),
        (&[told], "train", Some("s3://b/x"), &["s3://b/x (as given)"]),
        (&[], "train", Some("file:///d/x"), &["/d/x (as given)"]),
        (&[("SM_CHANNEL_TRAIN", "")], "train", None, &[default]),
        (
            &[("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train")],
            "train",
            None,
            &["/opt/ml/input/data/train (from SM_CHANNEL_TRAIN)"],
        ),
        (
            &[odd],
            "my-val.set_1",
            None,
            &[
                "/odd (from SM_CHANNEL_MY-VAL.SET_1)",
                "/opt/ml/input/data/my-val.set_1 (the default)",
            ],
        ),
    ] {
        let found = within(variables, |container| container.channel(name, given)).unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, places, "{variables:?} {name} {given:?}");
    }
    let place = within(&[], |c| c.channel("t", Some("s3://b/x"))).unwrap().remove(0).place;
    assert_eq!(place, Place::Uri("s3://b/x".into()));
    let place = within(&[], |c| c.channel("t", Some("file:///d/x"))).unwrap().remove(0).place;
    assert_eq!(place, Place::Path("/d/x".into()));
    for name in ["..", "a/b", ""] {
        let error = within(&[], |container| container.channel(name, None)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Name { .. }), "{error}");
    }
    assert!(within(&[], |container| container.channel("t", Some(""))).is_err());
}

#[test]
fn files_come_before_variables() {
    let variables = [
        ("SM_INPUT_DATA_CONFIG", r#"{"variable":{}}"#),
        ("SM_RESOURCE_CONFIG", r#"{"current_host":"v","hosts":["v"]}"#),
        ("SM_HOSTS", r#"["h"]"#),
        ("SM_CURRENT_HOST", "h"),
        ("SM_HPS", r#"{"lr":0.1}"#),
    ];
    within(&variables, |container| {
        let config = container.input_data_config(Some(br#"{"file":{}}"#)).unwrap().unwrap();
        assert!(config.channel("file").is_ok());
        let config = container.input_data_config(None).unwrap().unwrap();
        assert!(config.channel("variable").is_ok());
        let file = br#"{"current_host":"f","hosts":["f"]}"#;
        let host =
            |file| container.resource_config(file).unwrap().unwrap().current_host().to_owned();
        assert_eq!(host(Some(file)), "f");
        assert_eq!(host(None), "v");
        let all = container.hyperparameters(None).unwrap().unwrap();
        assert_eq!(all.get::<f64>("lr").unwrap(), Some(0.1));
    });
    within(&variables[2..4], |container| {
        let config = container.resource_config(None).unwrap().unwrap();
        assert_eq!(config.hosts(), ["h"]);
        assert!(container.input_data_config(None).unwrap().is_none());
        assert!(container.hyperparameters(None).unwrap().is_none());
    });
    within(&[("SM_RESOURCE_CONFIG", "")], |container| {
        assert!(container.resource_config(None).unwrap().is_none());
    });
}

#[test]
fn errors_name_the_file_or_the_variable() {
    let said = |variables: &[(&str, &str)], file: Option<&[u8]>| {
        within(variables, |container| {
            let config = container.input_data_config(file).map(drop);
            config.and_then(|()| container.resource_config(None).map(drop)).unwrap_err().to_string()
        })
    };
    for (variables, file, start) in [
        (&[][..], Some(&b"{"[..]), "/opt/ml/input/config/inputdataconfig.json: not the JSON"),
        (&[("SM_INPUT_DATA_CONFIG", "x")], None, "SM_INPUT_DATA_CONFIG: not the JSON"),
        (&[("SM_RESOURCE_CONFIG", "{}")], None, "SM_RESOURCE_CONFIG: current_host is missing"),
        (&[("SM_HOSTS", "[]")], None, "SM_HOSTS, SM_CURRENT_HOST: SM_CURRENT_HOST is missing"),
        (&[("SM_CURRENT_HOST", "a")], None, "SM_HOSTS, SM_CURRENT_HOST: SM_HOSTS is missing"),
        (
            &[("SM_HOSTS", "a,b"), ("SM_CURRENT_HOST", "a")],
            None,
            "SM_HOSTS is \"a,b\": must be a JSON",
        ),
        (
            &[("SM_HOSTS", "[\"b\"]"), ("SM_CURRENT_HOST", "a")],
            None,
            "SM_HOSTS, SM_CURRENT_HOST: current_host \"a\" is not among",
        ),
    ] {
        let said = said(variables, file);
        assert!(said.starts_with(start), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = || Some(OsString::from_vec(b"/d/\xff".to_vec()));
    let env = |name: &str| bytes().filter(|_| name.starts_with("SM_"));
    let container = Container::new(&env);
    let places = container.channel("train", None).unwrap();
    assert_eq!(places[0].place, Place::Path(bytes().unwrap().into()), "paths may be any bytes");
    let error = container.input_data_config(None).unwrap_err().to_string();
    assert!(error.starts_with("SM_INPUT_DATA_CONFIG is"), "{error}");
    assert!(error.ends_with("must be UTF-8"), "{error}");
}
