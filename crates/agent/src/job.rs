//! What is to be brought up: a description as `CreateTrainingJob` has it, or flags that become one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use shardpack_channel::{ErrorKind, InstanceGroup, JobRequest, ResourceConfig};
use shardpack_manifest::sagemaker::local_path;

use crate::yaml;
use crate::{Error, Finding, Result};

/// Stands for a local path where the API wants an address: no bucket is called so.
const LOCAL: &str = "s3://local-path";
/// The group of a job that names none, as real jobs have it.
const GROUP: &str = "homogeneousCluster";
/// Largest description in bytes.
const MAX_BYTES: usize = 4 << 20;

/// Members of `CreateTrainingJob` that must be there and tell nothing of data.
const REQUIRED: &[(&str, &str)] = &[
    ("TrainingJobName", "\"local\""),
    ("RoleArn", "\"arn:aws:iam::000000000000:role/local-role\""),
    ("OutputDataConfig", "{\"S3OutputPath\":\"s3://local-output/\"}"),
    ("AlgorithmSpecification", "{\"TrainingInputMode\":\"File\"}"),
    ("StoppingCondition", "{}"),
    ("ResourceConfig", "{\"InstanceType\":\"local\",\"InstanceCount\":1,\"VolumeSizeInGB\":1}"),
];

/// A job: checked against every rule that needs no listing.
///
/// ```
/// use shardpack_agent::Job;
///
/// let job = Job::parse(
///     b"InputDataConfig:\n- ChannelName: train\n  InputMode: FastFile\n  DataSource:\n    \
///       S3DataSource: {S3DataType: S3Prefix, S3Uri: /data/shards/}\n",
/// )?;
/// assert_eq!(job.hosts(&[], None)?.hosts(), ["algo-1"]);
/// # Ok::<(), shardpack_agent::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    /// The request.
    pub request: JobRequest,
    /// Channels that lie at a local path in place of S3.
    pub(crate) local: BTreeMap<String, PathBuf>,
}

impl Job {
    /// Reads a description, JSON or YAML: the whole of `CreateTrainingJob`, some of its members,
    /// or the list that is `InputDataConfig`. An `S3Uri` may be a local path.
    ///
    /// Fails with [`Error::Refused`] for rules that are broken, all of them, and with
    /// [`Error::Job`] for what cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::of(tree(bytes)?, Vec::new(), &BTreeMap::new())
    }

    /// The same, with channels and hyperparameters from flags: see [`channel_of`]. `file` may be
    /// missing.
    pub fn with_flags(
        file: Option<&[u8]>,
        channels: &[String],
        hyperparameters: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let tree = file.map_or_else(|| Ok(json!({})), tree)?;
        let channels = channels.iter().map(|text| channel_of(text)).collect::<Result<_>>()?;
        Self::of(tree, channels, hyperparameters)
    }

    fn of(
        mut tree: Value,
        mut flags: Vec<Value>,
        hyperparameters: &BTreeMap<String, String>,
    ) -> Result<Self> {
        if tree.is_array() {
            tree = json!({ "InputDataConfig": tree });
        }
        let Some(members) = tree.as_object_mut() else {
            return Err(Error::job("must be an object like that of CreateTrainingJob, or a list"));
        };
        if !flags.is_empty() {
            let all = members.entry("InputDataConfig").or_insert_with(|| json!([]));
            let all = all.as_array_mut().ok_or_else(|| Error::job("InputDataConfig is no list"))?;
            all.append(&mut flags);
        }
        if !hyperparameters.is_empty() {
            let all = members.entry("HyperParameters").or_insert_with(|| json!({}));
            let all = all.as_object_mut();
            let all = all.ok_or_else(|| Error::job("HyperParameters is no object"))?;
            all.extend(hyperparameters.iter().map(|(name, text)| (name.clone(), json!(text))));
        }
        for (name, default) in REQUIRED {
            if !members.contains_key(*name) {
                let default = serde_json::from_str(default).unwrap_or(Value::Null);
                members.insert((*name).to_owned(), default);
            }
        }
        let local = take_local_paths(members)?;
        match JobRequest::parse(tree.to_string().as_bytes()) {
            Ok(request) => Ok(Self { request, local }),
            Err(error) => match error.kind() {
                ErrorKind::Refused { violations } => {
                    Err(Error::Refused(violations.iter().cloned().map(Finding::broken).collect()))
                }
                _ => Err(Error::job(error.to_string())),
            },
        }
    }

    /// The hosts of the job: those given, else as many as the request has instances, called
    /// `algo-1`, `algo-2` and so on as in real jobs. `current` is one of them; by default the first.
    pub fn hosts(&self, given: &[String], current: Option<&str>) -> Result<ResourceConfig> {
        let request = &self.request;
        let kind = || request.instance_type.clone().unwrap_or_else(|| "local".into());
        let mut groups: Vec<(String, String, usize)> = (request.instance_groups.iter())
            .map(|group| (group.name.clone(), group.instance_type.clone(), group.count as usize))
            .collect();
        let count = match request.instance_count {
            Some(count) => count as usize,
            None => groups.iter().map(|(.., count)| count).sum::<usize>().max(1),
        };
        if count > 1000 {
            return Err(Error::job(format!("{count} hosts; 1,000 at most are played here")));
        }
        if given.iter().any(String::is_empty) {
            return Err(Error::job("--hosts has an empty name; write algo-1,algo-2"));
        }
        let hosts = match given {
            [] => (1..=count).map(|i| format!("algo-{i}")).collect(),
            given => given.to_vec(),
        };
        if groups.is_empty() {
            groups.push((GROUP.into(), kind(), hosts.len()));
        } else if groups.iter().map(|(.., count)| count).sum::<usize>() != hosts.len() {
            let all = groups.iter().map(|(.., count)| count).sum::<usize>();
            let reason = format!("--hosts: {} hosts, and instance groups of {all}", hosts.len());
            return Err(Error::job(reason));
        }
        let current = match (current, hosts.first()) {
            (Some(current), _) => current.to_owned(),
            (None, first) => first.cloned().unwrap_or_default(),
        };
        let mut rest = hosts.iter().cloned();
        let groups = groups
            .into_iter()
            .map(|(name, kind, count)| InstanceGroup {
                name,
                instance_type: Some(kind),
                hosts: rest.by_ref().take(count).collect(),
            })
            .collect();
        Ok(ResourceConfig::new(current, hosts)?.with_groups(groups)?)
    }
}

/// JSON if it starts like it, else YAML.
fn tree(bytes: &[u8]) -> Result<Value> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::job(format!("{} bytes; 4 MiB at most", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::job(error.to_string()))?;
    match text.trim_start().starts_with(['{', '[']) {
        // YAML takes most JSON, but tells worse what is wrong with it.
        true => serde_json::from_str(text).map_err(|error| Error::job(error.to_string())),
        false => yaml::to_json(text),
    }
}

/// Puts an address where a channel has a local path, and notes the path.
fn take_local_paths(members: &mut Map<String, Value>) -> Result<BTreeMap<String, PathBuf>> {
    let mut local = BTreeMap::new();
    let channels = members.get_mut("InputDataConfig").and_then(Value::as_array_mut);
    for channel in channels.into_iter().flatten() {
        let name = channel.get("ChannelName").and_then(Value::as_str).unwrap_or("").to_owned();
        let Some(uri) = channel.pointer_mut("/DataSource/S3DataSource/S3Uri") else { continue };
        let Some(path) = uri.as_str().and_then(local_path).filter(|path| !path.is_empty()) else {
            continue;
        };
        let path = std::path::absolute(path).map_err(|error| Error::io(error, Path::new(path)))?;
        let slash = if path.is_dir() { "/" } else { "" };
        let shown = path.to_string_lossy();
        *uri = json!(format!("{LOCAL}{}{slash}", shown.trim_end_matches('/')));
        local.insert(name, path);
    }
    Ok(local)
}

/// A channel from `NAME=SOURCE[,KEY=VALUE]...` as the API writes it. Keys: `mode`, `dist`, `type`,
/// `compression`, `wrapper`, `seed`, `attributes` and `groups` (joined by `+`), `content-type`.
/// Values are the API's words, and checked with everything else.
pub fn channel_of(text: &str) -> Result<Value> {
    let wrong = |why: &str| Error::job(format!("--channel {text}: {why}"));
    let (name, rest) = text.split_once('=').ok_or_else(|| wrong("write NAME=SOURCE,mode=..."))?;
    let mut parts = rest.split(',').peekable();
    let mut source = parts.next().unwrap_or_default().to_owned();
    // A path may hold commas: what has no known key behind one still belongs to it.
    while let Some(part) = parts.next_if(|part| !is_option(part)) {
        source = format!("{source},{part}");
    }
    if source.starts_with('~') {
        return Err(wrong("no shell makes a path of ~ behind a =; write $HOME in its place"));
    }
    if source.is_empty() {
        return Err(wrong("has no source: write s3://bucket/prefix/ or a path"));
    }
    let mut channel = Map::from_iter([("ChannelName".to_owned(), json!(name))]);
    let mut s3 = json!({ "S3DataType": "S3Prefix", "S3Uri": source });
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let list = || json!(value.split('+').collect::<Vec<_>>());
        match key {
            "mode" => _ = channel.insert("InputMode".into(), json!(value)),
            "compression" => _ = channel.insert("CompressionType".into(), json!(value)),
            "wrapper" => _ = channel.insert("RecordWrapperType".into(), json!(value)),
            "content-type" => _ = channel.insert("ContentType".into(), json!(value)),
            "seed" => {
                let seed = value.parse::<i64>().map_err(|_| wrong("seed is no whole number"))?;
                channel.insert("ShuffleConfig".into(), json!({ "Seed": seed }));
            }
            "dist" => s3["S3DataDistributionType"] = json!(value),
            "type" => s3["S3DataType"] = json!(value),
            "attributes" => s3["AttributeNames"] = list(),
            "groups" => s3["InstanceGroupNames"] = list(),
            _ => return Err(wrong(&format!("no key {key:?}; known are {}", KEYS.join(", ")))),
        }
    }
    channel.insert("DataSource".into(), json!({ "S3DataSource": s3 }));
    Ok(channel.into())
}

const KEYS: &[&str] = &[
    "mode",
    "dist",
    "type",
    "compression",
    "wrapper",
    "seed",
    "attributes",
    "groups",
    "content-type",
];

/// True for what reads like `key=value`, known or not.
fn is_option(part: &str) -> bool {
    let key = part.split_once('=').map(|(key, _)| key);
    key.is_some_and(|key| {
        KEYS.contains(&key) || key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    })
}

#[cfg(test)]
mod tests;
