//! `resourceconfig.json`: which hosts there are, and which one this is.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::json;

use crate::json::text;
use crate::{Error, ErrorKind, Result};

/// A place among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// From 0.
    pub rank: u32,
    /// How many there are.
    pub world: u32,
}

/// Hosts of one instance type in a heterogeneous cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceGroup {
    /// Its name.
    pub name: String,
    /// Its instance type.
    pub instance_type: Option<String>,
    /// Its hosts, sorted as texts.
    pub hosts: Vec<String>,
}

/// The hosts of a job.
///
/// A host's rank is its place among the names **sorted as texts**: `algo-10` comes before
/// `algo-2`. Digits are never parsed: SageMaker says that the names may change.
///
/// ```
/// use shardpack_channel::{Rank, ResourceConfig};
///
/// let config = ResourceConfig::parse(
///     br#"{"current_host": "algo-2", "hosts": ["algo-1", "algo-2", "algo-10"]}"#,
/// )?;
/// assert_eq!(config.rank(), Rank { rank: 2, world: 3 });
/// # Ok::<(), shardpack_channel::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceConfig {
    current_host: String,
    hosts: Vec<String>,
    instance_type: Option<String>,
    groups: Vec<InstanceGroup>,
    network_interface: Option<String>,
    rank: Rank,
}

#[derive(Deserialize)]
struct Wire {
    current_host: Option<String>,
    hosts: Option<Vec<String>>,
    current_group_name: Option<String>,
    current_instance_type: Option<String>,
    instance_groups: Option<Vec<WireGroup>>,
    network_interface_name: Option<String>,
}

#[derive(Deserialize)]
struct WireGroup {
    instance_group_name: String,
    instance_type: Option<String>,
    hosts: Vec<String>,
}

impl ResourceConfig {
    /// Parses the file. Only `current_host` and `hosts` must be there: older jobs and SDK local
    /// mode have no groups. Unknown keys are passed over.
    ///
    /// Fails with [`ErrorKind::Hosts`] when there are no hosts, a host stands twice, the current
    /// one is not among them, or groups disagree with that; with [`ErrorKind::Missing`] without
    /// one of the two keys; with [`ErrorKind::Json`] or [`ErrorKind::TooLarge`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wire: Wire = serde_json::from_str(text(bytes)?)?;
        let current_host = wire.current_host.ok_or_else(|| Error::missing("current_host"))?;
        let hosts = wire.hosts.ok_or_else(|| Error::missing("hosts"))?;
        let mut config = Self::new(current_host, hosts)?;
        let group = |wire: WireGroup| InstanceGroup {
            name: wire.instance_group_name,
            instance_type: wire.instance_type,
            hosts: wire.hosts,
        };
        let groups = wire.instance_groups.unwrap_or_default().into_iter().map(group).collect();
        config = config.with_groups(groups)?;
        config.instance_type = wire.current_instance_type.or(config.instance_type);
        config.network_interface = wire.network_interface_name;
        let found = config.current_group().map(|group| group.name.as_str());
        match (wire.current_group_name.as_deref(), found) {
            (Some(said), Some(found)) if said != found => Err(Error::hosts(format!(
                "current_group_name is {said:?}, but the host {:?} is in instance group {found:?}",
                config.current_host
            ))),
            _ => Ok(config),
        }
    }

    /// Hosts without groups, in any order.
    pub fn new(current_host: impl Into<String>, hosts: Vec<String>) -> Result<Self> {
        let current_host = current_host.into();
        let hosts = sorted(hosts, "hosts")?;
        if hosts.is_empty() {
            return Err(Error::hosts("hosts is empty"));
        }
        let rank = rank(&hosts, &current_host).ok_or_else(|| {
            let hosts = hosts.join(", ");
            Error::hosts(format!("current_host {current_host:?} is not among the hosts: {hosts}"))
        })?;
        let (instance_type, network_interface) = (None, None);
        Ok(Self { current_host, hosts, instance_type, groups: Vec::new(), network_interface, rank })
    }

    /// The same hosts in these groups. Every host is in at most one, and every host of a group is
    /// a host of the job.
    pub fn with_groups(mut self, mut groups: Vec<InstanceGroup>) -> Result<Self> {
        let mut names = HashSet::new();
        let mut home: HashMap<&str, &str> = HashMap::new();
        for group in &mut groups {
            let what = format!("instance group {:?}", group.name);
            group.hosts = sorted(std::mem::take(&mut group.hosts), &what)?;
        }
        for InstanceGroup { name, hosts, .. } in &groups {
            if !names.insert(name) {
                return Err(Error::hosts(format!("instance group {name:?} stands twice")));
            }
            for host in hosts {
                if self.hosts.binary_search(host).is_err() {
                    let reason = format!("{host:?} of instance group {name:?} is not among hosts");
                    return Err(Error::hosts(reason));
                }
                if let Some(other) = home.insert(host, name) {
                    let reason = format!("{host:?} is in two instance groups: {other:?}");
                    return Err(Error::hosts(format!("{reason} and {name:?}")));
                }
            }
        }
        self.groups = groups;
        if !self.groups.is_empty() && self.current_group().is_none() {
            let host = &self.current_host;
            return Err(Error::hosts(format!("current_host {host:?} is in no instance group")));
        }
        self.instance_type = self.current_group().and_then(|group| group.instance_type.clone());
        Ok(self)
    }

    /// The file as SageMaker writes it, with the network interface `eth0` unless one is known.
    pub fn to_bytes(&self) -> Vec<u8> {
        let interface = self.network_interface.as_deref().unwrap_or("eth0");
        let mut value = json!({
            "current_host": self.current_host,
            "hosts": self.hosts,
            "network_interface_name": interface,
        });
        if let Some(members) = value.as_object_mut() {
            if let Some(kind) = &self.instance_type {
                members.insert("current_instance_type".into(), json!(kind));
            }
            if let Some(group) = self.current_group() {
                members.insert("current_group_name".into(), json!(group.name));
                let groups = self.groups.iter().map(|group| {
                    json!({
                        "instance_group_name": group.name,
                        "instance_type": group.instance_type,
                        "hosts": group.hosts,
                    })
                });
                members.insert("instance_groups".into(), groups.collect());
            }
        }
        value.to_string().into_bytes()
    }

    /// The name of this host.
    pub fn current_host(&self) -> &str {
        &self.current_host
    }

    /// All hosts, sorted as texts.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Instance type of this host.
    pub fn instance_type(&self) -> Option<&str> {
        self.instance_type.as_deref()
    }

    /// Network interface that hosts talk over.
    pub fn network_interface(&self) -> Option<&str> {
        self.network_interface.as_deref()
    }

    /// Instance groups; none in older jobs.
    pub fn groups(&self) -> &[InstanceGroup] {
        &self.groups
    }

    /// The group of this host.
    pub fn current_group(&self) -> Option<&InstanceGroup> {
        self.groups.iter().find(|group| group.hosts.binary_search(&self.current_host).is_ok())
    }

    /// The place of this host among all.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// The place of this host among those of some groups, as a channel with `InstanceGroupNames`
    /// has it: `None` when this host is in none of them. No names mean all hosts.
    ///
    /// Fails with [`ErrorKind::Unknown`] for a group that is not there.
    pub fn rank_within(&self, groups: &[impl AsRef<str>]) -> Result<Option<Rank>> {
        if groups.is_empty() {
            return Ok(Some(self.rank));
        }
        let mut hosts = Vec::new();
        for name in groups.iter().map(AsRef::as_ref) {
            let group = self.groups.iter().find(|group| group.name == name).ok_or_else(|| {
                let known = self.groups.iter().map(|group| group.name.clone()).collect();
                Error::new(ErrorKind::Unknown { what: "instance group", name: name.into(), known })
            })?;
            hosts.extend_from_slice(&group.hosts);
        }
        hosts.sort_unstable();
        hosts.dedup(); // a group that is named twice
        Ok(rank(&hosts, &self.current_host))
    }
}

/// Sorts hosts as texts. None may stand there twice, or be empty.
fn sorted(mut hosts: Vec<String>, what: &str) -> Result<Vec<String>> {
    hosts.sort_unstable();
    let twice = hosts.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(a),
        _ => None,
    });
    if let Some(host) = twice {
        return Err(Error::hosts(format!("{host:?} stands twice in {what}")));
    }
    match hosts.first().is_some_and(String::is_empty) {
        true => Err(Error::hosts(format!("an empty name in {what}"))),
        false => Ok(hosts),
    }
}

fn rank(hosts: &[String], host: &str) -> Option<Rank> {
    let rank = hosts.binary_search_by(|other| other.as_str().cmp(host)).ok()?;
    Some(Rank { rank: u32::try_from(rank).ok()?, world: u32::try_from(hosts.len()).ok()? })
}

#[cfg(test)]
mod tests;
