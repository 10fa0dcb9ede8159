//! The variables that training code finds: those of SageMaker's training toolkit, and of the newer
//! SDK where it adds some.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use shardpack_channel::{InputDataConfig, ResourceConfig};

use crate::Job;

/// Where everything is unless a variable says otherwise.
const BASE: &str = "/opt/ml";

/// All variables, by name. `args` are the command's own.
pub(crate) fn variables(
    job: &Job,
    hosts: &ResourceConfig,
    channels: &InputDataConfig,
    root: &Path,
    args: &[String],
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: Value| {
        // Texts as they are, anything else as compact JSON with sorted keys.
        let text = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        all.insert(name.to_owned(), text);
    };
    let at = |path: &str| json!(root.join(path).to_string_lossy());
    let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    for (name, path) in [
        ("SM_INPUT_DIR", "input"),
        ("SM_INPUT_CONFIG_DIR", "input/config"),
        ("SM_INPUT_DATA_DIR", "input/data"),
        ("SM_MODEL_DIR", "model"),
        ("SM_OUTPUT_DIR", "output"),
        ("SM_OUTPUT_DATA_DIR", "output/data"),
        ("SM_OUTPUT_INTERMEDIATE_DIR", "output/intermediate"),
        ("SM_OUTPUT_FAILURE", "output/failure"),
    ] {
        set(name, at(path));
    }
    let names: Vec<&str> = channels.iter().map(|(name, _)| name).collect();
    set("SM_CHANNELS", json!(names));
    for name in names {
        // Nothing is replaced but the case. Of a Pipe channel it is what names of FIFOs start with.
        set(&format!("SM_CHANNEL_{}", name.to_uppercase()), at(&format!("input/data/{name}")));
    }
    set("SM_INPUT_DATA_CONFIG", json(channels.to_bytes()));
    set("SM_RESOURCE_CONFIG", json(hosts.to_bytes()));
    set_hosts(hosts, &mut set);
    let parameters = parameters(job);
    for (name, value) in &parameters {
        set(&format!("SM_HP_{}", name.to_uppercase()), value.clone());
    }
    set("SM_HPS", Value::Object(parameters));
    set("SM_USER_ARGS", json!(args));
    set("SM_LOG_LEVEL", json!("20"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    set("SM_NUM_CPUS", json!(cores));
    set("SM_NUM_GPUS", json!(gpus()));
    set("SM_NUM_NEURONS", json!(0));
    set("TRAINING_JOB_NAME", json!("local"));
    if root != Path::new(BASE) {
        set("SAGEMAKER_BASE_DIR", json!(root.to_string_lossy()));
    }
    all.extend(job.request.environment.clone());
    all
}

fn set_hosts(hosts: &ResourceConfig, set: &mut impl FnMut(&str, Value)) {
    set("SM_HOSTS", json!(hosts.hosts()));
    set("SM_HOST_COUNT", json!(hosts.hosts().len()));
    set("SM_CURRENT_HOST", json!(hosts.current_host()));
    set("SM_CURRENT_HOST_RANK", json!(hosts.rank().rank));
    set("SM_MASTER_ADDR", json!(hosts.hosts().first()));
    set("SM_NETWORK_INTERFACE_NAME", json!(hosts.network_interface().unwrap_or("eth0")));
    set("SM_CURRENT_INSTANCE_TYPE", json!(hosts.instance_type()));
    let names: Vec<&str> = hosts.groups().iter().map(|group| group.name.as_str()).collect();
    set("SM_IS_HETERO", json!(names.len() > 1));
    set("SM_INSTANCE_GROUPS", json!(names));
    let group = |group: &shardpack_channel::InstanceGroup| {
        json!({
            "hosts": group.hosts,
            "instance_group_name": group.name,
            "instance_type": group.instance_type,
        })
    };
    let all = hosts.groups().iter().map(|g| (g.name.clone(), group(g)));
    set("SM_INSTANCE_GROUPS_DICT", Value::Object(all.collect()));
    if let Some(current) = hosts.current_group() {
        set("SM_CURRENT_INSTANCE_GROUP", json!(current.name));
        set("SM_CURRENT_INSTANCE_GROUP_HOSTS", json!(current.hosts));
    }
}

/// Texts that hold JSON are what they hold, as the toolkit reads them.
fn parameters(job: &Job) -> serde_json::Map<String, Value> {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    job.request.hyperparameters.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

/// Devices of the usual driver; a machine without it has none.
fn gpus() -> usize {
    std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardpack_channel::{ChannelConfig, Container};

    #[test]
    fn variables_are_the_toolkits_and_read_back_as_the_same_job() {
        let parameters = [("lr", "0.1"), ("net-name", "resnet"), ("l", "[1, 2]")];
        let parameters = parameters.map(|(n, t)| (n.to_owned(), t.to_owned())).into();
        let job = Job::with_flags(None, &["my-val=s3://bucket/x/".into()], &parameters).unwrap();
        let hosts = job.hosts(&["b".into(), "a".into()], Some("b")).unwrap();
        let channels = BTreeMap::from([("my-val".to_owned(), ChannelConfig::default())]);
        let channels = InputDataConfig::try_from(channels).unwrap();
        let all = variables(&job, &hosts, &channels, Path::new("/job"), &["--x".into()]);
        for (name, value) in [
            ("SM_CHANNEL_MY-VAL", "/job/input/data/my-val"),
            ("SM_CHANNELS", "[\"my-val\"]"),
            ("SM_HOSTS", "[\"a\",\"b\"]"),
            ("SM_CURRENT_HOST_RANK", "1"),
            ("SM_HP_NET-NAME", "resnet"),
            ("SM_HPS", "{\"l\":[1,2],\"lr\":0.1,\"net-name\":\"resnet\"}"),
            ("SM_USER_ARGS", "[\"--x\"]"),
            ("SM_CURRENT_INSTANCE_TYPE", "local"),
            ("SAGEMAKER_BASE_DIR", "/job"),
        ] {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        let env = |name: &str| all.get(name).map(Into::into);
        let container = Container::new(&env);
        assert_eq!(container.input_data_config(None).unwrap(), Some(channels));
        assert_eq!(container.resource_config(None).unwrap().unwrap().rank(), hosts.rank());
    }
}
