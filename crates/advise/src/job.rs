//! What is known of the training job.

use serde::Serialize;

use crate::Result;
use crate::error::check;

/// In which order training code reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// From the front of a file to its end.
    Sequential,
    /// Here and there.
    Random,
}

/// What is told of the job. None is not told, and never filled in.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// In which order it reads.
    pub access: Option<Access>,
    /// Instances. Default 1.
    pub hosts: u64,
    /// Processes of each that read. Default 1.
    pub workers: u64,
    /// Bytes a second that the model takes, on each host.
    pub consume: Option<f64>,
    /// Bytes of disk on each host that data may fill.
    pub disk: Option<u64>,
    /// Bytes of memory on each host that may keep data.
    pub memory: Option<u64>,
    /// Whether the job may run in a VPC, as mounts of EFS and FSx for Lustre need.
    pub vpc: Option<bool>,
    /// Hours of training, without the download.
    pub hours: Option<f64>,
    /// Epochs. Default 1.
    pub epochs: u64,
    /// Whether files may be packed: their reader can be changed. Default true.
    pub can_serialise: bool,
    /// Length of a shard in bytes. Default 150 MB.
    pub target: u64,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            access: None,
            hosts: 1,
            workers: 1,
            consume: None,
            disk: None,
            memory: None,
            vpc: None,
            hours: None,
            epochs: 1,
            can_serialise: true,
            target: 150_000_000,
        }
    }
}

impl Job {
    pub(crate) fn check(&self) -> Result<()> {
        check("hosts", self.hosts as f64, false)?;
        check("workers", self.workers as f64, false)?;
        check("epochs", self.epochs as f64, false)?;
        check("target", self.target as f64, false)?;
        for (what, value) in [("bytes a second", self.consume), ("hours of training", self.hours)] {
            value.map_or(Ok(()), |value| check(what, value, false))?;
        }
        Ok(())
    }

    /// Hosts times workers: whoever reads side by side.
    pub(crate) fn readers(&self) -> u64 {
        self.hosts.saturating_mul(self.workers)
    }
}
